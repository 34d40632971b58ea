"""What a row's lineage says, whichever verb wrote it: what it was made from, and which requests it rests on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# Where lineage names what a row was made from: `evolve`, `generate`, `clean`, `template`, and others.
MADE_FROM = ("parent", "parents", "root", "conversation", "document", "ancestors", "seed")
EXAMPLES = ("seeds",)  # they stood in the prompt
INHERITED = ("root_lineage", "parent_lineage", "before")  # an earlier row's own lineage
_KEYS = ("request_key", "request_keys")


@dataclass(frozen=True)
class Asked:
    """A request that a row rests on: its stage, its key in the cache, its prompt's hash, the model."""

    stage: str
    key: str
    prompt_hash: str
    model: str


def named_ids(lineage: Any, fields: tuple[str, ...]) -> list[str]:
    """The ids that `fields` name anywhere in a lineage, each once."""
    found: dict[str, None] = {}
    waiting = [lineage]
    for value in waiting:  # grows while it is read
        if isinstance(value, dict):
            for name, item in value.items():
                if name in fields:
                    named = item if isinstance(item, list) else [item]
                    found |= {str(one): None for one in named if isinstance(one, str | int)}
                else:
                    waiting.append(item)
        elif isinstance(value, list):
            waiting += value
    return list(found)


def requests_of(lineage: Any, stage: str = "", model: str = "") -> Iterator[Asked]:
    """The requests that a lineage names, without those of the rows that it was made from."""
    if isinstance(lineage, list):
        for item in lineage:
            yield from requests_of(item, stage, model)
    if not isinstance(lineage, dict):
        return
    model = _text(lineage.get("model")) or model
    hashes = lineage.get("prompt_hashes")
    by_stage: Mapping[str, Any] = hashes if isinstance(hashes, dict) else {}
    main = _text(lineage.get("prompt_hash"))
    own = stage or _text(lineage.get("operation"))
    for name in _KEYS:
        keys = lineage.get(name)
        groups = keys.items() if isinstance(keys, dict) else [(own, keys)]
        for number, (group, named) in enumerate(groups):
            # Without hashes by stage the one there is belongs to the first.
            prompt = _text(by_stage.get(group)) or (main if not by_stage and number == 0 else "")
            for key in named if isinstance(named, list) else [named]:
                if isinstance(key, str) and key:
                    yield Asked(str(group), key, prompt, model)
    for name, value in lineage.items():
        if name not in (*_KEYS, *INHERITED):
            yield from requests_of(value, stage if isinstance(lineage.get(name), list) else str(name), model)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
