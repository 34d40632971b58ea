"""Rows of instruction data in files (JSON, JSONL, Parquet), whole or cut into units of work."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import IO, Any

import fsspec

from corpus.core.binary_files import DAMAGE, open_binary
from corpus.core.conversations import parse_json_line
from corpus.core.errors import ZeroToOneError
from corpus.core.inputs import UNIT_BYTES, Unit
from corpus.core.jsonl_files import line_ranges, lines_between
from corpus.core.parquet_files import open_parquet
from instruct.forms import FormError

CONVERSATIONS = "conversations.jsonl"  # of an output directory
_PACKED = ("", ".gz", ".zst")
_SUFFIXES = (*(f".{form}{packed}" for form in ("json", "jsonl", "ndjson") for packed in _PACKED), ".parquet")
_NOT_ROWS = ("removed.jsonl", "set_aside.jsonl", "manifest.json")

Record = tuple[str, Any, str]  # place, value or the FormError that it is, text


def plan_rows(inputs: Sequence[str]) -> list[Unit]:
    """Cut files of rows into units: byte ranges of uncompressed JSONL files, other files whole.

    Raises ZeroToOneError for an input that is missing or empty.
    """
    units: list[Unit] = []
    for path in list_row_files(inputs):
        name = path.rpartition("/")[2]
        with open_binary(path) as handle:
            try:
                first = handle.readline()
            except DAMAGE:  # told by the unit that reads it
                first = b""
        whole = _plain_name(name).endswith((".json", ".parquet")) or _begins(first) == b"["
        kind = "parquet" if name.endswith(".parquet") else "json" if whole else "jsonl"
        ranges = [(0, -1, 0)] if whole else line_ranges(path, UNIT_BYTES)
        units += [
            Unit(len(units) + number, path, name, kind, start, stop, lines_before=lines)
            for number, (start, stop, lines) in enumerate(ranges)
        ]
    return units


def list_row_files(inputs: Sequence[str]) -> list[str]:
    """The files of the inputs: files, globs, output directories of `instruct`, other directories of files."""
    if not inputs:
        raise ZeroToOneError("no input given")
    found: dict[str, None] = {}
    for item in inputs:
        found.update(dict.fromkeys(_files(str(item))))
    return list(found)


def _files(item: str) -> list[str]:
    try:
        system, path = fsspec.core.url_to_fs(item)
    except (ValueError, ImportError) as error:
        raise ZeroToOneError(f"{item}: {error}") from None
    if system.isdir(path):
        own = f"{path.rstrip('/')}/{CONVERSATIONS}"
        names = [own] if system.exists(own) else _below(system, path)
    elif system.exists(path):
        return [item]
    elif any(character in path for character in "*?["):
        names = sorted(system.glob(path))
    else:
        raise ZeroToOneError(f"{item}: no such file")
    if not names:
        raise ZeroToOneError(f"{item}: no files of rows here")
    return [str(system.unstrip_protocol(name)) if "://" in item else name for name in names]


def _below(system: fsspec.AbstractFileSystem, path: str) -> list[str]:
    names = [(name, name[len(path) :].strip("/").split("/")) for name in sorted(system.find(path))]
    return [
        name
        for name, parts in names
        if name.endswith(_SUFFIXES) and parts[-1] not in _NOT_ROWS and not any(part[:1] == "." for part in parts)
    ]


def read_records(path: str) -> Iterator[Record]:
    """The rows of a file of JSON, JSONL or Parquet."""
    name = path.rpartition("/")[2]
    if name.endswith(".parquet"):
        return _parquet(path, name)
    return _json_lines(path, name, 0, -1, 0)


def read_unit(unit: Unit) -> Iterator[Record]:
    """The rows of a unit of `plan_rows`; each has the same place as in the whole file."""
    if unit.format == "parquet":
        return _parquet(unit.path, unit.name)
    return _json_lines(unit.path, unit.name, unit.start, unit.stop, unit.lines_before)


def parse_line(line: bytes) -> Any:
    """The value of a line of JSON, or the FormError that it is."""
    value, reason = parse_json_line(line)
    return FormError(reason) if reason else value


def _json_lines(path: str, name: str, start: int, stop: int, before: int) -> Iterator[Record]:
    number = before
    with open_binary(path) as handle:
        try:
            if start == 0:
                rows = _whole(handle, path, name)
                if rows is not None:
                    yield from rows
                    return
            for number, line in enumerate(lines_between(handle, start, stop), before + 1):
                if line.strip():
                    value = parse_line(line)
                    yield from _tasks(f"{name}:{number}", value, line.decode("utf-8", "replace").strip())
        except DAMAGE as error:
            yield f"{name}:{number + 1}", FormError("truncated_file"), str(error)


def _whole(handle: IO[bytes], path: str, name: str) -> Iterator[Record] | None:
    """The rows of a file that is one JSON value; None for JSONL, with the handle at its beginning."""
    first = handle.readline()
    if _begins(first) == b"[":
        return _array(path, name, first + handle.read())
    if _plain_name(name).endswith(".json") and _begins(first) == b"{":
        content = first + handle.read()
        value = parse_line(content)
        if not isinstance(value, FormError):
            return _tasks(f"{name}:1", value, content.decode("utf-8", "replace").strip())
    handle.seek(0)
    return None


def _begins(line: bytes) -> bytes:
    return line.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]


def _plain_name(name: str) -> str:
    return name.removesuffix(".gz").removesuffix(".zst")


def _array(path: str, name: str, content: bytes) -> Iterator[Record]:
    try:
        rows = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ZeroToOneError(f"{path}: not valid JSON: {error}") from None
    for number, row in enumerate(rows, 1):
        text = json.dumps(row)
        yield from _tasks(f"{name}:{number}", parse_line(text.encode()), text)


def _tasks(place: str, value: Any, text: str) -> Iterator[Record]:
    """A row, or for a file of Super-NaturalInstructions a row for each instance, the first with the examples."""
    if not isinstance(value, dict) or not isinstance(value.get("Instances"), list) or "Definition" not in value:
        yield place, value, text
        return
    of_task = {name: value[name] for name in value if name not in ("Instances", "Contributors", "Source", "URL")}
    for number, instance in enumerate(value["Instances"], 1):
        own_id = instance.get("id") if isinstance(instance, dict) else None
        row = {**of_task, "Instance": instance, **({"id": own_id} if own_id is not None else {})}
        yield f"{place}#{number}", row, json.dumps(instance, ensure_ascii=False)
        of_task = {name: of_task[name] for name in of_task if not name.endswith(" Examples")}


def _parquet(path: str, name: str) -> Iterator[Record]:
    with open_parquet(path) as file:
        number = 0
        for batch in file.iter_batches():
            for row in batch.to_pylist():
                number += 1
                text = json.dumps({key: row[key] for key in row if row[key] is not None}, default=str)
                yield from _tasks(f"{name}:{number}", parse_line(text.encode()), text)
