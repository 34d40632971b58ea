"""Hand-written seed tasks and conversations in English and Chinese, shipped with the package.

The tasks follow the use cases that InstructGPT found among its users' prompts (Ouyang et al. 2022, table 1).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from typing import Any

from corpus.core.conversations import Conversation, conversation_error
from corpus.core.errors import UsageError, ZeroToOneError

LANGUAGES = ("en", "zh")
USE_CASE_SHARES = {
    "generation": 0.456,
    "open QA": 0.124,
    "brainstorming": 0.112,
    "chat": 0.084,
    "rewrite": 0.066,
    "summarisation": 0.042,
    "classification": 0.035,
    "other": 0.035,
    "closed QA": 0.026,
    "extract": 0.019,
}


@dataclass(frozen=True)
class Seed:
    """A task: an instruction, the input that it is about (may be empty), and a right output."""

    id: str
    use_case: str
    lang: str
    instruction: str
    input: str
    output: str
    is_classification: bool = False

    def prompt(self) -> str:
        """What a user would type: the instruction, and the input below it where there is one."""
        return f"{self.instruction}\n\n{self.input}" if self.input else self.instruction


def load_seeds(lang: str) -> list[Seed]:
    """The seed tasks of a language (`en` or `zh`), validated. Raises UsageError for any other language."""
    seeds = [_seed(record, place, lang) for place, record in _records("seeds", lang)]
    ids = {seed.id for seed in seeds}
    if len(ids) != len(seeds):
        raise ZeroToOneError(f"seeds_{lang}.jsonl: two seeds have the same id")
    return seeds


def load_conversations(lang: str) -> list[Conversation]:
    """The hand-written conversations of several turns in a language, in the contract's form."""
    found = []
    for place, record in _records("conversations", lang):
        error = conversation_error(record)
        if error:
            raise ZeroToOneError(f"{place}: {error}")
        found.append(record)
    return found


def seeds_as_conversations(lang: str) -> list[Conversation]:
    """Seed tasks as conversations of one turn, and the hand-written conversations after them."""
    tasks: list[Conversation] = [
        {
            "id": f"seed-{seed.id}",
            "messages": [
                {"role": "user", "content": seed.prompt()},
                {"role": "assistant", "content": seed.output},
            ],
            "lang": seed.lang,
            "source": "hand-written",
            "lineage": {"seed": seed.id, "use_case": seed.use_case},
        }
        for seed in load_seeds(lang)
    ]
    return tasks + load_conversations(lang)


def _records(kind: str, lang: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if lang not in LANGUAGES:
        raise UsageError(f"{lang}: no seeds in this language; there are {', '.join(LANGUAGES)}")
    name = f"{kind}_{lang}.jsonl"
    text = (resources.files("instruct") / "seeds" / name).read_text(encoding="utf-8")
    for number, line in enumerate(text.strip().split("\n"), 1):
        yield f"{name}:{number}", json.loads(line)


def _seed(record: dict[str, Any], place: str, lang: str) -> Seed:
    try:
        seed = Seed(**record)
    except TypeError as error:
        raise ZeroToOneError(f"{place}: {error}") from None
    for name in ("id", "instruction", "output"):
        if not getattr(seed, name).strip():
            raise ZeroToOneError(f"{place}: empty {name}")
    if seed.use_case not in USE_CASE_SHARES:
        raise ZeroToOneError(f"{place}: unknown use case `{seed.use_case}`")
    if seed.lang != lang:
        raise ZeroToOneError(f"{place}: language {seed.lang} in a list of {lang}")
    return seed
