"""ROUGE-L decisions against a textbook LCS and the full comparison of all pairs."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instruct.novelty import NoveltyIndex, longest_common_subsequence, rouge_l, tokens

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


def brute_force(texts: list[str], language: str) -> list[bool]:
    """Self-Instruct's loop: each text against all that were kept before it."""
    kept: list[list[str]] = []
    decisions = []
    for text in texts:
        words = tokens(text, language)
        scores = []
        for other in kept:
            common = table_lcs(words, other)
            if common:
                precision, recall = common / len(words), common / len(other)
                scores.append(2 * precision * recall / (precision + recall))
        decisions.append(max(scores, default=0.0) <= 0.7)
        if decisions[-1]:
            kept.append(words)
    return decisions


def by_index(texts: list[str], language: str) -> list[bool]:
    index = NoveltyIndex(language)
    decisions = []
    for place, text in enumerate(texts):
        decisions.append(index.too_near(text) is None)
        if decisions[-1]:
            index.add(str(place), text)
    return decisions


@given(WORDS, WORDS)
def test_lcs_equals_the_table(first: list[str], second: list[str]) -> None:
    assert longest_common_subsequence(first, second) == table_lcs(first, second)


@given(st.lists(WORDS.map(" ".join), max_size=25))
def test_decisions_equal_those_of_all_pairs(texts: list[str]) -> None:
    assert by_index(texts, "en") == brute_force(texts, "en")


@given(st.lists(st.text("写一首关于春天的诗ab ", max_size=14), max_size=25))
def test_chinese_decisions_equal_those_of_all_pairs(texts: list[str]) -> None:
    assert by_index(texts, "zh") == brute_force(texts, "zh")


def test_scores_worked_out_by_hand() -> None:
    # The example of Lin (2004), section 3.1: the first two share police, the, gunman; the last two the, gunman.
    reference = ["police", "killed", "the", "gunman"]
    assert rouge_l(reference, ["police", "kill", "the", "gunman"]) == 0.75
    assert rouge_l(reference, ["the", "gunman", "kill", "police"]) == 0.5
    assert rouge_l([], ["a"]) == 0.0


def test_english_tokens_are_those_of_the_usual_scorer() -> None:
    assert tokens("Don't re-write 3.5, OK?", "en") == ["don", "t", "re", "write", "3", "5", "ok"]


def test_chinese_pairs_are_caught() -> None:
    index = NoveltyIndex("zh")
    index.add("a", "写一首关于春天的诗。")
    assert index.too_near("写一首关于春天的诗。") is not None
    near = index.too_near("请写一首关于春天的诗")
    assert near is not None
    assert near.id == "a"
    assert near.score == pytest.approx(2 * 9 / 19)
    assert index.too_near("列出五种环保出行的方式。") is None


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data")
def test_decisions_on_real_instructions() -> None:
    with (SHARED / "wild_instructions.jsonl").open(encoding="utf-8") as handle:
        texts = [json.loads(line)["instruction"][:300] for line in handle][:250]
    for language in ("en", "zh"):
        decisions = by_index(texts, language)
        assert decisions == brute_force(texts, language)
        assert 0 < sum(decisions) < len(texts) or language == "en"
