"""Windows of N tokens or characters, as keys by which equal ones are found.

Every window has an anchor: of the k-grams in it the one with the least hash (winnowing, Schleimer et al. 2003:
the anchor stays while it is in the window and none has a lesser hash). Two equal windows have anchors with equal
hashes, and anchors are few. So only windows whose anchor's hash comes again can come again themselves.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from corpus.duplicates.near.shingles import mix
from corpus.duplicates.normalised import Bytes
from corpus.duplicates.spans.tokens import Classes, Keys, Positions, character_classes, cut_units

Flags = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.uint32]

PLACE = np.dtype([("byte", "<u4"), ("unit", "<u4")])
_UNITS = 4096  # cut at once, or a window's size: their arrays stay in the processor's cache
_BASE = np.uint64(0x9E3779B97F4A7C15)
_GAP = np.uint64(0xD6E8FEB86659FD93)
_ANCHOR = np.uint64(0xA0761D6478BD642F)
_BASIS, _FACTOR = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)


class Measure(NamedTuple):
    """How long a span must be: `size` tokens, or characters; anchors are `gram` of them."""

    size: int
    by_character: bool

    @property
    def gram(self) -> int:
        """Half a window: shorter anchors are fewer, longer ones come again less often by themselves."""
        return (self.size + 1) // 2


class Texts(NamedTuple):
    """Documents as UTF-8: text k is data[offsets[k]:offsets[k + 1]]; only those of equal `scopes` can match.

    `sizes` [texts, 2]: how many anchors and windows each has, as far as it was scanned.
    """

    data: Bytes
    offsets: Positions
    scopes: Keys
    sizes: Numbers


class Scanned(NamedTuple):
    """How far texts were scanned: up to a byte of the data in one of them, with so many units of it before."""

    text: int
    byte: int
    unit: int


class Runs(NamedTuple):
    """Windows that follow one another in a text: the first one's byte in the data and number, and how many."""

    texts: Positions
    starts: Positions
    units: Positions
    windows: Positions


class Windows(NamedTuple):
    """Windows in order: key, text, first byte, byte behind the last, units of the text before."""

    keys: Keys
    texts: Positions
    starts: Positions
    ends: Positions
    units: Positions


def find_anchors(
    texts: Texts, scanned: Scanned, measure: Measure, most: int
) -> tuple[Keys, npt.NDArray[np.void], Scanned]:
    """The keys of the anchors of the next `most` windows, their places, and how far that is.

    A place is that of the first window with this anchor: bytes and units of its text before. Adds to the sizes of
    the texts.
    """
    keys, places = np.empty(most, dtype=np.uint64), np.empty(most, dtype=PLACE)
    room = keys, places["byte"], places["unit"]
    count, *after = _find_anchors(texts, scanned, measure, measure.gram, character_classes(), most, *room)
    return keys[:count].copy(), places[:count].copy(), Scanned(*after)


def flagged_runs(texts: Texts, places: npt.NDArray[np.void], flags: Flags, most: int) -> Runs:
    """The runs of windows whose anchors are flagged; `places` and `flags` are those of all anchors of the texts.

    A run of `most` windows is not continued.
    """
    count = int(np.count_nonzero(flags))
    runs = Runs._make(np.empty(count, dtype=np.int64) for _ in Runs._fields)
    found = _flagged_runs(texts.offsets, texts.sizes, places["byte"], places["unit"], flags, most, runs)
    return Runs._make(column[:found] for column in runs)


def find_windows(texts: Texts, runs: Runs, measure: Measure) -> Windows:
    """All windows of some runs. Raises ValueError where a text does not have them."""
    total = int(runs.windows.sum())
    positions = (np.empty(total, dtype=np.int64) for _ in Windows._fields[1:])
    windows = Windows(np.empty(total, dtype=np.uint64), *positions)
    data, ends = texts.data, texts.offsets[runs.texts + 1]
    sound = (runs.starts < ends).all() and ((data[runs.starts] & 0xC0) != 0x80).all()
    if not sound or not _find_windows(data, ends, texts.scopes, runs, measure, character_classes(), windows):
        raise ValueError("no such windows")
    return windows


@njit(cache=True)
def _power(exponent: int) -> np.uint64:
    value = np.uint64(1)
    for _ in range(exponent):
        value *= _BASE
    return value


