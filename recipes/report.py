"""The main job's report and summary table, read back from what the stages wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from corpus.core.conversations import read_conversations
from corpus.core.files import read_json, write_atomically
from corpus.reporting import report_page as html
from corpus.reporting.report import corpus_sections, counts_in_and_out
from corpus.reporting.steps import steps_behind
from mixtures.plan import plan_run
from recipes.data_stages import count_conversations
from recipes.job import STAGES, Job

_POINTS = 200  # of a line: more cannot be seen


def summary_rows(job: Job) -> list[dict[str, Any]]:
    """One row per stage: what went in, what came out, seconds over all runs."""
    seconds = job.seconds()
    flow = dict(_flow(job))
    return [
        {"stage": name, **flow.get(name, {"in": "", "out": ""}), "seconds": seconds.get(name, 0.0)}
        for name in STAGES
    ]


def write_job_report(job: Job) -> Path:
    """Write `report.html`: the corpus sections, then mixture, losses, evaluation, answers."""
    page = html.Page("Zero to One", "From pages to a model that answers: what each step did to the data.")
    evaluation = read_json(job.at("evaluation", "evaluation.json"))
    page.add("At a glance", html.tiles(_glance(job, evaluation)), html.card(html.table(summary_rows(job))))
    for title, content in corpus_sections(steps_behind([job.at("dedup_near")])):
        page.add(title, content)
    page.add("Mixture", *_mixture(job))
    page.add("Training", *_training(job))
    page.add("Instruction data", *_instructions(job))
    page.add("Base against tuned", *_evaluation(job, evaluation))
    page.add("Answers", *_answers(job, evaluation))
    path = job.at("report.html")
    with write_atomically(path) as temporary:
        temporary.write_text(page.render(), encoding="utf-8")
    return path


def _flow(job: Job) -> Iterator[tuple[str, dict[str, str]]]:
    """(stage, what went in and what came out), as text."""
    extracted = [read_json(path) for path in sorted(job.at("extract").glob("*/manifest.json"))]
    filtered = [read_json(path) for path in sorted(job.at("filter").glob("*/manifest.json"))]
    exact, near = (read_json(job.at(name, "manifest.json")) for name in ("dedup_exact", "dedup_near"))
    pages = sum(manifest["counts"].get("pages_in", 0) for manifest in extracted)
    others = sum(manifest["counts"].get("documents_in", 0) for manifest in extracted)
    yield "collect", {"in": "", "out": f"{pages:,} pages, {others:,} documents"}
    stages = {"extract": extracted, "filter": filtered, "exact dedup": [exact], "near dedup": [near]}
    for name, manifests in stages.items():
        flows = [counts_in_and_out(manifest) for manifest in manifests]
        read, kept = sum(flow[0] for flow in flows), sum(flow[1] for flow in flows)
        yield name, {"in": f"{read:,}", "out": f"{kept:,} documents"}
    tokenizer, shards = (
        read_json(job.at("tokenizer", "manifest.json")),
        read_json(job.at("shards", "manifest.json")),
    )
    sampled = sum(entry["bytes"] for entry in tokenizer["sample"].values())
    yield "tokenizer", {"in": f"{sampled:,} bytes", "out": f"{tokenizer['counts']['vocabulary_size']:,} tokens"}
    totals = {
        split: sum(entry["tokens"] for entry in domains.values()) for split, domains in shards["splits"].items()
    }
    out = f"{totals['train']:,} tokens, {totals['held_out']:,} held out"
    yield "tokenize", {"in": f"{counts_in_and_out(near)[1]:,} documents", "out": out}
    search = read_json(job.at("doremi", "manifest.json"))
    weights = ", ".join(f"{row['domain']} {row['weight']:.3f}" for row in search["result"]["domains"])
    yield "doremi", {"in": f"{search['counts']['tokens']:,} tokens", "out": weights}
    last = _metrics(job.at("pretrain"))[-1]
    yield "pretrain", {"in": f"{last['tokens']:,} tokens", "out": f"{last['bits_per_byte']:.3f} bits per byte"}
    tuning = read_json(job.at("sft", "summary.json"))
    counts = count_conversations(_conversation_files(job))
    yield (
        "instruct",
        {"in": f"{counts_in_and_out(near)[1]:,} documents", "out": f"{sum(counts.values()):,} conversations"},
    )
    before, after = tuning["held_out_loss_before"], tuning["held_out_loss_after"]
    yield (
        "sft",
        {"in": f"{sum(counts.values()):,} conversations", "out": f"held-out loss {before:.3f} → {after:.3f}"},
    )


def _glance(job: Job, evaluation: dict[str, Any]) -> dict[str, str]:
    flow = dict(_flow(job))
    base, tuned = evaluation["models"]
    replies = evaluation["replies"]
    return {
        "documents kept": flow["near dedup"]["out"].removesuffix(" documents"),
        "documents and pages read": flow["extract"]["in"],
        "tokens of pre-training": flow["pretrain"]["in"].removesuffix(" tokens"),
        "bits per byte, base": f"{evaluation['all']['bits_per_byte'][base]:.3f}",
        "reply loss, base": f"{replies[base]['loss']:.3f}",
        "reply loss, tuned": f"{replies[tuned]['loss']:.3f}",
        "tuned replies that stop": f"{replies[tuned]['stopped']} of {replies[tuned]['written']}",
    }


def _mixture(job: Job) -> Iterator[str]:
    lines = _lines(job.at("doremi", "weights_history.jsonl"))
    names = sorted(lines[0]["weights"])
    for key, title in (("weights", "Weights at each step of the proxy"), ("average", "Their running average")):
        series = {name: _thin([(float(line["step"]), line[key][name]) for line in lines]) for name in names}
        yield html.card(html.heading(title), html.line_chart(series, "steps", "weight", from_zero=True))
    run = plan_run(job.at("shards"), str(job.at("doremi", "mixture.yaml")), tokens=float(job.tokens))
    yield html.heading("What the averaged weights mean for the run")
    yield html.card(html.table(run.domain_rows()))
    search = read_json(job.at("doremi", "manifest.json"))["result"]["domains"]
    note = "Low and high bound the averaged weight at 95 %, for the noise of the rows drawn, with one seed."
    yield html.card(html.table(search), html.paragraph(note, soft=True))


def _training(job: Job) -> Iterator[str]:
    base, tuned = _metrics(job.at("pretrain")), _metrics(job.at("sft"))
    domains = sorted({name for line in base for name in line if name.startswith("bits_per_byte/")})
    series = {
        name.split("/", 1)[1]: _thin([(line["step"], line[name]) for line in base if name in line])
        for name in domains
    }
    yield html.card(html.heading("Pre-training"), html.line_chart(series, "steps", "bits per byte of the batch"))
    loss = {"loss of replies": _thin([(line["step"], line["loss"]) for line in tuned])}
    yield html.card(html.heading("Tuning"), html.line_chart(loss, "steps", "nats per reply token"))


def _instructions(job: Job) -> Iterator[str]:
    counts = count_conversations(_conversation_files(job))
    rows = [(name, (("s0", float(number)),), f"{number:,}") for name, number in counts.items()]
    samples = []
    seen: set[str] = set()
    for row in read_conversations(_conversation_files(job)):
        if row["source"] not in seen:
            seen.add(row["source"])
            turns = "\n\n".join(f"{message['role']}: {message['content']}" for message in row["messages"])
            samples.append(html.details(f"{row['source']}: a sample", html.quotation(turns, 1200)))
    yield html.card(html.bars(rows), *samples)
    if job.base_url is None:
        yield html.paragraph(
            "No endpoint was given: nothing was generated or evolved by another model.", soft=True
        )


def _evaluation(job: Job, evaluation: dict[str, Any]) -> Iterator[str]:
    base, tuned = evaluation["models"]
    rows = [
        {
            "domain": name,
            "held-out documents": entry["documents"],
            "base, bits per byte": entry["bits_per_byte"][base],
            "tuned": entry["bits_per_byte"][tuned],
            "difference": entry["difference"][tuned],
        }
        for name, entry in [*evaluation["domains"].items(), ("all", evaluation["all"])]
    ]
    yield html.card(html.table(rows))
    replies = [
        {
            "model": model,
            "held-out conversations": entry["conversations"],
            "nats per reply token": entry["loss"],
            "replies that stop by themselves": entry["stopped_share"],
        }
        for model, entry in evaluation["replies"].items()
    ]
    yield html.heading("Template prompts about documents that neither saw in tuning")
    yield html.card(html.table(replies))


def _answers(job: Job, evaluation: dict[str, Any]) -> Iterator[str]:
    references = {
        row["id"]: row.get("reference") for row in _lines(job.at("evaluation_prompts.jsonl")) if "reference" in row
    }
    for row in evaluation["answers"]:
        parts = [html.heading(row["id"]), html.quotation(row["prompt"])]
        for model, answer in row["answers"].items():
            ending = "stopped by itself" if answer["stopped"] else "cut at the limit"
            parts += [html.paragraph(f"{model}, {ending}:", soft=True), html.quotation(answer["text"])]
        if references.get(row["id"]):
            parts += [html.paragraph("reference:", soft=True), html.quotation(str(references[row["id"]]))]
        yield html.card(*parts)


def _conversation_files(job: Job) -> list[Path]:
    found = [job.at("instruct", "template", "conversations.jsonl"), job.at("instruct", "seeds.jsonl")]
    for name in ("generate_en", "generate_zh", "evolve"):
        path = job.at("instruct", name, "conversations.jsonl")
        if path.exists():
            found.append(path)
    return found


def _metrics(run: Path) -> list[dict[str, Any]]:
    return _lines(run / "metrics.jsonl")


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _thin(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most `_POINTS` points, the last one among them."""
    every = -(-len(points) // _POINTS)
    return points[::-1][::every][::-1] if every > 1 else points
