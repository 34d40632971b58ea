"""64-bit keys of things in many files, and for each key that comes again, where it comes first: in bounded memory.

A unit's keys lie in segments of at most some hundred thousand, one behind the other in the order of the input.
Within a segment they are in buckets by their highest bits, so that a range of keys of all segments can be read
without the rest. Segments are numbered over all units: a thing is a segment and its ordinal there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from corpus.core.files import write_atomically
from corpus.duplicates.spans.tokens import Keys

BUCKETS = 256
BYTES_A_KEY = 80  # of a range: its place in the table, twice for room, and what was read of it
_RANGE_KEYS = 1 << 20  # a table of more is slower: it does not stay in the processor's cache
_STORED = np.dtype([("key", "<u8"), ("ordinal", "<u4")])
MATCH = np.dtype([("own", "<u4"), ("segment", "<u4"), ("ordinal", "<u4")])
Ordinals = npt.NDArray[np.uint32]
_SEEN, _REPEATED = np.uint64(1 << 62), np.uint64(1 << 63)
_HALF, _ORDINAL = np.uint64(32), np.uint64((1 << 32) - 1)


class KeyWriter:
    """Writes a unit's segments to an open file; `count`: the keys of the segment so far.

    `index` [segments, BUCKETS + 1]: where the buckets of the segments that were ended begin.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.count = 0
        self._file = file
        self._written = 0
        self._rows: list[npt.NDArray[np.int64]] = []
        self._keys: list[Keys] = []
        self._ordinals: list[Ordinals] = []

    def add(self, keys: Keys, ordinals: Ordinals) -> None:
        """Add to the segment."""
        self._keys.append(keys)
        self._ordinals.append(ordinals)
        self.count += len(keys)

    def end_segment(self) -> None:
        """Write the segment, if it has keys."""
        if not self.count:
            return
        stored = np.empty(self.count, dtype=_STORED)
        bounds = np.zeros(BUCKETS + 1, dtype=np.int64)
        keys, ordinals = np.concatenate(self._keys), np.concatenate(self._ordinals)
        _into_buckets(keys, ordinals, bounds, stored["key"], stored["ordinal"])
        self._file.write(stored.tobytes())
        self._rows.append(bounds + self._written)
        self._written += self.count
        self.count = 0
        self._keys.clear()
        self._ordinals.clear()

    @property
    def index(self) -> npt.NDArray[np.int64]:
        """In items of the file."""
        return np.stack(self._rows) if self._rows else np.empty((0, BUCKETS + 1), dtype=np.int64)


@dataclass(frozen=True)
class KeyFiles:
    """The key files of a stage, `units` of them in a folder; a unit's index lies beside its keys."""

    folder: Path
    units: int

    def path(self, unit: int) -> Path:
        """The keys of a unit."""
        return self.folder / f"{unit:05d}.keys"

    def summarise(self) -> npt.NDArray[np.int64]:
        """Write what `firsts` reads, and return how many keys each bucket has over all units."""
        sizes, segments = np.zeros(BUCKETS, dtype=np.int64), [0]
        for unit in range(self.units):
            index = self.index(unit)
            sizes += np.diff(index, axis=1).sum(axis=0, dtype=np.int64)
            segments.append(len(index))
        write_index(self.folder / "segments", np.cumsum(segments))
        return sizes

    def firsts(self) -> npt.NDArray[np.int64]:
        """The number of each unit's first segment, and the number of all; shape [units + 1]."""
        return read_index(self.folder / "segments")

    def index(self, unit: int) -> npt.NDArray[np.int64]:
        """Where the buckets of a unit's segments begin, shape [segments, BUCKETS + 1]."""
        return read_index(self.path(unit)).reshape(-1, BUCKETS + 1)


@dataclass(frozen=True)
class Range:
    """Keys of buckets `first` to `last` (not in it) that fall into `part` of `parts`; at most `room` keys."""

    first: int
    last: int
    part: int
    parts: int
    room: int


