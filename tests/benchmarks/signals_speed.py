"""What the signals cost: against datatrove's filters, against plain Python with jieba, and in memory.

    python -m tests.benchmarks.signals_speed --datatrove-python PATH

One core (the process binds itself and its children to one), processor seconds, the same documents for both sides
of a comparison, in the same run. Without `--datatrove-python` that comparison is left out. Writes its section of
RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import jieba
import polars as pl

from corpus.filtering.filter import filter_documents, measure
from corpus.filtering.rule_files import load_rule_sets
from corpus.filtering.rules import RuleSet, decide
from tests.benchmarks.inputs import CHINESE, DATA, ENGLISH, domains, pieces
from tests.benchmarks.results import (
    Headline,
    at_least,
    leave_headlines,
    made_with,
    table,
    without_goal,
    write_section,
)
from tests.corpus.plain_signals import plain_signals

PEER = Path(__file__).with_name("datatrove_peer.py")
ONE_THREAD = dict.fromkeys(("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "RAYON_NUM_THREADS"), "1")
PIECE = 2_300  # characters
GIANT = 200 * 10**6  # bytes
_MEMORY = """
import resource, sys
from pathlib import Path
from corpus.core.errors import ZeroToOneError
from corpus.filtering.filter import filter_documents
try:
    filter_documents([sys.argv[1]], Path(sys.argv[2]), ["auto"], workers=1)
except ZeroToOneError as error:
    if "no documents left" not in str(error):
        raise
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def bind_to_one_core() -> None:
    """Start this program again with one thread for each library, unless it was, and stay on one core."""
    if any(os.environ.get(name) != value for name, value in ONE_THREAD.items()):
        command = [sys.executable, "-m", "tests.benchmarks.signals_speed", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, **ONE_THREAD})
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def seconds(work: Callable[[], object]) -> float:
    """Processor seconds of a call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def judged(frame: pl.DataFrame, sets: list[RuleSet]) -> pl.DataFrame:
    """Edits, signals and decisions of a set, as `corpus filter` has them, in memory."""
    _, signals, _ = measure(frame, sets)
    return decide(signals, sets, frame["lang"])


def filtered(frame: pl.DataFrame, rules: str) -> float:
    """Processor seconds of `corpus filter` from Parquet to Parquet, one worker."""
    with tempfile.TemporaryDirectory() as directory:
        given = Path(directory) / "documents.parquet"
        frame.write_parquet(given, row_group_size=20_000)
        return seconds(lambda: filter_documents([given], Path(directory) / "out", [rules], workers=1))


def datatrove_seconds(python: str, frame: pl.DataFrame) -> dict[str, float]:
    """What datatrove takes for its chain on the documents, and its version."""
    with tempfile.TemporaryDirectory() as directory:
        given, taken = Path(directory) / "documents.parquet", Path(directory) / "seconds.json"
        frame.write_parquet(given)
        subprocess.run([python, str(PEER), "time", given, taken], check=True)
        return dict(json.loads(taken.read_text("utf-8")))


def plain_chinese(frame: pl.DataFrame) -> None:
    """The signals in plain Python, words by jieba as it is."""
    for text in frame["text"]:
        plain_signals(text, [word for word in jieba.cut(text) if not word.isspace()])


def megabytes(frame: pl.DataFrame) -> float:
    """Peak memory in MB of a process that filters the documents."""
    with tempfile.TemporaryDirectory() as directory:
        given = Path(directory) / "documents.parquet"
        frame.write_parquet(given, row_group_size=20_000)
        command = [sys.executable, "-c", _MEMORY, str(given), str(Path(directory) / "out")]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        return int(done.stdout) / 1024


def giant(frame: pl.DataFrame) -> pl.DataFrame:
    """One document of 200 MB: the documents, one after the other, over and over."""
    text = "\n\n".join(frame["text"])
    times = GIANT // len(text.encode()) + 1
    return pl.DataFrame({"id": ["giant"], "text": [(text * times).encode()[:GIANT].decode("utf-8", "ignore")]})


def english_rows(frame: pl.DataFrame, peers: pl.DataFrame, python: str | None) -> tuple[list[list[object]], str]:
    """Rows for the English rules, and datatrove's version."""
    sets = load_rule_sets(["fineweb"])
    frame = frame.with_columns(lang=pl.lit("en"), lang_score=pl.lit(1.0))
    ours = {
        "`fineweb` with all signals, in memory": frame.height / seconds(lambda: judged(frame, sets)),
        "`corpus filter --rules fineweb`, Parquet to Parquet": frame.height / filtered(frame, "fineweb"),
    }
    rows: list[list[object]] = [[name, f"{rate:,.0f}", "", ""] for name, rate in ours.items()]
    if python is None:
        return rows, ""
    timed = datatrove_seconds(python, peers)
    for name, told in (("all", "all rules computed"), ("stopping", "stopping at the first failure")):
        rate = peers.height / timed[name]
        first, second = (f"{one / rate:.1f} ×" for one in ours.values())
        rows.append([f"datatrove's chain, {told}", f"{rate:,.1f}", first, second])
    return rows, str(timed["version"])


