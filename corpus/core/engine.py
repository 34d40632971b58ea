"""Which unit of work runs where: atomically, resumably, and with the same output for any number of workers."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.core.errors import ZeroToOneError
from corpus.core.files import disk_full_named, read_json, write_json
from corpus.core.inputs import Unit, plan_units
from corpus.core.output import Manifest, unit_claim
from corpus.core.workers import run_units, tick

_ROW_GROUP_BYTES = 16 * 2**20
_ALL_DIFFERENT = ("id", "text", "origin")  # a dictionary of their values only takes time

Parameters = dict[str, Any]


class UnitOutput:
    """What one unit writes: tables, counts, reasons. Its files get their names only when the unit is done.

    A context: closed where it ends well, otherwise aborted.
    """

    def __init__(self, directory: Path, index: int, strict: bool = False) -> None:
        self.directory, self.index, self.strict = directory, index, strict
        self.counts: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self._writers: dict[str, _TableWriter] = {}
        self._set_aside: list[dict[str, str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.abort()
            return
        try:
            self.close()
        except BaseException:
            self.abort()
            raise

    def write(self, table: str, frame: pl.DataFrame) -> None:
        """Append rows to `<directory>/<table>/part-<unit>.parquet`."""
        if table not in self._writers:
            self._writers[table] = _TableWriter(self.directory / table / f"part-{self.index:05d}.parquet")
        self._writers[table].write(frame)

    def count(self, name: str, n: int = 1) -> None:
        """Add to a count of the manifest; names that end in `_in` also move the progress."""
        self.counts[name] += n
        if name.endswith("_in"):
            tick(n)

    def reason(self, name: str, n: int = 1) -> None:
        """Add to the manifest's count of why something was dropped."""
        self.reasons[name] += n

    def set_aside(self, place: str, reason: str, record: str = "") -> None:
        """Record a broken record, or with `strict` fail on it."""
        if self.strict:
            raise ZeroToOneError(f"{place}: {reason}{f' ({record[:80]!r})' if record else ''}")
        self.counts["set_aside"] += 1
        self._set_aside.append({"place": place, "reason": reason, "record": record[:1000]})

    def close(self) -> None:
        """Give the files their names and mark the unit as done."""
        if self._set_aside:
            self.write("set_aside", pl.DataFrame(self._set_aside))
        for writer in self._writers.values():
            writer.close()
        marker = {"counts": dict(self.counts), "reasons": dict(self.reasons)}
        write_json(unit_marker(self.directory, self.index), marker)

    def abort(self) -> None:
        """Remove what was written so far."""
        for writer in self._writers.values():
            writer.abort()


class _TableWriter:
    """A Parquet file written in row groups, which appears by rename when closed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        self._frames: list[pl.DataFrame] = []
        self._bytes = 0
        self._schema: pl.Schema | None = None
        self._writer: pq.ParquetWriter | None = None

    def write(self, frame: pl.DataFrame) -> None:
        if frame.height:
            self._frames.append(frame)
            self._bytes += int(frame.estimated_size())
            if self._bytes > _ROW_GROUP_BYTES:
                with disk_full_named(self.path):
                    self._flush()

    def _flush(self) -> None:
        if not self._frames:
            return
        frame = pl.concat(self._frames, how="diagonal_relaxed")
        self._frames, self._bytes = [], 0
        if self._writer is None or self._schema is None:
            nulls = [name for name, kind in frame.schema.items() if kind == pl.Null]
            frame = frame.with_columns(pl.col(name).cast(pl.String) for name in nulls)
            self._schema = frame.schema
            self.path.parent.mkdir(parents=True, exist_ok=True)
        table = _conform(frame, self._schema, self.path).to_arrow(compat_level=pl.CompatLevel.oldest())
        if self._writer is None:
            repeating = [name for name in table.schema.names if name not in _ALL_DIFFERENT]
            self._writer = pq.ParquetWriter(
                self.temporary, table.schema, compression="zstd", compression_level=1, use_dictionary=repeating
            )
        self._writer.write_table(table, row_group_size=max(1, table.num_rows))

    def close(self) -> None:
        with disk_full_named(self.path):
            self._flush()
            if self._writer is not None:
                self._writer.close()
                self.temporary.replace(self.path)

    def abort(self) -> None:
        if self._writer is not None:
            with suppress(OSError):  # of a full disk, again
                self._writer.close()
        self.temporary.unlink(missing_ok=True)


def _conform(frame: pl.DataFrame, schema: pl.Schema, path: Path) -> pl.DataFrame:
    extra = [name for name in frame.columns if name not in schema]
    if extra:
        raise ZeroToOneError(f"{path}: column `{extra[0]}` appears only in later rows of the input")
    if frame.schema == schema:
        return frame
    missing = [pl.lit(None, dtype=kind).alias(name) for name, kind in schema.items() if name not in frame.columns]
    try:
        return frame.with_columns(missing).select(pl.col(name).cast(kind) for name, kind in schema.items())
    except pl.exceptions.InvalidOperationError as error:
        raise ZeroToOneError(f"{path}: a column changes its type: {str(error).splitlines()[0]}") from None


@dataclass(frozen=True)
class Step:
    """A command over units: `parameters` are all that changes its output; `process` is a module's function."""

    command: str
    parameters: Parameters
    process: Callable[[Unit, Parameters, UnitOutput], None]


