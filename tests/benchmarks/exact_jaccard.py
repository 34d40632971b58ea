"""Pairs of similar documents by their exact sets of word n-grams: what MinHash is measured against.

No hashes: words are numbered, and n-grams by their words' numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import NamedTuple

import numpy as np

# What a word of a text in lower case may be: tools differ, and near a threshold it matters.
LETTERS_AND_DIGITS: Callable[[str], list[str]] = re.compile(r"[^\W_]+").findall
BETWEEN_SPACES: Callable[[str], list[str]] = str.split


class Sets(NamedTuple):
    """The sets one behind the other, each sorted; `offsets` [documents + 1]: where each begins, the last ends."""

    values: np.ndarray
    offsets: np.ndarray

    def of(self, document: int) -> np.ndarray:
        """One document's n-grams."""
        return self.values[self.offsets[document] : self.offsets[document + 1]]

    def jaccard(self, i: int, j: int) -> float:
        """The similarity of two documents."""
        first, second = self.of(i), self.of(j)
        shared = len(np.intersect1d(first, second, assume_unique=True))
        return shared / max(1, len(first) + len(second) - shared)


def word_ngrams(texts: Sequence[str], size: int, words_of: Callable[[str], list[str]]) -> Sets:
    """The set of `size`-grams of each text; a text with fewer words has none."""
    numbers = dict[str, int]()
    fresh = count()
    words, ends = [], [0]
    for text in texts:
        found = words_of(text.lower())
        words.append(
            np.fromiter(
                (numbers[w] if w in numbers else numbers.setdefault(w, next(fresh)) for w in found), np.int64
            )
        )
        ends.append(ends[-1] + len(found))
    every, documents = np.concatenate(words), np.repeat(np.arange(len(texts)), np.diff(ends))
    grams = every
    for more in range(1, size):  # an n-gram is the n-1-gram here and the word behind it
        pairs = grams[: len(every) - more] * len(numbers) + every[more:]
        grams = np.unique(pairs, return_inverse=True)[1]
    inside = documents[: len(grams)] == documents[size - 1 :]
    width = int(grams.max(initial=0)) + 1
    distinct = _distinct(documents[: len(grams)][inside] * width + grams[inside])
    offsets = np.searchsorted(distinct, np.arange(len(texts) + 1) * width)
    return Sets(distinct % width, offsets)


def similar_pairs(sets: Sets, least: float) -> np.ndarray:
    """All pairs of documents of at least this similarity, int64 [pairs, 2].

    Two sets that are so similar share one of the rarest n-grams of each: of n those up to the n - least n + 1st
    in an order that is the same for all (Chaudhuri et al. 2006, prefix filtering). Candidates are compared
    exactly.
    """
    sizes = np.diff(sets.offsets)
    documents = np.repeat(np.arange(len(sizes)), sizes)
    order = np.lexsort((sets.values, np.bincount(sets.values)[sets.values], documents))
    place = np.arange(len(order)) - np.repeat(sets.offsets[:-1], sizes)
    rare = place <= (sizes - np.ceil(least * sizes))[documents]
    grams, documents = sets.values[order][rare], documents[rare]
    codes = _distinct(np.concatenate(list(_sharing(grams, documents, sizes, least)) or [np.empty(0, np.int64)]))
    pairs = np.stack([codes // len(sizes), codes % len(sizes)], axis=1)
    return pairs[[sets.jaccard(i, j) >= least for i, j in pairs.tolist()]]


def _distinct(values: np.ndarray) -> np.ndarray:
    """Sorted, without repeats; numpy's own `unique` is far slower where most values differ."""
    ordered = np.sort(values)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered


def _sharing(grams: np.ndarray, documents: np.ndarray, sizes: np.ndarray, least: float) -> Iterator[np.ndarray]:
    """Codes of pairs, the lesser document first, that share an n-gram and whose sizes allow the similarity."""
    order = np.lexsort((documents, grams))
    grams, documents = grams[order], documents[order]
    starts = np.arange(len(grams))
    distance = 1
    while len(starts):
        starts = starts[starts + distance < len(grams)]
        starts = starts[grams[starts] == grams[starts + distance]]
        left, right = documents[starts], documents[starts + distance]
        fits = np.minimum(sizes[left], sizes[right]) >= least * np.maximum(sizes[left], sizes[right])
        yield _distinct(left[fits] * len(sizes) + right[fits])
        distance += 1
