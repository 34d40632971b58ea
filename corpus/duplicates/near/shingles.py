"""Texts as sets of hashed word n-grams.

A word is a run of letters, marks and digits; in scripts that write no spaces (Chinese, Japanese, Thai, Lao,
Burmese, Khmer) every character is a word of its own, so that a Chinese 5-gram is five characters. Everything
else only separates.
"""

from __future__ import annotations

import sys
import unicodedata
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import polars as pl
from numba import njit

from corpus.duplicates.normalised import (
    DEPENDS,
    LONGEST,
    SEVERAL,
    SPACE,
    Utf8,
    characters,
    decode,
    normalise_whole,
    utf8,
)

SEPARATOR, LETTER, IDEOGRAPH = 0, 1, 2
UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # 々〆〇
    (0x3040, 0x30FF),  # kana
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
_FNV_OFFSET = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)
_SHINGLE_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_ONE = np.uint64(1)
_WHITE, _WORD, _NOT_ASCII = 128, 256, 512
_BEYOND = np.uint64(512)  # added to other characters, so that none is like one of ASCII


class ShingleSets(NamedTuple):
    """The sets of some texts, one behind the other, and a key of each text.

    `values` (uint32): each set sorted, without repeats; `offsets` (int64, [texts + 1]): where each begins and the
    last ends. `text_keys` (uint64, [texts, 2]) are equal for texts that are equal once normalised; not for texts
    made to have the same.
    """

    values: np.ndarray
    offsets: np.ndarray
    text_keys: np.ndarray


def shingle_sets(texts: pl.Series, size: int) -> ShingleSets:
    """The set of hashed `size`-grams of words of each text, normalised as `exact.normalise` does.

    A text of fewer than `size` words has one shingle, all its words; a text without words has none. Hashes have
    32 bits: two sets of n shingles share n² / 2³² by chance.
    """
    shingles, aside = _shingles(utf8(texts), False, size)
    if len(aside):
        others = utf8(pl.Series([normalise_whole(texts[row]).decode() for row in aside.tolist()]))
        shingles = _put_in(shingles, aside, _shingles(others, True, size)[0])
    for first, last in pairwise(shingles.offsets.tolist()):
        shingles.values[first:last].sort()  # numpy's sort is several times faster than a compiled one
    return ShingleSets(*_without_repeats(shingles.values, shingles.offsets), shingles.text_keys)


def _shingles(texts: Utf8, normalised: bool, size: int) -> tuple[ShingleSets, np.ndarray]:
    """The shingles in the order of the texts, with repeats, and the numbers of the texts left out.

    These have a character that depends on its neighbours: they must be `normalised` before.
    """
    tables = *characters(), ascii_characters(), word_classes()
    values, ends, keys, aside = _shingle(*texts, normalised, *tables, size)
    return ShingleSets(values, ends, keys), aside


def _put_in(shingles: ShingleSets, rows: np.ndarray, others: ShingleSets) -> ShingleSets:
    """Give the texts of these rows, which have no shingles so far, those of `others`."""
    places = np.repeat(shingles.offsets[rows], np.diff(others.offsets))
    offsets = shingles.offsets.copy()
    offsets[1:] += np.cumsum(np.bincount(rows, np.diff(others.offsets), len(offsets) - 1)).astype(np.int64)
    shingles.text_keys[rows] = others.text_keys
    return ShingleSets(np.insert(shingles.values, places, others.values), offsets, shingles.text_keys)


@cache
def word_classes() -> np.ndarray:
    """Per code point: separator, letter, or a word of its own (uint8)."""
    classes = np.zeros(sys.maxunicode + 1, dtype=np.uint8)
    for code in range(sys.maxunicode + 1):
        if unicodedata.category(chr(code))[0] in "LMN":
            classes[code] = LETTER
    for first, last in UNSPACED:
        block = classes[first : last + 1]
        block[block == LETTER] = IDEOGRAPH
    return classes


