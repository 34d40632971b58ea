"""The last stage before the documents are written: matches of windows to spans, verified by their text."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl

from corpus.core.files import write_atomically, write_json
from corpus.duplicates.span_keys import index_path, read_matches
from corpus.duplicates.span_stages import Job, UnitTask, folder
from corpus.duplicates.span_texts import BLOCK, Found, Pieces, Stored, compare
from corpus.duplicates.span_tokens import character_classes

_SPANS = {"row": pl.Int64, "offset": pl.Int64, "length": pl.Int64, "kept_id": pl.String, "kept_offset": pl.Int64}


def spans_path(output: Path, index: int) -> Path:
    """The repeated spans of a unit: its documents' rows, offsets and lengths in characters, and where they stood first."""
    return folder(output) / "spans" / f"{index:05d}.parquet"


def find_unit_spans(task: UnitTask) -> None:
    """Write a unit's repeated spans."""
    job, unit = task.job, task.unit.index
    firsts = job.keys("windows").firsts()
    found = [pl.DataFrame(schema=_SPANS)]
    for segment in range(int(firsts[unit]), int(firsts[unit + 1])):
        found += _segment_spans(job, task, firsts, unit, segment)
    spans = disjoint(pl.concat(found).sort("row", "offset"))
    with write_atomically(spans_path(job.output, unit)) as temporary:
        spans.write_parquet(temporary)
    write_json(job.path("spans", unit, "done"), {})


def _segment_spans(
    job: Job, task: UnitTask, firsts: np.ndarray, unit: int, segment: int
) -> Iterator[pl.DataFrame]:
    matches = read_matches(task.matches, segment)
    matches = matches[(matches["segment"] != segment) | (matches["ordinal"] != matches["own"])]
    pieces, segments = _pieces(matches, alone=job.measure.size == 1)
    here = _stored(job, unit, segment - int(firsts[unit]))
    for other in np.unique(segments):
        there_unit = int(np.searchsorted(firsts, other, side="right")) - 1
        there = _stored(job, there_unit, int(other - firsts[there_unit]))
        chosen = segments == other
        own = Pieces(*(column[chosen] for column in pieces))
        same_unit = there_unit == unit
        compared = compare(here, there, own, job.measure.size, character_classes(), job.measure.by_character)
        yield _spans(compared, _ids(job, there_unit), job.measure.size, same_unit)


def _pieces(matches: np.ndarray, *, alone: bool) -> tuple[Pieces, np.ndarray]:
    """Runs of windows that follow one another here and there, and the segment that each is equal to.

    `alone`: every window for itself, because windows of one unit leave out the white space between them.
    """
    own, segment, ordinal = (matches[name].astype(np.int64) for name in ("own", "segment", "ordinal"))
    new = np.ones(len(own), dtype=bool)
    new[1:] = alone | (np.diff(own) != 1) | (np.diff(segment) != 0) | (np.diff(ordinal) != 1)
    heads = np.flatnonzero(new)
    return Pieces(own[heads], np.diff(np.append(heads, len(own))), ordinal[heads]), segment[heads]


def _spans(found: Found, ids: pl.DataFrame, size: int, same_unit: bool) -> pl.DataFrame:
    overlap = same_unit & (found.text == found.other_text) & (found.apart < size)
    if not found.equal.all():
        raise NotImplementedError
    good = ~overlap
    places = np.searchsorted(ids["row"].to_numpy(), found.other_text[good])
    return pl.DataFrame(
        {
            "row": found.text[good],
            "offset": found.offset[good],
            "length": found.length[good],
            "kept_id": ids["id"].gather(places),
            "kept_offset": found.other_offset[good],
        },
        schema=_SPANS,
    )


def disjoint(spans: pl.DataFrame) -> pl.DataFrame:
    """Spans by row and offset, of which each begins where an earlier one ends if they overlapped."""
    end = pl.col("offset") + pl.col("length")
    before = end.shift(1).cum_max().over("row").fill_null(0)
    cut = pl.max_horizontal(before - pl.col("offset"), 0)
    return (
        spans.with_columns(cut=cut)
        .with_columns(
            pl.col("offset") + pl.col("cut"), pl.col("length") - pl.col("cut"), pl.col("kept_offset") + pl.col("cut")
        )
        .drop("cut")
        .filter(pl.col("length") > 0)
    )


@lru_cache(maxsize=64)
def _ids(job: Job, unit: int) -> pl.DataFrame:
    return pl.read_parquet(job.path("windows", unit, "ids")).unique("row", maintain_order=True)


def _stored(job: Job, unit: int, segment: int) -> Stored:
    blocks = job.path("windows", unit, "blocks")
    first, last = np.load(index_path(blocks))[segment : segment + 2]
    count = int(last - first)
    own = np.fromfile(blocks, BLOCK, count, offset=int(first) * BLOCK.itemsize)
    text = job.path("windows", unit, "text")
    data = np.memmap(text, dtype=np.uint8, mode="r") if count else np.empty(0, dtype=np.uint8)
    return Stored(data, own)
