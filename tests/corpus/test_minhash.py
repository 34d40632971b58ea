"""Shingles, MinHash, bands, disjoint sets: against brute force, datasketch and published numbers."""

from __future__ import annotations

import random
import re

import numpy as np
import polars as pl
import pytest
from datasketch import MinHash
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpus.core.errors import UsageError
from corpus.duplicates.exact import normalise
from corpus.duplicates.near.minhash import Banding, band_keys, choose_banding, jaccard, set_keys, signatures
from corpus.duplicates.near.shingles import shingle_sets
from corpus.duplicates.near.union_find import new_sets, roots, unite

VOCABULARY = [f"word{i}" for i in range(12)] + [
    "é",
    "中",
    "文字",
    "数据 模型",
    "x1",
    "ｗｉｄｅ",
    ",",
    "—",
    "。",
    "\n",
]


def brute_words(text: str) -> list[str]:
    return re.findall(r"[一-鿿]|[^\W_一-鿿]+", text)


def brute_shingles(text: str, size: int) -> set[tuple[str, ...]]:
    words = brute_words(text)
    if not words:
        return set()
    return {tuple(words[i : i + size]) for i in range(max(1, len(words) - size + 1))}


def brute_jaccard(left: set, right: set) -> float:
    return len(left & right) / len(left | right) if left | right else 0.0


def one_set(text: str, size: int = 5) -> np.ndarray:
    return shingle_sets(pl.Series([text]), size).values


WORDS = st.lists(st.sampled_from(VOCABULARY), max_size=25)


@settings(deadline=None)
@given(WORDS, WORDS, st.integers(1, 6))
def test_jaccard_of_shingles_is_that_of_word_tuples(left: list[str], right: list[str], size: int) -> None:
    texts = [normalise(" ".join(words)) for words in (left, right)]
    values, offsets, _ = shingle_sets(pl.Series(texts), size)
    expected = [brute_shingles(text, size) for text in texts]
    assert np.diff(offsets).tolist() == [len(shingles) for shingles in expected]
    found = jaccard(values[: offsets[1]], values[offsets[1] :])
    assert found == pytest.approx(brute_jaccard(*expected))
    keys = set_keys(values, offsets)
    assert (keys[0] == keys[1]).all() == (expected[0] == expected[1])


@given(st.sets(st.integers(0, 2**32 - 1), max_size=40), st.sets(st.integers(0, 40), max_size=40))
def test_jaccard_of_arrays(left: set[int], right: set[int]) -> None:
    arrays = [np.array(sorted(items), dtype=np.uint32) for items in (left, right)]
    assert jaccard(*arrays) == pytest.approx(brute_jaccard(left, right))


def test_words_of_several_scripts() -> None:
    assert len(one_set("one two three", 1)) == 3
    assert len(one_set("中文网页", 1)) == 4
    assert len(one_set("Python编程", 1)) == 3
    assert len(one_set("naïve café", 1)) == 2
    assert len(one_set("ภาษา", 1)) == len(set("ภาษา"))
    assert (one_set("Ｈｅｌｌｏ, WORLD!") == one_set("hello   world")).all()


def test_short_texts_are_one_shingle_and_wordless_texts_none() -> None:
    assert len(one_set("only three words")) == 1
    assert (one_set("only three words") != one_set("only three word")).all()
    assert len(one_set("one two three four five")) == 1
    assert len(one_set("one two three four five six")) == 2
    assert len(one_set("")) == len(one_set("!!! --- ***")) == 0


