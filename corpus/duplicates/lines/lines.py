"""The lines of texts, what of them is compared, and texts without some of them.

CCNet (Wenzek et al. 2020, section 3.1) compares paragraphs, which are the lines of a page, in lower case, with
every digit as 0 and without punctuation. Its paper leaves accents and all Unicode punctuation out; its code keeps
accents and ASCII punctuation. Here accents stay (they tell words apart), and all punctuation goes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from corpus.duplicates.normalised import Bytes, Offsets, Utf8, decode
from corpus.duplicates.utf8 import count_characters
from corpus.text.characters import CONTENT, DIGIT, PUNCTUATION, SPACE, character_table, lower_table

Table = npt.NDArray[np.uint32]
Hashes = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]

_BLANK, _NOTHING = 32, 0
_CODE, _LETTER = 0x1FFFFF, 1 << 31
_BASIS = np.uint64(0xCBF29CE484222325)
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_NEWLINE = 10
_JOINERS = (0xAD, 0x200C, 0x200D)  # the soft hyphen, and what joins letters or keeps them apart


class Lines(NamedTuple):
    """The lines of texts that are not blank.

    `starts` and `ends` [lines]: where in the bytes each lies, its line end left out; text k has those from
    firsts[k] to firsts[k + 1]. `offsets` [lines]: the characters before each in its text. `keys` [lines]: equal
    where what is compared of two lines is. `compared` [lines]: whether a line has a letter or digit; no other is
    a duplicate.
    """

    starts: Offsets
    ends: Offsets
    firsts: Offsets
    offsets: Offsets
    keys: Hashes
    compared: Flags


class Cut(NamedTuple):
    """Utf8 without some of their lines.

    `texts`: what is left. `starts` and `ends` [cut lines]: the span of bytes that went with each line, which has a
    line end and the blank lines beside it; `offsets` and `lengths`: the same in characters of its text.
    """

    texts: Utf8
    starts: Offsets
    ends: Offsets
    offsets: Offsets
    lengths: Offsets


def find_lines(texts: Utf8) -> Lines:
    """The lines of each text with their keys.

    A line ends in a line feed alone. Its key is a 64-bit hash of its letters, marks and symbols in lower case,
    digits as 0, punctuation, control characters and joiners left out, with white space between them (and other
    format characters) as one space.
    """
    most = int(np.count_nonzero(texts.data == _NEWLINE)) + len(texts.offsets)
    starts, ends, offsets = (np.empty(most, dtype=np.int64) for _ in range(3))
    firsts = np.zeros(len(texts.offsets), dtype=np.int64)
    keys, compared = np.empty(most, dtype=np.uint64), np.empty(most, dtype=np.bool_)
    table = _compared_characters()
    count = _find(texts.data, texts.offsets, table, starts, ends, firsts, offsets, keys, compared)
    return Lines(starts[:count], ends[:count], firsts, offsets[:count], keys[:count], compared[:count])


def cut_lines(texts: Utf8, lines: Lines, gone: Flags) -> Cut:
    """Take lines out of texts; `gone` [lines] says which. What is left of a text of which no line stays is empty.

    With a line goes what stands between it and the next one, or the one before where no later one stays: so
    paragraphs keep their distance, and a text begins and ends as it did.
    """
    taken = int(np.count_nonzero(gone))
    spans = [np.empty(taken, dtype=np.int64) for _ in range(4)]
    data, offsets = np.empty(len(texts.data), dtype=np.uint8), np.zeros(len(texts.offsets), dtype=np.int64)
    _cut(*texts, lines.starts, lines.ends, lines.firsts, gone, data, offsets, *spans)
    return Cut(Utf8(data[: offsets[-1]], offsets), *spans)


@lru_cache(maxsize=1)
def _compared_characters() -> Table:
    """What each code point is compared as: nothing, a space or a code point, with a bit for letters and digits."""
    bits, table = character_table(), lower_table().copy()
    table[(bits & CONTENT) != 0] |= np.uint32(_LETTER)
    table[(bits & DIGIT) != 0] = ord("0") | _LETTER
    table[(bits & PUNCTUATION) != 0] = _NOTHING
    table[: ord(" ")] = table[0x7F:0xA0] = table[list(_JOINERS)] = _NOTHING
    table[(bits & SPACE) != 0] = _BLANK
    return table


@njit(cache=True)
def _find(
    data: Bytes,
    places: Offsets,
    table: Table,
    starts: Offsets,
    ends: Offsets,
    firsts: Offsets,
    offsets: Offsets,
    keys: Hashes,
    compared: Flags,
) -> int:
    """Fill the lines' arrays and return their number."""
    count = 0
    for text in range(len(places) - 1):
        at, stop = places[text], places[text + 1]
        characters = 0
        while at < stop:
            start, before = at, characters
            key, blank, gap, letters = _BASIS, True, False, np.uint32(0)
            while at < stop and data[at] != _NEWLINE:
                if data[at] < 0x80:  # most are: a step of its own is twice as fast
                    seen = table[data[at]]
                    at += 1
                else:
                    code, at = decode(data, at)
                    seen = table[code]
                characters += 1
                if seen == _BLANK:
                    gap = True
                    continue
                blank = False
                if seen == _NOTHING:
                    continue
                if gap:
                    key = _mixed(key, np.uint64(_BLANK)) if key != _BASIS else key
                    gap = False
                letters |= seen
                key = _mixed(key, np.uint64(seen & np.uint32(_CODE)))
            if not blank:
                starts[count], ends[count], offsets[count] = start, at, before
                keys[count], compared[count] = key, (letters & np.uint32(_LETTER)) != 0
                count += 1
            at += 1
            characters += 1
        firsts[text + 1] = count
    return count


