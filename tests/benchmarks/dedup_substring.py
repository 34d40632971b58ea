"""Repeated spans out of real documents: rate, memory, and agreement with a dictionary and a suffix array.

    python -m tests.benchmarks.dedup_substring --data DATA --suffix-python PATH --write

The verb runs in processes of its own on the ten domains, and on four times as much: copies whose letters are
exchanged, so that they repeat themselves as the texts do, but not one another. A dictionary of all windows of 50
tokens, in plain Python, says which characters of some documents must go. `--suffix-python` is the Python of an
environment with pydivsufsort, numpy and polars: a suffix array with its longest common prefixes over the bytes
of English documents, which is how the published tool (google-research/deduplicate-text-datasets) finds repeats.
"""

from __future__ import annotations

import argparse
import json
import string
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from corpus.duplicates.spans.dedup_substring import dedup_substrings
from tests.benchmarks.inputs import DATA
from tests.benchmarks.processes import run_alone
from tests.benchmarks.results import at_least, leave_headlines, made_with, table, without_goal, write_section
from tests.corpus.test_dedup_substring import brute_cover

TITLE = "Repeated spans"
GOAL = 20.0  # megabytes a second and core
CHECKED = ("docs_zh", "peps_en", "poetry_zh")  # by the dictionary, which is slow and large
CHECKED_CHARACTERS = 600_000  # of each
SUFFIXES = ("peps_en", "rfcs_en")
BYTES = 100  # of the shortest span in the comparison with the suffix array
FIRST_IDEOGRAPH, IDEOGRAPHS = 0x4E00, 20_000
_SUFFIX_ARRAY = """
import json, resource, sys, time
import numpy as np, polars as pl
from pydivsufsort import divsufsort, kasai
texts = [text for file in sys.argv[2:] for text in pl.read_parquet(file)["text"]]
size = int(sys.argv[1])
started = time.process_time()
data = b"".join(text.encode() + b"\\xff" for text in texts)
array = divsufsort(data)
common = kasai(data, array)
long = common[:-1] >= size
starts = np.unique(np.concatenate([array[:-1][long], array[1:][long]]))
edges = np.zeros(len(data) + 1, dtype=np.int32)
edges[starts] += 1
np.add.at(edges, starts + size, -1)
covered = int((np.cumsum(edges[:-1]) > 0).sum())
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
print(json.dumps([len(data) / 1e6, time.process_time() - started, memory, covered]))
"""


def megabytes(files: Sequence[Path]) -> float:
    """UTF-8 text of some Parquet files."""
    sizes = [pl.read_parquet(file, columns=["text"])["text"].str.len_bytes().sum() for file in files]
    return sum(sizes) / 1e6


def exchanged(files: Sequence[Path], copies: int, folder: Path) -> list[Path]:
    """So many copies of the files, in each of which letters and ideographs are exchanged for others."""
    made = []
    for copy in range(copies):
        shift = 5 * copy
        moved = {}
        for letters in (string.ascii_lowercase, string.ascii_uppercase):
            moved |= str.maketrans(letters, letters[shift:] + letters[:shift])
        for number in range(IDEOGRAPHS):
            moved[FIRST_IDEOGRAPH + number] = FIRST_IDEOGRAPH + (number + 997 * copy) % IDEOGRAPHS
        for file in files:
            frame = pl.read_parquet(file)
            texts = [text.translate(moved) for text in frame["text"]]
            made.append(folder / f"{copy}-{file.name}")
            frame.with_columns(pl.Series("text", texts)).write_parquet(made[-1])
    return made


def run(files: Sequence[Path], output: Path, *options: str) -> tuple[float, float, float]:
    """(seconds, processor seconds, megabytes that all processes hold at once at most) of the verb."""
    done, peak = threading.Event(), [0.0]

    def watch() -> None:
        while not done.wait(0.05):
            peak[0] = max(peak[0], held(output))

    watcher = threading.Thread(target=watch)
    watcher.start()
    verb = [sys.executable, "-m", "corpus.cli", "dedup", *files, "-o", output, "--method", "substring"]
    used = run_alone([*verb, *options])
    done.set()
    watcher.join()
    if used.status:
        raise SystemExit(used.error)
    return used.seconds, used.cpu_seconds, peak[0]


