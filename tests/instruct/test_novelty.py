"""Nearest texts and decisions by ROUGE-L against a textbook LCS and the full comparison of all pairs."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instruct.novelty import CHINESE_TOKENS, Neighbour, RougeIndex, tokens

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "instruct"
WORDS = st.lists(st.sampled_from("abcde"), max_size=12)


def table_lcs(first: list[str], second: list[str]) -> int:
    """Longest common subsequence by dynamic programming over a table."""
    row = [0] * (len(second) + 1)
    for token in first:
        before = row[:]
        for place, other in enumerate(second, 1):
            row[place] = before[place - 1] + 1 if token == other else max(before[place], row[place - 1])
    return row[-1]


def f1(first: list[str], second: list[str]) -> float:
    common = table_lcs(first, second)
    if not common:
        return 0.0
    precision, recall = common / len(first), common / len(second)
    return 2 * precision * recall / (precision + recall)


def brute_force(texts: list[str], language: str, chinese_tokens: str) -> Iterator[list[Neighbour]]:
    """Self-Instruct's loop: each text against all that were kept before it, the ten nearest."""
    kept: list[tuple[str, list[str]]] = []
    for place, text in enumerate(texts):
        words = tokens(text, language, chinese_tokens)
        scored = [Neighbour(name, f1(words, other)) for name, other in kept]
        near = sorted((one for one in scored if one.score > 0), key=lambda one: -one.score)[:10]
        if not near or near[0].score <= 0.7:
            kept.append((str(place), words))
        yield near


def by_index(texts: list[str], language: str, chinese_tokens: str) -> Iterator[list[Neighbour]]:
    index = RougeIndex(language, chinese_tokens)
    for place, text in enumerate(texts):
        near = index.nearest(text)
        if not near or near[0].score <= 0.7:
            index.add(str(place), text)
        yield near


def assert_equal(texts: list[str], language: str, chinese_tokens: str = "characters") -> int:
    """Compares the ten nearest of each text, and returns how many were kept."""
    kept = 0
    pairs = zip(
        by_index(texts, language, chinese_tokens), brute_force(texts, language, chinese_tokens), strict=True
    )
    for near, expected in pairs:
        assert near == expected
        kept += not near or near[0].score <= 0.7
    return kept


def lcs_by_index(first: list[str], second: list[str]) -> float:
    index = RougeIndex("en")
    index.add("second", " ".join(second))
    near = index.nearest(" ".join(first))
    return near[0].score if near else 0.0


@settings(deadline=None)  # the first call compiles
@given(WORDS, WORDS)
def test_scores_equal_the_table(first: list[str], second: list[str]) -> None:
    assert lcs_by_index(first, second) == f1(first, second)


@settings(deadline=None)  # the first call compiles
@given(st.integers(0, 2**32), st.sampled_from([63, 64, 65, 127, 128, 129, 300]), st.integers(1, 300))
def test_long_texts_carry_over_parts_of_64(seed: int, first: int, second: int) -> None:
    draws = random.Random(seed)
    texts = [[draws.choice("abc") for _ in range(length)] for length in (first, second)]
    assert lcs_by_index(*texts) == f1(*texts)


@settings(deadline=None)  # the first call compiles
@given(st.lists(WORDS.map(" ".join), max_size=25))
def test_the_ten_nearest_are_those_of_all_pairs(texts: list[str]) -> None:
    assert_equal(texts, "en")


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.text("写一首关于春天的诗ab ", max_size=14), max_size=25), st.sampled_from(CHINESE_TOKENS))
def test_chinese_nearest_are_those_of_all_pairs(texts: list[str], chinese_tokens: str) -> None:
    assert_equal(texts, "zh", chinese_tokens)


def test_many_texts_in_blocks() -> None:
    draws = random.Random(0)
    vocabulary = [f"w{int(draws.paretovariate(0.7))}" for _ in range(400)]
    texts = [" ".join(draws.choices(vocabulary, k=draws.randint(4, 9))) for _ in range(700)]
    assert 260 < assert_equal(texts, "en") < 700


def test_scores_worked_out_by_hand() -> None:
    # The example of Lin (2004), section 3.1: the first two share police, the, gunman; the last two the, gunman.
    reference = ["police", "killed", "the", "gunman"]
    assert lcs_by_index(reference, ["police", "kill", "the", "gunman"]) == 0.75
    assert lcs_by_index(reference, ["the", "gunman", "kill", "police"]) == 0.5
    assert lcs_by_index([], ["a"]) == 0.0


def test_the_threshold_itself_is_not_above_it() -> None:
    # 7 of 10 words in order on both sides: 0.7 exactly, which Self-Instruct keeps.
    first, second = list("abcdefghij"), list("abcdefgxyz")
    assert lcs_by_index(first, second) <= 0.7
    assert lcs_by_index(first, second[:9]) > 0.7  # 14/19


def test_english_tokens_are_those_of_the_usual_scorer() -> None:
    assert tokens("Don't re-write 3.5, OK?", "en") == ["don", "t", "re", "write", "3", "5", "ok"]


def test_chinese_tokens() -> None:
    assert tokens("用Python写诗！", "zh") == ["用", "python", "写", "诗"]
    assert tokens("自然语言处理，OK？", "zh", "words") == ["自然语言", "处理", "ok"]
    assert tokens("Größe: 3", "de") == ["größe", "3"]


@pytest.mark.parametrize("chinese_tokens", CHINESE_TOKENS)
def test_chinese_pairs_are_caught(chinese_tokens: str) -> None:
    index = RougeIndex("zh", chinese_tokens)
    index.add("a", "写一首关于春天的诗。")
    for text in ("写一首关于春天的诗。", "写一首关于春天的诗", "请写一首关于春天的诗", "写一首关于春天的诗歌！"):
        near = index.nearest(text)
        assert near[0].id == "a"
        assert near[0].score > 0.7
    assert index.nearest("请写一首关于春天的诗")[0].score == pytest.approx(
        2 * 9 / 19 if chinese_tokens == "characters" else 12 / 13, abs=0.02
    )
    other = index.nearest("列出五种环保出行的方式。")
    assert not other or other[0].score < 0.3


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data")
def test_nearest_of_real_instructions() -> None:
    with (SHARED / "wild_instructions.jsonl").open(encoding="utf-8") as handle:
        texts = [json.loads(line)["instruction"][:300] for line in handle][:250]
    for language in ("en", "zh"):
        kept = assert_equal(texts, language)
        assert 0 < kept < len(texts) or language == "en"
