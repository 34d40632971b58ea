from __future__ import annotations

import logging
import re
from pathlib import Path

import jieba
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpus.text.chinese_words import LONGEST_BLOCK
from corpus.text.words import count_words, split_words

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "text"
jieba.setLogLevel(logging.ERROR)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \n\t\u3000\u200b", []),
        ("Don't stop—it's 3.14, OK?", ["Do", "n't", "stop", "—", "it", "'s", "3.14", ",", "OK", "?"]),
        ("the U.S. army (1,000 men)...", ["the", "U.S.", "army", "(", "1,000", "men", ")", "..."]),
        ("foo_bar x-ray ## --- é\u0301a", ["foo_bar", "x", "-", "ray", "#", "#", "---", "é\u0301a"]),
        ("rock ’n’ roll’s", ["rock", "’", "n", "’", "roll", "’s"]),
        ("a,b 1,a 1'000", ["a", ",", "b", "1,a", "1'000"]),
        ("at 10:30 on 1/2/2020 a/b c:d", ["at", "10:30", "on", "1/2/2020", "a", "/", "b", "c", ":", "d"]),
        ("(see https://x.org/a?b=1.)", ["(", "see", "https://x.org/a?b=1", ".", ")"]),
        ("http://x.org/a/，å ftp:// x", ["http://x.org/a/，å", "ftp://", "x"]),
        ("COVID-19 10-year 1-2 a-b 3-", ["COVID-19", "10", "-", "year", "1", "-", "2", "a", "-", "b", "3-"]),
        ("I’m, you're we've she'll", ["I", "’m", ",", "you", "'re", "we", "'ve", "she", "'ll"]),
        ("they’d CAN'T I'd lov'd", ["they", "’d", "CAN'T", "I", "'d", "lov'd"]),
        ("can't won’t cannot Cannots n't", ["ca", "n't", "wo", "n’t", "can", "not", "Cannots", "n't"]),
        ("l'heure aujourd'hui 'tis o'er", ["l'heure", "aujourd'hui", "'", "tis", "o'er"]),
        ("x=1 2*3=6>>6 5=$7 a=b 4+", ["x=1", "2", "*", "3=6>>6", "5=$7", "a", "=", "b", "4", "+"]),
        ("J. R. R. e.g. A... x.y. I.", ["J.", "R.", "R.", "e.g.", "A", "...", "x.y", ".", "I."]),
        (".5 -1 a-1 a -b", [".5", "-1", "a-1", "a", "-b"]),
        ("a.b@x.org @me c@", ["a.b@x.org", "@me", "c@"]),
        ("Mr. St. (e.g., 'em! he'd've)", ["Mr.", "St.", "(", "e.g.", ",", "'em", "!", "he", "'d", "'ve", ")"]),
        (
            "|---| @-@ 5@.@2 4K 10km 5% £5 5£",
            ["|---|", "@-@", "5@.@2", "4", "K", "10", "km", "5", "%", "£", "5", "5", "£"],
        ),
        ("thus-- x--y a---b c----d ~2", ["thus--", "x", "--", "y", "a", "---", "b", "c----d", "~2"]),
        ("foo)(bar] (a(b) {x}. <p>", ["foo)(bar", "]", "(", "a(b", ")", "{", "x", "}", ".", "<", "p", ">"]),
        (
            "](https://x.org/a-b) x@a-b.org/c-d x:a-b.org",
            ["]", "(", "https://x.org/a-b", ")", "x@a-b.org/c-d", "x", ":", "a", "-", "b.org"],
        ),
        (
            "end.Next end.next A.B etc. NASA. M. 25°C.",
            ["end", ".", "Next", "end.next", "A.B", "etc", ".", "NASA", ".", "M.", "25", "°", "C", "."],
        ),
        (
            "a..b …… x……y 😀😀a😀b C++ 5+ +5 +x",
            [
                "a",
                "..",
                "b",
                "…",
                "…",
                "x",
                "…",
                "…",
                "y",
                "😀",
                "😀",
                "a",
                "😀",
                "b",
                "C++",
                "5",
                "+",
                "+5",
                "+",
                "x",
            ],
        ),
        (
            "and/or a/b 1/b /etc/x-y cats' 10am",
            ["and/or", "a", "/", "b", "1", "/", "b", "/etc", "/", "x", "-", "y", "cats", "'", "10", "am"],
        ),
        ("Привет, мир! नमस्ते", ["Привет", ",", "мир", "!", "नमस्ते"]),
        ("我来到北京清华大学", ["我", "来到", "北京", "清华大学"]),  # the example of jieba's own manual
        ("他来到了网易杭研大厦", ["他", "来到", "了", "网易", "杭研", "大厦"]),  # 杭研 comes from the model
        ("Python3编程，很好。", ["Python3", "编程", "，", "很", "好", "。"]),
        ("\u3400\u3401𠀀龦", ["\u3400", "\u3401", "𠀀", "龦"]),
        ("a\x00b\ud800", ["a\x00b\ud800"]),
    ],
)
def test_golden_words(text: str, words: list[str]) -> None:
    """What spaCy 3.8's blank English tokenizer makes of those without ideographs or control characters."""
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


