"""The prompts that come with the program, by their hash, wherever in `prompts/` they stand."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from instruct.prompt import Prompt

_DIRECTORY = Path(__file__).parent / "prompts"


@cache
def known_prompts() -> dict[str, tuple[str, Prompt]]:
    """Hash → (file and entry, prompt); a file that cannot be read has none."""
    found: dict[str, tuple[str, Prompt]] = {}
    for path in sorted(_DIRECTORY.rglob("*.yaml")):
        try:
            entries = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError):
            continue
        for place, prompt in _prompts(entries, ()):
            name = f"{path.relative_to(_DIRECTORY).as_posix()}: {'.'.join(place)}"
            found.setdefault(prompt.hash, (name, prompt))
    return found


def _prompts(entry: Any, place: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Prompt]]:
    """Every text of an entry as a prompt, and every mapping with `user`."""
    name = place[-1] if place else ""
    if isinstance(entry, str):
        yield place, Prompt(name, entry)
    elif isinstance(entry, dict) and isinstance(entry.get("user"), str):
        yield place, Prompt(name, entry["user"], str(entry.get("system") or ""))
    elif isinstance(entry, dict):
        for key, value in entry.items():
            yield from _prompts(value, (*place, str(key)))
