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
    find_slot,
    hash_span,
    mix,
    new_slots,
    seen,
    share,
    slot_mask,
)
from corpus.text.characters import CONTENT, LOWER, UPPER
from corpus.text.segmentation import Codes, Positions, Table

Row = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

FUNCTION_WORD, GOPHER_STOP_WORD = 1, 2  # bits of a stop word
_BASE = np.uint64(0x9E3779B97F4A7C15)
_LAST_ASCII = 0x7F


@numba.njit(cache=True)
def ngram_signals(
    codes: Codes,
    offsets: Positions,
    starts: Positions,
    ends: Positions,
    firsts: Positions,
    table: Table,
    lower: Codes,
    stop_hashes: Hashes,
    stop_bits: Hashes,
    out: npt.NDArray[np.float64],
) -> None:
    """Fill `out` [texts, signals] from texts and words as `corpus.text.words.Words` has them.

    `lower` [code points]: the lower case of each. `stop_hashes` [words], sorted, and `stop_bits` [words]: what
    each stop word is. The signals are those of `corpus.filtering.signals.NGRAMS`, in that order.
    """
    most, longest = 1, 1
    for text in range(offsets.size - 1):
        most = max(most, firsts[text + 1] - firsts[text])
    for k in range(starts.size):
        longest = max(longest, ends[k] - starts[k])
    used = new_slots(most)
    prefix, lengths = np.zeros(most + 1, dtype=np.uint64), np.zeros(most + 1, dtype=np.int64)
    live, slot_of = np.zeros(most + 1, dtype=np.bool_), np.empty(most + 1, dtype=np.int64)
    plain = np.empty(longest, dtype=np.uint32)
    stamp = np.uint64(0)
    for text in range(offsets.size - 1):
        first, last = firsts[text], firsts[text + 1]
        words, characters = last - first, offsets[text + 1] - offsets[text]
        row = out[text]
        for k in range(words):
            word = hash_span(codes, starts[first + k], ends[first + k])
            prefix[k + 1] = prefix[k] * _BASE + word
            lengths[k + 1] = lengths[k] + ends[first + k] - starts[first + k]
        _as_written(prefix, lengths, words, characters, live, slot_of, used, stamp, row[0:9])
        stamp += np.uint64(11)
        own_starts, own_ends = starts[first:last], ends[first:last]
        normal, capitals = _normalize(codes, own_starts, own_ends, table, lower, plain, prefix, lengths)
        row[9] = share(capitals, words)
        _vocabulary(prefix, normal, words, live, slot_of, used, stamp, stop_hashes, stop_bits, row[10:14])
        _normalized(prefix, lengths, normal, live, slot_of, used, stamp, row[14:23])
        stamp += np.uint64(11)


@numba.njit(cache=True)
def _normalize(
    codes: Codes,
    starts: Positions,
    ends: Positions,
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
    for k in range(starts.size):
        length, kinds = 0, 0
        for at in range(starts[k], ends[k]):
            kind = table[codes[at]]
            kinds |= kind
            if codes[at] > _LAST_ASCII or kind & CONTENT:
                plain[length] = lower[codes[at]]
                length += 1
        capitals += (kinds & UPPER) != 0 and not kinds & LOWER
        if kinds & CONTENT:
            prefix[count + 1] = prefix[count] * _BASE + hash_span(plain, 0, length)
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
    prefix: Hashes, words: int, n: int, live: Flags, slot_of: Positions, used: Slots, stamp: Any
) -> tuple[int, int]:
    """Set `live` [places]: whether the n-gram there stands more than once; it has the same for n - 1.

    Returns the greatest count and where the first of the n-grams that have it begins.
    """
    places = max(words - n + 1, 0)
    candidates = 0
    for at in range(places):
        live[at] = live[at] and live[at + 1] if n > 1 else True
        candidates += live[at]
    live[places : words + 1] = False
    power, mask = _power(n), slot_mask(candidates, used)
    keys, stamps, counts, firsts = used
    best, best_first = min(places, 1), 0
    for at in range(places):
        if not live[at]:
            continue
        key = _gram(prefix, at, n, power)
        slot = find_slot(used, stamp, mask, key)
        if stamps[slot] != stamp:
            keys[slot], stamps[slot] = key, stamp
            counts[slot], firsts[slot] = 0, at
        counts[slot] += 1
        slot_of[at] = slot
        if counts[slot] > best or (counts[slot] == best and firsts[slot] < best_first):
            best, best_first = counts[slot], firsts[slot]
    for at in range(places):
        live[at] = live[at] and counts[slot_of[at]] > 1
    return best, best_first