@njit(cache=True)
def _find_anchors(
    texts: Texts,
    scanned: Scanned,
    measure: Measure,
    gram: int,
    classes: Classes,
    most: int,
    keys: Keys,
    bytes_before: Numbers,
    units_before: Numbers,
) -> tuple[int, int, int, int]:
    """Fill the anchors' arrays; their number and where to go on.

    Units are cut some at a time, the last of a window's size but one kept for the next windows.
    """
    data, offsets, sizes = texts.data, texts.offsets, texts.sizes
    text, at, before = scanned.text, scanned.byte, scanned.unit
    size = measure.size
    room = size - 1 + max(size, _UNITS)
    starts, ends = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int64)
    values, hashes = np.empty(room, dtype=np.uint64), np.empty(room, dtype=np.uint64)
    grams, power = size - gram + 1, _power(gram - 1)
    count = windows = 0
    while text < len(offsets) - 1:
        last, held, anchor, least = offsets[text + 1], 0, -1, np.uint64(0)
        while at < last:
            cut, at = cut_units(
                data, at, last, classes, measure.by_character, starts[held:], ends[held:], values[held:]
            )
            units = held + cut
            if units < size:
                break
            _hash_grams(values[:units], gram, power, hashes)
            stop, earlier = min(units - size + 1, most - windows), count
            for window in range(stop):
                newest = window + grams - 1
                changed = anchor < window
                if changed:  # the last of the least
                    anchor = window
                    for place in range(window + 1, window + grams):
                        if hashes[place] <= hashes[anchor]:
                            anchor = place
                elif hashes[newest] < least:
                    anchor, changed = newest, True
                if changed:
                    least = hashes[anchor]
                    keys[count] = mix(least ^ _ANCHOR) ^ texts.scopes[text]
                    bytes_before[count], units_before[count] = starts[window] - offsets[text], before + window
                    count += 1
            windows += stop
            sizes[text, 0] += count - earlier
            sizes[text, 1] += stop
            if windows == most:
                return count, text, starts[stop] if stop < units else at, before + stop
            gone, held = units - size + 1, size - 1
            starts[:held], values[:held] = starts[gone:units], values[gone:units]
            anchor, before = anchor - gone, before + gone
        text, before = text + 1, 0
        at = offsets[text]
    return count, text, at, before


@njit(cache=True)
def _hash_grams(values: Keys, gram: int, power: np.uint64, hashes: Keys) -> None:
    """Hash every `gram` values that follow one another: a polynomial in them."""
    total = np.uint64(0)
    for place in range(gram - 1):
        total = total * _BASE + values[place]
    for place in range(gram - 1, len(values)):
        total = total * _BASE + values[place]
        hashes[place - gram + 1] = mix(total)
        total -= values[place - gram + 1] * power


@njit(cache=True)
def _flagged_runs(
    offsets: Positions, sizes: Numbers, starts: Numbers, units: Numbers, flags: Flags, most: int, runs: Runs
) -> int:
    count = anchor = 0
    for text in range(len(sizes)):
        behind = anchor + sizes[text, 0]
        going_on = False
        while anchor < behind:
            if flags[anchor]:
                if not going_on or runs.windows[count - 1] >= most:
                    runs.texts[count], runs.starts[count] = text, offsets[text] + starts[anchor]
                    runs.units[count], runs.windows[count] = units[anchor], 0
                    count += 1
                after = np.int64(units[anchor + 1] if anchor + 1 < behind else sizes[text, 1])
                runs.windows[count - 1] += after - np.int64(units[anchor])
            going_on = flags[anchor]
            anchor += 1
    return count


@njit(cache=True)
def _find_windows(
    data: Bytes, lasts: Positions, scopes: Keys, runs: Runs, measure: Measure, classes: Classes, found: Windows
) -> bool:
    """Fill the windows' arrays; whether the texts have them.

    A window's hash is a polynomial in the hashes of its units, each but the first with the white space before it.
    """
    size = measure.size
    room = size - 1 + max(size, _UNITS)
    starts, ends = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int64)
    values, linked = np.empty(room, dtype=np.uint64), np.empty(room, dtype=np.uint64)
    power, second_power = _power(size - 1), _power(size - 2)
    count = 0
    for run in range(len(runs.texts)):
        text, at, held, done = runs.texts[run], runs.starts[run], 0, 0
        while done < runs.windows[run]:
            wanted = min(room, size - 1 + runs.windows[run] - done)
            cut, at = cut_units(
                data,
                at,
                lasts[run],
                classes,
                measure.by_character,
                starts[held:wanted],
                ends[held:wanted],
                values[held:wanted],
            )
            if held + cut < wanted:
                return False
            total = np.uint64(0)
            for place in range(1, wanted):
                gap = _BASIS
                for blank in range(ends[place - 1], starts[place]):
                    gap = (gap ^ np.uint64(data[blank])) * _FACTOR
                linked[place] = mix(values[place] ^ (gap * _GAP))
                if place < size - 1:
                    total = total * _BASE + linked[place]
            for window in range(wanted - size + 1):
                if size > 1:
                    total = total * _BASE + linked[window + size - 1]
                found.keys[count] = mix(total + values[window] * power) ^ scopes[text]
                if size > 1:
                    total -= linked[window + 1] * second_power
                found.texts[count], found.starts[count] = text, starts[window]
                found.ends[count], found.units[count] = ends[window + size - 1], runs.units[run] + done
                count += 1
                done += 1
            gone, held = wanted - size + 1, size - 1
            starts[:held], ends[:held] = starts[gone:wanted], ends[gone:wanted]
            values[:held] = values[gone:wanted]
    return True
