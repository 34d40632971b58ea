"""What `corpus dedup --method substring` cut out: for one document, and over all in the report."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl

from corpus.reporting import report_page as html
from corpus.reporting.tables import collect

_SHOWN = 160  # characters of a span
_EXAMPLES = 8
_LENGTHS = (100, 200, 500, 1_000, 2_000, 5_000, 10_000)


def spans_of(directory: Path, identifier: str, *, kept: bool, most: int) -> list[dict[str, Any]]:
    """A document's spans: offset and length in the text as it came in, the beginning, where it stood first."""
    columns = ("offset", "length", "text", "first_id", "first_offset")
    wanted = (pl.col("id") == identifier) & (pl.col("kept") == kept)
    found = _collect(directory, lambda spans: spans.filter(wanted).select(columns).head(most))
    return found.with_columns(_beginning()).to_dicts()


def has_spans(step: Path) -> bool:
    """Whether a step wrote repeated spans."""
    return any((step / "spans").glob("part-*.parquet"))


def spans_section(step: Path) -> str:
    """HTML: how long the spans are, and those that came again most often."""
    lengths = _collect(step, lambda spans: spans.select(_interval()).group_by("interval").len())
    counted = dict(lengths.iter_rows())
    numbers = [(_NAMES[interval], number) for interval, number in sorted(counted.items())]
    bars = [(name, (("s0", float(number)),), f"{number:,} spans") for name, number in numbers]
    place = ["first_id", "first_offset", "length"]
    often = _collect(
        step,
        lambda spans: (
            spans.group_by(place)
            .agg(pl.len().alias("times"), pl.col("text").first())
            .sort("times", *place, descending=[True, False, False, True])
            .head(_EXAMPLES)
        ),
    )
    title = f"{step.name}: {sum(counted.values()):,} spans, by characters"
    parts = [html.heading(title), html.card(html.bars(bars))]
    for row in often.iter_rows(named=True):
        where = f"removed {row['times']:,} times, {row['length']:,} characters, first in {row['first_id']}"
        parts.append(html.details(where, html.quotation(row["text"])))
    return "".join(parts)


_NAMES = [
    f"below {_LENGTHS[0]}",
    *(f"{low:,} to {high - 1:,}" for low, high in pairwise(_LENGTHS)),
    f"{_LENGTHS[-1]:,} or more",
]


def _interval() -> pl.Expr:
    """Which of _NAMES a length belongs to."""
    return pl.sum_horizontal((pl.col("length") >= bound).cast(pl.Int64) for bound in _LENGTHS).alias("interval")


def _beginning() -> pl.Expr:
    text = pl.col("text")
    return pl.when(text.str.len_chars() > _SHOWN).then(text.str.head(_SHOWN) + " …").otherwise(text).alias("text")


def _collect(directory: Path, query: Callable[[pl.LazyFrame], pl.LazyFrame]) -> pl.DataFrame:
    """Ask the table of spans; an empty one where there are none."""
    if not has_spans(directory):
        kinds = {"id": pl.String, "offset": pl.Int64, "length": pl.Int64, "text": pl.String, "kept": pl.Boolean}
        spans = pl.LazyFrame(schema=kinds | {"first_id": pl.String, "first_offset": pl.Int64})
    else:
        spans = pl.scan_parquet(directory / "spans" / "part-*.parquet")
    return collect(query(spans), directory / "spans")
