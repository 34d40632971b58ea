"""The array code of the signals of words and of n-grams of words.

An n-gram that stands more than once begins and ends with (n - 1)-grams that do. So each n looks only at the places
that the n before it left: few, in most texts.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from corpus.filtering.signals_hashing import (
    Hashes,
    Slots,
    bits_of,
    find_slot,
    hash_span,
    mix,
    new_slots,
    seen,
    share,
    slot_mask,
)
from corpus.filtering.signals_spans import WordFacts
from corpus.text.characters import CONTENT, LOWER, NORMAL, UPPER, Codes, Positions, Table
from corpus.text.words import Words

Row = npt.NDArray[np.float64]

FUNCTION_WORD, GOPHER_STOP_WORD = 1, 2  # bits of a stop word
_BASE = np.uint64(0x9E3779B97F4A7C15)
_LAST_ASCII = 0x7F


@numba.njit(cache=True)
def ngram_signals(
    words: Words,
    facts: WordFacts,
    table: Table,
    lower: Codes,
    stop_hashes: Hashes,
    stop_bits: Hashes,
    out: npt.NDArray[np.float64],
) -> None:
    """Fill `out` [texts, signals] from texts and words.

    `lower` [code points]: the lower case of each. `stop_hashes`, `stop_bits`: a table of the stop words
    (`table_of`) and what each is. The signals are those of `corpus.filtering.signals.NGRAMS`, in that order.
    """
    most, longest = 1, 1
    for text in range(words.offsets.size - 1):
        most = max(most, words.firsts[text + 1] - words.firsts[text])
    for k in range(words.starts.size):
        longest = max(longest, words.ends[k] - words.starts[k])
    used = new_slots(most)
    prefix, lengths = np.zeros(most + 1, dtype=np.uint64), np.zeros(most + 1, dtype=np.int64)
    places, slot_of = np.empty(most, dtype=np.int64), np.empty(most, dtype=np.int64)
    plain = np.empty(longest, dtype=np.uint32)
    stamp = np.uint64(0)
    for text in range(words.offsets.size - 1):
        first, last = words.firsts[text], words.firsts[text + 1]
        count, characters = last - first, words.offsets[text + 1] - words.offsets[text]
        row = out[text]
        for k in range(count):
            prefix[k + 1] = prefix[k] * _BASE + facts.hashes[first + k]
            lengths[k + 1] = lengths[k] + words.ends[first + k] - words.starts[first + k]
        _as_written(prefix, lengths, count, characters, places, slot_of, used, stamp, row[0:9])
        stamp += np.uint64(11)
        normal, capitals = _normalize(words, facts, first, last, table, lower, plain, prefix, lengths)
        row[9] = share(capitals, count)
        repeated = _vocabulary(
            prefix, normal, count, places, slot_of, used, stamp, stop_hashes, stop_bits, row[10:14]
        )
        _normalized(prefix, lengths, normal, places, repeated, slot_of, used, stamp, row[14:23])
        stamp += np.uint64(11)


@numba.njit(cache=True)
def _normalize(
    words: Words,
    facts: WordFacts,
    first: int,
    last: int,
    table: Table,
    lower: Codes,
    plain: Codes,
    prefix: Hashes,
    lengths: Positions,
) -> tuple[int, int]:
    """Prefix hashes and lengths of the words with content, lower case, without ASCII punctuation.

    Returns their number and that of words with upper-case letters and no lower-case ones.
    """
    count, capitals = 0, 0
    for k in range(first, last):
        kinds = facts.kinds[k]
        capitals += (kinds & UPPER) != 0 and not kinds & LOWER
        if not kinds & CONTENT:
            continue
        key, length = facts.hashes[k], words.ends[k] - words.starts[k]
        if not kinds & NORMAL:
            length = 0
            for at in range(words.starts[k], words.ends[k]):
                code = words.codes[at]
                if code > _LAST_ASCII or table[code] & CONTENT:
                    plain[length] = lower[code]
                    length += 1
            key = hash_span(plain, 0, length)
        prefix[count + 1] = prefix[count] * _BASE + key
        lengths[count + 1] = lengths[count] + length
        count += 1
    return count, capitals


@numba.njit(cache=True)
def _gram(prefix: Hashes, at: int, n: int, power: Any) -> Any:
    return mix(prefix[at + n] - prefix[at] * power)


@numba.njit(cache=True)
def _power(n: int) -> Any:
    power = np.uint64(1)
    for _ in range(n):
        power *= _BASE
    return power


@numba.njit(cache=True)
def _repeats(
    prefix: Hashes, words: int, n: int, places: Positions, count: int, slot_of: Positions, used: Slots, stamp: Any
) -> tuple[int, int, int]:
    """Leave in `places` [count] those where an n-gram begins that stands more than once.

    Given are the places of the same for n - 1 in rising order, for n = 1 all of them. Returns how many are left,
    the greatest count of an n-gram and where the first of the n-grams that have it begins.
    """
    candidates = count
    if n > 1:
        candidates = 0
        for k in range(count - 1):
            places[candidates] = places[k]
            candidates += places[k + 1] == places[k] + 1
    best, best_first, left = min(max(words - n + 1, 0), 1), 0, 0
    power, mask = _power(n), slot_mask(candidates, used)
    keys, stamps, counts, firsts = used
    for k in range(candidates):
        at = places[k]
        key = _gram(prefix, at, n, power)
        slot = find_slot(used, stamp, mask, key)
        if stamps[slot] != stamp:
            keys[slot], stamps[slot] = key, stamp
            counts[slot], firsts[slot] = 0, at
        counts[slot] += 1
        slot_of[k] = slot
        if counts[slot] > best or (counts[slot] == best and firsts[slot] < best_first):
            best, best_first = counts[slot], firsts[slot]
    for k in range(candidates):
        places[left] = places[k]
        left += counts[slot_of[k]] > 1
    return left, best, best_first


@numba.njit(cache=True)
def _as_written(
    prefix: Hashes,
    lengths: Positions,
    words: int,
    characters: int,
    places: Positions,
    slot_of: Positions,
    used: Slots,
    stamp: Any,
    out: Row,
) -> None:
    """As datatrove counts: punctuation is a word, spaces within the top n-gram count, of all characters."""
    places[:words] = np.arange(words)
    count = words
    for n in range(2, 5):
        count, best, first = _repeats(prefix, words, n, places, count, slot_of, used, stamp + np.uint64(n - 1))
        length = lengths[first + n] - lengths[first] + n - 1 if best else 0
        out[n - 2] = share(best * length, characters)
    count, _, _ = _repeats(prefix, words, 5, places, count, slot_of, used, stamp + np.uint64(4))
    if not count:
        return
    runs = slot_of  # from here on: how many repeated 5-grams follow one another from each place on
    runs[count - 1] = 1
    for k in range(count - 2, -1, -1):
        runs[k] = runs[k + 1] + 1 if places[k + 1] == places[k] + 1 else 1
    mask = slot_mask(count, used)
    for n in range(5, 11):
        repeated = _scanned(prefix, lengths, n, places[:count], runs, used, stamp + np.uint64(n), mask)
        out[n - 2] = share(repeated, characters)


@numba.njit(cache=True)
def _scanned(
    prefix: Hashes,
    lengths: Positions,
    n: int,
    places: Positions,
    runs: Positions,
    used: Slots,
    stamp: Any,
    mask: Any,
) -> int:
    """Characters in n-grams that stood before; after one the scan goes on behind it."""
    power = _power(n)
    repeated, end = 0, 0
    for k in range(places.size):
        at = places[k]
        if at >= end and runs[k] >= n - 4 and seen(used, stamp, mask, _gram(prefix, at, n, power)):
            end = at + n
            repeated += lengths[end] - lengths[at]
    return repeated


@numba.njit(cache=True)
def _vocabulary(
    prefix: Hashes,
    normal: int,
    words: int,
    places: Positions,
    slot_of: Positions,
    used: Slots,
    stamp: Any,
    stop_hashes: Hashes,
    stop_bits: Hashes,
    out: Row,
) -> int:
    """Distinct words, entropy in nats, share of function words, occurrences of Gopher's stop words.

    Returns how many words stand more than once; `places` [those] says where.
    """
    places[:normal] = np.arange(normal)
    left, _, _ = _repeats(prefix, normal, 1, places, normal, slot_of, used, stamp)
    counts, firsts = used[2], used[3]
    distinct, entropy, function_words, gopher = 0, 0.0, 0, 0
    of_single = 1 / normal * np.log(1 / normal) if normal else 0.0
    for at in range(normal):
        slot = slot_of[at]
        if firsts[slot] != at:
            continue
        distinct += 1
        count = counts[slot]
        entropy -= of_single if count == 1 else count / normal * np.log(count / normal)
        bits = bits_of(stop_hashes, stop_bits, prefix[at + 1] - prefix[at] * _BASE)
        function_words += count if bits & np.uint64(FUNCTION_WORD) else 0
        gopher += count if bits & np.uint64(GOPHER_STOP_WORD) else 0
    out[0] = share(distinct, normal)
    out[1] = max(entropy, 0.0)
    out[2] = share(function_words, words)
    out[3] = gopher
    return left


@numba.njit(cache=True)
def _normalized(
    prefix: Hashes,
    lengths: Positions,
    words: int,
    places: Positions,
    count: int,
    slot_of: Positions,
    used: Slots,
    stamp: Any,
    out: Row,
) -> None:
    """As RedPajama-V2 counts: all occurrences of what stands twice, each character once, of those of words."""
    for n in range(2, 11):
        count, best, first = _repeats(prefix, words, n, places, count, slot_of, used, stamp + np.uint64(n - 1))
        if not count:
            return
        taken, end = 0, 0
        if n < 5:
            taken = best * (lengths[first + n] - lengths[first])
        else:
            for at in places[:count]:
                taken += lengths[at + n] - lengths[max(at, end)]
                end = at + n
        out[n - 2] = share(taken, lengths[words])
