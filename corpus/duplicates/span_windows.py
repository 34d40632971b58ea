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

from corpus.duplicates.normalised import Bytes
from corpus.duplicates.shingles import mix
from corpus.duplicates.span_tokens import Classes, character_classes, next_unit

Keys = npt.NDArray[np.uint64]
Positions = npt.NDArray[np.int64]

_BASE = np.uint64(0x9E3779B97F4A7C15)
_GAP = np.uint64(0xD6E8FEB86659FD93)
_ANCHOR = np.uint64(0xA0761D6478BD642F)


IN_PARTS = np.uint32(0xFFFFFFFF)


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

    `sizes` [texts]: how many anchors and windows each has, IN_PARTS where it was not scanned at once.
    """

    data: Bytes
    offsets: Positions
    scopes: Keys
    sizes: npt.NDArray[np.uint32]


class Place(NamedTuple):
    """Where scanning goes on: a text, a byte of the data, the characters and units of that text before it."""

    text: int
    byte: int
    characters: int
    units: int


class Windows(NamedTuple):
    """Windows in order: key, text, first byte, byte behind the last, characters and units of the text before."""

    keys: Keys
    texts: Positions
    starts: Positions
    ends: Positions
    characters: Positions
    units: Positions


def find_anchors(texts: Texts, place: Place, measure: Measure, most: int) -> tuple[Keys, int, Place]:
    """The keys of the anchors of the next `most` windows, how many windows there were, and where to go on.

    Writes the sizes of the texts.
    """
    anchors, no_flags = np.empty(most, dtype=np.uint64), np.empty(0, dtype=np.bool_)
    classes = character_classes()
    seen, _, windows, *after = _scan(
        texts, place, measure, measure.gram, classes, most, no_flags, anchors, _room(0)
    )
    return anchors[:seen], windows, Place(*after)


def find_windows(
    texts: Texts, place: Place, measure: Measure, most: int, flags: npt.NDArray[np.bool_]
) -> tuple[Windows, int, int, Place]:
    """Of the next `most` windows those whose anchor is flagged; `flags` [anchors or more]: from the next one on.

    Returns them, the numbers of anchors and of windows that there were, and where to go on. Texts whose sizes are
    known and none of whose anchors is flagged are not scanned.
    """
    anchors, room = np.empty(most, dtype=np.uint64), _room(most)
    classes = character_classes()
    seen, found, windows, *after = _scan(texts, place, measure, measure.gram, classes, most, flags, anchors, room)
    return Windows._make(column[:found].copy() for column in room), seen, windows, Place(*after)


def _room(most: int) -> Windows:
    return Windows._make([np.empty(most, dtype=np.uint64), *(np.empty(most, dtype=np.int64) for _ in range(5))])


@njit(cache=True)
def _power(exponent: int) -> np.uint64:
    value = np.uint64(1)
    for _ in range(exponent):
        value *= _BASE
    return value


@njit(cache=True)
def _scan(
    texts: Texts,
    place: Place,
    measure: Measure,
    gram: int,
    classes: Classes,
    most: int,
    flags: npt.NDArray[np.bool_],
    anchors: Keys,
    room: Windows,
) -> tuple[int, int, int, int, int, int, int]:
    """Scan texts until they end or `most` windows are complete; see `find_windows`.

    A window's hash is a polynomial in the hashes of its units, each but the first with the white space before it.
    Rings hold the last `size` units, and the hashes of the grams of the last window.
    """
    data, offsets, scopes, sizes = texts.data, texts.offsets, texts.scopes, texts.sizes
    text, at, characters, units = place.text, place.byte, place.characters, place.units
    size, by_character = measure.size, measure.by_character
    wanted = len(room.keys) > 0
    own, joint = np.empty(size, dtype=np.uint64), np.empty(size, dtype=np.uint64)
    begins, behind = np.empty(size, dtype=np.int64), np.empty(size, dtype=np.int64)
    grams = size - gram + 1
    values = np.empty(grams, dtype=np.uint64)
    gram_power, size_power = _power(gram - 1), _power(size - 1)
    found = seen = windows = 0
    while text < len(offsets) - 1:
        if wanted and sizes[text, 0] != IN_PARTS and not flags[seen : seen + sizes[text, 0]].any():
            seen += sizes[text, 0]
            windows += sizes[text, 1]
            text += 1
            at = offsets[text]
            continue
        last = offsets[text + 1]
        began, seen_before, windows_before = units == 0, seen, windows
        gram_sum = size_sum = np.uint64(0)
        anchor, least = -1, np.uint64(0)
        value_slot = 0  # (unit - gram + 1) modulo grams
        unit = 0  # from where scanning began in this text
        slot = 0  # unit modulo size
        gram_slot = size - gram + 1 if gram > 1 else 0  # (unit - gram + 1) modulo size
        while True:
            start, at, skipped, length, gap, value = next_unit(data, at, last, classes, by_character)
            if start == at:
                break
            characters += skipped
            linked = mix(value ^ (gap * _GAP))
            # What leaves the sums stands where the gram or the window begins: its first unit counts without gap.
            if gram > 1:
                gram_sum = gram_sum * _BASE + linked
                if unit >= gram - 1:
                    gram_sum -= joint[gram_slot] * gram_power
            if wanted and size > 1:
                size_sum = size_sum * _BASE + linked
                if unit >= size - 1:
                    next_slot = slot + 1 if slot + 1 < size else 0
                    size_sum -= joint[next_slot] * size_power
            own[slot], joint[slot], begins[slot], behind[slot] = value, linked, start, characters
            characters += length
            if unit >= gram - 1:
                hashed = mix(gram_sum + own[gram_slot] * gram_power)
                values[value_slot] = hashed
            if unit >= size - 1:
                first = unit - size + 1
                changed = anchor < first
                if changed:  # the last of the least
                    back, least = 0, hashed
                    at_slot = value_slot
                    for step in range(1, grams):
                        at_slot = at_slot - 1 if at_slot else grams - 1
                        if values[at_slot] < least:
                            back, least = step, values[at_slot]
                    anchor = unit - gram + 1 - back
                elif hashed < least:
                    anchor, least, changed = unit - gram + 1, hashed, True
                if changed:
                    anchors[seen] = mix(least ^ _ANCHOR) ^ scopes[text]
                    seen += 1
                first_slot = slot + 1 if slot + 1 < size else 0
                if wanted and flags[seen - 1]:
                    room.keys[found] = mix(size_sum + own[first_slot] * size_power) ^ scopes[text]
                    room.texts[found], room.starts[found], room.ends[found] = text, begins[first_slot], at
                    room.characters[found], room.units[found] = behind[first_slot], units + first
                    found += 1
                windows += 1
                if windows == most:
                    if size == 1:
                        return seen, found, windows, text, at, characters, units + unit + 1
                    after = first_slot + 1 if first_slot + 1 < size else 0
                    return seen, found, windows, text, begins[after], behind[after], units + first + 1
            if unit >= gram - 1:
                value_slot = value_slot + 1 if value_slot + 1 < grams else 0
            unit += 1
            slot = slot + 1 if slot + 1 < size else 0
            gram_slot = gram_slot + 1 if gram_slot + 1 < size else 0
        if began and not wanted:
            sizes[text] = seen - seen_before, windows - windows_before
        text += 1
        units = characters = 0
        at = offsets[text]
    return seen, found, windows, text, at, 0, 0
