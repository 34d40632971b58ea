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


def describe(signed: Signed, rows: np.ndarray, roots: np.ndarray, repeated: np.ndarray) -> pl.DataFrame:
    """A row a member: `row`, `root`, what signing knows of it, and its name: its id, with `#row` where repeated.

    `repeated` [rows]: whether another document has the same id.
    """
    columns = ["id", "rank", "weight", "shingles", "text_0", "text_1"]
    numbers = {"row": pl.Series(rows, dtype=pl.Int64), "root": pl.Series(roots[rows], dtype=pl.Int64)}
    named = pl.when(pl.Series(repeated[rows])).then(pl.format("{}#{}", "id", "row")).otherwise("id")
    return signed.gather(rows, columns).with_columns(**numbers).with_columns(named.alias("name"))


def decide(members: pl.DataFrame, kept: np.ndarray, similarity: np.ndarray, *, keep_none: bool) -> pl.DataFrame:
    """What becomes of each member of a cluster; `cluster` is the name of the kept one."""
    texts = members.select("text_0", "text_1").to_numpy()
    same_text = (texts == texts[kept]).all(axis=1)
    places, members_of = np.unique(kept, return_inverse=True)
    sizes = np.zeros(len(places), dtype=np.int64)
    np.add.at(sizes, members_of, members["weight"].to_numpy())
    return members.select(
        "row",
        pl.Series("keep", np.zeros(len(kept), dtype=bool) if keep_none else kept == np.arange(len(kept))),
        members["id"].gather(kept).alias("kept_id") if not keep_none else pl.lit(None, pl.String).alias("kept_id"),
        members["name"].gather(kept).alias("cluster"),
        pl.Series("cluster_size", sizes[members_of]),
        pl.Series("jaccard", similarity),
        pl.Series("reason", np.where(same_text, EXACT, NEAR), dtype=pl.String),
    )
