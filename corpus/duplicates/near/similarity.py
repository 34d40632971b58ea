"""How much two documents resemble each other: Jaccard similarity of sets, or the share of equal hashes.

Documents are given one behind the other, as `Signed.sets` does: sorted sets, or signatures (`by_signature`).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from corpus.duplicates.near.minhash import jaccard


@njit(cache=True)
def similarity_from(
    values: np.ndarray, offsets: np.ndarray, i: int, j: int, threshold: float, by_signature: bool
) -> float:
    """The similarity of documents i and j, or 0 as soon as it is known to be below `threshold`."""
    left, right = values[offsets[i] : offsets[i + 1]], values[offsets[j] : offsets[j + 1]]
    if by_signature:
        return share_of_equals(left, right)
    most = min(len(left), len(right))
    least = least_shared(len(left), len(right), threshold)
    if least > most:
        return 0.0
    shared = first = second = 0
    spare_left, spare_right = len(left) - least, len(right) - least  # how many may have no partner
    while first < len(left) and second < len(right):
        if left[first] == right[second]:
            shared += 1
            first += 1
            second += 1
        elif left[first] < right[second]:
            first += 1
            if first - shared > spare_left:
                return 0.0
        else:
            second += 1
            if second - shared > spare_right:
                return 0.0
    union = len(left) + len(right) - shared
    return shared / union if union and shared >= least else 0.0


@njit(cache=True)
def least_shared(left: int, right: int, threshold: float) -> int:
    """How many values sets of these sizes must share for a Jaccard similarity of at least `threshold`."""
    total = left + right
    shared = max(0, math.floor(threshold * total / (1 + threshold)) - 1)
    while shared < total - shared and shared / (total - shared) < threshold:
        shared += 1
    return shared


@njit(cache=True)
def share_of_equals(left: np.ndarray, right: np.ndarray) -> float:
    """The share of places at which two signatures of the same length agree."""
    equal = 0
    for place in range(len(left)):
        equal += left[place] == right[place]
    return equal / len(left) if len(left) else 0.0


@njit(cache=True)
def similarities(
    left: np.ndarray, right: np.ndarray, values: np.ndarray, offsets: np.ndarray, by_signature: bool
) -> np.ndarray:
    """The similarity of pairs of documents (float64)."""
    found = np.empty(len(left), dtype=np.float64)
    for pair in range(len(left)):
        first = values[offsets[left[pair]] : offsets[left[pair] + 1]]
        second = values[offsets[right[pair]] : offsets[right[pair] + 1]]
        found[pair] = share_of_equals(first, second) if by_signature else jaccard(first, second)
    return found
