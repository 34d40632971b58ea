"""Which documents stay, by their scores: from a threshold on, the best share, or GPT-3's draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from corpus.core.errors import UsageError
from corpus.core.files import stable_fraction

NO_TEXT = "no_text"


@dataclass(frozen=True)
class Keep:
    """At most one of: the least score `above`, the `quantile` of best documents, the shape `pareto` of a draw.

    None of them keeps all. `seed` is the draw's.
    """

    above: float | None = None
    quantile: float | None = None
    pareto: float | None = None
    seed: int = 0

    def check(self) -> None:
        """Raise UsageError for two ways at once and for values that make no sense."""
        if sum(value is not None for value in (self.above, self.quantile, self.pareto)) > 1:
            raise UsageError("choose one of --keep-above, --keep-quantile and --keep-pareto")
        if self.above is not None and not 0 <= self.above <= 1:
            raise UsageError("--keep-above must lie between 0 and 1")
        if self.quantile is not None and not 0 < self.quantile <= 1:
            raise UsageError("--keep-quantile must lie between 0 and 1, and 0 is too little")
        if self.pareto is not None and not 0 < self.pareto < math.inf:
            raise UsageError("--keep-pareto must be more than 0")
        if not 0 <= self.seed < 2**63:
            raise UsageError("--seed must be at least 0")


def quantile_threshold(scores: npt.NDArray[np.float64], share: float) -> float:
    """The least score of the best `share` of documents: that of the document at place ceil(share × documents).

    Documents without a score (NaN) count, as the worst. Equal scores are kept together, so that ties at the
    threshold keep more than the share. Infinity where there are no scores.
    """
    place = math.ceil(round(share * scores.size, 9))
    known = scores[~np.isnan(scores)]
    if not known.size or place < 1:
        return math.inf
    place = min(place, known.size)
    return float(np.partition(known, known.size - place)[known.size - place])


def decide_by_threshold(scores: pl.Series, threshold: float) -> pl.Series:
    """Per document null where its score is at least the threshold, else why it goes: `below` or `no_text`."""
    return _reasons(scores, (scores >= threshold).fill_null(False), "below")


def decide_by_pareto(scores: pl.Series, ids: Sequence[str], shape: float, seed: int) -> pl.Series:
    """Per document null where it stays, else `pareto` or `no_text`: the draw of GPT-3 (Brown et al. 2020, A).

    A document stays where pareto(shape) > 1 - score, with numpy's Pareto (Lomax) distribution, so that one with
    score s stays with probability (2 - s) ** -shape. The draw is a hash of id and seed: no order changes it.
    """
    uniform = np.array([stable_fraction(f"pareto\0{name}", seed) for name in ids], dtype=np.float64)
    drawn = (1 - uniform) ** (-1 / shape) - 1
    return _reasons(scores, pl.Series(drawn, dtype=pl.Float64) > (1 - scores).fill_null(math.inf), "pareto")


def expected_by_pareto(scores: npt.NDArray[np.float64], shape: float) -> float:
    """How many documents the draw is expected to keep (NaN: none)."""
    known = np.sort(scores[~np.isnan(scores)])
    return float(((2 - known) ** -shape).sum())


def _reasons(scores: pl.Series, stays: pl.Series, reason: str) -> pl.Series:
    goes = pl.when(pl.lit(scores).is_null()).then(pl.lit(NO_TEXT)).otherwise(pl.lit(reason))
    return pl.select(pl.when(pl.lit(stays)).then(pl.lit(None, dtype=pl.String)).otherwise(goes)).to_series()
