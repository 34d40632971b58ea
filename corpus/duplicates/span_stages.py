"""The stages that find repeated spans: windows of texts to keys, keys to matches. Files lie in `.state/spans/`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Protocol

import numpy as np
import polars as pl

from corpus.core.errors import ZeroToOneError
from corpus.core.files import read_json, write_atomically, write_json
from corpus.core.inputs import Unit
from corpus.core.workers import tick
from corpus.duplicates.normalised import utf8
from corpus.duplicates.scoped import read_scoped, scopes
from corpus.duplicates.span_keys import (
    BYTES_A_KEY,
    KeyFiles,
    KeyWriter,
    Range,
    find_repeats,
    index_path,
    plan_ranges,
    read_matches,
    write_index,
)
from corpus.duplicates.span_texts import BLOCK, StretchWriter
from corpus.duplicates.span_windows import IN_PARTS, Measure, Place, Texts, Windows, find_anchors, find_windows

SEGMENT_WINDOWS = 1 << 19  # a segment is of so many windows or more, up to twice


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
        sizes = np.full((frame.height, 2), IN_PARTS)
        yield frame, Texts(*utf8(frame["text"]), scopes(frame, job.scope), sizes)


def find_unit_anchors(task: UnitTask) -> None:
    """Write the keys of a unit's anchors, and how many anchors and windows each text has."""
    job, index = task.job, task.unit.index
    paths = [job.path("anchors", index, kind) for kind in ("keys", "sizes")]
    with _open_all(paths) as (keys, sizes):
        scanner = _AnchorScanner(job.measure, KeyWriter(keys), sizes)
        documents = _scan_unit(task, scanner)
    write_index(paths[0], scanner.keys.index)
    write_json(job.path("anchors", index, "done"), {"documents": documents})


def find_unit_windows(task: UnitTask) -> None:
    """Write the keys of a unit's windows whose anchors come again, and the text that they cover."""
    job, index = task.job, task.unit.index
    paths = [job.path("windows", index, kind) for kind in ("keys", "text", "blocks")]
    with _open_all(paths) as (keys, text, blocks), job.path("anchors", index, "sizes").open("rb") as sizes:
        scanner = _WindowScanner(task, sizes, KeyWriter(keys), StretchWriter(text), blocks)
        documents = _scan_unit(task, scanner)
    if documents != documents_of(job.output, index):
        raise ZeroToOneError(f"{task.unit.path}: changed while it was read; use --overwrite")
    write_index(paths[0], scanner.keys.index)
    write_index(paths[2], np.cumsum([0, *scanner.block_counts]))
    with write_atomically(job.path("windows", index, "ids")) as temporary:
        pl.concat(scanner.ids).write_parquet(temporary)
    write_json(job.path("windows", index, "done"), {})


@contextmanager
def _open_all(paths: Sequence[Path]) -> Iterator[list[IO[bytes]]]:
    """Files to be written, which appear together."""
    with ExitStack() as stack:
        places = [stack.enter_context(write_atomically(path)) for path in paths]
        yield [stack.enter_context(place.open("wb")) for place in places]


class _Scanner(Protocol):
    def begin(self, texts: Texts, frame: pl.DataFrame, first_row: int) -> Texts:
        """Take the next texts, and return them as they are to be scanned."""

    def scan(self, texts: Texts, place: Place) -> tuple[int, Place]:
        """Scan on from a place: how many windows there were, and the next place."""

    def end(self, texts: Texts) -> None:
        """The texts have been scanned."""

    def flush(self) -> None:
        """Write the segment that was scanned."""


def _scan_unit(task: UnitTask, scanner: _Scanner) -> int:
    """Scan a unit's texts, segment by segment; the number of documents. All passes have the same segments."""
    scanned = row = 0
    for frame, read in read_texts(task.job, task.unit):
        texts, place = scanner.begin(read, frame, row), Place(0, int(read.offsets[0]), 0, 0)
        while place.text < frame.height:
            windows, place = scanner.scan(texts, place)
            scanned += windows
            if scanned >= SEGMENT_WINDOWS:
                scanner.flush()
                scanned = 0
        scanner.end(texts)
        row += frame.height
        tick(frame.height)
    if scanned:
        scanner.flush()
    return row


