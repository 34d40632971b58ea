"""`train evaluate`: models side by side on held-out documents, held-out replies and fixed prompts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

import corpus
from corpus.core.binary_files import fingerprint, open_binary
from corpus.core.console import log, progress
from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import file_hash, read_json, stable_fraction, write_json
from corpus.core.output import claim_output
from corpus.core.shards import Shards, open_shards
from corpus.tokens.scoring import context_length, sequence_nll
from corpus.tokens.tokenizer import tokenizer_hash
from train.bits_per_byte import Documents, sample_documents, score_documents, total
from train.chat import is_tuned, prompt_ids, stop_ids
from train.chat_data import EncodedConversation, SetAside, conversation_files, encode_conversations
from train.chat_encoding import ChatEncoder, PlainText, chat_encoder
from train.generation import Sampling, generate
from train.saved_model import model_folder, open_model, open_tokenizer

Result = dict[str, Any]

_ANSWERS_PENALTY = 1.1  # as in `train chat`; whether replies stop is measured without


@dataclass(frozen=True)
class EvaluationConfig:
    """What to evaluate on.

    `shards`: bits per byte of their `held_out` split, at most `maximum_tokens` of a domain. `conversations`: loss
    of replies, and of `replies` conversations whether the first reply, written greedily, stops within
    `maximum_new_tokens`. `prompts`: a JSONL file of id, lang and prompt; without it a built-in list.
    """

    shards: Path | None = None
    conversations: tuple[str, ...] = ()
    prompts: Path | None = None
    maximum_tokens: int | None = None
    replies: int = 32
    maximum_new_tokens: int = 64

    def __post_init__(self) -> None:
        for name in ("maximum_tokens", "replies", "maximum_new_tokens"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise UsageError(f"--{name.replace('_', '-')} must be at least 1")


def evaluate(
    models: Mapping[str, Path], config: EvaluationConfig, output: Path | None = None, *, overwrite: bool = False
) -> Result:
    """Evaluate models (what each is to be called → its folder) one after the other; compare each with the first.

    With `output` the result is also `output/evaluation.json`, and a run that was interrupted goes on with the
    next model. Raises ZeroToOneError where a model, the shards or a file cannot be used.
    """
    names, folders = list(models), [model_folder(folder) for folder in models.values()]
    prompts = read_prompts(config.prompts)
    files = conversation_files(config.conversations)
    shards = open_shards(config.shards, "held_out") if config.shards else None
    if shards is not None and not any(len(shard.tokens) for shard in shards.domains.values()):
        raise ZeroToOneError(f"{shards.path}: no held-out documents; `corpus tokenize` sets some aside")
    if output is not None:
        parameters, prints = _identity(names, folders, config, files, shards)
        if claim_output(output, "train evaluate", parameters, prints, overwrite) == "done":
            return dict(read_json(output / "evaluation.json"))
    results = []
    for number, (name, folder) in enumerate(zip(names, folders, strict=True)):
        kept = output / ".state" / f"model-{number:03d}.json" if output is not None else None
        if kept is None or not kept.exists():
            result = evaluate_model(name, folder, config, shards, files, prompts)
            if kept is None:
                results.append(result)
                continue
            write_json(kept, result)
        results.append(read_json(kept))
    comparison = side_by_side(names, results, prompts)
    if output is not None:
        write_json(output / "evaluation.json", comparison)
        counts = {"models": len(models), "prompts": len(prompts)}
        manifest = {
            "command": "train evaluate",
            "version": corpus.__version__,
            "parameters": parameters,
            "counts": counts,
        }
        write_json(output / "manifest.json", manifest)
    return comparison


def evaluate_model(
    name: str,
    folder: Path,
    config: EvaluationConfig,
    shards: Shards | None,
    files: Sequence[str],
    prompts: Sequence[dict[str, str]],
) -> Result:
    """All that is measured of one model: `domains`, `all`, `replies`, `answers`."""
    model, tokenizer = open_model(folder)
    result: Result = {"tuned": is_tuned(model, tokenizer)}
    if shards is not None:
        result |= bits_per_byte(name, model, tokenizer, folder, shards, config.maximum_tokens)
    if files:
        result["replies"] = _replies(name, model, tokenizer, files, config)
    sampling = Sampling(maximum_new_tokens=config.maximum_new_tokens, repetition_penalty=_ANSWERS_PENALTY)
    with progress(f"{name}: answers", len(prompts), "prompts") as bar:
        result["answers"] = []
        for prompt in prompts:
            result["answers"].append(_answer(model, tokenizer, prompt["prompt"], sampling))
            bar.advance()
    return result


def bits_per_byte(
    name: str,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    shards: Shards,
    maximum_tokens: int | None,
) -> Result:
    """Scores by domain and of all; documents are encoded anew for a model with another tokenizer."""
    documents = {
        domain: sample_documents(shard, maximum_tokens)
        for domain, shard in shards.domains.items()
        if len(shard.tokens)
    }
    end_of_text_id = shards.end_of_text_id
    if not (folder / "tokenizer.json").is_file() or tokenizer_hash(folder) != shards.tokenizer_hash:
        log(f"{name}: has another tokenizer than {shards.path}; its documents are encoded anew")
        before = open_tokenizer(shards.tokenizer_path)
        documents = {domain: _encode_anew(item, before, tokenizer) for domain, item in documents.items()}
        end_of_text_id = int(tokenizer.eos_token_id)
    count = sum(len(tokens) for item in documents.values() for tokens in item.tokens)
    scores = {}
    with progress(f"{name}: bits per byte", count, "tokens") as bar:
        for domain, item in documents.items():
            scores[domain] = score_documents(model, item, end_of_text_id, bar.advance)
    by_domain = {domain: score.as_dict() for domain, score in scores.items()}
    return {"domains": by_domain, "all": total(list(scores.values())).as_dict()}


def side_by_side(models: Sequence[str], results: Sequence[Result], prompts: Sequence[dict[str, str]]) -> Result:
    """One result for all models; `difference` is a model's bits per byte less the first one's."""
    comparison: Result = {"models": list(models), "tuned": _by_model(models, results, "tuned")}
    if "domains" in results[0]:
        domains = {domain: [result["domains"][domain] for result in results] for domain in results[0]["domains"]}
        comparison["domains"] = {domain: _compare(models, scores) for domain, scores in domains.items()}
        comparison["all"] = _compare(models, [result["all"] for result in results])
    if "replies" in results[0]:
        comparison["replies"] = _by_model(models, results, "replies")
    comparison["answers"] = [
        {**prompt, "answers": {name: result["answers"][i] for name, result in zip(models, results, strict=True)}}
        for i, prompt in enumerate(prompts)
    ]
    return comparison


def read_prompts(path: Path | None) -> list[dict[str, str]]:
    """Prompts from a JSONL file, or the built-in ones. Raises ZeroToOneError naming the line that is none."""
    if path is None:
        text = resources.files("train").joinpath("evaluation_prompts.jsonl").read_text(encoding="utf-8")
        return _parse_prompts("evaluation_prompts.jsonl", text.encode().splitlines())
    with open_binary(str(path)) as handle:
        prompts = _parse_prompts(str(path), handle)
    if not prompts:
        raise ZeroToOneError(f"{path}: no prompts")
    return prompts


def _parse_prompts(name: str, lines: Iterable[bytes]) -> list[dict[str, str]]:
    prompts = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line.decode("utf-8"))
            prompt = {"id": str(record.get("id", number)), "lang": str(record.get("lang", ""))}
            prompt["prompt"] = record["prompt"].encode("utf-8").decode("utf-8")
        except (ValueError, KeyError, AttributeError):
            raise ZeroToOneError(f"{name}:{number}: not a JSON object with a text `prompt`") from None
        prompts.append(prompt)
    return prompts


def _replies(
    name: str,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    files: Sequence[str],
    config: EvaluationConfig,
) -> Result:
    try:
        encoder = chat_encoder(tokenizer, name)
    except ZeroToOneError as error:
        log(str(error))
        return {"error": str(error)}
    set_aside = SetAside()
    encoded = encode_conversations(files, encoder, context_length(model) + 1, set_aside)
    count = sum(int(item.targets[1:].sum()) for item in encoded)
    with progress(f"{name}: replies", count, "tokens") as bar:
        nats = sequence_nll(model, [item.ids for item in encoded], [item.targets for item in encoded], bar.advance)
    sample = sorted(encoded, key=lambda item: stable_fraction(item.conversation["id"]))[: config.replies]
    stopped = _count_stopped(name, model, encoder, sample, config.maximum_new_tokens)
    return {
        "conversations": len(encoded),
        "set_aside": set_aside.reasons(),
        "tokens": count,
        "loss": float(nats.sum()) / count,
        "written": len(sample),
        "stopped": stopped,
        "stopped_share": stopped / len(sample),
    }


def _count_stopped(
    name: str, model: PreTrainedModel, encoder: ChatEncoder, sample: Sequence[EncodedConversation], maximum: int
) -> int:
    """How many first replies, written greedily, end by themselves."""
    stops = stop_ids(model, encoder)
    stopped = 0
    with progress(f"{name}: replies that stop", len(sample), "replies") as bar:
        for item in sample:
            messages = item.conversation["messages"]
            first = next(i for i, message in enumerate(messages) if message["role"] == "assistant")
            written = list(generate(model, encoder.prompt(messages[:first]), stops, Sampling(maximum)))
            stopped += bool(written) and written[-1] in stops
            bar.advance()
    return stopped


def _answer(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompt: str, sampling: Sampling
) -> dict[str, Any]:
    try:
        ids, stops = prompt_ids(model, tokenizer, [{"role": "user", "content": prompt}])
    except ZeroToOneError as error:
        return {"text": "", "stopped": False, "tokens": 0, "error": str(error)}
    written = list(generate(model, ids, stops, sampling, PlainText(tokenizer).control))
    text = str(tokenizer.decode(written, skip_special_tokens=True))
    return {"text": text, "stopped": bool(written) and written[-1] in stops, "tokens": len(written)}


def _encode_anew(
    documents: Documents, before: PreTrainedTokenizerBase, after: PreTrainedTokenizerBase
) -> Documents:
    plain = PlainText(after)
    texts = [str(before.decode(tokens.tolist(), skip_special_tokens=False)) for tokens in documents.tokens]
    return Documents([np.array(plain.encode(text), np.int64) for text in texts], documents.bytes)


def _identity(
    models: Sequence[str],
    folders: Sequence[Path],
    config: EvaluationConfig,
    files: Sequence[str],
    shards: Shards | None,
) -> tuple[dict[str, Any], list[str]]:
    parameters = {
        "models": list(models),
        "maximum_tokens": config.maximum_tokens,
        "replies": config.replies,
        "maximum_new_tokens": config.maximum_new_tokens,
    }
    weights = [file for folder in folders for file in sorted(folder.iterdir()) if file.is_file()]
    read = [*files, *([str(config.prompts)] if config.prompts else [])]
    hashes = [*map(file_hash, weights), *map(fingerprint, read)]
    return parameters, [*([shards.hash] if shards else []), *hashes]


def _by_model(models: Sequence[str], results: Sequence[Result], key: str) -> Result:
    return {name: result[key] for name, result in zip(models, results, strict=True)}


def _compare(models: Sequence[str], scores: Sequence[Result]) -> Result:
    bits = [score["bits_per_byte"] for score in scores]
    return {
        "documents": scores[0]["documents"],
        "bytes": scores[0]["bytes"],
        "tokens": {name: score["tokens"] for name, score in zip(models, scores, strict=True)},
        "bits_per_byte": dict(zip(models, bits, strict=True)),
        "difference": {name: value - bits[0] for name, value in zip(models[1:], bits[1:], strict=True)},
    }
