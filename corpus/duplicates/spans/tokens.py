"""Texts in UTF-8 as tokens or characters, one after the other: the units in which repeated spans are counted.

Where a unit ends depends on nothing before its beginning, so that the same text has the same units wherever it
stands, but for a word or a run of signs that is cut at its beginning.
"""

from __future__ import annotations

import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt
from numba import njit

from corpus.duplicates.near.shingles import UNSPACED
from corpus.duplicates.normalised import Bytes, decode

Classes = npt.NDArray[np.uint8]
Keys = npt.NDArray[np.uint64]
Positions = npt.NDArray[np.int64]

SPACE, WORD, SINGLE, SIGN, EXTEND = 0, 1, 2, 3, 4
_JOINER, _RETURN, _NEWLINE = 0x200D, 0x0D, 0x0A
_FIRST_FLAG, _LAST_FLAG = 0x1F1E6, 0x1F1FF  # regional indicators: two make a flag
_EXTENDING = (
    (0x00AD, 0x00AD),  # soft hyphen
    (0x1160, 0x11FF),  # vowels and finals of Hangul syllables
    (0x200C, 0x200D),  # joiners
    (0xD7B0, 0xD7FF),
    (0x1F3FB, 0x1F3FF),  # skin tones
    (0xE0020, 0xE007F),  # tags
    (0xE0100, 0xE01EF),  # variation selectors
)
_LAST_ASSIGNED = 0x20000  # beyond it there are ideographs, and what is not assigned
_FNV_OFFSET = np.uint64(0xCBF29CE484222325)
_FNV_PRIME = np.uint64(0x100000001B3)


@cache
def character_classes() -> Classes:
    """Per code point: whether it separates, goes on a word, is a token, is a sign, or extends what it follows."""
    by_category = {"L": WORD, "M": EXTEND, "N": WORD, "Z": SPACE, "P": SIGN, "S": SIGN, "C": SPACE}
    finer = {"Pc": WORD, "Co": SIGN, "Cn": SIGN}
    classes = np.full(0x110000, SIGN, dtype=np.uint8)
    names = [unicodedata.category(chr(code)) for code in range(_LAST_ASSIGNED)]
    classes[:_LAST_ASSIGNED] = [finer.get(name, by_category[name[0]]) for name in names]
    classes[0x20000:0x40000] = SINGLE
    for first, last in UNSPACED:
        block = classes[first : last + 1]
        block[block == WORD] = SINGLE
    for first, last in _EXTENDING:
        classes[first : last + 1] = EXTEND
    classes[_FIRST_FLAG : _LAST_FLAG + 1] = WORD
    return classes


@njit(cache=True)
def cut_units(
    data: Bytes,
    at: int,
    last: int,
    classes: Classes,
    by_character: bool,
    starts: Positions,
    ends: Positions,
    values: Keys,
) -> tuple[int, int]:
    """The next tokens or characters of data[at:last], as many as there are or as the arrays hold.

    A token is a word (a run of letters, marks, digits and connectors), a character of a script without spaces,
    or a run of one other sign; white space separates. With `by_character` white space is a character, too. What
    combines with the character before it, or is joined to it, belongs to its unit. Writes where each begins and
    ends, and a hash of it; returns how many there are, and where to go on: the end of the last, or `last`.
    """
    count, most, inside = 0, len(starts), False
    value, first, previous, kind = _FNV_OFFSET, 0, 0, np.uint8(SPACE)
    while at < last:
        code, behind = decode(data, at)
        own = classes[code]
        if inside:
            if _goes_on(first, kind, previous, code, own, by_character):
                value = (value ^ np.uint64(code)) * _FNV_PRIME
                previous, at = code, behind
                continue
            ends[count - 1], values[count - 1] = at, value
            if count == most:
                return count, at
            inside = False
        if own != SPACE or by_character:
            starts[count] = at
            count += 1
            inside = True
            first = previous = code
            kind = np.uint8(WORD) if own == EXTEND else own
            value = (_FNV_OFFSET ^ np.uint64(code)) * _FNV_PRIME
        at = behind
    if inside:
        ends[count - 1], values[count - 1] = at, value
    return count, at


@njit(cache=True, inline="always")
def _goes_on(first: int, kind: np.uint8, previous: int, code: int, own: int, by_character: bool) -> bool:
    """Whether a character belongs to the unit before it, of a kind, with a `first` and a `previous` character."""
    if own == EXTEND or (previous == _JOINER and own != SPACE):
        return True
    if by_character:
        flags = _FIRST_FLAG <= previous <= _LAST_FLAG and _FIRST_FLAG <= code <= _LAST_FLAG
        return flags or (previous == _RETURN and code == _NEWLINE)
    return (kind == WORD and own == WORD) or (kind == SIGN and previous == first and first == code)
