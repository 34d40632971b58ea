"""What-if, explain and report over a ledger of a million rows, on one core.

    python -m tests.benchmarks.what_if [--rows 1000000] [--verbs what-if,write,explain,report]

Makes a ledger like that of `corpus filter --rules auto` (signals drawn at random, decided by the real rules), then
runs each verb in a process of its own that may use one core, and prints seconds (start of Python included) and
peak memory. The documents beside it hold short texts: what-if reads none of them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from corpus.core.engine import UnitOutput
from corpus.core.files import write_json
from corpus.filtering.edits import EDITED_OUT, EDITS
from corpus.filtering.filter import count_decision
from corpus.filtering.ledger import ABOUT
from corpus.filtering.rule_files import load_rule_sets
from corpus.filtering.rules import decide, to_json
from corpus.filtering.signals import EDITED_WORDS, SIGNALS, SIGNALS_VERSION, compute_signals
from tests.benchmarks.processes import run_alone
from tests.benchmarks.results import Headline, at_most, leave_headlines, without_goal

ROWS = 1_000_000
PART_ROWS = 100_000
_FEW = 20_000  # rows drawn at once: as many as a filter decides at once, about


def draw_rows(first: int, count: int, kinds: dict[str, pl.DataType]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(columns about documents, signals); most documents pass most rules."""
    draw = np.random.default_rng(first)
    names = [f"{number:032x}" for number in draw.permutation(count) * 7919 + first * 7919]
    languages = draw.choice(["en", "zh", "de"], count, p=[0.7, 0.2, 0.1])
    about = pl.DataFrame(
        {
            "id": names,
            "url": [f"https://site-{number % 997}.example/{name[-12:]}" for number, name in enumerate(names)],
            "domain": [f"domain-{number}" for number in draw.integers(0, 50, count)],
            "lang": languages,
            "lang_score": draw.beta(9, 1, count),
        }
    )
    columns = []
    for name, kind in kinds.items():
        signal = SIGNALS[name.rpartition(":")[2]]
        share = signal.unit in ("fraction", "ratio")
        values = draw.beta(1, 150, count) if share else draw.lognormal(6, 1, count)
        if signal.name in ("lorem_ipsum", "curly_brackets", "javascript_lines", "policy_lines"):
            values = draw.poisson(0.02, count).astype(float)
        if signal.name in ("alphabetic_word_fraction", "terminal_line_fraction"):
            values = draw.beta(9, 1, count)
        if signal.name == "mean_word_length":
            values = np.where(languages == "zh", draw.normal(1.7, 0.3, count), draw.normal(4.8, 0.6, count))
        columns.append(pl.Series(name, values).cast(kind))
    return about, pl.DataFrame(columns)


