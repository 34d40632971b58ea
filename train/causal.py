"""Next-token prediction over the rows of a sampler."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from transformers import PreTrainedModel

from train.checkpoint import State
from train.sampler import Sampler, document_positions

Batch = dict[str, torch.Tensor]


class CausalObjective:
    """Mean loss per token over the rows of each step, documents kept apart within their rows.

    Its metrics: `loss` (nats per token) and `bits_per_byte`, each also by domain as `loss/<domain>`; `tokens`.
    A domain's bytes per token are those of its whole shard.
    """

    def __init__(self, sampler: Sampler) -> None:
        self.sampler = sampler
        shards = sampler.shards.domains
        self._bytes_per_token = {name: shards[name].bytes / len(shards[name].tokens) for name in sampler.domains}

    def batch(self, step: int) -> Batch:
        """`inputs`, `positions`, `targets` int64 [rows, row_length]; `domains` int64 [rows]."""
        return causal_batch(self.sampler, step)

    def loss(self, model: PreTrainedModel, batch: Batch, step: int) -> tuple[torch.Tensor, dict[str, float]]:
        """The step's mean loss and its metrics."""
        losses = token_losses(model, batch["inputs"], batch["positions"], batch["targets"])
        by_row = losses.detach().double().sum(dim=1).cpu().numpy()
        return losses.mean(), self._metrics(by_row, batch["domains"].cpu().numpy(), losses.shape[1])

    def state(self) -> State:
        """Nothing: the sampler is a function of the step."""
        return {}

    def load_state(self, state: State) -> None:
        """Nothing to load."""

    def _metrics(self, by_row: np.ndarray, domains: np.ndarray, row_length: int) -> dict[str, float]:
        metrics: dict[str, float] = {"tokens": by_row.size * row_length}
        nats, size = 0.0, 0.0
        for number in np.unique(domains):
            name = self.sampler.domains[number]
            rows = by_row[domains == number]
            domain_bytes = rows.size * row_length * self._bytes_per_token[name]
            nats, size = nats + float(rows.sum()), size + domain_bytes
            metrics[f"loss/{name}"] = float(rows.sum()) / (rows.size * row_length)
            metrics[f"bits_per_byte/{name}"] = float(rows.sum()) / math.log(2) / domain_bytes
        return {"loss": nats / by_row.size / row_length, "bits_per_byte": nats / math.log(2) / size, **metrics}


def causal_batch(sampler: Sampler, step: int) -> Batch:
    """A step's tokens as tensors: `inputs`, `positions`, `targets` [rows, row_length]; `domains` [rows].

    `domains` are numbers in `sampler.domains`.
    """
    tokens = sampler.tokens(step)
    inputs = tokens[:, :-1]
    numbers = {name: number for number, name in enumerate(sampler.domains)}
    return {
        "inputs": torch.from_numpy(np.ascontiguousarray(inputs)),
        "positions": torch.from_numpy(document_positions(inputs, sampler.shards.end_of_text_id)),
        "targets": torch.from_numpy(np.ascontiguousarray(tokens[:, 1:])),
        "domains": torch.tensor([numbers[row.domain] for row in sampler.rows(step)]),
    }


def token_losses(
    model: PreTrainedModel, inputs: torch.Tensor, positions: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Cross-entropy of each target in nats, fp32 [rows, length], from fp32 logits.

    Targets of -100 give 0. No attention mask and no cache: both would let packed documents see each other.
    """
    arguments: dict[str, Any] = {"input_ids": inputs, "position_ids": positions, "use_cache": False}
    logits = model(**arguments).logits.float()
    losses = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    return losses.view(targets.shape)
