"""MinHash signatures of sets and their bands.

Broder 1997; Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, sections 3.3 and 3.4.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from corpus.core.errors import UsageError
from corpus.duplicates.near.shingles import mix

HASHES = 112  # FineWeb's 14 bands of 8
_RECALL = 0.9


@dataclass(frozen=True)
class Banding:
    """A signature of `bands` × `rows` hashes; two sets become a candidate pair when one whole band agrees."""

    bands: int
    rows: int

    def probability(self, similarity: float) -> float:
        """The probability that two sets of this Jaccard similarity become a candidate pair."""
        return 1.0 - (1.0 - similarity**self.rows) ** self.bands


def choose_banding(threshold: float, hashes: int = HASHES) -> Banding:
    """The bands with most rows that find at least 90 % of the pairs just at `threshold` with `hashes` hashes.

    0.8 gives 14 × 8, the values of FineWeb (Penedo et al. 2024, section 3.4). Raises UsageError outside (0, 1].
    """
    if not 0 < threshold <= 1:
        raise UsageError("--threshold must be above 0, at most 1")
    choices = (Banding(hashes // rows, rows) for rows in range(hashes, 0, -1))
    return next((found for found in choices if found.probability(threshold) >= _RECALL), Banding(hashes, 1))


def signatures(values: np.ndarray, offsets: np.ndarray, hashes: int) -> np.ndarray:
    """MinHash signatures (uint32, [sets, hashes]) of sets given as by `shingle_sets`.

    The hash functions are the permutations a x + b mod 2³², a odd, of values that are hashes already, with
    constants that never change. An empty set has the greatest value everywhere.
    """
    a, b = _constants(hashes)
    return _signatures(values, offsets, a, b)


def band_keys(signed: np.ndarray, banding: Banding) -> np.ndarray:
    """A 64-bit key of every band (uint64, [sets, bands]) of signatures of bands × rows hashes."""
    return _band_keys(signed, banding.bands, banding.rows)


def set_keys(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """128-bit keys (uint64, [sets, 2]) that are equal for equal sets."""
    return _set_keys(values, offsets)


@njit(cache=True)
def jaccard(left: np.ndarray, right: np.ndarray) -> float:
    """|A ∩ B| / |A ∪ B| of two sorted arrays without repeats; 0 when both are empty."""
    shared = i = j = 0
    while i < len(left) and j < len(right):
        if left[i] == right[j]:
            shared += 1
            i += 1
            j += 1
        elif left[i] < right[j]:
            i += 1
        else:
            j += 1
    union = len(left) + len(right) - shared
    return shared / union if union else 0.0


@njit(cache=True)
def _constants(hashes: int) -> tuple[np.ndarray, np.ndarray]:
    a = np.empty(hashes, dtype=np.uint32)
    b = np.empty(hashes, dtype=np.uint32)
    for index in range(hashes):
        odd = mix(np.uint64(2 * index + 1) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32) | np.uint64(1)
        a[index] = np.uint32(odd)
        b[index] = np.uint32(mix(np.uint64(2 * index + 2) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32))
    return a, b


@njit(cache=True)
def _signatures(values: np.ndarray, offsets: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    signed = np.full((len(offsets) - 1, len(a)), np.uint32(0xFFFFFFFF), dtype=np.uint32)
    for item in range(len(offsets) - 1):
        row = signed[item]
        first, last = offsets[item], offsets[item + 1]
        # Four values at a time: the row is read and written a quarter as often, which is most of the work.
        whole = first + (last - first) // 4 * 4
        for at in range(first, whole, 4):
            v, w, x, y = values[at], values[at + 1], values[at + 2], values[at + 3]
            for k in range(len(a)):
                left = min(np.uint32(a[k] * v + b[k]), np.uint32(a[k] * w + b[k]))
                right = min(np.uint32(a[k] * x + b[k]), np.uint32(a[k] * y + b[k]))
                row[k] = min(row[k], min(left, right))
        for at in range(whole, last):
            for k in range(len(a)):
                row[k] = min(row[k], np.uint32(a[k] * values[at] + b[k]))
    return signed


@njit(cache=True)
def _band_keys(signed: np.ndarray, bands: int, rows: int) -> np.ndarray:
    keys = np.empty((len(signed), bands), dtype=np.uint64)
    for item in range(len(signed)):
        for band in range(bands):
            key = np.uint64(band)
            for row in range(band * rows, (band + 1) * rows):
                key = mix(key + np.uint64(signed[item, row]))
            keys[item, band] = key
    return keys


@njit(cache=True)
def _set_keys(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    keys = np.zeros((len(offsets) - 1, 2), dtype=np.uint64)
    for item in range(len(offsets) - 1):
        first, second = np.uint64(1), np.uint64(2)
        for position in range(offsets[item], offsets[item + 1]):
            value = mix(np.uint64(values[position]))
            first = (first ^ value) * np.uint64(0x9E3779B97F4A7C15)
            second = (second + value) * np.uint64(0xD6E8FEB86659FD93)
        keys[item, 0] = mix(first)
        keys[item, 1] = mix(second)
    return keys