class _AnchorScanner:
    def __init__(self, measure: Measure, keys: KeyWriter, sizes: IO[bytes]) -> None:
        self._measure, self.keys, self._sizes = measure, keys, sizes
        self._found: list[np.ndarray] = []

    def begin(self, texts: Texts, _: pl.DataFrame, __: int) -> Texts:
        return texts

    def scan(self, texts: Texts, place: Place) -> tuple[int, Place]:
        anchors, windows, place = find_anchors(texts, place, self._measure, SEGMENT_WINDOWS)
        self._found.append(anchors.copy())
        return windows, place

    def end(self, texts: Texts) -> None:
        self._sizes.write(texts.sizes.tobytes())

    def flush(self) -> None:
        keys = np.concatenate(self._found)
        self.keys.write(keys, np.arange(len(keys), dtype=np.uint32))
        self._found.clear()


class _WindowScanner:
    def __init__(
        self, task: UnitTask, sizes: IO[bytes], keys: KeyWriter, stretches: StretchWriter, blocks: IO[bytes]
    ) -> None:
        self._task, self._sizes, self.keys, self._stretches, self._file = task, sizes, keys, stretches, blocks
        self.block_counts: list[int] = []
        self.ids = [pl.DataFrame(schema={"row": pl.Int64, "id": pl.String})]
        firsts = task.job.keys("anchors").firsts()
        self._segment, self._behind = int(firsts[task.unit.index]), int(firsts[task.unit.index + 1])
        self._flags = np.zeros(2 * SEGMENT_WINDOWS, dtype=np.bool_)
        self._clear()

    def _clear(self) -> None:
        self._found: list[Windows] = []
        self._ordinals: list[np.ndarray] = []
        self._blocks: list[np.ndarray] = [np.empty(0, dtype=BLOCK)]
        self._anchors = 0

    def begin(self, texts: Texts, frame: pl.DataFrame, first_row: int) -> Texts:
        self._frame, self._first_row = frame, first_row
        sizes = np.frombuffer(self._sizes.read(texts.sizes.nbytes), dtype=np.uint32).copy()
        if sizes.size != texts.sizes.size:
            raise ZeroToOneError(f"{self._task.unit.path}: changed while it was read; use --overwrite")
        return texts._replace(sizes=sizes.reshape(-1, 2))

    def scan(self, texts: Texts, place: Place) -> tuple[int, Place]:
        measure = self._task.job.measure
        if not self._found:
            self._flags[:] = False
            if self._segment < self._behind:  # behind the last segment there may be texts, but no windows
                self._flags[read_matches(self._task.matches, self._segment)["own"]] = True
        flags = self._flags[self._anchors :]
        found, anchors, windows, after = find_windows(texts, place, measure, SEGMENT_WINDOWS, flags)
        blocks = sum(map(len, self._blocks))
        ordinals, own = self._stretches.write(texts.data, found, texts.scopes, self._first_row, blocks)
        self._found.append(found)
        self._ordinals.append(ordinals)
        self._blocks.append(own)
        self._anchors += anchors
        rows = np.unique(found.texts)
        ids = self._frame["id"].gather(rows)
        self.ids.append(pl.DataFrame({"row": pl.Series(rows + self._first_row, dtype=pl.Int64), "id": ids}))
        return windows, after

    def end(self, texts: Texts) -> None:
        pass

    def flush(self) -> None:
        self.keys.write(np.concatenate([one.keys for one in self._found]), np.concatenate(self._ordinals))
        blocks = np.concatenate(self._blocks)
        self._file.write(blocks.tobytes())
        self.block_counts.append(len(blocks))
        self._segment += 1
        self._clear()
