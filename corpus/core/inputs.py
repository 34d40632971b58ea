"""What a command reads: files, directories, globs and URLs, cut into units of work.

A unit is a file, a range of a Parquet file's row groups, a byte range of a WARC or uncompressed JSONL file, or a
group of small files, and is fixed by the input alone, never by the number of workers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import fsspec
import polars as pl

from corpus.core.arrow_files import check_arrow, read_arrow
from corpus.core.binary_files import file_size, open_binary
from corpus.core.compressed import can_be_split
from corpus.core.documents import as_documents, row_id
from corpus.core.errors import ZeroToOneError
from corpus.core.hub_datasets import read_shard
from corpus.core.jsonl_files import line_ranges, read_jsonl
from corpus.core.locations import file_format, list_files
from corpus.core.parquet_files import LONGEST_TEXT, TOO_LONG, open_parquet, read_batches

UNIT_BYTES = 64 * 2**20  # of a Parquet file's uncompressed row groups, of a WARC or JSONL file as it lies there
GROUPED_FILES = 256  # small files in one unit


@dataclass(frozen=True)
class Unit:
    """A piece of the input: `start` and `stop` are row groups of a Parquet file, bytes of a WARC or JSONL file
    (-1: its end), else 0 and -1 (all of it). The piece has what begins between them; `lines_before` is the number
    of a JSONL file's lines that begin before it.

    `path` opens it; `name` is what lineage calls it: the path below the input argument, which does not change
    when the input moves or a command is typed elsewhere. `members` are the (path, name) of the files of a unit
    of HTML or text files, the first of which `path` and `name` repeat.
    """

    index: int
    path: str
    name: str
    format: str
    start: int = 0
    stop: int = -1
    members: tuple[tuple[str, str], ...] = ()
    lines_before: int = 0

    def files(self) -> tuple[str, ...]:
        """The paths of the unit's files."""
        return tuple(path for path, _ in self.members) or (self.path,)


class Quarantine(Protocol):
    """Takes broken records."""

    def set_aside(self, place: str, reason: str, record: str = "") -> None:
        """Record that what stands at `place` could not be read, and why."""


def plan_units(inputs: Sequence[str | Path], paths_base: str = "") -> list[Unit]:
    """Cut the inputs into units, in the order of the arguments and of the names below each.

    An input is a dataset directory (its `documents/` is read), a directory, a glob, a file, a listing of files
    (whose relative lines begin at `paths_base`), or any of these as an fsspec URL. Raises ZeroToOneError for one
    that is missing, empty or of unknown format.
    """
    if not inputs:
        raise ZeroToOneError("no input given")
    units: list[Unit] = []
    grouped: dict[str, list[tuple[str, str]]] = {"html": [], "text": []}
    for path, name in list_files(inputs, paths_base):
        kind = str(file_format(path))
        if kind in grouped:
            grouped[kind].append((path, name))
            continue
        for start, stop, lines in _ranges(path, kind):
            units.append(Unit(len(units), path, name, kind, start, stop, lines_before=lines))
    for kind, paths in grouped.items():
        for first in range(0, len(paths), GROUPED_FILES):
            members = tuple(paths[first : first + GROUPED_FILES])
            units.append(Unit(len(units), *members[0], kind, members=members))
    if not units:
        raise ZeroToOneError(f"{', '.join(map(str, inputs))}: no documents to read")
    return units


def read_documents(
    unit: Unit, quarantine: Quarantine, columns: Sequence[str] | None = None
) -> Iterator[pl.DataFrame]:
    """Read a Parquet, Arrow, JSONL or text unit as batches of documents (see `as_documents`).

    `columns` limits what is read of a Parquet or Arrow file. Broken records go to `quarantine`.
    """
    if unit.format == "parquet":
        groups = range(unit.start, unit.stop)
        yield from _as_documents(unit, read_batches(unit.path, groups, columns, quarantine.set_aside))
    elif unit.format == "arrow":
        yield from _as_documents(unit, read_arrow(unit.path, columns, quarantine.set_aside))
    elif unit.format == "datasets":
        yield from _as_documents(unit, read_shard(unit.path, columns, quarantine.set_aside))
    elif unit.format == "jsonl":
        yield from read_jsonl(unit.path, unit.name, quarantine.set_aside, unit.start, unit.stop, unit.lines_before)
    elif unit.format == "text":
        yield from _read_text(unit, quarantine)
    else:
        raise ZeroToOneError(f"{unit.path}: pages, not documents; run `corpus extract` on it first")


def _ranges(path: str, kind: str) -> list[tuple[int, int, int]]:
    """The (start, stop, lines before) of a file's units."""
    if kind == "parquet":
        return [(start, stop, 0) for start, stop in _row_group_ranges(path)]
    if kind == "jsonl":
        return line_ranges(path, UNIT_BYTES)
    if kind == "arrow":
        check_arrow(path)
    if kind in ("arrow", "datasets") or file_size(path) <= UNIT_BYTES:  # a stream has no list of its batches
        return [(0, -1, 0)]
    size = file_size(path)
    with fsspec.open(path, "rb") as raw:
        starts = range(0, size, UNIT_BYTES) if can_be_split(raw) else range(1)
    return [(start, stop, 0) for start, stop in zip(starts, [*starts[1:], -1], strict=True)]


def _row_group_ranges(path: str) -> list[tuple[int, int]]:
    with open_parquet(path) as file:
        sizes = [file.metadata.row_group(group).total_byte_size for group in range(file.metadata.num_row_groups)]
    ranges: list[tuple[int, int]] = []
    start = total = 0
    for group, size in enumerate(sizes):
        if total and total + size > UNIT_BYTES:
            ranges.append((start, group))
            start, total = group, 0
        total += size
    return [*ranges, (start, len(sizes))] if sizes else []


def _as_documents(unit: Unit, batches: Iterator[tuple[int, pl.DataFrame]]) -> Iterator[pl.DataFrame]:
    for row, frame in batches:
        yield as_documents(frame, source=unit.name, origin=unit.name, first_row=row)


def _read_text(unit: Unit, quarantine: Quarantine) -> Iterator[pl.DataFrame]:
    rows = []
    for path, name in unit.members:
        with open_binary(path) as handle:
            data = handle.read(LONGEST_TEXT + 1)
        if len(data) > LONGEST_TEXT:
            quarantine.set_aside(path, TOO_LONG)
            continue
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            quarantine.set_aside(f"{path}@{error.start}", "invalid_utf8")
            continue
        rows.append({"id": row_id(name, 0), "text": text, "source": name, "origin": name})
    if rows:
        yield as_documents(pl.DataFrame(rows), source=unit.name, origin=unit.name)
