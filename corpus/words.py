"""Texts as code points and words: what all signals share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from corpus.characters import ALPHABETIC, CONTENT, DIGIT, HAN, IDEOGRAPH, SPACE, WORD, character_table
from corpus.segmentation import (
    LONGEST_RUN,
    Codes,
    Dictionary,
    Positions,
    chinese_dictionary,
    no_dictionary,
    segment,
)

Table = npt.NDArray[np.uint16]

_CHUNK_CHARACTERS = 4_000_000
_APOSTROPHE, _RIGHT_QUOTE, _FULL_STOP, _COMMA = 0x27, 0x2019, 0x2E, 0x2C
_SEED = np.uint64(0x9E3779B97F4A7C15)
_PRIME = np.uint64(0x100000001B3)


def split_words(text: str) -> list[str]:
    """The words of a text, punctuation included.

    Spaced scripts follow the word boundaries of Unicode's UAX #29: letters, marks, digits and connectors, with
    apostrophes and full stops between letters, and separators between digits, inside a word. Runs of one
    other character (`...`, `###`) are one word each. Chinese is split as `jieba.cut` does.
    """
    codes = code_points([text])
    starts, ends = np.empty(codes.size, dtype=np.int64), np.empty(codes.size, dtype=np.int64)
    count = split_span(codes, 0, codes.size, character_table(), dictionary_for(codes), starts, ends)
    return [text[start:end] for start, end in zip(starts[:count], ends[:count], strict=True)]


def count_words(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """The number of words of every text, punctuation left out, shape [texts]."""
    counts = [np.zeros(0, dtype=np.int64)]
    for part in chunks(texts):
        codes = code_points(part)
        counts.append(_count(codes, text_offsets(part), character_table(), dictionary_for(codes)))
    return np.concatenate(counts)


def chunks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Runs of texts with some millions of characters each: bounds the memory of array code."""
    first = size = 0
    for at, text in enumerate(texts):
        if size and size + len(text) > _CHUNK_CHARACTERS:
            yield texts[first:at]
            first, size = at, 0
        size += len(text)
    if first < len(texts):
        yield texts[first:]


def code_points(texts: Sequence[str]) -> npt.NDArray[np.uint32]:
    """All characters of the texts, one after the other; lone surrogates are allowed."""
    return np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def text_offsets(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """Where each text begins in `code_points`, and the end of the last, shape [texts + 1]."""
    return np.cumsum([0, *(len(text) for text in texts)], dtype=np.int64)


def dictionary_for(codes: npt.NDArray[np.uint32]) -> Dictionary:
    """jieba's dictionary where there are ideographs, else an empty one (the full one takes time to load)."""
    has_ideographs = bool(((codes >= 0x4E00) & (codes <= 0x9FD5)).any())
    return chinese_dictionary() if has_ideographs else no_dictionary()


@numba.njit(cache=True)
def hash_span(codes: Codes, first: int, last: int) -> Any:
    """A 64-bit hash of codes[first:last]."""
    key = _SEED
    for at in range(first, last):
        key = (key ^ np.uint64(codes[at])) * _PRIME
    return mix(key)


@numba.njit(cache=True)
def mix(key: Any) -> Any:
    """Spread a 64-bit number's information over all its bits (the finaliser of MurmurHash3)."""
    key = (key ^ (key >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    key = (key ^ (key >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return key ^ (key >> np.uint64(33))


@numba.njit(cache=True)
def _joins(codes: Codes, at: int, last: int, table: Table) -> bool:
    """Whether the punctuation at `at` stands inside a word: between letters or between digits."""
    code = codes[at]
    if at + 1 >= last:
        return False
    if code != _APOSTROPHE and code != _RIGHT_QUOTE and code != _FULL_STOP and code != _COMMA:
        return False
    before, after = table[codes[at - 1]], table[codes[at + 1]]
    if not after & WORD:
        return False
    between_digits = before & DIGIT and after & DIGIT
    return between_digits or (code != _COMMA and before & ALPHABETIC and after & ALPHABETIC)


@numba.njit(cache=True)
def split_span(
    codes: Codes, first: int, last: int, table: Table, dictionary: Dictionary, starts: Positions, ends: Positions
) -> int:
    """Write the bounds of the words of codes[first:last] and return their number."""
    count, at = 0, first
    while at < last:
        kind = table[codes[at]]
        stop = at + 1
        if kind & SPACE:
            at = stop
            continue
        if kind & HAN:
            while stop < last and stop - at < LONGEST_RUN and table[codes[stop]] & HAN:
                stop += 1
            found = segment(codes, at, stop, dictionary, ends[count:])
            starts[count] = at
            for k in range(1, found):
                starts[count + k] = ends[count + k - 1]
            count += found
            at = stop
            continue
        if kind & WORD:
            while stop < last and (table[codes[stop]] & WORD or _joins(codes, stop, last, table)):
                stop += 1
        elif not kind & IDEOGRAPH:
            while stop < last and codes[stop] == codes[at]:
                stop += 1
        starts[count], ends[count] = at, stop
        count += 1
        at = stop
    return count


@numba.njit(cache=True)
def has_content(codes: Codes, first: int, last: int, table: Table) -> bool:
    """Whether a word has a letter, mark or digit, and is not punctuation alone."""
    for at in range(first, last):  # noqa: SIM110 - compiled
        if table[codes[at]] & CONTENT:
            return True
    return False


@numba.njit(cache=True)
def _count(codes: Codes, offsets: Positions, table: Table, dictionary: Dictionary) -> Positions:
    counts = np.zeros(offsets.size - 1, dtype=np.int64)
    longest = np.max(np.diff(offsets)) if counts.size else 0
    starts, ends = np.empty(longest, dtype=np.int64), np.empty(longest, dtype=np.int64)
    for text in range(counts.size):
        total = split_span(codes, offsets[text], offsets[text + 1], table, dictionary, starts, ends)
        for k in range(total):
            counts[text] += has_content(codes, starts[k], ends[k], table)
    return counts
