"""Parquet files as batches of rows, checked: what Arrow does not check, polars takes on trust."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import fsspec
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from corpus.core.errors import ZeroToOneError

LONGEST_TEXT = 32 * 2**20  # bytes: longer ones are no documents, and would take many times that in memory
TOO_LONG = "text_too_long"
_BATCH_ROWS = 2048
_BATCH_BYTES = 16 * 2**20

SetAside = Callable[[str, str], None]


@contextmanager
def open_parquet(path: str) -> Iterator[pq.ParquetFile]:
    """Open a local Parquet file or URL. A missing or broken one is a ZeroToOneError that names it."""
    try:
        with fsspec.open(path, "rb") as raw, pq.ParquetFile(raw) as file:
            yield file
    except FileNotFoundError:
        raise ZeroToOneError(f"{path}: no such file") from None
    except (pa.ArrowException, OSError) as error:
        raise ZeroToOneError(f"{path}: not a readable Parquet file: {str(error).splitlines()[0]}") from None


def read_batches(
    path: str, row_groups: range, columns: Sequence[str] | None, set_aside: SetAside
) -> Iterator[tuple[int, pl.DataFrame]]:
    """The (number of the first row, rows) of some row groups, in order; of all columns or those in `columns`.

    A row with a text that is not UTF-8 or longer than LONGEST_TEXT goes to `set_aside(place, reason)`. Raises
    ZeroToOneError where the file has no column `text` though `columns` has it.
    """
    with open_parquet(path) as file:
        names = file.schema_arrow.names
        if "text" not in names and (columns is None or "text" in columns):
            raise ZeroToOneError(f"{path}: no column `text`; it has {', '.join(names)}")
        wanted = None if columns is None else [name for name in names if name in columns or name == "text"]
        row = sum(file.metadata.row_group(group).num_rows for group in range(row_groups.start))
        rows = _rows_in_a_batch(file.metadata, row_groups)
        for batch in file.iter_batches(rows, row_groups=list(row_groups), columns=wanted):
            yield from sound_rows(path, batch, row, set_aside)
            row += batch.num_rows


def sound_rows(
    path: str, batch: pa.RecordBatch, row: int, set_aside: SetAside
) -> Iterator[tuple[int, pl.DataFrame]]:
    """The (number of the first row, rows) of a batch whose first row is the file's `row`, without broken rows.

    A row with a text that is not UTF-8 or longer than LONGEST_TEXT goes to `set_aside(place, reason)`. Raises
    pyarrow's ArrowInvalid for a batch that is broken otherwise.
    """
    reasons = dict.fromkeys(_rows_not_utf8(batch), "invalid_utf8") | dict.fromkeys(_too_long(batch), TOO_LONG)
    broken = sorted(reasons)
    for number in broken:
        set_aside(f"{path}#{row + number}", reasons[number])
    for start, stop in zip([0, *(number + 1 for number in broken)], [*broken, batch.num_rows], strict=True):
        if start < stop:
            yield row + start, pl.DataFrame(batch.slice(start, stop - start))


def _rows_in_a_batch(metadata: pq.FileMetaData, row_groups: range) -> int:
    """As many rows as are some megabytes on average."""
    groups = [metadata.row_group(group) for group in row_groups]
    size = max((group.total_byte_size / max(group.num_rows, 1) for group in groups), default=0.0)
    return int(max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(size, 1))))


def _too_long(batch: pa.RecordBatch) -> list[int]:
    """The rows whose text is longer than LONGEST_TEXT."""
    if "text" not in batch.schema.names or not _is_text(batch.schema.field("text").type):
        return []
    lengths = pc.binary_length(batch.column("text")).fill_null(0).to_numpy(zero_copy_only=False)
    return [int(row) for row in (lengths > LONGEST_TEXT).nonzero()[0]]


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _rows_not_utf8(batch: pa.RecordBatch) -> list[int]:
    try:
        batch.validate(full=True)
        return []
    except pa.ArrowInvalid:
        texts = [column for column in batch.columns if _is_text(column.type)]
        found = {row for column in texts for row in _not_utf8(column)}
        if not found:
            raise
        return sorted(found)


def _not_utf8(column: pa.Array) -> Iterator[int]:
    binary = pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary()
    for row, value in enumerate(column.cast(binary).to_pylist()):
        try:
            (value or b"").decode("utf-8")
        except UnicodeDecodeError:
            yield row
