"""What an earlier corpus has: documents that stay where they are, and that new ones are compared with.

A run with `--keep-signatures` leaves the signed tables of the documents that it kept in `signatures/`. A later run
takes them into its own `.state/signed/` as they are; without them, or where they were made otherwise, it signs the
earlier documents anew.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from corpus.core.console import log
from corpus.core.files import read_json, write_atomically, write_json
from corpus.core.inputs import Unit, plan_units
from corpus.core.output import changed_parameter
from corpus.duplicates.whole.sign import HASHING, SignTask, shingles_path, signed_path, stored_sizes
from corpus.duplicates.whole.signed import copy_sets

STORED = "signatures"
_MADE_WITH = "made_with.json"


def signing_parameters(task: SignTask) -> dict[str, Any]:
    """All that signed tables depend on, beside the documents."""
    parameters: dict[str, Any] = {"hashing": HASHING, "scope": task.scope}
    if task.matching is None:
        return parameters | {"compare": task.compare}
    banding, hashes = task.matching.banding, task.matching.stored_hashes
    bands = {"bands": banding.bands, "rows": banding.rows, "hashes": hashes}
    return parameters | {"ngram": task.matching.ngram} | bands


def plan_earlier(paths: Sequence[str | Path], first: int, made_with: dict[str, Any]) -> list[Unit]:
    """The units of earlier corpora, numbered from `first` on; stored signatures are units of that format.

    Raises ZeroToOneError for a path without documents.
    """
    units: list[Unit] = []
    for path in paths:
        stored = _stored(Path(path), made_with)
        found = [Unit(0, str(file), file.name, STORED) for file in stored] or plan_units([path])
        units += found
    return [replace(unit, index=first + number) for number, unit in enumerate(units)]


def _stored(directory: Path, made_with: dict[str, Any]) -> list[Path]:
    file = directory / STORED / _MADE_WITH
    if not file.is_file():
        return []
    difference = changed_parameter(read_json(file), made_with)
    if difference:
        log(f"{directory}: signatures made otherwise ({difference}); its documents are read")
        return []
    return sorted(file.parent.glob("unit-*.parquet"))


def take_stored(unit: Unit, output: Path) -> None:
    """Put stored signatures among a run's signed units. The table comes last: it says that the unit is done."""
    table = Path(unit.path)
    pairs = ((_values(table), shingles_path(output, unit.index)), (table, signed_path(output, unit.index)))
    for source, target in pairs:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source, target)
        except OSError:  # on another file system, or one without links
            with write_atomically(target) as temporary:
                shutil.copyfile(source, temporary)


def store(output: Path, index: int, removed: Sequence[int], hashes: int | None) -> None:
    """Keep the signed tables of a unit's documents in `signatures/`, without the rows of the `removed` ones.

    They rank before all others from now on. `hashes`: values of a stored signature, None where sets are stored.
    """
    signed = pl.read_parquet(signed_path(output, index))
    kept = np.delete(np.arange(signed.height), np.asarray(removed, dtype=np.int64))
    sizes = stored_sizes(signed["shingles"].to_numpy(), hashes)
    places, offsets = (np.append(0, np.cumsum(of, dtype=np.int64)) for of in (sizes, sizes[kept]))
    values = np.empty(offsets[-1], dtype=np.uint32)
    target = output / STORED / f"unit-{index:05d}.parquet"
    source = shingles_path(output, index)
    if len(values):
        copy_sets(np.memmap(source, dtype="<u4", mode="r"), places, kept, values, offsets)
    with write_atomically(_values(target)) as temporary:
        values.astype("<u4", copy=False).tofile(temporary)
    ranked = signed[kept].with_columns(rank=pl.lit(-np.inf))
    with write_atomically(target) as temporary:
        ranked.write_parquet(temporary, compression="uncompressed")


def finish_store(output: Path, made_with: dict[str, Any]) -> None:
    """Say what the stored signatures were made with; without that they are not used."""
    write_json(output / STORED / _MADE_WITH, made_with)


def _values(table: Path) -> Path:
    return table.with_suffix(".shingles")
