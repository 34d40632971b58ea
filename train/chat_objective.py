"""The loss of fine-tuning: cross-entropy of reply tokens, each weighing the same in its step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from transformers import PreTrainedModel

from train.chat_data import EncodedConversation
from train.checkpoint import State
from train.packing import Plan

Part = dict[str, torch.Tensor]


class ChatObjective:
    """The sum of the losses of a step's target tokens, divided by their number.

    `part_tokens` bounds how many positions go through the model at once; how a step is cut into such parts
    changes memory, not the gradient. With `packed` rows hold several conversations, told apart by positions that
    begin anew; otherwise rows hold one each.
    """

    def __init__(
        self, encoded: Sequence[EncodedConversation], plan: Plan, *, packed: bool, part_tokens: int
    ) -> None:
        self.encoded, self.plan, self.packed, self.part_tokens = encoded, plan, packed, part_tokens

    def batch(self, step: int) -> list[Part]:
        """Parts of a step: `inputs`, `positions` and `targets` (-100 where not counted), int64 [rows, length]."""
        return [self._part(rows) for rows in self._rows_in_parts(self.plan[step])]

    def loss(self, model: PreTrainedModel, batch: list[Part], step: int) -> tuple[torch.Tensor, dict[str, float]]:
        """The last part's share of the loss; the gradients of the parts before it are already in the model."""
        count = sum(int((part["targets"] != -100).sum()) for part in batch)
        total = 0.0
        for place, part in enumerate(batch):
            share = self._sum_of_losses(model, part) / count
            total += share.item()
            if place + 1 < len(batch):
                with torch.autocast(share.device.type, enabled=False):
                    torch.autograd.backward(share)
        tokens = sum(len(self.encoded[item].ids) - 1 for row in self.plan[step] for item in row)
        return share, {"loss": total, "tokens": tokens, "target_tokens": count}

    def state(self) -> State:
        """Nothing: the plan says what a step holds."""
        return {}

    def load_state(self, state: State) -> None:
        """Nothing to load."""

    def _sum_of_losses(self, model: PreTrainedModel, part: Part) -> torch.Tensor:
        arguments: dict[str, Any] = {"input_ids": part["inputs"], "use_cache": False}
        if self.packed:
            arguments["position_ids"] = part["positions"]
        logits = model(**arguments).logits.float()
        return functional.cross_entropy(logits.flatten(0, 1), part["targets"].flatten(), reduction="sum")

    def _rows_in_parts(self, rows: list[list[int]]) -> Iterator[list[list[int]]]:
        part: list[list[int]] = []
        longest = 0
        for row in rows:
            length = max(longest, self._length(row))
            if part and length * (len(part) + 1) > self.part_tokens:
                yield part
                part, length = [], self._length(row)
            part, longest = [*part, row], length
        yield part

    def _length(self, row: list[int]) -> int:
        return sum(len(self.encoded[item].ids) - 1 for item in row)

    def _part(self, rows: list[list[int]]) -> Part:
        shape = len(rows), max(self._length(row) for row in rows)
        inputs, positions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        targets = np.full(shape, -100, np.int64)
        for number, row in enumerate(rows):
            start = 0
            for item in row:
                ids, counted = self.encoded[item].ids, self.encoded[item].targets
                stop = start + len(ids) - 1
                inputs[number, start:stop] = ids[:-1]
                positions[number, start:stop] = np.arange(len(ids) - 1)
                targets[number, start:stop] = np.where(counted[1:], ids[1:], -100)
                start = stop
            positions[number, start:] = np.arange(shape[1] - start)
        names = {"inputs": inputs, "positions": positions, "targets": targets}
        return {name: torch.from_numpy(array) for name, array in names.items()}
