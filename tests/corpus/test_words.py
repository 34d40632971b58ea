from __future__ import annotations

import logging
import re
from pathlib import Path

import jieba
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpus.text.segmentation import LONGEST_RUN
from corpus.text.words import count_words, split_words

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "text"
jieba.setLogLevel(logging.ERROR)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \n\t\u3000\u200b", []),
        ("Don't stop—it's 3.14, OK?", ["Don't", "stop", "—", "it's", "3.14", ",", "OK", "?"]),
        ("the U.S. army (1,000 men)...", ["the", "U.S", ".", "army", "(", "1,000", "men", ")", "..."]),
        ("foo_bar x-ray ## --- é\u0301a", ["foo_bar", "x", "-", "ray", "#", "#", "---", "é\u0301a"]),
        ("rock ’n’ roll’s", ["rock", "’", "n", "’", "roll’s"]),
        ("a,b 1,a 1'000", ["a", ",", "b", "1", ",", "a", "1'000"]),
        ("at 10:30 on 1/2/2020 a/b c:d", ["at", "10:30", "on", "1/2/2020", "a", "/", "b", "c", ":", "d"]),
        ("(see https://x.org/a?b=1.)", ["(", "see", "https://x.org/a?b=1", ".", ")"]),
        ("http://x.org/a/，好 ftp:// x", ["http://x.org/a/", "，", "好", "ftp", ":", "/", "/", "x"]),
        ("COVID-19 10-year 1-2 a-b 3-", ["COVID-19", "10-year", "1", "-", "2", "a", "-", "b", "3", "-"]),
        ("a.b@x.org @me c@", ["a.b@x.org", "@", "me", "c", "@"]),
        ("Привет, мир! नमस्ते", ["Привет", ",", "мир", "!", "नमस्ते"]),
        ("我来到北京清华大学", ["我", "来到", "北京", "清华大学"]),  # the example of jieba's own manual
        ("他来到了网易杭研大厦", ["他", "来到", "了", "网易", "杭研", "大厦"]),  # 杭研 comes from the model
        ("Python3编程，很好。", ["Python3", "编程", "，", "很", "好", "。"]),
        ("\u3400\u3401𠀀龦", ["\u3400", "\u3401", "𠀀", "龦"]),
        ("a\x00b\ud800", ["a", "\x00", "b", "\ud800"]),
    ],
)
def test_golden_words(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FD5), min_size=1, max_size=60))
@example("南京市长江大桥")
@example("的" * 50)
def test_random_ideographs_split_as_jieba_does(text: str) -> None:
    assert split_words(text) == list(jieba.cut(text))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from("的一是不了在人有我他这中大来上个国到说们为子和你地出道也时年得就那要下以生会"),
        max_size=60,
    )
)
def test_common_ideographs_split_as_jieba_does(characters: list[str]) -> None:
    text = "".join(characters)
    assert split_words(text) == list(jieba.cut(text))


@pytest.mark.skipif(not DATA.exists(), reason="needs the shared data")
@pytest.mark.parametrize("name", ["tech_zh", "weekly_zh", "poetry_zh"])
def test_real_chinese_splits_as_jieba_does(name: str) -> None:
    text = "\n".join(pl.read_parquet(DATA / f"{name}.parquet", n_rows=30)["text"].to_list())
    runs = re.findall("[\u4e00-\u9fd5]+", text)[:8000]
    assert len(runs) > 100
    expected = [word for run in runs for word in jieba.cut(run)]
    assert split_words("\n".join(runs)) == expected


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=80))
def test_words_are_the_text_without_its_spaces(text: str) -> None:
    words = split_words(text)
    assert all(word and not word[0].isspace() for word in words)
    position = 0
    for word in words:
        found = text.index(word, position)
        assert not any(character.isalnum() for character in text[position:found])
        position = found + len(word)
    assert not any(character.isalnum() for character in text[position:])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text("ab1.，天气好 \n", max_size=30), max_size=8))
def test_counts_leave_punctuation_out(texts: list[str]) -> None:
    expected = [sum(any(c.isalnum() for c in word) for word in split_words(text)) for text in texts]
    assert count_words(texts).tolist() == expected


def test_a_run_of_ideographs_without_end_is_split_piecewise() -> None:
    text = "天气" * LONGEST_RUN
    assert "".join(split_words(text)) == text
