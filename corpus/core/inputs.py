"""What a command reads: files, directories, globs and URLs, cut into units of work.

A unit is a file, a range of a Parquet file's row groups, or a group of small files, and is fixed by the input
alone, never by the number of workers.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import fsspec
import polars as pl
import zstandard

from corpus.core.compressed import Stream
from corpus.core.documents import as_documents, row_id
from corpus.core.errors import ZeroToOneError
from corpus.core.files import storable
from corpus.core.parquet_files import LONGEST_TEXT, TOO_LONG, open_parquet, read_batches

FORMATS = {
    "parquet": (".parquet",),
    "jsonl": (".jsonl", ".ndjson", ".jsonl.gz", ".jsonl.zst", ".ndjson.gz", ".ndjson.zst"),
    "warc": (".warc", ".warc.gz", ".warc.zst", ".wet", ".wet.gz", ".wet.zst"),
    "html": (".html", ".htm", ".xhtml"),
    "text": (".txt", ".text", ".md", ".rst", ".py"),
}
DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError)  # of compressed data
UNIT_BYTES = 64 * 2**20  # of a Parquet file's uncompressed row groups
GROUPED_FILES = 256  # small files in one unit
_BATCH_BYTES = 8 * 2**20
_MOST_WITHOUT_TEXT = 1000  # objects before the first with text: no file of documents


@dataclass(frozen=True)
class Unit:
    """A piece of the input: `start` and `stop` are row groups of a Parquet file, else 0 and -1 (all of it).

    `path` opens it; `name` is what lineage calls it: the path below the input argument, which does not change
    when the input moves or a command is typed elsewhere. `members` are the (path, name) of the files of a unit
    of HTML or text files, the first of which `path` and `name` repeat.
    """

    index: int
    path: str
    name: str
    format: str
    start: int = 0
    stop: int = -1
    members: tuple[tuple[str, str], ...] = ()

    def files(self) -> tuple[str, ...]:
        """The paths of the unit's files."""
        return tuple(path for path, _ in self.members) or (self.path,)


class Quarantine(Protocol):
    """Takes broken records."""

    def set_aside(self, place: str, reason: str, record: str = "") -> None:
        """Record that what stands at `place` could not be read, and why."""


def plan_units(inputs: Sequence[str | Path]) -> list[Unit]:
    """Cut the inputs into units, in the order of the arguments and of the names below each.

    An input is a dataset directory (its `documents/` is read), a directory, a glob, a file, or any of these as
    an fsspec URL. Raises ZeroToOneError for one that is missing, empty or of unknown format.
    """
    if not inputs:
        raise ZeroToOneError("no input given")
    units: list[Unit] = []
    grouped: dict[str, list[tuple[str, str]]] = {"html": [], "text": []}
    for path, name in list_files(inputs):
        kind = file_format(path)
        if kind == "parquet":
            for start, stop in _row_group_ranges(path):
                units.append(Unit(len(units), path, name, kind, start, stop))
        elif kind in grouped:
            grouped[kind].append((path, name))
        else:
            units.append(Unit(len(units), path, name, str(kind)))
    for kind, paths in grouped.items():
        for first in range(0, len(paths), GROUPED_FILES):
            members = tuple(paths[first : first + GROUPED_FILES])
            units.append(Unit(len(units), *members[0], kind, members=members))
    if not units:
        raise ZeroToOneError(f"{', '.join(map(str, inputs))}: no documents to read")
    return units


def list_files(inputs: Sequence[str | Path]) -> list[tuple[str, str]]:
    """The (path, name) of the inputs' files, in order. Raises ZeroToOneError for a missing or empty one."""
    found: dict[str, str] = {}
    for item in inputs:
        for path, name in _expand(str(item)):
            found.setdefault(path, name)
    return list(found.items())


def file_format(path: str) -> str | None:
    """The format that a file's name tells, or None."""
    name = path.lower()
    return next((kind for kind, suffixes in FORMATS.items() if name.endswith(suffixes)), None)


def fingerprint(path: str) -> str:
    """A hash of a file's name, size and both ends (64 KiB each): tells a changed input at little cost."""
    system, name = fsspec.core.url_to_fs(path)
    size = int(system.size(name) or 0)
    with system.open(name, "rb") as handle:
        head = handle.read(65536)
        handle.seek(max(0, size - 65536))
        tail = handle.read(65536)
    digest = hashlib.sha256(f"{os.path.basename(name)}\x00{size}\x00".encode("utf-8", "surrogateescape"))
    digest.update(head)
    digest.update(tail)
    return digest.hexdigest()


