"""The report's section on duplicates: sizes of clusters, what ran away, pairs side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from corpus.core.files import read_json, stable_fraction
from corpus.duplicates.whole.runaway import CRITERIA, FIGURES
from corpus.reporting import report_page as html
from corpus.reporting.pairs import DEFAULT_NGRAM, NAMED, Pair, Side, load_pairs, shown_parts, view_cluster

_CLUSTERS = 8
_MEMBERS = 50
_PAIRS = 3  # drawn, and as many of the least alike
_PARTS = 40
_SIZES = (2, 3, 4, 5, 10, 100, 1000, 10_000)
_SIMILARITIES = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0)


def duplicate_clusters(step: Path) -> str:
    """HTML about a step's `clusters/`: how many of which size, how alike, which ran away, examples."""
    title = html.heading(step.name)
    if not list((step / "clusters").glob("*.parquet")):
        return title + html.paragraph("No duplicates were found.", soft=True)
    members = pl.scan_parquet(step / "clusters" / "*.parquet")
    names = members.collect_schema().names()
    about = [pl.first(name) for name in FIGURES if name in names and name != "members"]
    clusters = members.group_by("cluster").agg(pl.len().alias("members"), *about).collect()
    clusters = clusters.sort(["members", "cluster"], descending=[True, False])
    parts = [html.heading(f"{step.name}: {clusters.height:,} clusters"), html.card(_sizes(clusters))]
    if set(NAMED) <= set(names):
        parts.append(html.card(_similarities(members)))
    if "runaway" in names:
        parts.append(_runaway(clusters.filter("runaway")))
    if set(NAMED) <= set(names):
        ngram = read_json(step / "manifest.json").get("parameters", {}).get("ngram", DEFAULT_NGRAM)
        parts += [_side_by_side(pair) for pair in load_pairs(step, list(_examples(step)), ngram)]
    parts += [_listed(members, row, names) for row in clusters.head(_CLUSTERS).iter_rows(named=True)]
    return "".join(parts)


def _sizes(clusters: pl.DataFrame) -> str:
    return html.paragraph("Clusters by their number of documents") + _bars(
        clusters["members"], [float(size) for size in _SIZES], lambda low, high: _range(int(low), high), "clusters"
    )


def _range(low: int, high: float | None) -> str:
    if high is None:
        return f"{low:,} and more"
    return f"{low:,}" if int(high) == low + 1 else f"{low:,} to {int(high) - 1:,}"


def _similarities(members: pl.LazyFrame) -> str:
    """How much what is removed resembles what is kept."""
    values = members.filter(~pl.col("kept")).select("jaccard").drop_nulls().collect()["jaccard"]
    if not values.len():
        return html.paragraph("Duplicates by their URL: texts were not compared.", soft=True)
    return html.paragraph("Removed documents by their Jaccard similarity with the kept one") + _bars(
        values, _SIMILARITIES, lambda low, high: "1" if high is None else f"{low:g} to {high:g}", "documents"
    )


def _bars(values: pl.Series, edges: Sequence[float], name: Callable[[float, float | None], str], unit: str) -> str:
    """Bars of how many values lie from one edge to the next, behind the last of all from there on."""
    counts = [
        int(((values >= low) & (values < high)).sum() if high is not None else (values >= low).sum())
        for low, high in zip(edges, [*edges[1:], None], strict=True)
    ]
    rows = [
        (name(low, high), (("s0", float(count)),), f"{count:,} {unit}")
        for low, high, count in zip(edges, [*edges[1:], None], counts, strict=True)
        if count
    ]
    return html.bars(rows)


def _runaway(clusters: pl.DataFrame) -> str:
    if not clusters.height:
        return html.paragraph(f"No cluster has run away ({CRITERIA}).", soft=True)
    names = ["cluster", *FIGURES[:-1]]
    table = html.table(clusters.select(names).head(20).to_dicts())
    text = f"Clusters that have run away along a chain of pairs ({CRITERIA}): {clusters.height:,}."
    return html.card(html.paragraph(text), table)


def _examples(step: Path) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Pairs of a kept and a near duplicate: those least alike, and some drawn by a hash of their id."""
    near = (pl.col("jaccard") < 1) | pl.col("jaccard").is_null()
    chosen: list[pl.DataFrame] = []
    for part in sorted((step / "clusters").glob("part-*.parquet")):
        rows = pl.scan_parquet(part).filter(~pl.col("kept") & near).select(NAMED).collect()
        draws = pl.Series("draw", [stable_fraction(str(name)) for name in rows["id"]], dtype=pl.Float64)
        both = pl.concat([*chosen, rows.with_columns(draws)]).unique()
        chosen = [both.sort(by, "id", "origin").head(_PAIRS) for by in ("jaccard", "draw")]
    for row in pl.concat(chosen).unique().sort("jaccard", "id", "origin").iter_rows(named=True):
        other = view_cluster(step, row).beside
        if other is not None:
            yield row, other


def _side_by_side(pair: Pair) -> str:
    title = f"{pair.left.id} and {pair.right.id}: {pair.in_words()}"
    return html.details(title, html.side_by_side(*map(_column, (pair.left, pair.right))))


def _column(side: Side) -> tuple[str, list[tuple[str, bool]]]:
    """A side's heading, and its text as (piece, whether it is marked)."""
    parts, others = shown_parts(side, _PARTS)
    pieces = [(f"{part.before}{_gap(part.left_out)}{part.after}", part.shared) for part in parts]
    if others:
        pieces.append((f" … {others:,} other parts …", False))
    return f"{'kept' if side.kept else 'removed'}: {side.url or side.id}", pieces


def _gap(characters: int) -> str:
    return f" … {characters:,} characters … " if characters else ""


def _listed(members: pl.LazyFrame, row: dict[str, Any], names: Sequence[str]) -> str:
    found = members.filter(pl.col("cluster") == row["cluster"]).head(_MEMBERS).collect()
    shown = [name for name in ("id", "url", "kept", "jaccard") if name in names]
    like = found.sort("kept", descending=True)["url"][0] or row["cluster"]
    return html.details(f"{row['members']:,} documents like {like}", html.table(found.select(shown).to_dicts()))
