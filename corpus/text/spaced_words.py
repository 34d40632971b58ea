"""Words of spaced scripts, as array code: text between white space, cut as spaCy's English tokenizer cuts it.

From both ends of such a piece punctuation is taken, mark by mark, until what is left is an exception (`Mr.`,
`don't`) or has no more of it at its ends. What is left is a web address, or is cut inside, mostly between letters
(https://spacy.io/usage/linguistic-features#how-tokenizer-works; classes and rules of spaCy 3.8).

numba's cache does not see changes in another file: after one here, delete the `__pycache__` of this folder.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import numba
import numpy as np
import numpy.typing as npt

from corpus.text.characters import ALPHABETIC, LOWER, UPPER, WORD, Codes, Positions, Table
from corpus.text.english_exceptions import (
    LONGEST_UNIT,
    PLAIN,
    UNIT,
    Exceptions,
    Keys,
    find_exception,
    find_letters,
)

Marks = npt.NDArray[np.uint8]

BOTH = 1  # taken from either end
FRONT = 2  # taken from the front only
QUOTATION = 4
ICON = 8  # a symbol that is no sign: taken from either end, and out of the middle
CURRENCY = 16  # taken from the front, and from behind a digit
EXCEPTIONAL = 32  # without one there is no exception but `cannot`, `gonna`, `gotta`, and marks go one by one
_TAKEN_FROM_FRONT = BOTH | FRONT | ICON | CURRENCY

_BOTH = "…:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪—–"
_QUOTATION_MARKS = ",'\"”“`‘´’‚„»«「」『』（）〔〕【】《》〈〉⟦⟧"
_FRONT = "§%="
_IN_EXCEPTIONS = "'’./\\:;<^+0123456789…"
_CURRENCIES = "$£€¥฿₽﷼"
_CURRENCY_BLOCK = (0x20A0, 0x20BF)
_LAST_SYMBOL = 0x1FB00
_STOP, _HYPHEN, _PLUS, _AT_SIGN, _COLON, _SLASH, _TILDE = 0x2E, 0x2D, 0x2B, 0x40, 0x3A, 0x2F, 0x7E
_COMMA, _ELLIPSIS, _EM_DASH, _EN_DASH, _DEGREE = 0x2C, 0x2026, 0x2014, 0x2013, 0xB0
_UNDERSCORE, _QUESTION, _NUMBER_SIGN = 0x5F, 0x3F, 0x23
_BEFORE_STOP = (0x25, 0xB2, 0x2D, 0x2B, 0x7C)  # % ² - + |
_OPERATORS = (0x2B, 0x2D, 0x2A, 0x5E)  # + - * ^ between digits
_RELATIONS = (0x3A, 0x3C, 0x3E, 0x3D, 0x2F)  # : < > = / before a letter
_IN_SCHEME = (0x2B, 0x2D, 0x2E)  # + - .
_APOSTROPHES = (0x27, 0x2019)
_S = (0x73, 0x53)
_TEMPERATURES = (0x46, 0x66, 0x43, 0x63, 0x4B, 0x6B)
_MOST_HYPHENS, _LONGEST_LABEL, _LONGEST_PORT = 3, 64, 5


@lru_cache(maxsize=1)
def mark_table() -> Marks:
    """What each character is at the end of a word, as bits; shape [0x110000]."""
    table = np.zeros(0x110000, dtype=np.uint8)
    for code in range(0xA0, _LAST_SYMBOL):
        if unicodedata.category(chr(code)) == "So":
            table[code] = ICON
    table[_CURRENCY_BLOCK[0] : _CURRENCY_BLOCK[1] + 1] |= CURRENCY
    classes = ((_BOTH, BOTH), (_QUOTATION_MARKS, BOTH | QUOTATION), (_FRONT, FRONT), (_CURRENCIES, CURRENCY))
    for characters, bits in classes:
        table[[ord(character) for character in characters]] = bits
    table[[ord(character) for character in _IN_EXCEPTIONS]] |= EXCEPTIONAL
    return table


@numba.njit(cache=True)
def _is_digit(code: int) -> bool:
    return 0x30 <= code <= 0x39


@numba.njit(cache=True)
def _is_exceptional(codes: Codes, first: int, last: int, marks: Marks) -> bool:
    for at in range(first, last):  # noqa: SIM110 (numba has no `any` of a generator)
        if marks[codes[at]] & EXCEPTIONAL:
            return True
    return False


@numba.njit(cache=True)
def _front(codes: Codes, first: int, last: int, marks: Marks) -> int:
    """How many characters to take from the front of codes[first:last]."""
    code = codes[first]
    if marks[code] & _TAKEN_FROM_FRONT:
        return 1
    if code == _PLUS:
        return 0 if first + 1 < last and _is_digit(codes[first + 1]) else 1
    if code != _STOP:
        return 0
    stop = first + 1
    while stop < last and codes[stop] == _STOP:
        stop += 1
    return stop - first if stop - first > 1 else 0


@numba.njit(cache=True)
def _back(codes: Codes, first: int, last: int, table: Table, marks: Marks, keys: Keys) -> int:
    """How many characters to take from the end of codes[first:last]."""
    if first >= last:
        return 0
    code = codes[last - 1]
    if marks[code] & (BOTH | ICON):
        return 2 if code == _ELLIPSIS and last - first > 1 and codes[last - 2] == _ELLIPSIS else 1
    if code in _S and last - first > 1 and codes[last - 2] in _APOSTROPHES:
        return 2
    if last - first == 1:
        return 0
    before = codes[last - 2]
    if code == _STOP:
        return _full_stops(codes, first, last, table, marks)
    if _is_digit(before) and (code == _PLUS or marks[code] & CURRENCY):
        return 1
    return _unit(codes, first, last, keys)


@numba.njit(cache=True)
def _full_stops(codes: Codes, first: int, last: int, table: Table, marks: Marks) -> int:
    """How many full stops to take from the end: not the one behind a single capital (`J.`, `U.S.`)."""
    start = last - 1
    while start > first and codes[start - 1] == _STOP:
        start -= 1
    if last - start > 1 or start == first:
        return last - start if last - start > 1 else 0
    before = codes[start - 1]
    kind = table[before]
    dash = before in (_EM_DASH, _EN_DASH)
    if _is_digit(before) or before in _BEFORE_STOP or (marks[before] & BOTH and not dash):
        return 1
    if kind & ALPHABETIC == 0:
        return 0
    if kind & UPPER == 0:
        return 1
    if start - 2 < first:
        return 0
    earlier = codes[start - 2]
    if earlier == _DEGREE and before in _TEMPERATURES:
        return 1
    return 1 if table[earlier] & ALPHABETIC and table[earlier] & LOWER == 0 else 0


@numba.njit(cache=True)
def _unit(codes: Codes, first: int, last: int, keys: Keys) -> int:
    """The length of the unit of measure behind a digit at the end, 0 for none."""
    for length in range(1, min(LONGEST_UNIT, last - first - 1) + 1):
        if _is_digit(codes[last - length - 1]):
            return length if find_exception(codes, last - length, last, UNIT, keys) >= 0 else 0
    return 0


@numba.njit(cache=True)
def _inside(codes: Codes, first: int, at: int, last: int, table: Table, marks: Marks) -> int:
    """How many characters at `at`, inside codes[first:last], are a word that parts two others; 0 for none."""
    code = codes[at]
    if marks[code] & ICON or code == _ELLIPSIS:
        return 1
    if code == _STOP and at + 1 < last and codes[at + 1] == _STOP:
        stop = at + 1
        while stop < last and codes[stop] == _STOP:
            stop += 1
        return stop - at
    if at == first or at + 1 >= last:
        return 0
    before, after = table[codes[at - 1]], table[codes[at + 1]]
    digit = _is_digit(codes[at - 1])
    if digit and code in _OPERATORS and (_is_digit(codes[at + 1]) or codes[at + 1] == _HYPHEN):
        return 1
    letter = before & ALPHABETIC != 0
    if code == _STOP:
        small = (letter and before & UPPER == 0) or marks[codes[at - 1]] & QUOTATION
        large = (after & ALPHABETIC and after & LOWER == 0) or marks[codes[at + 1]] & QUOTATION
        return 1 if small and large else 0
    if code == _COMMA:
        return 1 if letter and after & ALPHABETIC else 0
    if not (letter or digit):
        return 0
    if code in _RELATIONS or code in (_EN_DASH, _TILDE):
        return 1 if after & ALPHABETIC else 0
    return _hyphens(codes, at, last, table)


@numba.njit(cache=True)
def _hyphens(codes: Codes, at: int, last: int, table: Table) -> int:
    """How many hyphens or dashes at `at` stand before a letter: at most three hyphens or two dashes."""
    code = codes[at]
    if code not in (_HYPHEN, _EM_DASH):
        return 0
    stop, most = at, _MOST_HYPHENS if code == _HYPHEN else 2
    while stop < last and codes[stop] == code and stop - at <= most:
        stop += 1
    return stop - at if stop < last and stop - at <= most and table[codes[stop]] & ALPHABETIC else 0


@numba.njit(cache=True)
def _in_host(code: int) -> bool:
    return _is_digit(code) or 0x41 <= code <= 0x5A or 0x61 <= code <= 0x7A or 0xA1 <= code <= 0xFFFF


@numba.njit(cache=True)
def _is_host(codes: Codes, first: int, last: int, table: Table) -> bool:
    """Whether codes[first:last] begins as a host (labels, the last of small letters), then a port, then a path."""
    start, at, labels = first, first, 0
    while True:
        while at < last and (_in_host(codes[at]) or codes[at] in (_UNDERSCORE, _HYPHEN)):
            at += 1
        if at == last or codes[at] != _STOP:
            break
        ends = at > start and _in_host(codes[start]) and _in_host(codes[at - 1])
        if not ends or at - start > _LONGEST_LABEL:
            return False
        at, labels = at + 1, labels + 1
        start = at
    if labels == 0 or not 2 <= at - start < _LONGEST_LABEL:
        return False
    for place in range(start, at):
        if table[codes[place]] & ALPHABETIC == 0 or table[codes[place]] & UPPER:
            return False
    if at < last and codes[at] == _COLON:
        port = at + 1
        while port < last and _is_digit(codes[port]):
            port += 1
        if not 2 <= port - at - 1 <= _LONGEST_PORT:
            return False
        at = port
    return at == last or codes[at] in (_SLASH, _QUESTION, _NUMBER_SIGN)


@numba.njit(cache=True)
def _behind_scheme(codes: Codes, first: int, last: int, table: Table) -> int:
    """Where the host begins when a scheme and `://` stand before it, else `first`."""
    at = first
    while at < last and (table[codes[at]] & WORD or codes[at] in _IN_SCHEME):
        at += 1
    if at - first < 2 or at + 2 >= last:
        return first
    found = codes[at] == _COLON and codes[at + 1] == _SLASH and codes[at + 2] == _SLASH
    return at + 3 if found else first


@numba.njit(cache=True)
def _is_address(codes: Codes, first: int, last: int, table: Table) -> bool:
    """Whether a word is a web or e-mail address: a host, which a scheme or an `@` may precede."""
    if _is_host(codes, _behind_scheme(codes, first, last, table), last, table):
        return True
    for at in range(first + 1, last - 1):  # noqa: SIM110 (numba has no `any` of a generator)
        if codes[at] == _AT_SIGN and _is_host(codes, at + 1, last, table):
            return True
    return False


@numba.njit(cache=True)
def _write_inner(
    codes: Codes, first: int, last: int, table: Table, marks: Marks, starts: Positions, ends: Positions
) -> int:
    """Write the words of what is left when the ends are taken off, and return their number."""
    count, start, at = 0, first, first
    while at < last:
        length = 0 if table[codes[at]] & ALPHABETIC else _inside(codes, first, at, last, table, marks)
        if length == 0 or at == first:
            at += max(length, 1)
            continue
        if count == 0 and _is_address(codes, first, last, table):
            break
        if at > start:
            starts[count], ends[count] = start, at
            count += 1
        starts[count], ends[count] = at, at + length
        count += 1
        at += length
        start = at
    if start < last:
        starts[count], ends[count] = start, last
        count += 1
    return count


@numba.njit(cache=True)
def write_exception(
    slot: int, first: int, last: int, exceptions: Exceptions, starts: Positions, ends: Positions
) -> int:
    """Write the words of an exception and return their number."""
    count, start = 0, first
    for cut in (exceptions.first[slot], exceptions.second[slot]):
        if cut:
            starts[count], ends[count] = start, first + cut
            start = first + cut
            count += 1
    starts[count], ends[count] = start, last
    return count + 1


@numba.njit(cache=True)
def _strip_plain(
    codes: Codes, first: int, last: int, marks: Marks, starts: Positions, ends: Positions
) -> tuple[int, int, int, int]:
    """As `_strip`, without the slot, where nothing is `EXCEPTIONAL`: exceptions need not be looked up."""
    count, behind = 0, last - first
    while first < last and marks[codes[first]] & _TAKEN_FROM_FRONT:
        starts[count], ends[count] = first, first + 1
        count, first = count + 1, first + 1
    while first < last and marks[codes[last - 1]] & (BOTH | ICON):
        behind, last = behind - 1, last - 1
        starts[behind], ends[behind] = last, last + 1
    return first, last, count, behind


@numba.njit(cache=True)
def _strip(
    codes: Codes,
    first: int,
    last: int,
    table: Table,
    marks: Marks,
    keys: Keys,
    starts: Positions,
    ends: Positions,
) -> tuple[int, int, int, int, int]:
    """Take off the ends of codes[first:last] until an exception is left, or nothing more is to be taken.

    Returns what is left (first, last), how many words are written, from which place on those stand that were taken
    from the end, and the exception's slot or -1.
    """
    count, behind, looked_up = 0, last - first, False
    while first < last:
        slot = -1 if looked_up else find_exception(codes, first, last, PLAIN, keys)
        if slot >= 0:
            return first, last, count, behind, slot
        front, back = _front(codes, first, last, marks), 0
        if front and front < last - first:
            slot = find_exception(codes, first + front, last, PLAIN, keys)
        if slot < 0:
            back = _back(codes, first + front, last, table, marks, keys)
            if back and back < last - first:
                slot = find_exception(codes, first, last - back, PLAIN, keys)
                front = front if slot < 0 else 0
        if front:
            starts[count], ends[count] = first, first + front
            count += 1
        if back:
            behind -= 1
            starts[behind], ends[behind] = last - back, last
        first, last = first + front, last - back
        looked_up = (front == 0) != (back == 0)
        if slot >= 0 or (front == 0 and back == 0):
            return first, last, count, behind, slot
    return first, last, count, behind, -1


@numba.njit(cache=True)
def write_spaced(
    codes: Codes,
    first: int,
    last: int,
    table: Table,
    marks: Marks,
    exceptions: Exceptions,
    starts: Positions,
    ends: Positions,
) -> int:
    """Write the bounds of the words of codes[first:last], which hold no white space, and return their number.

    `starts` and `ends` need room for as many words as there are characters. What is taken from the end is kept at
    the end of that room until the words before it are known.
    """
    room = last - first
    if _is_exceptional(codes, first, last, marks):
        first, last, count, behind, slot = _strip(codes, first, last, table, marks, exceptions.keys, starts, ends)
    else:
        first, last, count, behind = _strip_plain(codes, first, last, marks, starts, ends)
        slot = find_letters(codes, first, last, exceptions.keys)
    if first < last and slot >= 0:
        count += write_exception(slot, first, last, exceptions, starts[count:], ends[count:])
    elif first < last:
        count += _write_inner(codes, first, last, table, marks, starts[count:], ends[count:])
    for place in range(behind, room):
        starts[count], ends[count] = starts[place], ends[place]
        count += 1
    return count
