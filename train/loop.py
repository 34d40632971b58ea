"""The training loop: AdamW, schedule, clipping, metrics, checkpoints, and a resume that gives the same bits."""

from __future__ import annotations

import hashlib
import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import torch
from torch import nn
from transformers import PreTrainedModel

from corpus.core.console import log, progress
from corpus.core.errors import UsageError, ZeroToOneError
from train.checkpoint import State, latest_checkpoint, load_trainer_state, load_weights, save_checkpoint
from train.memory import keep_freed_memory
from train.metrics import MetricsFile
from train.schedule import Schedule, learning_rate

_FREE_TO_CHANGE = {"checkpoint_every", "log_every"}


@dataclass(frozen=True)
class LoopConfig:
    """How a model is trained. `precision` is `fp32`, `bf16` (autocast over fp32 weights) or `auto`."""

    steps: int
    learning_rate: float = 1e-3
    minimum_learning_rate: float = 1e-4
    warmup_steps: int = 0
    schedule: Schedule = "cosine"
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.95
    epsilon: float = 1e-8
    gradient_clip: float = 1.0
    precision: str = "auto"
    checkpoint_every: int = 100
    log_every: int = 10
    seed: int = 0


class Objective(Protocol):
    """What a step trains on. `batch` is a pure function of the step, so that a resume needs no replay."""

    def batch(self, step: int) -> Any:
        """The data of a step: tensors, or dicts, lists and tuples of them, on the CPU."""

    def loss(self, model: PreTrainedModel, batch: Any, step: int) -> tuple[torch.Tensor, dict[str, float]]:
        """The scalar to back-propagate, and metrics; `tokens` among them is how many the step trains on."""

    def state(self) -> State:
        """What a checkpoint must keep besides model and optimizer."""

    def load_state(self, state: State) -> None:
        """Take back what `state` gave."""


def fit(
    model: PreTrainedModel,
    objective: Objective,
    config: LoopConfig,
    run_directory: Path,
    *,
    description: str = "training",
) -> None:
    """Train `model` in place for `config.steps` steps, or go on from the last checkpoint in `run_directory`.

    Writes `metrics.jsonl` (a line for each logged step, steps numbered from 0) and `checkpoints/`. A finished
    run only loads its last weights. Ctrl-C and SIGTERM end it after the current step with a checkpoint and
    KeyboardInterrupt. With the same number of threads an interrupted and resumed run ends in the same bits as
    one that was not. Raises ZeroToOneError when the checkpoint is of another configuration, or when loss or
    gradient are not finite.
    """
    device = default_device()
    if device.type == "cpu":
        keep_freed_memory()
    checkpoint = latest_checkpoint(run_directory / "checkpoints")
    recorded = load_trainer_state(checkpoint)[0]["config"] if checkpoint else None
    settings = _settings(config, recorded, device, run_directory)
    nn.Module.to(model, device)
    model.train()
    optimizer = make_optimizer(model, config)
    first, tokens = 0, 0
    if checkpoint:
        trainer_state, objective_state = load_trainer_state(checkpoint)
        first, tokens = trainer_state["step"], trainer_state["tokens"]
        load_weights(checkpoint, model, optimizer)
        objective.load_state(objective_state)
    if first >= config.steps:
        return
    if first:
        log(f"{description}: going on from step {first}")
    run = _Run(model, objective, optimizer, config, settings, run_directory, device, tokens)
    run.train(first, description)


def default_device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def resolve_precision(precision: str, device: torch.device) -> str:
    """`fp32` or `bf16`; `auto` is bf16 where the device multiplies it natively."""
    if precision in ("fp32", "bf16"):
        return precision
    if precision != "auto":
        raise UsageError(f"--precision {precision!r} is not one of fp32, bf16, auto")
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bf16" if native else "fp32"


