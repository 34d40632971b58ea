"""The array code of the signals of Gopher, C4 and FineWeb but for n-grams: one pass over every text.

Every function writes its signals into consecutive places of `out`, in the order of
`corpus.filtering.signals.COUNTED`.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from corpus.filtering.signals_hashing import (
    Hashes,
    Slots,
    hash_span,
    most_lines,
    new_slots,
    seen,
    share,
    slot_mask,
)
from corpus.text.characters import ALPHABETIC, CONTENT, COUNTS, LINE_BREAK, LOWER, QUOTE, SPACE, TERMINAL
from corpus.text.segmentation import Codes, Positions, Table

Row = npt.NDArray[np.float64]

SHORT_LINE = 30
_NEWLINE, _FULL_STOP, _HASH, _ELLIPSIS, _HYPHEN, _BULLET, _CURLY = 10, 0x2E, 0x23, 0x2026, 0x2D, 0x2022, 0x7B
_FIRST_FULL_WIDTH = 0x3000
_FIRST_HAN, _LAST_HAN = 0x4E00, 0x9FA5  # 一 to 龥
_ONE = np.uint64(1)


@numba.njit(cache=True)
def all_signals(
    codes: Codes,
    offsets: Positions,
    starts: Positions,
    ends: Positions,
    firsts: Positions,
    table: Table,
    stop_hashes: Hashes,
    stop_bits: Hashes,
    out: npt.NDArray[np.float64],
) -> None:
    """Fill `out` [texts, signals] from texts and words as `corpus.text.words.Words` has them.

    `stop_hashes` [words] and `stop_bits` [words]: the hash of every stop word and its bit: those below bit 32
    are English, the others Chinese.
    """
    used = new_slots(most_lines(codes, offsets))
    stamp = np.uint64(0)
    for text in range(offsets.size - 1):
        first, last = offsets[text], offsets[text + 1]
        words = firsts[text + 1] - firsts[text]
        own = codes[first:last]
        own_starts = starts[firsts[text] : firsts[text + 1]] - first
        own_ends = ends[firsts[text] : firsts[text + 1]] - first
        row = out[text]
        _words(own, words, table, own_starts, own_ends, stop_hashes, stop_bits, row[0:8])
        newlines = _characters(own, words, table, row[8:14])
        _split_lines(own, table, row[14:17])
        _lines(own, table, newlines, used, stamp + np.uint64(1), row[17:20])
        _parts(own, table, 1, newlines, used, stamp + np.uint64(2), row[20:22])
        _parts(own, table, 2, newlines, used, stamp + np.uint64(3), row[22:24])
        stamp += np.uint64(3)


@numba.njit(cache=True)
def _counts(codes: Codes, first: int, last: int, table: Table) -> bool:
    """Whether a word is not punctuation alone."""
    for at in range(first, last):  # noqa: SIM110 - compiled
        if table[codes[at]] & COUNTS:
            return True
    return False


@numba.njit(cache=True)
def _words(
    codes: Codes,
    words: int,
    table: Table,
    starts: Positions,
    ends: Positions,
    stop_hashes: Hashes,
    stop_bits: Hashes,
    out: Row,
) -> None:
    plain, characters, longest, alphabetic = 0, 0, 0, 0
    found = np.uint64(0)
    for k in range(words):
        if _counts(codes, starts[k], ends[k], table):
            plain += 1
            characters += ends[k] - starts[k]
            longest = max(longest, ends[k] - starts[k])
        for at in range(starts[k], ends[k]):
            if table[codes[at]] & ALPHABETIC:
                alphabetic += 1
                break
        if ends[k] - starts[k] <= 4:
            key = hash_span(codes, starts[k], ends[k])
            place = np.searchsorted(stop_hashes, key)
            if place < stop_hashes.size and stop_hashes[place] == key:
                found |= _ONE << stop_bits[place]
    english, chinese = 0, 0
    for bit in range(64):
        if found >> np.uint64(bit) & _ONE:
            if bit < 32:
                english += 1
            else:
                chinese += 1
    out[0] = codes.size
    out[1] = plain
    out[2] = words
    out[3] = share(characters, plain)
    out[4] = longest
    out[5] = share(alphabetic, words)
    out[6] = english
    out[7] = chinese


@numba.njit(cache=True)
def _characters(codes: Codes, words: int, table: Table, out: Row) -> int:
    """Counts over single characters; returns the number of `\\n`."""
    hashes, ellipses, newlines, curly, han, dots = 0, 0, 0, 0, 0, 0
    for at in range(codes.size):
        code = codes[at]
        dots = dots + 1 if code == _FULL_STOP else 0
        if dots == 3:
            ellipses += 1
            dots = 0
        hashes += code == _HASH
        ellipses += code == _ELLIPSIS
        newlines += code == _NEWLINE
        curly += code == _CURLY
        han += _FIRST_HAN <= code <= _LAST_HAN
    out[0] = share(hashes, words)
    out[1] = share(ellipses, words)
    out[2] = share(newlines, words)
    out[3] = curly
    out[4] = share(han, codes.size)
    out[5] = _sentences(codes, table)
    return newlines


@numba.njit(cache=True)
def _sentences(codes: Codes, table: Table) -> int:
    """Sentences end at terminal punctuation (before a space, unless it is full-width) and at line ends."""
    count, at = 0, 0
    open_sentence = False
    while at < codes.size:
        kind = table[codes[at]]
        if kind & LINE_BREAK:
            count += open_sentence
            open_sentence = False
        elif kind & TERMINAL and open_sentence:
            wide = codes[at] >= _FIRST_FULL_WIDTH
            at += 1
            while at < codes.size and table[codes[at]] & (TERMINAL | QUOTE):
                at += 1
            # A word after the full stop that begins in lower case speaks for an abbreviation.
            after = at
            while after < codes.size and table[codes[after]] & SPACE and not table[codes[after]] & LINE_BREAK:
                after += 1
            spaced = after > at and not (after < codes.size and table[codes[after]] & LOWER)
            if wide or after == codes.size or spaced:
                count += 1
                open_sentence = False
            continue
        elif kind & CONTENT:
            open_sentence = True
        at += 1
    return count + open_sentence


@numba.njit(cache=True)
def _split_lines(codes: Codes, table: Table, out: Row) -> None:
    """Over the lines of `str.splitlines`, blank ones included."""
    lines, bullets, ellipses, at = 0, 0, 0, 0
    while at < codes.size:
        stop = at
        while stop < codes.size and not table[codes[stop]] & LINE_BREAK:
            stop += 1
        first, last = at, stop
        while first < last and table[codes[first]] & SPACE:
            first += 1
        while last > first and table[codes[last - 1]] & SPACE:
            last -= 1
        lines += 1
        if first < last:
            bullets += codes[first] == _HYPHEN or codes[first] == _BULLET
            end = codes[last - 1]
            dots = end == _FULL_STOP and last - first >= 3
            dots = dots and codes[last - 2] == _FULL_STOP and codes[last - 3] == _FULL_STOP
            ellipses += end == _ELLIPSIS or dots
        at = stop + 1
        if at < codes.size and codes[stop] == 13 and codes[at] == _NEWLINE:
            at += 1
    out[0] = lines
    out[1] = share(bullets, lines)
    out[2] = share(ellipses, lines)


@numba.njit(cache=True)
def _lines(codes: Codes, table: Table, newlines: int, used: Slots, stamp: Any, out: Row) -> None:
    """Over the lines between `\\n` that are not blank, each with its space at both ends."""
    lines, terminal, short, repeated, at = 0, 0, 0, 0, 0
    mask = slot_mask(newlines + 1, used)
    while at <= codes.size:
        stop = at
        while stop < codes.size and codes[stop] != _NEWLINE:
            stop += 1
        solid = at
        while solid < stop and table[codes[solid]] & SPACE:
            solid += 1
        if solid < stop:
            lines += 1
            terminal += (table[codes[stop - 1]] & TERMINAL) != 0
            short += stop - at <= SHORT_LINE
            if seen(used, stamp, mask, hash_span(codes, at, stop)):
                repeated += stop - at
        at = stop + 1
    out[0] = share(terminal, lines)
    out[1] = share(short, lines)
    out[2] = share(repeated, codes.size - newlines)


@numba.njit(cache=True)
def _parts(codes: Codes, table: Table, least: int, newlines: int, used: Slots, stamp: Any, out: Row) -> None:
    """Repeated parts between runs of `least` or more `\\n`: lines for 1, paragraphs (stripped text) for 2."""
    first, last = 0, codes.size
    if least > 1:
        while first < last and table[codes[first]] & SPACE:
            first += 1
        while last > first and table[codes[last - 1]] & SPACE:
            last -= 1
    parts, repeated, characters = 0, 0, 0
    mask = slot_mask(newlines + 1, used)
    at = first
    while at <= last:
        stop = at
        run = 0
        while stop < last:
            run = 0
            while stop + run < last and codes[stop + run] == _NEWLINE:
                run += 1
            if run >= least:
                break
            stop += max(run, 1)
            run = 0
        parts += 1
        if seen(used, stamp, mask, hash_span(codes, at, stop)):
            repeated += 1
            characters += stop - at
        if stop >= last:
            break
        at = stop + run
    out[0] = share(repeated, parts)
    out[1] = share(characters, codes.size)
