"""Models and tokenizers of local folders. Only safetensors are read; no code of a folder is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from corpus.core.binary_files import fingerprint
from corpus.core.errors import ZeroToOneError
from corpus.core.files import text_hash

_CLASSES: dict[str, Any] = {
    "causal": AutoModelForCausalLM,
    "reward": AutoModelForSequenceClassification,
    "embedding": AutoModel,
}


def open_local(path: Path, kind: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A model of a kind (causal, reward, embedding) with its tokenizer, in fp32, on a GPU where there is one.

    Raises ZeroToOneError that names the folder.
    """
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(path, local_files_only=True)
        model: PreTrainedModel = _CLASSES[kind].from_pretrained(
            path, local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
    except Exception as error:  # noqa: BLE001 - a broken file raises whatever its reader raises
        raise ZeroToOneError(
            f"{path}: cannot open the model: not a readable model: {' '.join(str(error).split())[:200]}"
        ) from None
    model.train(False)
    return model.to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer  # type: ignore[arg-type]


def model_fingerprint(path: Path) -> str:
    """A hash over the files of a model's folder. Raises ZeroToOneError where it is no folder."""
    if not path.is_dir():
        raise ZeroToOneError(f"{path}: no folder of a model")
    files = sorted(file for file in path.iterdir() if file.is_file() and file.suffix in (".json", ".safetensors"))
    return text_hash("\n".join(fingerprint(str(file)) for file in files))
