"""Where words begin and end, as array code.

A Chinese text is cut whole as `jieba.cut(text)` cuts it, white space left out. Other texts go by the word
boundaries of spaced scripts, and their runs of ideographs through jieba's algorithm.

jieba (https://github.com/fxsjy/jieba) takes blocks of ideographs, ASCII letters, digits and `+#&._%-`. The
dictionary splits a block where the product of word frequencies is greatest. Of runs of single characters that it
leaves, ideographs go through a hidden Markov model over the states begin, middle, end, single, the rest is split
into numbers, ASCII words and what is between them. Every other character is a word.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from corpus.text.characters import ALPHABETIC, CONTENT, COUNTS, DIGIT, HAN, IDEOGRAPH, SPACE, WORD
from corpus.text.chinese_dictionary import FIRST_HAN, LAST_HAN, SEED, Dictionary, extend_key, find_slot

Codes = npt.NDArray[np.uint32]
Positions = npt.NDArray[np.int64]
Table = npt.NDArray[np.uint16]

LONGEST_BLOCK = 1 << 16  # longer blocks are cut here, which bounds the scratch space
LEAST_HAN = 100  # a text is Chinese where one letter in so many, or more, is an ideograph,
MOST_OTHER = 4  # and one letter of other scripts, ASCII aside, comes on so many ideographs, or fewer
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
_BLOCK_SIGNS = (0x2B, 0x23, 0x26, 0x2E, 0x5F, 0x25, 0x2D)  # + # & . _ % -
_PERCENT = 0x25


class Scratch(NamedTuple):
    """Room for one block: scores and ends of the best words, the model's way back and where it cuts."""

    score: npt.NDArray[np.float64]
    end: Positions
    back: npt.NDArray[np.int8]
    cut: npt.NDArray[np.bool_]


@numba.njit(cache=True)
def _best_ends(
    codes: Codes,
    first: int,
    last: int,
    dictionary: Dictionary,
    score: npt.NDArray[np.float64],
    end: Positions,
) -> None:
    """For every position of [first, last) where the best word from there ends (jieba's `calc`)."""
    count = last - first
    score[count] = 0.0
    for at in range(count - 1, -1, -1):
        best, best_end = -np.inf, at + 1
        key = SEED
        for stop in range(at, count):
            key = extend_key(key, codes[first + stop])
            slot = find_slot(dictionary.keys, key)
            if dictionary.keys[slot] == 0:
                break
            if dictionary.values[slot] <= 0.0:
                total = dictionary.values[slot] + score[stop + 1]
                if total >= best:
                    best, best_end = total, stop + 1
        if best == -np.inf:
            best = dictionary.rare + score[at + 1]
        score[at], end[at] = best, best_end


@numba.njit(cache=True)
def _is_word(codes: Codes, first: int, last: int, dictionary: Dictionary) -> bool:
    key = SEED
    for at in range(first, last):
        key = extend_key(key, codes[at])
    slot = find_slot(dictionary.keys, key)
    return dictionary.keys[slot] != 0 and dictionary.values[slot] <= 0.0


@numba.njit(cache=True)
def _viterbi(
    codes: Codes,
    first: int,
    last: int,
    dictionary: Dictionary,
    back: npt.NDArray[np.int8],
    cut: npt.NDArray[np.bool_],
) -> None:
    """Mark in `cut` after which characters of [first, last) a word ends, by the hidden Markov model."""
    count = last - first
    old, new = np.empty(4), np.empty(4)
    for state in range(4):
        old[state] = dictionary.start[state] + dictionary.emission[state, codes[first] - FIRST_HAN]
    for at in range(1, count):
        for state in range(4):
            # From end or single to begin and single, from begin or middle to the others; jieba breaks ties by
            # the state's letter, the greater one first.
            one, two = (3, 2) if state == 0 or state == 3 else (1, 0)
            emitted = dictionary.emission[state, codes[first + at] - FIRST_HAN]
            of_one = old[one] + dictionary.transition[one, state] + emitted
            of_two = old[two] + dictionary.transition[two, state] + emitted
            back[at, state] = one if of_one >= of_two else two
            new[state] = max(of_one, of_two)
        old[:] = new
    state = 3 if old[3] >= old[2] else 2
    for at in range(count - 1, -1, -1):
        cut[at] = state >= 2
        state = back[at, state] if at else state


@numba.njit(cache=True)
def _segment(
    codes: Codes, first: int, last: int, dictionary: Dictionary, scratch: Scratch, ends: Positions
) -> int:
    """Split the block codes[first:last] into words; return their number, their ends are in `ends`.

    The block has at most LONGEST_BLOCK characters; `ends` needs room for last - first numbers.
    """
    count, end = last - first, scratch.end
    _best_ends(codes, first, last, dictionary, scratch.score, end)
    found, at = 0, 0
    while at < count:
        stop = at
        while stop < count and end[stop] == stop + 1:
            stop += 1
        if stop - at > 1 and not _is_word(codes, first + at, first + stop, dictionary):
            found += _split_singles(codes, first + at, first + stop, dictionary, scratch, ends[found:])
        else:
            for k in range(at, stop):
                ends[found] = first + k + 1
                found += 1
        if stop < count:
            ends[found] = first + end[stop]
            found += 1
            stop = end[stop]
        at = stop
    return found


