"""The lines that `corpus dedup --method line` or `bloom` took out of documents: of one document, and of all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from corpus.reporting import report_page as html
from corpus.reporting.tables import collect

_ROWS = 100
_SHOWN = 20
_CHARACTERS = 300


def lines_of(directory: Path, document: Mapping[str, Any], kept: bool) -> list[dict[str, Any]]:
    """The lines that a document lost, a hundred at most, with the beginning of each.

    Of `line` with the id of the document where each stands for the first time and the characters before it there;
    of `bloom` with how many of its n-grams were seen before.
    """
    found: list[dict[str, Any]] = []
    for part in sorted((directory / "lines").glob("part-*.parquet")):
        same = (pl.col("id") == document["id"]) & (pl.col("kept") == kept)
        if document.get("origin") is not None:
            same &= pl.col("origin") == document["origin"]
        frame = collect(pl.scan_parquet(part).filter(same).drop("id", "origin", "kept").head(_ROWS), part)
        short = pl.col("text").str.strip_chars().str.slice(0, _CHARACTERS)
        found += frame.with_columns(short).to_dicts()
    return found[:_ROWS]


def lines_section(step: Path, manifest: Mapping[str, Any]) -> str:
    """HTML: how much went; the lines that went most often, or paragraphs with the most n-grams seen before."""
    counts = manifest["counts"]
    told = (
        f"{counts['lines_removed']:,} of {counts['lines']:,} lines went, {counts['characters_removed']:,} "
        f"characters; {counts['documents_cut']:,} documents stayed without some of their lines."
    )
    if "filter" in manifest:
        rate = manifest["filter"]["false_positive_rate"]
        told += (
            f" {counts['ngrams_seen']:,} of {counts['ngrams']:,} n-grams were seen before; the filter takes a new "
            f"one for seen at a rate of {rate:.3g}."
        )
    parts = sorted((step / "lines").glob("part-*.parquet"))
    rows = _most_often(parts) if manifest["parameters"]["method"] == "line" else _longest(parts)
    return html.heading(step.name) + html.card(html.paragraph(told), html.table(rows))


def _most_often(parts: list[Path]) -> list[dict[str, object]]:
    """Lines by how often they went."""
    where = ["first_id", "first_offset"]
    groups: list[pl.DataFrame] = []
    for part in parts:
        table = pl.scan_parquet(part).group_by(where).agg(pl.len().alias("times"), pl.col("text").first())
        groups.append(collect(table, part))
        if len(groups) > 1:
            both = pl.concat(groups).group_by(where, maintain_order=True)
            groups = [both.agg(pl.col("times").sum(), pl.col("text").first())]
    if not groups:
        return []
    top = groups[0].sort("times", *where, descending=[True, False, False]).head(_SHOWN)
    return [
        {"times": row["times"], "line": _begin(row["text"]), "stands in": row["first_id"]}
        for row in top.iter_rows(named=True)
    ]


def _longest(parts: list[Path]) -> list[dict[str, object]]:
    """Paragraphs by how many of their n-grams were seen before."""
    best = [collect(pl.scan_parquet(part).top_k(_SHOWN, by="seen"), part) for part in parts]
    if not best:
        return []
    top = pl.concat(best).sort("seen", "id", "offset", descending=[True, False, False]).head(_SHOWN)
    return [
        {
            "n-grams": row["ngrams"],
            "seen before": row["seen"],
            "paragraph": _begin(row["text"]),
            "document": row["id"],
        }
        for row in top.iter_rows(named=True)
    ]


def _begin(text: str) -> str:
    text = text.strip()
    return text if len(text) <= _CHARACTERS else text[:_CHARACTERS] + "…"
