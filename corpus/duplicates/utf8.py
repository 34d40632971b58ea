"""Columns of texts that array code wrote as UTF-8; `normalised.utf8` is the other way."""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa
from numba import njit

from corpus.duplicates.normalised import Bytes, Offsets, Utf8


def as_column(texts: Utf8) -> pl.Series:
    """A column of the texts."""
    buffers = [None, pa.py_buffer(np.ascontiguousarray(texts.offsets)), pa.py_buffer(texts.data)]
    found = pl.from_arrow(pa.Array.from_buffers(pa.large_string(), len(texts.offsets) - 1, buffers))
    assert isinstance(found, pl.Series)
    return found


def cut_out(data: Bytes, starts: Offsets, ends: Offsets) -> Utf8:
    """The pieces of `data` from each start to its end."""
    offsets = np.zeros(len(starts) + 1, dtype=np.int64)
    np.cumsum(ends - starts, out=offsets[1:])
    return Utf8(_copy(data, starts, ends, int(offsets[-1])), offsets)


@njit(cache=True)
def count_characters(data: Bytes, start: int, stop: int) -> int:
    """How many characters begin in data[start:stop] of UTF-8."""
    count = 0
    for byte in data[start:stop]:
        count += (byte & 0xC0) != 0x80
    return count


@njit(cache=True)
def _copy(data: Bytes, starts: Offsets, ends: Offsets, size: int) -> Bytes:
    found = np.empty(size, dtype=np.uint8)
    at = 0
    for piece in range(len(starts)):
        length = ends[piece] - starts[piece]
        found[at : at + length] = data[starts[piece] : ends[piece]]
        at += length
    return found