@numba.njit(cache=True)
def _split_singles(
    codes: Codes, first: int, last: int, dictionary: Dictionary, scratch: Scratch, ends: Positions
) -> int:
    """Split what the dictionary left in single characters (jieba's `finalseg.cut`); return the number of words."""
    found, at = 0, first
    while at < last:
        stop = at + 1
        if codes[at] >= FIRST_HAN:
            while stop < last and codes[stop] >= FIRST_HAN:
                stop += 1
            _viterbi(codes, at, stop, dictionary, scratch.back, scratch.cut)
            for k in range(at, stop):
                if scratch.cut[k - at]:
                    ends[found] = k + 1
                    found += 1
        else:
            if _is_ascii_word(codes[at]):
                stop = _end_of_ascii_word(codes, at, last)
            else:
                while stop < last and codes[stop] < FIRST_HAN and not _is_ascii_word(codes[stop]):
                    stop += 1
            ends[found] = stop
            found += 1
        at = stop
    return found


@numba.njit(cache=True)
def _end_of_ascii_word(codes: Codes, at: int, last: int) -> int:
    """Where the match of `[a-zA-Z0-9]+(\\.[0-9]+)?%?` at `at` ends."""
    while at < last and _is_ascii_word(codes[at]):
        at += 1
    if at + 1 < last and codes[at] == _FULL_STOP and _is_ascii_digit(codes[at + 1]):
        at += 2
        while at < last and _is_ascii_digit(codes[at]):
            at += 1
    return at + 1 if at < last and codes[at] == _PERCENT else at


@numba.njit(cache=True)
def _is_ascii_digit(code: int) -> bool:
    return 0x30 <= code <= 0x39


@numba.njit(cache=True)
def _is_ascii_word(code: int) -> bool:
    return _is_ascii_digit(code) or 0x61 <= code <= 0x7A or 0x41 <= code <= 0x5A


@numba.njit(cache=True)
def _in_block(code: int, kind: int) -> bool:
    """Whether jieba takes a character into a block."""
    return kind & HAN != 0 or (code < 0x80 and (_is_ascii_word(code) or code in _BLOCK_SIGNS))


@numba.njit(cache=True)
def _is_chinese(codes: Codes, first: int, last: int, table: Table) -> bool:
    """Whether a text is one for jieba: by the shares of ideographs and of the letters of other scripts.

    Other ideographs count for neither. Japanese, with its kana, is not Chinese.
    """
    han, ascii_letters, other = 0, 0, 0
    for at in range(first, last):  # without a branch or a look-up: many characters at a time
        han += (codes[at] >= FIRST_HAN) & (codes[at] <= LAST_HAN)
    if not han:
        return False
    for at in range(first, last):
        kind = table[codes[at]]
        if kind & ALPHABETIC and not kind & (HAN | IDEOGRAPH):
            ascii_letters += codes[at] < 0x80
            other += codes[at] >= 0x80
    return han * LEAST_HAN >= han + ascii_letters + other and other * MOST_OTHER <= han


@numba.njit(cache=True)
def _cut(
    codes: Codes,
    first: int,
    last: int,
    table: Table,
    dictionary: Dictionary,
    scratch: Scratch,
    starts: Positions,
    ends: Positions,
) -> int:
    """Write the bounds of the words of a Chinese text, those of `jieba.cut`, and return their number."""
    count, at = 0, first
    while at < last:
        stop = at
        while stop < last and stop - at < LONGEST_BLOCK and _in_block(codes[stop], table[codes[stop]]):
            stop += 1
        if stop > at:
            found = _segment(codes, at, stop, dictionary, scratch, ends[count:])
            starts[count] = at
            for k in range(count + 1, count + found):
                starts[k] = ends[k - 1]
            count += found
        else:
            stop = at + 1
            if not table[codes[at]] & SPACE or table[codes[at]] & COUNTS:  # format characters are words to jieba
                starts[count], ends[count] = at, stop
                count += 1
        at = stop
    return count


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
                if not _is_ascii_word(codes[k]):
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
            found = _segment(codes, at, stop, dictionary, scratch, ends[count:])
            starts[count] = at
            for k in range(1, found):
                starts[count + k] = ends[count + k - 1]
            count += found
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
        if room > 1 and _is_chinese(codes, first, last, table):
            count += _cut(codes, first, last, table, dictionary, scratch, *bounds)
        else:
            count += _split(codes, first, last, table, dictionary, scratch, *bounds)
    firsts[offsets.size - 1] = count
