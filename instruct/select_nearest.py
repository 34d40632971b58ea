"""The nearest of the rows taken so far, in three spaces: words weighted by rarity, MinHash, embeddings."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import polars as pl

from corpus.duplicates.minhash import signatures
from corpus.duplicates.shingles import shingle_sets
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

    An inverted index over the taken rows gives the similarities with all of them at once.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        counts = [Counter(units(text)) for text in texts]
        frequency = Counter(word for count in counts for word in count)
        rarity = {word: math.log((1 + len(texts)) / (1 + number)) + 1 for word, number in frequency.items()}
        self._vectors = [_normalised({word: n * rarity[word] for word, n in count.items()}) for count in counts]
        self._holders: dict[str, tuple[array[int], array[float]]] = {}
        self._taken: list[int] = []

    def nearest(self, row: int) -> Nearest | None:
        """See `Space`."""
        if not self._taken:
            return None
        similarity = np.zeros(len(self._taken))
        for word, weight in self._vectors[row].items():
            if word in self._holders:
                places, weights = self._holders[word]
                similarity[np.frombuffer(places, np.int64)] += weight * np.frombuffer(weights, np.float64)
        return _best(self._taken, similarity)

    def take(self, row: int) -> None:
        """See `Space`."""
        for word, weight in self._vectors[row].items():
            places, weights = self._holders.setdefault(word, (array("q"), array("d")))
            places.append(len(self._taken))
            weights.append(weight)
        self._taken.append(row)


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
        return _best(self._taken, (self._near[: len(self._taken)] == self._signatures[row]).mean(axis=1))

    def take(self, row: int) -> None:
        """See `Space`."""
        self._near[len(self._taken)] = self._signatures[row]
        self._taken.append(row)


def _normalised(vector: dict[str, float]) -> dict[str, float]:
    length = math.sqrt(sum(weight * weight for weight in vector.values()))
    return {word: weight / length for word, weight in vector.items()}


def _best(taken: Sequence[int], similarity: np.ndarray) -> Nearest:
    place = int(similarity.argmax())
    return Nearest(taken[place], max(0.0, round(1.0 - float(similarity[place]), _DIGITS)))
