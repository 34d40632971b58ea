"""The two scans of the texts: for the anchors of all windows, and for the windows whose anchors come again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import polars as pl

from corpus.core.files import write_atomically, write_json
from corpus.core.workers import tick
from corpus.duplicates.spans.keys import KeyWriter, read_matches, write_index
from corpus.duplicates.spans.stages import UnitTask, changed, documents_of, read_texts
from corpus.duplicates.spans.texts import StretchWriter
from corpus.duplicates.spans.windows import (
    PLACE,
    Flags,
    Runs,
    Scanned,
    Texts,
    Windows,
    find_anchors,
    find_windows,
    flagged_runs,
)

SEGMENT_KEYS = 1 << 19  # a segment is of so many keys or more, up to twice; so many windows are scanned at once


def find_unit_anchors(task: UnitTask) -> None:
    """Write the keys and places of a unit's anchors, and how many anchors and windows each text has."""
    job, index = task.job, task.unit.index
    paths = [job.path("anchors", index, kind) for kind in ("keys", "places", "sizes")]
    documents = 0
    with _open_all(paths) as (keys_file, places_file, sizes_file):
        writer = KeyWriter(keys_file)
        for frame, texts in read_texts(job, task.unit):
            scanned = Scanned(0, int(texts.offsets[0]), 0)
            while scanned.text < frame.height:
                keys, places, scanned = find_anchors(texts, scanned, job.measure, SEGMENT_KEYS)
                places_file.write(places.tobytes())
                writer.add(keys, np.arange(writer.count, writer.count + len(keys), dtype=np.uint32))
                if writer.count >= SEGMENT_KEYS:
                    writer.end_segment()
            sizes_file.write(texts.sizes.tobytes())
            documents += frame.height
            tick(frame.height)
        writer.end_segment()
    write_index(paths[0], writer.index)
    write_json(job.path("anchors", index, "done"), {"documents": documents})


def find_unit_windows(task: UnitTask) -> None:
    """Write the keys of a unit's windows whose anchors come again, and the text that they cover."""
    job, index = task.job, task.unit.index
    paths = [job.path("windows", index, kind) for kind in ("keys", "text", "blocks")]
    ids = [pl.DataFrame(schema={"row": pl.Int64, "id": pl.String})]
    row = 0
    with _open_all(paths) as files, _anchors_of(task) as anchors:
        writer = _WindowWriter(*files)
        for frame, texts in read_texts(job, task.unit):
            runs = anchors.flagged_runs(texts)
            for some in _batches(runs):
                writer.add(texts, _windows(task, texts, some), row)
            rows = np.unique(runs.texts)
            ids.append(
                pl.DataFrame({"row": pl.Series(rows + row, dtype=pl.Int64), "id": frame["id"].gather(rows)})
            )
            row += frame.height
            tick(frame.height)
        writer.end_segment()
    if row != documents_of(job.output, index):
        raise changed(task.unit)
    write_index(paths[0], writer.keys.index)
    write_index(paths[2], np.cumsum([0, *writer.block_counts]))
    with write_atomically(job.path("windows", index, "ids")) as temporary:
        pl.concat(ids).write_parquet(temporary)
    write_json(job.path("windows", index, "done"), {})


@contextmanager
def _open_all(paths: Sequence[Path]) -> Iterator[list[IO[bytes]]]:
    """Files to be written, which appear together."""
    with ExitStack() as stack:
        places = [stack.enter_context(write_atomically(path)) for path in paths]
        yield [stack.enter_context(place.open("wb")) for place in places]


class _Anchors:
    """A unit's anchors as the first scan wrote them, read on with the texts; which come again, by segments."""

    def __init__(self, task: UnitTask, sizes: IO[bytes], places: IO[bytes]) -> None:
        self._task, self._sizes, self._places = task, sizes, places
        files = task.job.keys("anchors")
        index = files.index(task.unit.index)
        first = int(files.firsts()[task.unit.index])
        self._segments = iter(enumerate((index[:, -1] - index[:, 0]).tolist(), first))
        self._flags: Flags = np.empty(0, dtype=np.bool_)

    def flagged_runs(self, texts: Texts) -> Runs:
        """The windows of the next texts whose anchors come again."""
        sizes = np.frombuffer(self._sizes.read(texts.sizes.nbytes), dtype=np.uint32)
        if sizes.size != texts.sizes.size:
            raise changed(self._task.unit)
        sizes = sizes.reshape(-1, 2)
        count = int(sizes[:, 0].sum(dtype=np.int64))
        places = np.frombuffer(self._places.read(count * PLACE.itemsize), dtype=PLACE)
        return flagged_runs(texts._replace(sizes=sizes), places, self._next_flags(count), SEGMENT_KEYS)

    def _next_flags(self, count: int) -> Flags:
        parts = [self._flags]
        while sum(map(len, parts)) < count:
            segment, size = next(self._segments)
            flags = np.zeros(size, dtype=np.bool_)
            flags[read_matches(self._task.matches, segment)["own"]] = True
            parts.append(flags)
        flags = np.concatenate(parts)
        self._flags = flags[count:]
        return flags[:count]


@contextmanager
def _anchors_of(task: UnitTask) -> Iterator[_Anchors]:
    sizes, places = (task.job.path("anchors", task.unit.index, kind) for kind in ("sizes", "places"))
    with sizes.open("rb") as sizes_file, places.open("rb") as places_file:
        yield _Anchors(task, sizes_file, places_file)


def _batches(runs: Runs) -> Iterator[Runs]:
    """The runs in parts of SEGMENT_KEYS windows, or of one run."""
    behind = np.cumsum(runs.windows)
    first = 0
    while first < len(behind):
        before = behind[first] - runs.windows[first]
        last = max(first + 1, int(np.searchsorted(behind, before + SEGMENT_KEYS, side="right")))
        yield Runs._make(column[first:last] for column in runs)
        first = last


def _windows(task: UnitTask, texts: Texts, runs: Runs) -> Windows:
    try:
        return find_windows(texts, runs, task.job.measure)
    except ValueError:
        raise changed(task.unit) from None


class _WindowWriter:
    """Writes windows to files of keys, text and blocks, in segments; `block_counts`: of each that was ended."""

    def __init__(self, keys: IO[bytes], text: IO[bytes], blocks: IO[bytes]) -> None:
        self.keys, self._stretches, self._file = KeyWriter(keys), StretchWriter(text), blocks
        self.block_counts: list[int] = []
        self._blocks = 0

    def add(self, texts: Texts, windows: Windows, first_row: int) -> None:
        """Add windows of texts whose first is row `first_row` of the unit; end the segment if it is full."""
        ordinals, blocks = self._stretches.write(texts, windows, first_row, self._blocks)
        self.keys.add(windows.keys, ordinals)
        self._file.write(blocks.tobytes())
        self._blocks += len(blocks)
        if self.keys.count >= SEGMENT_KEYS:
            self.end_segment()

    def end_segment(self) -> None:
        """Write the segment, if it has windows."""
        if self.keys.count:
            self.keys.end_segment()
            self.block_counts.append(self._blocks)
            self._blocks = 0
