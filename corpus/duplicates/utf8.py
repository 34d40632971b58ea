"""Columns of texts as UTF-8 bytes for array code, and back, without a Python string in between."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from numba import njit

Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]


class Texts(NamedTuple):
    """Texts one behind the other: `data` [bytes]; text k has those from offsets[k] to offsets[k + 1]."""

    data: Bytes
    offsets: Positions


def as_bytes(column: pl.Series) -> Texts:
    """The texts of a column of strings; a null is an empty one."""
    array = column.fill_null("").rechunk().to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.large_string())
    _, offsets, data = array.buffers()
    whole = np.frombuffer(offsets, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    bytes_of_all = np.frombuffer(data, dtype=np.uint8) if data is not None else np.empty(0, dtype=np.uint8)
    return Texts(bytes_of_all[whole[0] : whole[-1]], whole - whole[0])


def as_column(texts: Texts) -> pl.Series:
    """A column of the texts, whose bytes must be UTF-8."""
    buffers = [None, pa.py_buffer(np.ascontiguousarray(texts.offsets)), pa.py_buffer(texts.data)]
    found = pl.from_arrow(pa.Array.from_buffers(pa.large_string(), len(texts.offsets) - 1, buffers))
    assert isinstance(found, pl.Series)
    return found


def cut_out(data: Bytes, starts: Positions, ends: Positions) -> Texts:
    """The pieces of `data` from each start to its end."""
    offsets = np.zeros(len(starts) + 1, dtype=np.int64)
    np.cumsum(ends - starts, out=offsets[1:])
    return Texts(_copy(data, starts, ends, int(offsets[-1])), offsets)


@njit(cache=True)
def _copy(data: Bytes, starts: Positions, ends: Positions, size: int) -> Bytes:
    found = np.empty(size, dtype=np.uint8)
    at = 0
    for piece in range(len(starts)):
        length = ends[piece] - starts[piece]
        found[at : at + length] = data[starts[piece] : ends[piece]]
        at += length
    return found


@njit(cache=True)
def code_point(data: Bytes, at: int) -> tuple[int, int]:
    """The code point whose bytes begin at a place of valid UTF-8, and how many they are."""
    first = np.int64(data[at])
    if first < 0x80:
        return first, 1
    if first < 0xE0:
        return ((first & 0x1F) << 6) | (np.int64(data[at + 1]) & 0x3F), 2
    middle = (np.int64(data[at + 1]) & 0x3F) << 6 | (np.int64(data[at + 2]) & 0x3F)
    if first < 0xF0:
        return ((first & 0x0F) << 12) | middle, 3
    return ((first & 0x07) << 18) | (middle << 6) | (np.int64(data[at + 3]) & 0x3F), 4
