"""The pass of `corpus dedup --method bloom` that has an order: unit after unit through one filter.

What it found of each unit goes to `.state/decided/`, and the filter itself to `.state/` from time to time, so that
a run that was killed goes on with the filter as it was behind some unit, and decides the units after it once more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from corpus.core.errors import ZeroToOneError
from corpus.core.files import read_json, write_atomically, write_json
from corpus.core.inputs import Unit
from corpus.core.workers import tick
from corpus.duplicates.lines.bloom_filter import BLOCK_BYTES, Blocks, false_positive_rate, new_filter
from corpus.duplicates.lines.lines import find_lines
from corpus.duplicates.lines.paragraph_ngrams import count_ngrams, filter_paragraphs
from corpus.duplicates.normalised import utf8
from corpus.duplicates.scoped import read_scoped, scopes

_ROW = np.dtype([("ngrams", "<u4"), ("seen", "<u4")])
_TEXT_A_CHECKPOINT = 16  # bytes of text for each of the filter: writing it then takes little of the time
_COLUMNS = ["id", "text"]  # an id that is not read would be made


@dataclass(frozen=True)
class NgramTask:
    """A unit whose n-grams are to be counted."""

    unit: Unit
    output: Path
    scope: str | None
    ngram: int
    strict: bool


def counted_path(output: Path, index: int) -> Path:
    """A unit's number of n-grams."""
    return output / ".state" / "counted" / f"unit-{index:05d}.json"


def count_unit(task: NgramTask) -> None:
    """Count the n-grams of one unit."""
    total = documents = 0
    for frame in read_scoped(task.unit, task.scope, _COLUMNS, task.strict):
        texts = utf8(frame["text"])
        total += int(count_ngrams(texts, find_lines(texts), task.ngram).sum())
        documents += frame.height
        tick(frame.height)
    write_json(counted_path(task.output, task.unit.index), {"documents": documents, "ngrams": total})


@dataclass
class OrderedPass:
    """Decides unit after unit; `done` units are behind the filter as it is, `inserted` n-grams in it.

    Called with a unit, it passes over one that is done.
    """

    output: Path
    blocks: Blocks
    probes: int
    scope: str | None
    ngram: int
    threshold: float
    strict: bool
    done: int = 0
    inserted: int = 0
    _bytes_since: int = field(default=0, init=False)

    def __call__(self, unit: Unit) -> None:
        """Decide one unit."""
        if unit.index < self.done:
            return
        found = [np.empty(0, dtype=_ROW)]
        documents = 0
        for frame in read_scoped(unit, self.scope, _COLUMNS, self.strict):
            texts = utf8(frame["text"])
            lines = find_lines(texts)
            how = self.ngram, self.threshold, self.blocks, self.probes
            ngrams, seen, new = filter_paragraphs(texts, lines, scopes(frame, self.scope), *how)
            rows = np.empty(len(ngrams), dtype=_ROW)
            rows["ngrams"], rows["seen"] = ngrams, seen
            found.append(rows)
            documents += frame.height
            self.inserted += new
            self._bytes_since += int(texts.offsets[-1] - texts.offsets[0])
            tick(frame.height)
        with write_atomically(_decided_path(self.output, unit.index)) as temporary:
            temporary.write_bytes(np.int64(documents).tobytes() + np.concatenate(found).tobytes())
        self.done = unit.index + 1
        if self._bytes_since >= _TEXT_A_CHECKPOINT * self.blocks.nbytes:
            self._save()

    def finish(self) -> dict[str, Any]:
        """What the manifest says of the filter."""
        return {
            "bytes": self.blocks.nbytes,
            "bits_a_key": self.probes,
            "ngrams_inserted": self.inserted,
            "false_positive_rate": float(f"{false_positive_rate(self.blocks, self.probes):.3g}"),
        }

    def _save(self) -> None:
        self._bytes_since = 0
        with write_atomically(_filter_path(self.output, self.done)) as temporary:
            self.blocks.tofile(temporary)
        write_json(_checkpoint(self.output), {"done": self.done, "inserted": self.inserted})
        for path in (self.output / ".state").glob("filter-*.bin"):
            if path != _filter_path(self.output, self.done):
                path.unlink()


def ordered_pass(
    output: Path, size: int, probes: int, scope: str | None, ngram: int, threshold: float, strict: bool
) -> OrderedPass:
    """A pass with a filter of `size` blocks, as an earlier run left it, or from the first unit on."""
    new = OrderedPass(output, new_filter(0), probes, scope, ngram, threshold, strict)
    if _checkpoint(output).exists():
        saved = read_json(_checkpoint(output))
        new.done, new.inserted = saved["done"], saved["inserted"]
        new.blocks = np.fromfile(_filter_path(output, new.done), dtype=np.uint64).reshape(size, -1)
    else:
        new.blocks = new_filter(size)
    return new


def decisions_of(output: Path, index: int) -> tuple[int, np.ndarray, np.ndarray]:
    """A unit's number of documents, and for each line its n-grams and how many of them were seen before."""
    path = _decided_path(output, index)
    rows = np.fromfile(path, _ROW, offset=8)
    return int(np.fromfile(path, np.int64, 1)[0]), rows["ngrams"].astype(np.int64), rows["seen"].astype(np.int64)


def check_memory(ngrams: int, size: int, rate: float, memory: int) -> None:
    """Raise ZeroToOneError where a filter of `size` blocks takes more than the memory."""
    if size * BLOCK_BYTES > memory:
        needed = size * BLOCK_BYTES / 2**30
        raise ZeroToOneError(
            f"a filter for {ngrams:,} n-grams with --false-positive-rate {rate:g} takes {needed:.3g}G; "
            f"--memory is {memory / 2**30:.3g}G: give more memory or a higher rate"
        )


def _decided_path(output: Path, index: int) -> Path:
    return output / ".state" / "decided" / f"unit-{index:05d}.bin"


def _filter_path(output: Path, done: int) -> Path:
    return output / ".state" / f"filter-{done:05d}.bin"


def _checkpoint(output: Path) -> Path:
    return output / ".state" / "filter.json"
