"""What the array code finds once and all signals share: facts of every word, and every line with its hash.

Hashing and classifying characters is most of the work, so no signal does it again for itself.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from corpus.filtering.signals_hashing import Hashes, hash_line, hash_span
from corpus.text.characters import NORMAL, SPACE, Codes, Positions, Table
from corpus.text.words import Words

_NEWLINE = 10


class WordFacts(NamedTuple):
    """Of each word its hash (uint64) and what its characters are (uint16, one or more of them; NORMAL: all)."""

    hashes: Hashes
    kinds: Table


class Lines(NamedTuple):
    """The lines between `\\n` of some texts, blank ones included.

    `starts`, `ends` [lines]: where in the codes each lies; `solid_starts`, `solid_ends`: the same without the
    space at both ends, equal for a blank line; `hashes` [lines]: of the whole line. Text k has the lines from
    firsts[k] to firsts[k + 1].
    """

    starts: Positions
    ends: Positions
    solid_starts: Positions
    solid_ends: Positions
    hashes: Hashes
    firsts: Positions


def word_facts(words: Words, table: Table) -> WordFacts:
    """The facts of all words, shape [words]."""
    facts = WordFacts(np.empty(words.starts.size, np.uint64), np.empty(words.starts.size, np.uint16))
    _word_facts(words.codes, words.starts, words.ends, table, facts.hashes, facts.kinds)
    return facts


def find_lines(codes: Codes, offsets: Positions, table: Table) -> Lines:
    """The lines of the texts codes[offsets[k]:offsets[k + 1]]."""
    count = int(np.count_nonzero(codes == _NEWLINE)) + offsets.size - 1
    starts, ends, solid_starts, solid_ends = np.empty((4, count), np.int64)
    hashes, firsts = np.empty(count, np.uint64), np.empty(offsets.size, np.int64)
    lines = Lines(starts, ends, solid_starts, solid_ends, hashes, firsts)
    _find_lines(codes, offsets, table, lines)
    return lines


@numba.njit(cache=True)
def _word_facts(
    codes: Codes, starts: Positions, ends: Positions, table: Table, hashes: Hashes, kinds: Table
) -> None:
    for k in range(starts.size):
        some, every = np.uint16(0), np.uint16(NORMAL)
        for at in range(starts[k], ends[k]):
            kind = table[codes[at]]
            some |= kind
            every &= kind
        hashes[k] = hash_span(codes, starts[k], ends[k])
        kinds[k] = (some & ~np.uint16(NORMAL)) | every


@numba.njit(cache=True)
def _find_lines(codes: Codes, offsets: Positions, table: Table, lines: Lines) -> None:
    count = 0
    for text in range(offsets.size - 1):
        lines.firsts[text] = count
        at, last = offsets[text], offsets[text + 1]
        while at <= last:
            stop = at
            while stop < last and codes[stop] != _NEWLINE:
                stop += 1
            first, end = at, stop
            while first < end and table[codes[first]] & SPACE:
                first += 1
            while end > first and table[codes[end - 1]] & SPACE:
                end -= 1
            lines.starts[count], lines.ends[count] = at, stop
            lines.solid_starts[count], lines.solid_ends[count] = first, end
            lines.hashes[count] = hash_line(codes, at, stop)
            count += 1
            at = stop + 1
    lines.firsts[offsets.size - 1] = count
