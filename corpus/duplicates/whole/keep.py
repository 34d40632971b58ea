"""Which member of a cluster is kept, as a rank: the member of the lowest is, the first of several."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from corpus.core.errors import UsageError, ZeroToOneError

_PLAIN = ("first", "longest", "newest", "none")
CHOICES = "first, longest, newest, best:COLUMN, priority:FILE or none"
_DATE_DIGITS = 14  # year, month, day, hour, minute, second


@dataclass(frozen=True)
class Keep:
    """A policy: `kind` is first, longest, newest, none, best (greatest of `column`), priority or earlier.

    `order`: for priority the values of `domain`, the preferred ones first.
    """

    kind: str
    column: str | None = None
    order: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        """The columns, besides `text`, that the rank looks at."""
        return [self.column] if self.column else []


EARLIER = Keep("earlier")  # documents that new ones are compared with: before all others


def parse_keep(given: str) -> Keep:
    """The policy that `--keep` names. Raises UsageError, or ZeroToOneError for a file that cannot be used."""
    kind, _, value = given.partition(":")
    if kind in _PLAIN and not value:
        return Keep(kind, "date" if kind == "newest" else None)
    if kind == "best" and value:
        return Keep(kind, value)
    if kind == "priority" and value:
        return Keep(kind, "domain", _read_order(Path(value)))
    raise UsageError(f"unknown --keep `{given}`; choose {CHOICES}")


def _read_order(path: Path) -> tuple[str, ...]:
    """The lines of a file that are not blank: one domain each."""
    try:
        lines = [line.strip() for line in path.read_text("utf-8-sig").splitlines()]
    except OSError as error:
        raise ZeroToOneError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ZeroToOneError(f"{path}: not UTF-8 text") from None
    order = tuple(line for line in lines if line)
    if not order:
        raise ZeroToOneError(f"{path}: no domain in it; one a line, the preferred ones first")
    return order


def check_column(frame: pl.DataFrame, keep: Keep, origin: str) -> None:
    """Raise ZeroToOneError, which names `origin`, where the column of `best` holds no numbers."""
    if keep.kind != "best":
        return
    kind = frame.schema[str(keep.column)]
    if not (kind.is_numeric() or kind in (pl.Boolean, pl.Null)):
        raise ZeroToOneError(f"{origin}: column `{keep.column}` holds {kind}; --keep best: needs numbers")


def ranks(keep: Keep) -> pl.Expr:
    """The rank of every document (Float64, `rank`); infinity where the column says nothing.

    Dates count as they are written, year first, time zones aside.
    """
    last = float("inf")
    if keep.kind == "longest":
        rank = -pl.col("text").str.len_chars().cast(pl.Float64)
    elif keep.kind == "newest":
        digits = pl.col("date").cast(pl.String).str.replace_all(r"[^0-9]", "").str.slice(0, _DATE_DIGITS)
        rank = -pl.when(digits != "").then(digits.str.pad_end(_DATE_DIGITS, "0").cast(pl.Float64))
    elif keep.kind == "best":
        rank = -pl.col(str(keep.column)).cast(pl.Float64).fill_nan(None)
    elif keep.kind == "priority":
        places = {value: float(place) for place, value in enumerate(keep.order)}
        rank = pl.col("domain").replace_strict(places, default=None, return_dtype=pl.Float64)
    else:
        rank = pl.lit(-last if keep == EARLIER else 0.0)
    return rank.fill_null(last).alias("rank")