def cut(text: str) -> list[str]:
    return [word for word in jieba.cut(text) if not word.isspace()]


def is_chinese(text: str) -> bool:
    han = len(re.findall("[\u4e00-\u9fd5]", text))
    ideographs = "\u3400-\u4dbf\u9fd6-\u9fff\uf900-\ufaff\U00020000-\U000323af"
    letters = sum(c.isalpha() for c in re.sub(f"[{ideographs}]", "", text))
    other = letters - han - len(re.findall("[a-zA-Z]", text))
    return han > 0 and han * 100 >= letters and other * 4 <= han


@settings(max_examples=600, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.text(st.sampled_from("abzCN+#&._%-0123456789"), max_size=8),
            st.text(st.sampled_from("的一是不了在人有我中国编程语言天气好杭研"), max_size=6),
            st.sampled_from(
                ["C++", "c#", "AT&T", "T恤", "3.14%", "\r\n", "\u3000", "\u200b", "é", "e\u0301", "１Ａ"]
            ),
            st.sampled_from(
                ["\u0301", "😀", "👩‍👩‍👧", "龦", "𠀀", "かな", "한글", "…", "——", "“", "\x1c", "\ufeff", "\ud800"]
            ),
            st.text(max_size=4),
            st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), max_size=4),
        ),
        max_size=14,
    ).map("".join)
)
@example("我用C++和AT&T写a.b.1.2--...50%%中文foo-bar_baz")
@example("T恤T恤")
def test_a_chinese_text_is_cut_whole_as_jieba_does(text: str) -> None:
    for one in (text, text + "的" * (len(text) + 1)):
        if is_chinese(one):
            assert split_words(one) == cut(one)


@pytest.mark.skipif(not DATA.exists(), reason="needs the shared data")
@pytest.mark.parametrize("name", ["tech_zh", "weekly_zh", "docs_zh", "poetry_zh"])
def test_real_chinese_is_cut_as_jieba_does(name: str) -> None:
    texts = pl.read_parquet(DATA / f"{name}.parquet", n_rows=400)["text"].gather_every(40)
    chinese = [text[:6000] for text in texts if is_chinese(text[:6000])]
    assert len(chinese) > 5
    for text in chinese:
        assert split_words(text) == cut(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't say 你好 " + "word " * 200, ["Do", "n't", "say", "你好", *["word"] * 200]),
        ("見にいかないか café", ["見", "にいかないか", "café"]),
        ("по-китайски: 中文 слово", ["по", "-", "китайски", ":", "中文", "слово"]),
        ("说http://x.org/a？", ["说", "http", ":", "/", "/", "x", ".", "org", "/", "a", "？"]),
        ("我喜欢café的", ["我", "喜欢", "caf", "é", "的"]),
    ],
)
def test_only_chinese_texts_are_cut_whole(text: str, words: list[str]) -> None:
    assert split_words(text) == words


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
@given(st.lists(st.text("ab1.，→天气好 \n", max_size=30), max_size=8))
def test_counts_leave_punctuation_out(texts: list[str]) -> None:
    expected = [sum(any(c not in ".，" for c in word) for word in split_words(text)) for text in texts]
    assert count_words(texts).tolist() == expected


def test_a_block_without_end_is_split_piecewise() -> None:
    text = "天气a" * LONGEST_BLOCK
    assert "".join(split_words(text)) == text
