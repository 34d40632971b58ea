"""Texts as they are compared, as UTF-8 in one array: `exact.normalise`, with runs of white space as one space.

Most characters become others one by one, whatever stands beside them; a table has what. A text with one that does
not (a combining mark, a capital sigma, a fraction) goes through Python's functions instead.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from numba import njit

from corpus.duplicates.exact import normalise

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]

SPACE, DEPENDS = -1, -2
SEVERAL = 1 << 21  # a value from here on is the place of several characters
_LAST = 0x32000  # beyond it there are no letters, nothing that combines and nothing that becomes another
LONGEST = 3  # a character becomes at most so many
_HANGUL_PARTS = ((0x1161, 0x1175), (0x11A8, 0x11C2))  # vowels and final consonants compose with what is before


class Utf8(NamedTuple):
    """Texts one behind the other: text k is data[offsets[k]:offsets[k + 1]]; `offsets` [texts + 1]."""

    data: Bytes
    offsets: Offsets

    def views(self) -> Iterator[memoryview]:
        """The bytes of one text after the other."""
        data, bounds = self.data.data, self.offsets.tolist()
        return (data[start:end] for start, end in pairwise(bounds))


def utf8(texts: pl.Series) -> Utf8:
    """The bytes of a column of texts without nulls."""
    array = texts.rechunk().to_arrow().cast(pa.large_string())
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    _, offsets, data = array.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    whole = np.empty(0, dtype=np.uint8) if data is None else np.frombuffer(data, dtype=np.uint8)
    return Utf8(whole, bounds)


def normalise_texts(texts: pl.Series) -> Utf8:
    """Every text as `normalise` has it, with runs of white space as one space and none at its ends."""
    given = utf8(texts)
    table, several = characters()
    data = np.empty(int(given.offsets[-1] - given.offsets[0]), dtype=np.uint8)
    ends = np.zeros(len(texts) + 1, dtype=np.int64)
    aside = _normalise(*given, table, several, data, ends)
    if not len(aside):
        return Utf8(data[: ends[-1]], ends)
    others = {int(row): normalise_whole(texts[int(row)]) for row in aside}
    parts = (others.get(row) or data[ends[row] : ends[row + 1]].tobytes() for row in range(len(texts)))
    return _joined(list(parts))


def normalise_whole(text: str) -> bytes:
    """One text as `normalise` has it, with runs of white space as one space and none at its ends."""
    return " ".join(normalise(text).split()).encode()


def _joined(texts: list[bytes]) -> Utf8:
    data = np.frombuffer(b"".join(texts), dtype=np.uint8)
    return Utf8(data, np.cumsum([0, *map(len, texts)], dtype=np.int64))


@lru_cache(maxsize=1)
def characters() -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """What each code point becomes, and those that become several ([characters, 3], 0 behind the last).

    A code point, a place among the several from `SEVERAL` on, white space, or -2: it depends on its neighbours or
    takes more bytes than before.
    """
    table = np.arange(sys.maxunicode + 1, dtype=np.int32)
    several: list[list[int]] = []
    depending = _depending()
    for code in range(_LAST):
        character = chr(code)
        if 0xD800 <= code < 0xE000:
            continue
        becomes = normalise(character)
        if becomes == character and code not in depending and not character.isspace():
            continue
        if becomes.isspace():
            table[code] = SPACE
        elif _is_depending(code, becomes, depending) or len(becomes.encode()) > len(character.encode()):
            table[code] = DEPENDS
        elif len(becomes) == 1:
            table[code] = ord(becomes)
        else:
            table[code] = SEVERAL + len(several)
            several.append([*map(ord, becomes), *[0] * (LONGEST - len(becomes))])
    return table, np.array(several, dtype=np.int32)


def _is_depending(code: int, becomes: str, depending: set[int]) -> bool:
    composed = unicodedata.normalize("NFKC", chr(code))
    return (
        code in depending
        or not becomes
        or len(becomes) > LONGEST
        or any(ord(character) in depending or character.isspace() for character in composed + becomes)
    )


@lru_cache(maxsize=1)
def _depending() -> set[int]:
    """The characters whose normal form depends on what stands before: they combine or compose with it.

    With them the capital sigma, of which lower case has two forms.
    """
    found = {ord("\u03a3")}
    for code in range(_LAST):
        if unicodedata.combining(chr(code)):
            found.add(code)
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            found.add(int(parts[1], 16))
    return found.union(*(range(first, last + 1) for first, last in _HANGUL_PARTS))


@njit(cache=True)
def decode(data: Bytes, at: int) -> tuple[int, int]:
    """The code point of valid UTF-8 that begins at `at`, and where the next one begins."""
    first = np.int64(data[at])
    if first < 0x80:
        return int(first), at + 1
    if first < 0xE0:
        return (first & 0x1F) << 6 | (data[at + 1] & 0x3F), at + 2
    if first < 0xF0:
        return (first & 0x0F) << 12 | (data[at + 1] & 0x3F) << 6 | (data[at + 2] & 0x3F), at + 3
    high = (first & 0x07) << 18 | (data[at + 1] & 0x3F) << 12
    return high | (data[at + 2] & 0x3F) << 6 | (data[at + 3] & 0x3F), at + 4


@njit(cache=True)
def _encode(code: int, data: Bytes, at: int) -> int:
    """Write a code point at `at`, and return where the next one goes."""
    if code < 0x80:
        data[at] = code
        return at + 1
    if code < 0x800:
        data[at], data[at + 1] = 0xC0 | code >> 6, 0x80 | code & 0x3F
        return at + 2
    if code < 0x10000:
        data[at], data[at + 1], data[at + 2] = 0xE0 | code >> 12, 0x80 | code >> 6 & 0x3F, 0x80 | code & 0x3F
        return at + 3
    data[at], data[at + 1] = 0xF0 | code >> 18, 0x80 | code >> 12 & 0x3F
    data[at + 2], data[at + 3] = 0x80 | code >> 6 & 0x3F, 0x80 | code & 0x3F
    return at + 4


@njit(cache=True)
def _normalise(
    given: Bytes,
    offsets: Offsets,
    table: npt.NDArray[np.int32],
    several: npt.NDArray[np.int32],
    data: Bytes,
    ends: Offsets,
) -> Offsets:
    """Write the texts and where they end; return the numbers of those left empty: they need Python's functions."""
    aside = np.empty(len(offsets) - 1, dtype=np.int64)
    count = out = 0
    for text in range(len(offsets) - 1):
        start, at, last = out, offsets[text], offsets[text + 1]
        space = False
        while at < last:
            code, at = decode(given, at)
            becomes = table[code]
            if becomes == SPACE:
                space = True
                continue
            if becomes == DEPENDS:
                aside[count], out = text, start
                count += 1
                break
            if space and out > start:
                data[out] = 0x20
                out += 1
            space = False
            if becomes < SEVERAL:
                out = _encode(becomes, data, out)
                continue
            for place in range(LONGEST):
                if several[becomes - SEVERAL, place]:
                    out = _encode(several[becomes - SEVERAL, place], data, out)
        ends[text + 1] = out
    return aside[:count].copy()
