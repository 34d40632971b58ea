"""Largest memory of a worker of each verb: on a large input, and on one with a document of 200 MB in its middle.

    python -m tests.benchmarks.worker_memory [--data FOLDER] [--megabytes 1500] [--verbs filter,redact]

The large inputs are the real texts and pages over and over, in every copy other words; the giants stand among the
real texts, in JSONL, in Parquet and as a page. Each verb runs with one worker in a process of its own, whose
largest resident memory (its own or a child's) is the number. Writes its section of RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.pages.warc import read_pages
from tests.benchmarks.inputs import CHINESE, DATA, ENGLISH, domains
from tests.benchmarks.processes import run_alone
from tests.benchmarks.results import at_most, leave_headlines, made_with, table, write_section
from tests.corpus.web import http, record

MOST = 1500  # MB: the goal
GIANT, PAGE, LARGEST = 200 * 10**6, 50 * 10**6, 31 * 2**20
EVERY = 7  # words: one of so many is another in a copy
NOTHING_LEFT = "no documents left"

Row = dict[str, Any]


def texts(data: Path) -> list[str]:
    """All English and Chinese texts, mixed."""
    return domains(data, ENGLISH + CHINESE, 10**9).sample(fraction=1, seed=0, shuffle=True)["text"].to_list()


def copies(given: list[str], size: int) -> Iterator[Row]:
    """Rows of about `size` bytes together: the texts again and again, every copy with other words."""
    vocabulary = np.array(sorted({word for text in given[:2000] for word in text.split(" ") if word}), object)
    total = 0
    for copy in count():
        draw = np.random.default_rng(copy)
        for number, text in enumerate(given):
            words = text.split(" ")
            places = range(copy % EVERY, len(words), EVERY)
            for place, other in zip(places, draw.integers(0, len(vocabulary), len(places)), strict=True):
                words[place] = vocabulary[other]
            changed = " ".join(words)
            yield {"id": f"{copy}-{number}", "text": changed}
            total += len(changed.encode("utf-8"))
            if total > size:
                return


def among(given: list[str], size: int) -> list[Row]:
    """Two hundred texts with one of `size` bytes in the middle."""
    whole = "\n\n".join(given)
    giant = (whole * (size // len(whole.encode("utf-8")) + 1)).encode("utf-8")[:size].decode("utf-8", "ignore")
    rows = [{"id": f"d{number}", "text": text} for number, text in enumerate(given[:200])]
    return [*rows[:100], {"id": "giant", "text": giant}, *rows[100:]]


def write_jsonl(path: Path, rows: Iterable[Row]) -> Path:
    """Write rows one by one."""
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return path


def write_parquet(path: Path, rows: list[Row]) -> Path:
    """Write rows as one row group."""
    pq.write_table(pa.Table.from_pylist(rows, pa.schema([("id", pa.string()), ("text", pa.large_string())])), path)
    return path


def bodies(data: Path) -> list[bytes]:
    """The annotated HTML pages."""
    found = []
    for name in ("articles", "wcxb", "chinese"):
        with (data / "web" / f"{name}.warc.gz").open("rb") as raw:
            found += [page.body for page in read_pages(raw, lambda *_: None) if page and not page.reason]
    return found


def page_copies(given: list[bytes], size: int) -> Iterator[bytes]:
    """Pages of about `size` bytes together, every copy of one with other words at its end."""
    total = 0
    for number in count():
        body = given[number % len(given)] + b"<p>" + b" ".join(b"%x" % (number + n * n) for n in range(60))
        yield body
        total += len(body)
        if total > size:
            return


def pages_among(given: list[bytes], size: int) -> Iterator[bytes]:
    """A hundred pages with one of `size` bytes in the middle, of paragraphs."""
    yield from given[:50]
    paragraph = b"<p>%s</p>\n" % b"A sentence of some words that stands in a very long page. " * 20
    yield b"<html><body>" + paragraph * (size // len(paragraph)) + b"</body></html>"
    yield from given[50:100]


def write_warc(path: Path, pages: Iterable[bytes]) -> Path:
    """Write pages as an uncompressed WARC file."""
    with path.open("wb") as file:
        for number, body in enumerate(pages):
            file.write(record(number, http(body)))
    return path


def largest(arguments: list[object]) -> float:
    """MB that a verb takes with one worker."""
    verb = [sys.executable, "-m", "corpus.cli", *map(str, arguments), "--workers", "1"]
    used = run_alone(verb)
    if used.status and NOTHING_LEFT not in used.error:
        raise SystemExit(f"{' '.join(verb)}: exit status {used.status}: {used.error[-300:]}")
    return used.megabytes


def inputs_of_documents(folder: Path, data: Path, size: int) -> dict[str, Path]:
    """The inputs of the verbs that read documents, by the table's heading."""
    given = texts(data)
    return {
        "large": write_jsonl(folder / "large.jsonl", copies(given, size)),
        "200 MB, JSONL": write_jsonl(folder / "giant.jsonl", among(given, GIANT)),
        "200 MB, Parquet": write_parquet(folder / "giant.parquet", among(given, GIANT)),
        "31 MiB": write_jsonl(folder / "largest.jsonl", among(given, LARGEST)),
    }


