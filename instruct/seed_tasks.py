"""Seed tasks for generation: those that come with the program, or a file of the user's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from corpus.core.binary_files import open_binary
from corpus.core.errors import ZeroToOneError
from instruct.forms import FormError
from instruct.rows import parse_line
from instruct.runs import SetAside
from instruct.tasks import Task

BUILTIN = "builtin"


@dataclass(frozen=True)
class SeedTask:
    """A task that a person wrote; its use case and whether it is classification where that is known."""

    id: str
    task: Task
    use_case: str = ""
    is_classification: bool | None = None


def read_seed_tasks(source: str, language: str) -> tuple[list[SeedTask], list[SetAside]]:
    """The seed tasks of a JSONL file, or for `builtin` the program's own in that language.

    A row has `instruction`, `input` and `output`, or Self-Instruct's `instances`, of which the first counts;
    `role`, `use_case` and `is_classification` may be there. Rows of another `lang` are left out; broken ones are
    set aside. Raises ZeroToOneError if none remains.
    """
    if source == BUILTIN:
        from instruct.seeds import load_seeds

        rows = load_seeds(language)
        return [
            SeedTask(row.id, Task(row.instruction, row.input, row.output), row.use_case, row.is_classification)
            for row in rows
        ], []
    seeds: list[SeedTask] = []
    set_aside: list[SetAside] = []
    names: set[str] = set()
    for place, line, row in _read_lines(source):
        reason = _fault(row, names)
        if reason:
            set_aside.append(SetAside(place, reason, line[:1000]))
        elif row.get("lang", language) == language:
            name = str(row.get("id", place))
            names.add(name)
            seeds.append(_seed(name, row))
    if not seeds:
        broken = f"; {len(set_aside)} rows are broken, the first: {set_aside[0].reason}" if set_aside else ""
        raise ZeroToOneError(f"{source}: no seed tasks in the language `{language}`{broken}")
    return seeds, set_aside


def _read_lines(path: str) -> Iterator[tuple[str, str, Any]]:
    name = path.rpartition("/")[2]
    with open_binary(path) as handle:
        for number, line in enumerate(handle, 1):
            if line.strip():
                yield f"{name}:{number}", line.decode("utf-8", "replace"), parse_line(line)


def _fault(row: Any, names: set[str]) -> str:
    if isinstance(row, FormError):
        return str(row)
    if not isinstance(row, dict):
        return "not_an_object"
    texts = [row.get("instruction"), *_instance(row)]
    if not all(isinstance(text, str) for text in texts) or not str(texts[0]).strip():
        return "no_instruction"
    if not str(texts[2]).strip():
        return "no_output"
    return "duplicate_id" if str(row.get("id")) in names else ""


def _instance(row: dict[str, Any]) -> tuple[Any, Any]:
    instances = row.get("instances")
    first = instances[0] if isinstance(instances, list) and instances else row
    return (first.get("input") or "", first.get("output") or "") if isinstance(first, dict) else ("", "")


def _seed(name: str, row: dict[str, Any]) -> SeedTask:
    given, output = _instance(row)
    role, use_case = (row.get(key) if isinstance(row.get(key), str) else "" for key in ("role", "use_case"))
    task = Task(row["instruction"].strip(), given.strip(), output.strip(), (role or "").strip())
    known = row.get("is_classification")
    return SeedTask(name, task, use_case or "", known if isinstance(known, bool) else None)
