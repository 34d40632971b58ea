"""Compiled parts of the ROUGE-L index: postings, shared tokens, and bit-parallel subsequences."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

LONGEST = 250_000  # tokens of a text; more could overflow `_any_reaches`
_BLOCK = 128  # texts that are ruled out together


@njit(cache=True)
def room_needed(keys: Any, sizes: Any, capacities: Any) -> int:
    """Places that `post` takes at the end of the pool for these keys."""
    needed = 0
    for key in keys:
        if sizes[key] == capacities[key]:
            needed += max(4, 2 * capacities[key])
    return needed


@njit(cache=True)
def post(text: int, keys: Any, starts: Any, sizes: Any, capacities: Any, pool: Any, used: int) -> int:
    """Append a text to the postings of its keys, and return how much of the pool is used.

    A full posting moves to the pool's end, with twice the room.
    """
    for key in keys:
        start, size = starts[key], sizes[key]
        if size == capacities[key]:
            pool[used : used + size] = pool[start : start + size]
            starts[key], capacities[key] = used, max(4, 2 * size)
            used += capacities[key]
        pool[starts[key] + size] = text
        sizes[key] = size + 1
    return used


@njit(cache=True)
def nearest(
    text: Any,
    keys: Any,
    postings: Any,
    words: Any,
    offsets: Any,
    lengths: Any,
    local: Any,
    scores: Any,
    found: Any,
) -> None:
    """Fill `scores` and `found` with the texts of highest ROUGE-L F1: in its order, the earlier of equals first.

    `text` are the word numbers of the text asked about, `keys` its words told apart by occurrence (the second
    `the` is another key than the first), `postings` the arrays (starts, sizes, pool) of the texts that hold a
    key. Text `i` of the index is `words[offsets[i]:offsets[i + 1]]`, of `lengths[i]`. `local` (one place for
    each word) and `scores` come filled with 0, `found` with -1, and `local` is left so.

    No text is left out. The F1 is 2·LCS / (m + n), and the LCS is at most the number of keys in common: so the
    texts with the highest bounds are compared first, and then all whose bound reaches the lowest of the best.
    """
    shared = _count_shared(keys, postings, len(lengths))
    length = len(text)
    masks = np.zeros((length + 1, (length + 63) // 64), np.uint64)
    _describe(text, local, masks)
    row = np.empty(masks.shape[1], np.uint64)
    for other in _highest_bounds(shared, lengths, length, len(scores)):
        if other >= 0:
            _compare(other, length, words, offsets, local, masks, row, scores, found)
            shared[other] = 0
    for first in range(0, len(shared), _BLOCK):
        block = slice(first, first + _BLOCK)
        if not _any_reaches(shared[block], lengths[block], length, scores[-1]):
            continue
        for other in range(first, min(first + _BLOCK, len(shared))):
            # The margin keeps rounding on the safe side of the bound.
            if shared[other] and 2 * shared[other] >= (scores[-1] - 1e-9) * (length + lengths[other]):
                _compare(other, length, words, offsets, local, masks, row, scores, found)
    for word in text:
        local[word] = 0


@njit(cache=True)
def _count_shared(keys: Any, postings: Any, texts: int) -> Any:
    """How many of the keys each text holds."""
    starts, sizes, pool = postings
    shared = np.zeros(texts, np.int32)
    for key in keys:
        for text in pool[starts[key] : starts[key] + sizes[key]]:
            shared[text] += 1
    return shared


@njit(cache=True)
def _describe(text: Any, local: Any, masks: Any) -> None:
    """Number the words of `text` from 1 in `local`, and set the bits of each word's places in its row of masks."""
    distinct = 0
    for place in range(len(text)):
        word = text[place]
        if local[word] == 0:
            distinct += 1
            local[word] = distinct
        masks[local[word], place // 64] |= np.uint64(1) << np.uint64(place % 64)


@njit(cache=True)
def _highest_bounds(shared: Any, lengths: Any, length: int, most: int) -> Any:
    """The texts with the highest upper bounds of their F1; -1 where there are fewer."""
    bounds, texts = np.zeros(most), np.full(most, -1, np.int64)
    for first in range(0, len(shared), _BLOCK):
        block = slice(first, first + _BLOCK)
        if not _any_reaches(shared[block], lengths[block], length, bounds[-1]):
            continue
        for text in range(first, min(first + _BLOCK, len(shared))):
            bound = 2 * shared[text] / (length + lengths[text]) if shared[text] else 0.0
            if bound > bounds[-1]:
                _insert(bounds, texts, bound, text)
    return texts


@njit(cache=True)
def _any_reaches(shared: Any, lengths: Any, length: int, bound: float) -> bool:
    """Whether a text of a block shares enough tokens for an F1 of `bound` (rounded down to 1/2048).

    Whole numbers and no branches, of which the compiler makes vector instructions.
    """
    scaled, size = np.int32(bound * 2048), np.int32(length)
    most = np.int32(-1)
    for place in range(len(shared)):
        needed = np.int32(scaled * np.int32(size + lengths[place]))
        most = max(most, np.int32(np.int32(4096 * shared[place]) - needed))
    return bool(most >= 0)


@njit(cache=True)
def _compare(
    other: int, length: int, words: Any, offsets: Any, local: Any, masks: Any, row: Any, scores: Any, found: Any
) -> None:
    """Take a text among the best if its F1 is high enough."""
    common = _longest_common_subsequence(words[offsets[other] : offsets[other + 1]], local, masks, row)
    score = _f1(common, length, offsets[other + 1] - offsets[other])
    if score > scores[-1] or (0 < score == scores[-1] and other < found[-1]):
        _insert(scores, found, score, other)


@njit(cache=True)
def _longest_common_subsequence(words: Any, local: Any, masks: Any, row: Any) -> int:
    """Length of the longest common subsequence of `words` and the text that `masks` describe.

    By bit-parallel rows (Hyyrö 2004), 64 tokens in a part: a zero is a token of the subsequence. The sum of
    two parts overflows into the next one.
    """
    row[:] = ~np.uint64(0)
    for word in words:
        mask = masks[local[word]]
        carry = np.uint64(0)
        for part in range(len(row)):
            match = row[part] & mask[part]
            added = row[part] + match
            total = added + carry
            carry = np.uint64(added < match) | np.uint64(total < added)
            row[part] = total | (row[part] - match)
    common = 0
    for part in range(len(row)):
        zeros = ~row[part]
        while zeros:
            zeros &= zeros - np.uint64(1)
            common += 1
    return common


@njit(cache=True)
def _f1(common: int, first: int, second: int) -> float:
    """ROUGE-L F1 (Lin 2004), in the usual implementation's order of operations: equal to the last bit."""
    if common == 0:
        return 0.0
    precision, recall = common / first, common / second
    return 2 * precision * recall / (precision + recall)


@njit(cache=True)
def _insert(scores: Any, texts: Any, score: float, text: int) -> None:
    """Put a text among the best, and let the last one fall out."""
    spot = len(scores) - 1
    while spot > 0 and (scores[spot - 1] < score or (scores[spot - 1] == score and texts[spot - 1] > text)):
        scores[spot], texts[spot] = scores[spot - 1], texts[spot - 1]
        spot -= 1
    scores[spot], texts[spot] = score, text
