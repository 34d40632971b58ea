"""DoReMi's group distributionally robust update of domain weights (Xie et al. 2023, algorithm 1), in numpy.

For every domain the excess loss of the proxy over the reference, clipped at zero per token, is averaged over the
domain's tokens; weights grow exponentially with it, are normalised, and are mixed with the uniform ones:

    λᵢ = Σ max(ℓ_proxy − ℓ_reference, 0) / number of tokens      α ← (1 − c) · α·exp(ηλ) / Σ α·exp(ηλ) + c / k
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

Absent = Literal["stratify", "skip", "carry"]


@dataclass(frozen=True)
class ExcessLoss:
    """Excess losses of one batch, summed per domain: [domains] each, so that they add up over ranks and parts.

    `clipped` sums max(ℓ_proxy − ℓ_reference, 0), `plain` sums the difference itself, `tokens` counts.
    """

    clipped: np.ndarray
    plain: np.ndarray
    tokens: np.ndarray

    def __add__(self, other: ExcessLoss) -> ExcessLoss:
        return ExcessLoss(self.clipped + other.clipped, self.plain + other.plain, self.tokens + other.tokens)


@dataclass(frozen=True)
class DomainWeights:
    """The state of the search: weights [domains], their sum over the steps, the steps, and the last excess seen.

    `last_excess` is NaN for a domain that no batch has shown yet.
    """

    weights: np.ndarray
    weights_sum: np.ndarray
    steps: int
    last_excess: np.ndarray

    @classmethod
    def uniform(cls, domains: int) -> DomainWeights:
        """The start α₀ = 1/k."""
        return cls(np.full(domains, 1 / domains), np.zeros(domains), 0, np.full(domains, np.nan))

    @property
    def average(self) -> np.ndarray:
        """ᾱ, the mean of α_1 … α_t: the search's answer (before the first step α₀).

        The paper's algorithm 1 averages the steps' weights; the official code also counts α₀, a difference of
        (α₀ − ᾱ) / (t + 1).
        """
        return self.weights_sum / self.steps if self.steps else self.weights


def excess_loss(
    proxy: np.ndarray, reference: np.ndarray, row_domains: np.ndarray, mask: np.ndarray, domains: int
) -> ExcessLoss:
    """Sum a batch's excess losses per domain.

    `proxy` and `reference` are token losses in nats, [rows, tokens]; `mask` is true where a token counts (losses
    elsewhere may be anything, NaN included); `row_domains` [rows] holds the rows' domain numbers.
    """
    difference = np.where(mask, proxy - reference, 0.0).astype(np.float64)
    clipped, plain, tokens = (np.zeros(domains) for _ in range(3))
    np.add.at(clipped, row_domains, np.maximum(difference, 0).sum(axis=1))
    np.add.at(plain, row_domains, difference.sum(axis=1))
    np.add.at(tokens, row_domains, mask.sum(axis=1))
    return ExcessLoss(clipped, plain, tokens)


def update(
    state: DomainWeights,
    clipped: np.ndarray,
    tokens: np.ndarray,
    *,
    eta: float = 1.0,
    smoothing: float = 1e-3,
    absent: Absent = "stratify",
) -> DomainWeights:
    """One step of the search from the batch's clipped excess per domain and its token counts, [domains] each.

    A domain without tokens has no λ. By `carry` its last known λ is used; by `skip`, and by `carry` when there is
    none, it keeps its weight and the others share the rest. By `stratify` the sampler puts every domain into every
    batch; one whose tokens are all masked is then treated as by `skip`. (The official code starts with λ = ln V
    instead, which hands almost all weight to a domain that the first batch lacks.) The result is finite and sums
    to 1 for any finite input; ValueError when a sum is not finite.
    """
    if not np.isfinite(clipped).all():
        raise ValueError(f"the excess loss of domain {int(np.argmin(np.isfinite(clipped)))} is not finite")
    seen = tokens > 0
    excess = np.where(seen, clipped / np.maximum(tokens, 1), state.last_excess if absent == "carry" else np.nan)
    weights = _exponentiated(state.weights, eta * excess)
    weights = (1 - smoothing) * weights + smoothing / len(weights)
    weights /= weights.sum()
    return replace(
        state,
        weights=weights,
        weights_sum=state.weights_sum + weights,
        steps=state.steps + 1,
        last_excess=np.where(seen, clipped / np.maximum(tokens, 1), state.last_excess),
    )


def _exponentiated(weights: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """α·exp(gain), normalised; entries without a gain (NaN) keep their weight. In logs, against overflow."""
    known = ~np.isnan(gains) & (weights > 0)
    if not known.any():
        return weights
    logs = np.log(weights[known]) + gains[known]
    shares = np.exp(logs - logs.max())
    result = weights.copy()
    result[known] = shares / shares.sum() * weights[known].sum()
    return result


def token_coefficients(weights: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """αᵢ / tokens of domain i, [domains]: what each token's loss is multiplied by so that the sum is Σ αᵢ·meanᵢ.

    Zero for a domain without tokens. Differs from the official code, whose Σ w·ℓ / Σ w over tokens is the paper's
    sum of domain means only when all domains have the same number of tokens.
    """
    return np.where(tokens > 0, weights / np.maximum(tokens, 1), 0.0)
