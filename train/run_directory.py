"""The run directory: whose it is, and the model that a run ends with.

run.json                kind (pretrain, sft), version, parameters, and where the data lies
metrics.jsonl           a line for each logged step
weights_history.jsonl   first_step and the mixture's weights from there on
checkpoints/            the last two
model/                  the trained model, a plain Hugging Face folder: the last thing to appear
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import PreTrainedModel

import corpus
from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import read_json, write_json
from corpus.core.output import changed_parameter, empty_directory
from train.checkpoint import save_weights, write_directory

RUN_FILE = "run.json"


def open_run(
    directory: Path, kind: str, parameters: dict[str, Any], data: dict[str, Any], *, overwrite: bool
) -> Literal["new", "resume", "done"]:
    """Take a run directory: "new", "resume" where the same run has begun, "done" where it has finished.

    `parameters` are all that changes the result; `data` says where its input lies, which may move. Raises
    ZeroToOneError naming what differs where the directory holds another run; `overwrite` empties it.
    """
    file = directory / RUN_FILE
    run = {"kind": kind, "version": corpus.__version__, "parameters": parameters, "data": data}
    if directory.exists() and not directory.is_dir():
        raise ZeroToOneError(f"{directory}: is a file; a run needs a directory")
    _remove_torn_files(directory)
    if not file.exists():
        if directory.exists() and any(directory.iterdir()):
            raise ZeroToOneError(f"{directory}: not empty, and not a run directory; choose another one")
        write_json(file, run)
        return "new"
    if overwrite:
        empty_directory(directory, RUN_FILE)
        write_json(file, run)
        return "new"
    difference = _difference(read_run(directory), run)
    if difference and list(directory.iterdir()) == [file]:  # of a run that failed before it began
        write_json(file, run)
        return "new"
    if difference:
        raise ZeroToOneError(
            f"{directory}: holds another run ({difference}); use --overwrite or another directory"
        )
    return "done" if (directory / "model").exists() else "resume"


def read_run(directory: Path) -> dict[str, Any]:
    """The content of run.json; a ZeroToOneError where `directory` is not a run directory."""
    if not (directory / RUN_FILE).exists():
        raise ZeroToOneError(f"{directory}: not a run directory (no {RUN_FILE})")
    run = read_json(directory / RUN_FILE)
    if not isinstance(run, dict) or "kind" not in run:
        raise ZeroToOneError(f"{directory / RUN_FILE}: not the record of a run")
    return run


def recorded_parameters(directory: Path, overwrite: bool) -> dict[str, Any]:
    """The parameters of the run in `directory`, none where there is no run or it is to be overwritten.

    For what the machine decides when the user does not (threads, precision): a resume keeps the first choice.
    """
    if overwrite or not (directory / RUN_FILE).exists():
        return {}
    return dict(read_run(directory).get("parameters", {}))


def relative_path(path: Path, directory: Path) -> str:
    """`path` as seen from `directory`, so that both can move together."""
    return os.path.relpath(path.resolve(), directory.resolve())


def set_threads(threads: int | None, recorded: dict[str, Any]) -> int:
    """Fix torch's number of CPU threads: as given, as recorded, or what torch takes by itself."""
    if threads is not None and threads < 1:
        raise UsageError("--threads must be at least 1")
    chosen = threads or int(recorded.get("threads", 0)) or torch.get_num_threads()
    torch.set_num_threads(chosen)
    return chosen


def save_model(model: PreTrainedModel, tokenizer_folder: Path, target: Path) -> None:
    """Write model, tokenizer and chat template as a plain Hugging Face folder, atomically."""
    with write_directory(target) as directory:
        save_weights(model, directory)
        for file in sorted(tokenizer_folder.iterdir()):
            if file.is_file() and not file.name.startswith("."):
                shutil.copyfile(file, directory / file.name)


def _remove_torn_files(directory: Path) -> None:
    """Remove what a killed run was writing under a temporary name."""
    ours = (RUN_FILE, "metrics.jsonl", "weights_history.jsonl")
    for name in ours:
        for path in directory.glob(f".{name}.*.tmp"):
            path.unlink()


def _difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    if old.get("kind") != new["kind"]:
        return f"of `train {old.get('kind')}`"
    return changed_parameter(old.get("parameters", {}), new["parameters"])
