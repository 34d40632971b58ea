"""A Bloom filter of blocks: every key has all its bits in one line of the processor's cache.

Putze, Sanders and Singler 2007, "Cache-, hash- and space-efficient Bloom filters", section 3. For the same rate of
false positives it takes some more bits than a plain filter, and one access to memory instead of one a bit.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numba import njit

from corpus.duplicates.near.shingles import mix

Blocks = npt.NDArray[np.uint64]
Keys = npt.NDArray[np.uint64]

BLOCK_BYTES = 64
_BLOCK_BITS = 8 * BLOCK_BYTES
_WORDS = 8  # of 64 bits in a block
_PLACE = np.uint64(_BLOCK_BITS - 1)
_PLACE_BITS = np.uint64(9)
_PLACES_IN_A_WORD = 7
_MOST_PROBES = 28
_STEP = np.uint64(0xD1B54A32D192ED03)


def choose_size(keys: int, rate: float) -> tuple[int, int]:
    """The number of blocks, and of bits a key, for so many different keys and that rate of false positives."""
    per_key, probes = _bits_a_key(rate)
    return max(1, math.ceil(keys * per_key / _BLOCK_BITS)), probes


def new_filter(blocks: int) -> Blocks:
    """An empty filter, shape [blocks, words of 64 bits]."""
    return np.zeros((blocks, _WORDS), dtype=np.uint64)


def false_positive_rate(blocks: Blocks, probes: int) -> float:
    """The rate at which a filter takes a key for one that it has, from how full each of its blocks is."""
    total = 0.0
    for first in range(0, len(blocks), 1 << 16):
        full = np.bitwise_count(blocks[first : first + (1 << 16)]).sum(axis=1) / _BLOCK_BITS
        total += float((full**probes).sum())
    return total / len(blocks)


@lru_cache(maxsize=16)
def _bits_a_key(rate: float) -> tuple[float, int]:
    """The fewest bits a key (in steps of a quarter), and probes, that reach a rate; `expected_rate`."""
    bits = 1.0
    while True:
        probes = min(range(1, _MOST_PROBES + 1), key=lambda count: expected_rate(bits, count))
        if expected_rate(bits, probes) <= rate:
            return bits, probes
        bits += 0.25


def expected_rate(bits: float, probes: int) -> float:
    """The rate of false positives of a filter with so many bits and probes a key, when all keys are in it.

    A block's number of keys is a Poisson variable (Putze et al., equation 3).
    """
    mean = _BLOCK_BITS / bits
    load = np.arange(int(mean + 12 * math.sqrt(mean) + 12))
    logarithms = load * math.log(mean) - mean - np.array([math.lgamma(one + 1) for one in load])
    full = 1 - (1 - 1 / _BLOCK_BITS) ** (probes * load)
    return float((np.exp(logarithms) * full**probes).sum())


@njit(cache=True)
def count_present(blocks: Blocks, probes: int, keys: Keys) -> int:
    """How many of some keys are in the filter, by what it knows."""
    found = 0
    for number in range(len(keys)):
        key = keys[number]
        block = _block(blocks, key)
        places, present = mix(key + _STEP), np.uint64(1)
        for probe in range(probes):
            if probe % _PLACES_IN_A_WORD == 0 and probe:
                places = mix(key + _STEP * np.uint64(probe))
            place = places & _PLACE
            present &= blocks[block, place >> np.uint64(6)] >> (place & np.uint64(63))
            places >>= _PLACE_BITS
        found += int(present)
    return found


@njit(cache=True)
def insert(blocks: Blocks, probes: int, keys: Keys) -> int:
    """Put keys into the filter; how many it did not have before."""
    new = 0
    for number in range(len(keys)):
        key = keys[number]
        block = _block(blocks, key)
        places, changed = mix(key + _STEP), False
        for probe in range(probes):
            if probe % _PLACES_IN_A_WORD == 0 and probe:
                places = mix(key + _STEP * np.uint64(probe))
            place = places & _PLACE
            bit = np.uint64(1) << (place & np.uint64(63))
            changed |= (blocks[block, place >> np.uint64(6)] & bit) == 0
            blocks[block, place >> np.uint64(6)] |= bit
            places >>= _PLACE_BITS
        new += changed
    return new


@njit(cache=True, inline="always")
def _block(blocks: Blocks, key: np.uint64) -> np.uint64:
    return ((key >> np.uint64(32)) * np.uint64(len(blocks))) >> np.uint64(32)
