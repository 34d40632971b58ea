"""The four programs, run as their console scripts run them, and small inputs that they take."""

from __future__ import annotations

import importlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import polars as pl

from tests.corpus.language_models import write_arpa
from tests.corpus.web import html, http, pack, record

ROOT = Path(__file__).parents[1]
PROGRAMS = ("corpus", "instruct", "mixtures", "train")
ONE = ["--workers", "1"]
SMALL = ["--row-length", "64", "--threads", "1"]
CLASSIFIER = ["--dimensions", "4", "--buckets", "100", "--epochs", "1"]


@dataclass(frozen=True)
class Outcome:
    """How a program ended."""

    status: int
    out: str
    err: str

    @property
    def message(self) -> str:
        """The one line that says what is wrong."""
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.err
        return lines[0].removeprefix("error: ")


def call(program: str, *arguments: object) -> Outcome:
    """Run a program's entry point in this process; an exception that it lets out fails the test."""
    out, err = io.StringIO(), io.StringIO()
    main = importlib.import_module(f"{program}.cli").main
    status = 0
    with (
        redirect_stdout(out),
        redirect_stderr(err),
        mock.patch.object(sys, "argv", [program, *map(str, arguments)]),
    ):
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
    return Outcome(status, out.getvalue(), err.getvalue())


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a program as a process group of its own, as a terminal does."""
    command = [sys.executable, "-m", f"{program}.cli", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command,
        env=environment,
        text=True,
        stdout=pipe,
        stderr=pipe,
        start_new_session=True,
        preexec_fn=_heed_interrupts,
    )


def _heed_interrupts() -> None:
    """What runs in a shell's background is started deaf to Ctrl-C, and its children with it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def documents(count: int) -> list[dict[str, str]]:
    """Documents of two domains that the rule set c4 keeps and the templates can use."""
    draw = random.Random(count)
    words = ["river", "runs", "under", "old", "trees", "where", "foxes", "sleep", "and", "birds", "sing", "near"]
    rows = []
    for number in range(count):
        sentences = [" ".join(draw.choices(words, k=12)).capitalize() + "." for _ in range(6)]
        first = f"function number{number}\n\nThe function number{number} gives the value of {number} and no other."
        text = f"{first}\n" + "\n".join(sentences)
        name = {"id": f"d{number}", "url": f"https://example.org/{number}", "domain": "ab"[number % 2]}
        rows.append({**name, "text": text, "lang": "en"})
    return rows


