"""Candidate pairs from bands, verified and joined."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from corpus.duplicates.minhash import jaccard
from corpus.duplicates.union_find import find, new_sets, unite
from corpus.duplicates.union_find import roots as all_roots

_ALL_PAIRS = 64  # members of a bucket of which all pairs are compared
_REPRESENTATIVES = 64  # with how many a member of a larger bucket is compared


@dataclass(frozen=True)
class Links:
    """Sets joined: `roots` per item, and the verified pairs that joined them with their Jaccard similarity."""

    roots: np.ndarray
    left: np.ndarray
    right: np.ndarray
    similarity: np.ndarray


def shared_bands(bands: np.ndarray) -> np.ndarray:
    """Which items (rows of uint64 [items, bands]) share a band with another item: bool."""
    found = np.zeros(len(bands), dtype=bool)
    for band in range(bands.shape[1]):
        keys, inverse, counts = np.unique(bands[:, band], return_inverse=True, return_counts=True)
        if len(keys) < len(bands):
            found |= counts[inverse] > 1
    return found


def link(bands: np.ndarray, values: np.ndarray, offsets: np.ndarray, threshold: float) -> Links:
    """Join the items that share a band and whose sets have a Jaccard similarity of at least `threshold`.

    The items of a bucket are compared in pairs; in a bucket of more than 64, each with up to 64 that no
    earlier one of them resembles, so that the work grows with the number of items and not with its square.
    Pairs that are joined already are not compared. The result depends on the order of the items alone.
    """
    count = len(bands)
    parents = new_sets(count)
    left, right = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    similarity = np.empty(count, dtype=np.float64)
    edges = 0
    for band in range(bands.shape[1]):
        order = np.argsort(bands[:, band], kind="stable")
        keys = bands[order, band]
        starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]])
        stops = np.r_[starts[1:], count]
        several = stops - starts > 1
        edges = _link_band(
            order,
            starts[several],
            stops[several],
            parents,
            values,
            offsets,
            threshold,
            left,
            right,
            similarity,
            edges,
        )
    return Links(all_roots(parents), left[:edges], right[:edges], similarity[:edges])


@njit(cache=True)
def similarities(left: np.ndarray, right: np.ndarray, values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The Jaccard similarity of pairs of items (float64)."""
    found = np.empty(len(left), dtype=np.float64)
    for pair in range(len(left)):
        i, j = left[pair], right[pair]
        found[pair] = jaccard(values[offsets[i] : offsets[i + 1]], values[offsets[j] : offsets[j + 1]])
    return found


@njit(cache=True)
def _link_band(
    order: np.ndarray,
    starts: np.ndarray,
    stops: np.ndarray,
    parents: np.ndarray,
    values: np.ndarray,
    offsets: np.ndarray,
    threshold: float,
    left: np.ndarray,
    right: np.ndarray,
    similarity: np.ndarray,
    edges: int,
) -> int:
    compared = np.empty(_ALL_PAIRS + _REPRESENTATIVES, dtype=np.int64)
    for bucket in range(len(starts)):
        all_pairs = stops[bucket] - starts[bucket] <= _ALL_PAIRS
        used = 0
        for position in range(starts[bucket], stops[bucket]):
            item = order[position]
            joined = False
            for index in range(used):
                other = compared[index]
                if find(parents, item) == find(parents, other):
                    joined = True
                elif all_pairs or not joined:
                    score = _similarity(values, offsets, item, other, threshold)
                    if score >= threshold and unite(parents, item, other):
                        left[edges], right[edges], similarity[edges] = other, item, score
                        edges += 1
                        joined = True
            if all_pairs or (not joined and used < _REPRESENTATIVES):
                compared[used] = item
                used += 1
    return edges


@njit(cache=True)
def _similarity(values: np.ndarray, offsets: np.ndarray, i: int, j: int, threshold: float) -> float:
    """Jaccard similarity, or 0 at once where the sizes alone keep it below `threshold`."""
    first, second = offsets[i + 1] - offsets[i], offsets[j + 1] - offsets[j]
    if min(first, second) / max(first, second) < threshold:
        return 0.0
    return jaccard(values[offsets[i] : offsets[i + 1]], values[offsets[j] : offsets[j + 1]])
