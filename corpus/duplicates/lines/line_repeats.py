"""Which lines occurred before, found range by range of their keys, in `.state/repeats/`.

Each range is a task of its own, and taken in as many pieces as its memory asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from corpus.core.files import write_atomically
from corpus.duplicates.lines.line_keys import stored, stored_ids, stored_size

_RANGE_KEYS = 1 << 22
_MOST_RANGES = 1024
_BYTES_A_KEY = 64  # the key, where it is, their order, and what sorting needs besides
_ROW = np.dtype([("unit", "<u4"), ("line", "<u4"), ("first_unit", "<u4"), ("first_line", "<u4")])


@dataclass(frozen=True)
class RangeTask:
    """One of so many ranges of keys, of so many units. `all_of_them`: the first occurrence goes, too."""

    output: Path
    units: int
    number: int
    ranges: int
    memory: int
    all_of_them: bool


def range_tasks(output: Path, units: int, memory: int, all_of_them: bool) -> list[RangeTask]:
    """The ranges that no earlier run finished; how many there are depends on the number of keys alone."""
    keys = sum(stored_size(output, unit, "keys") for unit in range(units))
    ranges = min(_MOST_RANGES, 1 + keys // _RANGE_KEYS)
    tasks = [RangeTask(output, units, number, ranges, memory, all_of_them) for number in range(ranges)]
    return [task for task in tasks if not _path(task.output, task.number, "starts").exists()]


def find_repeats(task: RangeTask) -> None:
    """Write the lines of one range that go, in the order of the units and lines, and where each unit's begin."""
    count = sum(stop - first for first, stop in (_bounds(task, unit, 0, 1) for unit in range(task.units)))
    pieces = 1 + count * _BYTES_A_KEY // task.memory
    found = np.concatenate([_repeats(task, piece, pieces) for piece in range(pieces)])
    found = found[np.lexsort((found["line"], found["unit"]))]
    starts = np.searchsorted(found["unit"], np.arange(task.units + 1)).astype("<u8")
    for kind, array in (("rows", found), ("starts", starts)):
        with write_atomically(_path(task.output, task.number, kind)) as temporary:
            temporary.write_bytes(array.tobytes())


def repeats_of(output: Path, index: int) -> tuple[np.ndarray, pl.Series, np.ndarray]:
    """The lines of a unit that go, rising (int64); the id of the document with the first occurrence of each, and
    the characters before it there (int64)."""
    found = [np.empty(0, dtype=_ROW)]
    for path in sorted((output / ".state" / "repeats").glob("*.starts")):
        first, stop = (int(place) for place in np.fromfile(path, "<u8", 2, offset=8 * index))
        rows = path.with_suffix(".rows")
        found.append(np.fromfile(rows, _ROW, stop - first, offset=first * _ROW.itemsize))
    rows_of_unit = np.concatenate(found)
    rows_of_unit = rows_of_unit[np.argsort(rows_of_unit["line"], kind="stable")]
    ids, offsets = _first_occurrences(output, rows_of_unit)
    return rows_of_unit["line"].astype(np.int64), ids, offsets


def _path(output: Path, number: int, kind: str) -> Path:
    return output / ".state" / "repeats" / f"range-{number:03d}.{kind}"


def _bounds(task: RangeTask, unit: int, piece: int, pieces: int) -> tuple[int, int]:
    """Where a piece of the range begins and ends in a unit's keys."""
    keys = stored(task.output, unit, "keys")
    steps, step = task.ranges * pieces, task.number * pieces + piece
    low, high = (step << 64) // steps, ((step + 1) << 64) // steps
    stop = len(keys) if high >> 64 else int(np.searchsorted(keys, np.uint64(high)))
    return int(np.searchsorted(keys, np.uint64(low))), stop


def _repeats(task: RangeTask, piece: int, pieces: int) -> np.ndarray:
    """The lines of a piece of the range that go; shape [lines] of _ROW."""
    parts: dict[str, list[np.ndarray]] = {"keys": [], "units": [], "lines": []}
    for unit in range(task.units):
        first, stop = _bounds(task, unit, piece, pieces)
        if stop > first:
            parts["keys"].append(np.array(stored(task.output, unit, "keys")[first:stop]))
            parts["lines"].append(np.array(stored(task.output, unit, "places")[first:stop]))
            parts["units"].append(np.full(stop - first, unit, dtype=np.uint32))
    if not parts["keys"]:
        return np.empty(0, dtype=_ROW)
    keys, units, lines = (np.concatenate(parts[name]) for name in ("keys", "units", "lines"))
    order = np.argsort(keys, kind="stable")  # equal keys stay in the order of units and lines
    keys = keys[order]
    new = np.append(True, keys[1:] != keys[:-1])
    first_of = np.flatnonzero(new)[np.cumsum(new) - 1]
    gone = ~new
    if task.all_of_them:
        gone[first_of[gone]] = True
    found = np.empty(int(gone.sum()), dtype=_ROW)
    here, before = order[gone], order[first_of[gone]]
    found["unit"], found["line"] = units[here], lines[here]
    found["first_unit"], found["first_line"] = units[before], lines[before]
    return found


def _first_occurrences(output: Path, rows: np.ndarray) -> tuple[pl.Series, np.ndarray]:
    ids = pl.Series("first_id", [None] * len(rows), dtype=pl.String)
    offsets = np.empty(len(rows), dtype=np.int64)
    units: Sequence[int] = np.unique(rows["first_unit"]).tolist()
    places, found = [np.empty(0, dtype=np.int64)], [ids.clear()]
    for unit in units:
        here = np.flatnonzero(rows["first_unit"] == unit)
        lines = rows["first_line"][here]
        documents = np.searchsorted(stored(output, unit, "firsts"), lines, side="right") - 1
        places.append(here)
        found.append(stored_ids(output, unit, documents).alias("first_id"))
        offsets[here] = stored(output, unit, "offsets")[lines]
    order = np.argsort(np.concatenate(places), kind="stable")
    return pl.concat(found).gather(order), offsets
