"""Scores by local models: instruction-following difficulty, and reward. Pure but for the model.

A score that cannot be is a reason: the text is too long for the model, or there is nothing to predict.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from corpus.core.conversations import Conversation
from corpus.core.errors import ZeroToOneError
from corpus.tokens.scoring import context_length, sequence_nll
from instruct.score_judge import answer_of, question_of

_BATCH_TOKENS = 8192
Scored = tuple[float | None, str]  # a score, or None and the reason


def difficulty_scores(
    rows: Sequence[Conversation], model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> list[Scored]:
    """Instruction-following difficulty: loss of the answer given the instruction, over that of the answer alone.

    Li et al. 2024, "From Quantity to Quality", section 2.2. Both losses are means over the same tokens of the last
    reply; what stands before it is written by the tokenizer's chat template, where it has one. With a token for
    the start of a text (or its end), all tokens of the answer count, else all but the first. An answer that does
    not fit behind its instruction is cut, for both losses.
    """
    start = next((id for id in (tokenizer.bos_token_id, tokenizer.eos_token_id) if id is not None), None)
    before = [] if start is None else [int(start)]
    limit = context_length(model)
    scores: list[Scored] = [(None, "")] * len(rows)
    pairs: list[tuple[int, list[int], list[int]]] = []
    for number, row in enumerate(rows):
        prompt, answer = _ids(_prompt(row, tokenizer), tokenizer), _ids(answer_of(row), tokenizer)
        context = prompt if before and prompt[:1] == before else before + prompt
        answer = answer[: max(0, limit - len(context))]
        if not answer and len(context) >= limit:
            scores[number] = None, "instruction_too_long"
        elif len(answer) < 2 - len(before):
            scores[number] = None, "answer_too_short"
        else:
            pairs.append((number, context, answer))
    given = [np.array(context + answer) for _, context, answer in pairs]
    alone = [np.array(before + answer) for _, _, answer in pairs]
    counted = [_last(len(ids), len(answer) - (not before)) for ids, (*_, answer) in zip(given, pairs, strict=True)]
    conditioned, plain = sequence_nll(model, given, counted), sequence_nll(model, alone)
    for (number, *_), above, below in zip(pairs, conditioned, plain, strict=True):
        scores[number] = (float(above / below), "") if below > 0 else (None, "answer_without_loss")
    return scores


def reward_scores(
    rows: Sequence[Conversation], model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> list[Scored]:
    """The one logit of a reward model on each conversation: by its chat template, else as a pair of texts."""
    scores: list[Scored] = [(None, "too_long_for_the_model")] * len(rows)
    limit = context_length(model)
    encoded = [(number, _reward_ids(row, tokenizer)) for number, row in enumerate(rows)]
    fitting = sorted(((n, ids) for n, ids in encoded if len(ids["input_ids"]) <= limit), key=_size)
    while fitting:
        size = max(1, _BATCH_TOKENS // len(fitting[-1][1]["input_ids"]))
        batch, fitting = fitting[-size:], fitting[:-size]
        for (number, _), value in zip(batch, _logits(model, [ids for _, ids in batch]), strict=True):
            scores[number] = float(value), ""
    return scores


def check_reward_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, place: str) -> None:
    """Make a classifier fit to score batches. Raises ZeroToOneError where it has not exactly one output."""
    if model.config.num_labels != 1:
        raise ZeroToOneError(f"{place}: a model of {model.config.num_labels} classes; a reward model has one")
    if model.config.pad_token_id is None:
        ids = (tokenizer.pad_token_id, tokenizer.eos_token_id)
        model.config.pad_token_id = next((id for id in ids if id is not None), 0)


@torch.no_grad()
def _logits(model: PreTrainedModel, encoded: Sequence[dict[str, list[int]]]) -> np.ndarray:
    """The first logit of each text, padded on the right."""
    longest = max(len(one["input_ids"]) for one in encoded)
    fills = {"input_ids": model.config.pad_token_id, "attention_mask": 0, "token_type_ids": 0}
    inputs = {
        name: torch.tensor([one[name] + [fill] * (longest - len(one[name])) for one in encoded]).to(model.device)
        for name, fill in fills.items()
        if name in encoded[0]
    }
    return np.asarray(model(**inputs).logits[:, 0].float().cpu().numpy())


def _size(item: tuple[int, dict[str, list[int]]]) -> tuple[int, int]:
    return len(item[1]["input_ids"]), item[0]


def _reward_ids(row: Conversation, tokenizer: PreTrainedTokenizerBase) -> dict[str, list[int]]:
    encode: Any = tokenizer
    if tokenizer.chat_template:
        text = str(tokenizer.apply_chat_template(row["messages"], tokenize=False))
        return dict(encode(text, add_special_tokens=False))
    return dict(encode(question_of(row), answer_of(row)))


def _prompt(row: Conversation, tokenizer: PreTrainedTokenizerBase) -> str:
    if tokenizer.chat_template:
        return str(tokenizer.apply_chat_template(row["messages"][:-1], tokenize=False, add_generation_prompt=True))
    return f"{question_of(row)}\n\n"


def _ids(text: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    encode: Any = tokenizer
    return list(encode(text, add_special_tokens=False)["input_ids"])


def _last(length: int, count: int) -> np.ndarray:
    """True for the last `count` of `length` tokens."""
    return np.arange(length) >= length - count