@njit(cache=True)
def mix(value: np.uint64) -> np.uint64:
    """The finaliser of SplitMix64 (Steele et al. 2014): every bit of the result depends on all of `value`."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@cache
def ascii_characters() -> np.ndarray:
    """What each byte becomes (uint16): lower case, of letters and digits plus _WORD; _WHITE, or _NOT_ASCII."""
    table = np.full(256, _NOT_ASCII, dtype=np.uint16)
    for code in range(128):
        lower = chr(code).lower()
        table[code] = _WHITE if lower.isspace() else ord(lower) + (_WORD if lower.isalnum() else 0)
    return table


@njit(cache=True)
def _trimmed(data: np.ndarray, first: int, last: int, table: np.ndarray) -> tuple[int, int]:
    """Where a text begins and ends without the white space around it."""
    while first < last:
        code, following = decode(data, first)
        if table[code] != SPACE:
            break
        first = following
    while last > first:
        at = last - 1
        while data[at] & 0xC0 == 0x80:
            at -= 1
        if table[decode(data, at)[0]] != SPACE:
            break
        last = at
    return first, last


@njit(cache=True)
def _words(
    data: np.ndarray,
    first: int,
    last: int,
    normalised: bool,
    table: np.ndarray,
    several: np.ndarray,
    plain: np.ndarray,
    classes: np.ndarray,
    words: np.ndarray,
) -> tuple[int, np.uint64]:
    """Write the hash of each word of data[first:last] to `words`; return their number and a key of the text.

    A number of -1: the text has a character that depends on its neighbours.
    """
    first, last = _trimmed(data, first, last, table)
    count, at, end = np.uint64(0), np.uint64(first), np.uint64(last)
    # Flags are numbers, and nothing branches on them where a text is ASCII: where words end cannot be predicted.
    inside = space = np.uint64(0)
    value, key = _FNV_OFFSET, _FNV_OFFSET
    while at < end:
        code = np.uint64(plain[data[at]])
        if code < _NOT_ASCII:
            at += _ONE
            letter, white = code >> np.uint64(8), code >> np.uint64(7) & _ONE
            words[count] = value
            count += inside & ~letter
            value = (value ^ code) * _FNV_PRIME if letter else _FNV_OFFSET
            inside = letter
            again = white & space
            key = (key ^ (np.uint64(0) if again else code)) * (_ONE if again else _SHINGLE_FACTOR)
            space = white
            continue
        original, following = decode(data, int(np.int64(at)))
        at = np.uint64(following)
        becomes = np.int64(table[original])
        if normalised and becomes != SPACE:
            becomes = np.int64(original)
        if becomes == SPACE:
            words[count] = value
            count += inside
            value, inside = _FNV_OFFSET, np.uint64(0)
            if not space:
                key = (key ^ np.uint64(_WHITE)) * _SHINGLE_FACTOR
            space = _ONE
            continue
        if becomes == DEPENDS:
            return -1, key
        for place in range(LONGEST):
            single = becomes < SEVERAL
            now = becomes if single else np.int64(several[becomes - SEVERAL, place])
            if not single and now == 0:
                break
            code = np.uint64(plain[now]) if now < 128 else np.uint64(now) + _BEYOND
            key = (key ^ code) * _SHINGLE_FACTOR
            space = np.uint64(0)
            kind = classes[now]
            if kind == LETTER:
                value = (value ^ code) * _FNV_PRIME
                inside = _ONE
            else:
                words[count] = value
                count += inside
                if kind == IDEOGRAPH:
                    words[count] = (_FNV_OFFSET ^ code) * _FNV_PRIME
                    count += _ONE
                value, inside = _FNV_OFFSET, np.uint64(0)
            if single:
                break
    words[count] = value
    return int(np.int64(count + inside)), key


@njit(cache=True)
def _shingle(
    data: np.ndarray,
    offsets: np.ndarray,
    normalised: bool,
    table: np.ndarray,
    several: np.ndarray,
    plain: np.ndarray,
    classes: np.ndarray,
    size: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The shingles of each text in their order, with repeats, where each text's end, keys, and who is left out."""
    texts = len(offsets) - 1
    longest = 0
    for text in range(texts):
        longest = max(longest, offsets[text + 1] - offsets[text])
    words = np.empty(longest + 1, dtype=np.uint64)
    values = np.empty(offsets[-1] - offsets[0] + texts, dtype=np.uint32)
    ends, keys = np.zeros(texts + 1, dtype=np.int64), np.empty((texts, 2), dtype=np.uint64)
    aside = np.empty(texts, dtype=np.int64)
    total = left_out = 0
    for text in range(texts):
        count, key = _words(
            data, offsets[text], offsets[text + 1], normalised, table, several, plain, classes, words
        )
        if count < 0:
            aside[left_out] = text
            left_out += 1
        else:
            total, other = _ngrams(words[:count], min(size, count), values, total)
            keys[text, 0], keys[text, 1] = mix(key), mix((key ^ other) + _SHINGLE_FACTOR)
        ends[text + 1] = total
    return values[:total].copy(), ends, keys, aside[:left_out].copy()


@njit(cache=True)
def _ngrams(words: np.ndarray, width: int, values: np.ndarray, total: int) -> tuple[int, np.uint64]:
    """Write the hash of each run of `width` words to `values` from `total` on.

    Returns where the next one goes, and a key of all words.
    """
    value, key, leaving = np.uint64(0), np.uint64(0), np.uint64(1)
    for _ in range(width):
        leaving *= _SHINGLE_FACTOR
    for place in range(len(words)):
        words[place] = mix(words[place])
        key = (key ^ words[place]) * _FNV_PRIME
        value = value * _SHINGLE_FACTOR + words[place]
        if place >= width:
            value -= words[place - width] * leaving
        if place >= width - 1:
            values[total] = np.uint32(mix(value) >> np.uint64(32))
            total += 1
    return total, key


@njit(cache=True)
def _without_repeats(values: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sorted runs with every value once."""
    kept = np.zeros(len(ends), dtype=np.int64)
    total = 0
    for text in range(len(ends) - 1):
        for place in range(ends[text], ends[text + 1]):
            if place == ends[text] or values[place] != values[place - 1]:
                values[total] = values[place]
                total += 1
        kept[text + 1] = total
    return values[:total].copy(), kept
