"""`train sft`: a base model and conversations → a model that answers and stops."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from corpus.core.console import log, progress
from corpus.core.conversations import write_conversations
from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import file_hash, read_json, text_hash, write_atomically, write_json
from corpus.tokens.scoring import context_length, sequence_nll, tokens_at_once
from train.chat_data import (
    EncodedConversation,
    SetAside,
    conversation_files,
    encode_conversations,
    is_held_out,
)
from train.chat_encoding import ChatEncoder, chat_encoder
from train.chat_objective import ChatObjective
from train.checkpoint import save_weights, write_directory
from train.loop import LoopConfig, default_device, fit, resolve_precision
from train.metrics import read_metrics
from train.models import check_isolation
from train.packing import Plan, plan_steps
from train.run_directory import open_run, recorded_parameters, relative_path, set_threads
from train.saved_model import model_folder, open_model

_WARMUP_SHARE = 0.03
_LAST_RATE_SHARE = 0.1
_LONGEST_DEFAULT_ROW = 2048


@dataclass(frozen=True)
class SftConfig:
    """How to tune. `row_length` None is the model's context, at most 2,048."""

    epochs: int = 3
    learning_rate: float = 1e-3
    batch_tokens: int = 4096
    row_length: int | None = None
    held_out: float = 0.05
    seed: int = 0
    precision: str = "auto"
    threads: int | None = None
    checkpoint_every: int = 100

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_tokens", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name.replace('_', '-')} must be at least 1")
        if self.row_length is not None and self.row_length < 1:
            raise UsageError("--row-length must be at least 1")
        if not 0 < self.learning_rate < math.inf:
            raise UsageError("--learning-rate must be above 0")
        if not 0 <= self.held_out < 1:
            raise UsageError("--held-out must be at least 0 and below 1")


def fine_tune(
    conversations: Sequence[str | Path],
    base: Path,
    output: Path,
    config: SftConfig,
    *,
    overwrite: bool = False,
    strict: bool = False,
) -> dict[str, Any]:
    """Tune `base` (a folder with weights and tokenizer) on conversations; the model is saved in `output/model`.

    The run directory also holds `plan.jsonl` (which conversations each step saw), `held_out.jsonl` (those kept
    from training), `set_aside.jsonl` (what could not be used and why) and `summary.json`, which is returned. A
    run that has begun goes on, a finished one returns at once. Raises ZeroToOneError where the model, the
    tokenizer or the data cannot be used, or `output` holds another run.
    """
    files = conversation_files(conversations)
    base = model_folder(base)
    recorded = recorded_parameters(output, overwrite)
    parameters = _parameters(files, base, config, recorded)
    data = {
        "base": relative_path(base, output),
        "conversations": [file if "://" in file else relative_path(Path(file), output) for file in files],
    }
    if open_run(output, "sft", parameters, data, overwrite=overwrite) == "done":
        log(f"{output}: finished before")
        return dict(read_json(output / "summary.json"))
    model, tokenizer = open_model(base)
    encoder = chat_encoder(tokenizer, str(base))
    row_length = _row_length(model, base, config)
    set_aside = SetAside(strict)
    train, held_out = _read(files, encoder, row_length, config.held_out, set_aside, output)
    packed = _can_pack(model, base)
    plan = plan_steps(
        [len(item.ids) - 1 for item in train],
        row_length=row_length,
        batch_tokens=config.batch_tokens,
        epochs=config.epochs,
        seed=config.seed,
        packed=packed,
    )
    _write_plan(output / "plan.jsonl", plan, train)
    counts = _counts(train, held_out, set_aside) | {"steps": len(plan), "packed": packed}
    before = _held_out_before(output, model, held_out)
    objective = ChatObjective(train, plan, packed=packed, part_tokens=max(row_length, tokens_at_once(model)))
    fit(model, objective, _loop_config(config, len(plan), parameters["precision"]), output, description="sft")
    after = _held_out_loss(model, held_out, "after")
    summary = {
        **counts,
        "loss": list(read_metrics(output / "metrics.jsonl"))[-1]["loss"],
        "held_out_loss_before": before,
        "held_out_loss_after": after,
        "model": relative_path(output / "model", output),
    }
    write_json(output / "summary.json", summary)
    _save(model, tokenizer, encoder, base, output / "model")
    return summary


def reply_loss(model: PreTrainedModel, encoded: Sequence[EncodedConversation], description: str) -> float | None:
    """Mean loss in nats per reply token (end tokens included) over conversations; None where there are none."""
    count = sum(int(item.targets[1:].sum()) for item in encoded)
    if not count:
        return None
    with progress(description, count, "tokens") as bar:
        nats = sequence_nll(model, [item.ids for item in encoded], [item.targets for item in encoded], bar.advance)
    return float(nats.sum()) / count


def _parameters(files: list[str], base: Path, config: SftConfig, recorded: dict[str, Any]) -> dict[str, Any]:
    precision = recorded.get("precision", "auto") if config.precision == "auto" else config.precision
    weights = [*sorted(base.glob("*.safetensors")), *sorted(base.glob("tokenizer*")), base / "config.json"]
    return {
        "base": text_hash("".join(file_hash(file) for file in weights if file.is_file()))[:16],
        "conversations": [file if "://" in file else file_hash(Path(file))[:16] for file in files],
        "epochs": config.epochs,
        "learning_rate": config.learning_rate,
        "batch_tokens": config.batch_tokens,
        "row_length": config.row_length,
        "held_out": config.held_out,
        "seed": config.seed,
        "precision": resolve_precision(precision, default_device()),
        "threads": set_threads(config.threads, recorded),
    }


