"""Log-probabilities of given tokens under a model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn import functional
from transformers import PreTrainedModel

_LOGITS = 2**25  # at most this many logits at a time
_DEFAULT_CONTEXT = 1024  # of architectures without positions to run out of, such as BLOOM


def context_length(model: PreTrainedModel) -> int:
    """How many tokens a model takes at once."""
    return int(getattr(model.config, "max_position_embeddings", None) or _DEFAULT_CONTEXT)


def tokens_at_once(model: PreTrainedModel) -> int:
    """How many positions a batch should have so that its logits stay within bounds in memory."""
    return max(1, _LOGITS // int(model.config.vocab_size))


def sequence_nll(
    model: PreTrainedModel,
    sequences: Sequence[np.ndarray],
    targets: Sequence[np.ndarray] | None = None,
    advance: Callable[[int], None] = lambda tokens: None,
) -> np.ndarray:
    """Negative log-likelihood in nats of each sequence: float64 [sequences], summed over its counted tokens.

    A token is predicted from all tokens before it in its sequence; the first one is only context. `targets`
    (bool, as long as each sequence) says which tokens count; without it all but the first do. Sequences are
    batched by length and padded on the right, which no causal model can see. `advance` gets the number of
    scored tokens now and then. Weights and logits in fp32, sums in float64.
    """
    was_training = model.training
    model.train(False)
    nats = np.zeros(len(sequences))
    order = sorted((i for i in range(len(sequences)) if len(sequences[i]) > 1), key=lambda i: -len(sequences[i]))
    while order:
        longest = len(sequences[order[0]]) - 1
        size = max(1, tokens_at_once(model) // longest)
        batch, order = order[:size], order[size:]
        inputs = np.zeros((len(batch), longest), np.int64)
        wanted = np.full((len(batch), longest), -100, np.int64)
        for row, i in enumerate(batch):
            tokens = np.asarray(sequences[i], np.int64)
            inputs[row, : len(tokens) - 1] = tokens[:-1]
            counted = tokens[1:] if targets is None else np.where(targets[i][1:], tokens[1:], -100)
            wanted[row, : len(tokens) - 1] = counted
        nats[batch] = _batch_nll(model, inputs, wanted)
        advance(int((wanted != -100).sum()))
    model.train(was_training)
    return nats


@torch.no_grad()
def _batch_nll(model: PreTrainedModel, inputs: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    logits = model(input_ids=torch.from_numpy(inputs).to(model.device), use_cache=False).logits.float()
    flat = torch.from_numpy(wanted).to(model.device).flatten()
    losses = functional.cross_entropy(logits.flatten(0, 1), flat, reduction="none")
    return np.asarray(losses.view(wanted.shape).double().sum(dim=1).cpu().numpy())