def file_size(path: str) -> int:
    """Size in bytes of a local file or an fsspec URL."""
    system, name = fsspec.core.url_to_fs(path)
    return int(system.size(name) or 0)


def read_documents(
    unit: Unit, quarantine: Quarantine, columns: Sequence[str] | None = None
) -> Iterator[pl.DataFrame]:
    """Read a Parquet, JSONL or text unit as batches of documents (see `as_documents`).

    `columns` limits what is read of a Parquet file. Broken records go to `quarantine`.
    """
    if unit.format == "parquet":
        yield from _read_parquet(unit, quarantine, columns)
    elif unit.format == "jsonl":
        yield from _read_jsonl(unit, quarantine)
    elif unit.format == "text":
        yield from _read_text(unit, quarantine)
    else:
        raise ZeroToOneError(f"{unit.path}: pages, not documents; run `corpus extract` on it first")


@contextmanager
def open_binary(path: str) -> Iterator[IO[bytes]]:
    """Open a local file or URL for reading, decompressed by its suffix (.gz, .zst).

    Raises ZeroToOneError where it cannot be opened, and where compressed data are damaged or cut unless the
    caller catches DAMAGE.
    """
    try:
        opened = fsspec.open(path, "rb").open()
    except FileNotFoundError:
        raise ZeroToOneError(f"{path}: no such file") from None
    except OSError as error:
        raise ZeroToOneError(f"{path}: {error.strerror or error}") from None
    with opened as raw:
        try:
            if path.endswith(".gz"):
                with gzip.open(raw, "rb") as unzipped:
                    yield unzipped
            elif path.endswith(".zst"):
                yield io.BufferedReader(_ZstdFile(raw))
            else:
                yield raw
        except DAMAGE as error:
            raise ZeroToOneError(f"{path}: compressed data cut or broken: {error}") from None


