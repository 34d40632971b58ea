"""What weights mean for a run: tokens, epochs, the value of repeated tokens, caps, compute. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

REPETITION_CONSTANT = 15.39
TOKENS_PER_PARAMETER = 20
FLOPS_PER_PARAMETER_AND_TOKEN = 6


@dataclass(frozen=True)
class DomainPlan:
    """One domain's part in a run.

    `weight` is its share of the run's tokens, `tokens` how many those are, `available` how many different ones
    exist, `epochs` their ratio, `value` what one of the run's tokens is worth next to a fresh one, `cap` the
    largest weight that stays within the allowed epochs.
    """

    name: str
    weight: float
    tokens: float
    available: float
    epochs: float
    value: float
    cap: float

    @property
    def over_cap(self) -> bool:
        """Whether the weight asks for more epochs than allowed (a rounding error apart)."""
        return self.weight > self.cap * (1 + 1e-9)


@dataclass(frozen=True)
class Plan:
    """A run of `tokens` tokens over domains, of which none should be repeated more than `max_epochs` times."""

    domains: tuple[DomainPlan, ...]
    tokens: float
    max_epochs: float

    @property
    def largest_for_any(self) -> float:
        """The largest run, in tokens, that some weights could feed."""
        return self.max_epochs * sum(domain.available for domain in self.domains)

    @property
    def largest_for_weights(self) -> float:
        """The largest run, in tokens, that these weights can feed."""
        used = [domain for domain in self.domains if domain.weight > 0]
        return min(self.max_epochs * domain.available / domain.weight for domain in used)

    @property
    def feasible(self) -> bool:
        """Whether any weights at all keep every domain within `max_epochs`: the caps sum to 1 or more."""
        return self.tokens <= self.largest_for_any * (1 + 1e-9)

    @property
    def effective_tokens(self) -> float:
        """The run's tokens in fresh ones."""
        return sum(domain.tokens * domain.value for domain in self.domains)


def make_plan(
    weights: Mapping[str, float], available: Mapping[str, float], tokens: float, max_epochs: float = 4.0
) -> Plan:
    """Say what `weights` (shares of tokens, summing to 1) mean for a run of `tokens` tokens.

    `available` holds every domain's number of different tokens; a domain without weight is listed with 0.
    Raises ValueError for a weighted domain that has no tokens.
    """
    domains = []
    for name in sorted(available):
        weight, size = weights.get(name, 0.0), available[name]
        if weight > 0 and size <= 0:
            raise ValueError(f"domain `{name}` has weight {weight:.4g} but no tokens")
        epochs = weight * tokens / size if size > 0 else 0.0
        value = repetition_value(epochs)
        domains.append(DomainPlan(name, weight, weight * tokens, size, epochs, value, max_epochs * size / tokens))
    return Plan(tuple(domains), tokens, max_epochs)


def repetition_value(epochs: float) -> float:
    """What a token is worth, next to a fresh one, in a run that sees its domain `epochs` times.

    D′ = U + U·R*·(1 − exp(−(e − 1)/R*)) with R* = 15.39 (Muennighoff et al. 2023, equation 5), divided by the
    tokens seen, U·e. Fitted on runs that repeat the whole corpus, not one domain of it.
    """
    if epochs <= 1:
        return 1.0
    repeats = REPETITION_CONSTANT * -np.expm1(-(epochs - 1) / REPETITION_CONSTANT)
    return float((1 + repeats) / epochs)


def chinchilla_tokens(parameters: float) -> float:
    """20 tokens per parameter, the compute-optimal rule of thumb of Hoffmann et al. 2022."""
    return TOKENS_PER_PARAMETER * parameters


def training_flops(parameters: float, tokens: float) -> float:
    """C = 6·N·D floating-point operations for forward and backward (Kaplan et al. 2020, section 2.1)."""
    return FLOPS_PER_PARAMETER_AND_TOKEN * parameters * tokens


def convert_weights(
    weights: Mapping[str, float], source: Mapping[str, float], target: Mapping[str, float]
) -> dict[str, float]:
    """Turn shares of one unit into shares of another, e.g. of bytes into of tokens.

    `source` and `target` are the domains' sizes in the unit that the weights are in and in the one wanted:
    w′ᵢ ∝ wᵢ · targetᵢ / sourceᵢ. Raises ValueError for a weighted domain of size 0.
    """
    for name, weight in weights.items():
        if weight > 0 and source[name] <= 0:
            raise ValueError(f"domain `{name}` has weight {weight:.4g} but size 0")
    shares = {name: weight * target[name] / source[name] for name, weight in weights.items() if weight > 0}
    total = sum(shares.values())
    return {name: shares.get(name, 0.0) / total for name in weights}
