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


class Encoder:
    """A local model of embeddings. Raises ZeroToOneError for one that cannot be opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._model, tokenizer = open_local(path, "embedding")
        self._tokenizer: Any = tokenizer
        self._longest = min(context_length(self._model), int(self._tokenizer.model_max_length), _BATCH_TOKENS)

    def embed(self, texts: Sequence[str], advance: Callable[[int], None] = lambda _: None) -> np.ndarray:
        """A vector for each text, float32 [texts, size]; a text longer than the model takes is cut.

        Raises ZeroToOneError where they are not finite.
        """
        given = self._tokenizer(list(texts), truncation=True, max_length=self._longest) if texts else {}
        ids: list[list[int]] = given["input_ids"] if texts else []
        vectors = np.zeros((len(texts), int(self._model.config.hidden_size)), np.float32)
        order = sorted((row for row in range(len(texts)) if ids[row]), key=lambda row: (-len(ids[row]), row))
        while order:
            count = max(1, _BATCH_TOKENS // len(ids[order[0]]))
            batch, order = order[:count], order[count:]
            vectors[batch] = self._means([ids[row] for row in batch])
            advance(len(batch))
        if not np.isfinite(vectors).all():
            raise ZeroToOneError(f"{self._path}: the model gives no finite embeddings")
        return vectors

    @torch.no_grad()
    def _means(self, ids: Sequence[Sequence[int]]) -> np.ndarray:
        """The mean states of texts given as tokens, the longest first."""
        tokens = torch.zeros((len(ids), len(ids[0])), dtype=torch.long)
        mask = torch.zeros_like(tokens)
        for place, own in enumerate(ids):
            tokens[place, : len(own)] = torch.tensor(own)
            mask[place, : len(own)] = 1
        tokens, mask = tokens.to(self._model.device), mask.to(self._model.device)
        states = self._model(input_ids=tokens, attention_mask=mask).last_hidden_state.float()
        weights = mask[:, :, None]
        means: np.ndarray = ((states * weights).sum(dim=1) / weights.sum(dim=1)).cpu().numpy()
        return means
