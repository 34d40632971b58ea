"""Step directories: which ones lie behind one, and what kind of step made each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from corpus.core.errors import ZeroToOneError
from corpus.core.output import input_paths


def steps_behind(directories: Sequence[str | Path]) -> list[Path]:
    """The step directories `directories` and all that they were made from, inputs before what was made of them.

    Raises ZeroToOneError for a directory that no finished step made.
    """
    steps: dict[Path, None] = {}
    for directory in directories:
        step = step_directory(str(directory))
        if step is None:
            raise ZeroToOneError(f"{directory}: not a finished step's directory (no manifest.json)")
        _collect(step, steps)
    return list(steps)


def step_directory(path: str) -> Path | None:
    """The step's directory that an input is or lies in (`documents/`, `ledger/`, a file or a glob there)."""
    if "://" in path:
        return None
    candidates = (Path(path), *list(Path(path).parents)[:2])
    return next((place for place in candidates if (place / "manifest.json").is_file()), None)


def is_filter(manifest: Mapping[str, Any]) -> bool:
    """Whether a manifest is a filter's, whose ledger holds signals."""
    return manifest.get("command") == "corpus filter"


def is_what_if(manifest: Mapping[str, Any]) -> bool:
    """Whether a manifest is that of a filter which decided the ledger of an earlier one again."""
    return is_filter(manifest) and "what_if" in manifest.get("parameters", {})


def step_label(manifest: Mapping[str, Any], directory: str | Path) -> str:
    """What tables call a step: its command and its directory."""
    again = " (decided again)" if is_what_if(manifest) else ""
    return f"{manifest.get('command', '')}{again} · {Path(directory).name}"


def _collect(directory: Path, steps: dict[Path, None]) -> None:
    """Add a step's directory behind those of its inputs."""
    if directory in steps:
        return
    for path in input_paths(directory):
        earlier = step_directory(path)
        if earlier is not None and earlier.resolve() != directory.resolve():
            _collect(earlier, steps)
    steps[directory] = None
