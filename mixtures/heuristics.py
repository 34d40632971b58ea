"""Domain weights from domain sizes alone: proportional, temperature, UniMax. Pure functions on arrays."""

from __future__ import annotations

import numpy as np


def proportional(sizes: np.ndarray) -> np.ndarray:
    """wᵢ ∝ Nᵢ."""
    return sizes / sizes.sum()


def temperature(sizes: np.ndarray, exponent: float) -> np.ndarray:
    """wᵢ ∝ Nᵢ^(1/T): 1 is proportional, larger values are flatter (Arivazhagan et al. 2019, section 4.2)."""
    logs = np.full(len(sizes), -np.inf)
    np.log(sizes, out=logs, where=sizes > 0)
    shares = np.exp((logs - logs.max()) / exponent)
    return shares / shares.sum()


def unimax(sizes: np.ndarray, budget: float, max_epochs: float) -> np.ndarray:
    """As uniform as a cap on epochs allows (Chung et al. 2023, UniMax, algorithm 1).

    From the smallest domain up, each gets min(budget left / domains left, `max_epochs` · size); `budget` and
    `sizes` are in the same unit. Where all caps together fall short of the budget, the weights are those of the
    caps.
    """
    given = np.zeros(len(sizes))
    left = budget
    for place, index in enumerate(np.argsort(sizes, kind="stable")):
        given[index] = min(left / (len(sizes) - place), max_epochs * sizes[index])
        left -= given[index]
    return given / given.sum()
