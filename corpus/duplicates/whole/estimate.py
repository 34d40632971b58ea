"""What a deduplication will take, from a sample: documents, disk, memory, time."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import polars as pl

from corpus.core.binary_files import file_size
from corpus.core.errors import ZeroToOneError
from corpus.core.inputs import Unit
from corpus.core.parquet_files import open_parquet
from corpus.duplicates.whole.sign import SignTask, read_for_signing, sign_documents, slices

LEAST = 64 * 2**20  # bytes of input below which an estimate is not worth its time
_SAMPLED = 8  # units
_SAMPLE_CHARACTERS = 500_000  # of each
_COUNTED = 1000  # Parquet files of which the rows are counted; more are estimated, too
_COMPRESSION = 3.0  # what gzip and zstd make of text, and our own files of documents
_LATER = 0.9  # what grouping and writing take beside signing
_WORKER = 400 * 2**20  # bytes of a worker with its libraries and a slice of documents
_A_DOCUMENT = 20  # bytes in memory while clusters are found, beside --memory (`group.group`)


class Estimate(NamedTuple):
    """About how much: `disk` and `memory` in bytes, the largest at any time."""

    documents: int
    disk: int
    memory: int
    seconds: float

    def __str__(self) -> str:
        needs = f"some {_size(self.disk)} of disk, up to {_size(self.memory)} of memory, {_duration(self.seconds)}"
        return f"about {self.documents:,} documents; needs {needs}"


class _Sample(NamedTuple):
    documents: int
    text: int  # bytes
    signed: int  # bytes
    file: float  # bytes of the input's files that hold these documents
    seconds: float


def estimate(
    units: Sequence[Unit], task: SignTask, first: pl.DataFrame, input_bytes: int, memory: int, workers: int
) -> Estimate | None:
    """What signing, grouping and writing the units will take; None where the input is small or empty.

    Signs the beginning of eight units, evenly chosen. `first`: some documents, `input_bytes`: of all files,
    `memory`: `--memory`.
    """
    if input_bytes < LEAST:
        return None
    chosen = {number * (len(units) - 1) // (_SAMPLED - 1) for number in range(_SAMPLED)}
    sign_documents(first.head(1), task)  # compiling and the first use of tables do not count
    samples = [sample for number in sorted(chosen) if (sample := _sample(units[number], task))]
    if not samples:
        return None
    share = input_bytes / sum(sample.file for sample in samples)
    documents = _counted(units) or int(share * sum(sample.documents for sample in samples))
    signed = share * sum(sample.signed for sample in samples)
    written = share * sum(sample.text for sample in samples) / _COMPRESSION
    seconds = share * sum(sample.seconds for sample in samples) * (1 + _LATER) / workers
    grouping = _A_DOCUMENT * documents + min(memory, int(signed))
    return Estimate(documents, int(signed + written), max(workers * _WORKER, _WORKER + grouping), seconds)


def check_disk(output: Path, needed: Estimate) -> None:
    """Raise ZeroToOneError where the disk of `output` cannot hold what is needed."""
    existing = next(folder for folder in (output, *output.absolute().parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    if free < needed.disk:
        raise ZeroToOneError(f"{output}: needs some {_size(needed.disk)} of disk, and {_size(free)} are free")


def _sample(unit: Unit, task: SignTask) -> _Sample | None:
    """The first documents of a unit, signed."""
    own = replace(task, unit=unit, strict=False)
    started = time.perf_counter()
    frame = next(read_for_signing(own), None)
    if frame is None or not frame.height:
        return None
    read = time.perf_counter() - started
    whole, frame = frame.height, next(slices(frame, _SAMPLE_CHARACTERS, 0))
    started = time.perf_counter() - read * frame.height / whole
    signed = sign_documents(frame, own)
    seconds = time.perf_counter() - started
    text = int(frame["text"].str.len_bytes().sum())
    size = int(signed.documents.estimated_size()) + sum(array.nbytes for array in signed[1:])
    return _Sample(frame.height, text, size, _bytes_in_file(unit, frame, text), seconds)


def _counted(units: Sequence[Unit]) -> int | None:
    """The rows of all Parquet files, where there is nothing else and not too many of them."""
    files = sorted({unit.path for unit in units})
    if len(files) > _COUNTED or any(unit.format != "parquet" for unit in units):
        return None
    total = 0
    for path in files:
        with open_parquet(path) as file:
            total += file.metadata.num_rows
    return total


def _bytes_in_file(unit: Unit, frame: pl.DataFrame, text: int) -> float:
    """About how many bytes of the unit's file hold these documents."""
    if unit.format == "parquet":
        with open_parquet(unit.path) as file:
            return file_size(unit.path) * frame.height / max(file.metadata.num_rows, 1)
    compressed = unit.path.endswith((".gz", ".zst", ".zstd"))
    return max(text, 1) / (_COMPRESSION if compressed else 1.0)


def _size(number: float) -> str:
    return f"{number / 1e9:,.1f} GB" if number >= 1e9 else f"{number / 1e6:,.0f} MB"


def _duration(seconds: float) -> str:
    return f"{seconds:,.0f} s" if seconds < 120 else f"{seconds / 60:,.0f} minutes"
