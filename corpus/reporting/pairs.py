"""A removed document beside the one that was kept: their texts, and what these have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from corpus.duplicates.near.shared_parts import Span, shared_parts
from corpus.reporting.samples import read_rows
from corpus.reporting.tables import collect

DEFAULT_NGRAM = 5  # for methods that do not compare by shingles
MOST_CHARACTERS = 2_000_000  # of a text that are compared
_SHARED_SHOWN, _OWN_SHOWN = 240, 600
NAMED = ("id", "url", "origin", "cluster", "kept", "kept_id", "jaccard")  # of `clusters/`
_TABLES = ("documents", "removed")


@dataclass(frozen=True)
class Side:
    """One document of a pair; `spans`: the parts (first character, behind the last) that the other has, too."""

    id: str
    url: str | None
    kept: bool
    text: str
    spans: list[Span]


@dataclass(frozen=True)
class Pair:
    """Two members of a cluster: `jaccard` as the step found it, shingles of `ngram` words counted anew.

    Members that share a URL have no `jaccard`: their texts were not compared.
    """

    jaccard: float | None
    ngram: int
    shared_shingles: int
    all_shingles: int
    left: Side
    right: Side

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def in_words(self) -> str:
        """What the two have in common."""
        likeness = "the same URL" if self.jaccard is None else f"Jaccard similarity {self.jaccard:.3f}"
        shared = f"{self.shared_shingles:,} of {self.all_shingles:,} shingles of {self.ngram} words"
        return f"{likeness}, {shared} in common"


class Part(NamedTuple):
    """A piece of a text as it is shown: shared or not; `left_out` characters are missing in its middle."""

    before: str
    left_out: int
    after: str
    shared: bool


class ClusterView(NamedTuple):
    """What a member's cluster is shown by: how many members, some of the others, and whom to put beside it."""

    members: int
    others: list[dict[str, Any]]
    beside: dict[str, Any] | None


def view_cluster(step: Path, row: Mapping[str, Any], most: int = 0) -> ClusterView:
    """Look at a member of a cluster (a row of `clusters/`): `most` others, kept ones first, of other ids.

    Beside it stands the member that all were compared with: the kept one, or where none is kept the one that the
    cluster is named after; beside that stands its nearest. Reads a file at a time and holds its rows alone.
    """
    members = 0
    shown, chief, nearest = (pl.DataFrame(schema=dict.fromkeys(NAMED, pl.Null)) for _ in range(3))
    for part in sorted((step / "clusters").glob("part-*.parquet")):
        found = collect(pl.scan_parquet(part).filter(pl.col("cluster") == row["cluster"]).select(NAMED), part)
        members += found.height
        itself = pl.col("id").eq_missing(row["id"]) & pl.col("origin").eq_missing(row["origin"])
        others = found.filter(~itself)
        shown = _first(shown, others.filter(pl.col("id").ne_missing(row["id"])), "kept", most)
        chief = _first(chief, found.filter(_is_chief()), "jaccard", 1)
        nearest = _first(nearest, others, "jaccard", 1)
    heads, next_ones = chief.to_dicts(), nearest.to_dicts()
    best = heads if heads and place(heads[0]) != place(row) else next_ones
    return ClusterView(members, shown.to_dicts(), best[0] if best else None)


def _first(before: pl.DataFrame, more: pl.DataFrame, column: str, most: int) -> pl.DataFrame:
    """The `most` rows of two tables with the greatest values, earlier ones before later ones."""
    both = pl.concat([before, more], how="vertical_relaxed")
    return both.sort(column, descending=True, maintain_order=True).head(most)


def _is_chief() -> pl.Expr:
    """Whether a row of `clusters/` is the member that the others were compared with."""
    name = pl.col("cluster")
    named = (pl.col("id") == name) | name.str.starts_with(pl.col("id") + "#")
    return pl.col("kept") | (pl.col("kept_id").is_null() & (pl.col("jaccard").fill_null(1) == 1) & named)


def place(row: Mapping[str, Any]) -> tuple[Any, Any]:
    """What tells documents apart, also where ids repeat."""
    return row["id"], row["origin"]


def load_pairs(
    step: Path, rows: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], ngram: int
) -> Iterator[Pair]:
    """Pairs of rows of `clusters/` with their texts; those whose texts are gone are left out."""
    texts = _texts(step, {place(row) for pair in rows for row in pair})
    for left, right in rows:
        if place(left) not in texts or place(right) not in texts:
            continue
        found = tuple(texts[place(row)][:MOST_CHARACTERS] for row in (left, right))
        shared = shared_parts(found[0], found[1], ngram)
        sides = [
            Side(row["id"], row["url"], bool(row["kept"]), text, spans)
            for row, text, spans in zip((left, right), found, (shared.left, shared.right), strict=True)
        ]
        known = [row["jaccard"] for row in (left, right) if row["jaccard"] is not None]
        jaccard = min(known, default=None)  # of the two, one is compared with the other
        yield Pair(jaccard, ngram, shared.shared_shingles, shared.all_shingles, *sides)


def _texts(step: Path, places: set[tuple[Any, Any]]) -> dict[tuple[Any, Any], str]:
    found: dict[tuple[Any, Any], str] = {}
    wanted = pl.col("id").is_in([name for name, _ in places])
    for part in sorted(part for table in _TABLES for part in (step / table).glob("part-*.parquet")):
        rows = collect(pl.scan_parquet(part).select("id", "origin").with_row_index("row").filter(wanted), part)
        numbers = [row["row"] for row in rows.iter_rows(named=True) if place(row) in places]
        if numbers:
            found |= {place(row): row["text"] for row in read_rows(part, numbers).values()}
    return found


def shown_parts(side: Side, most: int) -> tuple[list[Part], int]:
    """A text cut where sharing begins and ends, `most` parts, long ones without their middle; how many more."""
    places: list[tuple[int, int, bool]] = []
    behind = 0
    for first, last in side.spans:
        places += [(behind, first, False), (first, last, True)]
        behind = last
    places.append((behind, len(side.text), False))
    places = [one for one in places if one[1] > one[0]]
    return [_part(side.text[first:last], shared) for first, last, shared in places[:most]], len(places[most:])


def _part(text: str, shared: bool) -> Part:
    half = (_SHARED_SHOWN if shared else _OWN_SHOWN) // 2
    if len(text) <= 2 * half + 40:
        return Part(text, 0, "", shared)
    return Part(text[:half], len(text) - 2 * half, text[-half:], shared)
