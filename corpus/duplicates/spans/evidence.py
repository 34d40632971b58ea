"""The last stage before the documents are written: matches of windows to spans, verified by their text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
from numba import njit

from corpus.core.files import write_atomically, write_json
from corpus.core.inputs import Unit
from corpus.duplicates.spans.keys import (
    MATCH,
    all_with,
    keys_of,
    read_index,
    read_matches,
    write_index,
)
from corpus.duplicates.spans.stages import Job, UnitTask, folder
from corpus.duplicates.spans.texts import BLOCK, Found, Pieces, Stored, compare, window_text
from corpus.duplicates.spans.tokens import Keys, character_classes

_SPANS = {"row": pl.Int64, "offset": pl.Int64, "length": pl.Int64, "first_id": pl.String, "first_offset": pl.Int64}
_RESOLVED = "resolved"


def spans_path(output: Path, index: int) -> Path:
    """A unit's repeated spans: row of the document, offset and length in characters, and where it stood first."""
    return folder(output) / "spans" / f"{index:05d}.parquet"


def find_unit_spans(task: UnitTask) -> None:
    """Write a unit's repeated spans, and the keys of windows whose texts differ although their keys are equal."""
    job, unit = task.job, task.unit.index
    windows = _Windows(job)
    found = [pl.DataFrame(schema=_SPANS)]
    wrong = [np.empty(0, dtype=np.uint64)]
    for segment in windows.segments(unit):
        matches = _resolved(job, segment, read_matches(task.matches, segment))
        spans, differing = _segment_spans(windows, segment, matches)
        found.append(disjoint(spans))
        if len(differing):
            wrong.append(keys_of(job.keys("windows"), segment, differing))
    with write_atomically(spans_path(job.output, unit)) as temporary:
        disjoint(pl.concat(found)).write_parquet(temporary)
    write_index(_collisions(job, unit), np.unique(np.concatenate(wrong)).view(np.int64))
    write_json(job.path("spans", unit, "done"), {})


class _Windows:
    """The stored windows of all units: their texts, and the ids of their documents."""

    def __init__(self, job: Job) -> None:
        self.job, self.measure = job, job.measure
        self._firsts = job.keys("windows").firsts()
        self._ids: dict[int, pl.DataFrame] = {}

    def segments(self, unit: int) -> range:
        return range(int(self._firsts[unit]), int(self._firsts[unit + 1]))

    def unit_of(self, segment: int) -> int:
        return int(np.searchsorted(self._firsts, segment, side="right")) - 1

    def stored(self, segment: int) -> Stored:
        unit = self.unit_of(segment)
        path = self.job.path("windows", unit, "blocks")
        number = segment - int(self._firsts[unit])
        first, last = read_index(path, number, 2).tolist()
        blocks = np.fromfile(path, BLOCK, last - first, offset=first * BLOCK.itemsize)
        text = self.job.path("windows", unit, "text")
        data = np.memmap(text, dtype=np.uint8, mode="r") if len(blocks) else np.empty(0, dtype=np.uint8)
        return Stored(np.asarray(data), blocks)

    def ids(self, segment: int, rows: np.ndarray) -> pl.Series:
        unit = self.unit_of(segment)
        if unit not in self._ids:
            ids = pl.read_parquet(self.job.path("windows", unit, "ids"))
            self._ids = {unit: ids.unique("row", maintain_order=True)}
        ids = self._ids[unit]
        return ids["id"].gather(np.searchsorted(ids["row"].to_numpy(), rows))


def _collisions(job: Job, unit: int) -> Path:
    return job.path("spans", unit, "collisions")


def _segment_spans(windows: _Windows, segment: int, matches: np.ndarray) -> tuple[pl.DataFrame, np.ndarray]:
    """The spans of a segment, and the ordinals of windows whose texts differ from what they match."""
    matches = matches[(matches["segment"] != segment) | (matches["ordinal"] != matches["own"])]
    spans = [pl.DataFrame(schema=_SPANS)]
    differing = [np.empty(0, dtype=np.int64)]
    here, measure = windows.stored(segment), windows.measure
    pieces, others = _pieces(matches, alone=measure.size == 1)
    for other, own in _by_segment(pieces, others):
        there = windows.stored(other)
        compared = compare(here, there, own, character_classes(), measure.by_character)
        spans.append(_spans(windows, segment, other, own, compared))
        if not compared.equal.all():
            own = _single(Pieces(*(column[~compared.equal] for column in own)))
            compared = compare(here, there, own, character_classes(), measure.by_character)
            spans.append(_spans(windows, segment, other, own, compared))
            differing.append(own.own[~compared.equal])
    return pl.concat(spans), np.concatenate(differing)


def _by_segment(pieces: Pieces, others: np.ndarray) -> Iterator[tuple[int, Pieces]]:
    """The pieces by the segment that they are equal to."""
    order = np.argsort(others, kind="stable")
    bounds = np.flatnonzero(np.diff(others[order], prepend=-1, append=-1))
    for first, last in pairwise(bounds.tolist()):
        chosen = order[first:last]
        yield int(others[chosen[0]]), Pieces(*(column[chosen] for column in pieces))


def _pieces(matches: np.ndarray, *, alone: bool) -> tuple[Pieces, np.ndarray]:
    """Runs of windows that follow one another here and there, and the segment that each is equal to.

    `alone`: every window for itself, because windows of one unit leave out the white space between them.
    """
    own, segment, ordinal = (matches[name].astype(np.int64) for name in ("own", "segment", "ordinal"))
    new = np.ones(len(own), dtype=bool)
    new[1:] = alone | (np.diff(own) != 1) | (np.diff(segment) != 0) | (np.diff(ordinal) != 1)
    heads = np.flatnonzero(new)
    return Pieces(own[heads], np.diff(np.append(heads, len(own))), ordinal[heads]), segment[heads]


