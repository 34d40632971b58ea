"""What the stages that find repeated spans share: their tasks, and their files in `.state/spans/`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl

from corpus.core.errors import ZeroToOneError
from corpus.core.files import read_json, write_json
from corpus.core.inputs import Unit
from corpus.duplicates.normalised import utf8
from corpus.duplicates.scoped import read_scoped, scopes
from corpus.duplicates.spans.keys import (
    BYTES_A_KEY,
    KeyFiles,
    Range,
    find_repeats,
    index_path,
    plan_ranges,
)
from corpus.duplicates.spans.windows import Measure, Texts


@dataclass(frozen=True)
class Job:
    """What all stages need to know: `units` is their number, `scope` a column or None.

    `keep_none`: what comes first is a repeated span, too.
    """

    output: Path
    units: int
    measure: Measure
    scope: str | None
    keep_none: bool
    strict: bool

    def path(self, stage: str, index: int, kind: str) -> Path:
        """A file of a stage: of a unit, or of a range of keys."""
        return folder(self.output) / stage / f"{index:05d}.{kind}"

    def keys(self, stage: str) -> KeyFiles:
        """The key files of a stage."""
        return KeyFiles(folder(self.output) / stage, self.units)


@dataclass(frozen=True)
class UnitTask:
    """A unit of a stage; `matches` are the files of the stage before."""

    job: Job
    unit: Unit
    matches: tuple[Path, ...] = ()


@dataclass(frozen=True)
class RangeTask:
    """A range of a stage's keys to group."""

    files: KeyFiles
    wanted: Range
    target: Path
    both: bool


def folder(output: Path) -> Path:
    """Where the files of all stages lie."""
    return output / ".state" / "spans"


def documents_of(output: Path, index: int) -> int:
    """How many documents a unit had when it was scanned."""
    return int(read_json(folder(output) / "anchors" / f"{index:05d}.done")["documents"])


def unit_tasks(job: Job, units: Sequence[Unit], stage: str, matches: tuple[Path, ...] = ()) -> list[UnitTask]:
    """A stage's units that no earlier run finished."""
    return [UnitTask(job, unit, matches) for unit in units if not job.path(stage, unit.index, "done").exists()]


def range_tasks(job: Job, stage: str, memory: int, both: bool = False) -> tuple[list[RangeTask], tuple[Path, ...]]:
    """The ranges of a stage's keys that are not done yet, each within the memory, and the files of all.

    An earlier run's ranges stay where they fit.
    """
    plan = folder(job.output) / f"{stage}-ranges.json"
    files = job.keys(stage)
    sizes = files.summarise()
    ranges = [Range(*values) for values in read_json(plan)] if plan.exists() else None
    if ranges is None or any(one.room * BYTES_A_KEY > memory for one in ranges):
        for old in (folder(job.output) / f"{stage}-matches").glob("*"):
            old.unlink()
        ranges = plan_ranges(sizes.tolist(), memory)
        write_json(plan, [list(asdict(one).values()) for one in ranges])
    targets = tuple(job.path(f"{stage}-matches", number, "bin") for number in range(len(ranges)))
    tasks = [RangeTask(files, *pair, both) for pair in zip(ranges, targets, strict=True)]
    return [task for task in tasks if not index_path(task.target).exists()], targets


def find_range(task: RangeTask) -> None:
    """Find what comes again in a range of keys."""
    find_repeats(task.files, task.wanted, task.target, task.both)


def read_texts(job: Job, unit: Unit) -> Iterator[tuple[pl.DataFrame, Texts]]:
    """A unit's documents, and their texts to be scanned. Raises ZeroToOneError for a missing column."""
    for frame in read_scoped(unit, job.scope, ["id", "text", "origin"], job.strict):
        sizes = np.zeros((frame.height, 2), dtype=np.uint32)
        yield frame, Texts(*utf8(frame["text"]), scopes(frame, job.scope), sizes)


def changed(unit: Unit) -> ZeroToOneError:
    """The error of an input that is not what an earlier pass read."""
    return ZeroToOneError(f"{unit.path}: changed while it was read; use --overwrite")
