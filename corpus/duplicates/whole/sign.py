"""The first pass of `corpus dedup`: each document's keys, unit by unit, into `.state/signed/`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from corpus.core.errors import ZeroToOneError
from corpus.core.files import write_atomically
from corpus.core.inputs import Unit, read_documents
from corpus.core.quarantine import Skipped
from corpus.core.workers import tick
from corpus.duplicates.near.matching import Matching
from corpus.duplicates.near.minhash import band_keys, set_keys, signatures
from corpus.duplicates.near.shingles import shingle_sets
from corpus.duplicates.runs import runs
from corpus.duplicates.scoped import scopes
from corpus.duplicates.whole.document_keys import CASE, URL, document_keys
from corpus.duplicates.whole.keep import Keep, check_column, ranks

CLUSTER_SIZE = "cluster_size"
HASHING = 2  # raised when the same documents get other keys: stored ones are of no use then
_SLICE_CHARACTERS = 6_000_000


@dataclass(frozen=True)
class SignTask:
    """A unit to sign; `matching` None for exact matching, `scope` a column or None.

    `compare` is what documents without a matching must share (`document_keys.COMPARED`).
    """

    unit: Unit
    output: Path
    matching: Matching | None
    scope: str | None
    keep: Keep
    strict: bool
    compare: str = CASE


def signed_path(output: Path, index: int) -> Path:
    """The table of a unit: id, id_key, rank, weight, shingles, text_0, text_1, set_0, set_1, band_0 …"""
    return output / ".state" / "signed" / f"unit-{index:05d}.parquet"


def signed_height(output: Path, index: int) -> int:
    """How many documents a signed unit holds."""
    return int(pq.read_metadata(signed_path(output, index)).num_rows)


def shingles_path(output: Path, index: int) -> Path:
    """The sets of a unit's documents, one behind the other (uint32); the table's `shingles` are their sizes.

    Their signatures instead where those are what documents are compared by (`Matching.stored_hashes`).
    """
    return signed_path(output, index).with_suffix(".shingles")


def stored_sizes(shingles: np.ndarray, hashes: int | None) -> np.ndarray:
    """How many values of that file each document has: its shingles, or with `hashes` so many where it has one."""
    return shingles if hashes is None else np.where(shingles > 0, hashes, 0)


def sign_unit(task: SignTask) -> None:
    """Sign one unit. The table appears after the sets, so that it says that the unit is done."""
    found: list[SignedDocuments] = [sign_documents(_no_documents(task), task)]
    row = 0
    with write_atomically(shingles_path(task.output, task.unit.index)) as temporary, temporary.open("wb") as sets:
        for frame in read_for_signing(task):
            signed = sign_documents(frame, task, row)
            found.append(signed._replace(values=_NO_VALUES))
            row += frame.height
            sets.write(signed.values.astype("<u4", copy=False).data)
            tick(frame.height)
    with write_atomically(signed_path(task.output, task.unit.index)) as temporary:
        _table(found, task.matching).write_parquet(temporary, compression="uncompressed")


class SignedDocuments(NamedTuple):
    """What is known of some documents, and what they are compared by.

    `documents`: id, id_key, weight, rank. `shingles` [documents] int64: how many shingles each has. `keys`
    [documents, columns] uint64: text_0, text_1, set_0, set_1, band_0 … `values` (uint32): the sets or signatures,
    one behind the other: see `shingles_path`.
    """

    documents: pl.DataFrame
    shingles: np.ndarray
    keys: np.ndarray
    values: np.ndarray


_NO_VALUES = np.empty(0, dtype=np.uint32)


def _table(parts: Sequence[SignedDocuments], matching: Matching | None) -> pl.DataFrame:
    keys = np.concatenate([part.keys for part in parts])
    names = ["text_0", "text_1", "set_0", "set_1"]
    names += [f"band_{band}" for band in range(matching.banding.bands if matching else 0)]
    columns = {name: np.ascontiguousarray(keys[:, place]) for place, name in enumerate(names)}
    counts = np.concatenate([part.shingles for part in parts])
    return pl.concat([part.documents for part in parts]).with_columns(shingles=counts, **columns)


def sign_documents(frame: pl.DataFrame, task: SignTask, row: int = 0) -> SignedDocuments:
    """The keys of each document, and what it is compared by.

    `row` is the first document's place in the unit.
    Documents with equal `text` keys have the same normalised text, with equal `set` keys the same shingles;
    a text without words stands for itself. All keys differ between documents of different scopes.
    """
    matching = task.matching
    values = _NO_VALUES
    counts = np.zeros(frame.height, dtype=np.int64)
    bands = np.empty((frame.height, 0), dtype=np.uint64)
    if matching is None:
        texts = sets = document_keys(frame, task.compare, task.unit.index, row)
    else:
        values, offsets, texts = shingle_sets(frame["text"], matching.ngram)
        counts = np.diff(offsets)
        sets = np.where((counts > 0)[:, None], set_keys(values, offsets), texts)
        hashed = signatures(values, offsets, matching.hashes)
        bands = band_keys(hashed, matching.banding)
        if matching.stored_hashes:
            values = hashed[counts > 0].reshape(-1)
    keys = np.concatenate([texts, sets, bands], axis=1) ^ scopes(frame, task.scope)[:, None]
    documents = frame.select("id", pl.col("id").hash().alias("id_key"), weight(frame), ranks(task.keep))
    return SignedDocuments(documents, counts, keys, values)


def weight(frame: pl.DataFrame) -> pl.Expr:
    """How many documents a row stands for: more than one after an earlier dedup."""
    if CLUSTER_SIZE in frame.columns:
        return pl.col(CLUSTER_SIZE).cast(pl.Int64, strict=False).fill_null(1).alias("weight")
    return pl.lit(1, dtype=pl.Int64).alias("weight")


def read_for_signing(task: SignTask) -> Iterator[pl.DataFrame]:
    """The columns that signing needs, in slices. Raises ZeroToOneError where the scope's column is missing."""
    needed = _needed(task)
    columns = ["id", "text", "origin", CLUSTER_SIZE, *(["url"] if task.compare == URL else []), *needed]
    for frame in read_documents(task.unit, Skipped(task.strict), columns):
        for name in needed:
            if name not in frame.columns:
                raise ZeroToOneError(f"{task.unit.path}: no column `{name}`; it has {', '.join(frame.columns)}")
        check_column(frame, task.keep, str(task.unit.path))
        yield from slices(frame, _SLICE_CHARACTERS, _hashes(task))


def _needed(task: SignTask) -> list[str]:
    """The columns that scope and keep look at."""
    return [*([task.scope] if task.scope else []), *task.keep.columns]


def _hashes(task: SignTask) -> int:
    return task.matching.hashes if task.matching else 1


def slices(frame: pl.DataFrame, characters: int, least: int) -> Iterator[pl.DataFrame]:
    """Cut a table into runs of rows of about so many characters of text, at least one row each.

    A text counts as `least` characters or more: its signature takes memory, too.
    """
    for start, stop in runs(np.maximum(frame["text"].str.len_chars().to_numpy(), least), characters):
        yield frame.slice(start, stop - start)


def _no_documents(task: SignTask) -> pl.DataFrame:
    return pl.DataFrame(schema=dict.fromkeys(["id", "text", "url", *_needed(task)], pl.String))
