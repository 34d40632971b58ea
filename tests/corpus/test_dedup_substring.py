"""`corpus dedup --method substring`: against a dictionary of all windows, and the same bytes always."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import corpus.duplicates.span_stages as stages
from corpus.duplicates.dedup_substring import LEAST_LEFT, dedup_substrings, put_back
from corpus.duplicates.span_windows import find_windows
from tests.corpus.test_dedup import table, write

SLOW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")


def extends(character: str) -> bool:
    return unicodedata.category(character)[0] == "M" or character in "\u200d\u00ad" or "🏻" <= character <= "🏿"


def is_flag(character: str) -> bool:
    return "🇦" <= character <= "🇿"


def brute_tokens(text: str) -> list[tuple[int, int]]:
    """Where the tokens of a text begin and end, by the names and categories of its characters."""
    found: list[tuple[int, int]] = []
    kinds: list[str] = []
    for at, character in enumerate(text):
        category = unicodedata.category(character)
        joins = at > 0 and found and found[-1][1] == at
        name = unicodedata.name(character, "")
        if extends(character):
            kind = kinds[-1] if joins else "word"
        elif category[0] in "ZC":
            continue
        elif category[0] in "LN" or category == "Pc" or is_flag(character):
            kind = "single" if name.split(" ")[0].split("-")[0] in UNSPACED else "word"
            joins = joins and kind == "word" and kinds[-1] == "word"
        else:
            kind = character
            joins = joins and kinds[-1] == kind and text[at - 1] == character
        if joins or (found and found[-1][1] == at and text[at - 1] == "\u200d"):
            found[-1] = (found[-1][0], at + 1)
        else:
            found.append((at, at + 1))
            kinds.append(kind)
    return found


def brute_characters(text: str) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for at, character in enumerate(text):
        before = text[at - 1] if at else ""
        flags = bool(before) and is_flag(before) and is_flag(character)
        joined = before == "\u200d" and not (character.isspace() or unicodedata.category(character)[0] in "ZC")
        if found and (extends(character) or joined or flags or before + character == "\r\n"):
            found[-1] = (found[-1][0], at + 1)
        else:
            found.append((at, at + 1))
    return found


def brute_cover(
    texts: Sequence[str],
    size: int,
    by_character: bool = False,
    scopes: Sequence[object] | None = None,
    keep_none: bool = False,
) -> list[set[int]]:
    """For each text the places of the characters in windows that stand before without overlap.

    With `keep_none` in windows that stand before, or that stand behind and are the first of their kind.
    """
    first: dict[tuple[object, str], tuple[int, int, int]] = {}
    covered: list[set[int]] = [set() for _ in texts]
    for number, text in enumerate(texts):
        units = brute_characters(text) if by_character else brute_tokens(text)
        for at in range(len(units) - size + 1):
            start, end = units[at][0], units[at + size - 1][1]
            key = (scopes[number] if scopes else None, text[start:end])
            where = first.setdefault(key, (number, at, start))
            if where[0] != number or at - where[1] >= size:
                covered[number] |= set(range(start, end))
                if keep_none:
                    covered[where[0]] |= set(range(where[2], where[2] + end - start))
    return covered


def run(folder: Path, parts: Sequence[Sequence[str]], **options: Any) -> dict[str, Any]:
    """Write each part as a file and deduplicate all; the manifest."""
    for number, texts in enumerate(parts):
        write(folder / "in" / f"{number}.parquet", list(texts))
    return dedup_substrings([folder / "in"], folder / "out", workers=1, **options)


def check(
    folder: Path, parts: Sequence[Sequence[str]], covered: Sequence[set[int]], *, keep_none: bool = False
) -> int:
    """The output is the input without what is covered, and the spans are its evidence; the number of spans."""
    names = [f"{number}-{row}" for number, texts in enumerate(parts) for row in range(len(texts))]
    whole = dict(zip(names, (text for texts in parts for text in texts), strict=True))
    kept, removed, spans = (table(folder / "out", name) for name in ("documents", "removed", "spans"))
    left = dict(kept.select("id", "text").iter_rows()) if kept.width else {}
    gone = dict(removed.select("id", "text").iter_rows()) if removed.width else {}
    rows = spans.rows(named=True) if spans.width else []
    assert sorted([*left, *gone]) == sorted(names)
    for name, places in zip(names, covered, strict=True):
        own = [row for row in rows if row["id"] == name]
        assert {at for row in own for at in range(row["offset"], row["offset"] + row["length"])} == places, name
        assert sum(row["length"] for row in own) == len(places), "spans do not overlap"
        expected = "".join(character for at, character in enumerate(whole[name]) if at not in places)
        if name in gone:
            assert gone[name] == whole[name]
            assert len("".join(expected.split())) < LEAST_LEFT
        else:
            assert left[name] == expected
            assert put_back(left[name], [(row["offset"], row["text"]) for row in own]) == whole[name]
            assert not places or len("".join(expected.split())) >= LEAST_LEFT
        for row in own:
            there = whole[row["first_id"]][row["first_offset"] :][: row["length"]]
            assert row["text"] == whole[name][row["offset"] :][: row["length"]] == there
            where = names.index(row["first_id"]), row["first_offset"]
            assert where < (names.index(name), row["offset"]) or (keep_none and where[0] == names.index(name))
            assert row["kept"] == (name in left)
    return len(rows)


ALPHABETS = ("ab ", "ab .,-", "中文字 a", "a\u0301e\u3099か ", "\r\n a", "🏽👩\u200d 🇩🇪", "กิ า")
TEXTS = st.sampled_from(ALPHABETS).flatmap(
    lambda alphabet: st.lists(
        st.one_of(
            st.text(st.sampled_from(alphabet), max_size=40),
            st.text(st.sampled_from(alphabet), min_size=1, max_size=6).map(lambda text: text * 9),
        ),
        min_size=1,
        max_size=8,
    )
)


@SLOW
@given(TEXTS, st.integers(1, 12), st.booleans(), st.booleans(), st.sampled_from([1, 7, 50, 1 << 19]))
def test_like_a_dictionary_of_all_windows(
    tmp_path_factory: pytest.TempPathFactory,
    texts: list[str],
    size: int,
    by_character: bool,
    keep_none: bool,
    most: int,
) -> None:
    folder = tmp_path_factory.mktemp("run")
    parts = [texts[part::3] for part in range(3) if texts[part::3]]
    options = {"length_unit": "characters" if by_character else "tokens", "keep": "none" if keep_none else "first"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "SEGMENT_WINDOWS", most)
        run(folder, parts, length_threshold=size, memory=1 << (10 + most % 9), **options)
    flat = [text for part in parts for text in part]
    check(folder, parts, brute_cover(flat, size, by_character, keep_none=keep_none), keep_none=keep_none)


@settings(SLOW, max_examples=8)
@given(TEXTS, st.integers(1, 5), st.booleans(), st.booleans())
def test_windows_with_equal_keys_and_different_texts(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], size: int, by_character: bool, keep_none: bool
) -> None:
    """With keys of two bits nearly all collide; the texts decide."""
    folder = tmp_path_factory.mktemp("run")

    def colliding(*arguments: Any) -> Any:
        windows, *counts = find_windows(*arguments)
        return windows._replace(keys=windows.keys & np.uint64(3)), *counts

    options = {"length_unit": "characters" if by_character else "tokens", "keep": "none" if keep_none else "first"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stages, "find_windows", colliding)
        run(folder, [texts], length_threshold=size, **options)
    check(folder, [texts], brute_cover(texts, size, by_character, keep_none=keep_none), keep_none=keep_none)
