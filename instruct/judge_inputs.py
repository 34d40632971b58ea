"""What `instruct judge` reads: questions, the systems' answers, and replies of a judge that were saved."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from corpus.core.errors import UsageError, ZeroToOneError
from instruct.forms import FormError
from instruct.language import has_chinese
from instruct.prompt import LANGUAGES
from instruct.rows import list_row_files, read_records
from instruct.runs import SetAside

Key = TypeVar("Key")
Value = TypeVar("Value")
_QUESTION_IDS = ("question_id", "id")
_QUESTION_TEXTS = ("turns", "text", "question", "instruction", "prompt")
_ANSWER_TEXTS = ("turns", "text", "answer", "output", "response", "reply")


@dataclass(frozen=True)
class Fields:
    """Names of the files' fields where they are not the usual ones; None: the usual ones."""

    question: str | None = None
    answer: str | None = None
    id: str | None = None
    category: str = "category"


@dataclass(frozen=True)
class Question:
    """A question, or the turns of one, with its category and the language of its prompt."""

    id: str
    text: str
    category: str
    language: str


@dataclass(frozen=True)
class SavedReply:
    """A judge's reply to one comparison: the systems in the order in which they were shown."""

    question: str
    systems: tuple[str, ...]
    text: str
    reason: str = ""
    detail: str = ""


@dataclass
class Aside:
    """Records that cannot be used; with `strict` the first one raises ZeroToOneError."""

    strict: bool
    records: list[SetAside] = field(default_factory=list)

    def add(self, place: str, reason: str, text: str) -> None:
        """Record one."""
        if self.strict:
            raise ZeroToOneError(f"{place}: {reason} (--strict)")
        self.records.append(SetAside(place, reason, text[:1000]))


def read_questions(path: str, fields: Fields, language: str | None, aside: Aside) -> dict[str, Question]:
    """The questions of a file by id, in its order. Raises ZeroToOneError where there is none."""
    found: dict[str, Question] = {}

    def read(row: Mapping[str, Any]) -> None:
        text = _text(row, fields.question, _QUESTION_TEXTS)
        own = language or str(row.get("lang") or "")
        if own not in LANGUAGES:
            own = "zh" if has_chinese(text) else "en"
        id = _id(row, fields)
        if id in found:
            raise FormError("duplicate_id")
        found[id] = Question(id, text, str(row.get(fields.category) or ""), own)

    _read(path, aside, read)
    return _some(found, path, "question", fields.question, aside)


def read_answers(path: str, fields: Fields, questions: Mapping[str, Question], aside: Aside) -> dict[str, str]:
    """The answers of a system by the question's id. Raises ZeroToOneError where there is none."""
    found: dict[str, str] = {}

    def read(row: Mapping[str, Any]) -> None:
        id = _id(row, fields)
        if id not in questions:
            raise FormError("unknown_question")
        if id in found:
            raise FormError("duplicate_id")
        found[id] = _answer(row, fields)

    _read(path, aside, read)
    return _some(found, path, "answer", fields.answer, aside)


def read_replies(path: str, fields: Fields, questions: Mapping[str, Question], aside: Aside) -> list[SavedReply]:
    """The replies of a file: `question_id`, `systems` in the order shown, `text`, as in `verdicts.jsonl`."""
    found: dict[tuple[str, tuple[str, ...]], SavedReply] = {}

    def read(row: Mapping[str, Any]) -> None:
        id, systems, text = _id(row, fields), row.get("systems"), row.get("text")
        if id not in questions:
            raise FormError("unknown_question")
        if not isinstance(systems, list) or len(set(map(str, systems))) < max(2, len(systems)):
            raise FormError("no_list_of_systems")
        if not isinstance(text, str):
            raise FormError("no_text")
        key = id, tuple(map(str, systems))
        if key in found:
            raise FormError("duplicate_reply")
        found[key] = SavedReply(*key, text, str(row.get("reason") or ""), str(row.get("detail") or ""))

    _read(path, aside, read)
    return list(_some(found, path, "reply", None, aside).values())


def parse_answers(items: Sequence[str]) -> dict[str, str]:
    """Files by system from options `NAME=FILE`. Raises UsageError."""
    files: dict[str, str] = {}
    for item in items:
        name, _, path = item.partition("=")
        if not name or not path:
            raise UsageError(f"--answers {item}: give NAME=FILE")
        if name in files:
            raise UsageError(f"--answers {item}: the system {name} was given before")
        files[name] = path
    return files


def _read(path: str, aside: Aside, read: Callable[[Mapping[str, Any]], None]) -> None:
    for file in list_row_files([path]):
        for place, row, text in read_records(file):
            try:
                if isinstance(row, FormError):
                    raise row
                if not isinstance(row, dict):
                    raise FormError("not_an_object")
                read(row)
            except FormError as error:
                aside.add(place, str(error), text)


def _some(found: dict[Key, Value], path: str, what: str, field: str | None, aside: Aside) -> dict[Key, Value]:
    if found:
        return found
    first = next((f"; the first record: {record.place}: {record.reason}" for record in aside.records[-1:]), "")
    named = f" in the field `{field}`" if field else ""
    raise ZeroToOneError(f"{path}: no {what}{named}{first}")


def _id(row: Mapping[str, Any], fields: Fields) -> str:
    names = (fields.id,) if fields.id else _QUESTION_IDS
    found = next((row[name] for name in names if row.get(name) is not None), None)
    if not isinstance(found, (str, int)):
        raise FormError("no_id")
    return str(found)


def _answer(row: Mapping[str, Any], fields: Fields) -> str:
    """An answer's text: a field, FastChat's `choices`, or the assistant's turns of a conversation."""
    if fields.answer is None:
        choices, messages = row.get("choices"), row.get("messages")
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            return _text(choices[0], None, ("turns",))
        if isinstance(messages, list):
            return _joined(list(_replies(messages)))
    return _text(row, fields.answer, _ANSWER_TEXTS)


def _replies(messages: Sequence[Any]) -> Iterator[Any]:
    for message in messages:
        if isinstance(message, dict) and message.get("role") == "assistant":
            yield message.get("content")


def _text(row: Mapping[str, Any], field: str | None, usual: Sequence[str]) -> str:
    names = (field,) if field else usual
    value = next((row[name] for name in names if row.get(name) is not None), None)
    if value is None:
        raise FormError(f"no_field_{field or usual[1 if len(usual) > 1 else 0]}")
    return _joined(value if isinstance(value, list) else [value])


def _joined(turns: Sequence[Any]) -> str:
    """Turns as one text, numbered where they are several."""
    if not turns or not all(isinstance(turn, str) for turn in turns):
        raise FormError("not_a_text")
    if len(turns) == 1:
        return str(turns[0]).strip()
    return "\n\n".join(f"[{number}] {turn.strip()}" for number, turn in enumerate(turns, 1))
