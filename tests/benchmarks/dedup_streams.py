"""Megabytes a second and memory of `corpus dedup` by exact texts, URLs, lines and n-grams, beside datatrove.

    python -m tests.benchmarks.dedup_streams [--data ../shared/data] [--datatrove-python PATH] [--write]

Parquet to Parquet, one worker, warm (numba has compiled). Rates are of the processor's seconds, the start of the
program included; memory is that of the process. The documents have no URLs: each gets one, and every tenth that of
another document, written otherwise. `--copies` puts the documents in more than once, so that a run is long; in a
copy a word of its own stands at the end of every line. datatrove runs in its own environment on `--peer-megabytes`
of the documents, and so do we.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import polars as pl

from tests.benchmarks.inputs import DATA
from tests.benchmarks.processes import Used, run_alone
from tests.benchmarks.results import at_least, leave_headlines, made_with, table, without_goal, write_section

TITLE = "Deduplication by exact text, URL, line and n-grams"
METHODS = ("exact", "url", "line", "bloom")
GOAL = 20.0  # MB/s a core
PEER = Path(__file__).with_name("datatrove_dedup_peer.py")
GROUP_ROWS = 20_000
SAME_WORK = {
    "exact": "its text as it stands",
    "url": "its exact deduplication of the column `url`, as it stands",
    "line": "its sentence deduplication of single lines",
    "bloom": "whole documents only",
}


def read_documents(data: Path) -> pl.DataFrame:
    """All documents, with a URL each."""
    frames = [
        pl.read_parquet(file, columns=["id", "text", "domain"])
        for file in sorted((data / "text").glob("*.parquet"))
    ]
    rows = pl.int_range(pl.len())
    another = pl.format("http://EXAMPLE.org:80/{}/?utm_source=list#top", rows - rows % 10)
    own = pl.format("https://www.example.org/{}", rows)
    return pl.concat(frames).with_columns(url=pl.when(rows % 10 == 9).then(another).otherwise(own))


def copies(frame: pl.DataFrame, count: int) -> pl.DataFrame:
    """The documents so many times, with a word of its own at every line end of a copy."""
    frames = [frame]
    for copy in range(1, count):
        word = " copy" + "abcdefghij"[copy % 10]
        text = pl.col("text").str.replace_all("\n", f"{word}\n", literal=True) + word
        frames.append(frame.with_columns(text, pl.format("{}/{}", "id", pl.lit(copy)).alias("id")))
    return pl.concat(frames)


def sample(frame: pl.DataFrame, megabytes: float) -> pl.DataFrame:
    """So many megabytes of text, evenly from all of it."""
    step = max(1, round(size(frame) / megabytes))
    return frame.gather_every(step)


def size(frame: pl.DataFrame) -> float:
    """Megabytes of text."""
    return int(frame["text"].str.len_bytes().sum()) / 1e6


def ours(method: str, source: Path, output: Path, *more: str) -> tuple[Used, dict[str, int]]:
    """One run of our command, and the manifest's counts."""
    command = ["corpus.cli", "dedup", source, "-o", output, "--method", method, "--workers", 1, *more]
    used = run_alone([sys.executable, "-m", *command])
    if used.status:
        raise SystemExit(used.error)
    return used, json.loads((output / "manifest.json").read_text())["counts"]


def peer(python: Path, method: str, source: Path, output: Path, ngrams: int) -> tuple[Used, int]:
    """One run of datatrove, and how many documents it kept."""
    used = run_alone([python, PEER, method, source, output, ngrams])
    if used.status:
        raise SystemExit(used.error)
    kept = sum(
        pl.scan_parquet(part).select(pl.len()).collect().item() for part in (output / "documents").glob("*")
    )
    return used, kept


def write(frame: pl.DataFrame, folder: Path) -> Path:
    folder.mkdir()
    frame.write_parquet(folder / "documents.parquet", row_group_size=GROUP_ROWS)
    return folder


