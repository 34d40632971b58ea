"""Evaluation files as items: which fields hold their text, and which of it is long enough to be found."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from corpus.contamination.ngrams import Flags, checkable
from corpus.core.binary_files import open_binary
from corpus.core.errors import ZeroToOneError
from corpus.core.locations import file_format
from corpus.core.parquet_files import open_parquet

QUESTIONS = ("question", "prompt", "problem", "instruction", "input", "query", "text", "sentence")
CHOICES = ("choices", "options", "endings", *"ABCDEF")
ANSWERS = (
    "answer",
    "answers",
    "solution",
    "canonical_solution",
    "code",
    "target",
    "output",
    "completion",
    "response",
)
ITEM_IDS = ("id", "task_id", "question_id", "uid", "idx")
TOGETHER = "question and choices"
_PARAGRAPH = "paragraph"


class Piece(NamedTuple):
    """A text of an evaluation item: the file's name, the item's id, its row, and the field that held it.

    `whole`: where it is shorter than a gram, it is looked for as a whole.
    """

    file: str
    item: str
    row: int
    field: str
    text: str
    whole: bool


class Evaluation(NamedTuple):
    """The pieces of a file's items that can be found, the number of items, and of those without such a piece."""

    pieces: list[Piece]
    items: int
    uncheckable: int


def read_evaluation(path: str, name: str, fields: Sequence[str], ngram: int) -> Evaluation:
    """Read a JSONL, Parquet or text file; `fields` hold its items' text, or by default those of the known names.

    A field's strings are pieces of their own, however deep they are nested. A choice or an answer that is shorter
    than a gram is no piece: it may be a name or a saying, and tells nothing without its question. An item whose
    pieces are all too short is looked for as its question and choices together.
    In a text file a paragraph is an item. Raises ZeroToOneError for a file that cannot be read whole, or has none
    of the fields.
    """
    records = list(_records(path))
    if not records:
        raise ZeroToOneError(f"{path}: no evaluation items")
    known = [_PARAGRAPH] if file_format(path) == "text" else fields or [*QUESTIONS, *CHOICES, *ANSWERS]
    if not any(name in record for record in records for name in known):
        wanted = (
            ", ".join(fields) or "of the known names (question, prompt, problem, ...); name some with --fields"
        )
        raise ZeroToOneError(f"{path}: no field {wanted}; its items have {', '.join(map(str, records[0]))}")
    pieces = [
        piece for row, record in enumerate(records) for piece in _pieces(record, name, row, known, bool(fields))
    ]
    return _choose(pieces, len(records), ngram)


def wholes(pieces: Sequence[Piece]) -> Flags:
    """Which pieces are looked for as a whole; shape [pieces]."""
    return np.array([piece.whole for piece in pieces], dtype=np.bool_)


def _choose(pieces: list[Piece], items: int, ngram: int) -> Evaluation:
    """The pieces that can be found; all of an item's together only where none of them alone can."""
    can = checkable([piece.text for piece in pieces], ngram, wholes(pieces))
    alone = np.array([piece.field != TOGETHER for piece in pieces], dtype=np.bool_)
    rows = np.array([piece.row for piece in pieces], dtype=np.int64)
    chosen = can & (alone | ~np.isin(rows, rows[can & alone]))
    found = [piece for piece, wanted in zip(pieces, chosen, strict=True) if wanted]
    return Evaluation(found, items, items - len({piece.row for piece in found}))


def _pieces(record: dict[str, Any], name: str, row: int, fields: Sequence[str], named: bool) -> Iterator[Piece]:
    given = next((record[field] for field in ITEM_IDS if record.get(field) is not None), row)
    item = str(given)
    for field in fields:
        for text in strings_in(record.get(field)):
            yield Piece(name, item, row, field, text, named or field not in (*CHOICES, *ANSWERS))
    together = " ".join(_labelled(record, [field for field in fields if field not in ANSWERS]))
    if together:
        yield Piece(name, item, row, TOGETHER, together, True)


def _labelled(record: dict[str, Any], fields: Sequence[str]) -> Iterator[str]:
    """The strings of the fields, choices behind their letters, as tests are printed."""
    for field in fields:
        for at, text in enumerate(strings_in(record.get(field))):
            listed = field in CHOICES and len(field) > 1
            label = chr(ord("A") + at) if listed and at < 26 else field if len(field) == 1 else ""
            yield f"{label} {text}"


def strings_in(value: Any) -> Iterator[str]:
    """The strings in a value, in their order; a stack, as JSON may be nested deeper than Python's calls."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, (list, dict)):
            waiting += reversed(value.values() if isinstance(value, dict) else value)


def _records(path: str) -> Iterator[dict[str, Any]]:
    kind = file_format(path)
    if kind == "parquet":
        with open_parquet(path) as file:
            for batch in file.iter_batches():
                yield from batch.to_pylist()
    elif kind == "jsonl":
        yield from _json_lines(path)
    elif kind == "text":
        yield from _paragraphs(path)
    else:
        raise ZeroToOneError(f"{path}: evaluation items are read from JSONL, Parquet and text files")


def _json_lines(path: str) -> Iterator[dict[str, Any]]:
    with open_binary(path) as handle:
        for number, line in enumerate(handle, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line.decode("utf-8-sig"))
            except (ValueError, RecursionError):
                raise ZeroToOneError(f"{path}:{number}: not valid JSON in UTF-8") from None
            if not isinstance(record, dict):
                raise ZeroToOneError(f"{path}:{number}: not a JSON object")
            yield record


def _paragraphs(path: str) -> Iterator[dict[str, Any]]:
    with open_binary(path) as handle:
        data = handle.read()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ZeroToOneError(f"{path}: not UTF-8 at byte {error.start}") from None
    lines: list[str] = []
    for line in [*text.splitlines(), ""]:
        if line.strip():
            lines.append(line)
        elif lines:
            yield {_PARAGRAPH: "\n".join(lines)}
            lines = []
