"""How sure DoReMi's weights are: whether they still drift, and whether they differ from others beyond noise.

The noise meant here is that of the rows which happened to be drawn. A step's excess losses are taken as a level
that moves slowly plus noise that is independent between steps; the noise of step t is read off its neighbours,
rₜ = (λₜ − (λₜ₋₁ + λₜ₊₁) / 2) · √(2/3). A wild bootstrap (Wu 1986) gives every rₜ a random sign and replays the
search over this noise alone, as if no domain differed from another: how far its weights then stray from uniform is
how far they stray by chance. What another initialisation of the models would change is not in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_REPLICATES = 400
_LEVEL = 0.95
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Intervals:
    """Simultaneous intervals of the averaged weights, [domains] each: all hold together at the 95 % level."""

    low: np.ndarray
    high: np.ndarray

    def outside(self, weights: np.ndarray) -> np.ndarray:
        """Which of other weights, [domains], the intervals exclude."""
        return (weights < self.low - _ROUNDING) | (weights > self.high + _ROUNDING)


def replay(excess: np.ndarray, *, eta: float, smoothing: float, repeats: int = 1) -> np.ndarray:
    """The averaged weights [replicates, domains] of searches from uniform over given excess losses.

    `excess` is [replicates, steps, domains]; each entry is used for `repeats` updates in a row.
    """
    replicates, steps, domains = excess.shape
    weights = np.full((replicates, domains), 1 / domains)
    total = np.zeros_like(weights)
    for step in range(steps):
        gains = eta * excess[:, step]
        for _ in range(repeats):
            with np.errstate(divide="ignore"):
                logs = np.log(weights) + gains
            shares = np.exp(logs - logs.max(axis=1, keepdims=True))
            weights = (1 - smoothing) * shares / shares.sum(axis=1, keepdims=True) + smoothing / domains
            total += weights
    return total / (steps * repeats)


def bootstrap_intervals(
    excess: np.ndarray, average: np.ndarray, *, eta: float, smoothing: float, repeats: int = 1, seed: int = 0
) -> Intervals:
    """Intervals around `average` [domains] from the excess losses [steps, domains] that led to it.

    Each entry of `excess` is the mean over `repeats` steps. The intervals are symmetric in log odds; their width
    is the replays' standard deviation from uniform times the 95 % quantile of the largest deviation over domains.
    With fewer than three entries nothing is known about the noise and the intervals are [0, 1].
    """
    if len(excess) < 3:
        return Intervals(np.zeros_like(average), np.ones_like(average))
    noise = np.zeros_like(excess)
    noise[1:-1] = (excess[1:-1] - (excess[:-2] + excess[2:]) / 2) * np.sqrt(2 / 3)
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(_REPLICATES, len(excess), 1))
    replayed = replay(signs * noise, eta=eta, smoothing=smoothing, repeats=repeats)
    deviations = _log_odds(replayed) - _log_odds(np.full(excess.shape[1], 1 / excess.shape[1]))
    errors = np.sqrt((deviations**2).mean(axis=0))
    scaled = np.abs(deviations) / np.maximum(errors, np.finfo(float).tiny)
    width = np.quantile(scaled.max(axis=1), _LEVEL) * errors
    centre = _log_odds(average)
    return Intervals(_from_log_odds(centre - width), _from_log_odds(centre + width))


def _log_odds(weights: np.ndarray) -> np.ndarray:
    """log(w / (1 − w)), finite at 0 and 1 too."""
    inside = np.clip(weights, 1e-15, 1 - 1e-15)
    return np.log(inside) - np.log1p(-inside)


def _from_log_odds(log_odds: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-log_odds))


def drift(averages: np.ndarray) -> float:
    """The largest change of a running average [entries, domains] over its last quarter."""
    return float(np.abs(averages[-1] - averages[-1 - len(averages) // 4]).max())
