"""Asking the tables that a step wrote."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from corpus.core.errors import ZeroToOneError


def collect(query: pl.LazyFrame, place: Path) -> pl.DataFrame:
    """What a query of the file or folder `place` finds; a broken one is a ZeroToOneError that names it."""
    try:
        return query.collect()
    except pl.exceptions.PolarsError as error:
        raise ZeroToOneError(f"{place}: {str(error).splitlines()[0]}") from None
