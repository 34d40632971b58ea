"""Chinese texts cut into words as `jieba.cut` cuts them, as array code.

jieba (https://github.com/fxsjy/jieba) takes blocks of ideographs, ASCII letters, digits and `+#&._%-`. The
dictionary splits a block where the product of word frequencies is greatest. Of runs of single characters that it
leaves, ideographs go through a hidden Markov model over the states begin, middle, end, single, the rest is split
into numbers, ASCII words and what is between them. Every other character is a word.

numba's cache does not see changes in another file: after one here, delete the `__pycache__` of this folder.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from corpus.text.characters import ALPHABETIC, COUNTS, HAN, IDEOGRAPH, SPACE, Codes, Positions, Table
from corpus.text.chinese_dictionary import FIRST_HAN, LAST_HAN, SEED, Dictionary, extend_key, find_slot

LONGEST_BLOCK = 1 << 16  # longer blocks are cut here, which bounds the scratch space
LEAST_HAN = 100  # a text is Chinese where one letter in so many, or more, is an ideograph,
MOST_OTHER = 4  # and one letter of other scripts, ASCII aside, comes on so many ideographs, or fewer
_BLOCK_SIGNS = (0x2B, 0x23, 0x26, 0x2E, 0x5F, 0x25, 0x2D)  # + # & . _ % -
_PERCENT = 0x25
_FULL_STOP = 0x2E


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
def write_block(
    codes: Codes,
    first: int,
    last: int,
    dictionary: Dictionary,
    scratch: Scratch,
    starts: Positions,
    ends: Positions,
) -> int:
    """Write the bounds of the words of the block codes[first:last] (see `_segment`) and return their number."""
    found = _segment(codes, first, last, dictionary, scratch, ends)
    starts[0] = first
    for k in range(1, found):
        starts[k] = ends[k - 1]
    return found


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
            if is_ascii_word(codes[at]):
                stop = _end_of_ascii_word(codes, at, last)
            else:
                while stop < last and codes[stop] < FIRST_HAN and not is_ascii_word(codes[stop]):
                    stop += 1
            ends[found] = stop
            found += 1
        at = stop
    return found


@numba.njit(cache=True)
def _end_of_ascii_word(codes: Codes, at: int, last: int) -> int:
    """Where the match of `[a-zA-Z0-9]+(\\.[0-9]+)?%?` at `at` ends."""
    while at < last and is_ascii_word(codes[at]):
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
def is_ascii_word(code: int) -> bool:
    """Whether a character is an ASCII letter or digit."""
    return _is_ascii_digit(code) or 0x61 <= code <= 0x7A or 0x41 <= code <= 0x5A


@numba.njit(cache=True)
def _in_block(code: int, kind: int) -> bool:
    """Whether jieba takes a character into a block."""
    return kind & HAN != 0 or (code < 0x80 and (is_ascii_word(code) or code in _BLOCK_SIGNS))


@numba.njit(cache=True)
def is_chinese(codes: Codes, first: int, last: int, table: Table) -> bool:
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
def cut_text(
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
            count += write_block(codes, at, stop, dictionary, scratch, starts[count:], ends[count:])
        else:
            stop = at + 1
            if not table[codes[at]] & SPACE or table[codes[at]] & COUNTS:  # format characters are words to jieba
                starts[count], ends[count] = at, stop
                count += 1
        at = stop
    return count
