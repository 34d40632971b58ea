"""What the verbs that score documents share: columns of their own, and documents written where a reason says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from corpus.core.engine import UnitOutput
from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.inputs import Unit, read_documents
from corpus.core.output import Manifest
from corpus.core.quarantine import Skipped


def staged_path(output: Path, stage: str, unit: Unit) -> Path:
    """Where a stage before the last keeps what it found about a unit's documents."""
    return output / ".state" / stage / f"unit-{unit.index:05d}.parquet"


def check_columns(name: str, columns: Sequence[str], units: Sequence[Unit]) -> None:
    """Raise UsageError where `--name` is empty, or the documents have one of the `columns` that it means."""
    if not name.strip():
        raise UsageError("--name must not be empty")
    first: Iterator[pl.DataFrame] = read_documents(units[0], Skipped())
    frame = next(first, None)
    taken = [] if frame is None else [column for column in columns if column in frame.columns]
    if taken:
        raise UsageError(f"--name {name}: {units[0].path} has such a column (`{taken[0]}`); choose another name")


def write_decided(frame: pl.DataFrame, reasons: pl.Series, output: UnitOutput) -> None:
    """Write and count documents: those without a reason to `documents/`, the others to `removed/`."""
    stays = reasons.is_null()
    output.write("documents", frame.filter(stays))
    output.write("removed", frame.with_columns(reasons.alias("reason")).filter(~stays))
    output.count("documents_in", frame.height)
    output.count("documents_kept", int(stays.sum()))
    output.count("documents_removed", frame.height - int(stays.sum()))
    for reason, count in reasons.drop_nulls().value_counts(name="n").sort(reasons.name).iter_rows():
        output.reason(reason, count)


def read_written(output: Path, columns: Sequence[str]) -> pl.DataFrame:
    """Some columns of all documents that were written, kept and removed."""
    files = [
        path for table in ("documents", "removed") for path in sorted((output / table).glob("part-*.parquet"))
    ]
    return pl.concat([pl.read_parquet(file, columns=list(columns)) for file in files])


def kept_any(manifest: Manifest, output: Path) -> Manifest:
    """The manifest; raises ZeroToOneError, with what took them, where no document is left."""
    if not manifest["counts"].get("documents_kept"):
        taken = ", ".join(f"{reason} took {n:,}" for reason, n in manifest["reasons"].items())
        raise ZeroToOneError(f"{output}: no documents left; {taken} (see removed/)")
    return manifest
