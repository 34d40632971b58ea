"""Which texts have the same key."""

from __future__ import annotations

import re
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.duplicates.exact import normalise, scope_keys, text_keys


def key(text: str) -> tuple[int, int]:
    first, second = text_keys([normalise(text)])[0]
    return int(first), int(second)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Hello  World\n", "hello world"),
        ("ＡＢＣ１２３", "abc123"),
        ("你好，世界", "你好,世界"),
        ("cafe\u0301", "café"),
    ],
)
def test_same(left: str, right: str) -> None:
    assert key(left) == key(right)


@pytest.mark.parametrize(
    ("left", "right"), [("hello world", "helloworld"), ("a.b", "a b"), ("汉字", "漢字"), ("café", "cafe")]
)
def test_different(left: str, right: str) -> None:
    assert key(left) != key(right)


TEXT = st.text(st.sampled_from("aAbＡé \n\t\u3000"), max_size=6)


@given(TEXT, TEXT)
def test_keys_agree_exactly_where_the_definition_does(left: str, right: str) -> None:
    plain = [re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text).lower()).strip() for text in (left, right)]
    assert (key(left) == key(right)) == (plain[0] == plain[1])


def test_scopes() -> None:
    keys = scope_keys(["web", None, "web", "", "null"])
    assert keys[0] == keys[2]
    assert len(np.unique(keys)) == 4
