"""Checkpoints: plain Hugging Face folders plus the trainer's state, whole or not there, without pickle.

<checkpoints>/step-000123/    after 123 steps
    config.json, model.safetensors, ...   what `from_pretrained` opens
    optimizer.safetensors                 <state>/<parameter>
    objective.safetensors                 arrays of the objective's state, if it has any
    state.json                            step, tokens, loop configuration, numbers of the objective's state
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, load_model, save_file
from transformers import PreTrainedModel
from transformers.utils import logging as transformers_logging

from corpus.core.files import disk_full_named, read_json, write_json

_KEEP = 2

State = Mapping[str, np.ndarray | float | int]


@contextmanager
def write_directory(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling directory; rename it to `path` on success, remove it on failure.

    Files reach the disk before the name does. A directory already at `path` is replaced.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    with disk_full_named(path):
        temporary.mkdir(parents=True)
        try:
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    with file.open("rb") as handle:
                        os.fsync(handle.fileno())
            if path.exists():
                shutil.rmtree(path)
            temporary.replace(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def save_checkpoint(
    checkpoints: Path,
    model: PreTrainedModel,
    optimizer: torch.optim.Optimizer,
    objective_state: State,
    trainer_state: dict[str, Any],
) -> Path:
    """Write the checkpoint after `trainer_state["step"]` steps, and drop all but the last two."""
    target = checkpoints / f"step-{trainer_state['step']:06d}"
    arrays = {name: value for name, value in objective_state.items() if isinstance(value, np.ndarray)}
    numbers = {name: value for name, value in objective_state.items() if name not in arrays}
    with write_directory(target) as directory:
        save_weights(model, directory)
        save_file(_optimizer_tensors(model, optimizer), directory / "optimizer.safetensors")
        if arrays:
            save_arrays(arrays, directory / "objective.safetensors")
        write_json(directory / "state.json", {**trainer_state, "objective": numbers})
    for old in [*_directories(checkpoints)[:-_KEEP], *checkpoints.glob(".step-*.tmp")]:
        shutil.rmtree(old)
    return target


def save_weights(model: PreTrainedModel, directory: Path) -> None:
    """Write configuration and weights as a plain Hugging Face folder, without a progress bar of its own."""
    quieten: Callable[[], None] = transformers_logging.disable_progress_bar
    quieten()
    model.save_pretrained(directory)


def latest_checkpoint(checkpoints: Path) -> Path | None:
    """The checkpoint with the most steps, or None."""
    found = _directories(checkpoints)
    return found[-1] if found else None


def load_trainer_state(checkpoint: Path) -> tuple[dict[str, Any], State]:
    """The trainer's state of a checkpoint, and the objective's."""
    trainer_state = dict(read_json(checkpoint / "state.json"))
    file = checkpoint / "objective.safetensors"
    arrays = load_arrays(file) if file.exists() else {}
    return trainer_state, {**trainer_state.pop("objective"), **arrays}


def load_weights(checkpoint: Path, model: PreTrainedModel, optimizer: torch.optim.Optimizer | None = None) -> None:
    """Put the weights of a checkpoint into `model`, and the optimizer's state into `optimizer`."""
    load_model(model, checkpoint / "model.safetensors")
    if optimizer is None:
        return
    parameters = dict(model.named_parameters())
    for name, tensor in load_file(checkpoint / "optimizer.safetensors").items():
        key, _, parameter = name.partition("/")
        kept = tensor if key == "step" else tensor.to(parameters[parameter].device)
        optimizer.state[parameters[parameter]][key] = kept


def _optimizer_tensors(model: PreTrainedModel, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    tensors = {}
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"{key}/{name}"] = value.contiguous()
    return tensors


def _directories(checkpoints: Path) -> list[Path]:
    return sorted(checkpoints.glob("step-*"), key=lambda path: int(path.name.removeprefix("step-")))