def chinese_rows(frame: pl.DataFrame) -> list[list[object]]:
    """Rows for Chinese: ours, and plain Python on every tenth document."""
    sets = load_rule_sets(["fineweb2-zh"])
    frame = frame.with_columns(lang=pl.lit("zh"), lang_score=pl.lit(1.0))
    ours = frame.height / seconds(lambda: judged(frame, sets))
    tenth = frame.gather_every(10)
    plain = tenth.height / seconds(lambda: plain_chinese(tenth))
    return [
        ["`fineweb2-zh` with all signals, in memory", f"{ours:,.0f}", "", ""],
        ["the same signals in plain Python, words by `jieba.cut`", f"{plain:,.0f}", f"{ours / plain:.1f} ×", ""],
    ]


def headlines(rows: list[list[object]]) -> list[Headline]:
    """The ratios that have a goal, from the rows of the table."""
    goals = {"datatrove's chain, all": 60, "the same signals in plain Python": 5}
    ratios = {str(row[0]): float(str(row[2]).split()[0]) for row in rows if row[2]}
    return [
        at_least(f"speed beside {name}", ratio, goal, "{:.1f} ×")
        if goal
        else without_goal(name, ratio, "{:.1f} ×")
        for name, ratio in ratios.items()
        for goal in [next((goal for start, goal in goals.items() if name.startswith(start)), 0)]
    ]


def main() -> None:
    """Measure and write the section of RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--datatrove-python", metavar="PATH")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--documents", type=int, default=10_000)
    parser.add_argument("--peer-documents", type=int, default=500)
    parser.add_argument("--skip-memory", action="store_true", help="leave the two runs for memory out")
    options = parser.parse_args()
    bind_to_one_core()
    jieba.setLogLevel(logging.ERROR)
    jieba.initialize()
    texts = domains(options.data, ENGLISH[:4], 10**9).with_columns(id=pl.col("domain") + "/" + pl.col("id"))
    english = pieces(texts, PIECE).sample(options.documents, seed=0, shuffle=True)
    chinese = pieces(domains(options.data, CHINESE[:3], 10**9), 800).sample(
        options.documents, seed=0, shuffle=True
    )
    warm_up = seconds(
        lambda: [judged(_with_language(frame.head(1)), load_rule_sets(["auto"])) for frame in (english, chinese)]
    )
    rows, version = english_rows(english, english.head(options.peer_documents), options.datatrove_python)
    rows += chinese_rows(chinese)
    leave_headlines("signals", headlines(rows))
    sizes = [f"{frame['text'].str.len_bytes().mean():,.0f}" for frame in (english, chinese)]
    body = [
        made_with(
            "python -m tests.benchmarks.signals_speed --datatrove-python PATH",
            ["numba", "polars", "jieba"],
            {"datatrove": version} if version else {},
        ),
        f"\nOne core; documents per processor second; {english.height:,} English documents of {sizes[0]} bytes "
        f"on average ({options.peer_documents:,} of them for datatrove, in memory), {chinese.height:,} Chinese "
        f"ones of {sizes[1]}. Before the first document, {warm_up:.1f} s go into loading compiled code and "
        "dictionary.\n",
        table(["", "documents/s", "ours in memory", "ours, Parquet to Parquet"], rows),
    ]
    if not options.skip_memory:
        ordinary = megabytes(english.drop("domain", strict=False))
        large = megabytes(giant(texts))
        body.append(
            f"\nPeak memory of a process of `corpus filter --rules auto`: {ordinary:,.0f} MB on the English "
            f"documents, {large:,.0f} MB on one document of 200 MB."
        )
    print("\n".join(body))
    write_section("Signals: speed and memory", "\n".join(body))


def _with_language(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(lang=pl.lit("en"), lang_score=pl.lit(1.0))


if __name__ == "__main__":
    main()
