"""Figures of merit from outcomes, with bootstrap intervals by question.

Performance ratio and beat rate are those of the Phoenix report (Chen et al. 2023): mean score over that of the
reference, and wins over wins and losses. The win rate is AlpacaEval's (Li et al. 2023): a tie is half a win.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from instruct.judge_length import DIFFICULTY_SYSTEMS, controlled_win_rate, length_term, question_difficulty
from instruct.judge_outcomes import Outcomes

ALL = "all"
_COVERAGE = 0.95


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are found: how many resamples of the questions, and from which seed."""

    times: int
    seed: int

    def weights(self, count: int) -> np.ndarray:
        """How often each question stands in each resample, [times, n]; the same for all systems."""
        draw = np.random.default_rng(self.seed)
        return draw.multinomial(count, np.full(count, 1 / count), size=self.times).astype(np.float64)


def result_rows(
    outcomes: Mapping[str, Outcomes], categories: Mapping[str, str], bootstrap: Bootstrap, *, scored: bool
) -> list[dict[str, Any]]:
    """For each system a line for all questions and one for each category; `scored`: values are scores, not ranks.

    Figures are `{value, low, high}` with the interval that holds 95 % of the resamples, or None where they do not
    exist: no win and no loss, no scores, lengths that are not known.
    """
    rows = []
    for system, found in outcomes.items():
        if not found.questions:
            continue
        difficulty = _difficulty(system, outcomes)
        rows.append(_row(system, ALL, found, difficulty, bootstrap, scored))
        of = np.array([categories[question] for question in found.questions])
        for category in dict.fromkeys(of.tolist()):
            if category and (of != category).any():
                part = of == category
                rows.append(_row(system, category, found.of(part), None, bootstrap, scored, controlled=False))
    return rows


def _row(
    system: str,
    category: str,
    found: Outcomes,
    difficulty: np.ndarray | None,
    bootstrap: Bootstrap,
    scored: bool,
    controlled: bool = True,
) -> dict[str, Any]:
    count = len(found.questions)
    weights = bootstrap.weights(count)

    def figure(statistic: Callable[[np.ndarray], np.ndarray]) -> dict[str, float] | None:
        return _figure(statistic, weights)

    wins, losses = found.preference == 1, found.preference == 0
    length = length_term(found.longer) if controlled else None
    row: dict[str, Any] = {
        "system": system,
        "category": category,
        "questions": count,
        "wins": int(wins.sum()),
        "ties": int(count - wins.sum() - losses.sum()),
        "losses": int(losses.sum()),
        "mean_score": float(found.own.mean()) if scored else None,
        "reference_score": float(found.reference.mean()) if scored else None,
        "performance_ratio": figure(lambda w: (w @ found.own) / (w @ found.reference)) if scored else None,
        "mean_rank": None if scored else figure(lambda w: -(w @ found.own) / w.sum(axis=1)),
        "reference_rank": None if scored else -float(found.reference.mean()),
        "beat_rate": figure(lambda w: _divide(w @ wins, w @ (wins | losses))),
        "win_rate": figure(lambda w: w @ found.preference / w.sum(axis=1)),
        "length_controlled_win_rate": None,
        "inconsistent": figure(lambda w: w @ ~found.consistent / w.sum(axis=1)),
    }
    if length is not None:
        row["length_controlled_win_rate"] = figure(
            lambda w: controlled_win_rate(found.preference, length, difficulty, w)
        )
    elif controlled and np.isfinite(found.longer).all():  # all differ by the same: nothing to control for
        row["length_controlled_win_rate"] = row["win_rate"]
    return row


def _figure(statistic: Callable[[np.ndarray], np.ndarray], weights: np.ndarray) -> dict[str, float] | None:
    value = float(statistic(np.ones((1, weights.shape[1])))[0])
    if np.isnan(value):
        return None
    figure = {"value": value}
    samples = statistic(weights) if len(weights) else np.empty(0)
    samples = samples[~np.isnan(samples)]
    if len(samples):
        edges = (1 - _COVERAGE) / 2, (1 + _COVERAGE) / 2
        figure["low"], figure["high"] = map(float, np.quantile(samples, edges))
    return figure


def _divide(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)


def _difficulty(system: str, outcomes: Mapping[str, Outcomes]) -> np.ndarray | None:
    """The questions' difficulty by the other systems; None where too few of them were judged on all of these."""
    mine = outcomes[system].questions
    others = [
        (found, length)
        for name, found in outcomes.items()
        if name != system and found.questions == mine and (length := length_term(found.longer)) is not None
    ]
    if len(others) < DIFFICULTY_SYSTEMS:
        return None
    gamma = question_difficulty([found.preference for found, _ in others], [length for _, length in others])
    return gamma if gamma.std() > 0 else None


def first_place_advantage(values: Sequence[tuple[float, ...]]) -> float | None:
    """By how much the answer shown first is scored higher than the last, in the mean over verdicts."""
    return float(np.mean([shown[0] - shown[-1] for shown in values])) if values else None