def planted(similarity: float, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of equal size with (nearly) this Jaccard similarity."""
    draw = random.Random(seed)
    shared = round(size * 2 * similarity / (1 + similarity))
    numbers = draw.sample(range(2**32), 2 * size - shared)
    left, right = numbers[:size], numbers[:shared] + numbers[size:]
    return np.array(sorted(left), dtype=np.uint32), np.array(sorted(right), dtype=np.uint32)


def sign(*sets: np.ndarray, hashes: int = 112) -> np.ndarray:
    offsets = np.cumsum([0, *(len(items) for items in sets)])
    return signatures(np.concatenate(sets), offsets.astype(np.int64), hashes)


@pytest.mark.parametrize("similarity", [0.0, 0.2, 0.5, 0.8, 0.95, 1.0])
def test_share_of_equal_hashes_estimates_jaccard_like_datasketch(similarity: float) -> None:
    ours, theirs, truth = [], [], []
    for seed in range(60):
        left, right = planted(similarity, 200, seed)
        truth.append(brute_jaccard(set(left.tolist()), set(right.tolist())))
        signed = sign(left, right)
        ours.append(float((signed[0] == signed[1]).mean()))
        if seed < 10:
            peers = [MinHash(num_perm=112, seed=1) for _ in range(2)]
            for peer, items in zip(peers, (left, right), strict=True):
                peer.update_batch([int(item).to_bytes(4, "little") for item in items])
            theirs.append(peers[0].jaccard(peers[1]))
    mean = float(np.mean(truth))
    deviation = np.sqrt(mean * (1 - mean) / 112)
    assert abs(np.mean(ours) - mean) <= 4 * deviation / np.sqrt(60)
    assert abs(np.mean(theirs) - mean) <= 4 * deviation / np.sqrt(10)
    assert np.std(ours) <= 1.4 * deviation + 1e-12


def test_bands_agree_as_often_as_the_formula_says() -> None:
    banding = Banding(14, 8)
    found = []
    for seed in range(300):
        keys = band_keys(sign(*planted(0.75, 150, seed)), banding)
        found.append(bool((keys[0] == keys[1]).any()))
    expected = banding.probability(0.75)
    assert abs(np.mean(found) - expected) <= 4 * np.sqrt(expected * (1 - expected) / 300)


def test_published_banding_of_fineweb() -> None:
    banding = choose_banding(0.8)
    assert banding == Banding(14, 8)
    # FineWeb (Penedo et al. 2024): 56, 77, 92 and 98.8 % at similarities 0.7, 0.75, 0.8, 0.85.
    assert [round(banding.probability(s), 2) for s in (0.7, 0.75, 0.8)] == [0.56, 0.77, 0.92]
    assert round(banding.probability(0.85), 3) == 0.988


@given(st.floats(0.05, 1.0))
def test_chosen_banding_finds_pairs_at_the_threshold(threshold: float) -> None:
    banding = choose_banding(threshold)
    assert banding.bands * banding.rows <= 112
    assert banding.probability(threshold) >= 0.9


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.1])
def test_threshold_out_of_range(threshold: float) -> None:
    with pytest.raises(UsageError, match="threshold"):
        choose_banding(threshold)


@settings(deadline=None)
@given(st.integers(1, 30), st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=40))
def test_disjoint_sets_against_repeated_merging(count: int, pairs: list[tuple[int, int]]) -> None:
    pairs = [(i % count, j % count) for i, j in pairs]
    groups = [{i} for i in range(count)]
    parents = new_sets(count)
    for i, j in pairs:
        first = next(group for group in groups if i in group)
        second = next(group for group in groups if j in group)
        assert unite(parents, i, j) == (first is not second)
        if first is not second:
            groups.remove(second)
            first |= second
    assert roots(parents).tolist() == [min(next(group for group in groups if i in group)) for i in range(count)]


# Spaces of both kinds, what becomes several, what depends on its neighbours, digits like letters beyond ASCII.
AWKWARD = "ab1 \n\x00.\u00a0\u3000\u0131\u0301e\u03a3\u2026\ufb01\uff21\u4e2d\u0e20\u1161"


@settings(deadline=None, max_examples=300)
@given(st.lists(st.text(AWKWARD, max_size=12), max_size=12))
@example(["1", "\u0131"])
@example(["", " ", "\u3000", "a", "a ", "a \u3000 ", "\u3000a", "a b", "a  b", "ab"])
def test_keys_are_those_of_normalised_texts(texts: list[str]) -> None:
    keys = [tuple(row) for row in shingle_sets(pl.Series(texts, dtype=pl.String), 5).text_keys.tolist()]
    plain = [" ".join(normalise(text).split()) for text in texts]
    assert all((keys[i] == keys[j]) == (plain[i] == plain[j]) for i in range(len(texts)) for j in range(i))
    assert len({half for key in set(keys) for half in key}) == 2 * len(set(plain))


@settings(deadline=None, max_examples=300)
@given(st.lists(st.text(AWKWARD, max_size=12), max_size=6), st.integers(1, 3))
def test_sets_are_those_of_normalised_texts(texts: list[str], size: int) -> None:
    found = shingle_sets(pl.Series(texts, dtype=pl.String), size)
    again = shingle_sets(pl.Series([" ".join(normalise(text).split()) for text in texts], dtype=pl.String), size)
    assert all((left == right).all() for left, right in zip(found, again, strict=True))
