"""DoReMi's proxy as an objective of the training loop: the domain weights move with every step of the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel

from mixtures.group_dro import DomainWeights, excess_loss, token_coefficients, update
from train.causal import Batch, causal_batch, token_losses
from train.checkpoint import State
from train.sampler import Sampler

ReferenceLosses = Callable[[Batch], torch.Tensor]


@dataclass(frozen=True)
class History:
    """The search at every `interval` steps: weights, running average and mean excess since the last entry.

    `steps` [entries] counts the steps done; the others are [entries, domains].
    """

    steps: np.ndarray
    weights: np.ndarray
    averages: np.ndarray
    excess: np.ndarray

    @classmethod
    def empty(cls, domains: int) -> History:
        """No entries yet."""
        table = np.zeros((0, domains))
        return cls(np.zeros(0, dtype=np.int64), table, table, table)

    def appended(self, search: DomainWeights, excess: np.ndarray) -> History:
        """The history with one more entry."""
        return History(
            np.append(self.steps, search.steps),
            np.vstack([self.weights, search.weights]),
            np.vstack([self.averages, search.average]),
            np.vstack([self.excess, excess]),
        )


class ProxyObjective:
    """Loss Σ αᵢ · mean(ℓ_proxy − ℓ_reference) over domains, α updated before each step (see `mixtures.group_dro`).

    The sampler's mixture is uniform and its rows per step are a multiple of its domains, so that every batch has
    all domains in equal parts. Metrics: `loss` (the proxy's nats per token), `excess/<domain>`, `weight/<domain>`
    and `average/<domain>`.
    """

    def __init__(
        self, sampler: Sampler, reference: ReferenceLosses, *, eta: float, smoothing: float, interval: int
    ) -> None:
        self.sampler, self.reference = sampler, reference
        self.eta, self.smoothing, self.interval = eta, smoothing, interval
        self.search = DomainWeights.uniform(len(sampler.domains))
        self.history = History.empty(len(sampler.domains))
        self._since = np.zeros(len(sampler.domains))

    def batch(self, step: int) -> Batch:
        """The rows of a step, as in `train.causal`."""
        return causal_batch(self.sampler, step)

    def loss(self, model: PreTrainedModel, batch: Batch, step: int) -> tuple[torch.Tensor, dict[str, float]]:
        """Update the weights by the batch and return the loss under the new ones."""
        losses = token_losses(model, batch["inputs"], batch["positions"], batch["targets"])
        with torch.no_grad():
            reference = self.reference(batch)
        domains = batch["domains"].cpu().numpy()
        proxy_losses = losses.detach().double().cpu().numpy()
        reference_losses = reference.double().cpu().numpy()
        mask = np.ones(proxy_losses.shape, dtype=bool)
        excess = excess_loss(proxy_losses, reference_losses, domains, mask, len(self.sampler.domains))
        if np.isfinite(excess.clipped).all():  # otherwise the loss is not finite either, and the loop says so
            self._advance(excess.clipped, excess.tokens)
        factors = token_coefficients(self.search.weights, excess.tokens)[domains]
        scale = torch.from_numpy(factors).to(losses.device, losses.dtype)
        loss = ((losses - reference) * scale[:, None]).sum()
        metrics = {"tokens": float(losses.numel()), "loss": float(proxy_losses.mean())}
        return loss, metrics | self._domain_metrics(excess.clipped / np.maximum(excess.tokens, 1))

    def state(self) -> State:
        """The search and its history."""
        search = {f"search/{field.name}": getattr(self.search, field.name) for field in fields(DomainWeights)}
        history = {f"history/{field.name}": getattr(self.history, field.name) for field in fields(History)}
        return {**search, **history, "since": self._since}

    def load_state(self, state: State) -> None:
        """Take back what `state` gave."""
        values: dict[str, Any] = dict(state)
        self.search = DomainWeights(
            **{field.name: values[f"search/{field.name}"] for field in fields(DomainWeights)}
        )
        self.history = History(**{field.name: values[f"history/{field.name}"] for field in fields(History)})
        self._since = values["since"]

    def _advance(self, clipped: np.ndarray, tokens: np.ndarray) -> None:
        self.search = update(self.search, clipped, tokens, eta=self.eta, smoothing=self.smoothing)
        self._since = self._since + clipped / np.maximum(tokens, 1)
        if self.search.steps % self.interval == 0:
            self.history = self.history.appended(self.search, self._since / self.interval)
            self._since = np.zeros_like(self._since)

    def _domain_metrics(self, excess: np.ndarray) -> dict[str, float]:
        columns = {"excess": excess, "weight": self.search.weights, "average": self.search.average}
        return {
            f"{column}/{name}": float(value)
            for column, values in columns.items()
            for name, value in zip(self.sampler.domains, values, strict=True)
        }