def make_ledger(folder: Path, rows: int) -> None:
    """A filter's output for `auto`: ledger, documents, removed and manifest."""
    rule_sets = load_rule_sets(["auto"])
    plain = dict(compute_signals(["one text"]).schema)
    edited = {f"{s.name}:{name}": kind for s in rule_sets if s.edits for name, kind in plain.items()}
    edited |= {f"{s.name}:{EDITED_WORDS.name}": pl.Float64() for s in rule_sets if s.edits}
    edits = [f"{s.name}:edit.{edit.name}" for s in rule_sets for edit in s.edits]
    dropping = [s.name for s in rule_sets if any(EDITS[edit.name].keeps for edit in s.edits)]
    gone = [pl.lit("A line that an edit took out.").alias(f"{name}:{EDITED_OUT}") for name in dropping]
    counts: dict[str, int] = {}
    reasons: dict[str, int] = {}
    for part, start in enumerate(range(0, rows, PART_ROWS)):
        with UnitOutput(folder, part) as output:
            for first in range(start, min(rows, start + PART_ROWS), _FEW):
                size = min(_FEW, rows - first, start + PART_ROWS - first)
                about, signals = draw_rows(first, size, plain | edited)
                english = about["lang"] == "en"
                null = [pl.when(pl.lit(english)).then(pl.col(name)).alias(name) for name in edited]
                signals = signals.with_columns(null)
                decision = decide(signals.with_columns(about["lang_score"]), rule_sets, about["lang"])
                removed = pl.Series(np.random.default_rng(first).integers(0, 4, size)).cast(pl.Int64)
                taken = pl.DataFrame([removed.alias(name) for name in edits])
                tables = [about, decision, taken.with_columns(gone), signals]
                output.write("ledger", pl.concat(tables, how="horizontal"))
                text = pl.lit("Some words of a text that nobody reads. ").repeat_by(20).list.join("")
                documents = about.select("id", text.alias("text"), "url", "domain", *ABOUT[3:])
                kept = decision["kept"]
                output.write("documents", documents.filter(kept))
                output.write("removed", documents.with_columns(decision.drop("kept")).filter(~kept))
                count_decision(decision, taken, output)
        for name, number in output.counts.items():
            counts[name] = counts.get(name, 0) + number
        for name, number in output.reasons.items():
            reasons[name] = reasons.get(name, 0) + number
    parameters = {"rules": to_json(rule_sets), "languages": [], "signals_version": SIGNALS_VERSION}
    about_all = {"command": "corpus filter", "version": "", "inputs": [], "seconds": 0}
    write_json(
        folder / "manifest.json", {**about_all, "parameters": parameters, "counts": counts, "reasons": reasons}
    )


def measure(arguments: list[str]) -> dict[str, float]:
    """Seconds and peak memory of a command on one core."""
    command = ["taskset", "-c", min(os.sched_getaffinity(0)), sys.executable, "-m", "corpus.cli", *arguments]
    used = run_alone(command, {"POLARS_MAX_THREADS": "1"})
    if used.status:
        raise SystemExit(f"failed: {' '.join(map(str, command))}: {used.error[-300:]}")
    return {
        "seconds": round(used.seconds, 2),
        "cpu_seconds": round(used.cpu_seconds, 2),
        "peak_megabytes": round(used.megabytes),
    }


def headlines(used: dict[str, dict[str, float]]) -> list[Headline]:
    """The numbers for the summary; only what-if in seconds has a goal."""
    if not {"what-if", "write"} <= set(used):
        return []
    first, written = used["what-if"], used["write"]
    return [
        at_most("a million rows decided again, one core, s", first["seconds"], 5, "{:.1f}"),
        without_goal("the same, written with -o, s", written["seconds"], "{:.1f}"),
        without_goal("memory of both, MB", max(one["peak_megabytes"] for one in (first, written)), "{:,.0f}"),
    ]


def main() -> None:
    """Make the ledger and time the verbs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--verbs", default="start,what-if,write,explain,report")
    parser.add_argument("--folder", type=Path, help="where to make the ledger, or where an earlier run made it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = options.folder or Path(name) / "filtered"
        if not (folder / "manifest.json").exists():
            make_ledger(folder, options.rows)
        some = pl.scan_parquet(folder / "ledger" / "*.parquet").select("id").tail(1).collect().item()
        change = [
            "filter",
            str(folder / "ledger"),
            "--set",
            "fineweb.newlines=0.25",
            "--set",
            "gopher.few_words=30",
        ]
        commands = {
            "start": ["filter", "--help"],
            "what-if": change,
            "write": [*change, "-o", str(Path(name) / "again"), "--workers", "1"],
            "explain": ["explain", some, str(folder)],
            "report": ["report", str(folder), "-o", str(Path(name) / "report.html")],
        }
        used = {}
        for verb in options.verbs.split(","):
            used[verb] = measure(commands[verb])
            print(json.dumps({"verb": verb, "rows": options.rows, **used[verb]}), flush=True)
        if options.rows == ROWS:
            leave_headlines("what-if", headlines(used))


if __name__ == "__main__":
    main()
