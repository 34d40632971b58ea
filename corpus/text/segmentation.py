"""Where words begin and end, as array code.

A Chinese text is cut whole as `jieba.cut(text)` cuts it, white space left out. Other texts go by the word
boundaries of spaced scripts, and their runs of ideographs through jieba's algorithm.

numba's cache does not see changes in another file: after one in `chinese_words.py`, delete the `__pycache__` here.
"""

from __future__ import annotations

import numba
import numpy as np

from corpus.text.characters import ALPHABETIC, CONTENT, DIGIT, HAN, SPACE, WORD, Codes, Positions, Table
from corpus.text.chinese_dictionary import Dictionary
from corpus.text.chinese_words import LONGEST_BLOCK, Scratch, cut_text, is_ascii_word, is_chinese, write_block

_RUNS = (0x2E, 0x2D, 0x7E, 0x2026)  # full stop, hyphen, tilde, ellipsis
_BETWEEN_LETTERS = (0x27, 0x2019, 0x2E)  # ' ’ .
_APOSTROPHES = (0x27, 0x2019)
_INNER = (0x27, 0x2019, 0x2E, 0x2C, 0x3A, 0x2F, 0x40, 0x2D)  # and , : / between digits, @, - at a digit
_SIGNS = (0x3D, 0x3C, 0x3E, 0x2F, 0x24, 0x2A, 0x2B, 0x5E)  # = < > / $ * + ^
_OPERATORS = (0x2A, 0x2B, 0x5E)  # * + ^
_MOST_SIGNS = 4
_AT_SIGN, _COLON, _SLASH, _HYPHEN, _FULL_STOP, _FIRST_EAST_ASIAN = 0x40, 0x3A, 0x2F, 0x2D, 0x2E, 0x2E80
_S, _CAPITAL_S, _T, _M, _D, _N, _I = 0x73, 0x53, 0x74, 0x6D, 0x64, 0x6E, 0x69
_WILL, _HAVE, _ARE = (0x6C, 0x6C), (0x76, 0x65), (0x72, 0x65)  # ll, ve, re
_CANNOT = (0x63, 0x61, 0x6E, 0x6E, 0x6F, 0x74)
# After these 'd is had or would; elsewhere it is the old spelling of a past (lov'd).
_BEFORE_HAD = (
    "i",
    "you",
    "he",
    "she",
    "it",
    "we",
    "they",
    "who",
    "what",
    "when",
    "where",
    "why",
    "how",
    "there",
    "that",
)
_KEYS_BEFORE_HAD = tuple(sum((ord(c) & 31) << (5 * k) for k, c in enumerate(word)) for word in _BEFORE_HAD)


@numba.njit(cache=True)
def _joins(codes: Codes, at: int, last: int, table: Table) -> bool:
    """Whether the punctuation at `at` stands inside a word: between letters or between digits."""
    code = codes[at]
    if at + 1 >= last or code not in _INNER:
        return False
    before, after = table[codes[at - 1]], table[codes[at + 1]]
    if not after & WORD:
        return False
    if code == _HYPHEN:
        return before & DIGIT == 0 and after & DIGIT != 0
    if code == _AT_SIGN or (before & DIGIT and after & DIGIT):
        return True
    return code in _BETWEEN_LETTERS and before & ALPHABETIC != 0 and after & ALPHABETIC != 0


@numba.njit(cache=True)
def _end_of_word(codes: Codes, stop: int, last: int, table: Table) -> int:
    """Where the word ends of which codes[stop - 1] is part; most end at a space, which is asked for first."""
    while stop < last:
        kind = table[codes[stop]]
        if kind & WORD:
            stop += 1
        elif kind & SPACE:
            break
        elif _joins(codes, stop, last, table):
            stop += 1
        else:
            after = _end_of_signs(codes, stop, last, table)
            if after == stop:
                break
            stop = after
    return stop


@numba.njit(cache=True)
def _end_of_signs(codes: Codes, at: int, last: int, table: Table) -> int:
    """Where the signs end that join a word and a number (`x=1`, `6>>6`); `at` for none and a lone operator."""
    stop = at
    while stop < last and stop - at < _MOST_SIGNS and codes[stop] in _SIGNS:
        stop += 1
    if stop in (at, last) or not table[codes[stop]] & DIGIT:
        return at
    return at if stop == at + 1 and codes[at] in _OPERATORS else stop


@numba.njit(cache=True)
def _begins_number(codes: Codes, first: int, at: int, last: int, table: Table) -> bool:
    """Whether a full stop or hyphen after space stands before a digit (`.5`, `-1`)."""
    if (codes[at] != _FULL_STOP and codes[at] != _HYPHEN) or at + 1 >= last or not table[codes[at + 1]] & DIGIT:
        return False
    return at == first or table[codes[at - 1]] & SPACE != 0


