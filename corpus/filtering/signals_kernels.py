"""The array code of the signals: one pass over the words and lines of every text.

Every function writes its signals into consecutive places of `out`, in the order of
`corpus.filtering.signals.COUNTED`.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from corpus.text.characters import ALPHABETIC, CONTENT, HAN, LINE_BREAK, LOWER, QUOTE, SPACE, TERMINAL
from corpus.text.segmentation import Codes, Positions, Table

Hashes = npt.NDArray[np.uint64]
Row = npt.NDArray[np.float64]
# A hash table without removal: keys, the stamp of the use that filled each slot, counts, first positions.
Slots = tuple[Hashes, npt.NDArray[np.uint32], Positions, Positions]

SHORT_LINE = 30
_NEWLINE, _FULL_STOP, _HASH, _ELLIPSIS, _HYPHEN, _BULLET, _CURLY = 10, 0x2E, 0x23, 0x2026, 0x2D, 0x2022, 0x7B
_FIRST_FULL_WIDTH = 0x3000
_SEED = np.uint64(0xCBF29CE484222325)
_PRIME = np.uint64(0x100000001B3)
_BASE = np.uint64(0x9E3779B97F4A7C15)
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
    longest = 1
    for text in range(offsets.size - 1):
        longest = max(longest, offsets[text + 1] - offsets[text])
    hashes, lengths = np.empty(longest + 1, dtype=np.uint64), np.empty(longest + 1, dtype=np.int64)
    slots = 16
    while slots < 2 * longest + 2:
        slots *= 2
    keys, stamps = np.empty(slots, dtype=np.uint64), np.zeros(slots, dtype=np.uint32)
    counts, places = np.empty(slots, dtype=np.int64), np.empty(slots, dtype=np.int64)
    used = (keys, stamps, counts, places)
    stamp = np.uint64(0)
    for text in range(offsets.size - 1):
        if stamp > 4_000_000_000:
            stamps[:] = 0
            stamp = np.uint64(0)
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
        hashes[0], lengths[0] = np.uint64(0), 0
        for k in range(words):
            word = hash_span(own, own_starts[k], own_ends[k])
            hashes[k + 1] = hashes[k] * _BASE + word
            lengths[k + 1] = lengths[k] + own_ends[k] - own_starts[k]
        for n in range(2, 5):
            row[22 + n] = _top_gram(hashes, lengths, words, n, own.size, used, stamp + np.uint64(2 + n))
        for n in range(5, 11):
            row[22 + n] = _repeated_grams(hashes, lengths, words, n, own.size, used, stamp + np.uint64(2 + n))
        stamp += np.uint64(13)


@numba.njit(cache=True)
def hash_span(codes: Codes, first: int, last: int) -> Any:
    """A 64-bit hash of codes[first:last]."""
    key = _SEED
    for at in range(first, last):
        key = (key ^ np.uint64(codes[at])) * _PRIME
    return _mix(key)


@numba.njit(cache=True)
def _mix(key: Any) -> Any:
    """Spread a 64-bit number's information over all its bits (the finaliser of MurmurHash3)."""
    key = (key ^ (key >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    key = (key ^ (key >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return key ^ (key >> np.uint64(33))


@numba.njit(cache=True)
def _find(used: Slots, stamp: Any, mask: Any, key: Any) -> Any:
    keys, stamps = used[0], used[1]
    slot = key & mask
    while stamps[slot] == stamp and keys[slot] != key:
        slot = (slot + _ONE) & mask
    return slot


@numba.njit(cache=True)
def _mask(items: int, used: Slots) -> Any:
    """Slots for so many items, as few as serve: a small table stays in the processor's cache."""
    size = 16
    while size < 2 * items:
        size *= 2
    return np.uint64(min(size, used[0].size) - 1)


@numba.njit(cache=True)
def _seen(used: Slots, stamp: Any, mask: Any, key: Any) -> bool:
    """Whether the key was there; it is now."""
    slot = _find(used, stamp, mask, key)
    if used[1][slot] == stamp:
        return True
    used[0][slot], used[1][slot] = key, stamp
    return False


@numba.njit(cache=True)
def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0


@numba.njit(cache=True)
def _has_content(codes: Codes, first: int, last: int, table: Table) -> bool:
    """Whether a word has a letter, mark or digit, and is not punctuation alone."""
    for at in range(first, last):  # noqa: SIM110 - compiled
        if table[codes[at]] & CONTENT:
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
        if _has_content(codes, starts[k], ends[k], table):
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
    out[3] = _share(characters, plain)
    out[4] = longest
    out[5] = _share(alphabetic, words)
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
        han += (table[code] & HAN) != 0
    out[0] = _share(hashes, words)
    out[1] = _share(ellipses, words)
    out[2] = _share(newlines, words)
    out[3] = curly
    out[4] = _share(han, codes.size)
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
    out[1] = _share(bullets, lines)
    out[2] = _share(ellipses, lines)


@numba.njit(cache=True)
def _lines(codes: Codes, table: Table, newlines: int, used: Slots, stamp: Any, out: Row) -> None:
    """Over the lines between `\\n` that are not blank, each with its space at both ends."""
    lines, terminal, short, repeated, at = 0, 0, 0, 0, 0
    mask = _mask(newlines + 1, used)
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
            if _seen(used, stamp, mask, hash_span(codes, at, stop)):
                repeated += stop - at
        at = stop + 1
    out[0] = _share(terminal, lines)
    out[1] = _share(short, lines)
    out[2] = _share(repeated, codes.size - newlines)


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
    mask = _mask(newlines + 1, used)
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
        if _seen(used, stamp, mask, hash_span(codes, at, stop)):
            repeated += 1
            characters += stop - at
        if stop >= last:
            break
        at = stop + run
    out[0] = _share(repeated, parts)
    out[1] = _share(characters, codes.size)


@numba.njit(cache=True)
def _gram(hashes: Hashes, at: int, n: int, power: Any) -> Any:
    return _mix(hashes[at + n] - hashes[at] * power)


@numba.njit(cache=True)
def _power(n: int) -> Any:
    power = _ONE
    for _ in range(n):
        power *= _BASE
    return power


@numba.njit(cache=True)
def _top_gram(
    hashes: Hashes, lengths: Positions, words: int, n: int, characters: int, used: Slots, stamp: Any
) -> float:
    """Share of the characters that the most frequent n-gram (the first of several) takes, spaces included."""
    power, mask = _power(n), _mask(words, used)
    counts, firsts = used[2], used[3]
    best, best_first = 0, 0
    for at in range(words - n + 1):
        key = _gram(hashes, at, n, power)
        slot = _find(used, stamp, mask, key)
        if used[1][slot] != stamp:
            used[0][slot], used[1][slot] = key, stamp
            counts[slot], firsts[slot] = 0, at
        counts[slot] += 1
        if counts[slot] > best or (counts[slot] == best and firsts[slot] < best_first):
            best, best_first = counts[slot], firsts[slot]
    length = lengths[best_first + n] - lengths[best_first] + n - 1 if best else 0
    return _share(best * length, characters)


@numba.njit(cache=True)
def _repeated_grams(
    hashes: Hashes, lengths: Positions, words: int, n: int, characters: int, used: Slots, stamp: Any
) -> float:
    """Share of the characters in n-grams that stood before; after one the scan goes on behind it."""
    power, mask = _power(n), _mask(words, used)
    repeated, at = 0, 0
    while at < words - n + 1:
        if _seen(used, stamp, mask, _gram(hashes, at, n, power)):
            repeated += lengths[at + n] - lengths[at]
            at += n
        else:
            at += 1
    return _share(repeated, characters)
