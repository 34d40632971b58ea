"""Paragraphs whose n-grams of words were seen before: DCLM's filter (Li et al. 2024; `old-both` in its code).

A paragraph is a line. A word is as in `shingles`: a run of letters, marks and digits, in lower case; in scripts
that write no spaces every character. DCLM's code takes Unicode's word boundaries, punctuation and case included.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numba import njit

from corpus.duplicates.lines.bloom_filter import Blocks, Keys, count_present, insert
from corpus.duplicates.lines.lines import Lines, Table
from corpus.duplicates.near.shingles import IDEOGRAPH, SEPARATOR, mix, word_classes
from corpus.duplicates.normalised import Bytes, Offsets, Utf8, decode
from corpus.text.characters import lower_table

Counts = npt.NDArray[np.uint32]

_SEPARATOR, _LETTER, _WORD = 0, 1 << 31, 1 << 30
_BASIS = np.uint64(0xCBF29CE484222325)
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def count_ngrams(texts: Utf8, lines: Lines, size: int) -> Counts:
    """How many n-grams of `size` words each line has; shape [lines]."""
    found = np.empty(len(lines.starts), dtype=np.uint32)
    _count(texts.data, lines.starts, lines.ends, _word_characters(), size, found)
    return found


def filter_paragraphs(
    texts: Utf8,
    lines: Lines,
    scopes: Keys,
    size: int,
    threshold: float,
    blocks: Blocks,
    probes: int,
) -> tuple[Counts, Counts, int]:
    """The n-grams of each line and how many of them were seen before, in the order of the lines.

    The n-grams of a line of which more than `threshold` were seen are left out; those of any other line go into
    the filter before the next one is looked at. `scopes` [texts] keeps n-grams of different scopes apart. Returns
    two arrays [lines], and how many n-grams were new to the filter.
    """
    ngrams, seen = (np.empty(len(lines.starts), dtype=np.uint32) for _ in range(2))
    of_line = np.repeat(scopes, np.diff(lines.firsts))
    new = _filter(
        texts.data,
        lines.starts,
        lines.ends,
        of_line,
        _word_characters(),
        size,
        threshold,
        blocks,
        probes,
        ngrams,
        seen,
    )
    return ngrams, seen, int(new)


@lru_cache(maxsize=1)
def _word_characters() -> Table:
    """What each code point is in words: a separator, or its lower case, with bits (letter, word of its own)."""
    classes, table = word_classes(), lower_table() | np.uint32(_LETTER)
    table[classes == IDEOGRAPH] |= np.uint32(_WORD)
    table[classes == SEPARATOR] = _SEPARATOR
    return table


@njit(cache=True)
def _split(data: Bytes, at: int, stop: int, table: Table, words: Keys) -> int:
    """Write the hash of each word of a line to `words` and return their number."""
    count = 0
    key, inside = _BASIS, False
    while at < stop:
        if data[at] < 0x80:
            seen = table[data[at]]
            at += 1
        else:
            code, at = decode(data, at)
            seen = table[code]
        alone = (seen & np.uint32(_WORD)) != 0
        if inside and (seen == _SEPARATOR or alone):
            words[count] = mix(key)
            count += 1
            key, inside = _BASIS, False
        if seen != _SEPARATOR:
            key = (key ^ np.uint64(seen)) * _FACTOR
            key ^= key >> np.uint64(32)
            inside = True
            if alone:
                words[count] = mix(key)
                count += 1
                key, inside = _BASIS, False
    if inside:
        words[count] = mix(key)
        count += 1
    return count


@njit(cache=True)
def _longest(starts: Offsets, ends: Offsets) -> int:
    longest = 0
    for line in range(len(starts)):
        longest = max(longest, ends[line] - starts[line])
    return longest


@njit(cache=True)
def _count(data: Bytes, starts: Offsets, ends: Offsets, table: Table, size: int, found: Counts) -> None:
    words = np.empty(_longest(starts, ends) + 1, dtype=np.uint64)
    for line in range(len(starts)):
        found[line] = max(0, _split(data, starts[line], ends[line], table, words) - size + 1)


@njit(cache=True)
def _filter(
    data: Bytes,
    starts: Offsets,
    ends: Offsets,
    scopes: Keys,
    table: Table,
    size: int,
    threshold: float,
    blocks: Blocks,
    probes: int,
    ngrams: Counts,
    seen: Counts,
) -> int:
    longest = _longest(starts, ends)
    words, keys = np.empty(longest + 1, dtype=np.uint64), np.empty(longest + 1, dtype=np.uint64)
    oldest = np.uint64(1)
    for _ in range(size):
        oldest *= _FACTOR
    new = 0
    for line in range(len(starts)):
        count = _split(data, starts[line], ends[line], table, words)
        value, number = np.uint64(0), 0
        for word in range(count):
            value = value * _FACTOR + words[word]
            if word >= size:
                value -= words[word - size] * oldest
            if word >= size - 1:
                keys[number] = mix(value ^ scopes[line])
                number += 1
        known = count_present(blocks, probes, keys[:number])
        ngrams[line], seen[line] = number, known
        if number and not known / number > threshold:
            new += insert(blocks, probes, keys[:number])
    return new
