"""Samples of documents, chosen by hashes of their ids: not the first ones, and the same in every report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from corpus.core.files import stable_fraction
from corpus.core.parquet_files import open_parquet

SHOWN = ("id", "url", "origin", "text")
_BATCH_ROWS = 65536


def choose_samples(folder: Path, count: int) -> dict[str, list[dict[str, Any]]]:
    """For each `reason` of a folder of documents ("" where there is none), `count` rows of SHOWN at most."""
    chosen = pl.DataFrame(schema={"reason": pl.String, "fraction": pl.Float64, "part": pl.Int64, "row": pl.Int64})
    parts = sorted(folder.glob("part-*.parquet"))
    for number, part in enumerate(parts):
        for frame in _draws(part):
            both = pl.concat(
                [chosen, frame.with_columns(pl.lit(number, pl.Int64).alias("part")).select(chosen.columns)]
            )
            chosen = both.sort("fraction", "part", "row").group_by("reason", maintain_order=True).head(count)
    samples: dict[str, list[dict[str, Any]]] = {}
    for number, part in enumerate(parts):
        wanted = chosen.filter(pl.col("part") == number)
        rows = read_rows(part, wanted["row"].to_list()) if wanted.height else {}
        for draw in wanted.iter_rows(named=True):
            samples.setdefault(draw["reason"], []).append({**rows[draw["row"]], "fraction": draw["fraction"]})
    return {reason: sorted(rows, key=lambda row: row["fraction"]) for reason, rows in samples.items()}


def _draws(part: Path) -> Iterator[pl.DataFrame]:
    with open_parquet(str(part)) as file:
        names = [name for name in ("id", "reason") if name in file.schema_arrow.names]
        row = 0
        for batch in file.iter_batches(_BATCH_ROWS, columns=names):
            frame = pl.DataFrame(batch)
            rows = pl.Series("row", range(row, row + frame.height), dtype=pl.Int64)
            fractions = pl.Series(
                "fraction", [stable_fraction(name or "") for name in frame["id"]], dtype=pl.Float64
            )
            reason = pl.col("reason").fill_null("") if "reason" in names else pl.lit("").alias("reason")
            yield frame.select(reason, fractions, rows)
            row += frame.height


def read_rows(part: Path, numbers: list[int]) -> dict[int, dict[str, Any]]:
    """Some rows of a file, by number, columns SHOWN; only the row groups that hold them are read."""
    found: dict[int, dict[str, Any]] = {}
    with open_parquet(str(part)) as file:
        first = 0
        for group in range(file.metadata.num_row_groups):
            stop = first + file.metadata.row_group(group).num_rows
            inside = [number for number in numbers if first <= number < stop]
            if inside:
                table = _read_group(file, group)
                for number in inside:
                    found[number] = table.row(number - first, named=True)
            first = stop
    return found


def _read_group(file: pq.ParquetFile, group: int) -> pl.DataFrame:
    columns = [name for name in SHOWN if name in file.schema_arrow.names]
    frame = pl.from_arrow(file.read_row_group(group, columns=columns))
    assert isinstance(frame, pl.DataFrame)
    missing = [pl.lit(None, pl.String).alias(name) for name in SHOWN if name not in columns]
    return frame.with_columns(missing)
