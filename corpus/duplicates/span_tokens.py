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

from corpus.duplicates.normalised import Bytes, decode
from corpus.duplicates.shingles import UNSPACED

Classes = npt.NDArray[np.uint8]

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
def next_unit(
    data: Bytes, at: int, last: int, classes: Classes, by_character: bool
) -> tuple[int, int, int, int, np.uint64, np.uint64]:
    """The next token or character of data[at:last].

    A token is a word (a run of letters, marks, digits and connectors), a character of a script without spaces,
    or a run of one other sign; white space separates. With `by_character` white space is a character, too. What
    combines with the character before it, or is joined to it, belongs to its unit. Returns where it begins and
    ends (the same place where there is none), how many characters stand before it (from `at`) and in it, and
    hashes of the white space before it and of itself.
    """
    gap, before = _FNV_OFFSET, 0
    if not by_character:
        while at < last:
            code, behind = decode(data, at)
            if classes[code] != SPACE:
                break
            gap = (gap ^ np.uint64(code)) * _FNV_PRIME
            before += 1
            at = behind
    if at >= last:
        return at, at, before, 0, gap, _FNV_OFFSET
    start = at
    first, at = decode(data, at)
    kind = WORD if classes[first] == EXTEND else classes[first]
    value, previous, characters = (_FNV_OFFSET ^ np.uint64(first)) * _FNV_PRIME, first, 1
    while at < last:
        code, behind = decode(data, at)
        own = classes[code]
        if own != EXTEND and not (previous == _JOINER and own != SPACE):
            if by_character:
                flags = _FIRST_FLAG <= previous <= _LAST_FLAG and _FIRST_FLAG <= code <= _LAST_FLAG
                if not flags and not (previous == _RETURN and code == _NEWLINE):
                    break
            elif not (kind == WORD and own == WORD) and not (kind == SIGN and previous == first == code):
                break
        value = (value ^ np.uint64(code)) * _FNV_PRIME
        previous = code
        characters += 1
        at = behind
    return start, at, before, characters, gap, value
