"""Where words begin and end, as array code; Chinese ones by jieba's algorithm, dictionary and model.

The dictionary splits where the product of word frequencies is greatest; runs of single characters that it leaves
go through jieba's hidden Markov model over the states begin, middle, end, single (https://github.com/fxsjy/jieba).
The output equals `jieba.cut(text)` on runs of U+4E00 to U+9FD5; tests compare the two.

All compiled functions that call each other are in this file: numba's cache does not see changes in another.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from corpus.core.errors import ZeroToOneError
from corpus.text.characters import ALPHABETIC, CONTENT, DIGIT, HAN, SPACE, WORD

Codes = npt.NDArray[np.uint32]
Positions = npt.NDArray[np.int64]
Table = npt.NDArray[np.uint16]

FIRST_HAN = 0x4E00
HAN_COUNT = 0x9FD5 - FIRST_HAN + 1
LONGEST_RUN = 4096  # longer runs of ideographs without punctuation are cut here, which bounds the scratch space
_RUNS = (0x2E, 0x2D, 0x7E, 0x2026)  # full stop, hyphen, tilde, ellipsis
_BETWEEN_LETTERS = (0x27, 0x2019, 0x2E)  # ' ’ .
_INNER = (0x27, 0x2019, 0x2E, 0x2C, 0x3A, 0x2F, 0x40, 0x2D)  # and , : / between digits, @, - at a digit
_AT_SIGN, _COLON, _SLASH, _HYPHEN, _FIRST_EAST_ASIAN = 0x40, 0x3A, 0x2F, 0x2D, 0x2E80
_NEVER = -3.14e100  # jieba's log probability of what its model has not seen
_STATES = "BMES"
_PREFIX = np.inf  # marks a prefix that is no word
_SEED = np.uint64(0xCBF29CE484222325)
_PRIME = np.uint64(0x100000001B3)


class Dictionary(NamedTuple):
    """jieba's dictionary and model as arrays.

    `keys` [slots] uint64: hashes of words and of their prefixes, open addressing, 0 = empty slot.
    `values` [slots] float64: log probability of a word, infinity for a mere prefix.
    `rare` float64: log probability given to a character that is no word.
    `start` [4], `transition` [4, 4] (from, to), `emission` [4, characters]: the model's log probabilities.
    """

    keys: npt.NDArray[np.uint64]
    values: npt.NDArray[np.float64]
    rare: float
    start: npt.NDArray[np.float64]
    transition: npt.NDArray[np.float64]
    emission: npt.NDArray[np.float64]


@lru_cache(maxsize=1)
def chinese_dictionary() -> Dictionary:
    """Read jieba's dictionary and model from the installed package (no cache file, no pickle).

    Raises ZeroToOneError when jieba is not installed.
    """
    spec = find_spec("jieba")
    if spec is None or spec.origin is None:
        raise ZeroToOneError("Chinese text needs the package jieba: pip install jieba")
    folder = Path(spec.origin).parent
    data = np.fromfile(folder / "dict.txt", dtype=np.uint8)
    keys, values = np.zeros(1 << 20, dtype=np.uint64), np.full(1 << 20, _PREFIX)
    total = _read_dictionary(data, keys, values)
    return Dictionary(keys, values, -float(np.log(total)), *_model(folder))


@lru_cache(maxsize=1)
def no_dictionary() -> Dictionary:
    """An empty dictionary of the same types, for texts without ideographs."""
    return Dictionary(
        np.zeros(2, dtype=np.uint64), np.full(2, _PREFIX), 0.0, np.zeros(4), np.zeros((4, 4)), np.zeros((4, 1))
    )


def _model(folder: Path) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    started, moved, emitted = (
        _table(folder / "finalseg" / f"prob_{name}.py") for name in ("start", "trans", "emit")
    )
    start = np.array([started[state] for state in _STATES])
    transition = np.array([[_given(moved[a], b) for b in _STATES] for a in _STATES])
    emission = np.full((4, HAN_COUNT), _NEVER)
    for row, state in zip(emission, _STATES, strict=True):
        for character, value in emitted[state].items():
            if 0 <= ord(character) - FIRST_HAN < HAN_COUNT:
                row[ord(character) - FIRST_HAN] = value
    return start, transition, emission


def _table(path: Path) -> dict[str, Any]:
    """The table of one of jieba's modules, loaded alone: importing jieba itself warns and sets up logging."""
    spec = spec_from_file_location(f"_jieba_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ZeroToOneError(f"{path}: cannot be loaded; install jieba again")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return dict(module.P)


def _given(table: dict[str, Any], key: str) -> float:
    return float(table.get(key, _NEVER))


@numba.njit(cache=True)
def _extend(key: Any, code: Any) -> Any:
    mixed = (key ^ np.uint64(code)) * _PRIME
    return mixed ^ (mixed >> np.uint64(29))


@numba.njit(cache=True)
def _slot(keys: npt.NDArray[np.uint64], key: Any) -> Any:
    mask = np.uint64(keys.size - 1)
    slot = key & mask
    while keys[slot] != 0 and keys[slot] != key:
        slot = (slot + np.uint64(1)) & mask
    return slot


@numba.njit(cache=True)
def _read_dictionary(
    data: npt.NDArray[np.uint8], keys: npt.NDArray[np.uint64], values: npt.NDArray[np.float64]
) -> int:
    """Fill the table from lines of `word frequency tag`; return the sum of frequencies."""
    total, at = 0, 0
    while at < data.size:
        key = _SEED
        slot: Any = np.uint64(0)
        while data[at] != 32:
            lead = data[at]
            width = 1 if lead < 0x80 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
            code = int(lead) if width == 1 else int(lead) & (0x7F >> width)
            for k in range(1, width):
                code = (code << 6) | (int(data[at + k]) & 0x3F)
            at += width
            key = _extend(key, code)
            slot = _slot(keys, key)
            keys[slot] = key
        at += 1
        frequency = 0
        while 48 <= data[at] <= 57:
            frequency = frequency * 10 + int(data[at]) - 48
            at += 1
        if frequency:
            values[slot] = float(frequency)
        total += frequency
        while at < data.size and data[at] != 10:
            at += 1
        at += 1
    for k in range(keys.size):
        if keys[k] != 0 and values[k] != _PREFIX:
            values[k] = np.log(values[k]) - np.log(total)
    return total


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
        key = _SEED
        for stop in range(at, count):
            key = _extend(key, codes[first + stop])
            slot = _slot(dictionary.keys, key)
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
    key = _SEED
    for at in range(first, last):
        key = _extend(key, codes[at])
    slot = _slot(dictionary.keys, key)
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
def _segment(codes: Codes, first: int, last: int, dictionary: Dictionary, ends: Positions) -> int:
    """Split the ideographs codes[first:last] into words; return their number, their ends are in `ends`.

    `codes` are code points, all within U+4E00 to U+9FD5; `ends` needs room for last - first numbers.
    """
    count = last - first
    score, end = np.empty(count + 1), np.empty(count, dtype=np.int64)
    back, cut = np.empty((count, 4), dtype=np.int8), np.empty(count, dtype=np.bool_)
    _best_ends(codes, first, last, dictionary, score, end)
    found, at = 0, 0
    while at < count:
        stop = at
        while stop < count and end[stop] == stop + 1:
            stop += 1
        if stop > at:
            if stop - at > 1 and not _is_word(codes, first + at, first + stop, dictionary):
                _viterbi(codes, first + at, first + stop, dictionary, back, cut)
            else:
                cut[: stop - at] = True
            for k in range(stop - at):
                if cut[k]:
                    ends[found] = first + at + k + 1
                    found += 1
            if not cut[stop - at - 1]:
                ends[found] = first + stop
                found += 1
        if stop < count:
            ends[found] = first + end[stop]
            found += 1
            stop = end[stop]
        at = stop
    return found


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
        return (before & DIGIT != 0) != (after & DIGIT != 0)
    if code == _AT_SIGN or (before & DIGIT and after & DIGIT):
        return True
    return code in _BETWEEN_LETTERS and before & ALPHABETIC != 0 and after & ALPHABETIC != 0


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
    codes: Codes, first: int, last: int, table: Table, dictionary: Dictionary, starts: Positions, ends: Positions
) -> int:
    """Write the bounds of the words of codes[first:last] and return their number."""
    count, at = 0, first
    while at < last:
        kind = table[codes[at]]
        stop = at + 1
        if kind & SPACE:
            at = stop
            continue
        if kind & HAN:
            while stop < last and stop - at < LONGEST_RUN and table[codes[stop]] & HAN:
                stop += 1
            found = _segment(codes, at, stop, dictionary, ends[count:])
            starts[count] = at
            for k in range(1, found):
                starts[count + k] = ends[count + k - 1]
            count += found
            at = stop
            continue
        if kind & WORD:
            while stop < last and (table[codes[stop]] & WORD or _joins(codes, stop, last, table)):
                stop += 1
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
    count = 0
    for text in range(offsets.size - 1):
        firsts[text] = count
        first, last = offsets[text], offsets[text + 1]
        count += _split(codes, first, last, table, dictionary, starts[count:], ends[count:])
    firsts[offsets.size - 1] = count
