"""Texts without some spans of their characters."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from corpus.duplicates.normalised import Bytes, Offsets, Utf8, decode
from corpus.duplicates.utf8 import cut_out


def cut_spans(texts: Utf8, rows: Offsets, offsets: Offsets, lengths: Offsets) -> tuple[Utf8, Utf8]:
    """The texts without some spans, and the spans.

    A span is of the text of number `rows`, its offset and length in characters. They are in order, none overlaps
    with another.
    """
    starts, ends = np.empty(len(rows), dtype=np.int64), np.empty(len(rows), dtype=np.int64)
    _places(texts.data, texts.offsets, rows, offsets, lengths, starts, ends)
    # What stays lies between the spans: up to the first, behind the last, and from one to the next.
    left = cut_out(texts.data, np.append(texts.offsets[0], ends), np.append(starts, texts.offsets[-1]))
    gone = np.zeros(len(texts.offsets), dtype=np.int64)
    gone[1:] = np.cumsum(np.bincount(rows, ends - starts, len(texts.offsets) - 1))
    return Utf8(left.data, texts.offsets - texts.offsets[0] - gone), cut_out(texts.data, starts, ends)


def have_left(texts: Utf8, rows: Offsets, least: int) -> npt.NDArray[np.bool_]:
    """Which of the texts of these numbers have at least so many characters other than white space."""
    return _have_left(texts.data, texts.offsets, rows, least)


@njit(cache=True)
def _places(
    data: Bytes, bounds: Offsets, rows: Offsets, offsets: Offsets, lengths: Offsets, starts: Offsets, ends: Offsets
) -> None:
    """Where the spans begin and end in the bytes."""
    row, at, characters = -1, 0, 0
    for span in range(len(rows)):
        if rows[span] != row:
            row, characters = rows[span], 0
            at = bounds[row]
        at = _behind(data, at, offsets[span] - characters)
        starts[span] = at
        at = _behind(data, at, lengths[span])
        ends[span], characters = at, offsets[span] + lengths[span]


@njit(cache=True)
def _behind(data: Bytes, at: int, characters: int) -> int:
    """The byte behind so many characters from `at` on."""
    while characters:
        first = data[at]
        at += 1 if first < 0x80 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4
        characters -= 1
    return at


@njit(cache=True)
def _have_left(data: Bytes, bounds: Offsets, rows: Offsets, least: int) -> npt.NDArray[np.bool_]:
    found = np.zeros(len(rows), dtype=np.bool_)
    for number in range(len(rows)):
        at, last, count = bounds[rows[number]], bounds[rows[number] + 1], 0
        while at < last and count < least:
            code, at = decode(data, at)
            count += not is_space(code)
        found[number] = count >= least
    return found


@njit(cache=True)
def is_space(code: int) -> bool:
    """Whether a code point is white space, as `str.isspace` has it."""
    if code < 0x1680:
        return 0x09 <= code <= 0x0D or 0x1C <= code <= 0x20 or code == 0x85 or code == 0xA0
    if code < 0x2000:
        return code == 0x1680
    return code <= 0x200A or code in (0x2028, 0x2029, 0x202F, 0x205F, 0x3000)