@numba.njit(cache=True)
def _as_written(
    prefix: Hashes,
    lengths: Positions,
    words: int,
    characters: int,
    live: Flags,
    slot_of: Positions,
    used: Slots,
    stamp: Any,
    out: Row,
) -> None:
    """As datatrove counts: punctuation is a word, spaces within the top n-gram count, of all characters."""
    live[: words + 1] = True
    for n in range(2, 5):
        best, first = _repeats(prefix, words, n, live, slot_of, used, stamp + np.uint64(n - 1))
        length = lengths[first + n] - lengths[first] + n - 1 if best else 0
        out[n - 2] = share(best * length, characters)
    _repeats(prefix, words, 5, live, slot_of, used, stamp + np.uint64(4))
    # From here on slot_of holds how many repeated 5-grams follow one another from each place on.
    run, candidates = 0, 0
    for at in range(words - 1, -1, -1):
        run = run + 1 if live[at] else 0
        slot_of[at] = run
        candidates += run > 0
    mask = slot_mask(candidates, used)
    for n in range(5, 11):
        out[n - 2] = share(
            _scanned(prefix, lengths, words, n, slot_of, used, stamp + np.uint64(n), mask), characters
        )


@numba.njit(cache=True)
def _scanned(
    prefix: Hashes, lengths: Positions, words: int, n: int, runs: Positions, used: Slots, stamp: Any, mask: Any
) -> int:
    """Characters in n-grams that stood before; after one the scan goes on behind it."""
    power = _power(n)
    repeated, at = 0, 0
    while at < words - n + 1:
        if runs[at] >= n - 4 and seen(used, stamp, mask, _gram(prefix, at, n, power)):
            repeated += lengths[at + n] - lengths[at]
            at += n
        else:
            at += 1
    return repeated


@numba.njit(cache=True)
def _vocabulary(
    prefix: Hashes,
    normal: int,
    words: int,
    live: Flags,
    slot_of: Positions,
    used: Slots,
    stamp: Any,
    stop_hashes: Hashes,
    stop_bits: Hashes,
    out: Row,
) -> None:
    """Distinct words, entropy in nats, share of function words, occurrences of Gopher's stop words."""
    _repeats(prefix, normal, 1, live, slot_of, used, stamp)
    counts, firsts = used[2], used[3]
    distinct, entropy, function_words, gopher = 0, 0.0, 0, 0
    for at in range(normal):
        slot = slot_of[at]
        if firsts[slot] != at:
            continue
        distinct += 1
        count = counts[slot]
        entropy -= count / normal * np.log(count / normal)
        key = prefix[at + 1] - prefix[at] * _BASE
        place = np.searchsorted(stop_hashes, key)
        if place < stop_hashes.size and stop_hashes[place] == key:
            function_words += count if stop_bits[place] & np.uint64(FUNCTION_WORD) else 0
            gopher += count if stop_bits[place] & np.uint64(GOPHER_STOP_WORD) else 0
    out[0] = share(distinct, normal)
    out[1] = max(entropy, 0.0)
    out[2] = share(function_words, words)
    out[3] = gopher


@numba.njit(cache=True)
def _normalized(
    prefix: Hashes,
    lengths: Positions,
    words: int,
    live: Flags,
    slot_of: Positions,
    used: Slots,
    stamp: Any,
    out: Row,
) -> None:
    """As RedPajama-V2 counts: all occurrences of what stands twice, each character once, of those of words."""
    for n in range(2, 11):
        best, first = _repeats(prefix, words, n, live, slot_of, used, stamp + np.uint64(n - 1))
        taken, end = 0, 0
        if n < 5:
            taken = best * (lengths[first + n] - lengths[first]) if best > 1 else 0
        else:
            for at in range(max(words - n + 1, 0)):
                if live[at]:
                    taken += lengths[at + n] - lengths[max(at, end)]
                    end = at + n
        out[n - 2] = share(taken, lengths[words])