def _single(pieces: Pieces) -> Pieces:
    """The pieces' windows, each a piece of its own."""
    heads = np.concatenate([[0], np.cumsum(pieces.windows)[:-1]])
    inside = np.arange(pieces.windows.sum()) - np.repeat(heads, pieces.windows)
    own, other = (np.repeat(column, pieces.windows) + inside for column in (pieces.own, pieces.other))
    return Pieces(own, np.ones(len(own), dtype=np.int64), other)


def _spans(windows: _Windows, segment: int, other: int, pieces: Pieces, found: Found) -> pl.DataFrame:
    """The pieces that are equal and do not overlap. What stands first (with --keep none) refers to itself."""
    same_text = (windows.unit_of(segment) == windows.unit_of(other)) & (found.text == found.other_text)
    good = found.equal & ~(same_text & (np.abs(found.apart) < windows.measure.size))
    later = (other > segment) | ((other == segment) & (pieces.other > pieces.own))
    ids = windows.ids(other, found.other_text[good])
    if later.any():
        ids = windows.ids(segment, found.text[good]).zip_with(pl.Series(later[good]), ids)
    first_offset = np.where(later, found.offset, found.other_offset)
    return pl.DataFrame(
        {
            "row": found.text[good],
            "offset": found.offset[good],
            "length": found.length[good],
            "first_id": ids,
            "first_offset": first_offset[good],
        },
        schema=_SPANS,
    )


def disjoint(spans: pl.DataFrame) -> pl.DataFrame:
    """Spans in order that cover what these do, as few as can be, none overlapping with another.

    Parts of one match are joined; of what is left, every span goes on where the one before ends.
    """
    end, step = pl.col("offset") + pl.col("length"), pl.col("offset") - pl.col("first_offset")
    spans = spans.sort("row", "offset").with_columns(end.alias("end"), step.alias("step"))
    same = pl.all_horizontal(pl.col(name) == pl.col(name).shift(1) for name in ("row", "first_id", "step"))
    goes_on = (same & (pl.col("offset") <= pl.col("end").shift(1))).fill_null(False)
    matches = spans.group_by((~goes_on).cum_sum().alias("match"), maintain_order=True).agg(
        pl.col("row", "offset", "first_id", "step").first(), pl.col("end").max()
    )
    chosen, begins = cover(*(matches[name].to_numpy() for name in ("row", "offset", "end")))
    offset = pl.Series("offset", begins, dtype=pl.Int64)
    return matches[chosen].select(
        "row",
        offset,
        (pl.col("end") - offset).alias("length"),
        "first_id",
        (offset - pl.col("step")).alias("first_offset"),
    )


@njit(cache=True)
def cover(rows: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The fewest intervals whose union is that of all, and where each begins if it does not overlap with others.

    They are sorted by row and start.
    """
    chosen, begins = np.empty(len(rows), dtype=np.int64), np.empty(len(rows), dtype=np.int64)
    count = item = 0
    while item < len(rows):
        row, at = rows[item], starts[item]
        while True:  # of those that begin where the others end, or before, the one that reaches farthest
            best, farthest = -1, at
            while item < len(rows) and rows[item] == row and starts[item] <= at:
                if ends[item] > farthest:
                    best, farthest = item, ends[item]
                item += 1
            if best < 0:
                break
            chosen[count], begins[count], at = best, at, farthest
            count += 1
    return chosen[:count], begins[:count]


def resolve_collisions(job: Job, units: Sequence[Unit]) -> bool:
    """Where windows with equal keys had different texts, match them by their texts; whether there were any.

    This happens to one pair of windows in 2⁶⁴. The spans of all units are then to be found anew.
    """
    if _resolved_path(job).exists():
        return False
    keys = np.unique(np.concatenate([read_index(_collisions(job, unit.index)).view(np.uint64) for unit in units]))
    if not len(keys):
        return False
    for unit in units:
        job.path("spans", unit.index, "done").unlink(missing_ok=True)
    records = [*_match_texts(job, keys)]
    with write_atomically(_resolved_path(job)) as temporary, temporary.open("wb") as file:
        np.save(file, np.array(records, dtype=np.int64).reshape(-1, 4))
    return True


def _match_texts(job: Job, keys: Keys) -> Iterator[tuple[int, int, int, int]]:
    """(segment, ordinal, segment, ordinal): all windows with these keys, and where their text comes first."""
    windows = _Windows(job)
    places: dict[tuple[int, bytes], list[tuple[int, int]]] = {}
    measure = job.measure
    for segment, ordinal in all_with(job.keys("windows"), keys):
        text = window_text(windows.stored(segment), ordinal, character_classes(), measure.by_character)
        places.setdefault(text, []).append((segment, ordinal))
    for own in places.values():
        yield (*own[0], *own[-1 if job.keep_none else 0])
        for one in own[1:]:
            yield (*one, *own[0])


def _resolved_path(job: Job) -> Path:
    return folder(job.output) / f"{_RESOLVED}.npy"


def _resolved(job: Job, segment: int, matches: np.ndarray) -> np.ndarray:
    """A segment's matches, those that were matched by their texts in place of what their keys say."""
    if not _resolved_path(job).exists():
        return matches
    records = np.load(_resolved_path(job))
    records = records[records[:, 0] == segment]
    instead = np.empty(len(records), dtype=MATCH)
    instead["own"], instead["segment"], instead["ordinal"] = records[:, 1:].T
    together = np.concatenate([matches[~np.isin(matches["own"], instead["own"])], instead])
    return together[np.argsort(together["own"], kind="stable")]
