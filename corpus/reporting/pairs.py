"""A removed document beside the one that was kept: their texts, and what these have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from corpus.core.errors import ZeroToOneError
from corpus.duplicates.shared_parts import Span, shared_parts
from corpus.reporting.samples import read_rows

DEFAULT_NGRAM = 5  # for methods that do not compare by shingles
MOST_CHARACTERS = 2_000_000  # of a text that are compared
_SHARED_SHOWN, _OWN_SHOWN = 240, 600
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


def partner(row: Mapping[str, Any], members: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Whom to put beside a member of a cluster: the kept one; beside that its nearest other.

    Where none is kept, it is the one that the cluster is named after.
    """
    chief = next((member for member in members if is_chief(member)), None)
    if chief is not None and place(chief) != place(row):
        return chief
    others = [member for member in members if place(member) != place(row)]
    return max(others, key=lambda member: member["jaccard"] or 0.0, default=None)


def is_chief(member: Mapping[str, Any]) -> bool:
    """Whether a row of `clusters/` is the member that the others were compared with."""
    name, row = str(member["cluster"]), str(member["cluster"]).rpartition("#")[2]
    return bool(member["kept"]) or (
        member["kept_id"] is None
        and member["jaccard"] in (1.0, None)
        and name in (member["id"], f"{member['id']}#{row}")
    )


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
        try:
            rows = pl.scan_parquet(part).select("id", "origin").with_row_index("row").filter(wanted).collect()
        except pl.exceptions.PolarsError as error:
            raise ZeroToOneError(f"{part}: {str(error).splitlines()[0]}") from None
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
