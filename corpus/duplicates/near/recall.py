"""What share of pairs bands find and signatures confirm, computed beforehand."""

from __future__ import annotations

import math

import numpy as np

from corpus.duplicates.near.minhash import Banding


def verified_by_signature(banding: Banding, similarity: float, threshold: float) -> float:
    """The probability that a pair of this Jaccard similarity shares a band and at least `threshold` of all hashes.

    Hashes agree independently, each with probability `similarity`: the number of equal ones is binomial, and
    without those numbers that come with no band whole it is the number where a band is shared.
    """
    whole = _binomial(banding.rows, similarity)
    broken = whole.copy()
    broken[-1] = 0.0
    least = math.ceil(threshold * banding.bands * banding.rows - 1e-9)
    found = _sum_of(whole, banding.bands)[least:].sum() - _sum_of(broken, banding.bands)[least:].sum()
    return float(np.clip(found, 0.0, 1.0))


def _binomial(count: int, probability: float) -> np.ndarray:
    """The probability of every number of successes in so many trials; shape [count + 1]."""
    found = np.ones(1)
    for _ in range(count):
        found = np.convolve(found, [1 - probability, probability])
    return found


def _sum_of(one: np.ndarray, count: int) -> np.ndarray:
    """The distribution of the sum of so many independent numbers, each distributed as `one`."""
    found = np.ones(1)
    for bit in f"{count:b}":
        found = np.convolve(found, found)
        if bit == "1":
            found = np.convolve(found, one)
    return found
