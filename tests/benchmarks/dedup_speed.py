"""MinHash dedup from Parquet to Parquet beside other tools; its growth with the corpus; its memory.

    python -m tests.benchmarks.dedup_speed --python minhash=PATH --python datatrove=PATH ... [--documents 20000]
    python -m tests.benchmarks.dedup_speed --growth
    python -m tests.benchmarks.dedup_speed --memory-bound

The first runs every tool on the same documents, each in its own environment (the names are those of `peers.py`;
tools without a path are left out) and in a process of its own, on one core, and on `--more` documents those that
are fast. Each command writes its section of RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from tests.benchmarks.dedup_growth import growth, memory_bound
from tests.benchmarks.exact_jaccard import BETWEEN_SPACES, LETTERS_AND_DIGITS, similar_pairs, word_ngrams
from tests.benchmarks.inputs import DATA
from tests.benchmarks.planted_duplicates import NGRAM, Planted, plant
from tests.benchmarks.processes import run_alone
from tests.benchmarks.results import Headline, at_least, leave_headlines, made_with, table, write_section

PEER, ROOT = Path(__file__).with_name("dedup_peers.py"), Path(__file__).parents[2]
ENVIRONMENTS = {
    "ours": "",
    "rensa": "minhash",
    "datasketch": "minhash",
    "text-dedup": "text-dedup",
    "data-juicer": "data-juicer",
    "datatrove": "datatrove",
}
FAST = ("ours", "rensa")
ONE_THREAD = dict.fromkeys(
    ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "RAYON_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"),
    "1",
)
ROUNDS, QUICK = 3, 20  # a tool runs so often if it takes less than so many seconds; the median counts
PARTNER, FOUND = 0.8, 0.85  # similarity of what may be removed, and of planted pairs that should be found
GOALS = {"datatrove": 100, "rensa": 4}


class Measured(NamedTuple):
    """A tool on the documents: processor seconds, seconds, megabytes, the ids that it keeps, its version."""

    processor: float
    seconds: float
    megabytes: float
    kept: frozenset[str]
    version: str


class Truth(NamedTuple):
    """What is known of the documents: rows that resemble another, planted pairs that should be found, ids."""

    alike: np.ndarray
    pairs: np.ndarray
    ids: list[str]


def truth(planted: Planted) -> Truth:
    """By the exact sets of all documents, words cut in both ways, to no tool's harm.

    A document resembles another where it does by one of them, a pair should be found where it should by both.
    """
    texts = planted.documents["text"].to_list()
    pairs = np.stack([planted.copies, planted.originals], axis=1)
    alike, found = np.empty(0, dtype=np.int64), np.ones(len(pairs), dtype=bool)
    for words_of in (LETTERS_AND_DIGITS, BETWEEN_SPACES):
        sets = word_ngrams(texts, NGRAM, words_of)
        alike = np.union1d(alike, similar_pairs(sets, PARTNER))
        found &= [sets.jaccard(i, j) >= FOUND for i, j in pairs.tolist()]
    return Truth(alike, pairs[found], planted.documents["id"].to_list())


def run_tool(name: str, python: str, given: Path, folder: Path) -> Measured:
    """One tool in a process of its own. Raises SystemExit where it fails."""
    own = {"PYTHONPATH": str(ROOT)} if name == "ours" else {}
    used = run_alone([python, "-P", PEER, name, given, folder], {**ONE_THREAD, **own})
    if used.status:
        last = (used.error.strip().splitlines() or ["no message"])[-1]
        raise SystemExit(f"{name}: exit status {used.status}: {last[:300]}")
    told = json.loads((folder / "told.json").read_text("utf-8"))
    kept = pl.read_parquet(folder / "run" / "kept" / "*.parquet", columns=["id"])["id"].to_list()
    return Measured(told["processor"], told["seconds"], used.megabytes, frozenset(kept), told["version"])


def run_tools(names: Sequence[str], pythons: dict[str, str], documents: pl.DataFrame) -> dict[str, Measured]:
    """All tools, in turn; the median of the processor seconds of those that run more than once."""
    runs: dict[str, list[Measured]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as directory:
        given = Path(directory) / "documents" / "documents.parquet"
        given.parent.mkdir()
        documents.write_parquet(given, row_group_size=20_000)
        for number in range(ROUNDS):
            for name, earlier in runs.items():
                if number and earlier[0].processor > QUICK:
                    continue
                python = pythons[ENVIRONMENTS[name]]
                earlier.append(run_tool(name, python, given, Path(directory) / f"{name}-{number}"))
                rate = documents.height / earlier[-1].processor
                print(f"{name}: {rate:,.0f} documents/s", file=sys.stderr, flush=True)
    return {name: sorted(some)[(len(some) - 1) // 2] for name, some in runs.items()}


def alone(given: Path, folder: Path) -> tuple[float, float]:
    """Ours on its own: processor seconds and megabytes."""
    one = run_tool("ours", sys.executable, given, folder)
    return one.processor, one.megabytes


def accuracy(measured: Measured, known: Truth) -> tuple[int, float, float]:
    """How many documents were removed, which share of them resembles another, and which of the pairs lost one."""
    removed = np.array([identifier not in measured.kept for identifier in known.ids])
    precision = float(np.mean(np.isin(np.flatnonzero(removed), known.alike)))
    return int(removed.sum()), precision, float(np.mean(removed[known.pairs].any(axis=1)))


def rows(found: dict[str, Measured], documents: pl.DataFrame, known: Truth | None) -> list[list[str]]:
    """The table, the fastest first; without the truth no precision and recall."""
    size = float(documents["text"].str.len_bytes().sum()) / 1e6
    made = []
    for name, one in sorted(found.items(), key=lambda item: item[1].processor):
        speed = [f"{documents.height / one.processor:,.0f}", f"{size / one.processor:.1f}"]
        ratio = f"{one.processor / found['ours'].processor:.1f} ×" if name != "ours" else ""
        took = [f"{one.processor:.1f}", f"{one.seconds:.1f}", f"{one.megabytes:,.0f}"]
        if known is None:
            judged = [f"{documents.height - len(one.kept):,}"]
        else:
            removed, precision, recall = accuracy(one, known)
            judged = [f"{removed:,}", f"{precision:.3f}", f"{recall:.3f}"]
        made.append([" ".join(filter(None, [name, one.version])), *speed, ratio, *took, *judged])
    return made


def headlines(found: dict[str, Measured], known: Truth) -> list[Headline]:
    """What has a goal."""
    _, precision, recall = accuracy(found["ours"], known)
    ratios = {name: found[name].processor / found["ours"].processor for name in GOALS if name in found}
    return [
        *(
            at_least(f"MinHash: speed beside {name}", ratio, GOALS[name], "{:.1f} ×")
            for name, ratio in ratios.items()
        ),
        at_least(f"MinHash: removed documents with a partner of {PARTNER}", 100 * precision, 100, "{:.1f} %"),
        at_least(f"MinHash: planted pairs of {FOUND} found", 100 * recall, 99, "{:.1f} %"),
    ]


def beside_others(options: argparse.Namespace) -> None:
    """Measure all tools, and write the section of RESULTS.md."""
    pythons = {"": sys.executable, **dict(one.split("=", 1) for one in options.python)}
    names = [name for name, environment in ENVIRONMENTS.items() if environment in pythons]
    planted = plant(options.data, options.documents)
    found = run_tools(names, pythons, planted.documents)
    known = truth(planted)
    columns = ["", "documents/s", "MB/s", "ours is faster", "processor s", "s", "peak MB", "removed"]
    body = [
        made_with(
            "python -m tests.benchmarks.dedup_speed --python NAME=PATH …", ["numba", "polars", "pyarrow"], {}
        ),
        _about(planted, known),
        table(
            [*columns, f"of them with a partner of {PARTNER}", f"pairs of {FOUND} found"],
            rows(found, planted.documents, known),
        ),
    ]
    if options.more:
        larger = plant(options.data, options.more)
        fast = run_tools([name for name in FAST if name in names], pythons, larger.documents)
        body += [
            f"\n{larger.documents.height:,} documents, {larger.real:,} of them real pieces as they were:\n",
            table(columns, rows(fast, larger.documents, None)),
        ]
    print("\n".join(body))
    write_section("Near duplicates: speed beside other tools", "\n".join(body))
    leave_headlines("dedup", headlines(found, known))


def _about(planted: Planted, known: Truth) -> str:
    frame = planted.documents
    size = frame["text"].str.len_bytes()
    again = frame.height - len(planted.copies) - planted.real
    others = f", {again:,} of them once more with a quarter of their words changed" if again else ""
    return f"""
