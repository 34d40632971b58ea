"""Head, middle and tail: documents parted by perplexity, language by language, as CCNet does."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from corpus.core.errors import UsageError, ZeroToOneError

HEAD, MIDDLE, TAIL = BUCKETS = ("head", "middle", "tail")
NO_PERPLEXITY = "all"  # CCNet's name for the bucket of documents without a perplexity
CCNET_PERCENTILES = (30, 60)  # of CCNet's code; its paper speaks of three even parts
PERCENTILES = 100  # 0 to 99: the rows of CCNet's cutoff.csv

CutOffs = Mapping[str, tuple[float, float]]


def check_percentiles(percentiles: Sequence[int]) -> None:
    """Raise UsageError unless there are two, rising, between 1 and 99."""
    if len(percentiles) != 2 or not 0 < percentiles[0] < percentiles[1] < PERCENTILES:
        raise UsageError("--percentiles takes two rising whole numbers from 1 to 99, such as 30,60")


def percentile_table(groups: pl.Series, perplexities: pl.Series) -> dict[str, npt.NDArray[np.float64]]:
    """Percentiles 0 to 99 (linear interpolation) of each group's perplexities, by group in order of names.

    `groups` and `perplexities` [documents]; a document with a null in either is left out.
    """
    known = pl.DataFrame({"group": groups, "perplexity": perplexities}).drop_nulls()
    parts = known.partition_by("group", as_dict=True)
    return {
        str(group): np.percentile(part["perplexity"].to_numpy(), np.arange(PERCENTILES))
        for (group,), part in sorted(parts.items())
    }


def cut_offs(table: Mapping[str, npt.NDArray[np.float64]], percentiles: Sequence[int]) -> CutOffs:
    """Per group the perplexities from which on a document is in the middle, and in the tail."""
    middle, tail = percentiles
    return {group: (float(values[middle]), float(values[tail])) for group, values in table.items()}


def assign_buckets(groups: pl.Series, perplexities: pl.Series, limits: CutOffs) -> pl.Series:
    """`head`, `middle` or `tail` for every document, `all` for one without a perplexity; [documents]."""
    rows = [{"group": group, "middle": middle, "tail": tail} for group, (middle, tail) in limits.items()]
    schema = {"group": pl.String, "middle": pl.Float64, "tail": pl.Float64}
    documents = pl.DataFrame({"group": groups.cast(pl.String), "value": perplexities})
    joined = documents.join(pl.DataFrame(rows, schema=schema), on="group", how="left", maintain_order="left")
    value = pl.col("value")
    bucket = (
        pl.when(value.is_null() | pl.col("middle").is_null())
        .then(pl.lit(NO_PERPLEXITY))
        .when(value < pl.col("middle"))
        .then(pl.lit(HEAD))
        .when(value < pl.col("tail"))
        .then(pl.lit(MIDDLE))
        .otherwise(pl.lit(TAIL))
    )
    return joined.select(bucket).to_series()


def format_table(table: Mapping[str, npt.NDArray[np.float64]]) -> str:
    """The table as CCNet's `cutoff.csv`: a column for each language, a row for each percentile."""
    columns = [map(repr, map(float, values)) for values in table.values()]
    rows = [["", *table], *([str(number), *row] for number, row in enumerate(zip(*columns, strict=True)))]
    return "".join(",".join(row) + "\n" for row in rows)


def parse_table(text: str, place: str, groups: Sequence[str], percentiles: Sequence[int]) -> CutOffs:
    """The cut-offs of some groups from a table in the form of `format_table`.

    Raises ZeroToOneError, which names `place`, for a missing language or percentile and for what is no number.
    """
    try:
        rows = list(csv.reader(io.StringIO(text)))
    except csv.Error as error:
        raise ZeroToOneError(f"{place}: not a CSV file: {error}") from None
    header = rows[0] if rows else []
    lines = {row[0].strip(): row for row in rows[1:] if row}
    found = {}
    for group in groups:
        if group not in header[1:]:
            raise ZeroToOneError(f"{place}: no column `{group}`; it has {', '.join(header[1:])[:200] or 'none'}")
        column = header.index(group, 1)
        middle, tail = (_cell(lines, str(number), column, f"{place}: column `{group}`") for number in percentiles)
        if middle > tail:
            raise ZeroToOneError(f"{place}: column `{group}` falls from {middle:g} to {tail:g}")
        found[group] = (middle, tail)
    return found


def _cell(lines: Mapping[str, Sequence[str]], percentile: str, column: int, place: str) -> float:
    if percentile not in lines:
        raise ZeroToOneError(f"{place}: no row of percentile {percentile}")
    row = lines[percentile]
    text = row[column] if column < len(row) else ""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ZeroToOneError(f"{place}: {text!r} at percentile {percentile} is not a number")
    return value
