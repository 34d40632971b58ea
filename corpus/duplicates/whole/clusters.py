"""Clusters from joined documents: their members, which of them is kept, and how much it resembles the others."""

from __future__ import annotations

import numpy as np
import polars as pl

from corpus.duplicates.near.linking import Links
from corpus.duplicates.near.similarity import similarities
from corpus.duplicates.runs import runs
from corpus.duplicates.whole.signed import Signed, rising

EXACT, NEAR = "exact_duplicate", "near_duplicate"


def find_members(roots: np.ndarray) -> np.ndarray:
    """The rows of all that are in a cluster of two or more, rising; `roots` [rows]: the root of each document."""
    several = np.zeros(len(roots), dtype=bool)
    others = np.flatnonzero(roots != np.arange(len(roots), dtype=roots.dtype))
    several[others] = True
    several[roots[others]] = True
    return np.flatnonzero(several)


def kept_places(clusters: np.ndarray, ranks: np.ndarray, aside: np.ndarray) -> np.ndarray:
    """For each member the place of the one to keep in its cluster: of the lowest rank, the first of several.

    `clusters` [members]: equal within a cluster. `ranks` [members] float64. `aside` [members]: who is not kept
    as long as there is another.
    """
    order = np.lexsort((ranks, aside, clusters))  # stable: the first of equal ranks comes first
    ordered = clusters[order]
    new = np.append(True, ordered[1:] != ordered[:-1])[: len(order)]
    kept = np.empty(len(order), dtype=np.int64)
    kept[order] = order[np.flatnonzero(new)][np.cumsum(new) - 1]
    return kept


def resemblance(signed: Signed, rows: np.ndarray, kept: np.ndarray, sets: np.ndarray, memory: int) -> np.ndarray:
    """The similarity of each member with the kept one, 1 where their sets are equal; shape [members].

    `rows` [members], `kept` [members] their places; `sets` [members]: equal where the sets are. Members are taken
    cluster by cluster, so many that their sets fit `memory` bytes.
    """
    found = np.ones(len(rows))
    differ = np.flatnonzero(sets != sets[kept])
    differ = differ[np.argsort(kept[differ], kind="stable")]
    sizes = 4 * (signed.sizes[rows[differ]].astype(np.int64) + signed.sizes[rows[kept[differ]]])
    for first, last in runs(sizes, memory):
        left, right = rows[differ[first:last]], rows[kept[differ[first:last]]]
        distinct = rising(left, right)
        places = np.searchsorted(distinct, left), np.searchsorted(distinct, right)
        found[differ[first:last]] = similarities(*places, *signed.sets(distinct), signed.by_signature)
    return found


def star_resemblance(spokes: Links, sets: np.ndarray) -> np.ndarray:
    """The similarity of each member with the centre of its star, 1 where their sets are equal; shape [members].

    `sets` [members]: the first row with the same set.
    """
    found = np.ones(len(sets))
    order = np.argsort(spokes.right)
    ends = spokes.right[order]
    others = np.flatnonzero(np.isin(sets, ends))
    found[others] = spokes.similarity[order][np.searchsorted(ends, sets[others])]
    return found


def cluster_sizes(kept: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """How many documents each member's cluster stands for, [members]; `kept`: the place of its kept member."""
    places, members_of = np.unique(kept, return_inverse=True)
    sizes = np.zeros(len(places), dtype=np.int64)
    np.add.at(sizes, members_of, weights)
    return np.asarray(sizes[members_of])


def decide(
    signed: Signed, rows: np.ndarray, kept: np.ndarray, repeated: np.ndarray, *, keep_none: bool
) -> pl.DataFrame:
    """What becomes of members of clusters; `cluster` names the kept one: its id, with `#row` where it is repeated.

    `rows`, `kept` [members]: the row of each, and of the one that is kept in its place. `repeated` [rows]: whether
    another document has the same id.
    """
    needed = rising(rows, kept)
    named = pl.when(pl.Series(repeated[needed])).then(pl.format("{}#{}", "id", "row")).otherwise("id")
    known = signed.gather(needed, ["id", "text_0", "text_1"]).with_columns(row=pl.Series(needed, dtype=pl.Int64))
    own, centre = (
        known[np.searchsorted(needed, rows)],
        known.with_columns(name=named)[np.searchsorted(needed, kept)],
    )
    same_text = (own["text_0"] == centre["text_0"]) & (own["text_1"] == centre["text_1"])
    return own.select(
        "row",
        pl.Series("keep", np.zeros(len(kept), dtype=bool) if keep_none else rows == kept),
        pl.lit(None, pl.String).alias("kept_id") if keep_none else centre["id"].alias("kept_id"),
        centre["name"].alias("cluster"),
        reason=pl.when(same_text).then(pl.lit(EXACT)).otherwise(pl.lit(NEAR)),
    )