def measure(folder: Path, frame: pl.DataFrame) -> tuple[list[list[object]], dict[str, float], int]:
    """Rows of the table of our methods, their rates, and the number of n-grams."""
    source, megabytes = write(frame, folder / "all"), size(frame)
    rows: list[list[object]] = []
    rates: dict[str, float] = {}
    ngrams = 0
    for method in METHODS:
        used, counts = ours(method, source, folder / f"ours-{method}")
        rates[method] = megabytes / used.cpu_seconds
        ngrams = counts.get("ngrams", 0)
        lines = f"{counts['lines_removed']:,} of {counts['lines']:,}" if "lines" in counts else ""
        removed = f"{counts['documents_removed']:,} of {counts['documents_in']:,}"
        rows.append([method, f"{rates[method]:.0f}", f"{used.megabytes:,.0f}", removed, lines])
    return rows, rates, ngrams


def compare(folder: Path, frame: pl.DataFrame, python: Path) -> tuple[list[list[object]], dict[str, float]]:
    """Rows of the table beside datatrove, and how many times faster we are."""
    source, megabytes = write(frame, folder / "sample"), size(frame)
    rows: list[list[object]] = []
    times: dict[str, float] = {}
    for method in METHODS:
        mine, counts = ours(method, source, folder / f"ours-sample-{method}")
        theirs, kept = peer(python, method, source, folder / f"peer-{method}", counts.get("ngrams", 0))
        times[method] = theirs.cpu_seconds / mine.cpu_seconds
        rates = [f"{megabytes / used.cpu_seconds:.1f}" for used in (mine, theirs)]
        memory = [f"{used.megabytes:,.0f}" for used in (mine, theirs)]
        numbers = [f"{counts['documents_kept']:,}", f"{kept:,}"]
        rows.append([method, *rates, f"{times[method]:.0f} ×", *memory, *numbers, SAME_WORK[method]])
    return rows, times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of real data")
    parser.add_argument("--copies", type=int, default=4, help="how often the documents stand in the input")
    parser.add_argument("--datatrove-python", type=Path, help="the Python of datatrove's environment")
    parser.add_argument("--peer-megabytes", type=float, default=50, help="text for the comparison")
    parser.add_argument("--write", action="store_true", help="write the section of RESULTS.md")
    arguments = parser.parse_args()
    documents = read_documents(arguments.data)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        warm = write(sample(documents, 1), folder / "warm")
        for method in METHODS:
            ours(method, warm, folder / f"warm-{method}")
        all_of_them = copies(documents, arguments.copies)
        rows, rates, ngrams = measure(folder, all_of_them)
        given = f"--copies {arguments.copies} --peer-megabytes {arguments.peer_megabytes:g}"
        command = f"python -m tests.benchmarks.dedup_streams --datatrove-python PATH {given} --write"
        body = [
            made_with(command, ["numba", "polars"], {}),
            f"\n{size(all_of_them):.0f} MB of text ({all_of_them.height:,} documents), {ngrams:,} 13-grams; one "
            "worker, MB a second of the processor's time, memory of the process:\n",
            table(["method", "MB/s", "memory, MB", "documents removed", "lines removed"], rows),
        ]
        headlines = [
            at_least(f"dedup, {name}: MB/s on one core", rate, GOAL, "{:.0f}") for name, rate in rates.items()
        ]
        if arguments.datatrove_python:
            part = sample(documents, arguments.peer_megabytes)
            compared, times = compare(folder, part, arguments.datatrove_python)
            body += [
                f"\nBeside datatrove on {size(part):.0f} MB of them, the start of both programs included:\n",
                table(
                    [
                        "method",
                        "MB/s",
                        "datatrove",
                        "faster",
                        "MB",
                        "datatrove",
                        "kept",
                        "datatrove",
                        "datatrove does",
                    ],
                    compared,
                ),
            ]
            headlines += [
                without_goal(f"dedup, {name}: × datatrove", value, "{:.0f} ×") for name, value in times.items()
            ]
    leave_headlines("dedup_streams", headlines)
    print("\n".join(body))
    if arguments.write:
        write_section(TITLE, "\n".join(body))


if __name__ == "__main__":
    main()
