"""Where two texts share shingles: spans of characters in the texts as they are, for a reader."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from corpus.duplicates.exact import normalise
from corpus.duplicates.near.shingles import IDEOGRAPH, LETTER, word_classes

Span = tuple[int, int]


class SharedParts(NamedTuple):
    """Spans (first character, behind the last) that each text shares with the other, and how many shingles."""

    left: list[Span]
    right: list[Span]
    shared_shingles: int
    all_shingles: int


def shared_parts(left: str, right: str, size: int) -> SharedParts:
    """The parts of both texts that lie in a shingle of `size` words which the other has, too.

    Words and shingles are those of `shingle_sets`, as words and not as hashes.
    """
    words = [list(_words(text)) for text in (left, right)]
    shingles = [_shingles([word for word, _ in found], size) for found in words]
    sets = [set(one) for one in shingles]
    both = sets[0] & sets[1]
    spans = [list(_covered(found, one, both)) for found, one in zip(words, shingles, strict=True)]
    return SharedParts(spans[0], spans[1], len(both), len(sets[0] | sets[1]))


def _words(text: str) -> Iterator[tuple[str, Span]]:
    """The words of a text, normalised, each with its place; what normalises to several words has one place."""
    for first, last in _word_places(text):
        word = text[first:last]
        if word.isascii():
            yield word.lower(), (first, last)
            continue
        plain = normalise(word)
        for start, stop in _word_places(plain):
            yield plain[start:stop], (first, last)


def _word_places(text: str) -> Iterator[Span]:
    kinds = word_classes()[np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)]
    letters = np.concatenate([[0], kinds == LETTER, [0]]).astype(np.int8)
    firsts, lasts = (np.flatnonzero(np.diff(letters) == step) for step in (1, -1))
    single = np.flatnonzero(kinds == IDEOGRAPH)
    starts, stops = np.concatenate([firsts, single]), np.concatenate([lasts, single + 1])
    order = np.argsort(starts)
    yield from zip(starts[order].tolist(), stops[order].tolist(), strict=True)


def _shingles(words: list[str], size: int) -> list[tuple[str, ...]]:
    """Every run of `size` words; of fewer words, all of them."""
    width = min(size, len(words))
    return [tuple(words[first : first + width]) for first in range(len(words) - width + 1)] if words else []


def _covered(
    words: list[tuple[str, Span]], shingles: list[tuple[str, ...]], both: set[tuple[str, ...]]
) -> Iterator[Span]:
    """The places of shared shingles, those that touch as one."""
    first = last = -1
    for number, shingle in enumerate(shingles):
        if shingle not in both:
            continue
        if number > last and last >= 0:
            yield words[first][1][0], words[last - 1][1][1]
            first = -1
        first = number if first < 0 else first
        last = number + len(shingle)
    if last >= 0:
        yield words[first][1][0], words[last - 1][1][1]
