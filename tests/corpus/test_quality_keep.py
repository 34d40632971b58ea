"""Which documents stay: thresholds, shares, and the Pareto draw."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.core.errors import UsageError
from corpus.quality.keep import (
    Keep,
    decide_by_pareto,
    decide_by_threshold,
    expected_by_pareto,
    quantile_threshold,
)

SHAPE = 9.0


@given(st.lists(st.sampled_from([0.0, 0.2, 0.4, 0.8, 1.0, math.nan]), max_size=30), st.integers(1, 100))
def test_a_share_is_exact_but_for_ties(values: list[float], percent: int) -> None:
    scores = np.array(values, dtype=np.float64)
    threshold = quantile_threshold(scores, percent / 100)
    known = scores[~np.isnan(scores)]
    if not known.size:
        assert threshold == math.inf
        return
    wanted = min(-(-len(values) * percent // 100), known.size)
    assert (known >= threshold).sum() >= wanted
    assert (known > threshold).sum() < wanted


def test_a_tenth_of_a_thousand() -> None:
    scores = np.random.default_rng(0).permutation(1000) / 1000
    assert quantile_threshold(scores, 0.1) == 0.9
    assert quantile_threshold(scores, 1.0) == 0.0


def test_reasons_of_a_threshold() -> None:
    scores = pl.Series("quality", [0.5, 0.499, None, 1.0])
    assert decide_by_threshold(scores, 0.5).to_list() == [None, "below", "no_text", None]
    assert decide_by_threshold(scores, math.inf).to_list() == ["below", "below", "no_text", "below"]


@pytest.mark.parametrize("score", [0.0, 0.5, 0.9, 0.99, 1.0])
def test_the_draw_keeps_the_share_of_numpys_pareto(score: float) -> None:
    """numpy's own generator is the witness for how often pareto(9) > 1 - score (Brown et al. 2020)."""
    count = 40_000
    kept = decide_by_pareto(pl.Series([score] * count), [f"d{n}" for n in range(count)], SHAPE, 0).null_count()
    drawn = (np.random.default_rng(1).pareto(SHAPE, 4_000_000) > 1 - score).mean()
    expected = expected_by_pareto(np.full(count, score), SHAPE)
    assert expected / count == pytest.approx(drawn, abs=5 * math.sqrt(0.25 / 4_000_000))
    deviation = math.sqrt(count * drawn * (1 - drawn)) + 1e-9
    assert abs(kept - expected) <= 4 * deviation


def test_the_draw_depends_on_id_and_seed_alone() -> None:
    ids = [f"d{n}" for n in range(500)]
    scores = np.random.default_rng(2).random(500)
    one = dict(zip(ids, decide_by_pareto(pl.Series(scores), ids, SHAPE, 7), strict=True))
    order = np.random.default_rng(3).permutation(500)
    two = dict(
        zip(
            [ids[n] for n in order],
            decide_by_pareto(pl.Series(scores[order]), [ids[n] for n in order], SHAPE, 7),
            strict=True,
        )
    )
    assert one == two
    assert one != dict(zip(ids, decide_by_pareto(pl.Series(scores), ids, SHAPE, 8), strict=True))


def test_documents_without_words_do_not_stay() -> None:
    assert decide_by_pareto(pl.Series([None, 1.0], dtype=pl.Float64), ["a", "b"], SHAPE, 0)[0] == "no_text"


@pytest.mark.parametrize(
    "wrong",
    [
        Keep(above=0.5, quantile=0.1),
        Keep(above=1.5),
        Keep(above=math.nan),
        Keep(quantile=0),
        Keep(quantile=1.1),
        Keep(pareto=0),
        Keep(pareto=math.inf),
        Keep(seed=-1),
    ],
)
def test_wrong_choices(wrong: Keep) -> None:
    with pytest.raises(UsageError):
        wrong.check()
