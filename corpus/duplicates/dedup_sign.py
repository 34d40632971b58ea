"""The first pass of `corpus dedup`: each document's keys, unit by unit, into `.state/signed/`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from corpus.core.errors import ZeroToOneError
from corpus.core.files import write_atomically
from corpus.core.inputs import Unit, read_documents
from corpus.core.quarantine import Skipped
from corpus.core.workers import tick
from corpus.duplicates.exact import normalise, scope_keys, text_keys
from corpus.duplicates.minhash import Banding, band_keys, set_keys, signatures
from corpus.duplicates.shingles import shingle_sets

CLUSTER_SIZE = "cluster_size"
_SLICE_CHARACTERS = 4_000_000


@dataclass(frozen=True)
class SignTask:
    """A unit to sign; `banding` None for exact matching, `scope` a column or None."""

    unit: Unit
    output: Path
    banding: Banding | None
    ngram: int
    scope: str | None
    strict: bool


def signed_path(output: Path, index: int) -> Path:
    """The table of a unit: id, length, weight, shingles, text_0, text_1, set_0, set_1, band_0 …"""
    return output / ".state" / "signed" / f"unit-{index:05d}.parquet"


def has_documents(output: Path, index: int) -> bool:
    """Whether a signed unit holds any document."""
    return bool(pq.read_metadata(signed_path(output, index)).num_rows)


def shingles_path(output: Path, index: int) -> Path:
    """The sets of a unit's documents, one behind the other (uint32); the table's `shingles` are their sizes."""
    return signed_path(output, index).with_suffix(".shingles")


def sign_unit(task: SignTask) -> None:
    """Sign one unit. The table appears after the sets, so that it says that the unit is done."""
    frames: list[pl.DataFrame] = []
    with write_atomically(shingles_path(task.output, task.unit.index)) as temporary, temporary.open("wb") as sets:
        for frame in read_for_signing(task):
            signed, values = sign_documents(frame, task.banding, task.ngram, task.scope)
            frames.append(signed)
            sets.write(values.astype("<u4").tobytes())
            tick(frame.height)
    empty, _ = sign_documents(_no_documents(task.scope), task.banding, task.ngram, task.scope)
    with write_atomically(signed_path(task.output, task.unit.index)) as temporary:
        pl.concat([empty, *frames]).write_parquet(temporary, compression="uncompressed")


def sign_documents(
    frame: pl.DataFrame, banding: Banding | None, ngram: int, scope: str | None
) -> tuple[pl.DataFrame, np.ndarray]:
    """The keys of each document, and with a banding the shingle sets one behind the other (uint32).

    Documents with equal `text` keys have the same normalised text, with equal `set` keys the same shingles;
    a text without words stands for itself. All keys differ between documents of different scopes.
    """
    normalised = [normalise(text) for text in frame["text"]]
    texts = text_keys(normalised)
    sets, values = texts.copy(), np.empty(0, dtype=np.uint32)
    counts = np.zeros(frame.height, dtype=np.int64)
    bands = np.empty((frame.height, 0), dtype=np.uint64)
    if banding is not None:
        values, offsets = shingle_sets(normalised, ngram)
        counts = np.diff(offsets)
        sets = np.where((counts > 0)[:, None], set_keys(values, offsets), texts)
        bands = band_keys(signatures(values, offsets, banding.bands * banding.rows), banding)
    if scope is not None:
        scopes = scope_keys(frame[scope].cast(pl.String).to_list())[:, None]
        texts, sets, bands = texts ^ scopes, sets ^ scopes, bands ^ scopes
    columns = {f"text_{i}": texts[:, i] for i in range(2)} | {f"set_{i}": sets[:, i] for i in range(2)}
    columns |= {f"band_{band}": bands[:, band] for band in range(bands.shape[1])}
    signed = frame.select("id", pl.col("text").str.len_chars().cast(pl.Int64).alias("length"), _weight(frame))
    return signed.with_columns(
        pl.Series("shingles", counts, dtype=pl.Int64),
        *(pl.Series(name, np.ascontiguousarray(column), dtype=pl.UInt64) for name, column in columns.items()),
    ), values


def _weight(frame: pl.DataFrame) -> pl.Expr:
    """How many documents a row stands for: more than one after an earlier dedup."""
    if CLUSTER_SIZE in frame.columns:
        return pl.col(CLUSTER_SIZE).cast(pl.Int64, strict=False).fill_null(1).alias("weight")
    return pl.lit(1, dtype=pl.Int64).alias("weight")


def read_for_signing(task: SignTask) -> Iterator[pl.DataFrame]:
    """The columns that signing needs, in slices. Raises ZeroToOneError where the scope's column is missing."""
    columns = ["id", "text", "origin", CLUSTER_SIZE, *([task.scope] if task.scope else [])]
    for frame in read_documents(task.unit, Skipped(task.strict), columns):
        if task.scope and task.scope not in frame.columns:
            raise ZeroToOneError(f"{task.unit.path}: no column `{task.scope}`; it has {', '.join(frame.columns)}")
        yield from slices(frame, _SLICE_CHARACTERS)


def slices(frame: pl.DataFrame, characters: int) -> Iterator[pl.DataFrame]:
    """Cut a table into runs of rows of about so many characters of text, at least one row each."""
    ends = frame["text"].str.len_chars().cast(pl.Int64).cum_sum().to_numpy()
    start = 0
    while start < frame.height:
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + characters, side="right")))
        yield frame.slice(start, stop - start)
        start = stop


def _no_documents(scope: str | None) -> pl.DataFrame:
    names = dict.fromkeys(["id", "text", *([scope] if scope else [])], pl.String)
    return pl.DataFrame(schema=names)


def read_signed(output: Path, units: Sequence[Unit]) -> pl.DataFrame:
    """The tables of all units, in order, with `row` (0, 1, …) and `unit`."""
    frames = [
        pl.read_parquet(signed_path(output, unit.index)).with_columns(
            pl.lit(unit.index, dtype=pl.Int64).alias("unit")
        )
        for unit in units
    ]
    return pl.concat(frames).with_columns(pl.int_range(pl.len(), dtype=pl.Int64).alias("row"))


def read_sets(output: Path, signed: pl.DataFrame, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The shingle sets of some rows (ascending): values one behind the other (uint32) and offsets (int64)."""
    sizes = signed["shingles"].to_numpy()
    units = signed["unit"].to_numpy()
    offsets = np.concatenate([[0], np.cumsum(sizes[rows])]).astype(np.int64)
    values = np.empty(offsets[-1], dtype=np.uint32)
    starts = _starts_in_unit(sizes, units)
    wanted = units[rows]
    for unit in np.unique(wanted):
        stored = np.memmap(shingles_path(output, int(unit)), dtype="<u4", mode="r")
        for position in np.flatnonzero(wanted == unit):
            row = rows[position]
            values[offsets[position] : offsets[position + 1]] = stored[starts[row] : starts[row] + sizes[row]]
    return values, offsets


def _starts_in_unit(sizes: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Where each row's set begins within the file of its unit."""
    ends = np.cumsum(sizes)
    first = np.flatnonzero(np.r_[True, units[1:] != units[:-1]])
    before = np.where(first > 0, ends[first - 1], 0)
    lengths = np.diff(np.r_[first, len(units)])
    return np.asarray(ends - sizes - np.repeat(before, lengths))