def make_optimizer(model: nn.Module, config: LoopConfig) -> torch.optim.AdamW:
    """AdamW; weight decay on matrices only, not on biases and norms."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        eps=config.epsilon,
        fused=True,
    )


class _Run:
    """One call of `fit` that has steps to do."""

    def __init__(
        self,
        model: PreTrainedModel,
        objective: Objective,
        optimizer: torch.optim.Optimizer,
        config: LoopConfig,
        settings: dict[str, Any],
        directory: Path,
        device: torch.device,
        tokens: int,
    ) -> None:
        self.model, self.objective, self.optimizer = model, objective, optimizer
        self.config, self.settings, self.directory, self.device = config, settings, directory, device
        self.tokens = tokens
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]

    def train(self, first: int, description: str) -> None:
        config = self.config
        with (
            MetricsFile(self.directory / "metrics.jsonl", first) as metrics,
            progress(description, config.steps, "steps") as bar,
            _stop_signals() as stop,
        ):
            bar.start_at(first)
            started, tokens_before = time.monotonic(), self.tokens
            for step in range(first, config.steps):
                line = self._step(step)
                done = step + 1
                if step % config.log_every == 0 or done == config.steps:
                    rate = (self.tokens - tokens_before) / max(time.monotonic() - started, 1e-9)
                    metrics.write({**line, "tokens_per_second": round(rate, 1)})
                    bar.note(f"loss {line['loss']:.3f}, {rate:,.0f} tokens/s")
                bar.advance()
                if done % config.checkpoint_every == 0 or done == config.steps or stop.is_set():
                    self._save(done)
                if stop.is_set() and done < config.steps:
                    log(f"{self.directory}: stopped after step {step}, with a checkpoint; run it again to go on")
                    raise KeyboardInterrupt

    def _step(self, step: int) -> dict[str, float]:
        config = self.config
        rate = learning_rate(
            step,
            config.steps,
            config.learning_rate,
            config.minimum_learning_rate,
            config.warmup_steps,
            config.schedule,
        )
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        torch.manual_seed(step_seed(config.seed, step))
        batch = _on_device(self.objective.batch(step), self.device)
        bf16 = self.settings["precision"] == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=bf16):
            loss, metrics = self.objective.loss(self.model, batch, step)
        self._check_finite(loss.item(), "loss", step)
        torch.autograd.backward(loss)
        norm = nn.utils.clip_grad_norm_(self.parameters, config.gradient_clip).item()
        self._check_finite(norm, "gradient norm", step)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.tokens += int(metrics.pop("tokens", 0))
        fixed = {"step": step, "loss": metrics.pop("loss", loss.item()), "tokens": self.tokens}
        return {**fixed, "learning_rate": rate, "gradient_norm": norm, **metrics}

    def _check_finite(self, value: float, what: str, step: int) -> None:
        if not math.isfinite(value):
            hint = "a lower learning rate or fp32 may help"
            raise ZeroToOneError(f"{self.directory}: the {what} is {value} at step {step}; {hint}")

    def _save(self, done: int) -> None:
        state = {"step": done, "tokens": self.tokens, "config": self.settings}
        save_checkpoint(self.directory / "checkpoints", self.model, self.optimizer, self.objective.state(), state)


def step_seed(seed: int, step: int) -> int:
    """The seed of a step's random numbers (dropout): the same whether or not the run was interrupted."""
    digest = hashlib.blake2b(f"{seed}\x00{step}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big")


def _settings(
    config: LoopConfig, recorded: dict[str, Any] | None, device: torch.device, directory: Path
) -> dict[str, Any]:
    """The configuration with `auto` resolved, checked against that of the checkpoint."""
    settings = asdict(config)
    if config.precision == "auto" and recorded:
        settings["precision"] = recorded["precision"]
    settings["precision"] = resolve_precision(settings["precision"], device)
    for name, value in settings.items():
        if recorded and name not in _FREE_TO_CHANGE and recorded.get(name) != value:
            was = recorded.get(name)
            raise ZeroToOneError(
                f"{directory}: its checkpoint has {name} {was}, not {value}; choose another directory"
            )
    return settings


def _on_device(batch: Any, device: torch.device) -> Any:
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, dict):
        return {name: _on_device(value, device) for name, value in batch.items()}
    if isinstance(batch, (list, tuple)):
        return type(batch)(_on_device(value, device) for value in batch)
    return batch


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C or SIGTERM sets; the second one acts at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, on_signal)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
