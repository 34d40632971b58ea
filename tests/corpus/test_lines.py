"""Lines, their keys and texts without some of them, against plain Python."""

from __future__ import annotations

import unicodedata

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.duplicates.cut_output import put_back
from corpus.duplicates.lines.lines import cut_lines, find_lines
from corpus.duplicates.normalised import utf8
from corpus.duplicates.utf8 import as_column, cut_out

# Of one to four bytes, with case, digits of three scripts, marks, format characters and every kind of white space.
ALPHABET = "aAbB01٣９ß中é\u0301İ.,!-$→😀。\u3000\u00a0 \t\r\x0b\x00\ufeff\u200b\u200c\u00ad\n\n\n"
JOINERS = "\u00ad\u200c\u200d"
TEXTS = st.lists(st.text(st.sampled_from(ALPHABET), max_size=30), max_size=6)


def plain_key(line: str) -> str:
    """What is compared of a line."""
    found = []
    for character in line:
        category = unicodedata.category(character)
        lower = character.lower()
        if character.isspace() or (category == "Cf" and character not in JOINERS):
            found.append(" ")
        elif category == "Nd":
            found.append("0")
        elif not (category[0] == "P" or category == "Cc" or character in JOINERS or character in "$+<=>^`|~"):
            found.append(lower if len(lower) == 1 else character)
    return " ".join("".join(found).split())


def plain_lines(text: str) -> list[tuple[str, int, bool]]:
    """Lines that are not blank: their text, the characters before them, whether they have a letter or digit."""
    found, at = [], 0
    for line in text.split("\n"):
        shown = [c for c in line if not (c.isspace() or (unicodedata.category(c) == "Cf" and c not in JOINERS))]
        if shown:
            letters = any(unicodedata.category(c)[0] in "LMN" for c in line)
            found.append((line, at, letters))
        at += len(line) + 1
    return found


@settings(deadline=None)
@given(TEXTS)
def test_columns_pass_through_bytes(texts: list[str]) -> None:
    column = pl.Series(["before", *texts, "behind"], dtype=pl.String)[1:-1]
    found = utf8(column)
    assert as_column(found).to_list() == texts
    assert as_column(cut_out(found.data, found.offsets[:-1], found.offsets[1:])).to_list() == texts


@settings(deadline=None)
@given(TEXTS)
def test_lines_and_keys(texts: list[str]) -> None:
    found = utf8(pl.Series(texts, dtype=pl.String))
    lines = find_lines(found)
    expected = [line for text in texts for line in plain_lines(text)]
    assert as_column(cut_out(found.data, lines.starts, lines.ends)).to_list() == [line for line, _, _ in expected]
    assert lines.offsets.tolist() == [at for _, at, _ in expected]
    assert lines.compared.tolist() == [letters for _, _, letters in expected]
    assert np.diff(lines.firsts).tolist() == [len(plain_lines(text)) for text in texts]
    keys = [plain_key(line) for line, _, _ in expected]
    assert len(set(zip(keys, lines.keys.tolist(), strict=True))) == len(set(keys)) == len(set(lines.keys.tolist()))


def test_known_keys() -> None:
    same = ["Chapter 12: “The End”", "  chapter 45 the   END\r", "CHAPTER 00. THE END!", "chapter ٣٣ the end"]
    other = ["chapter 123 the end", "chapter 12 thé end", "chapter12 the end", "chapter 12 the end→"]
    keys = find_lines(utf8(pl.Series(["\n".join(same + other)]))).keys.tolist()
    assert len(set(keys[: len(same)])) == 1
    assert len(set(keys)) == 1 + len(other)


@settings(deadline=None)
@given(TEXTS, st.randoms(use_true_random=False))
def test_cut_texts_and_their_spans(texts: list[str], draw: object) -> None:
    found = utf8(pl.Series(texts, dtype=pl.String))
    lines = find_lines(found)
    gone = np.array([draw.random() < 0.5 for _ in lines.starts], dtype=bool)  # type: ignore[attr-defined]
    cut = cut_lines(found, lines, gone)
    left, spans = as_column(cut.texts).to_list(), as_column(cut_out(found.data, cut.starts, cut.ends)).to_list()
    document = np.repeat(np.arange(len(texts)), np.diff(lines.firsts))
    for row, text in enumerate(texts):
        mine = document[gone] == row
        offsets = cut.offsets[mine].tolist()
        its_spans = [span for span, own in zip(spans, mine, strict=True) if own]
        assert put_back(left[row], offsets, its_spans) == text
        assert [len(span) for span in its_spans] == cut.lengths[mine].tolist()
        for offset, span in zip(offsets, its_spans, strict=True):
            assert text[offset : offset + len(span)] == span
        all_lines = [line for line, _, _ in plain_lines(text)]
        kept = [line for line, out in zip(all_lines, gone[document == row], strict=True) if not out]
        assert [line for line, _, _ in plain_lines(left[row])] == kept
        if not kept and all_lines:
            assert left[row] == ""
        elif text == text.strip("\n"):
            assert left[row] == left[row].strip("\n"), "it begins and ends as it did"


def test_paragraphs_keep_their_distance() -> None:
    text = "one\n\ntwo\n\n\nthree\nfour\n"
    found = utf8(pl.Series([text] * 5))
    lines = find_lines(found)
    which = [[0, 1, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]]
    left = as_column(cut_lines(found, lines, np.array(which, dtype=bool).ravel()).texts).to_list()
    assert left == [
        "one\n\nthree\nfour\n", "one\n\ntwo\n\n\nthree\n", "two\n\n\nthree\nfour\n", "one\n\nfour\n",
        "one\n\ntwo\n",
    ]  # fmt: skip
