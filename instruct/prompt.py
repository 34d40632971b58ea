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
from instruct.language import has_chinese

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

    @property
    def places(self) -> set[str]:
        """The names of its places."""
        return set(_PLACE.findall(self.system + self.user))

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


def prompt_language(language: str, text: str) -> str:
    """The language of the prompts for a text: its own, or Chinese where it holds Chinese, else English."""
    if language in LANGUAGES:
        return language
    return "zh" if has_chinese(text) else "en"


@cache
def _read(path: Path) -> dict[str, Prompt]:
    entries = read_yaml(path)
    return {name: make_prompt(f"{path}: `{name}`", name, entry) for name, entry in entries.items()}


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file is. Raises ZeroToOneError with the file and the place."""
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise ZeroToOneError(f"{path}: not valid UTF-8") from None
    except OSError as error:
        raise ZeroToOneError(f"{path}: {error.strerror}") from None
    except yaml.YAMLError as error:
        raise ZeroToOneError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(entries, dict):
        raise ZeroToOneError(f"{path}: not a mapping of names")
    return entries


def make_prompt(place: str, name: str, entry: Any) -> Prompt:
    """The prompt of an entry, a text or a mapping with `user`. Raises ZeroToOneError that names `place`."""
    if isinstance(entry, str):
        return Prompt(name, entry)
    if isinstance(entry, Mapping) and isinstance(entry.get("user"), str):
        return Prompt(name, entry["user"], str(entry.get("system") or ""))
    raise ZeroToOneError(f"{place} is neither a text nor a mapping with `user`")
