"""Arrow files as batches of rows, checked: those of `datasets.save_to_disk` (streams) and of polars (files)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

import fsspec
import polars as pl
import pyarrow as pa

from corpus.core.errors import ZeroToOneError
from corpus.core.parquet_files import SetAside, sound_rows

_BATCH_BYTES = 16 * 2**20
_FILE_MAGIC = b"ARROW1"
_END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"  # Arrow columnar format 1.5, "IPC Streaming Format"
_CUT = "the end of its stream is missing: the file is cut"


def read_arrow(
    path: str, columns: Sequence[str] | None, set_aside: SetAside, *, need_text: bool = True
) -> Iterator[tuple[int, pl.DataFrame]]:
    """The (number of the first row, rows) of a local file or URL, in order; of all columns or those in `columns`.

    A batch is as its writer made it (`datasets`: 1000 rows), cut into pieces of some megabytes. A row with a text
    that is not UTF-8 or longer than LONGEST_TEXT goes to `set_aside(place, reason)`. Raises ZeroToOneError for a
    broken or cut file, and where it has no column `text` but `need_text`.
    """
    with _open_arrow(path) as reader:
        names = reader.schema.names
        if need_text and "text" not in names:
            raise ZeroToOneError(f"{path}: no column `text`; it has {', '.join(names) or 'no columns'}")
        wanted = names if columns is None else [name for name in names if name in columns or name == "text"]
        row = 0
        for batch in _batches(reader):
            batch = _without_views(batch.select(wanted))
            rows = max(1, batch.num_rows * _BATCH_BYTES // max(batch.nbytes, _BATCH_BYTES))
            for start in range(0, batch.num_rows, rows):
                yield from sound_rows(path, batch.slice(start, rows), row + start, set_aside)
            row += batch.num_rows


def check_arrow(path: str) -> None:
    """Raise ZeroToOneError for a file that does not begin and end as an Arrow file or stream does."""
    with _open_arrow(path):
        pass


def only_members(system: fsspec.AbstractFileSystem, top: str, names: Sequence[str]) -> list[str]:
    """Those of the files below `top` that belong to their data sets: `datasets` leaves its caches beside them.

    In a folder that `save_to_disk` wrote, `state.json` names the Arrow files; where `top` holds the folders of
    splits, `dataset_dict.json` names these. Other formats stay. Raises ZeroToOneError where a named file is
    missing, or what names it is broken.
    """
    folders = {os.path.dirname(name) for name in names if name.lower().endswith(".arrow")}
    members = {folder: _members(system, top, folder) for folder in folders}
    for folder, named in members.items():
        for missing in sorted(named - set(names)) if named is not None else ():
            if not system.exists(missing):
                raise ZeroToOneError(f"{folder}/state.json: names {os.path.basename(missing)}, which is missing")
    return [name for name in names if _belongs(name, members)]


def _belongs(name: str, members: dict[str, set[str] | None]) -> bool:
    if not name.lower().endswith(".arrow"):
        return True
    named = members[os.path.dirname(name)]
    return not os.path.basename(name).startswith("cache-") if named is None else name in named


def _members(system: fsspec.AbstractFileSystem, top: str, folder: str) -> set[str] | None:
    """The Arrow files that a folder's `state.json` names, none of a split that is no more; None without one."""
    if not system.exists(f"{folder}/state.json"):
        return None
    above, split = os.path.split(folder)
    dictionary = f"{above}/dataset_dict.json"
    inside = f"{above}/".startswith(f"{top}/")
    if inside and system.exists(dictionary) and split not in _listed(system, dictionary, "splits"):
        return set()
    entries = _listed(system, f"{folder}/state.json", "_data_files")
    try:
        return {f"{folder}/{os.path.basename(entry['filename'])}" for entry in entries}
    except (TypeError, KeyError):
        raise ZeroToOneError(f"{folder}/state.json: not the state of a saved data set") from None


def _listed(system: fsspec.AbstractFileSystem, path: str, key: str) -> list:
    try:
        found = json.loads(system.cat_file(path))[key]
    except (ValueError, TypeError, KeyError, RecursionError):
        found = None
    if not isinstance(found, list):
        raise ZeroToOneError(f"{path}: not of a saved data set: no list `{key}`")
    return found


@contextmanager
def _open_arrow(path: str) -> Iterator[pa.RecordBatchReader | pa.ipc.RecordBatchFileReader]:
    try:
        with fsspec.open(path, "rb") as raw:
            yield _reader(raw)
    except FileNotFoundError:
        raise ZeroToOneError(f"{path}: no such file") from None
    except (pa.ArrowException, OSError) as error:
        reason = (str(error) or repr(error)).splitlines()[0]
        raise ZeroToOneError(f"{path}: not a readable Arrow file: {reason}") from None


def _reader(raw: IO[bytes]) -> pa.RecordBatchReader | pa.ipc.RecordBatchFileReader:
    magic = raw.read(len(_FILE_MAGIC))
    raw.seek(0)
    if magic == _FILE_MAGIC:
        return pa.ipc.open_file(raw)
    # Arrow takes a stream that is cut between two batches for a whole one.
    size = raw.seek(0, os.SEEK_END)
    raw.seek(max(0, size - len(_END_OF_STREAM)))
    whole = raw.read() == _END_OF_STREAM
    raw.seek(0)
    reader = pa.ipc.open_stream(raw)
    if not whole:
        raise pa.ArrowInvalid(_CUT)
    return reader


def _batches(reader: pa.RecordBatchReader | pa.ipc.RecordBatchFileReader) -> Iterator[pa.RecordBatch]:
    if isinstance(reader, pa.ipc.RecordBatchFileReader):
        return (reader.get_batch(number) for number in range(reader.num_record_batches))
    return iter(reader)


def _without_views(batch: pa.RecordBatch) -> pa.RecordBatch:
    """With large strings in place of string views, whose lengths and bytes Arrow's functions do not look into."""
    fields = [
        field.with_type(pa.large_string()) if pa.types.is_string_view(field.type) else field
        for field in batch.schema
    ]
    schema = pa.schema(fields)
    return batch if schema.equals(batch.schema) else batch.cast(schema)
