"""How much text there is, by domain and language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from corpus.core.errors import ZeroToOneError
from corpus.core.inputs import Unit, plan_units, read_documents
from corpus.core.quarantine import Skipped
from corpus.core.workers import run_units, tick
from corpus.text.words import count_words

_COLUMNS = ("id", "text", "domain", "lang", "origin", "source")
_COUNTED = ("documents", "characters", "bytes", "words", "set_aside")


@dataclass(frozen=True)
class _Task:
    unit: Unit
    strict: bool


def document_stats(
    inputs: Sequence[str | Path], *, workers: int | None = None, engine: str = "local", strict: bool = False
) -> list[dict[str, Any]]:
    """Count documents, characters, bytes (UTF-8) and words by domain and language.

    One row for each domain and language ("" where unknown), sorted, with `mean_characters`, and a last row with
    the domain `total`, which also counts the broken records that were `set_aside`.
    Raises ZeroToOneError when there are no documents.
    """
    tasks = [_Task(unit, strict) for unit in plan_units(inputs)]
    found = run_units(_count_unit, tasks, workers=workers, engine=engine, description="stats")
    rows = [row for part in found for row in part]
    schema = {"domain": pl.String, "lang": pl.String} | dict.fromkeys(_COUNTED, pl.Int64)
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    groups = frame.filter(pl.col("documents") > 0).group_by("domain", "lang").agg(pl.col(_COUNTED).sum())
    total = frame.select(pl.lit("total").alias("domain"), pl.lit("").alias("lang"), pl.col(_COUNTED).sum())
    if not groups.height:
        raise ZeroToOneError(f"{', '.join(map(str, inputs))}: no documents to read")
    mean = (pl.col("characters") / pl.col("documents")).alias("mean_characters")
    parts = [groups.drop("set_aside").sort("domain", "lang"), total]
    return pl.concat(parts, how="diagonal").with_columns(mean).rows(named=True)


def _count_unit(task: _Task) -> list[tuple[str, str, int, int, int, int, int]]:
    skipped = Skipped(task.strict)
    rows = []
    for frame in read_documents(task.unit, skipped, _COLUMNS):
        tick(frame.height)
        text = pl.col("text")
        counted = frame.select(
            pl.col("domain", "lang").fill_null(""),
            text.str.len_chars().alias("characters"),
            text.str.len_bytes().alias("bytes"),
            pl.Series("words", count_words(frame["text"].to_list())),
        )
        sums = counted.group_by("domain", "lang").agg(
            pl.len().cast(pl.Int64), pl.col("characters", "bytes", "words").sum()
        )
        rows += [(*row, 0) for row in sums.iter_rows()]
    return [*rows, ("", "", 0, 0, 0, 0, skipped.count)]
