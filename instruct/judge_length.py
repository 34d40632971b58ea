"""The length-controlled win rate (Dubois, Galambosi, Liang, Hashimoto 2024, "Length-Controlled AlpacaEval").

Section 3 models the probability that system m is preferred to the baseline b on question x as

    sigmoid(theta + phi * tanh((length_m - length_b) / deviation) + psi * gamma_x)

and predicts it at no difference in length: the mean over x of sigmoid(theta + psi * gamma_x). What is ours: a
weak normal prior on the coefficients in place of a cross-validated penalty (a judge's verdicts on one set are too
few to choose one), and that the difficulty gamma_x of a question comes from the other systems' verdicts alone, so
that no system's verdicts explain themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

DIFFICULTY_SYSTEMS = 3  # other systems from which on a question's difficulty can be told
_PRECISION = 0.01  # of the prior on theta, phi, psi: a standard deviation of 10 on the scale of log odds
_DIFFICULTY_PRECISION = 1.0
_LARGEST_STEP = 2.0
_STEPS = 200


def length_term(longer: np.ndarray) -> np.ndarray | None:
    """tanh of the difference in length over its standard deviation, [n]; None where lengths tell nothing."""
    deviation = longer.std() if len(longer) else np.nan
    return np.tanh(longer / deviation) if np.isfinite(deviation) and deviation > 0 else None


def controlled_win_rate(
    preference: np.ndarray, length: np.ndarray, difficulty: np.ndarray | None, weights: np.ndarray
) -> np.ndarray:
    """The win rate at equal lengths for each of several weightings of the questions.

    `preference` [n] in [0, 1], `length` [n] as by `length_term`, `difficulty` [n] or None, `weights` [times, n];
    returns [times].
    """
    columns = [np.ones_like(length), length] + ([] if difficulty is None else [difficulty])
    design = np.stack(columns, axis=1)
    coefficients = fit_logistic(design, preference, weights)
    at_zero = design.copy()
    at_zero[:, 1] = 0.0
    predicted = sigmoid(coefficients @ at_zero.T)
    return np.asarray((weights * predicted).sum(axis=1) / weights.sum(axis=1))


def fit_logistic(
    design: np.ndarray, targets: np.ndarray, weights: np.ndarray, precision: float = _PRECISION
) -> np.ndarray:
    """Coefficients [times, k] of logistic regressions on one design [n, k] with different weights [times, n].

    Targets are in [0, 1]. Maximises the weighted log-likelihood less precision / 2 times the squared
    coefficients, by Newton's method with bounded steps; the prior makes the maximum finite where the targets can
    be parted.
    """
    coefficients = np.zeros((len(weights), design.shape[1]))
    prior = precision * np.eye(design.shape[1])
    for _ in range(_STEPS):
        predicted = sigmoid(coefficients @ design.T)
        gradient = (weights * (targets - predicted)) @ design - precision * coefficients
        curvature = np.einsum(
            "tn,nj,nk->tjk", weights * predicted * (1 - predicted), design, design, optimize=True
        )
        step = np.linalg.solve(curvature + prior, gradient[:, :, None])[:, :, 0]
        coefficients += np.clip(step, -_LARGEST_STEP, _LARGEST_STEP)
        if np.abs(step).max(initial=0.0) < 1e-10:
            break
    return coefficients


def question_difficulty(preferences: Sequence[np.ndarray], lengths: Sequence[np.ndarray]) -> np.ndarray:
    """gamma_x of each question from several systems' outcomes on the same questions, [n] each.

    The joint model of the paper with psi fixed to 1: theta and phi of each system, gamma_x shared by all, with a
    standard normal prior on gamma_x. Its log-likelihood is concave; the two parts are maximised in turn.
    """
    count = len(preferences[0])
    gamma = np.zeros(count)
    targets = np.stack(preferences)
    for _ in range(_STEPS):
        logits = np.stack(
            [_system_logits(mine, length, gamma) for mine, length in zip(preferences, lengths, strict=True)]
        )
        new = gamma.copy()
        for _ in range(_STEPS):
            predicted = sigmoid(logits + new)
            slope = (targets - predicted).sum(axis=0) - _DIFFICULTY_PRECISION * new
            step = slope / ((predicted * (1 - predicted)).sum(axis=0) + _DIFFICULTY_PRECISION)
            new += np.clip(step, -_LARGEST_STEP, _LARGEST_STEP)
            if np.abs(step).max() < 1e-10:
                break
        change, gamma = float(np.abs(new - gamma).max()), new
        if change < 1e-8:
            break
    return gamma


def _system_logits(preference: np.ndarray, length: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """theta + phi * length of one system, [n], given gamma as an offset."""
    design = np.stack([np.ones_like(length), length], axis=1)
    coefficients = np.zeros(2)
    for _ in range(_STEPS):
        predicted = sigmoid(design @ coefficients + gamma)
        gradient = design.T @ (preference - predicted) - _PRECISION * coefficients
        curvature = (design * (predicted * (1 - predicted))[:, None]).T @ design + _PRECISION * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        coefficients += np.clip(step, -_LARGEST_STEP, _LARGEST_STEP)
        if np.abs(step).max() < 1e-10:
            break
    return np.asarray(design @ coefficients)


def sigmoid(values: np.ndarray) -> np.ndarray:
    """The logistic function, without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(0.5 * values)))
