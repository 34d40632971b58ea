"""Texts as they are compared: array code against Python's own functions."""

from __future__ import annotations

import sys

import polars as pl
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpus.duplicates.exact import normalise
from corpus.duplicates.normalised import normalise_texts

# Spaces, case that depends on its place, what composes, what becomes several, half and full width, fractions.
AWKWARD = "\u00a0\u3000\u200b\x1c\u0085ΣσςİıK\u0301\u0308\u0345가각\u1100\u1161\u11a8…™½²ｶﾞﾟＡ１，。ﬁǅẞßΩ㎏㍻"
CHARACTERS = st.one_of(
    st.sampled_from(AWKWARD), st.sampled_from("aB \n"), st.characters(exclude_categories=["Cs"])
)


def plain(text: str) -> bytes:
    return " ".join(normalise(text).split()).encode()


@settings(deadline=None, max_examples=500)
@given(st.lists(st.text(CHARACTERS, max_size=12), max_size=6))
@example(["ΟΔΟΣ", "", " ", "e\u0301", "K\u0301", "\u1100\u1161\u11a8", "가\u11a8"])
def test_normalised_as_python_does(texts: list[str]) -> None:
    given = pl.Series(["before", *texts], dtype=pl.String)[1:]  # a slice: its bytes do not begin at the first
    found = normalise_texts(given)
    assert [bytes(view) for view in found.views()] == [plain(text) for text in texts]


def test_every_character_and_its_neighbours() -> None:
    characters = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000]
    for texts in (characters, [f"A{character}\u0301b" for character in characters[::7]]):
        found = normalise_texts(pl.Series(texts))
        assert all(bytes(view) == plain(text) for view, text in zip(found.views(), texts, strict=True))
