"""Which conversations repeat another one: word for word, in their first two turns, by id, or nearly.

Of several the one with most rounds stays, the first of these: a page that was shared twice was often shared again
when it had grown.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from corpus.core.files import text_hash, write_atomically
from corpus.duplicates.exact import normalise
from corpus.duplicates.whole.dedup import dedup_documents

REASONS = {
    "exact": "duplicate",
    "id": "same_id",
    "first_turns": "same_first_turns",
    "near": "near_duplicate",
}


class Duplicate(NamedTuple):
    """Why a row goes, and the row that stays in its place."""

    reason: str
    kept: int


def text_key(texts: Sequence[str]) -> str:
    """A key that texts share which differ in white space, case and width of letters only."""
    return text_hash("\x00".join(" ".join(normalise(text).split()) for text in texts))


def mark_repeats(keys: Sequence[str], rounds: Sequence[int], kind: str, found: dict[int, Duplicate]) -> None:
    """Add to `found` the rows, not among them yet, whose key an earlier or longer one has."""
    best: dict[str, int] = {}
    rows = [row for row in range(len(keys)) if row not in found and keys[row]]
    for row in rows:
        other = best.get(keys[row])
        if other is None or rounds[row] > rounds[other]:
            best[keys[row]] = row
    for row in rows:
        if best[keys[row]] != row:
            found[row] = Duplicate(REASONS[kind], best[keys[row]])


def mark_near(
    texts: pl.DataFrame,
    threshold: float,
    folder: Path,
    workers: int | None,
    engine: str,
    found: dict[int, Duplicate],
) -> None:
    """Add to `found` the near duplicates among rows: MinHash, verified by the Jaccard similarity of 5-grams.

    `texts` has `id` (the row's number), `text` and `rounds`, of rows that are not in `found`. Works in `folder`.
    """
    source = folder / "texts.parquet"
    with write_atomically(source) as temporary:
        first = pl.col("id").cast(pl.Int64)
        texts.with_columns(rank=pl.col("rounds") * 2**32 - first).write_parquet(temporary)
    output = folder / "near"
    dedup_documents([source], output, threshold=threshold, keep="best:rank", workers=workers, engine=engine)
    for part in sorted((output / "removed").glob("part-*.parquet")):
        for row, kept in pl.read_parquet(part, columns=["id", "kept_id"]).iter_rows():
            found[int(row)] = Duplicate(REASONS["near"], int(kept))
