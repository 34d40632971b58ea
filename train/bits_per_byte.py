"""Bits per byte: how well a model predicts held-out documents, whatever its tokenizer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from corpus.core.files import stable_fraction
from corpus.core.shards import DomainShard
from corpus.tokens.scoring import context_length, sequence_nll


@dataclass(frozen=True)
class Documents:
    """Documents of one domain: their tokens without end of text, and their bytes of UTF-8 text in all."""

    tokens: list[np.ndarray]
    bytes: int


@dataclass(frozen=True)
class Score:
    """What was scored, and its negative log-likelihood in nats."""

    documents: int
    tokens: int
    bytes: int
    nats: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON, with `bits_per_byte`."""
        bits = self.nats / math.log(2) / self.bytes if self.bytes else None
        return {"documents": self.documents, "tokens": self.tokens, "bytes": self.bytes, "bits_per_byte": bits}


def sample_documents(shard: DomainShard, maximum_tokens: int | None) -> Documents:
    """The documents of a domain, or whole ones by the hash of their ids up to `maximum_tokens`, one at least."""
    table = shard.documents()
    sizes = np.diff(shard.offsets)
    order = sorted(range(len(sizes)), key=lambda i: (stable_fraction(table["id"][i]), i))
    if maximum_tokens is not None:
        order = order[: max(1, int(np.searchsorted(np.cumsum(sizes[order]), maximum_tokens, side="right")))]
    order.sort()
    tokens = [np.asarray(shard.tokens[shard.offsets[i] : shard.offsets[i + 1] - 1]) for i in order]
    return Documents(tokens, int(table["bytes"].gather(order).sum()))


def score_documents(
    model: PreTrainedModel,
    documents: Documents,
    end_of_text_id: int,
    advance: Callable[[int], None] = lambda tokens: None,
) -> Score:
    """Score each token of each document once.

    A document's first token is predicted from the end-of-text token alone. One longer than the model's context
    goes on in windows of that length, the first token of each predicted from the token before it (the windows of
    lm-eval's rolling log-likelihood). The end-of-text token itself is not scored: it has no bytes.
    """
    context = context_length(model)
    windows = [
        window for tokens in documents.tokens for window in document_windows(tokens, end_of_text_id, context)
    ]
    nats = float(sequence_nll(model, windows, advance=advance).sum())
    scored = sum(len(tokens) for tokens in documents.tokens)
    return Score(len(documents.tokens), scored, documents.bytes, nats)


def document_windows(tokens: np.ndarray, end_of_text_id: int, context: int) -> list[np.ndarray]:
    """Cut a document into windows of at most `context` scored tokens, each after one token of context."""
    whole = np.concatenate([[end_of_text_id], tokens]).astype(np.int64)
    return [whole[start : start + context + 1] for start in range(0, len(tokens), context)]


def total(scores: Sequence[Score]) -> Score:
    """All domains together."""
    return Score(
        sum(score.documents for score in scores),
        sum(score.tokens for score in scores),
        sum(score.bytes for score in scores),
        math.fsum(score.nats for score in scores),
    )
