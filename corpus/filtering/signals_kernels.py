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
    bits_of,
    hash_line,
    mix,
    most_lines,
    new_slots,
    seen,
    share,
    slot_mask,
)
from corpus.filtering.signals_spans import Lines, WordFacts
from corpus.text.characters import (
    ALPHABETIC,
    CONTENT,
    COUNTS,
    LINE_BREAK,
    LOWER,
    QUOTE,
    SPACE,
    TERMINAL,
    Codes,
    Positions,
    Table,
)
from corpus.text.words import Words

Row = npt.NDArray[np.float64]

SHORT_LINE = 30
_LONGEST_STOP_WORD = 4  # characters
_NEWLINE, _FULL_STOP, _HASH, _ELLIPSIS, _HYPHEN, _BULLET, _CURLY = 10, 0x2E, 0x23, 0x2026, 0x2D, 0x2022, 0x7B
_FIRST_FULL_WIDTH = 0x3000
_FIRST_HAN, _LAST_HAN = 0x4E00, 0x9FA5  # 一 to 龥
_ONE = np.uint64(1)


@numba.njit(cache=True)
def all_signals(
    words: Words,
    facts: WordFacts,
    lines: Lines,
    table: Table,
    stop_hashes: Hashes,
    stop_bits: Hashes,
    out: npt.NDArray[np.float64],
) -> None:
    """Fill `out` [texts, signals] from texts, their words and lines.

    `stop_hashes`, `stop_bits`: a table of the stop words (`table_of`), each with a bit of its own: those below
    bit 32 are English, the others Chinese.
    """
    used = new_slots(most_lines(lines.firsts))
    stamp = np.uint64(0)
    for text in range(words.offsets.size - 1):
        own = words.codes[words.offsets[text] : words.offsets[text + 1]]
        first, last = words.firsts[text], words.firsts[text + 1]
        row = out[text]
        row[0] = own.size
        lengths = words.ends[first:last] - words.starts[first:last]
        _words(lengths, facts.hashes[first:last], facts.kinds[first:last], stop_hashes, stop_bits, row[1:8])
        newlines = lines.firsts[text + 1] - lines.firsts[text] - 1
        _characters(own, last - first, newlines, table, row[8:14])
        _split_lines(own, table, row[14:17])
        _lines(words.codes, lines, text, own.size, table, used, stamp + np.uint64(1), row[17:20])
        _line_parts(lines, text, own.size, used, stamp + np.uint64(2), row[20:22])
        _paragraphs(words.codes, lines, text, own.size, used, stamp + np.uint64(3), row[22:24])
        stamp += np.uint64(3)


@numba.njit(cache=True)
def _words(
    lengths: Positions, hashes: Hashes, kinds: Table, stop_hashes: Hashes, stop_bits: Hashes, out: Row
) -> None:
    plain, characters, longest, alphabetic = 0, 0, 0, 0
    found = np.uint64(0)
    for k in range(lengths.size):
        if kinds[k] & COUNTS:
            plain += 1
            characters += lengths[k]
            longest = max(longest, lengths[k])
        alphabetic += (kinds[k] & ALPHABETIC) != 0
        if lengths[k] <= _LONGEST_STOP_WORD:
            found |= bits_of(stop_hashes, stop_bits, hashes[k])
    english, chinese = 0, 0
    for bit in range(64):
        if found >> np.uint64(bit) & _ONE:
            if bit < 32:
                english += 1
            else:
                chinese += 1
    out[0] = plain
    out[1] = lengths.size
    out[2] = share(characters, plain)
    out[3] = longest
    out[4] = share(alphabetic, lengths.size)
    out[5] = english
    out[6] = chinese


