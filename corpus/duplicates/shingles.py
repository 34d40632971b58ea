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

import numpy as np
from numba import njit

from corpus.duplicates.normalised import Utf8, decode

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


def shingle_sets(normalised: Utf8, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The set of hashed `size`-grams of words of each text (`normalise_texts`).

    Returns the sets one behind the other (uint32, each sorted, without repeats) and where each begins and the
    last ends (int64, texts + 1). A text of fewer than `size` words has one shingle, all its words; a text
    without words has none. Hashes have 32 bits: two sets of n shingles share n² / 2³² by chance.
    """
    values, ends = _shingle(*normalised, word_classes(), size)
    for first, last in pairwise(ends.tolist()):
        values[first:last].sort()  # numpy's sort is several times faster than a compiled one
    return _without_repeats(values, ends)


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


def quick_keys(texts: Utf8) -> np.ndarray:
    """128-bit keys (uint64, [texts, 2]) that are equal for equal texts; not for texts made to have the same."""
    return _quick_keys(*texts)


@njit(cache=True)
def _quick_keys(data: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    keys = np.empty((len(offsets) - 1, 2), dtype=np.uint64)
    for text in range(len(offsets) - 1):
        at, last = offsets[text], offsets[text + 1]
        first, second = np.uint64(last - at), _FNV_OFFSET
        while at < last:
            word = np.uint64(0)
            for place in range(at, min(at + 8, last)):
                word = word << np.uint64(8) | np.uint64(data[place])
            first = mix(first + word)
            second = (second ^ word) * _SHINGLE_FACTOR
            second ^= second >> np.uint64(32)
            at += 8
        keys[text, 0], keys[text, 1] = first, mix(second)
    return keys


@njit(cache=True)
def _words(data: np.ndarray, first: int, last: int, classes: np.ndarray, words: np.ndarray) -> int:
    """Write the hash of each word of data[first:last] to `words` and return their number."""
    count = 0
    inside = False
    value = _FNV_OFFSET
    at = first
    while at < last:
        code, at = decode(data, at)
        kind = classes[code]
        if inside and kind != LETTER:
            words[count] = mix(value)
            count += 1
            inside = False
        if kind == IDEOGRAPH:
            words[count] = mix((_FNV_OFFSET ^ np.uint64(code)) * _FNV_PRIME)
            count += 1
        elif kind == LETTER:
            if not inside:
                value = _FNV_OFFSET
                inside = True
            value = (value ^ np.uint64(code)) * _FNV_PRIME
    if inside:
        words[count] = mix(value)
        count += 1
    return count


@njit(cache=True)
def _shingle(
    data: np.ndarray, offsets: np.ndarray, classes: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """The shingles of each text in their order, with repeats, and where each text's end."""
    longest = 0
    for text in range(len(offsets) - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    words = np.empty(longest + 1, dtype=np.uint64)
    values = np.empty(len(data) + len(offsets), dtype=np.uint32)
    ends = np.zeros(len(offsets), dtype=np.int64)
    total = 0
    for text in range(len(offsets) - 1):
        count = _words(data, offsets[text], offsets[text + 1], classes, words)
        width = min(size, count)
        for first in range(count - width + 1 if count else 0):
            value = np.uint64(0)
            for word in range(first, first + width):
                value = value * _SHINGLE_FACTOR + words[word]
            values[total] = np.uint32(mix(value) >> np.uint64(32))
            total += 1
        ends[text + 1] = total
    return values[:total].copy(), ends


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
