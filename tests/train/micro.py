"""Models and tokenizers small enough to make anew in a test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoTokenizer,
    BloomConfig,
    BloomForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)

from corpus.tokens.tokenizer import save_tokenizer, train_bpe

TEXTS = (
    "Where is the red fox? It sleeps under the old tree, near the river.\n",
    "def add(first, second):\n    return first + second\n",
    "今天天气很好，我们去公园散步。红色的狐狸在树下睡觉。\n",
    "user assistant system 0123456789 <|im_start|> endoftext\n",
)


def save_micro_tokenizer(folder: Path, vocabulary_size: int = 400) -> Path:
    """Our byte-level BPE, in a folder."""
    save_tokenizer(train_bpe([text * 5 for text in TEXTS], vocabulary_size), folder)
    return folder


def micro_llama(vocabulary_size: int, seed: int = 0, context: int = 128) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary_size,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
    )
    return LlamaForCausalLM(config)


def micro_bloom(vocabulary_size: int) -> BloomForCausalLM:
    """An architecture whose packed documents see each other."""
    torch.manual_seed(0)
    ids = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 1}
    return BloomForCausalLM(BloomConfig(vocab_size=vocabulary_size, hidden_size=32, n_layer=2, n_head=2, **ids))


def save_base(folder: Path, model: PreTrainedModel | None = None) -> Path:
    """A model's folder with tokenizer, as `train pretrain` leaves it."""
    save_micro_tokenizer(folder)
    size = len(AutoTokenizer.from_pretrained(folder))
    (model or micro_llama(size)).save_pretrained(folder)
    return folder


def turns(*contents: str, system: str | None = None) -> list[dict[str, str]]:
    """Messages: user and assistant in turn, after an optional system turn."""
    first = [{"role": "system", "content": system}] if system is not None else []
    return first + [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(contents)]


def write_lines(path: Path, rows: list[Any]) -> Path:
    """A JSONL file; strings are written as they are."""
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path
