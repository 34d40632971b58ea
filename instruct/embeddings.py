"""Embeddings of texts by a local model: the mean of its last states over the tokens (Reimers, Gurevych 2019)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from corpus.core.errors import ZeroToOneError
from corpus.tokens.scoring import context_length
from instruct.local_models import open_local

_BATCH_TOKENS = 8192


@torch.no_grad()
def embed(texts: Sequence[str], path: Path, advance: Callable[[int], None]) -> np.ndarray:
    """A vector for each text, float32 [texts, size]; a text longer than the model takes is cut.

    Raises ZeroToOneError for a model that cannot be opened.
    """
    model, opened = open_local(path, "embedding")
    tokenizer: Any = opened
    longest = min(context_length(model), int(tokenizer.model_max_length), _BATCH_TOKENS)
    ids = tokenizer(list(texts), truncation=True, max_length=longest)["input_ids"] if texts else []
    size = int(model.config.hidden_size)
    vectors = np.zeros((len(texts), size), np.float32)
    order = sorted((row for row in range(len(texts)) if ids[row]), key=lambda row: (-len(ids[row]), row))
    while order:
        width = len(ids[order[0]])
        count = max(1, _BATCH_TOKENS // width)
        batch, order = order[:count], order[count:]
        tokens = torch.zeros((len(batch), width), dtype=torch.long)
        mask = torch.zeros((len(batch), width), dtype=torch.long)
        for place, row in enumerate(batch):
            tokens[place, : len(ids[row])] = torch.tensor(ids[row])
            mask[place, : len(ids[row])] = 1
        tokens, mask = tokens.to(model.device), mask.to(model.device)
        states = model(input_ids=tokens, attention_mask=mask).last_hidden_state.float()
        weights = mask[:, :, None]
        vectors[batch] = ((states * weights).sum(dim=1) / weights.sum(dim=1)).cpu().numpy()
        advance(len(batch))
    if not np.isfinite(vectors).all():
        raise ZeroToOneError(f"{path}: the model gives no finite embeddings")
    return vectors