class _ZstdFile(io.RawIOBase):
    """Decompressed bytes; EOFError where the file is cut, which zstandard's own reader takes for its end."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._stream = Stream(raw)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        if not data and self._stream.damage is not None:
            raise EOFError(self._stream.damage.detail)
        buffer[: len(data)] = data
        return len(data)


def _expand(item: str) -> list[tuple[str, str]]:
    try:
        system, path = fsspec.core.url_to_fs(item)
    except (ValueError, ImportError) as error:
        raise ZeroToOneError(f"{item}: {error}") from None
    if system.isdir(path):
        tops = [path]
    elif system.exists(path):
        _check_file(system, path, item)
        tops = [path]
    elif any(character in path for character in "*?["):
        tops = sorted(system.glob(path))
    else:
        raise ZeroToOneError(f"{item}: no such file or directory")
    found = [(name, top) for top in tops for name in _below(system, top)]
    if not found:
        raise ZeroToOneError(f"{item}: no documents or pages here")
    local = "://" not in item
    return [(_address(system, name, item, local), _lineage_name(name, top)) for name, top in found]


def _check_file(system: fsspec.AbstractFileSystem, path: str, item: str) -> None:
    if file_format(path) is None:
        known = " ".join(suffix for suffixes in FORMATS.values() for suffix in suffixes)
        raise ZeroToOneError(f"{item}: unknown format; the name should end in one of {known}")
    if not system.size(path):
        raise ZeroToOneError(f"{item}: empty file")


def _lineage_name(path: str, top: str) -> str:
    return path[len(os.path.dirname(top.rstrip("/"))) :].lstrip("/")


def _address(system: fsspec.AbstractFileSystem, path: str, item: str, local: bool) -> str:
    if not local:
        return str(system.unstrip_protocol(path))
    return path if os.path.isabs(item) else os.path.relpath(path)


def _below(system: fsspec.AbstractFileSystem, path: str) -> list[str]:
    """Files of known format below a directory (of a dataset directory: its documents), no hidden ones."""
    if not system.isdir(path):
        return [path]
    if system.exists(f"{path}/manifest.json") and system.isdir(f"{path}/documents"):
        path = f"{path}/documents"
    names = sorted(system.find(path))
    visible = [name for name in names if not any(part.startswith(".") for part in name[len(path) :].split("/"))]
    return [name for name in visible if file_format(name) and system.size(name)]


def _row_group_ranges(path: str) -> list[tuple[int, int]]:
    with open_parquet(path) as file:
        sizes = [file.metadata.row_group(group).total_byte_size for group in range(file.metadata.num_row_groups)]
    ranges: list[tuple[int, int]] = []
    start = total = 0
    for group, size in enumerate(sizes):
        if total and total + size > UNIT_BYTES:
            ranges.append((start, group))
            start, total = group, 0
        total += size
    return [*ranges, (start, len(sizes))] if sizes else []


def _read_parquet(unit: Unit, quarantine: Quarantine, columns: Sequence[str] | None) -> Iterator[pl.DataFrame]:
    groups = range(unit.start, unit.stop)
    for row, frame in read_batches(unit.path, groups, columns, quarantine.set_aside):
        yield as_documents(frame, source=unit.name, origin=unit.name, first_row=row)


def _read_jsonl(unit: Unit, quarantine: Quarantine) -> Iterator[pl.DataFrame]:
    rows: list[dict[str, Any]] = []
    numbers: list[int] = []
    size = 0
    fields, without_text, with_text = "", 0, 0
    for number, line in _lines(unit.path, quarantine):
        record = _parse_line(line, f"{unit.path}:{number + 1}", quarantine)
        if record is None:
            continue
        if "text" not in record:
            fields, without_text = fields or ", ".join(record), without_text + 1
            if without_text == _MOST_WITHOUT_TEXT and not with_text:
                break
            quarantine.set_aside(f"{unit.path}:{number + 1}", "no_text_field", _shown(line))
            continue
        with_text += 1
        rows.append(record)
        numbers.append(number)
        size += len(line)
        if size > _BATCH_BYTES:
            yield _json_batch(rows, numbers, unit)
            rows, numbers, size = [], [], 0
    if rows:
        yield _json_batch(rows, numbers, unit)
    if without_text and not with_text:
        raise ZeroToOneError(f"{unit.path}: no field `text`; its objects have {fields}")


def _lines(path: str, quarantine: Quarantine) -> Iterator[tuple[int, bytes]]:
    number = -1
    with open_binary(path) as handle:
        try:
            for number, line in enumerate(handle):
                if line.strip():
                    yield number, line
        except DAMAGE as error:
            quarantine.set_aside(f"{path}:{number + 2}", "truncated", f"compressed data broken: {error}")


def _parse_line(line: bytes, place: str, quarantine: Quarantine) -> dict[str, Any] | None:
    if len(line) > LONGEST_TEXT:
        quarantine.set_aside(place, TOO_LONG, _shown(line))
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
    quarantine.set_aside(place, reason, _shown(line))
    return None


def _record_error(record: Any) -> str:
    if not isinstance(record, dict):
        return "not_an_object"
    if not isinstance(record.get("text"), str | None):
        return "text_not_a_string"
    return "" if all(name.isascii() or storable(name) == name for name in record) else "field_name_not_text"


def _shown(line: bytes) -> str:
    return line[:1000].decode("utf-8", "replace")


def _json_batch(rows: list[dict[str, Any]], numbers: list[int], unit: Unit) -> pl.DataFrame:
    """Rows as a table; nested values become JSON text, so that batches have the same types."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    for row, number in zip(rows, numbers, strict=True):
        row.setdefault("origin", f"{unit.name}#{number}")
    columns = [_json_column(name, [row.get(name) for row in rows]) for name in dict.fromkeys([*names, "origin"])]
    frame = pl.DataFrame(columns)
    if "id" not in frame.columns:
        frame = frame.with_columns(pl.Series("id", [row_id(unit.name, number) for number in numbers]))
    return as_documents(frame, source=unit.name, origin=unit.name)


def _json_column(name: str, values: list[Any]) -> pl.Series:
    nested = any(isinstance(value, (dict, list)) for value in values)
    if nested or any(isinstance(value, int) and value.bit_length() > 63 for value in values):
        values = [None if value is None else json.dumps(value, ensure_ascii=False) for value in values]
    if any(isinstance(value, str) for value in values):
        values = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
        return pl.Series(name, [None if value is None else storable(value) for value in values], dtype=pl.String)
    return pl.Series(name, values, strict=False)


def _read_text(unit: Unit, quarantine: Quarantine) -> Iterator[pl.DataFrame]:
    rows = []
    for path, name in unit.members:
        with open_binary(path) as handle:
            data = handle.read(LONGEST_TEXT + 1)
        if len(data) > LONGEST_TEXT:
            quarantine.set_aside(path, TOO_LONG)
            continue
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            quarantine.set_aside(f"{path}@{error.start}", "invalid_utf8")
            continue
        rows.append({"id": row_id(name, 0), "text": text, "source": name, "origin": name})
    if rows:
        yield as_documents(pl.DataFrame(rows), source=unit.name, origin=unit.name)
