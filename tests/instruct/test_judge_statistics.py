"""Outcomes, figures and the length-controlled win rate against plain counting, scipy and worked examples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from instruct.judge_length import (
    controlled_win_rate,
    fit_logistic,
    length_term,
    question_difficulty,
    sigmoid,
)
from instruct.judge_outcomes import Judged, Outcomes, outcomes_of
from instruct.judge_statistics import Bootstrap, result_rows

score = st.integers(1, 10).map(float)
both_orders = st.lists(st.tuples(score, score, score, score), min_size=1, max_size=30)


def verdicts(scores: list[tuple[float, float, float, float]]) -> list[Judged]:
    """For each question the scores (new, old) shown new first, then (old, new) shown old first."""
    found = []
    for number, (a, b, c, d) in enumerate(scores):
        found += [Judged(f"q{number}", ("new", "old"), (a, b)), Judged(f"q{number}", ("old", "new"), (c, d))]
    return found


@given(both_orders)
@settings(deadline=None)
def test_outcomes_are_those_of_plain_counting(scores: list[tuple[float, float, float, float]]) -> None:
    order = [f"q{number}" for number in range(len(scores))]
    found = outcomes_of(verdicts(scores), "new", "old", order, {})
    [row, *_] = result_rows({"new": found}, dict.fromkeys(order, ""), Bootstrap(0, 0), scored=True)
    wins = sum(a > b and d > c for a, b, c, d in scores)
    losses = sum(a < b and d < c for a, b, c, d in scores)
    said = [((a > b) - (a < b), (d > c) - (d < c)) for a, b, c, d in scores]
    assert (row["wins"], row["losses"], row["ties"]) == (wins, losses, len(scores) - wins - losses)
    assert row["inconsistent"]["value"] == sum(x != y for x, y in said) / len(scores)
    own, reference = sum(a + d for a, _, _, d in scores), sum(b + c for _, b, c, _ in scores)
    assert row["performance_ratio"]["value"] == pytest.approx(own / reference)
    assert row["win_rate"]["value"] == pytest.approx((wins + row["ties"] / 2) / len(scores))
    assert (row["beat_rate"] or {}).get("value") == (
        pytest.approx(wins / (wins + losses)) if wins + losses else None
    )


@given(both_orders)
@settings(deadline=None)
def test_seen_from_the_other_side_wins_are_losses(scores: list[tuple[float, float, float, float]]) -> None:
    order = [f"q{number}" for number in range(len(scores))]
    there = outcomes_of(verdicts(scores), "new", "old", order, {})
    back = outcomes_of(verdicts(scores), "old", "new", order, {})
    np.testing.assert_array_equal(there.preference, 1 - back.preference)
    np.testing.assert_array_equal(there.consistent, back.consistent)
    np.testing.assert_array_equal(there.own, back.reference)


def test_one_order_alone_counts_for_nothing() -> None:
    found = outcomes_of([Judged("q", ("new", "old"), (9, 1))], "new", "old", ["q"], {})
    assert found.questions == ()
    assert result_rows({"new": found}, {"q": ""}, Bootstrap(10, 0), scored=True) == []


def outcomes(preference: list[float], longer: list[float]) -> Outcomes:
    count = len(preference)
    ones = np.ones(count)
    names = tuple(f"q{number}" for number in range(count))
    return Outcomes(names, ones, ones, np.array(preference), ones.astype(bool), np.array(longer, np.float64))


def controlled(preference: np.ndarray, longer: np.ndarray, difficulty: np.ndarray | None = None) -> float:
    length = length_term(longer)
    assert length is not None
    return float(controlled_win_rate(preference, length, difficulty, np.ones((1, len(longer))))[0])


def test_two_lengths_have_a_known_answer() -> None:
    """Two groups make the model saturated: theta is the mean of their log odds, (ln 9 + ln 1) / 2 = ln 3."""
    preference = np.array([1] * 90 + [0] * 10 + [1] * 50 + [0] * 50, np.float64)
    longer = np.array([30] * 100 + [-30] * 100, np.float64)
    assert preference.mean() == 0.7
    assert controlled(preference, longer) == pytest.approx(0.75, abs=2e-4)  # the prior moves it that little


def test_a_judge_of_length_alone_finds_no_difference() -> None:
    """What is longer wins in 9 of 10, and is longer in 70 of 100: log odds of ln 9 and -ln 9, so theta is 0."""
    preference = np.array([1] * 63 + [0] * 7 + [1] * 3 + [0] * 27, np.float64)
    longer = np.array([40.0] * 70 + [-40.0] * 30)
    assert preference.mean() == 0.66
    assert controlled(preference, longer) == pytest.approx(0.5, abs=2e-3)


def random_case(seed: int, count: int = 120) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    longer = draw.normal(20, 100, count).round()
    gamma = draw.normal(0, 1, count)
    chance = sigmoid(0.3 + 1.2 * np.tanh(longer / longer.std()) + gamma)
    return draw.choice([0.0, 0.5, 1.0], count) * 0.2 + 0.8 * (draw.random(count) < chance), longer, gamma


@pytest.mark.parametrize("seed", range(4))
def test_the_fit_is_the_maximum_that_scipy_finds(seed: int) -> None:
    preference, longer, gamma = random_case(seed)
    length = length_term(longer)
    assert length is not None
    design = np.stack([np.ones_like(length), length, gamma], axis=1)
    weights = np.random.default_rng(seed).multinomial(len(length), np.full(len(length), 1 / len(length)), size=3)

    for row, found in zip(weights, fit_logistic(design, preference, weights.astype(float)), strict=True):

        def loss(beta: np.ndarray, row: np.ndarray = row) -> float:
            logits = design @ beta
            likelihood = preference * -np.logaddexp(0, -logits) + (1 - preference) * -np.logaddexp(0, logits)
            return float(-(row * likelihood).sum() + 0.005 * (beta**2).sum())

        best = optimize.minimize(loss, np.zeros(3), method="BFGS", options={"gtol": 1e-8})
        np.testing.assert_allclose(found, best.x, atol=1e-5)


def test_the_fit_is_finite_where_targets_can_be_parted() -> None:
    design = np.stack([np.ones(20), np.linspace(-1, 1, 20)], axis=1)
    for targets in (np.ones(20), np.zeros(20), (design[:, 1] > 0).astype(float)):
        found = fit_logistic(design, targets, np.ones((1, 20)))
        assert np.isfinite(found).all()
        gradient = (targets - sigmoid(design @ found[0])) @ design - 0.01 * found[0]
        np.testing.assert_allclose(gradient, 0, atol=1e-8)


@pytest.mark.parametrize("seed", range(4))
def test_the_controlled_rate_is_symmetric(seed: int) -> None:
    preference, longer, _ = random_case(seed)
    assert controlled(preference, longer) == pytest.approx(1 - controlled(1 - preference, -longer), abs=1e-9)


def test_lengths_that_tell_nothing_leave_the_win_rate() -> None:
    for longer in ([0.0] * 4, [25.0] * 4):
        [row] = result_rows(
            {"new": outcomes([1, 1, 0.5, 0], longer)},
            dict.fromkeys(["q0", "q1", "q2", "q3"], ""),
            Bootstrap(50, 0),
            scored=True,
        )
        assert row["length_controlled_win_rate"] == row["win_rate"]
    [row] = result_rows(
        {"new": outcomes([1, 0], [5, math.nan])}, {"q0": "", "q1": ""}, Bootstrap(50, 0), scored=True
    )
    assert row["length_controlled_win_rate"] is None


def test_difficulty_is_the_joint_maximum() -> None:
    draw = np.random.default_rng(0)
    count, systems = 25, 3
    preferences = [draw.choice([0.0, 0.5, 1.0], count) for _ in range(systems)]
    lengths = [draw.uniform(-0.8, 0.8, count) for _ in range(systems)]
    gamma = question_difficulty(preferences, lengths)

    def loss(values: np.ndarray) -> float:
        total = 0.5 * (values[:count] ** 2).sum()
        for number in range(systems):
            theta, phi = values[count + 2 * number : count + 2 * number + 2]
            logits = theta + phi * lengths[number] + values[:count]
            target = preferences[number]
            total += (target * np.logaddexp(0, -logits) + (1 - target) * np.logaddexp(0, logits)).sum()
            total += 0.005 * (theta**2 + phi**2)
        return float(total)

    best = optimize.minimize(loss, np.zeros(count + 2 * systems), method="BFGS", options={"gtol": 1e-7})
    np.testing.assert_allclose(gamma, best.x[:count], atol=1e-4)


def test_difficulty_comes_in_with_enough_systems_and_not_from_the_system_itself() -> None:
    draw = np.random.default_rng(1)
    count = 60
    hard = draw.random(count)
    longer = [draw.normal(0, 50, count).tolist() for _ in range(4)]
    preferences = [(draw.random(count) < hard).astype(float).tolist() for _ in range(4)]
    names = dict.fromkeys((f"q{number}" for number in range(count)), "")

    def rate(systems: int, own: list[float] | None = None) -> float:
        found = {f"s{n}": outcomes(preferences[n], longer[n]) for n in range(systems)}
        rows = result_rows(found, names, Bootstrap(0, 0), scored=True)
        return rows[0]["length_controlled_win_rate"]["value"]

    plain = controlled(np.array(preferences[0]), np.array(longer[0]))
    assert rate(3) == pytest.approx(plain)  # two others are too few
    lengths = [length_term(np.array(values)) for values in longer]
    gamma = question_difficulty([np.array(p) for p in preferences[1:]], lengths[1:])
    assert rate(4) == pytest.approx(controlled(np.array(preferences[0]), np.array(longer[0]), gamma))
    assert rate(4) != rate(3)


def test_intervals_are_those_of_a_bootstrap_written_out() -> None:
    preference = [1.0] * 12 + [0.5] * 5 + [0.0] * 8
    found = outcomes(preference, [0.0] * 25)
    [row] = result_rows({"new": found}, {f"q{n}": "" for n in range(25)}, Bootstrap(400, 7), scored=True)
    draw = np.random.default_rng(7)
    rates = []
    for _ in range(400):
        counts = draw.multinomial(25, [1 / 25] * 25)
        chosen = [value for value, times in zip(preference, counts, strict=True) for _ in range(times)]
        rates.append(sum(chosen) / 25)
    assert row["win_rate"]["low"] == pytest.approx(np.percentile(rates, 2.5))
    assert row["win_rate"]["high"] == pytest.approx(np.percentile(rates, 97.5))
