"""The verb `instruct judge`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from corpus.core import options
from corpus.core.console import log, print_summary
from corpus.core.output import Manifest
from instruct.commands import options as shared
from instruct.costs import Tally, money, summary_rows
from instruct.estimate import print_estimate
from instruct.judge import JudgeOptions, estimate_judge
from instruct.judge import judge as run_judge
from instruct.judge_inputs import Fields, parse_answers

_FIGURES = {
    "performance_ratio": "ratio %",
    "mean_rank": "rank",
    "beat_rate": "beat %",
    "win_rate": "win %",
    "length_controlled_win_rate": "LC win %",
    "inconsistent": "inconsist. %",
}


@shared.may_ask_a_model
def judge(
    questions: Annotated[str, typer.Argument(help="Questions (JSONL): id, category, text or turns.")],
    output: shared.Output,
    asking: shared.Asking | None,
    answers: Annotated[
        list[str] | None, typer.Option(help="NAME=FILE: a system and its answers by question id; repeatable.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="The system that the others are compared with; else the first.")
    ] = None,
    mode: Annotated[
        str, typer.Option(help="pairwise (scores from 1 to 10) or ranking (all systems in one call).")
    ] = "pairwise",
    replies: Annotated[
        str | None,
        typer.Option(help="Saved replies of a judge (question_id, systems as shown, text), asking none."),
    ] = None,
    lang: Annotated[str | None, typer.Option(help="Of the prompts: en or zh; else each question's own.")] = None,
    question_field: Annotated[str | None, typer.Option(help="Field of the questions' text.")] = None,
    answer_field: Annotated[str | None, typer.Option(help="Field of the answers' text.")] = None,
    id_field: Annotated[str | None, typer.Option(help="Field of the question's id, in all files.")] = None,
    category_field: Annotated[str, typer.Option(help="Field of the question's category.")] = "category",
    temperature: shared.Temperature = 0.0,
    max_tokens: shared.MaxTokens = 1024,
    resamples: Annotated[int, typer.Option(help="Resamples of the questions behind the intervals.")] = 1000,
    seed: shared.Seed = 0,
    strict: options.Strict = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Compare systems by a judge that sees both orders: performance ratio, beat rate, win rates, with intervals.

    Example: instruct judge questions.jsonl --answers a=a.jsonl --answers b=b.jsonl --model gpt-4o -o verdicts
    """
    fields = Fields(question_field, answer_field, id_field, category_field)
    how = JudgeOptions(mode, reference, lang, temperature, max_tokens, resamples, seed, fields)
    files = parse_answers(answers or [])
    if asking and asking.estimate:
        found = estimate_judge(questions, files, asking.endpoint, how, cache_path=asking.cache, strict=strict)
        print_estimate("judge", found, as_json=as_json)
        return
    manifest, tally = run_judge(
        questions,
        files,
        output,
        how,
        endpoint=asking.endpoint if asking else None,
        cache_path=asking.cache if asking else None,
        replies=replies,
        overwrite=overwrite,
        strict=strict,
    )
    _print(manifest, output, tally, as_json)


def _print(manifest: Manifest, output: Path, tally: Tally | None, as_json: bool) -> None:
    usage, sent = manifest["usage"], tally or Tally()
    summary: dict[str, Any] = {
        **manifest["counts"],
        "reference": manifest["parameters"]["reference"],
        "reasons": manifest["reasons"],
        "first_place_advantage": manifest["first_place_advantage"],
        "tokens": usage["prompt_tokens"] + usage["completion_tokens"],
        **summary_rows(manifest["costs"]),
        **({"spent": money(sent.cost, sent.price.currency)} if sent.price else {}),
        "requests_sent": sent.requests_sent,
        "from_cache": sent.from_cache,
        "requests_failed": usage["failed"],
        "output": str(output),
    }
    if as_json:
        print_summary("judge", {**summary, "results": manifest["results"]}, as_json=True)
    else:
        lines = [_line(row) for row in manifest["results"]]
        if lines:
            reference = manifest["parameters"]["reference"]
            print_summary(f"against {reference} (95 % intervals by question)", lines, as_json=False)
        print_summary("judge", summary, as_json=False)
    if usage["failed"]:
        log(f"{usage['failed']:,} requests failed; the same command asks them again, and nothing else")


def _line(row: Mapping[str, Any]) -> dict[str, object]:
    """A line of the table, which has to be narrow; `--json` and the manifest have all digits."""
    shown = {title: _interval(name, row[name]) for name, title in _FIGURES.items() if row[name]}
    outcomes = f"{row['wins']}/{row['ties']}/{row['losses']}"
    return {"system": row["system"], "category": row["category"], "win/tie/loss": outcomes, **shown}


def _interval(name: str, figure: Mapping[str, float]) -> str:
    """A figure with its interval, in per cent but for a rank."""
    if name == "mean_rank":
        texts = [f"{value:.2f}" for value in figure.values()]
    else:
        value, *edges = figure.values()
        texts = [f"{100 * value:.1f}", *(f"{100 * edge:.0f}" for edge in edges)]
    return texts[0] + (f" ({texts[1]}–{texts[2]})" if len(texts) == 3 else "")
