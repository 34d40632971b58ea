"""The main job on a small input of the user's own: whole, killed and resumed, refused, reported."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import polars as pl
import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from recipes.data_stages import inputs_by_domain

REPOSITORY = Path(__file__).parents[2]
WORDS = ["river", "stone", "window", "garden", "letter", "engine", "market", "winter", "music", "bridge"]
SMALL = {"vocabulary-size": 600, "model": "tiny", "tokens": 6000, "proxy-steps": 3, "epochs": 1}
SMALL |= {"conversations-per-task": 8, "workers": 1, "threads": 1}
WEIGHTS = ("pretrain/model", "sft/model")


def write_inputs(directory: Path) -> list[str]:
    draw = random.Random(1)

    def sentence() -> str:
        first, second, third = draw.sample(WORDS, 3)
        return f"The {first} of the {second} was with a {third} that we have."

    def story(number: int) -> str:
        return "\n".join(" ".join(sentence() for _ in range(4)) for _ in range(6)) + f"\nEnd of part {number}."

    pages = directory / "pages"
    pages.mkdir(parents=True)
    for number in range(24):
        body = "".join(f"<p>{line}</p>" for line in story(number).split("\n"))
        html = f"<html><head><title>Page {number}</title></head><body><article>{body}</article></body>"
        (pages / f"{number:02d}.html").write_text(f"{html}</html>", "utf-8")
    rows = [{"id": "x", "text": "tiny"}]
    rows += [{"id": f"row-{number}", "text": story(100 + number)} for number in range(24)]
    (directory / "stories.jsonl").write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    rules = directory / "rules.yaml"
    rule = "{name: few_words, signal: word_count, comparison: '>=', threshold: 20}"
    rules.write_text(f"name: mine\nsource: this test\nrules:\n  - {rule}\n", "utf-8")
    return ["--input", f"web={pages}", "--input", f"stories={directory / 'stories.jsonl'}", "--rules", str(rules)]


def command(output: Path, inputs: list[str]) -> list[str]:
    program = str(REPOSITORY / "recipes" / "zero_to_one.py")
    options = [part for name, value in SMALL.items() for part in (f"--{name}", str(value))]
    return [sys.executable, program, "-o", str(output), *inputs, *options, "--json"]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPOSITORY)}


def run(output: Path, inputs: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(output, inputs), capture_output=True, text=True, env=environment(), timeout=280)


def products(output: Path) -> dict[str, bytes]:
    """Documents, ledgers, clusters, shards and weights: what must be the same after any interruption."""
    patterns = ("*/documents/*.parquet", "*/*/documents/*.parquet", "*/*/ledger/*.parquet", "*/clusters/*.parquet")
    files = [path for pattern in patterns for path in output.glob(pattern)]
    files += [path for path in (output / "shards").rglob("*") if path.suffix in (".bin", ".npy", ".parquet")]
    files += [output / name / "model.safetensors" for name in WEIGHTS]
    files += [output / "doremi" / "mixture.yaml", output / "tokenizer" / "tokenizer.json"]
    return {str(path.relative_to(output)): path.read_bytes() for path in files if ".state" not in path.parts}


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], dict]:
    directory = tmp_path_factory.mktemp("job")
    inputs = write_inputs(directory / "input")
    result = run(directory / "out", inputs)
    assert result.returncode == 0, result.stderr[-3000:]
    return directory / "out", inputs, json.loads(result.stdout)


def test_every_stage_reports(job: tuple[Path, list[str], dict]) -> None:
    output, _, summary = job
    stages = {row["stage"]: row for row in summary["stages"]}
    assert stages["extract"]["in"] == "49"
    ledger = pl.read_parquet(output / "filter" / "all" / "ledger" / "*.parquet")
    assert ledger.height == 49
    removed = pl.read_parquet(output / "filter" / "all" / "removed" / "*.parquet")
    assert removed["id"].to_list() == ["x"]
    shards = json.loads((output / "shards" / "manifest.json").read_text("utf-8"))
    assert set(shards["splits"]["train"]) == {"web", "stories"}
    evaluation = json.loads((output / "evaluation" / "evaluation.json").read_text("utf-8"))
    base, tuned = evaluation["models"]
    assert evaluation["replies"][tuned]["loss"] < evaluation["replies"][base]["loss"]


def test_models_open_with_transformers(job: tuple[Path, list[str], dict]) -> None:
    for name in WEIGHTS:
        model = AutoModelForCausalLM.from_pretrained(job[0] / name)
        tokenizer = AutoTokenizer.from_pretrained(job[0] / name)
        assert model.get_input_embeddings().weight.shape[0] >= len(tokenizer)
        messages = [{"role": "user", "content": "hello"}]
        prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        assert prompt == "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"


def test_a_second_run_changes_nothing(job: tuple[Path, list[str], dict]) -> None:
    output, inputs, _ = job
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*.parquet")}
    assert run(output, inputs).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*.parquet")} == before


def test_killed_anywhere_it_ends_with_the_same_bytes(job: tuple[Path, list[str], dict], tmp_path: Path) -> None:
    output, inputs, summary = job
    total = sum(row["seconds"] for row in summary["stages"])
    draw = random.Random(5)
    for _ in range(3):
        process = subprocess.Popen(
            command(tmp_path / "out", inputs),
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(4 + draw.random() * total / 2)
        process.send_signal(signal.SIGKILL)
        process.wait()
    result = run(tmp_path / "out", inputs)
    assert result.returncode == 0, result.stderr[-3000:]
    assert products(tmp_path / "out") == products(output)


def test_other_options_are_refused(job: tuple[Path, list[str], dict]) -> None:
    output, inputs, _ = job
    result = run(output, [*inputs, "--seed", "3"])
    assert result.returncode == 1
    assert result.stderr.strip().splitlines() == [
        f"error: {output}: holds a job with seed 0, not 3; choose another -o"
    ]


def test_the_report_is_self_contained_html(job: tuple[Path, list[str], dict]) -> None:
    text = (job[0] / "report.html").read_text("utf-8")
    links: list[str] = []
    opened: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            links.extend(value for name, value in attributes if name in ("src", "href") and value)
            if tag not in ("meta", "link", "line", "polyline", "br", "img"):
                opened.append(tag)

        def handle_endtag(self, tag: str) -> None:
            if tag not in ("line", "polyline"):
                assert opened.pop() == tag

    Reader().feed(text)
    assert opened == []
    assert all(link.startswith(("#", "data:")) for link in links)
    assert "<script" not in text


def test_domains_of_inputs(tmp_path: Path) -> None:
    strange = tmp_path / "a=b.jsonl"
    strange.write_text("{}")
    assert inputs_by_domain(["news=one.warc.gz", "news=two.warc.gz", "three.parquet", str(strange)]) == {
        "news": ["one.warc.gz", "two.warc.gz"],
        "auto": ["three.parquet", str(strange)],
    }
