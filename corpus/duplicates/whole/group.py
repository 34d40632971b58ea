"""The second stage of `corpus dedup`: clusters from the signed documents, and which member to keep."""

from __future__ import annotations

import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.core.files import read_json, write_atomically, write_json
from corpus.core.inputs import Unit
from corpus.duplicates.near.linking import NO_LINKS, Links, link
from corpus.duplicates.near.matching import Matching
from corpus.duplicates.near.star import star_linkage
from corpus.duplicates.near.union_find import roots as all_roots
from corpus.duplicates.runs import runs
from corpus.duplicates.whole.clusters import (
    cluster_sizes,
    decide,
    find_members,
    kept_places,
    resemblance,
    star_resemblance,
)
from corpus.duplicates.whole.runaway import figures, lowest_edges
from corpus.duplicates.whole.signed import Signed, first_of_equals, rising

NO_BOUND = 1 << 60
_A_DOCUMENT = 20  # bytes that are held for every document
_A_MEMBER = 250  # bytes while what becomes of a member of a cluster is written
_EDGES = 1 << 17  # in a row group
_LEAST_SHARE = 8  # of a bound that libraries alone exceed


def assigned_path(output: Path, index: int) -> Path:
    """What becomes of a unit's members of clusters (`clusters.decide`); `row` counts within the unit."""
    return output / ".state" / "assigned" / f"unit-{index:05d}.parquet"


def group(
    output: Path,
    units: Sequence[Unit],
    matching: Matching | None,
    keep: str,
    memory: int = NO_BOUND,
    earlier: Sequence[Unit] = (),
) -> dict[str, Any]:
    """Find the clusters among the signed units, write a table per unit and the edges, and return the counts.

    `earlier`: units of another corpus, signed too, whose documents rank before all others (`keep.EARLIER`); only
    clusters with a document of `units` count, and only theirs are written.
    `memory`: bytes that the process may take, its libraries and 20 bytes a document included (some 100 a member of
    a cluster are not); what cannot be is as little as can be. The result does not depend on it.
    """
    done = output / ".state" / "grouped.json"
    if done.exists():
        return dict(read_json(done))
    signed = Signed(output, [*units, *earlier], matching.stored_hashes if matching else None)
    own = int(signed.starts[len(units)])
    memory = max(memory - _taken() - _A_DOCUMENT * signed.rows, memory // _LEAST_SHARE)
    repeated, later = _repeated_ids(signed, memory)
    equal_sets = first_of_equals(signed, ["set_0", "set_1"], memory)
    roots, links = _joined(signed, equal_sets, matching, keep, memory)
    rows = find_members(roots)
    rows = rows[np.isin(roots[rows], roots[rows[rows < own]])]
    numbers = signed.gather(rows, ["rank", "weight", "shingles"])
    sets = equal_sets[rows]
    starred = matching is not None and matching.linkage == "star"
    # A cluster's root is a row: of a star its centre's, which is kept.
    aside = sets != roots[rows] if starred else np.zeros(len(rows), dtype=bool)
    kept = kept_places(roots[rows], numbers["rank"].to_numpy(), aside)
    similarity = star_resemblance(links, sets) if starred else resemblance(signed, rows, kept, sets, memory)
    edges = lowest_edges(roots[rows], roots[links.left], links.similarity)
    about = figures(kept, similarity, edges, numbers["shingles"].to_numpy()).with_columns(
        cluster_size=cluster_sizes(kept, numbers["weight"].to_numpy()), jaccard=similarity
    )
    members = Members(rows, rows[kept], repeated, about, keep == "none")
    _write_assigned(output, units, signed, members, memory)
    _write_edges(output, signed, links, own, memory)
    counts = {
        "clusters": len(np.unique(kept)),
        "largest_cluster": int(np.bincount(kept).max(initial=min(1, signed.rows))),
        "duplicate_ids": int((later < own).sum()),
        "runaway_clusters": len(np.unique(kept[about["runaway"]])),
        "runaway_documents": int(about["runaway"].sum()),
    }
    if earlier:
        counts["removed_against"] = int(((rows < own) & (rows[kept] >= own)).sum())
    write_json(done, counts)
    return counts


def _taken() -> int:
    """Bytes that this process has taken at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _repeated_ids(signed: Signed, memory: int) -> tuple[np.ndarray, np.ndarray]:
    """Whether another document has the same id, [rows]; the rows that have the id of an earlier one."""
    firsts = first_of_equals(signed, ["id_key"], memory)
    later = np.flatnonzero(firsts != np.arange(signed.rows))
    repeated = np.zeros(signed.rows, dtype=bool)
    repeated[later] = True
    repeated[firsts[later]] = True
    return repeated, later


def _joined(
    signed: Signed, equal_sets: np.ndarray, matching: Matching | None, keep: str, memory: int
) -> tuple[np.ndarray, Links]:
    """A name for each document's cluster, [rows], and the verified pairs that made the clusters."""
    parents = equal_sets.copy()
    if matching is None:
        return all_roots(parents), NO_LINKS
    links = link(signed, matching.banding.bands, parents, matching.least, memory)
    roots = all_roots(parents)
    if matching.linkage == "single":
        return roots, links
    return star_linkage(signed, links, roots, equal_sets, matching, keep == "first", memory)


class Members(NamedTuple):
    """The members of all clusters, rising: their rows, the row kept in the place of each, what is said of them.

    `repeated` [rows]: whether another document has the same id.
    """

    rows: np.ndarray
    kept: np.ndarray
    repeated: np.ndarray
    about: pl.DataFrame
    keep_none: bool


def _write_assigned(output: Path, units: Sequence[Unit], signed: Signed, members: Members, memory: int) -> None:
    """A table for each unit. As many units at a time as fit the memory: their kept members lie in any unit."""
    bounds = np.searchsorted(members.rows, signed.starts[: len(units) + 1])
    for first, last in runs(np.diff(bounds) * _A_MEMBER, memory):
        piece = slice(bounds[first], bounds[last])
        decided = decide(
            signed, members.rows[piece], members.kept[piece], members.repeated, keep_none=members.keep_none
        )
        decided = decided.hstack(members.about[piece])
        for number in range(first, last):
            low, high = (int(bound - bounds[first]) for bound in bounds[number : number + 2])
            own = decided[low:high].with_columns(pl.col("row") - int(signed.starts[number]))
            with write_atomically(assigned_path(output, units[number].index)) as temporary:
                own.write_parquet(temporary)


def _write_edges(output: Path, signed: Signed, links: Links, own: int, memory: int) -> None:
    """The verified pairs that joined the clusters, to `edges/`, but for those of two rows from `own` on."""
    wanted = (links.left < own) | (links.right < own)
    if not wanted.any():
        return
    left, right, similarity = links.left[wanted], links.right[wanted], links.similarity[wanted]
    at_a_time = max(1, memory // (2 * _A_MEMBER * _EDGES)) * _EDGES  # whole row groups: the same file in any case
    schema = pa.schema({"id": pa.large_string(), "other_id": pa.large_string(), "jaccard": pa.float64()})
    with (
        write_atomically(output / "edges" / "part-00000.parquet") as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        for first in range(0, len(left), at_a_time):
            ends = [side[first : first + at_a_time] for side in (left, right)]
            rows = rising(*ends)
            ids = signed.gather(rows, ["id"])["id"]
            names = [ids.gather(np.searchsorted(rows, end)).to_arrow().cast(pa.large_string()) for end in ends]
            table = pa.table([*names, similarity[first : first + at_a_time]], schema=schema)
            writer.write_table(table, row_group_size=_EDGES)
