"""Real documents with planted near duplicates, for the benchmarks of dedup."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from tests.benchmarks.inputs import ENGLISH, domains, pieces

CHARACTERS = 2_400  # of a piece
SHARE = 0.25  # of the documents that are planted copies
LEAST = 0.6  # Jaccard similarity of word 5-grams aimed at, from this to 1
NGRAM = 5
RENEWED = 0.25  # share of words that are others where the real pieces do not suffice: similarity about .1


class Planted(NamedTuple):
    """Columns `id`, `text` in random order, and of every planted copy its row and that of its original."""

    documents: pl.DataFrame
    copies: np.ndarray
    originals: np.ndarray
    real: int  # pieces that are as they were


def plant(data: Path, count: int, seed: int = 0) -> Planted:
    """`count` English documents of the real data, cut into pieces; a quarter of them changed copies of others.

    Where there are too few pieces they come again with a quarter of their words changed: so little is left of
    their 5-grams that they are documents of their own.
    """
    draw = np.random.default_rng(seed)
    whole = domains(data, ENGLISH[:4], 10**9).with_columns(id=pl.col("domain") + "/" + pl.col("id"))
    cut = pieces(whole, CHARACTERS).sample(fraction=1, seed=seed, shuffle=True)
    words = np.array(" ".join(cut["text"].head(2_000)).split(), dtype=object)
    copied = round(count * SHARE)
    ids, texts = _originals(cut, count - copied, words, draw)
    sources = draw.choice(len(texts), copied, replace=copied > len(texts))
    for number, source in enumerate(sources.tolist()):
        ids.append(f"copy-{number}")
        texts.append(changed(texts[source], changed_share(draw.uniform(LEAST, 1)), words, draw))
    order = draw.permutation(count)
    places = np.argsort(order)
    documents = pl.DataFrame({"id": ids, "text": texts})[order]
    first_copy = count - copied
    return Planted(documents, places[first_copy:], places[sources], min(cut.height, first_copy))


def _originals(
    cut: pl.DataFrame, count: int, words: np.ndarray, draw: np.random.Generator
) -> tuple[list[str], list[str]]:
    ids, texts = cut["id"].to_list(), cut["text"].to_list()
    for number in range(len(texts), count):
        ids.append(f"{ids[number % cut.height]}/again-{number // cut.height}")
        texts.append(changed(texts[number % cut.height], RENEWED, words, draw))
    return ids[:count], texts[:count]


def changed_share(similarity: float, ngram: int = NGRAM) -> float:
    """The share of words to change at random for this Jaccard similarity of n-grams, about.

    Of two sets of n of which s stay, s / (2 n - s) are shared; an n-gram stays where none of its words is changed.
    """
    stay = 2 * similarity / (1 + similarity)
    return float(1 - stay ** (1 / ngram))


def changed(text: str, share: float, words: np.ndarray, draw: np.random.Generator) -> str:
    """The text with a share of its words, at random, in place of which stand others."""
    own = text.split(" ")
    places = np.flatnonzero(draw.random(len(own)) < share)
    for place, other in zip(places.tolist(), draw.integers(0, len(words), len(places)).tolist(), strict=True):
        own[place] = words[other]
    return " ".join(own)
