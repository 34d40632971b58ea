"""What the first pass of `corpus dedup --method line` leaves of each unit, in `.state/signed/`.

Of a unit's lines (`lines.find_lines`), numbered from its first on: `keys` (uint64, rising, of the lines that are
compared), `places` (uint32, the line that each key is of; equal keys in the order of the lines) and `offsets`
(uint32 for every line: the characters before it in its document). Of its documents: `ids` one behind the other,
`id_ends` (uint64) and `firsts`, the first line of each (uint32).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from corpus.core.files import write_atomically
from corpus.core.inputs import Unit
from corpus.core.workers import tick
from corpus.duplicates.lines.lines import find_lines
from corpus.duplicates.normalised import utf8
from corpus.duplicates.scoped import read_scoped, scopes
from corpus.duplicates.utf8 import as_column, cut_out

KINDS: dict[str, np.dtype[Any]] = {
    "keys": np.dtype("<u8"),
    "places": np.dtype("<u4"),
    "offsets": np.dtype("<u4"),
    "ids": np.dtype("u1"),
    "id_ends": np.dtype("<u8"),
    "firsts": np.dtype("<u4"),
}


@dataclass(frozen=True)
class LineTask:
    """A unit whose lines are to be signed; `scope` a column or None."""

    unit: Unit
    output: Path
    scope: str | None
    strict: bool


def signed_path(output: Path, index: int, kind: str) -> Path:
    """The file of a unit of one of KINDS; the last of them is written last."""
    return output / ".state" / "signed" / f"unit-{index:05d}.{kind}"


def stored(output: Path, index: int, kind: str) -> np.ndarray:
    """An array of a unit, mapped rather than read."""
    path = signed_path(output, index, kind)
    return np.asarray(np.memmap(path, KINDS[kind], "r")) if path.stat().st_size else np.empty(0, KINDS[kind])


def is_signed(output: Path, index: int) -> bool:
    """Whether all of a unit's arrays are there."""
    return signed_path(output, index, "firsts").exists()


def stored_size(output: Path, index: int, kind: str) -> int:
    """How long an array of a unit is."""
    return signed_path(output, index, kind).stat().st_size // KINDS[kind].itemsize


def stored_ids(output: Path, index: int, documents: np.ndarray) -> pl.Series:
    """The ids of some documents of a unit, by their places."""
    ends = np.append(0, stored(output, index, "id_ends").astype(np.int64))
    return as_column(cut_out(stored(output, index, "ids"), ends[documents], ends[documents + 1]))


def sign_lines(task: LineTask) -> None:
    """Sign one unit."""
    found: dict[str, list[np.ndarray]] = {name: [np.empty(0, kind)] for name, kind in KINDS.items()}
    count = size = 0
    for frame in read_scoped(task.unit, task.scope, ["id", "text"], task.strict):
        lines = find_lines(utf8(frame["text"]))
        keys = lines.keys ^ np.repeat(scopes(frame, task.scope), np.diff(lines.firsts))
        found["keys"].append(keys[lines.compared])
        found["places"].append((np.flatnonzero(lines.compared) + count).astype(np.uint32))
        found["offsets"].append(lines.offsets.astype(np.uint32))
        ids = utf8(frame["id"])
        found["ids"].append(ids.data[ids.offsets[0] : ids.offsets[-1]])
        found["id_ends"].append((ids.offsets[1:] - ids.offsets[0] + size).astype(np.uint64))
        found["firsts"].append((lines.firsts[:-1] + count).astype(np.uint32))
        count, size = count + len(lines.keys), size + int(ids.offsets[-1] - ids.offsets[0])
        tick(frame.height)
    arrays = {name: np.concatenate(parts) for name, parts in found.items()}
    order = np.argsort(arrays["keys"], kind="stable")
    for name in ("keys", "places"):
        arrays[name] = arrays[name][order]
    for name, array in arrays.items():
        with write_atomically(signed_path(task.output, task.unit.index, name)) as temporary:
            temporary.write_bytes(array.astype(KINDS[name]).tobytes())
