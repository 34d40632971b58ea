"""The phrasings of a task: prompts and answers with {placeholders}, read from `templates/<task>.yaml`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml

from corpus.core.files import text_hash
from instruct.candidates import LANGUAGES

PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Template:
    """One phrasing, for documents in `documents`; `turned` where it asks the task the other way round."""

    id: str
    language: str
    documents: tuple[str, ...]
    prompt: str
    answer: str
    turned: bool = False

    @property
    def hash(self) -> str:
        """Eight digits that change when the wording does."""
        return text_hash(f"{self.prompt}\x00{self.answer}")[:8]

    def fill(self, fields: Mapping[str, str]) -> tuple[str, str]:
        """Prompt and answer with the fields set in, in one pass: braces in a field's text stay as they are."""
        return _set_in(self.prompt, fields), _set_in(self.answer, fields)

    def placeholders(self) -> set[str]:
        """The names of the fields that the template needs."""
        return set(PLACEHOLDER.findall(self.prompt + self.answer))


@dataclass(frozen=True)
class Phrasings:
    """All templates of a task; `repeats` is how often one answer may come, None for as often as it does."""

    task: str
    repeats: int | None
    templates: tuple[Template, ...]


@cache
def load_phrasings(task: str) -> Phrasings:
    """The phrasings of a task that the package has."""
    text = (resources.files("instruct") / "templates" / f"{task}.yaml").read_text(encoding="utf-8")
    record = yaml.safe_load(text)
    templates = [
        Template(
            id=f"{task}-{language}-{number:02d}",
            language=language,
            documents=tuple(record[language]["documents"]),
            prompt=item["prompt"],
            answer=item["answer"],
            turned=item.get("turned", False),
        )
        for language in LANGUAGES
        for number, item in enumerate(record[language]["templates"], 1)
    ]
    return Phrasings(task, record.get("repeats"), tuple(templates))


def _set_in(pattern: str, fields: Mapping[str, str]) -> str:
    return PLACEHOLDER.sub(lambda match: fields[match[1]], pattern)