def index_path(path: Path) -> Path:
    """The index beside a key file."""
    return path.with_name(f"{path.name}.index")


def write_index(path: Path, index: npt.NDArray[np.int64]) -> None:
    """Write an array beside the file that it describes."""
    with write_atomically(index_path(path)) as temporary:
        temporary.write_bytes(index.astype("<i8").tobytes())


def read_index(path: Path, first: int = 0, count: int = -1) -> npt.NDArray[np.int64]:
    """`count` numbers from the array beside a file, from `first` on; -1: all."""
    return np.fromfile(index_path(path), dtype="<i8", count=count, offset=8 * first)


def plan_ranges(sizes: Sequence[int], memory: int) -> list[Range]:
    """Cut buckets of these sizes into ranges of keys of which each fits the memory; the larger ones in parts."""
    most = max(1, memory // BYTES_A_KEY)
    ranges: list[Range] = []
    first = total = 0
    for bucket, size in enumerate(sizes):
        if total and total + size > min(most, _RANGE_KEYS):
            ranges.append(Range(first, bucket, 0, 1, total))
            first, total = bucket, 0
        if size > most:
            parts = -(-int(size) // most)
            ranges += [Range(bucket, bucket + 1, part, parts, most) for part in range(parts)]
            first, total = bucket + 1, 0
        else:
            total += int(size)
    return [*ranges, Range(first, len(sizes), 0, 1, total)] if total else ranges


def find_repeats(files: KeyFiles, wanted: Range, target: Path, both: bool = False) -> None:
    """Write a MATCH for everything in a range whose key comes more than once: where that key comes first.

    With `both` what comes first gets where its key comes last, else itself. They lie in the order of the segments;
    the index beside them [segments + 1] says where each one's begin.
    """
    slots = 1 << max(6, (2 * wanted.room).bit_length())
    table = _Table(*(np.zeros(room, dtype=np.uint64) for room in (slots, slots, slots if both else 0)))
    for segment, stored in _stored(files, wanted):
        _insert(stored["key"], stored["ordinal"], segment, wanted.part, wanted.parts, table)
    counts = np.zeros(int(files.firsts()[-1]) + 1, dtype=np.int64)
    with write_atomically(target) as temporary, temporary.open("wb") as out:
        for segment, stored in _stored(files, wanted):
            matches = np.empty(len(stored), dtype=MATCH)
            room = tuple(matches[name] for name in MATCH.names or ())
            part = (wanted.part, wanted.parts)
            found = _look_up(stored["key"], stored["ordinal"], segment, *part, table, *room)
            out.write(matches[:found].tobytes())
            counts[segment + 1] = found
    write_index(target, np.cumsum(counts))


def keys_of(files: KeyFiles, segment: int, ordinals: Ordinals) -> Keys:
    """The keys of some things of a segment, in no order."""
    firsts = files.firsts()
    unit = int(np.searchsorted(firsts, segment, side="right")) - 1
    index = files.index(unit)[segment - int(firsts[unit])]
    count = int(index[-1] - index[0])
    stored = np.fromfile(files.path(unit), _STORED, count, offset=int(index[0]) * _STORED.itemsize)
    keys: Keys = stored["key"][np.isin(stored["ordinal"], ordinals)]
    return keys


def all_with(files: KeyFiles, keys: Keys) -> Iterator[tuple[int, int]]:
    """(segment, ordinal) of all that have one of the keys, in order."""
    everything = Range(0, BUCKETS, 0, 1, 0)
    for segment, stored in _stored(files, everything):
        for ordinal in np.sort(stored["ordinal"][np.isin(stored["key"], keys)]).tolist():
            yield segment, ordinal


def read_matches(targets: Sequence[Path], segment: int) -> npt.NDArray[np.void]:
    """All MATCHes of a segment's things, by their ordinals."""
    found = [np.empty(0, dtype=MATCH)]
    for target in targets:
        first, last = read_index(target, segment, 2).tolist()
        if last > first:
            found.append(np.fromfile(target, MATCH, last - first, offset=first * MATCH.itemsize))
    matches = np.concatenate(found)
    return matches[np.argsort(matches["own"], kind="stable")]


class _Table(NamedTuple):
    """Keys by open addressing, where each came first and, if kept, last.

    A place is 0 where there is none, else _SEEN with the segment and the ordinal; _REPEATED if the key came again.
    """

    keys: Keys
    firsts: Keys
    lasts: Keys


def _stored(files: KeyFiles, wanted: Range) -> Iterator[tuple[int, npt.NDArray[np.void]]]:
    segment = 0
    for unit in range(files.units):
        with files.path(unit).open("rb") as file:
            for row in files.index(unit):
                first, count = int(row[wanted.first]), int(row[wanted.last] - row[wanted.first])
                if count:
                    file.seek(first * _STORED.itemsize)
                    yield segment, np.frombuffer(file.read(count * _STORED.itemsize), dtype=_STORED)
                segment += 1


@njit(cache=True)
def _into_buckets(
    keys: Keys, ordinals: Ordinals, bounds: npt.NDArray[np.int64], stored_keys: Keys, stored_ordinals: Ordinals
) -> None:
    """Sort by the highest bits, the order kept within a bucket."""
    shift = np.uint64(56)
    for key in keys:
        bounds[int(key >> shift) + 1] += 1
    for bucket in range(len(bounds) - 1):
        bounds[bucket + 1] += bounds[bucket]
    at = bounds[:-1].copy()
    for item in range(len(keys)):
        bucket = int(keys[item] >> shift)
        stored_keys[at[bucket]], stored_ordinals[at[bucket]] = keys[item], ordinals[item]
        at[bucket] += 1


@njit(cache=True)
def _is_in(key: np.uint64, part: int, parts: int) -> bool:
    return parts == 1 or int((key >> np.uint64(40)) & np.uint64(0xFFFF)) % parts == part


@njit(cache=True)
def _place(segment: int, ordinal: np.uint32) -> np.uint64:
    return _SEEN | np.uint64(segment) << _HALF | np.uint64(ordinal)


@njit(cache=True)
def _slot(key: np.uint64, keys: Keys, firsts: Keys) -> np.int64:
    """The slot of a key, or the empty one where it would be."""
    mask = np.int64(len(keys) - 1)
    slot = np.int64(key & np.uint64(mask))
    while firsts[slot] and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@njit(cache=True)
def _insert(keys: Keys, ordinals: Ordinals, segment: int, part: int, parts: int, table: _Table) -> None:
    for item in range(len(keys)):
        if _is_in(keys[item], part, parts):
            slot = _slot(keys[item], table.keys, table.firsts)
            if table.firsts[slot]:
                table.firsts[slot] |= _REPEATED
            else:
                table.keys[slot], table.firsts[slot] = keys[item], _place(segment, ordinals[item])
            if len(table.lasts):
                table.lasts[slot] = _place(segment, ordinals[item])


@njit(cache=True)
def _look_up(
    keys: Keys,
    ordinals: Ordinals,
    segment: int,
    part: int,
    parts: int,
    table: _Table,
    own: Ordinals,
    other_segments: Ordinals,
    other_ordinals: Ordinals,
) -> int:
    found = 0
    for item in range(len(keys)):
        if not _is_in(keys[item], part, parts):
            continue
        slot = _slot(keys[item], table.keys, table.firsts)
        if table.firsts[slot] & _REPEATED:
            first = table.firsts[slot] ^ _REPEATED
            if len(table.lasts) and first == _place(segment, ordinals[item]):
                first = table.lasts[slot]
            own[found] = ordinals[item]
            other_segments[found], other_ordinals[found] = (first ^ _SEEN) >> _HALF, first & _ORDINAL
            found += 1
    return found
