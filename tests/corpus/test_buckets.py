"""Percentiles, buckets, and the table in which CCNet publishes its cut-offs."""

from __future__ import annotations

import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.core.errors import UsageError, ZeroToOneError
from corpus.quality.buckets import (
    assign_buckets,
    check_percentiles,
    cut_offs,
    format_table,
    parse_table,
    percentile_table,
)

VALUES = st.one_of(st.none(), st.floats(1, 1e6), st.sampled_from([1.0, 2.0, 100.0]))
ROWS = st.lists(st.tuples(st.sampled_from(["en", "zh", None]), VALUES), max_size=40)


def column(rows: list[tuple], place: int, kind: type[pl.DataType]) -> pl.Series:
    return pl.Series([row[place] for row in rows], dtype=kind)


def test_a_hundred_documents_by_hand() -> None:
    values = pl.Series([float(number) for number in range(1, 102)])  # percentile p is p + 1
    groups = pl.Series(["en"] * 101)
    limits = cut_offs(percentile_table(groups, values), (30, 60))
    assert limits == {"en": (31.0, 61.0)}
    counts = dict(assign_buckets(groups, values, limits).value_counts().iter_rows())
    assert counts == {"head": 30, "middle": 30, "tail": 41}


@given(ROWS, st.tuples(st.integers(1, 98), st.integers(1, 98)).filter(lambda pair: pair[0] < pair[1]))
def test_buckets_are_what_the_words_say(rows: list[tuple], percentiles: tuple[int, int]) -> None:
    groups, values = column(rows, 0, pl.String), column(rows, 1, pl.Float64)
    found = assign_buckets(groups, values, cut_offs(percentile_table(groups, values), percentiles)).to_list()
    for (group, value), bucket in zip(rows, found, strict=True):
        if group is None or value is None:
            assert bucket == "all"
            continue
        own = sorted(other for name, other in rows if name == group and other is not None)
        middle, tail = (_percentile(own, percent) for percent in percentiles)
        if any(value != limit and math.isclose(value, limit) for limit in (middle, tail)):
            continue  # rounding in the last digit decides
        assert bucket == ("head" if value < middle else "middle" if value < tail else "tail")


def _percentile(values: list[float], percent: int) -> float:
    """The value at that share of the way from the first to the last, in between by a straight line."""
    place, rest = divmod((len(values) - 1) * percent, 100)
    return values[place] + (values[place + 1] - values[place]) * rest / 100 if rest else values[place]


@given(ROWS)
def test_a_table_is_read_as_it_was_written(rows: list[tuple]) -> None:
    table = percentile_table(column(rows, 0, pl.String), column(rows, 1, pl.Float64))
    assert parse_table(format_table(table), "t.csv", list(table), (30, 60)) == cut_offs(table, (30, 60))


PUBLISHED = ",de,en,zh\n30,201.5,340.1,900\n60,300,500.25,\n"


def test_a_table_in_ccnets_form() -> None:
    assert parse_table(PUBLISHED, "cutoff.csv", ["en", "de"], (30, 60)) == {
        "en": (340.1, 500.25),
        "de": (201.5, 300.0),
    }


@pytest.mark.parametrize(
    ("text", "group", "told"),
    [
        (PUBLISHED, "fr", "no column `fr`; it has de, en, zh"),
        (PUBLISHED, "zh", "column `zh`: '' at percentile 60 is not a number"),
        ("", "en", "no column `en`; it has none"),
        (",en\n30,5\n", "en", "no row of percentile 60"),
        (",en\n30,5\n60,4\n", "en", "column `en` falls from 5 to 4"),
        (",en\n30,nan\n60,4\n", "en", "'nan' at percentile 30 is not a number"),
        (",en\n30\n60,4\n", "en", "'' at percentile 30 is not a number"),
        ("\0\0", "en", "cutoff.csv"),
    ],
)
def test_tables_that_are_none(text: str, group: str, told: str) -> None:
    with pytest.raises(ZeroToOneError) as error:
        parse_table(text, "cutoff.csv", [group], (30, 60))
    assert told in str(error.value)
    assert "cutoff.csv" in str(error.value)


@pytest.mark.parametrize("wrong", [(), (30,), (60, 30), (30, 30), (0, 60), (30, 100), (10, 20, 30)])
def test_wrong_percentiles(wrong: tuple[int, ...]) -> None:
    with pytest.raises(UsageError):
        check_percentiles(wrong)
