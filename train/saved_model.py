"""Trained models as folders: opened with their tokenizer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from corpus.core.errors import ZeroToOneError
from train.loop import default_device


def model_folder(path: Path) -> Path:
    """The folder with the weights: `path` itself, or its `model/` where `path` is a run directory.

    Raises ZeroToOneError where there are none.
    """
    folder = path / "model" if (path / "run.json").is_file() else path
    if not folder.is_dir():
        unfinished = " (the run has not finished)" if folder != path else ""
        raise ZeroToOneError(f"{folder}: no such folder{unfinished}")
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        raise ZeroToOneError(f"{folder}: not a model's folder (it needs config.json and *.safetensors)")
    return folder


def open_model(path: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A causal language model with fp32 weights, on the GPU where there is one, and its tokenizer.

    `path` is a plain Hugging Face folder or a run directory. Nothing is fetched and no code of the folder is
    run. Raises ZeroToOneError where it cannot be opened or the tokenizer has more ids than the model.
    """
    folder = model_folder(path)
    tokenizer = open_tokenizer(folder)
    quieten: Callable[[], None] = transformers_logging.disable_progress_bar
    quieten()
    try:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True
        )
    except Exception as error:  # noqa: BLE001 - a broken file raises whatever its reader raises
        raise ZeroToOneError(f"{folder}: cannot open the model: {_one_line(error)}") from None
    embeddings: Any = model.get_input_embeddings()
    rows = int(embeddings.weight.shape[0])
    if rows < len(tokenizer):
        raise ZeroToOneError(f"{folder}: the model has {rows} token ids, its tokenizer {len(tokenizer)}")
    if tokenizer.eos_token_id is None:
        raise ZeroToOneError(f"{folder}: its tokenizer has no end-of-text token (eos_token)")
    module: torch.nn.Module = model.train(False)
    module.to(default_device())
    return model, tokenizer


def open_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model's folder. Raises ZeroToOneError where there is none or it cannot be opened."""
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # noqa: BLE001 - a broken file raises whatever its reader raises
        raise ZeroToOneError(f"{folder}: cannot open the tokenizer: {_one_line(error)}") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
