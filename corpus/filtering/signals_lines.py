"""The array code of the signals of lines of RedPajama-V2, DCLM and the Chinese sets."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from corpus.filtering.signals_hashing import (
    Slots,
    find_slot,
    mix,
    most_lines,
    new_slots,
    share,
    slot_mask,
)
from corpus.filtering.signals_spans import Lines
from corpus.text.characters import CONTENT, NUMERIC, SPACE, UPPER, Codes, Positions, Table

Row = npt.NDArray[np.float64]

TERMINAL_MARKS = ".!?”"  # RedPajama-V2
BULLETS = "•‣▶◀◦■□▪▫–"  # RedPajama-V2
LIST_MARKERS = "●•*-"  # DCLM
TEASERS = ("展开", "更多", "。。。", "readmore", "read more")  # MAP-NEO
_TERMINAL_CODES = tuple(ord(mark) for mark in TERMINAL_MARKS)
_BULLET_CODES = tuple(ord(mark) for mark in BULLETS)
_MARKER_CODES = tuple(ord(mark) for mark in LIST_MARKERS)
_LAST_ASCII = 0x7F


@numba.njit(cache=True)
def line_signals(
    codes: Codes,
    offsets: Positions,
    lines: Lines,
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
    used = new_slots(most_lines(lines.firsts))
    for text in range(offsets.size - 1):
        row = out[text]
        _lines(codes, lines, text, table, lower, teasers, teaser_bounds, row[0:7])
        row[7] = (offsets[text + 1] - offsets[text]) / (lines.firsts[text + 1] - lines.firsts[text])
        _every_line(lines, text, used, np.uint64(2 * text + 1), row[8:10])
        _every_paragraph(lines, text, used, np.uint64(2 * text + 2), row[10:12])


@numba.njit(cache=True)
def _lines(
    codes: Codes,
    lines: Lines,
    text: int,
    table: Table,
    lower: Codes,
    teasers: Codes,
    teaser_bounds: Positions,
    out: Row,
) -> None:
    """Over the lines between `\\n` that are not blank, stripped."""
    solid, terminal, bullets, markers, ending = 0, 0, 0, 0, 0
    capitals, numbers = 0.0, 0.0
    for line in range(lines.firsts[text], lines.firsts[text + 1]):
        first, last = lines.solid_starts[line], lines.solid_ends[line]
        if first == last:
            continue
        solid += 1
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
            plain += (codes[place] > _LAST_ASCII) | ((kind & (CONTENT | SPACE)) != 0)
        capitals += upper / (last - first)
        numbers += share(numeric, plain)
    out[0] = solid
    out[1] = share(terminal, solid)
    out[2] = share(bullets, solid)
    out[3] = share(markers, solid)
    out[4] = share(ending, solid)
    out[5] = share(capitals, solid)
    out[6] = share(numbers, solid)


@numba.njit(cache=True)
def _ends_with(codes: Codes, first: int, last: int, lower: Codes, phrase: Codes) -> bool:
    if last - first < phrase.size:
        return False
    for k in range(phrase.size):  # noqa: SIM110 - compiled
        if lower[codes[last - phrase.size + k]] != phrase[k]:
            return False
    return True


@numba.njit(cache=True)
def _every_line(lines: Lines, text: int, used: Slots, stamp: Any, out: Row) -> None:
    """Lines that are not blank: share of those that stand more than once, all of them counted."""
    first, last = lines.firsts[text], lines.firsts[text + 1]
    mask = slot_mask(last - first, used)
    parts, characters, repeated, repeated_characters = 0, 0, 0, 0
    for k in range(first, last):
        if lines.solid_starts[k] == lines.solid_ends[k]:
            continue
        length = lines.ends[k] - lines.starts[k]
        parts += 1
        characters += length
        times = _newly_repeated(lines.hashes[k], used, stamp, mask)
        repeated += times
        repeated_characters += times * length
    out[0] = share(repeated, parts)
    out[1] = share(repeated_characters, characters)


@numba.njit(cache=True)
def _every_paragraph(lines: Lines, text: int, used: Slots, stamp: Any, out: Row) -> None:
    """The same for what stands between two `\\n`; a third one begins the next paragraph."""
    first, last = lines.firsts[text], lines.firsts[text + 1]
    mask = slot_mask(last - first, used)
    parts, characters, repeated, repeated_characters, at = 0, 0, 0, 0, first
    while at < last:
        key, blank, start, going_on = np.uint64(0), True, lines.starts[at], True
        stop = start
        while going_on:
            key = mix(key + lines.hashes[at])
            blank = blank and lines.solid_starts[at] == lines.solid_ends[at]
            stop = lines.ends[at]
            ended = at + 2 < last and lines.ends[at + 1] == lines.starts[at + 1]
            going_on = not ended and at + 1 < last
            at += 2 if ended else 1
        if blank:
            continue
        parts += 1
        characters += stop - start
        times = _newly_repeated(key, used, stamp, mask)
        repeated += times
        repeated_characters += times * (stop - start)
    out[0] = share(repeated, parts)
    out[1] = share(repeated_characters, characters)


@numba.njit(cache=True)
def _newly_repeated(key: Any, used: Slots, stamp: Any, mask: Any) -> int:
    """How many occurrences of the key are known as repeated by this one: the second tells of the first, too."""
    keys, stamps, counts, _ = used
    slot = find_slot(used, stamp, mask, key)
    if stamps[slot] != stamp:
        keys[slot], stamps[slot], counts[slot] = key, stamp, 0
    counts[slot] += 1
    return 2 if counts[slot] == 2 else 1 if counts[slot] > 2 else 0