def held(output: Path) -> float:
    """Megabytes of the verb that writes to `output` and of its workers, shared pages divided among them (PSS)."""
    parents: dict[int, int] = {}
    ours: set[int] = set()
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(place.name)] = int((place / "stat").read_text().rsplit(")", 1)[1].split()[1])
            words = (place / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if str(output).encode() in words and b"-m" in words[:2]:
            ours.add(int(place.name))
    ours |= {process for process, parent in parents.items() if parent in ours}
    total = 0
    for process in ours:
        try:
            rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return total * 1024 / 1e6


def speed(files: Sequence[Path], folder: Path, copies: int) -> tuple[list[list[object]], float]:
    """Rows (text, workers, memory, seconds, ..., peak), and the rate of one worker without a bound."""
    larger = exchanged(files, copies, folder)
    runs = [
        (files, 1, "4G"),
        (files, 1, "256M"),
        (files, 2, "256M"),
        (larger, 1, "4G"),
        (larger, 1, "256M"),
        (larger, 1, "64M"),
    ]
    run(files, folder / "warm", "--workers", "1")  # compiles what is not yet compiled
    rows: list[list[object]] = []
    rates = []
    for number, (texts, workers, memory) in enumerate(runs):
        output = folder / f"out-{number}"
        seconds, cpu, peak = run(texts, output, "--workers", str(workers), "--memory", memory)
        size = megabytes(texts)
        rates.append(size / cpu)
        rows.append(
            [f"{size:.0f} MB", workers, memory, f"{seconds:.1f}", f"{cpu:.1f}", f"{rates[-1]:.1f}", f"{peak:.0f}"]
        )
    return rows, rates[3]


def agreement(data: Path, folder: Path) -> str:
    """In words how many characters the dictionary and the verb take out of the same documents."""
    frames = []
    for name in CHECKED:
        frame = pl.read_parquet(data / "text" / f"{name}.parquet", columns=["id", "text"])
        frames.append(frame.filter(pl.col("text").str.len_chars().cum_sum() <= CHECKED_CHARACTERS))
    documents = pl.concat(frames)
    documents.write_parquet(folder / "checked.parquet")
    dedup_substrings([folder / "checked.parquet"], folder / "checked", workers=1)
    spans = pl.read_parquet(folder / "checked" / "spans" / "*.parquet")
    found: dict[str, set[int]] = {name: set() for name in documents["id"]}
    for name, offset, length in spans.select("id", "offset", "length").iter_rows():
        found[name] |= set(range(offset, offset + length))
    expected = brute_cover(documents["text"].to_list(), 50)
    same = sum(found[name] == places for name, places in zip(documents["id"], expected, strict=True))
    return (
        f"A dictionary of all windows of 50 tokens over {documents.height:,} documents ({', '.join(CHECKED)}) "
        "covers "
        f"{sum(map(len, expected)):,} characters, the verb removes {sum(map(len, found.values())):,}; the same "
        f"characters in {same:,} documents."
    )


def beside_suffix_array(python: Path, data: Path, folder: Path) -> str:
    """In words the rate, memory and finds of a suffix array and of the verb on the same documents."""
    files = [data / "text" / f"{name}.parquet" for name in SUFFIXES]
    command = [python, "-c", _SUFFIX_ARRAY, str(BYTES), *files]
    ended = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
    size, seconds, memory, covered = json.loads(ended.stdout)
    options = ["--length-unit", "characters", "--length-threshold", str(BYTES), "--keep", "none", "--workers", "1"]
    _, cpu, peak = run(files, folder / "suffix", *options)
    counts = json.loads((folder / "suffix" / "manifest.json").read_text())["counts"]
    return (
        f"Suffix array and longest common prefixes (pydivsufsort) of {size:.1f} MB of {' and '.join(SUFFIXES)}: "
        f"{size / seconds:.1f} MB a second in memory, without reading and writing, {memory:.0f} MB; "
        f"{covered:,} bytes lie in strings of {BYTES} bytes that occur twice. The verb from start to end, "
        f"with the same length in characters and `--keep none`: {size / cpu:.1f} MB a second, {peak:.0f} MB, "
        f"{counts['characters_removed']:,} characters (a string that overlaps with its only repetition is none)."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder of real data")
    parser.add_argument("--copies", type=int, default=4, help="how much larger the larger input is")
    parser.add_argument("--suffix-python", type=Path, help="the Python of an environment with pydivsufsort")
    parser.add_argument("--write", action="store_true", help="write the section of RESULTS.md")
    arguments = parser.parse_args()
    files = sorted((arguments.data / "text").glob("*.parquet"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows, rate = speed(files, folder, arguments.copies)
        header = ["text", "workers", "--memory", "seconds", "processor seconds", "MB a second and core", "peak MB"]
        body = [
            made_with("python -m tests.benchmarks.dedup_substring --suffix-python PATH --write", ["numba"], {}),
            "Start of the program, reading and writing included; peak: all processes at once.\n",
            table(header, rows),
            f"\n{agreement(arguments.data, folder)}",
        ]
        if arguments.suffix_python:
            body.append(f"\n{beside_suffix_array(arguments.suffix_python, arguments.data, folder)}")
    leave_headlines(
        "dedup_substring",
        [
            at_least("substring: MB a second and core", rate, GOAL, "{:.1f}"),
            without_goal("substring: peak MB with --memory 256M", float(str(rows[4][-1])), "{:.0f}"),
        ],
    )
    print("\n".join(body))
    if arguments.write:
        write_section(TITLE, "\n".join(body))


if __name__ == "__main__":
    main()
