"""JSON Lines as batches of documents: what cannot be read is set aside, nested values become JSON text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import IO, Any

import polars as pl

from corpus.core.binary_files import DAMAGE, file_size, open_binary
from corpus.core.documents import as_documents, row_id
from corpus.core.errors import ZeroToOneError
from corpus.core.files import storable
from corpus.core.parquet_files import LONGEST_TEXT, TOO_LONG

_BATCH_BYTES = 8 * 2**20
_READ = 2**20
_MOST_WITHOUT_TEXT = 1000  # objects before the first with text: no file of documents

SetAside = Callable[[str, str, str], None]  # place, reason, record
Range = tuple[int, int, int]  # first byte, byte behind the last (-1: to the end), lines that begin before


def line_ranges(path: str, size: int) -> list[Range]:
    """The ranges of `size` bytes of an uncompressed file, with the number of lines that begin before each.

    A file of more than one range is read for that once, so that a row's number, from which its id is made, is
    the same however the file is read.
    """
    total = file_size(path)
    if total <= size or path.endswith((".gz", ".zst")):
        return [(0, -1, 0)]
    starts = range(0, total, size)
    counts = [0]
    with open_binary(path) as handle:
        # A line begins behind a newline, so that the one before a range's first byte is of no account.
        lines = 1 + _newlines(handle, size - 1)
        for _ in starts[1:]:
            counts.append(lines)
            lines += _newlines(handle, size)
    return list(zip(starts, [*starts[1:], -1], counts, strict=True))


def _newlines(handle: IO[bytes], size: int) -> int:
    found = 0
    while size and (data := handle.read(min(_READ, size))):
        found += data.count(b"\n")
        size -= len(data)
    return found


def read_jsonl(
    path: str, name: str, set_aside: SetAside, start: int = 0, stop: int = -1, first_line: int = 0
) -> Iterator[pl.DataFrame]:
    """The documents of the lines that begin in a range of a file that lineage calls `name`; see `line_ranges`.

    Raises ZeroToOneError where the file's objects have no field `text`.
    """
    rows: list[dict[str, Any]] = []
    numbers: list[int] = []
    size = 0
    fields, without_text, with_text = "", 0, 0
    for number, line in _lines(path, set_aside, start, stop, first_line):
        record = _parse_line(line, f"{path}:{number + 1}", set_aside)
        if record is None:
            continue
        if "text" not in record:
            fields, without_text = fields or ", ".join(record), without_text + 1
            if without_text == _MOST_WITHOUT_TEXT and not with_text and not start:
                break
            set_aside(f"{path}:{number + 1}", "no_text_field", _shown(line))
            continue
        with_text += 1
        rows.append(record)
        numbers.append(number)
        size += len(line)
        if size > _BATCH_BYTES:
            yield _batch(rows, numbers, name)
            rows, numbers, size = [], [], 0
    if rows:
        yield _batch(rows, numbers, name)
    whole = not start and (stop < 0 or without_text == _MOST_WITHOUT_TEXT)
    if without_text and not with_text and whole:
        raise ZeroToOneError(f"{path}: no field `text`; its objects have {fields}")


def _lines(path: str, set_aside: SetAside, start: int, stop: int, first: int) -> Iterator[tuple[int, bytes]]:
    number = first - 1
    with open_binary(path) as handle:
        try:
            for number, line in enumerate(lines_between(handle, start, stop), first):
                if line.strip():
                    yield number, line
        except DAMAGE as error:
            set_aside(f"{path}:{number + 2}", "truncated", f"compressed data broken: {error}")


def lines_between(handle: IO[bytes], start: int, stop: int) -> Iterator[bytes]:
    """The lines of a file that begin in a range of its bytes; see `line_ranges`."""
    position = start
    if start:
        handle.seek(start - 1)
        position += len(handle.readline()) - 1  # the rest of a line that began before
    for line in handle:
        if 0 <= stop <= position:
            return
        yield line
        position += len(line)


def _parse_line(line: bytes, place: str, set_aside: SetAside) -> dict[str, Any] | None:
    if len(line) > LONGEST_TEXT:
        set_aside(place, TOO_LONG, _shown(line))
        return None
    try:
        record = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        record, reason = None, "invalid_utf8"
    except (ValueError, RecursionError):
        record, reason = None, "invalid_json"
    else:
        reason = _record_error(record)
    if not reason:
        return dict(record)
    set_aside(place, reason, _shown(line))
    return None


def _record_error(record: Any) -> str:
    if not isinstance(record, dict):
        return "not_an_object"
    if not isinstance(record.get("text"), str | None):
        return "text_not_a_string"
    return "" if all(name.isascii() or storable(name) == name for name in record) else "field_name_not_text"


def _shown(line: bytes) -> str:
    return line[:1000].decode("utf-8", "replace")


def _batch(rows: list[dict[str, Any]], numbers: list[int], name: str) -> pl.DataFrame:
    """Rows as a table; nested values become JSON text, so that batches have the same types."""
    fields = list(dict.fromkeys(field for row in rows for field in row))
    for row, number in zip(rows, numbers, strict=True):
        row.setdefault("origin", f"{name}#{number}")
    columns = [_column(field, [row.get(field) for row in rows]) for field in dict.fromkeys([*fields, "origin"])]
    frame = pl.DataFrame(columns)
    if "id" not in frame.columns:
        frame = frame.with_columns(pl.Series("id", [row_id(name, number) for number in numbers]))
    return as_documents(frame, source=name, origin=name)


def _column(name: str, values: list[Any]) -> pl.Series:
    nested = any(isinstance(value, (dict, list)) for value in values)
    if nested or any(isinstance(value, int) and value.bit_length() > 63 for value in values):
        values = [None if value is None else json.dumps(value, ensure_ascii=False) for value in values]
    if any(isinstance(value, str) for value in values):
        values = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
        return pl.Series(name, [None if value is None else storable(value) for value in values], dtype=pl.String)
    return pl.Series(name, values, strict=False)
