"""Text from a model, token by token."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from corpus.tokens.scoring import context_length


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn: a temperature of 0 takes the likeliest. The same seed gives the same tokens.

    `repetition_penalty` divides the logits of tokens already in the reply (Keskar et al., CTRL, 2019, section
    4.1); 1 changes nothing.
    """

    maximum_new_tokens: int = 256
    temperature: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0


@torch.no_grad()
def generate(
    model: PreTrainedModel,
    prompt: Sequence[int],
    stop_ids: Collection[int],
    sampling: Sampling,
    suppressed_ids: Collection[int] = (),
) -> Iterator[int]:
    """Yield the tokens that follow `prompt` (not empty), the last one a stop token if the reply ended by itself.

    Ends at `maximum_new_tokens` and where the model's context is full. `suppressed_ids` are never drawn.
    """
    generator = torch.Generator().manual_seed(sampling.seed)
    room = min(sampling.maximum_new_tokens, context_length(model) - len(prompt))
    suppressed = sorted(set(suppressed_ids) - set(stop_ids))
    cache: Any = None
    written: list[int] = []
    pending = list(prompt)
    while len(written) < room:
        inputs = torch.tensor([pending], device=model.device)
        output = model(input_ids=inputs, past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        logits = output.logits[0, -1].float().cpu()
        logits[suppressed] = -torch.inf
        token = _draw(logits, written, sampling, generator)
        written.append(token)
        yield token
        if token in stop_ids:
            return
        pending = [token]


class TextStream:
    """Token ids to text that can be shown at once: a character whose bytes are not all there waits."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._shown = 0

    def add(self, token: int) -> str:
        """What a token makes complete; may be empty."""
        self._ids.append(token)
        return self._show(self._text().rstrip("\ufffd"))

    def end(self) -> str:
        """What is left."""
        return self._show(self._text())

    def _text(self) -> str:
        return str(self._tokenizer.decode(self._ids, skip_special_tokens=True))

    def _show(self, text: str) -> str:
        new = text[self._shown :]
        self._shown = max(self._shown, len(text))
        return new


def _draw(logits: torch.Tensor, written: list[int], sampling: Sampling, generator: torch.Generator) -> int:
    if written and sampling.repetition_penalty != 1:
        seen = torch.tensor(sorted(set(written)))
        values = logits[seen]
        penalty = sampling.repetition_penalty
        logits[seen] = torch.where(values > 0, values / penalty, values * penalty)
    if sampling.temperature == 0:
        return int(logits.argmax())
    probabilities = torch.softmax(logits / sampling.temperature, dim=-1)
    return int(torch.multinomial(probabilities, 1, generator=generator))
