"""The signed documents of a run as columns over all of them, read piece by piece.

Documents are numbered in the order of the units: their rows. Rows and what points to them take four bytes each
(eight from 2³² documents on).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numba import njit

from corpus.core.inputs import Unit
from corpus.duplicates.whole.sign import shingles_path, signed_path, stored_sizes

_PIECE_ROWS = 1 << 20


class Signed:
    """The tables and shingle sets, or signatures, that signing left in `.state/signed/`.

    `starts` [units + 1]: the row of each unit's first document, and the number of all. `by_signature`: documents
    are compared by their signatures of `hashes` values; without `hashes` by their sets. `sizes` [rows] uint32:
    how many values that takes for each; none where there is no shingle.
    """

    def __init__(self, output: Path, units: Sequence[Unit], hashes: int | None = None) -> None:
        self._output, self._units = output, units
        self.by_signature = hashes is not None
        counts = [pq.read_metadata(signed_path(output, unit.index)).num_rows for unit in units]
        self.starts = np.cumsum([0, *counts])
        self.rows = int(self.starts[-1])
        self.row_type = np.dtype(np.uint32 if self.rows < 2**32 else np.int64)
        self.sizes = np.empty(self.rows, dtype=np.uint32)
        for first, frame in self.pieces(["shingles"]):
            self.sizes[first : first + frame.height] = stored_sizes(frame["shingles"].to_numpy(), hashes)

    def pieces(self, columns: Sequence[str], rows: np.ndarray | None = None) -> Iterator[tuple[int, pl.DataFrame]]:
        """The columns in pieces of at most some million rows, each with the row of its first document.

        `rows` (ascending): only the pieces that hold one of them.
        """
        for number, unit in enumerate(self._units):
            table = pl.scan_parquet(signed_path(self._output, unit.index)).select(columns)
            height = int(self.starts[number + 1] - self.starts[number])
            for at in range(0, height, _PIECE_ROWS):
                first = int(self.starts[number]) + at
                last = min(first + _PIECE_ROWS, int(self.starts[number + 1]))
                if rows is None or np.diff(np.searchsorted(rows, [first, last]))[0]:
                    yield first, table.slice(at, _PIECE_ROWS).collect()

    def gather(self, rows: np.ndarray, columns: Sequence[str]) -> pl.DataFrame:
        """The columns of some rows (ascending), in their order."""
        found = [pl.DataFrame(schema=pl.read_parquet_schema(self._path(0))).select(columns)]
        for first, frame in self.pieces(columns, rows):
            low, high = np.searchsorted(rows, [first, first + frame.height])
            found.append(frame[rows[low:high] - first])
        return pl.concat(found)

    def sets(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The sets (or signatures) of some rows (ascending), one behind the other (uint32), and offsets."""
        offsets = np.concatenate([[0], np.cumsum(self.sizes[rows], dtype=np.int64)])
        values = np.empty(offsets[-1], dtype=np.uint32)
        for number, unit in enumerate(self._units):
            first, last = self.starts[number], self.starts[number + 1]
            low, high = np.searchsorted(rows, [first, last])
            if high == low or not self.sizes[first:last].any():
                continue
            places = np.concatenate([[0], np.cumsum(self.sizes[first:last], dtype=np.int64)])
            stored = np.memmap(shingles_path(self._output, unit.index), dtype="<u4", mode="r")
            copy_sets(stored, places, rows[low:high].astype(np.int64) - first, values, offsets[low : high + 1])
        return values, offsets

    def _path(self, number: int) -> Path:
        return signed_path(self._output, self._units[number].index)


def rising(*rows: np.ndarray) -> np.ndarray:
    """All rows, rising, each once. numpy's `unique` hashes; for millions it takes many times as long."""
    ordered = np.sort(np.concatenate(rows))
    return ordered[np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)]]


@njit(cache=True)
def copy_sets(
    stored: np.ndarray, places: np.ndarray, rows: np.ndarray, values: np.ndarray, offsets: np.ndarray
) -> None:
    """Copy the sets of some rows to `values` at `offsets` [rows + 1]; `places`: where each begins in `stored`."""
    for item in range(len(rows)):
        at = places[rows[item]]
        for place in range(offsets[item], offsets[item + 1]):
            values[place] = stored[at]
            at += 1


def part_of(keys: np.ndarray, parts: int) -> np.ndarray:
    """Into which of so many ranges of equal width each 64-bit key falls; ranges rise with the keys."""
    return ((keys >> np.uint64(32)) * np.uint64(parts)) >> np.uint64(32)


def first_of_equals(signed: Signed, columns: Sequence[str], memory: int) -> np.ndarray:
    """For each document the first row with the same keys in the columns (one or two of uint64); shape [rows].

    The documents are taken in ranges of keys, so many at a time that it stays within `memory` bytes.
    """
    found = np.empty(signed.rows, dtype=signed.row_type)
    parts = 1 + signed.rows * _BYTES_A_KEY // memory
    for part in range(parts):
        rows, keys = _in_range(signed, columns, part, parts)
        order = np.lexsort(keys[::-1])
        new = np.ones(len(order), dtype=bool)
        new[1:] = np.any([key[order[1:]] != key[order[:-1]] for key in keys], axis=0)
        starts = np.flatnonzero(new)
        ordered = rows[order]
        # The sort is stable, and the rows came in rising order.
        found[ordered] = np.repeat(ordered[starts], np.diff(np.append(starts, len(order))))
    return found


_BYTES_A_KEY = 64  # rows, keys, their order and what sorting needs besides


def _in_range(
    signed: Signed, columns: Sequence[str], part: int, parts: int
) -> tuple[np.ndarray, list[np.ndarray]]:
    rows: list[np.ndarray] = [np.empty(0, dtype=signed.row_type)]
    keys: list[list[np.ndarray]] = [[np.empty(0, dtype=np.uint64)] for _ in columns]
    for first, frame in signed.pieces(columns):
        here = np.flatnonzero(part_of(frame[columns[0]].to_numpy(), parts) == part)
        rows.append((here + first).astype(signed.row_type))
        for chosen, name in zip(keys, columns, strict=True):
            chosen.append(frame[name].to_numpy()[here])
    return np.concatenate(rows), [np.concatenate(chosen) for chosen in keys]