@dataclass(frozen=True)
class _Task:
    step: Step
    unit: Unit
    directory: Path
    strict: bool


def unit_marker(directory: Path, index: int) -> Path:
    """The file that says that a unit is done, with its counts."""
    return directory / ".state" / f"unit-{index:05d}.json"


def run_step(
    step: Step,
    inputs: Sequence[str | Path],
    output: Path,
    *,
    workers: int | None = None,
    engine: str = "local",
    overwrite: bool = False,
    strict: bool = False,
    paths_base: str = "",
) -> Manifest:
    """Run a step over its inputs (see `plan_units`) into a dataset directory and return the manifest.

    Units that an earlier run finished are not run again; a step that is finished with the same parameters and
    inputs returns at once. Raises ZeroToOneError when the directory holds another command's or other
    parameters' output (unless `overwrite`), or when the input holds no documents at all.
    """
    units = plan_units(inputs, paths_base)
    claim = unit_claim(step.command, step.parameters, inputs, units, output)
    earlier = claim.finished(overwrite)
    if earlier is not None:
        return earlier
    counts, reasons = process_units(step, units, output, workers=workers, engine=engine, strict=strict)
    if not any(value for name, value in counts.items() if name.endswith("_in")):
        raise ZeroToOneError(f"{', '.join(map(str, inputs))}: no documents to read{first_set_aside(output)}")
    return claim.write_manifest(counts=counts, reasons=reasons)


def process_units(
    step: Step, units: Sequence[Unit], output: Path, *, workers: int | None, engine: str, strict: bool
) -> tuple[dict[str, int], dict[str, int]]:
    """Run a step's function over the units that no earlier run finished; all units' counts and reasons, summed."""
    waiting = [unit for unit in units if not unit_marker(output, unit.index).exists()]
    tasks = [_Task(step, unit, output, strict) for unit in waiting]
    run_units(_run_task, tasks, workers=workers, engine=engine, description=step.command)
    return _sum_markers(output, units)


def first_set_aside(output: Path) -> str:
    """In words which record of a dataset directory was set aside first, and why; "" where none was."""
    for part in sorted((output / "set_aside").glob("part-*.parquet")):
        row = pl.read_parquet(part).row(0, named=True)
        return f"; the first broken record is {row['place']}: {row['reason']}"
    return ""


def _run_task(task: _Task) -> None:
    try:
        with UnitOutput(task.directory, task.unit.index, task.strict) as output:
            task.step.process(task.unit, task.step.parameters, output)
    except pa.ArrowInvalid as error:
        raise ZeroToOneError(f"{task.unit.path}: {str(error).splitlines()[0]}") from None


def _sum_markers(output: Path, units: Sequence[Unit]) -> tuple[dict[str, int], dict[str, int]]:
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for unit in units:
        marker = read_json(unit_marker(output, unit.index))
        counts.update(marker["counts"])
        reasons.update(marker["reasons"])
    return dict(sorted(counts.items())), dict(sorted(reasons.items()))
