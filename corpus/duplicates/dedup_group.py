"""The second stage of `corpus dedup`: clusters from the signed documents, and which member to keep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from corpus.core.files import read_json, write_atomically, write_json
from corpus.core.inputs import Unit
from corpus.duplicates.candidates import Links, link, shared_bands, similarities
from corpus.duplicates.dedup_sign import read_sets, read_signed
from corpus.duplicates.minhash import Banding

EXACT, NEAR = "exact_duplicate", "near_duplicate"
KEEP = ("first", "longest")


@dataclass(frozen=True)
class Clusters:
    """An entry per document: its cluster (a number), the row of the one kept there, the similarity to it."""

    cluster: np.ndarray
    kept_row: np.ndarray
    similarity: np.ndarray
    edges: Links


def assigned_path(output: Path, index: int) -> Path:
    """The table of a unit: keep, kept_id, cluster, members, cluster_size, jaccard, reason; a row per document."""
    return output / ".state" / "assigned" / f"unit-{index:05d}.parquet"


def group(output: Path, units: list[Unit], banding: Banding | None, threshold: float, keep: str) -> dict[str, Any]:
    """Find the clusters among the signed units, write a table per unit and the edges, and return the counts."""
    done = output / ".state" / "grouped.json"
    if done.exists():
        return dict(read_json(done))
    signed = read_signed(output, units)
    clusters = find_clusters(output, signed, banding, threshold, keep)
    assigned = assign(signed, clusters)
    for (unit,), rows in assigned.partition_by("unit", as_dict=True, maintain_order=True).items():
        with write_atomically(assigned_path(output, int(unit))) as temporary:
            rows.drop("unit").write_parquet(temporary)
    _write_edges(output, signed, clusters.edges)
    sizes = np.unique(clusters.cluster, return_counts=True)[1]
    counts = {
        "clusters": int((sizes > 1).sum()),
        "largest_cluster": int(sizes.max(initial=0)),
        "duplicate_ids": signed.height - signed["id"].n_unique(),
    }
    write_json(done, counts)
    return counts


def find_clusters(
    output: Path, signed: pl.DataFrame, banding: Banding | None, threshold: float, keep: str
) -> Clusters:
    """Cluster the documents: those of one set, and with a banding those linked by verified pairs.

    Sets are put in the order of their keys, so that the clusters do not depend on the order of the input.
    """
    items, first_rows = _distinct(signed["set_0"].to_numpy(), signed["set_1"].to_numpy())
    roots = np.arange(len(first_rows))
    place = np.full(len(first_rows), -1)
    values, offsets = np.empty(0, dtype=np.uint32), np.zeros(1, dtype=np.int64)
    nothing = np.empty(0, dtype=np.int64)
    edges = Links(nothing, nothing, nothing, np.empty(0))
    if banding is not None:
        names = [f"band_{band}" for band in range(banding.bands)]
        with_words = np.flatnonzero(signed["shingles"].to_numpy()[first_rows] > 0)
        bands = np.column_stack([signed[name].to_numpy()[first_rows[with_words]] for name in names])
        shared = shared_bands(bands)
        candidates = with_words[shared]
        place[candidates] = np.arange(len(candidates))
        values, offsets = read_sets(output, signed, first_rows[candidates])
        links = link(bands[shared], values, offsets, threshold)
        roots[candidates] = candidates[links.roots]
        rows = first_rows[candidates]
        edges = Links(links.roots, rows[links.left], rows[links.right], links.similarity)
    cluster = roots[items]
    kept_row = _kept_rows(cluster, signed["length"].to_numpy(), keep)
    similarity = np.ones(len(items))
    differ = np.flatnonzero(items != items[kept_row])
    left, right = place[items[differ]], place[items[kept_row[differ]]]
    similarity[differ] = similarities(left, right, values, offsets)
    return Clusters(cluster, kept_row, similarity, edges)


def assign(signed: pl.DataFrame, clusters: Clusters) -> pl.DataFrame:
    """What becomes of each document; `cluster` is the kept member's id, with `#row` where it is not unique."""
    rows = np.arange(signed.height)
    kept = clusters.kept_row
    texts = signed.select("text_0", "text_1").to_numpy()
    same_text = (texts == texts[kept]).all(axis=1)
    number, inverse, members = np.unique(clusters.cluster, return_inverse=True, return_counts=True)
    sizes = np.zeros(len(number), dtype=np.int64)
    np.add.at(sizes, inverse, signed["weight"].to_numpy())
    names = signed.select(
        pl.when(pl.col("id").is_duplicated()).then(pl.format("{}#{}", "id", "row")).otherwise("id").alias("name")
    )["name"]
    return signed.select(
        "unit",
        pl.Series("keep", rows == kept),
        signed["id"].gather(kept).alias("kept_id"),
        names.gather(kept).alias("cluster"),
        pl.Series("members", members[inverse].astype(np.int64)),
        pl.Series("cluster_size", sizes[inverse]),
        pl.Series("jaccard", clusters.similarity),
        pl.Series("reason", np.where(same_text, EXACT, NEAR), dtype=pl.String),
    )


def _distinct(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number the distinct pairs in their order: the number of each row, and the first row of each number."""
    order = np.lexsort((second, first))
    a, b = first[order], second[order]
    new = np.r_[np.ones(min(1, len(a)), dtype=bool), (a[1:] != a[:-1]) | (b[1:] != b[:-1])]
    items = np.empty(len(first), dtype=np.int64)
    items[order] = np.cumsum(new) - 1
    return items, order[new]


def _kept_rows(cluster: np.ndarray, length: np.ndarray, keep: str) -> np.ndarray:
    """Per document the row of its cluster's member to keep: the first, or the first of the longest."""
    rows = np.arange(len(cluster))
    order = np.lexsort((rows, -length, cluster)) if keep == "longest" else np.lexsort((rows, cluster))
    numbers, starts = np.unique(cluster[order], return_index=True)
    return np.asarray(order[starts][np.searchsorted(numbers, cluster)])


def _write_edges(output: Path, signed: pl.DataFrame, edges: Links) -> None:
    """The verified pairs that joined the clusters, to `edges/part-00000.parquet`."""
    if not len(edges.left):
        return
    table = pl.DataFrame(
        {
            "id": signed["id"].gather(edges.left),
            "other_id": signed["id"].gather(edges.right),
            "jaccard": edges.similarity,
        }
    )
    with write_atomically(output / "edges" / "part-00000.parquet") as temporary:
        table.write_parquet(temporary, compression="zstd")