MinHash with 14 bands of 8 over word 5-grams, Parquet to Parquet, one process on one core; rates are per second of
processor time, without imports, after a run on 200 documents that compiles and loads what is needed. Median of
three runs where a run takes less than {QUICK} s. {frame.height:,} English documents of {size.mean():,.0f} bytes
on average ({size.sum() / 1e6:.0f} MB): {planted.real:,} real pieces{others}, and {len(planted.copies):,} copies
with words changed at random, {len(known.pairs):,} of them at a Jaccard similarity of {FOUND} or more with their
original. The similarities are of exact sets of word 5-grams, words being runs of letters and digits or what stands
between spaces: a document has a partner if it has one by either, a pair counts if it does by both. Only ours and
rensa compare candidates (ours by the sets, rensa by the signatures); the others join all that share a band.
n-grams for rensa and datasketch are made in Python, words cut at spaces.
"""


def main() -> None:
    """Parse, call one function."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument(
        "--python", action="append", default=[], metavar="NAME=PATH", help="of a peer's environment"
    )
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--more", type=int, default=90_000, help="documents for the fast tools; 0 for none")
    parser.add_argument("--growth", action="store_true", help="only time against the number of documents")
    parser.add_argument("--memory-bound", action="store_true", help="only memory, with --memory and without")
    parser.add_argument("--largest", type=int, metavar="N", help="documents of these two: 10^6 and 2 × 10^6")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    if options.growth:
        growth(options.largest or 10**6, alone)
    elif options.memory_bound:
        memory_bound(options.largest or 2 * 10**6)
    else:
        beside_others(options)


if __name__ == "__main__":
    main()
