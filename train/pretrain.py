"""`train pretrain`: a model from token shards, on a mixture of domains."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.core.console import log
from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import file_hash, text_hash, write_atomically
from corpus.core.shards import Shards, open_shards
from train.causal import CausalObjective
from train.loop import LoopConfig, default_device, fit, resolve_precision
from train.metrics import read_metrics
from train.mixture import Mixture
from train.models import PRESETS, model_for_shards, parameter_count
from train.run_directory import open_run, recorded_parameters, relative_path, save_model, set_threads
from train.sampler import Sampler
from train.schedule import SCHEDULES, Schedule

_WARMUP_SHARE = 0.05
_LAST_RATE_SHARE = 0.1


@dataclass(frozen=True)
class PretrainConfig:
    """What to pre-train and how long; the model starts from `model` (see `train.models.build_model`)."""

    model: str
    tokens: int
    row_length: int = 256
    batch_rows: int = 8
    learning_rate: float = 3e-3
    schedule: Schedule = "cosine"
    seed: int = 0
    precision: str = "auto"
    checkpoint_every: int = 100
    threads: int | None = None

    def __post_init__(self) -> None:
        for name in ("tokens", "row_length", "batch_rows", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name.replace('_', '-')} must be at least 1")
        if not 0 < self.learning_rate < math.inf:
            raise UsageError("--learning-rate must be above 0")
        if self.schedule not in SCHEDULES:
            raise UsageError(f"--schedule {self.schedule!r} is not one of {', '.join(SCHEDULES)}")

    @property
    def steps(self) -> int:
        """As many steps as it takes for `tokens`."""
        return -(-self.tokens // (self.row_length * self.batch_rows))


def pretrain(
    shards_path: Path,
    output: Path,
    config: PretrainConfig,
    *,
    mixture: Mixture | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Train a model on the `train` split and save it in `output/model`; returns a summary of numbers.

    Without a mixture each domain counts by its tokens. A run that has begun goes on, a finished one returns
    at once. Raises ZeroToOneError where the mixture has a domain that the shards lack, where the model does
    not fit the tokenizer or the row length, and where `output` holds another run.
    """
    shards = open_shards(shards_path, "train")
    if not shards.tokenizer_path.is_dir():
        raise ZeroToOneError(f"{shards.tokenizer_path}: no such folder; the model would be without a tokenizer")
    mixture = token_mixture(shards, mixture)
    history = [(0, mixture)]
    sampler = Sampler(shards, history, config.row_length, config.batch_rows, config.seed)
    recorded = recorded_parameters(output, overwrite)
    parameters = _parameters(shards, mixture, config, recorded)
    data = {"shards": relative_path(shards.path, output)}
    state = open_run(output, "pretrain", parameters, data, overwrite=overwrite)
    if state == "done":
        log(f"{output}: finished before")
        return _summary(output, sampler, config)
    write_history(output, history)
    model = model_for_shards(config.model, shards, row_length=config.row_length, seed=config.seed)
    log(
        f"{config.model}: {parameter_count(model):,} parameters, {config.steps:,} steps, {parameters['precision']}"
    )
    fit(
        model,
        CausalObjective(sampler),
        _loop_config(config, parameters["precision"]),
        output,
        description="pretrain",
    )
    save_model(model, shards.tokenizer_path, output / "model")
    return _summary(output, sampler, config)


def token_mixture(shards: Shards, mixture: Mixture | None) -> Mixture:
    """A mixture in tokens that the shards can give; by the domains' sizes where none is given.

    Raises ZeroToOneError naming a domain that has a weight and no data.
    """
    if not any(len(shard.tokens) for shard in shards.domains.values()):
        raise ZeroToOneError(f"{shards.path}: no tokens in split `{shards.split}`")
    if mixture is None:
        return Mixture.proportional({name: len(shard.tokens) for name, shard in shards.domains.items()})
    for domain, weight in mixture.weights.items():
        if weight and not (domain in shards.domains and len(shards.domains[domain].tokens)):
            has = ", ".join(name for name, shard in shards.domains.items() if len(shard.tokens))
            raise ZeroToOneError(f"{shards.path}: no tokens of domain `{domain}` of the mixture; it has {has}")
    weighed = {name: shards.domains[name] for name, weight in mixture.weights.items() if weight}
    sizes = {
        name: shard.bytes if mixture.unit == "bytes" else len(shard.offsets) - 1 for name, shard in weighed.items()
    }
    return mixture.in_tokens({name: len(shard.tokens) / max(sizes[name], 1) for name, shard in weighed.items()})


def write_history(output: Path, history: Sequence[tuple[int, Mixture]]) -> None:
    """Write weights_history.jsonl: from which step on which weights hold."""
    lines = [{"first_step": first, "name": mixture.name, "weights": mixture.weights} for first, mixture in history]
    with write_atomically(output / "weights_history.jsonl") as temporary:
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        temporary.write_text(text, encoding="utf-8")


def read_history(output: Path) -> list[tuple[int, Mixture]]:
    """What `write_history` wrote."""
    path = output / "weights_history.jsonl"
    if not path.exists():
        raise ZeroToOneError(f"{path}: no such file")
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        history = [(int(line["first_step"]), Mixture(line["weights"], name=line["name"])) for line in lines]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ZeroToOneError(f"{path}: not a history of weights") from None
    if not history:
        raise ZeroToOneError(f"{path}: empty file")
    return history


def _parameters(
    shards: Shards, mixture: Mixture, config: PretrainConfig, recorded: dict[str, Any]
) -> dict[str, Any]:
    precision = config.precision
    if precision == "auto":
        precision = recorded.get("precision", "auto")
    return {
        "model": _model_identity(config.model),
        "shards": shards.hash,
        "weights": mixture.weights,
        "tokens": config.tokens,
        "row_length": config.row_length,
        "batch_rows": config.batch_rows,
        "learning_rate": config.learning_rate,
        "schedule": config.schedule,
        "seed": config.seed,
        "precision": resolve_precision(precision, default_device()),
        "threads": set_threads(config.threads, recorded),
    }


def _model_identity(model: str) -> str:
    """A preset's name; for a file or a folder its name and a hash of its configuration and weights."""
    path = Path(model)
    if model in PRESETS or not path.exists():
        return model
    files = [path] if path.is_file() else sorted([*path.glob("config.json"), *path.glob("*.safetensors")])
    return f"{path.name}-{text_hash(''.join(file_hash(file) for file in files))[:16]}"


def _loop_config(config: PretrainConfig, precision: str) -> LoopConfig:
    return LoopConfig(
        steps=config.steps,
        learning_rate=config.learning_rate,
        minimum_learning_rate=config.learning_rate * _LAST_RATE_SHARE,
        warmup_steps=max(1, round(config.steps * _WARMUP_SHARE)),
        schedule=config.schedule,
        precision=precision,
        checkpoint_every=config.checkpoint_every,
        seed=config.seed,
    )


def _summary(output: Path, sampler: Sampler, config: PretrainConfig) -> dict[str, Any]:
    lines = list(read_metrics(output / "metrics.jsonl"))
    counts = sampler.counts(config.steps)
    epochs = {name: round(rows / sampler.rows_per_epoch(name), 3) for name, rows in counts.items()}
    return {
        "model": str(output / "model"),
        "steps": config.steps,
        "tokens": lines[-1]["tokens"],
        "loss": lines[-1]["loss"],
        "bits_per_byte": lines[-1]["bits_per_byte"],
        "weights": sampler.history[-1][1].weights,
        "epochs": epochs,
    }
