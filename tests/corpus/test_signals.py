from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.filtering.signals import COMPUTED, SIGNALS, compute_signals
from corpus.text.words import split_words
from tests.corpus.plain_signals import plain_signals

# Few pieces, so that lines, paragraphs and n-grams repeat.
PIECES = (
    ["a", "the", "of", "be", "Cat", "it's", "1.5", "_", "今天天气", "的", "中", "。", "，", "！", "𠀀", "é"]
    + [
        "THE",
        "Don't",
        "B2B",
        "½",
        "三",
        "【",
        "】",
        "}",
        "读完",
        "展开",
        "更多",
        "Read More",
        "–",
        "●",
        "*",
        "É",
        "②",
    ]
    + [".", "...", "…", "?", "#", "-", "•", "{", '"', "”", ")", "JavaScript", "lorem ipsum", "\x00", "😀"]
    + [" "] * 12
    + ["\n", "\n", "\n\n", "\n \n", "\r\n", "\u2028", "\x0b", "\t", "\u3000"]
)
texts = st.lists(st.sampled_from(PIECES), max_size=120).map("".join)
phrases = st.lists(st.sampled_from(["a b c d e f g h i j k", "a b c", "the cat", "x", "天气 很 好"]), max_size=40)


def check(documents: Sequence[str]) -> None:
    found = compute_signals(documents)
    for row, text in enumerate(documents):
        for name, value in plain_signals(text, split_words(text)).items():
            assert found[name][row] == pytest.approx(value, rel=1e-11, abs=1e-15), (name, text)


@settings(max_examples=400, deadline=None)
@given(st.lists(texts, min_size=1, max_size=4))
def test_signals_equal_the_plain_definitions(documents: list[str]) -> None:
    check(documents)


@settings(max_examples=200, deadline=None)
@given(phrases.map(" ".join), phrases.map("\n".join))
def test_repetition_equals_the_plain_definitions(one: str, two: str) -> None:
    check([one, two])


def test_long_and_short_texts_do_not_disturb_each_other() -> None:
    documents = ["a b c d e " * 3000, "", "天气很好。" * 500, "a", "x\n" * 1000, "a b c d e " * 20]
    alone = pl.concat([compute_signals([text]) for text in documents])
    assert compute_signals(documents).equals(alone)


def test_every_signal_is_a_column_of_its_type() -> None:
    found = compute_signals(["Hello world."])
    assert found.columns == [signal.name for signal in COMPUTED]
    assert set(SIGNALS) == {*found.columns, "lang_score", "edited_word_fraction"}
    assert set(plain_signals("", [])) == set(found.columns) - {"policy_lines", "sentence_count"}
    assert all(kind in (pl.Int64, pl.Float64) for kind in found.schema.values())
    assert found["word_count"].dtype == pl.Int64
    assert found["mean_word_length"].to_list() == [5.0]


def test_an_empty_text_has_zeros() -> None:
    row = compute_signals([""]).row(0)
    assert set(row) == {0}
    assert compute_signals([]).height == 0


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", 0),
        ("...", 0),
        ("One", 1),
        ("One. Two", 2),
        ("One. Two! Three? Four.", 4),
        ("Wait... what?! Yes.", 2),  # lower case goes on
        ("He paid 3.14 dollars. That was all.", 2),
        ("See e.g. the manual. It helps.", 2),
        ('She said "No." Then she left.', 2),
        ("Title\nOne sentence.\n\nAnother", 3),
        ("今天天气很好。我们去公园吧！好吗？", 3),
        ("他说：“好。”她走了。", 2),
        ("没有句号的标题\n第一句。第二句", 3),
    ],
)
def test_golden_sentences(text: str, sentences: int) -> None:
    assert compute_signals([text])["sentence_count"][0] == sentences


def test_policy_lines_are_counted_in_any_case() -> None:
    text = "Read our Privacy Policy.\nThis site uses cookies; see the TERMS OF USE.\nCookies are baked.\n"
    assert compute_signals([text])["policy_lines"][0] == 2


def test_lone_surrogates_and_nulls_are_characters() -> None:
    found = compute_signals(["a\ud800b", "\x00", "\udfff\n\udfff"])
    assert found["characters"].to_list() == [3, 1, 3]
    assert found["duplicate_line_fraction"].to_list() == [0, 0, 0.5]


def test_a_line_of_ten_megabytes() -> None:
    found = compute_signals(["word " * 2_000_000])
    assert found["word_count"][0] == 2_000_000
    assert found["top_2_gram_fraction"][0] == pytest.approx(9 * 1_999_999 / 10_000_000)
    # The first 5-gram stays; from the next word on every fifth starts one that stood before.
    assert found["duplicate_5_gram_fraction"][0] == pytest.approx(20 * 399_999 / 10_000_000, rel=1e-5)


def test_of_a_giant_text_the_beginning_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    documents = ["a b. c\n" * 100, "short", "天" * 50]
    beginnings = compute_signals([text[:20] for text in documents])
    monkeypatch.setattr("corpus.filtering.signals.LONGEST_MEASURED", 20)
    found = compute_signals(documents)
    assert found["characters"].to_list() == [700, 5, 50]
    assert found.drop("characters").equals(beginnings.drop("characters"))
