"""What a row of a table gives the templates: its columns as texts, and the choices of an answer."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from corpus.core.errors import ZeroToOneError
from corpus.core.files import text_hash
from instruct.language import has_chinese
from instruct.tables.templates import ANSWER, CHOICES, TemplateSet

MISSING, EMPTY, NOT_TEXT = "missing_column", "empty_column", "not_text"
UNKNOWN_LABEL, NO_CHOICE = "unknown_label", "answer_not_among_choices"
_NOTHING = object()


class LeftOutError(ZeroToOneError):
    """Why a row has no place in a template: `reason` and what it concerns."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


@dataclass(frozen=True)
class Row:
    """A row as texts; `language` is that of its first field, `group` the hash by which it is split, `examples`
    those of its task as JSON (or "")."""

    dataset: str
    place: str
    own_id: str
    language: str
    fields: Mapping[str, str]
    choices: tuple[str, ...]
    examples: str
    group: str
    evaluation: bool

    @property
    def key(self) -> str:
        """A hash of what the row says, not of where it stands."""
        texts = [self.dataset, *(f"{name}\x01{self.fields[name]}" for name in sorted(self.fields)), *self.choices]
        return text_hash("\x00".join(texts))


def read_row(record: Mapping[str, Any], templates: TemplateSet, dataset: str, place: str, evaluation: bool) -> Row:
    """A table's row as the fields of the templates. Raises LeftOutError."""
    fields: dict[str, str] = {}
    choices: tuple[str, ...] = ()
    for name in templates.read_fields():
        value = column_value(record, templates.column(name))
        text = _text(value, name in templates.joined or name == CHOICES)
        if name not in templates.optional:
            _check(name, value, text, record, templates)
        if text:
            fields[name] = text
    if CHOICES in fields:
        choices, fields[ANSWER] = _choice(record, templates)
        del fields[CHOICES]
    if templates.labels and ANSWER in fields and fields[ANSWER] not in templates.labels:
        raise LeftOutError(
            UNKNOWN_LABEL, f"`{fields[ANSWER][:80]}` is none of {', '.join(templates.labels)[:200]}"
        )
    split_by = [name for name in templates.split_by if name in fields]
    shared = split_by or [name for name in sorted(fields) if name != ANSWER] or sorted(fields)
    return Row(
        dataset=dataset,
        place=place,
        own_id=_text(record.get("id"), False) or "",
        language="zh" if has_chinese(next(iter(fields.values()), "")) else "en",
        fields=fields,
        choices=choices,
        examples=str(record.get("examples", "")) if "definition" in record else "",
        group=text_hash("\x00".join(fields[name] for name in shared)),
        evaluation=evaluation,
    )


def column_value(record: Mapping[str, Any], column: str) -> Any:
    """The value of a column, or of a part of it (`answers.text`: `text` of `answers`); _NOTHING if missing."""
    if column in record:
        return record[column]
    value: Any = record
    for part in column.split("."):
        value = value.get(part, _NOTHING) if isinstance(value, Mapping) else _NOTHING
    return value


def _check(name: str, value: Any, text: str | None, record: Mapping[str, Any], templates: TemplateSet) -> None:
    column, user = templates.column(name), templates.users_of(name)
    if value is _NOTHING:
        has = ", ".join(map(str, record))[:200]
        raise LeftOutError(MISSING, f"`{column}`, which template {user} needs; the row has {has}")
    if text is None:
        raise LeftOutError(NOT_TEXT, f"`{column}` of template {user} holds {type(value).__name__}")
    if not text:
        raise LeftOutError(EMPTY, f"`{column}` of template {user}")


def _text(value: Any, joined: bool) -> str | None:
    """A value as text; "" for nothing, None for what is no text. Of a list the first text, or all of them."""
    if value is None or value is _NOTHING:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, list):
        found = [text for item in value if (text := _text(item, joined))]
        return ", ".join(found) if joined else next(iter(found), "")
    if isinstance(value, Mapping) and joined:
        pairs = [(name, _text(item, joined)) for name, item in value.items()]
        return "; ".join(f"{name}: {text}" for name, text in pairs if text)
    return None


def _choice(record: Mapping[str, Any], templates: TemplateSet) -> tuple[tuple[str, ...], str]:
    """The choices and the right one: the answer may be its text, its mark, its number from 0, or its letter."""
    value = column_value(record, templates.column(CHOICES))
    marks: list[str] = []
    if isinstance(value, Mapping):  # as ARC has them: texts and marks
        marks = [str(mark) for mark in value.get("label", [])]
        value = value.get("text", [])
    texts = [_text(item, False) or "" for item in value] if isinstance(value, list) else []
    answer = column_value(record, templates.column(ANSWER))
    found = _position(answer, texts, marks)
    if found is None or len(set(texts)) != len(texts) or not all(texts):
        raise LeftOutError(
            NO_CHOICE, f"`{str(answer)[:80]}` of `{templates.column(ANSWER)}`; {len(texts)} choices"
        )
    return tuple(texts), texts[found]


def _position(answer: Any, texts: list[str], marks: list[str]) -> int | None:
    if isinstance(answer, int) and not isinstance(answer, bool):
        return answer if 0 <= answer < len(texts) else None
    said = str(answer).strip()
    for known in (texts, marks, list(string.ascii_uppercase)[: len(texts)]):
        if said in known and known.index(said) < len(texts):
            return known.index(said)
    return None
