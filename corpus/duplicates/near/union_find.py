"""Disjoint sets on an integer array (Tarjan 1975, with path halving): the root of a set is its smallest member."""

from __future__ import annotations

import numpy as np
from numba import njit


def new_sets(count: int) -> np.ndarray:
    """`count` sets of one member each (int64)."""
    return np.arange(count, dtype=np.int64)


@njit(cache=True)
def find(parents: np.ndarray, member: int) -> int:
    """The root of a member's set."""
    while parents[member] != member:
        parents[member] = parents[parents[member]]
        member = parents[member]
    return member


@njit(cache=True)
def unite(parents: np.ndarray, left: int, right: int) -> bool:
    """Join the sets of two members; whether they were apart."""
    left, right = find(parents, left), find(parents, right)
    if left == right:
        return False
    if left < right:
        parents[right] = left
    else:
        parents[left] = right
    return True


@njit(cache=True)
def roots(parents: np.ndarray) -> np.ndarray:
    """The root of every member (int64)."""
    found = np.empty_like(parents)
    for member in range(len(parents)):
        found[member] = find(parents, member)
    return found
