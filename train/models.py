"""Models: presets by name, a configuration file, or a folder; and the proof that packing keeps documents apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import read_json
from corpus.core.shards import Shards

_AUTO: Any = AutoModelForCausalLM  # without type hints of its own


def _llama(hidden: int, layers: int, heads: int, feed_forward: int) -> dict[str, Any]:
    return {
        "model_type": "llama",
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": heads,
        "intermediate_size": feed_forward,
        "tie_word_embeddings": True,
    }


def _gpt2(hidden: int, layers: int) -> dict[str, Any]:
    """A row of table 2 of Radford et al., "Language Models are Unsupervised Multitask Learners" (2019)."""
    dropout = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    return {"model_type": "gpt2", "n_embd": hidden, "n_layer": layers, "n_head": hidden // 64, **dropout}


# At a vocabulary of 8,192: tiny 1.2, mini 3.3, small 13.8 million parameters.
PRESETS: dict[str, dict[str, Any]] = {
    "tiny": _llama(96, 4, 3, 256),
    "mini": _llama(192, 4, 6, 512),
    "small": _llama(384, 6, 6, 1024),
    "gpt2-117m": _gpt2(768, 12),
    "gpt2-345m": _gpt2(1024, 24),
    "gpt2-762m": _gpt2(1280, 36),
    "gpt2-1542m": _gpt2(1600, 48),
}


def build_model(
    model: str | Path,
    *,
    vocabulary_size: int,
    end_of_text_id: int,
    seed: int = 0,
    context: int = 1024,
) -> PreTrainedModel:
    """A causal language model with fp32 weights.

    `model` is a preset's name, a config.json, or a folder: one with weights is opened as it is (its embedding
    must have at least `vocabulary_size` rows), otherwise weights are drawn with `seed` alone. Presets get
    `context` as their greatest length. Raises ZeroToOneError when it cannot be opened or does not fit.
    """
    path = Path(model)
    if str(model) not in PRESETS and not path.exists():
        names = ", ".join(PRESETS)
        raise UsageError(f"{model}: no such model; give a folder, a config.json, or one of {names}")
    if str(model) not in PRESETS and path.is_dir() and any(path.glob("*.safetensors")):
        built = _open_folder(path, vocabulary_size)
    else:
        built = _new_model(model, vocabulary_size, end_of_text_id, context, seed)
    built.generation_config.eos_token_id = end_of_text_id
    return built


def parameter_count(model: nn.Module) -> int:
    """How many parameters a model has; tied ones count once."""
    return sum(parameter.numel() for parameter in model.parameters())


def model_for_shards(model: str, shards: Shards, *, row_length: int, seed: int) -> PreTrainedModel:
    """`build_model` for rows of so many of the shards' tokens, proved to keep their documents apart."""
    built = build_model(
        model,
        vocabulary_size=shards.vocabulary_size,
        end_of_text_id=shards.end_of_text_id,
        seed=seed,
        context=max(1024, row_length),
    )
    longest = getattr(built.config, "max_position_embeddings", None)
    if longest is not None and longest < row_length:
        raise ZeroToOneError(f"{model}: takes {longest} tokens, fewer than the rows' {row_length}")
    check_isolation(built, model)
    return built


def check_isolation(model: PreTrainedModel, place: str) -> float:
    """Prove on the model itself that packed documents do not see each other; returns the largest deviation.

    The second of two packed documents must get the logits that it gets alone. transformers isolates by
    `position_ids` for most architectures, without a cache and an attention mask only, and not for all.
    Raises ZeroToOneError when the difference is more than rounding.
    """
    was_training = model.training
    model.train(False)
    generator = torch.Generator().manual_seed(0)
    size = min(int(model.config.vocab_size), 1000)
    inputs = torch.randint(size, (1, 24), generator=generator).to(model.device)
    positions = torch.cat([torch.arange(11), torch.arange(13)])[None].to(model.device)
    with torch.no_grad():
        packed = model(input_ids=inputs, position_ids=positions, use_cache=False).logits[:, 11:].float()
        alone = model(input_ids=inputs[:, 11:], position_ids=positions[:, 11:], use_cache=False).logits.float()
    model.train(was_training)
    deviation = float((packed - alone).abs().max() / alone.std())
    if not deviation <= 1e-4:  # also where it is no number
        kind = model.config.model_type
        raise ZeroToOneError(f"{place}: documents in one row see each other with this architecture ({kind})")
    return deviation


def _new_model(
    model: str | Path, vocabulary_size: int, end_of_text_id: int, context: int, seed: int
) -> PreTrainedModel:
    if str(model) in PRESETS:
        place, values = str(model), {**PRESETS[str(model)], "max_position_embeddings": context}
    else:
        file = Path(model) / "config.json" if Path(model).is_dir() else Path(model)
        place, values = str(file), read_json(file)
    ids = {"vocab_size": vocabulary_size, "bos_token_id": end_of_text_id, "eos_token_id": end_of_text_id}
    try:
        config = AutoConfig.for_model(values.pop("model_type"), **{**values, **ids})
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            built: PreTrainedModel = _AUTO.from_config(config, dtype=torch.float32)
    except (ValueError, KeyError, AttributeError, TypeError, StrictDataclassError) as error:
        raise ZeroToOneError(f"{place}: not a model configuration: {_one_line(error)}") from None
    return built


def _open_folder(path: Path, vocabulary_size: int) -> PreTrainedModel:
    try:
        model: PreTrainedModel = _AUTO.from_pretrained(path, dtype=torch.float32, local_files_only=True)
    except Exception as error:  # noqa: BLE001 - a broken file raises whatever its reader raises
        raise ZeroToOneError(f"{path}: cannot open the model: {_one_line(error)}") from None
    rows = cast(nn.Embedding, model.get_input_embeddings()).num_embeddings
    if rows < vocabulary_size:
        raise ZeroToOneError(f"{path}: the model has {rows} token ids, the tokenizer {vocabulary_size}")
    return model


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
