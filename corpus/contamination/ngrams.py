"""Runs of words that texts share with evaluation items: exact, as array code over hashes.

Words are compared in lower case, without accents, punctuation and apostrophes, and with full-width and other
compatibility forms as plain ones. Chinese, Japanese, Thai, Lao, Burmese and Khmer write no spaces: there every
character is a word of its own, and weighs less. A gram of n words (13 in GPT-3: Brown et al. 2020, appendix C) is
the shortest run that weighs n whole words: 13 English words, 20 Han characters, 38 kana, or a mixture.
Simplified and Traditional characters are different ones.

All compiled functions that call each other are in this file: numba's cache does not see changes in another.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from corpus.text.words import chunks, code_points, text_offsets

Codes = npt.NDArray[np.uint32]
Hashes = npt.NDArray[np.uint64]
Positions = npt.NDArray[np.int64]
Places = npt.NDArray[np.int32]  # characters of a chunk of documents, or of all pieces: far fewer than 2^31
Flags = npt.NDArray[np.bool_]

LEAST_WORDS = 8  # an item of fewer, or of fewer than 13 Han characters, is said by chance
_WORD_WEIGHT, _HAN_WEIGHT, _KANA_WEIGHT = 20, 13, 7
_SEPARATOR, _LETTER, _SYMBOL, _IGNORED, _HAN, _KANA = range(6)
_WEIGHTS = np.array([0, _WORD_WEIGHT, _WORD_WEIGHT, 0, _HAN_WEIGHT, _KANA_WEIGHT], dtype=np.uint8)
_HAN_RANGES = ((0x3005, 0x3007), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF))
_KANA_RANGES = ((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x31F0, 0x31FF))
_ACCENTS = (0x300, 0x36F)
_APOSTROPHES_AND_JOINERS = "'’‘ʼ＇\u00ad\u200b\u200c\u200d\u2060\ufeff"
_LAST_FOLDED = 0x32400  # beyond it there are no letters
_SEED, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_BASE = np.uint64(0x9E3779B97F4A7C15)
_TEXT, _PIECE, _FIRST, _END, _GRAMS = range(5)  # columns of matches


class Tokens(NamedTuple):
    """The words of some texts, as they are compared.

    `folded` [characters]: the words' characters; word k has those from bounds[k] to bounds[k + 1].
    `starts`, `ends` [words]: where each stands in the texts' joined code points.
    `kinds` [words]: word, symbol (a number or a single letter), Han or kana.
    `firsts` [texts + 1]: the first word of each text.
    """

    folded: Codes
    bounds: Places
    starts: Places
    ends: Places
    kinds: npt.NDArray[np.uint8]
    firsts: Positions


class Index(NamedTuple):
    """The grams of evaluation pieces, sorted by the hash of their beginning: as much as LEAST_WORDS words weigh.

    `keys` [grams]: those hashes; `buckets`: where in `keys` the hashes with the same leading bits begin.
    `pieces`, `places`, `lengths` [grams]: whose gram it is, its first word in `tokens`, its number of words.
    `least`: the weight of a beginning.
    """

    tokens: Tokens
    keys: Hashes
    buckets: Positions
    pieces: Positions
    places: Positions
    lengths: Positions
    least: int


class Hit(NamedTuple):
    """A stretch of a text that an evaluation piece has too.

    `first` and `end` are characters of the text number `text`; `grams` how many grams of the text in it match;
    `share` the words of the stretch to those of the piece, at most 1.
    """

    text: int
    piece: int
    first: int
    end: int
    grams: int
    share: float


def find_tokens(texts: Sequence[str]) -> Tokens:
    """Split texts into the words that are compared."""
    codes, offsets = code_points(texts), text_offsets(texts)
    return Tokens(*_split(codes, offsets, *_tables()))


def checkable(texts: Sequence[str], ngram: int, whole: Flags) -> Flags:
    """Whether each text has a gram that is evidence; shape [texts].

    Enough words make a gram, but not numbers and single letters alone. Where `whole` [texts] says so, a text that
    is shorter than a gram, but not than LEAST_WORDS, is one gram as a whole.
    """
    found = np.zeros(len(texts), dtype=np.bool_)
    found[_grams(find_tokens(texts), ngram, whole)[0]] = True
    return found


def build_index(texts: Sequence[str], ngram: int, whole: Flags) -> Index:
    """The grams of evaluation pieces that are evidence (see `checkable`).

    Two grams of one piece with the same 64-bit hash count as one.
    """
    tokens = find_tokens(texts)
    pieces, places, lengths = _grams(tokens, ngram, whole)
    least = _least_weight(ngram)
    hashes = _prefix_hashes(tokens.folded, tokens.bounds)
    heads = _run_ends(_WEIGHTS[tokens.kinds], tokens.firsts, least)[places]
    keys = _hash_runs(hashes, places, heads)
    wholes = _hash_runs(hashes, places, places + lengths)
    order = np.lexsort((wholes, pieces, keys))  # stable: of equal grams of a piece the first comes first
    same = (wholes[order[1:]] == wholes[order[:-1]]) & (pieces[order[1:]] == pieces[order[:-1]])
    chosen = order[np.append(True, ~same)[: order.size]]
    keys = keys[chosen]
    bits = max(1, int(chosen.size).bit_length())
    edges = np.arange(2**bits, dtype=np.uint64) << np.uint64(64 - bits)
    buckets = np.append(np.searchsorted(keys, edges), keys.size)
    return Index(tokens, keys, buckets, pieces[chosen], places[chosen], lengths[chosen], least)


def find_hits(texts: Sequence[str], index: Index) -> list[Hit]:
    """The stretches of the texts that pieces of the index have too, in the order of the texts.

    Grams of one piece that overlap or touch in a text make one stretch. A stretch within a longer one is told only
    where it is the whole piece.
    """
    hits: list[Hit] = []
    before = 0
    for part in chunks(texts):
        hits += [hit._replace(text=hit.text + before) for hit in _find(part, index)]
        before += len(part)
    return hits


def _find(texts: Sequence[str], index: Index) -> list[Hit]:
    tokens, items = find_tokens(texts), index.tokens
    hashes = _prefix_hashes(tokens.folded, tokens.bounds)
    ends = _run_ends(_WEIGHTS[tokens.kinds], tokens.firsts, index.least)
    rows = _match(
        *(tokens.folded, tokens.bounds, tokens.firsts, hashes, ends),
        *(items.folded, items.bounds, items.firsts),
        *(index.keys, index.buckets, index.pieces, index.places, index.lengths),
    )
    sizes = np.diff(items.firsts)[rows[:, _PIECE]]
    shares = np.minimum(1.0, (rows[:, _END] - rows[:, _FIRST]) / np.maximum(sizes, 1))
    order = np.lexsort((rows[:, _PIECE], -rows[:, _END], rows[:, _FIRST], rows[:, _TEXT]))
    rows, shares = rows[order], shares[order]
    told = _outermost(rows) | (shares == 1.0)
    offsets = text_offsets(texts)
    return [
        Hit(
            text, piece, int(tokens.starts[first] - offsets[text]), int(tokens.ends[end - 1] - offsets[text]), n, s
        )
        for (text, piece, first, end, n), s in zip(rows[told].tolist(), shares[told].tolist(), strict=True)
    ]


def _least_weight(ngram: int) -> int:
    return _WORD_WEIGHT * min(ngram, LEAST_WORDS)


def _grams(tokens: Tokens, ngram: int, whole: Flags) -> tuple[Positions, Positions, Positions]:
    """The text, first word and number of words of every gram that is evidence."""
    weights, firsts = _WEIGHTS[tokens.kinds], tokens.firsts
    texts = np.repeat(np.arange(firsts.size - 1), np.diff(firsts))
    places = np.arange(texts.size)
    ends = _run_ends(weights, firsts, _WORD_WEIGHT * ngram)
    summed = np.append(0, np.cumsum(weights, dtype=np.int64))
    short = whole[texts] & (places == firsts[texts]) & (ends < 0)
    short &= summed[firsts[texts + 1]] - summed[places] >= _least_weight(ngram)
    ends = np.where(short, firsts[texts + 1], ends)
    letters = np.append(0, np.cumsum(tokens.kinds != _SYMBOL))
    chosen = ends >= 0
    chosen[chosen] = letters[ends[chosen]] > letters[places[chosen]]
    return texts[chosen], places[chosen], (ends - places)[chosen]


def _fold(character: str) -> str:
    plain = [c for c in unicodedata.normalize("NFKD", character) if not _ACCENTS[0] <= ord(c) <= _ACCENTS[1]]
    lower = (plain[0] if len(plain) == 1 else character).lower()
    return lower if len(lower) == 1 else character


@lru_cache(maxsize=1)
def _tables() -> tuple[Codes, npt.NDArray[np.uint8]]:
    """Per code point what it is compared as, and its kind; shapes [0x110000]."""
    fold = np.arange(0x110000, dtype=np.uint32)
    fold[:_LAST_FOLDED] = [ord(_fold(chr(code))) for code in range(_LAST_FOLDED)]
    kinds = np.zeros(0x110000, dtype=np.uint8)
    of_category = {"L": _LETTER, "M": _LETTER, "N": _SYMBOL}
    kinds[:_LAST_FOLDED] = [
        of_category.get(unicodedata.category(chr(code))[0], _SEPARATOR) for code in fold[:_LAST_FOLDED]
    ]
    for ranges, kind in ((_HAN_RANGES, _HAN), (_KANA_RANGES, _KANA)):
        for first, last in ranges:
            kinds[(fold >= first) & (fold <= last) & (kinds != _SEPARATOR)] = kind
    kinds[_ACCENTS[0] : _ACCENTS[1] + 1] = _IGNORED
    kinds[[ord(character) for character in _APOSTROPHES_AND_JOINERS]] = _IGNORED
    return fold, kinds


@njit(cache=True)
def _split(codes: Any, offsets: Any, fold: Any, kinds: Any) -> Any:
    """The arrays of `Tokens`."""
    folded, bounds = np.empty(codes.size, dtype=np.uint32), np.empty(codes.size + 1, dtype=np.int32)
    starts, ends = np.empty(codes.size, dtype=np.int32), np.empty(codes.size, dtype=np.int32)
    found, firsts = np.empty(codes.size, dtype=np.uint8), np.zeros(offsets.size, dtype=np.int64)
    count = size = 0
    for text in range(offsets.size - 1):
        inside = letters = False
        for at in range(offsets[text], offsets[text + 1]):
            kind = kinds[codes[at]]
            if kind == _IGNORED:
                continue
            word = kind in (_LETTER, _SYMBOL)
            if word and inside:
                letters = letters or kind == _LETTER
                if letters:
                    found[count - 1] = _LETTER
            elif kind != _SEPARATOR:
                starts[count], bounds[count] = at, size
                found[count] = _SYMBOL if word else kind
                letters = kind == _LETTER
                count += 1
            inside = word
            if kind != _SEPARATOR:
                folded[size] = fold[codes[at]]
                size += 1
                ends[count - 1] = at + 1
        firsts[text + 1] = count
    bounds[count] = size
    # Views: of what was never written, the system gives no memory, and a copy would need as much again.
    return folded[:size], bounds[: count + 1], starts[:count], ends[:count], found[:count], firsts


@njit(cache=True)
def _mix(key: Any) -> Any:
    """Spread a 64-bit number's information over all its bits (the finaliser of MurmurHash3)."""
    key = (key ^ (key >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    key = (key ^ (key >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return key ^ (key >> np.uint64(33))


@njit(cache=True)
def _prefix_hashes(folded: Any, bounds: Any) -> Any:
    """Polynomial hashes (modulo 2^64) of the words up to each; shape [words + 1]."""
    hashes = np.zeros(bounds.size, dtype=np.uint64)
    for word in range(bounds.size - 1):
        value = _SEED
        for at in range(bounds[word], bounds[word + 1]):
            value = (value ^ np.uint64(folded[at])) * _PRIME
        hashes[word + 1] = hashes[word] * _BASE + _mix(value)
    return hashes


@njit(cache=True)
def _power(exponent: int) -> Any:
    value, square = np.uint64(1), _BASE
    while exponent:
        if exponent & 1:
            value *= square
        square *= square
        exponent >>= 1
    return value


@njit(cache=True)
def _hash_run(hashes: Any, first: int, end: int) -> Any:
    return _mix(hashes[end] - hashes[first] * _power(end - first))


@njit(cache=True)
def _hash_runs(hashes: Any, firsts: Any, ends: Any) -> Any:
    """The hash of the words from each first to each end."""
    keys = np.empty(firsts.size, dtype=np.uint64)
    for run in range(firsts.size):
        keys[run] = _hash_run(hashes, firsts[run], ends[run])
    return keys


@njit(cache=True)
def _run_ends(weights: Any, firsts: Any, least: int) -> Any:
    """For each word the end of the shortest run from it, within its text, that weighs `least`; -1 for none."""
    ends = np.full(weights.size, -1, dtype=np.int32)
    for text in range(firsts.size - 1):
        end, weight = firsts[text], 0
        for first in range(firsts[text], firsts[text + 1]):
            while end < firsts[text + 1] and weight < least:
                weight += weights[end]
                end += 1
            if weight < least:
                break
            ends[first] = end
            weight -= weights[first]
    return ends


@njit(cache=True)
def _same(folded: Any, bounds: Any, first: int, other: Any, limits: Any, place: int, words: int) -> bool:
    """Whether so many words from `first` on here and from `place` on there are the same."""
    for word in range(words):
        here, there = bounds[first + word], limits[place + word]
        size = bounds[first + word + 1] - here
        if size != limits[place + word + 1] - there:
            return False
        for at in range(size):
            if folded[here + at] != other[there + at]:
                return False
    return True


@njit(cache=True)
def _match(
    folded: Any,
    bounds: Any,
    firsts: Any,
    hashes: Any,
    ends: Any,
    item_folded: Any,
    item_bounds: Any,
    item_firsts: Any,
    keys: Any,
    buckets: Any,
    pieces: Any,
    places: Any,
    lengths: Any,
) -> Any:
    """Rows (text, piece, first word, end word, grams) of stretches: grams of a piece that overlap or touch."""
    rows, count = np.empty((64, 5), dtype=np.int64), 0
    latest = np.full(item_firsts.size, -1, dtype=np.int64)  # the last row of each piece
    shift = np.uint64(64)
    size = buckets.size - 1
    while size > 1:
        size //= 2
        shift -= np.uint64(1)
    for text in range(firsts.size - 1):
        for first in range(firsts[text], firsts[text + 1]):
            if ends[first] < 0:
                break
            key = _hash_run(hashes, first, ends[first])
            bucket = np.int64(key >> shift)
            for gram in range(buckets[bucket], buckets[bucket + 1]):
                words = lengths[gram]
                if keys[gram] != key or first + words > firsts[text + 1]:
                    continue
                if not _same(folded, bounds, first, item_folded, item_bounds, places[gram], words):
                    continue
                row = latest[pieces[gram]]
                if row >= 0 and rows[row, _TEXT] == text and rows[row, _END] >= first:
                    rows[row, _END] = max(rows[row, _END], first + words)
                    rows[row, _GRAMS] += 1
                    continue
                if count == rows.shape[0]:
                    rows = np.concatenate((rows, np.empty_like(rows)))
                rows[count, _TEXT], rows[count, _PIECE], rows[count, _GRAMS] = text, pieces[gram], 1
                rows[count, _FIRST], rows[count, _END] = first, first + words
                latest[pieces[gram]] = count
                count += 1
    return rows[:count].copy()


@njit(cache=True)
def _outermost(rows: Any) -> Any:
    """Which rows, sorted by text, first word and falling end, lie in no other row's stretch that is longer."""
    outermost = np.ones(rows.shape[0], dtype=np.bool_)
    text, first, end = -1, 0, 0
    for row in range(rows.shape[0]):
        if rows[row, _TEXT] != text or rows[row, _END] > end:
            text, first, end = rows[row, _TEXT], rows[row, _FIRST], rows[row, _END]
        elif rows[row, _END] < end or rows[row, _FIRST] > first:
            outermost[row] = False
    return outermost
