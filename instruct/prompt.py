"""Prompts kept in files, `<language>.yaml` in `prompts/` and its folders: filled in, and hashed for lineage."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from corpus.core.errors import ZeroToOneError
from corpus.core.files import text_hash
from instruct.cache import canonical_json

LANGUAGES = ("en", "zh")
_DIRECTORY = Path(__file__).parent / "prompts"
_PLACE = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True)
class Prompt:
    """A prompt with places `{{name}}` to fill in."""

    name: str
    user: str
    system: str = ""

    @property
    def hash(self) -> str:
        """SHA-256 of the prompt before anything is filled in."""
        return text_hash(canonical_json({"system": self.system, "user": self.user}))

    def messages(self, **values: str) -> tuple[dict[str, str], ...]:
        """The messages to send. What is filled in is never searched for places itself.

        Raises KeyError for a place without a value.
        """
        texts = (("system", self.system), ("user", self.user))
        filled = ((role, _PLACE.sub(lambda place: values[place[1]], text).strip()) for role, text in texts)
        return tuple({"role": role, "content": content} for role, content in filled if content)


def load_prompts(language: str, folder: str = "") -> dict[str, Prompt]:
    """The prompts of a language by name, of a folder of `prompts/`. Raises ZeroToOneError for another language."""
    if language not in LANGUAGES:
        raise ZeroToOneError(f"no prompts for the language `{language}`; there are {', '.join(LANGUAGES)}")
    return _read(_DIRECTORY / folder / f"{language}.yaml")


@cache
def _read(path: Path) -> dict[str, Prompt]:
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ZeroToOneError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    return {name: _prompt(path, name, entry) for name, entry in entries.items()}


def _prompt(path: Path, name: str, entry: Any) -> Prompt:
    if isinstance(entry, str):
        return Prompt(name, entry)
    if isinstance(entry, Mapping) and isinstance(entry.get("user"), str):
        return Prompt(name, entry["user"], str(entry.get("system") or ""))
    raise ZeroToOneError(f"{path}: `{name}` is neither a text nor a mapping with `user`")
