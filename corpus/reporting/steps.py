"""Step directories: which ones lie behind one, and what kind of step made each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from corpus.core.errors import ZeroToOneError
from corpus.core.hub_datasets import is_data_set
from corpus.core.output import input_paths


def steps_behind(directories: Sequence[str | Path]) -> list[Path]:
    """The step directories `directories` and all that they were made from, inputs before what was made of them.

    Raises ZeroToOneError for a directory that no finished step made.
    """
    depth: dict[Path, int] = {}
    for directory in directories:
        step = step_directory(str(directory))
        if step is None:
            raise ZeroToOneError(f"{directory}: not a finished step's directory (no manifest.json)")
        _visit(step, depth)
    return sorted(depth, key=lambda step: depth[step])


def step_directory(path: str) -> Path | None:
    """The step's directory that an input is or lies in (`documents/`, `ledger/`, a file or a glob there)."""
    if "://" in path or is_data_set(path):
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


def _visit(directory: Path, depth: dict[Path, int]) -> int:
    """Note how many steps lie behind a step's directory, for it and all of them."""
    if directory not in depth:
        depth[directory] = 0  # manifests that name each other in a circle end here
        earlier = [step_directory(path) for path in input_paths(directory)]
        others = [step for step in earlier if step is not None and step.resolve() != directory.resolve()]
        depth[directory] = max((_visit(step, depth) + 1 for step in others), default=0)
    return depth[directory]