def write_jsonl(path: Path, rows: list[object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def conversations(count: int) -> list[dict[str, object]]:
    return [
        {
            "id": f"c{number}",
            "messages": [
                {"role": "user", "content": f"What is {number}?"},
                {"role": "assistant", "content": f"It is {number}."},
            ],
        }
        for number in range(count)
    ]


def crawl(pages: int, form: str = "plain") -> bytes:
    """A WARC file of different pages."""
    rows = documents(pages)
    texts = [html(f"Page {number}", row["text"] * 2) for number, row in enumerate(rows)]
    return pack([record(number, http(text.encode())) for number, text in enumerate(texts)], form)


def make_all(folder: Path) -> Path:
    """Good input and output of every verb: docs, warc, chats, filtered, models, tokenizer, shards."""
    pl.DataFrame(documents(60)).write_parquet(folder / "docs.parquet")
    pl.DataFrame(documents(60)).write_parquet(folder / "wanted.parquet")
    pl.DataFrame(documents(61)).write_parquet(folder / "other.parquet")
    write_jsonl(folder / "docs.jsonl", [*documents(60)])
    write_jsonl(folder / "conversations.jsonl", [*conversations(40)])
    write_jsonl(folder / "scored.jsonl", [{**row, "scores": {"quality": 1}} for row in conversations(40)])
    write_judged(folder)
    (folder / "pages.warc").write_bytes(crawl(20))
    write_arpa(folder / "tiny.arpa")
    docs, shards, one = folder / "docs.parquet", folder / "shards", ["--workers", 1]
    chats = folder / "conversations.jsonl"
    small = ["--row-length", 64, "--threads", 1]
    steps: list[list[object]] = [
        ["corpus", "filter", docs, "-o", folder / "filtered", "--rules", "c4", *one],
        ["instruct", "clean", chats, "-o", folder / "cleaned", "--max-tokens", 50, *one],
        ["corpus", "quality", "train", *kinds(folder), "-o", folder / "classifier", *CLASSIFIER, *one],
        ["corpus", "tokenizer", docs, "-o", folder / "tokenizer", "--vocabulary-size", 300],
        ["corpus", "tokenize", docs, "-o", shards, "--tokenizer", folder / "tokenizer", "--held-out", 0.1, *one],
        ["train", "pretrain", shards, "-o", folder / "base", "--model", "tiny", "--tokens", 2048, *small],
        ["train", "sft", chats, "--base", folder / "base", "-o", folder / "tuned", "--epochs", 1, *small],
    ]
    for program, *arguments in steps:
        outcome = call(str(program), *arguments)
        assert outcome.status == 0, outcome.err
    return folder


def write_judged(folder: Path) -> None:
    """Questions and a judge's replies to two systems, in both orders."""
    write_jsonl(folder / "questions.jsonl", [{"id": number, "text": f"What is {number}?"} for number in range(40)])
    orders = (["new", "old"], "8 6"), (["old", "new"], "6 8")
    replies = [{"id": n, "systems": systems, "text": text} for n in range(40) for systems, text in orders]
    write_jsonl(folder / "replies.jsonl", [*replies])


def kinds(folder: Path) -> list[object]:
    """Options that name two kinds of documents in a folder."""
    return ["--positive", folder / "wanted.parquet", "--negative", folder / "other.parquet"]


def asking(good: Path) -> list[object]:
    """Options that name the server of the folder, if it has one."""
    address = good / "endpoint"
    url = address.read_text() if address.exists() else ""
    return ["--model", "m", "--base-url", url, "--cache", good / "requests.sqlite"]


def writing_verbs(good: Path) -> dict[str, list[object]]:
    """Every verb that writes, without its output."""
    short = [*SMALL, "--epochs", "1"]
    search = ["--steps", "2", "--row-length", "32", "--batch-rows", "4", "--threads", "1"]
    docs, chats = good / "docs.parquet", good / "conversations.jsonl"
    return {
        "extract": ["corpus", "extract", good / "pages.warc", *ONE],
        "filter": ["corpus", "filter", docs, "--rules", "c4", *ONE],
        "what_if": ["corpus", "filter", good / "filtered" / "ledger", "--set", "c4.few_sentences=4", *ONE],
        "dedup": ["corpus", "dedup", docs, *ONE],
        "dedup_line": ["corpus", "dedup", docs, "--method", "line", *ONE],
        "dedup_bloom": ["corpus", "dedup", docs, "--method", "bloom", *ONE],
        "substring": ["corpus", "dedup", docs, "--method", "substring", *ONE],
        "train": ["corpus", "quality", "train", *kinds(good), *CLASSIFIER, *ONE],
        "score": ["corpus", "quality", "score", docs, "--model", good / "classifier", *ONE],
        "perplexity": ["corpus", "quality", "perplexity", docs, "--model", f"en={good / 'tiny.arpa'}", *ONE],
        "redact": ["corpus", "redact", docs, *ONE],
        "decontaminate": ["corpus", "decontaminate", docs, "--against", good / "wanted.parquet", *ONE],
        "tokenizer": ["corpus", "tokenizer", docs, "--vocabulary-size", "300"],
        "tokenize": ["corpus", "tokenize", docs, "--tokenizer", good / "tokenizer", *ONE],
        "report": ["corpus", "report", good / "filtered"],
        "template": ["instruct", "template", docs, *ONE],
        "template_table": ["instruct", "template", docs, "--templates", "title", "--columns", "title=id", *ONE],
        "convert": ["instruct", "convert", chats, "--to", "alpaca"],
        "judge": ["instruct", "judge", good / "questions.jsonl", "--replies", good / "replies.jsonl"],
        "measure": ["instruct", "score", chats, "--measure", "length"],
        "select": ["instruct", "select", good / "scored.jsonl", "--by", "quality"],
        "clean": ["instruct", "clean", chats, "--max-tokens", "50", *ONE],
        "decontaminate_chats": ["instruct", "decontaminate", chats, "--against", good / "wanted.parquet", *ONE],
        "evolve": ["instruct", "evolve", chats, "--rounds", "2", *asking(good)],
        "answer": ["instruct", "answer", chats, *asking(good)],
        "translate": ["instruct", "translate", chats, "--to", "zh", *asking(good)],
        "report_chats": ["instruct", "report", good / "cleaned"],
        "plan": ["mixtures", "plan", good / "shards", "--tokens", "10K"],
        "doremi": ["mixtures", "doremi", good / "shards", *search],
        "pretrain": ["train", "pretrain", good / "shards", "--model", "tiny", "--tokens", "600", *SMALL],
        "sft": ["train", "sft", chats, "--base", good / "base", *short],
        "evaluate": ["train", "evaluate", good / "tuned", "--replies", "1", "--maximum-new-tokens", "2"],
    }


WRITING = list(writing_verbs(Path()))
FILES = ("report", "report_chats", "convert", "plan")


def kill_at_stages(command: list[str], output: Path, stages: Sequence[str]) -> None:
    """Run a command once for each stage, killed as soon as a file of the stage's pattern is there."""
    for stage in stages:
        process = start(*command)
        deadline = time.monotonic() + 120
        while not list(output.glob(stage)) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