def _row_length(model: PreTrainedModel, base: Path, config: SftConfig) -> int:
    context = context_length(model)
    length = config.row_length or min(context, _LONGEST_DEFAULT_ROW)
    if length > context:
        raise ZeroToOneError(f"{base}: takes {context} tokens, fewer than --row-length {length}")
    return length


def _read(
    files: list[str], encoder: ChatEncoder, row_length: int, share: float, set_aside: SetAside, output: Path
) -> tuple[list[EncodedConversation], list[EncodedConversation]]:
    """Conversations to train on and held out; writes which are held out and set aside."""
    encoded = encode_conversations(files, encoder, row_length + 1, set_aside)
    set_aside.write(output / "set_aside.jsonl")
    train = [item for item in encoded if not is_held_out(item.conversation["id"], share)]
    held_out = [item for item in encoded if is_held_out(item.conversation["id"], share)]
    write_conversations(output / "held_out.jsonl", (item.conversation for item in held_out))
    if not train:
        raise ZeroToOneError(f"{', '.join(files)}: --held-out {share} leaves no conversation to train on")
    return train, held_out


def _can_pack(model: PreTrainedModel, base: Path) -> bool:
    """Whether conversations can share rows of this model; a line says so where they cannot."""
    try:
        check_isolation(model, str(base))
    except (ZeroToOneError, TypeError, ValueError) as error:
        log(f"{' '.join(str(error).split())}: one conversation a row, padded")
        return False
    return True


def _write_plan(path: Path, plan: Plan, train: Sequence[EncodedConversation]) -> None:
    """Write the plan; a resumed run must come to the same one."""
    lines = (_plan_line(step, rows, train) for step, rows in enumerate(plan))
    if not path.exists():
        with write_atomically(path) as temporary, temporary.open("w", encoding="utf-8") as handle:
            handle.writelines(lines)
        return
    with path.open(encoding="utf-8") as recorded:
        if any(old != new for old, new in zip(recorded, lines, strict=False)):
            raise ZeroToOneError(f"{path}: the plan would differ from what has been trained on; use --overwrite")


def _plan_line(step: int, rows: list[list[int]], train: Sequence[EncodedConversation]) -> str:
    entries = [_plan_entry(number, train[item]) for number, row in enumerate(rows) for item in row]
    return json.dumps({"step": step, "rows": entries}, ensure_ascii=True) + "\n"


def _plan_entry(row: int, item: EncodedConversation) -> dict[str, Any]:
    conversation = item.conversation
    kept = {name: conversation[name] for name in ("id", "source", "lineage")}
    return {"row": row, **kept, "tokens": len(item.ids), "rounds_cut": item.rounds_cut}


def _counts(
    train: Sequence[EncodedConversation], held_out: Sequence[EncodedConversation], set_aside: SetAside
) -> dict[str, Any]:
    return {
        "conversations_in": len(train) + len(held_out) + len(set_aside.entries),
        "conversations_trained_on": len(train),
        "conversations_held_out": len(held_out),
        "set_aside": set_aside.reasons(),
        "conversations_cut": sum(item.rounds_cut > 0 for item in train),
        "reply_tokens": sum(int(item.targets.sum()) for item in train),
    }


def _held_out_before(
    output: Path, model: PreTrainedModel, held_out: Sequence[EncodedConversation]
) -> float | None:
    """The base model's loss, from the first start of the run."""
    file = output / "before.json"
    if not file.exists():
        write_json(file, {"held_out_loss": _held_out_loss(model, held_out, "before")})
    loss: float | None = read_json(file)["held_out_loss"]
    return loss


def _held_out_loss(model: PreTrainedModel, held_out: Sequence[EncodedConversation], when: str) -> float | None:
    return reply_loss(model, held_out, f"sft: held-out loss {when}")


def _loop_config(config: SftConfig, steps: int, precision: str) -> LoopConfig:
    return LoopConfig(
        steps=steps,
        learning_rate=config.learning_rate,
        minimum_learning_rate=config.learning_rate * _LAST_RATE_SHARE,
        warmup_steps=max(1, round(steps * _WARMUP_SHARE)),
        weight_decay=0.0,
        precision=precision,
        checkpoint_every=config.checkpoint_every,
        seed=config.seed,
    )


def _save(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, encoder: ChatEncoder, base: Path, target: Path
) -> None:
    """Write the plain Hugging Face folder; generation ends at the end of a turn or of the text."""
    model.generation_config.eos_token_id = list(encoder.stop_ids)
    if tokenizer.pad_token_id is not None:
        model.generation_config.pad_token_id = tokenizer.pad_token_id
    with write_directory(target) as directory:
        save_weights(model, directory)
        tokenizer.save_pretrained(directory / "tokenizer")
        for file in sorted((directory / "tokenizer").iterdir()):
            own = base / file.name  # the same bytes, so the same hash as in the token shards
            shutil.copyfile(own if own.is_file() else file, directory / file.name)
        shutil.rmtree(directory / "tokenizer")