@numba.njit(cache=True)
def _characters(codes: Codes, words: int, newlines: int, table: Table, out: Row) -> None:
    """Counts over single characters."""
    hashes, ellipses, curly, han = 0, 0, 0, 0
    for at in range(codes.size):  # no branch and no memory of what came before: many characters at a time
        code = codes[at]
        hashes += code == _HASH
        ellipses += code == _ELLIPSIS
        curly += code == _CURLY
        han += (code >= _FIRST_HAN) & (code <= _LAST_HAN)
    out[0] = share(hashes, words)
    out[1] = share(ellipses + _three_dots(codes), words)
    out[2] = share(newlines, words)
    out[3] = curly
    out[4] = share(han, codes.size)
    out[5] = _sentences(codes, table)


@numba.njit(cache=True)
def _three_dots(codes: Codes) -> int:
    """How often `...` stands there."""
    found, at = 0, 2
    while at < codes.size:
        if codes[at] != _FULL_STOP:
            at += 3
        elif codes[at - 1] != _FULL_STOP:
            at += 2
        elif codes[at - 2] != _FULL_STOP:
            at += 1
        else:
            found += 1
            at += 3
    return found


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
def _lines(
    codes: Codes, lines: Lines, text: int, size: int, table: Table, used: Slots, stamp: Any, out: Row
) -> None:
    """Over the lines between `\\n` that are not blank, each with its space at both ends."""
    first, last = lines.firsts[text], lines.firsts[text + 1]
    solid, terminal, short, repeated = 0, 0, 0, 0
    mask = slot_mask(last - first, used)
    for k in range(first, last):
        if lines.solid_starts[k] == lines.solid_ends[k]:
            continue
        length = lines.ends[k] - lines.starts[k]
        solid += 1
        terminal += (table[codes[lines.ends[k] - 1]] & TERMINAL) != 0
        short += length <= SHORT_LINE
        if seen(used, stamp, mask, lines.hashes[k]):
            repeated += length
    out[0] = share(terminal, solid)
    out[1] = share(short, solid)
    out[2] = share(repeated, size - (last - first - 1))


@numba.njit(cache=True)
def _line_parts(lines: Lines, text: int, size: int, used: Slots, stamp: Any, out: Row) -> None:
    """Repeated parts between runs of `\\n`: the lines that have a character, and what is empty at both ends."""
    first, last = lines.firsts[text], lines.firsts[text + 1]
    parts, repeated, characters = 0, 0, 0
    mask = slot_mask(last - first, used)
    for k in range(first, last):
        length = lines.ends[k] - lines.starts[k]
        if length == 0 and k not in (first, last - 1):
            continue
        parts += 1
        if seen(used, stamp, mask, lines.hashes[k]):
            repeated += 1
            characters += length
    out[0] = share(repeated, parts)
    out[1] = share(characters, size)


@numba.njit(cache=True)
def _paragraphs(codes: Codes, lines: Lines, text: int, size: int, used: Slots, stamp: Any, out: Row) -> None:
    """Repeated parts between two or more `\\n` of the text without the space at its ends."""
    first, last = lines.firsts[text], lines.firsts[text + 1]
    while first < last and lines.solid_starts[first] == lines.solid_ends[first]:
        first += 1
    while last > first and lines.solid_starts[last - 1] == lines.solid_ends[last - 1]:
        last -= 1
    parts, repeated, characters = 0, 0, 0
    mask = slot_mask(last - first, used)
    at = first
    while at < last:
        key, length = np.uint64(0), 0
        while at < last and lines.ends[at] > lines.starts[at]:
            start = lines.solid_starts[at] if at == first else lines.starts[at]
            stop = lines.solid_ends[at] if at == last - 1 else lines.ends[at]
            whole = start == lines.starts[at] and stop == lines.ends[at]
            key = mix(key + (lines.hashes[at] if whole else hash_line(codes, start, stop)))
            length += stop - start + 1
            at += 1
        parts += 1
        if seen(used, stamp, mask, key):
            repeated += 1
            characters += length - 1
        while at < last and lines.ends[at] == lines.starts[at]:
            at += 1
    out[0] = share(repeated, parts)
    out[1] = share(characters, size)