@njit(cache=True, inline="always")
def _mixed(key: np.uint64, value: np.uint64) -> np.uint64:
    key = (key ^ value) * _FACTOR
    return key ^ (key >> np.uint64(32))


@njit(cache=True)
def _cut(
    data: Bytes,
    places: Offsets,
    starts: Offsets,
    ends: Offsets,
    firsts: Offsets,
    gone: Flags,
    left: Bytes,
    left_offsets: Offsets,
    span_starts: Offsets,
    span_ends: Offsets,
    span_offsets: Offsets,
    span_lengths: Offsets,
) -> None:
    size = span = 0
    for text in range(len(places) - 1):
        first, stop = firsts[text], firsts[text + 1]
        last_kept = stop - 1
        while last_kept >= first and gone[last_kept]:
            last_kept -= 1
        earlier = span
        for line in range(first, stop):
            if gone[line]:
                if line > last_kept:
                    span_starts[span] = ends[line - 1] if line > first else places[text]
                    span_ends[span] = ends[line]
                else:
                    span_starts[span], span_ends[span] = starts[line], starts[line + 1]
                span += 1
        if last_kept < first < stop:
            span_ends[span - 1] = places[text + 1]  # nothing stays: nor does what stands around it
        at, characters = places[text], 0
        for piece in range(earlier, span):
            size, characters = _keep(data, at, span_starts[piece], left, size, characters)
            at = span_ends[piece]
            span_offsets[piece] = characters
            span_lengths[piece] = count_characters(data, span_starts[piece], at)
            characters += span_lengths[piece]
        size, _ = _keep(data, at, places[text + 1], left, size, characters)
        left_offsets[text + 1] = size


@njit(cache=True)
def _keep(data: Bytes, start: int, stop: int, left: Bytes, size: int, characters: int) -> tuple[int, int]:
    """Copy bytes to what is left; its size and the number of characters up to there, both behind them."""
    left[size : size + stop - start] = data[start:stop]
    return size + stop - start, characters + count_characters(data, start, stop)
