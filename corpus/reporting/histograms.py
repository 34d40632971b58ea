"""Histograms of signals over tables of any length: a range first, then the counts, a batch at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from corpus.filtering.rules import Rule, RuleSet, passes

BINS = 40  # and one for what lies beyond them
_SHARE = 0.99  # of the values inside the bins, about


@dataclass
class Histogram:
    """A column's values among the documents that some rule sets apply to, and the rules that look at it.

    `counts` has BINS bins from `low` to `high` and one of the values beyond.
    """

    column: str
    applies: RuleSet
    rules: dict[str, Rule] = field(default_factory=dict)
    low: float = math.inf
    high: float = -math.inf
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS + 1, np.int64))
    values: int = 0
    _upper: float = 0.0

    @property
    def width(self) -> float:
        """The width of a bin."""
        return (self.high - self.low) / BINS or 1.0

    def keeps(self, number: int) -> bool:
        """Whether all rules keep the values in the middle of a bin."""
        middle = self.low + (number + 0.5) * self.width
        return all(rule.comparison == "==" or passes(middle, rule) for rule in self.rules.values())

    def widen(self, values: pl.Series) -> None:
        """Take a batch of values into account for the range."""
        if values.len():
            self.low = min(self.low, float(values.min()))  # type: ignore[arg-type]
            self._upper += float(values.quantile(_SHARE)) * values.len()  # type: ignore[arg-type]
            self.values += values.len()

    def settle(self) -> None:
        """Fix the range: from the least value to where about 99 % lie below, and to limits that are not far."""
        if not self.values:
            return
        self.high = max(self.low, self._upper / self.values)
        reach = 2 * (self.high - self.low)
        for rule in self.rules.values():
            if self.low - reach <= rule.threshold <= self.high + reach or not reach:
                self.low, self.high = min(self.low, rule.threshold), max(self.high, rule.threshold)

    def count(self, values: pl.Series) -> None:
        """Count a batch of values into the bins."""
        places = ((values.to_numpy() - self.low) / self.width).clip(0, BINS).astype(np.int64)
        self.counts += np.bincount(places, minlength=BINS + 1)


def histograms_of(rule_sets: Sequence[RuleSet], columns: Sequence[str]) -> list[Histogram]:
    """An empty histogram for each column that rules look at, apart for sets that apply to other documents."""
    found: dict[tuple[str, tuple[str, ...], tuple[str, ...]], Histogram] = {}
    for rule_set in rule_sets:
        for rule in rule_set.rules:
            column = rule_set.column(rule.signal)
            if column in columns:
                key = (column, rule_set.only_for, rule_set.not_for)
                histogram = found.setdefault(key, Histogram(column, rule_set))
                histogram.rules[rule_set.label(rule)] = rule
    return list(found.values())


def fill_histograms(histograms: Sequence[Histogram], read: Callable[[], Iterable[pl.DataFrame]]) -> None:
    """Fill histograms from tables with their columns and `lang`, which `read` gives twice, in batches."""
    for frame in read():
        for histogram, values in _values(histograms, frame):
            histogram.widen(values)
    for histogram in histograms:
        histogram.settle()
    for frame in read():
        for histogram, values in _values(histograms, frame):
            histogram.count(values)


def _values(histograms: Sequence[Histogram], frame: pl.DataFrame) -> Iterable[tuple[Histogram, pl.Series]]:
    masks: dict[tuple[tuple[str, ...], tuple[str, ...]], pl.Series] = {}
    for histogram in histograms:
        rule_set = histogram.applies
        key = (rule_set.only_for, rule_set.not_for)
        if key not in masks:
            masks[key] = rule_set.applies(frame["lang"])
        values = frame[histogram.column].filter(masks[key]).cast(pl.Float64).drop_nulls()
        yield histogram, values.filter(values.is_finite())
