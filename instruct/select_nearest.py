"""The nearest of the rows taken so far, in three spaces: words weighted by rarity, MinHash, embeddings."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import polars as pl
from numba import njit

from corpus.duplicates.near.minhash import signatures
from corpus.duplicates.near.shingles import shingle_sets
from instruct.language import units

_HASHES = 128
_DIGITS = 6
_SHINGLE = 3  # words of a shingle; instructions are short


class Nearest(NamedTuple):
    """A taken row, by its number, and the distance to it: 1 less the similarity, rounded so that equals have 0."""

    row: int
    distance: float


class Space(Protocol):
    """Rows by number, some of them taken."""

    def nearest(self, row: int) -> Nearest | None:
        """The most similar taken row (of equals the one taken first); None where nothing is taken."""

    def take(self, row: int) -> None:
        """Add a row to those that others are compared with."""


class WordSpace:
    """Cosine of word counts times log-rarity (TF-IDF: tf · (ln((1 + n) / (1 + df)) + 1)); Chinese by characters.

    An inverted index over the taken rows, with room for all, gives the similarities with all of them at once.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._words, self._weights, self._ends, frequency = _word_vectors(texts)
        self._starts = np.concatenate([[0], np.cumsum(frequency)[:-1]]).astype(np.int64)
        self._filled = np.zeros(len(frequency), np.int64)
        self._places = np.zeros(len(self._words), np.int32)
        self._held = np.zeros(len(self._words))
        self._taken: list[int] = []

    def nearest(self, row: int) -> Nearest | None:
        """See `Space`."""
        if not self._taken:
            return None
        index = self._starts, self._filled, self._places, self._held
        return _best(self._taken, _cosines(*self._vector(row), *index, len(self._taken)))

    def take(self, row: int) -> None:
        """See `Space`."""
        words, weights = self._vector(row)
        at = self._starts[words] + self._filled[words]
        self._places[at], self._held[at] = len(self._taken), weights
        self._filled[words] += 1
        self._taken.append(row)

    def _vector(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """The words of a row, by number and each once, and their weights."""
        part = slice(self._ends[row], self._ends[row + 1])
        return self._words[part], self._weights[part]


class VectorSpace:
    """Cosine of vectors, [rows, size]."""

    def __init__(self, vectors: np.ndarray) -> None:
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        self._vectors = (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
        self._near = np.empty_like(self._vectors)
        self._taken: list[int] = []

    def nearest(self, row: int) -> Nearest | None:
        """See `Space`."""
        if not self._taken:
            return None
        return _best(self._taken, self._near[: len(self._taken)] @ self._vectors[row])

    def take(self, row: int) -> None:
        """See `Space`."""
        self._near[len(self._taken)] = self._vectors[row]
        self._taken.append(row)


class HashSpace:
    """The Jaccard similarity of the sets of word 3-grams, estimated by the share of equal MinHash values."""

    def __init__(self, texts: Sequence[str]) -> None:
        sets = shingle_sets(pl.Series(list(texts), dtype=pl.String), _SHINGLE)
        self._signatures = signatures(sets.values, sets.offsets, _HASHES)
        self._near = np.empty_like(self._signatures)
        self._taken: list[int] = []

    def nearest(self, row: int) -> Nearest | None:
        """See `Space`."""
        if not self._taken:
            return None
        return _best(self._taken, _equal_shares(self._near[: len(self._taken)], self._signatures[row]))

    def take(self, row: int) -> None:
        """See `Space`."""
        self._near[len(self._taken)] = self._signatures[row]
        self._taken.append(row)


def _word_vectors(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Vectors of length 1, one after the other: words by number, weights, ends; and how many texts have a word."""
    numbers: dict[str, int] = {}
    words, counts, ends = array("q"), array("d"), array("q", [0])
    for text in texts:
        for word, count in Counter(units(text)).items():
            words.append(numbers.setdefault(word, len(numbers)))
            counts.append(count)
        ends.append(len(words))
    of, weights, limits = np.array(words, np.int64), np.array(counts), np.array(ends, np.int64)
    frequency = np.bincount(of, minlength=len(numbers))
    weights *= np.log((1 + len(texts)) / (1 + frequency[of])) + 1
    squares = np.concatenate([[0.0], np.cumsum(weights**2)])
    lengths = np.sqrt(squares[limits[1:]] - squares[limits[:-1]])
    return of, weights / np.repeat(lengths, np.diff(limits)), limits, frequency


@njit(cache=True)
def _cosines(
    words: np.ndarray,
    weights: np.ndarray,
    starts: np.ndarray,
    filled: np.ndarray,
    places: np.ndarray,
    held: np.ndarray,
    taken: int,
) -> np.ndarray:
    """The similarities of a vector with each taken one, by the index: where a word's entries start, how many."""
    similarity = np.zeros(taken)
    for number in range(len(words)):
        start = starts[words[number]]
        for at in range(start, start + filled[words[number]]):
            similarity[places[at]] += weights[number] * held[at]
    return similarity


@njit(cache=True)
def _equal_shares(near: np.ndarray, signature: np.ndarray) -> np.ndarray:
    """The share of equal values of each signature [rows, hashes] with another [hashes]."""
    shares = np.empty(len(near))
    for row in range(len(near)):
        equal = 0
        for at in range(len(signature)):
            equal += near[row, at] == signature[at]
        shares[row] = equal / len(signature)
    return shares


def _best(taken: Sequence[int], similarity: np.ndarray) -> Nearest:
    place = int(similarity.argmax())
    return Nearest(taken[place], max(0.0, round(1.0 - float(similarity[place]), _DIGITS)))