def inputs_of_pages(folder: Path, data: Path, size: int) -> dict[str, Path]:
    """The inputs of `corpus extract`."""
    given = bodies(data)
    return {
        "large": write_warc(folder / "large.warc", page_copies(given, size)),
        "200 MB page": write_warc(folder / "giant.warc", pages_among(given, GIANT)),
        "50 MB page": write_warc(folder / "page.warc", pages_among(given, PAGE)),
    }


def train(folder: Path, data: Path) -> Path:
    """A classifier with default parameters, for `quality score`."""
    model, options = folder / "classifier", ("--workers", "1")
    kinds = {"--positive": "peps_en", "--negative": "wiki_en"}
    named = [part for option, name in kinds.items() for part in (option, data / "text" / f"{name}.parquet")]
    command = [sys.executable, "-m", "corpus.cli", "quality", "train", *named, "-o", model, *options]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)
    return model


def verbs(folder: Path, data: Path, chosen: list[str]) -> dict[str, list[object]]:
    """The verbs and their options, without inputs and output."""
    evaluation = [
        part for name in ("gsm8k_test", "m3ke_test") for part in ("--against", data / "eval" / f"{name}.jsonl")
    ]
    every: dict[str, list[object]] = {
        "extract": ["extract"],
        "filter": ["filter", "--rules", "auto"],
        "quality score": ["quality", "score"],
        "redact": ["redact"],
        "decontaminate": ["decontaminate", *evaluation],
        "dedup exact": ["dedup", "--method", "exact"],
        "dedup minhash": ["dedup"],
    }
    if unknown := set(chosen) - set(every):
        raise SystemExit(f"no verb `{unknown.pop()}`; there are {', '.join(every)}")
    if "quality score" in chosen or not chosen:
        every["quality score"] += ["--model", train(folder, data)]
    return {name: options for name, options in every.items() if name in chosen or not chosen}


def main() -> None:
    """Measure, and write the section of RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--megabytes", type=int, default=1500, help="of the large inputs")
    parser.add_argument("--verbs", default="", help="some of them, with commas; nothing is written then")
    options = parser.parse_args()
    rows, worst = [], 0.0
    with tempfile.TemporaryDirectory() as name:
        folder, size = Path(name), options.megabytes * 10**6
        chosen = verbs(folder, options.data, list(filter(None, options.verbs.split(","))))
        documents: dict[str, Path] = {}
        for verb, arguments in chosen.items():
            if verb == "extract":
                given = inputs_of_pages(folder, options.data, size)
            else:
                given = documents = documents or inputs_of_documents(folder, options.data, size)
            for number, (heading, path) in enumerate(given.items()):
                started = time.perf_counter()
                output = folder / f"{verb}-{number}"
                megabytes = largest([*arguments, path, "-o", output])
                shutil.rmtree(output)
                took = f"{time.perf_counter() - started:.0f} s"
                rows.append([f"`{verb}`", heading, f"{megabytes:,.0f}"])
                worst = max(worst, megabytes)
                print(*rows[-1], took, flush=True)
    print(table(["verb", "input", "MB"], rows))
    if options.verbs:
        return
    command = f"python -m tests.benchmarks.worker_memory --megabytes {options.megabytes}"
    body = [
        f"{made_with(command, ['polars', 'pyarrow'], {})} Largest resident memory of one process, one worker; "
        f"large: {options.megabytes:,} MB of texts or pages; else one such document among ordinary ones.\n",
        table(["verb", "input", "MB"], rows),
    ]
    write_section("Memory of a worker", "\n".join(body))
    leave_headlines("memory", [at_most("largest memory of a worker, MB", worst, MOST, "{:,.0f}")])


if __name__ == "__main__":
    main()