@numba.njit(cache=True)
def _abbreviates(codes: Codes, first: int, at: int, last: int, table: Table) -> bool:
    """Whether the full stop at `at` belongs to the word before it: after one letter (`N.`, `e.g.`)."""
    if at >= last or codes[at] != _FULL_STOP or not table[codes[at - 1]] & ALPHABETIC:
        return False
    if at + 1 < last and codes[at + 1] == _FULL_STOP:
        return False
    return codes[at - 1] < 0x80 if at - 1 == first else codes[at - 2] == _FULL_STOP


@numba.njit(cache=True)
def _clitic(codes: Codes, first: int, last: int) -> int:
    """Where the English clitic of a word begins ('s 'm 're 've 'll 'd n't, the `not` of cannot), else its end."""
    if last - first >= 3 and codes[last - 2] in _APOSTROPHES:
        end, place = codes[last - 1], last - 2
        if end in (_S, _CAPITAL_S):
            return place
        if end == _T and codes[last - 3] == _N and last - first > 3:
            return last - 3
        if end == _M and last - first == 3 and codes[first] | 32 == _I:
            return place
        if end == _D and place - first <= 5:
            key = 0
            for k in range(first, place):
                if not is_ascii_word(codes[k]):
                    return last
                key |= (int(codes[k]) & 31) << (5 * (k - first))
            return place if key in _KEYS_BEFORE_HAD else last
    elif last - first >= 4 and codes[last - 3] in _APOSTROPHES:
        if (codes[last - 2], codes[last - 1]) in (_WILL, _HAVE, _ARE):
            return last - 3
    elif last - first == 6 and codes[last - 1] == _T and codes[first] | 32 == _CANNOT[0]:
        for k in range(1, 6):
            if codes[first + k] != _CANNOT[k]:
                return last
        return first + 3
    return last


@numba.njit(cache=True)
def _end_of_address(codes: Codes, at: int, last: int, table: Table) -> int:
    """Where the URL ends whose `://` stands at `at`, or `at` where there is none; closing punctuation is out."""
    if at + 3 >= last or codes[at] != _COLON or codes[at + 1] != _SLASH or codes[at + 2] != _SLASH:
        return at
    stop = at + 3
    while stop < last and codes[stop] < _FIRST_EAST_ASIAN and not table[codes[stop]] & SPACE:
        stop += 1
    while stop > at + 3 and table[codes[stop - 1]] & (CONTENT | WORD) == 0 and codes[stop - 1] != _SLASH:
        stop -= 1
    return stop if stop > at + 3 else at


@numba.njit(cache=True)
def _split(
    codes: Codes,
    first: int,
    last: int,
    table: Table,
    dictionary: Dictionary,
    scratch: Scratch,
    starts: Positions,
    ends: Positions,
) -> int:
    """Write the bounds of the words of a text in a spaced script and return their number."""
    count, at = 0, first
    while at < last:
        kind = table[codes[at]]
        stop = at + 1
        if kind & SPACE:
            at = stop
            continue
        if kind & HAN:
            while stop < last and stop - at < LONGEST_BLOCK and table[codes[stop]] & HAN:
                stop += 1
            count += write_block(codes, at, stop, dictionary, scratch, starts[count:], ends[count:])
            at = stop
            continue
        if kind & WORD or _begins_number(codes, first, at, last, table):
            stop = _end_of_word(codes, stop, last, table)
            clitic = _clitic(codes, at, stop)
            if clitic < stop:
                starts[count], ends[count] = at, clitic
                count += 1
                at = clitic
            elif stop == last or table[codes[stop]] & SPACE:
                pass
            elif _abbreviates(codes, at, stop, last, table):
                stop += 1
            else:
                stop = _end_of_address(codes, stop, last, table)
        elif codes[at] in _RUNS:
            while stop < last and codes[stop] == codes[at]:
                stop += 1
        starts[count], ends[count] = at, stop
        count += 1
        at = stop
    return count


@numba.njit(cache=True)
def split_texts(
    codes: Codes,
    offsets: Positions,
    table: Table,
    dictionary: Dictionary,
    starts: Positions,
    ends: Positions,
    firsts: Positions,
) -> None:
    """Write the bounds of all words of the texts codes[offsets[k]:offsets[k + 1]].

    `starts` and `ends` need room for as many words as there are characters; the words of text k are those from
    firsts[k] to firsts[k + 1], `firsts` [texts + 1].
    """
    room = LONGEST_BLOCK if dictionary.emission.shape[1] > 1 else 1
    scratch = Scratch(
        np.empty(room + 1),
        np.empty(room, dtype=np.int64),
        np.empty((room, 4), dtype=np.int8),
        np.empty(room, dtype=np.bool_),
    )
    count = 0
    for text in range(offsets.size - 1):
        firsts[text] = count
        first, last = offsets[text], offsets[text + 1]
        bounds = starts[count:], ends[count:]
        if room > 1 and is_chinese(codes, first, last, table):
            count += cut_text(codes, first, last, table, dictionary, scratch, *bounds)
        else:
            count += _split(codes, first, last, table, dictionary, scratch, *bounds)
    firsts[offsets.size - 1] = count
