"""Where in texts an identifier could stand: one pass of array code, so that the rest costs nearly nothing.

Full-width forms (digits, letters, `＠．＋－／（）`) and the dashes and spaces of typography count as their ASCII
counterparts, which have the same length: `fold` changes no offset.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import numba
import numpy as np
import numpy.typing as npt

from corpus.text.words import code_points, text_offsets

AT, NUMBER, IPV4, IPV6 = 1, 2, 3, 4
FEWEST_DIGITS = 7  # of a phone number
_LONGEST_GAP = 3  # separators between two digits of a number, as in `(0) - 12`
_DIGIT, _DOT, _SEPARATOR, _AT, _COLON, _HEXADECIMAL, _LETTER, _OTHER_LOCAL = 1, 2, 3, 4, 5, 6, 7, 8
_TWO, _THREE = 0x32, 0x33
_DASHES, _SPACES = "‐‑‒–—−﹣", "\u00a0\u2002\u2003\u2007\u2009\u202f\u3000"
_FULL_WIDTH = "０１２３４５６７８９＠．＋（）／＿％－" + "".join(
    chr(code) for code in (*range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))
)
ACCENTED = "".join(chr(code) for code in range(0xC0, 0x250) if code not in (0xD7, 0xF7))  # of Latin scripts
_FOLDED = {ord(character): ord(character) - 0xFEE0 for character in _FULL_WIDTH}
_FOLDED |= dict.fromkeys(map(ord, _DASHES), ord("-")) | dict.fromkeys(map(ord, _SPACES), ord(" "))
_FOLDABLE = re.compile(f"[{''.join(map(chr, _FOLDED))}]")


def fold(text: str) -> str:
    """The text with full-width characters, dashes and spaces as ASCII has them; its length stays."""
    return text.translate(_FOLDED) if _FOLDABLE.search(text) else text


def find_candidates(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """Places worth a look, in order: rows of (text, what, first, end, digits), in characters of the text.

    AT: an at sign between characters that an address may have there. NUMBER: a run of at least FEWEST_DIGITS
    digits with few separators between them. IPV4: such a run with three full stops. IPV6: the beginning of a
    global unicast address (2000::/3), a group of four digits and a colon.
    """
    codes, offsets = code_points(texts), text_offsets(texts)
    rows = np.empty((1024 + codes.size // 64, 5), dtype=np.int64)
    while (found := _scan(codes, offsets, _classes(), rows)) > len(rows):
        rows = np.empty((found, 5), dtype=np.int64)
    return rows[:found]


@cache
def _classes() -> npt.NDArray[np.uint8]:
    """What every character of the first plane is to `_scan`."""
    classes = np.zeros(0x10000, dtype=np.uint8)
    groups = {
        "0123456789": _DIGIT,
        ".": _DOT,
        " -()/": _SEPARATOR,
        "@": _AT,
        ":": _COLON,
        "abcdefABCDEF": _HEXADECIMAL,
        "ghijklmnopqrstuvwxyzGHIJKLMNOPQRSTUVWXYZ" + ACCENTED: _LETTER,
        "_%+'": _OTHER_LOCAL,
    }
    for characters, kind in groups.items():
        classes[[ord(character) for character in characters]] = kind
    for code, ascii_code in _FOLDED.items():
        classes[code] = classes[ascii_code]
    return classes


@numba.njit(cache=True)
def _scan(
    codes: npt.NDArray[np.uint32],
    offsets: npt.NDArray[np.int64],
    classes: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.int64],
) -> int:
    """Write the candidates to `rows` as far as there is room; returns how many there are."""
    found = 0
    for text in range(offsets.size - 1):
        first, end = offsets[text], offsets[text + 1]
        at = first
        while at < end:
            code = codes[at]
            kind = classes[code] if code < 0x10000 else 0
            after = at + 1
            if kind == _DIGIT:
                if _begins_ipv6(codes, classes, at, first, end):
                    found = _add(rows, found, text, IPV6, at - first, at - first + 5, 4)
                after, digits, dots = _number(codes, classes, at, end)
                if dots >= 3:
                    found = _add(rows, found, text, IPV4, at - first, after - first, digits)
                if digits >= FEWEST_DIGITS:
                    found = _add(rows, found, text, NUMBER, at - first, after - first, digits)
            elif kind == _AT and _is_between(codes, classes, at, first, end):
                found = _add(rows, found, text, AT, at - first, after - first, 0)
            at = after
    return found


@numba.njit(cache=True)
def _add(rows: npt.NDArray[np.int64], found: int, text: int, what: int, first: int, end: int, digits: int) -> int:
    if found < len(rows):
        row = rows[found]
        row[0], row[1], row[2], row[3], row[4] = text, what, first, end, digits
    return found + 1


@numba.njit(cache=True)
def _kind(codes: npt.NDArray[np.uint32], classes: npt.NDArray[np.uint8], at: int) -> int:
    return classes[codes[at]] if codes[at] < 0x10000 else 0


@numba.njit(cache=True)
def _number(
    codes: npt.NDArray[np.uint32], classes: npt.NDArray[np.uint8], at: int, end: int
) -> tuple[int, int, int]:
    """Of the run of digits that begins at `at`: its end, its digits, the full stops alone between two digits."""
    digits, dots, gap, stop, dot = 1, 0, 0, at + 1, False
    at += 1
    while at < end:
        kind = _kind(codes, classes, at)
        if kind == _DIGIT:
            digits += 1
            dots += gap == 1 and dot
            gap, stop = 0, at + 1
        elif kind in (_SEPARATOR, _DOT) and gap < _LONGEST_GAP:
            gap, dot = gap + 1, kind == _DOT
        else:
            break
        at += 1
    return stop, digits, dots


@numba.njit(cache=True)
def _is_between(
    codes: npt.NDArray[np.uint32], classes: npt.NDArray[np.uint8], at: int, first: int, end: int
) -> bool:
    """Whether an at sign has something before it that a local part ends in, and a letter or digit behind it."""
    if at == first or at + 3 >= end:
        return False
    before, behind = _kind(codes, classes, at - 1), _kind(codes, classes, at + 1)
    name = before in (_DIGIT, _HEXADECIMAL, _LETTER, _OTHER_LOCAL)
    return name and (behind in (_DIGIT, _HEXADECIMAL, _LETTER) or codes[at + 1] >= 0x80)


@numba.njit(cache=True)
def _begins_ipv6(
    codes: npt.NDArray[np.uint32], classes: npt.NDArray[np.uint8], at: int, first: int, end: int
) -> bool:
    if codes[at] != _TWO and codes[at] != _THREE:
        return False
    if at + 6 >= end or _kind(codes, classes, at + 4) != _COLON:
        return False
    for k in range(1, 4):
        kind = _kind(codes, classes, at + k)
        if kind != _DIGIT and kind != _HEXADECIMAL:
            return False
    before = _kind(codes, classes, at - 1) if at > first else 0
    return before not in (_DIGIT, _HEXADECIMAL, _LETTER, _COLON, _DOT)
