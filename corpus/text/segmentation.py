"""Where words begin and end, as array code.

A Chinese text is cut whole as `jieba.cut(text)` cuts it, white space left out. Other texts are cut at white space
and as spaCy cuts what stands between, and their runs of ideographs go through jieba's algorithm.

numba's cache does not see changes in another file: after one in `chinese_words.py`, `spaced_words.py` or
`english_exceptions.py`, delete the `__pycache__` here.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from corpus.text.characters import ALPHABETIC, DIGIT, HAN, IDEOGRAPH, SPACE, Codes, Positions, Table
from corpus.text.chinese_dictionary import Dictionary
from corpus.text.chinese_words import LONGEST_BLOCK, Scratch, cut_text, is_chinese, write_block
from corpus.text.english_exceptions import Exceptions, find_letters
from corpus.text.spaced_words import Marks, write_exception, write_spaced


class SpacedScripts(NamedTuple):
    """What cutting spaced scripts looks up: `mark_table` and `english_exceptions`."""

    marks: Marks
    exceptions: Exceptions


@numba.njit(cache=True)
def _split(
    codes: Codes,
    first: int,
    last: int,
    table: Table,
    spaced: SpacedScripts,
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
        if kind & IDEOGRAPH == 0:
            letters = kind
            while stop < last and table[codes[stop]] & (SPACE | HAN | IDEOGRAPH) == 0:
                letters &= table[codes[stop]]
                stop += 1
            if letters & ALPHABETIC:
                slot = find_letters(codes, at, stop, spaced.exceptions.keys)
                if slot >= 0:
                    count += write_exception(slot, at, stop, spaced.exceptions, starts[count:], ends[count:])
                    at = stop
                    continue
            elif letters & DIGIT == 0:
                bounds = starts[count:], ends[count:]
                count += write_spaced(codes, at, stop, table, spaced.marks, spaced.exceptions, *bounds)
                at = stop
                continue
        starts[count], ends[count] = at, stop
        count += 1
        at = stop
    return count


@numba.njit(cache=True)
def split_texts(
    codes: Codes,
    offsets: Positions,
    table: Table,
    spaced: SpacedScripts,
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
            count += _split(codes, first, last, table, spaced, dictionary, scratch, *bounds)
    firsts[offsets.size - 1] = count
