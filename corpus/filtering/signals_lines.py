"""The array code of the signals of lines of RedPajama-V2, DCLM and the Chinese sets."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from corpus.filtering.signals_hashing import (
    Slots,
    find_slot,
    hash_span,
    most_lines,
    new_slots,
    share,
    slot_mask,
)
from corpus.text.characters import CONTENT, NUMERIC, SPACE, UPPER
from corpus.text.segmentation import Codes, Positions, Table

Row = npt.NDArray[np.float64]

TERMINAL_MARKS = ".!?”"  # RedPajama-V2
BULLETS = "•‣▶◀◦■□▪▫–"  # RedPajama-V2
LIST_MARKERS = "●•*-"  # DCLM
TEASERS = ("展开", "更多", "。。。", "readmore", "read more")  # MAP-NEO
_TERMINAL_CODES = tuple(ord(mark) for mark in TERMINAL_MARKS)
_BULLET_CODES = tuple(ord(mark) for mark in BULLETS)
_MARKER_CODES = tuple(ord(mark) for mark in LIST_MARKERS)
_NEWLINE, _LAST_ASCII = 10, 0x7F


@numba.njit(cache=True)
def line_signals(
    codes: Codes,
    offsets: Positions,
    table: Table,
    lower: Codes,
    teasers: Codes,
    teaser_bounds: Positions,
    out: npt.NDArray[np.float64],
) -> None:
    """Fill `out` [texts, signals], in the order of `corpus.filtering.signals.LINES`.

    `lower` [code points]: the lower case of each. `teasers`: code points of the phrases, the k-th from
    teaser_bounds[k] to teaser_bounds[k + 1].
    """
    used = new_slots(most_lines(codes, offsets))
    for text in range(offsets.size - 1):
        own = codes[offsets[text] : offsets[text + 1]]
        row = out[text]
        lines = _lines(own, table, lower, teasers, teaser_bounds, row[0:8])
        _every_occurrence(own, table, 1, lines, used, np.uint64(2 * text + 1), row[8:10])
        _every_occurrence(own, table, 2, lines, used, np.uint64(2 * text + 2), row[10:12])


@numba.njit(cache=True)
def _lines(codes: Codes, table: Table, lower: Codes, teasers: Codes, teaser_bounds: Positions, out: Row) -> int:
    """Over the lines between `\\n` that are not blank, stripped; returns the number of all lines."""
    every, lines, terminal, bullets, markers, ending, at = 0, 0, 0, 0, 0, 0, 0
    capitals, numbers = 0.0, 0.0
    while at <= codes.size:
        stop = at
        while stop < codes.size and codes[stop] != _NEWLINE:
            stop += 1
        first, last = at, stop
        while first < last and table[codes[first]] & SPACE:
            first += 1
        while last > first and table[codes[last - 1]] & SPACE:
            last -= 1
        every += 1
        at = stop + 1
        if first == last:
            continue
        lines += 1
        terminal += codes[last - 1] in _TERMINAL_CODES
        bullets += codes[first] in _BULLET_CODES
        markers += codes[first] in _MARKER_CODES
        for k in range(teaser_bounds.size - 1):
            if _ends_with(codes, first, last, lower, teasers[teaser_bounds[k] : teaser_bounds[k + 1]]):
                ending += 1
                break
        upper, numeric, plain = 0, 0, 0
        for place in range(first, last):
            kind = table[codes[place]]
            upper += (kind & UPPER) != 0
            numeric += (kind & NUMERIC) != 0
            plain += codes[place] > _LAST_ASCII or (kind & (CONTENT | SPACE)) != 0
        capitals += upper / (last - first)
        numbers += share(numeric, plain)
    out[0] = lines
    out[1] = share(terminal, lines)
    out[2] = share(bullets, lines)
    out[3] = share(markers, lines)
    out[4] = share(ending, lines)
    out[5] = share(capitals, lines)
    out[6] = share(numbers, lines)
    out[7] = codes.size / every
    return every


@numba.njit(cache=True)
def _ends_with(codes: Codes, first: int, last: int, lower: Codes, phrase: Codes) -> bool:
    if last - first < phrase.size:
        return False
    for k in range(phrase.size):  # noqa: SIM110 - compiled
        if lower[codes[last - phrase.size + k]] != phrase[k]:
            return False
    return True


@numba.njit(cache=True)
def _every_occurrence(
    codes: Codes, table: Table, newlines: int, lines: int, used: Slots, stamp: Any, out: Row
) -> None:
    """Parts between so many `\\n` that are not blank: share of those that stand more than once, all counted."""
    keys, stamps, counts, _ = used
    mask = slot_mask(lines, used)
    parts, characters, repeated, repeated_characters, at = 0, 0, 0, 0, 0
    while at <= codes.size:
        stop, blank = at, True
        while stop < codes.size and not _breaks(codes, stop, newlines):
            blank = blank and (table[codes[stop]] & SPACE) != 0
            stop += 1
        if not blank:
            parts += 1
            characters += stop - at
            key = hash_span(codes, at, stop)
            slot = find_slot(used, stamp, mask, key)
            if stamps[slot] != stamp:
                keys[slot], stamps[slot], counts[slot] = key, stamp, 0
            counts[slot] += 1
            times = 2 if counts[slot] == 2 else 1 if counts[slot] > 2 else 0
            repeated += times
            repeated_characters += times * (stop - at)
        at = stop + newlines
    out[0] = share(repeated, parts)
    out[1] = share(repeated_characters, characters)


@numba.njit(cache=True)
def _breaks(codes: Codes, at: int, newlines: int) -> bool:
    if codes[at] != _NEWLINE:
        return False
    return newlines == 1 or (at + 1 < codes.size and codes[at + 1] == _NEWLINE)
