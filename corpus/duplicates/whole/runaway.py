"""How far the documents of a cluster are from each other, and which clusters have run away along a chain."""

from __future__ import annotations

import numpy as np
import polars as pl

LARGE = 100  # documents
FAR = 0.5  # similarity with the kept document
SHARE = 0.1
CRITERIA = f"{LARGE} documents or more, {SHARE:.0%} of them with less than {FAR:g} of similarity with the kept one"


FIGURES = ("members", "lowest_edge", "lowest_jaccard", "fewest_shared", "runaway")


def lowest_edges(clusters: np.ndarray, joined: np.ndarray, similarity: np.ndarray) -> np.ndarray:
    """Per member the lowest similarity of a pair that joined its cluster, 1 where all its sets are equal.

    `clusters` [members]: a name of each one's cluster; `joined`, `similarity` [pairs]: the cluster of each pair.
    """
    names, members_of = np.unique(clusters, return_inverse=True)
    lowest = np.ones(len(names))
    np.minimum.at(lowest, np.searchsorted(names, joined), similarity)
    return lowest[members_of]


def figures(
    kept: np.ndarray, similarity: np.ndarray, lowest_edge: np.ndarray, shingles: np.ndarray
) -> pl.DataFrame:
    """What is said of each member's cluster, by the names of FIGURES.

    All [members]; `kept`: the place of the member that is kept, `similarity` with it, `shingles` how many it has.
    `fewest_shared`: the least number of shingles that a member has in common with the kept one.
    """
    # J = s / (a + b - s) says how many shingles s two sets of a and b share.
    shared = np.rint((shingles + shingles[kept]) * similarity / (1 + similarity)).astype(np.int64)
    places, cluster, members = np.unique(kept, return_inverse=True, return_counts=True)
    lowest, fewest = np.ones(len(places)), np.full(len(places), np.iinfo(np.int64).max)
    np.minimum.at(lowest, cluster, similarity)
    np.minimum.at(fewest, cluster, shared)
    far = np.bincount(cluster, weights=similarity < FAR, minlength=len(places))
    runaway = (members >= LARGE) & (far >= SHARE * members)
    columns = (members[cluster].astype(np.int64), lowest_edge, lowest[cluster], fewest[cluster], runaway[cluster])
    return pl.DataFrame(dict(zip(FIGURES, columns, strict=True)))
