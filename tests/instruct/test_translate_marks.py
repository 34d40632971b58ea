"""Marks for what a translation must not touch: property tests, and pieces of real texts."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instruct.translate_marks import numbers_in, protect, restore, value, without_marks

PIECES = [
    "```python\nx = 1\n```", "`x = 10`", "https://a.org/b?c=1", "me@example.org", "{name}", "%s", "<b>", "3",
    "1.5", "10:30", "⟦", "⟧", "[#1]", "⟦#2⟧", "word", "字", "，", ". ", "\n", "\n\n", "1. ", "$x^2$", "$5",
    "2,500", "def f(a):", "    return a", "# one", "٣", "GPT-4", "[USER_NAME]", "\u2028", "~~~", "\\(a\\)", "％",
    "５", "[⟦",
]  # fmt: skip
TEXT = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=12).map(" ".join)


@given(TEXT)
def test_a_text_left_as_it_is_comes_back_whole(text: str) -> None:
    protected = protect(text)
    restored = restore(protected.text, protected)
    assert restored.text == text
    assert restored.faults == ()


@given(TEXT, st.data())
def test_a_mark_lost_doubled_or_new_is_told(text: str, data: st.DataObject) -> None:
    protected = protect(text)
    marks = re.findall("⟦#[0-9]+⟧", protected.text)
    assert len(marks) == len(protected.pieces)
    new = f"⟦#{len(marks) + 1}⟧"
    assert restore(protected.text + new, protected).faults == (new,)
    if marks:
        mark = data.draw(st.sampled_from(marks))
        assert mark in restore(protected.text.replace(mark, " "), protected).faults
        assert restore(protected.text + mark, protected).faults == (mark,)


@given(st.lists(st.integers(0, 10**9).map(str), min_size=1, max_size=8), st.data())
def test_a_number_lost_or_changed_is_told(numbers: list[str], data: st.DataObject) -> None:
    protected = protect(" apples, ".join(numbers))
    assert protected.numbers == tuple(numbers)
    place = data.draw(st.integers(0, len(numbers) - 1))
    for other in ("", numbers[place] + "7"):
        changed = " Äpfel, ".join(other if at == place else number for at, number in enumerate(numbers))
        assert restore(changed, protected).faults == (f"⟦{numbers[place]}⟧",)
    assert restore(" Äpfel, ".join(reversed(numbers)), protected).faults == ()


@pytest.mark.parametrize(
    ("text", "pieces", "numbers"),
    [
        ("Open https://a.org/x?y=2, then wait 5 minutes.", ["https://a.org/x?y=2,"], ["5"]),
        ("见 https://a.org/中。", ["https://a.org/中"], []),
        ("Dear {name}, call {{user.first}} or %(who)s or %s.", ["{name}", "{{user.first}}", "%(who)s", "%s"], []),
        ("It costs $5 or $6.", [], ["5", "6"]),
        ("Solve $x^2 = 4$ and \\(y + 1\\).", ["$x^2 = 4$", "\\(y + 1\\)"], []),
        ("Run `pip install a` twice.", ["`pip install a`"], []),
        ("Fix:\n```\ncode 1\n```\nThen 2.", ["```\ncode 1\n```"], ["2"]),
        ("Fix:\n```\nnever closed 1", ["```\nnever closed 1"], []),
        ("1. First\n2. Second of 3", [], ["3"]),
        ("If a < b and c > d, say so.", [], []),
        ("Keep <b>bold</b> text.", ["<b>", "</b>"], []),
        ("共有３个，约2,500元。", [], ["３", "2,500"]),
        ("The mp3 of 2020-01-05 at 10:30.", [], ["2020-01-05", "10:30"]),
        ("Write to [EMAIL] or [see this].", ["[EMAIL]"], []),
        (
            "What does this print?\n\ndef f(a):\n    return a + 1\n\nprint(f(2))\n\nExplain it.",
            ["def f(a):\n    return a + 1\n\nprint(f(2))"],
            [],
        ),
        ("Rewrite it: SELECT a FROM b WHERE c = 1", [], ["1"]),
        ("SELECT a FROM b WHERE c = 1;\nMake it faster.", ["SELECT a FROM b WHERE c = 1;"], []),
        ("class is important. If you like:\n- so\nreturn home", [], []),
    ],
)
def test_what_is_kept(text: str, pieces: list[str], numbers: list[str]) -> None:
    protected = protect(text)
    assert list(protected.pieces) == pieces
    assert list(protected.numbers) == numbers


def test_marks_as_models_write_them() -> None:
    protected = protect("Use `a` and `b` 3 times for 2,500 days.")
    for text in (
        "⟦#2⟧ und ⟦#1⟧ ⟦3⟧ mal, 2.500 Tage",
        "[[#2]] und 【#1】 3 mal, ⟦ 2,500 ⟧ Tage",
        "⟦ #2 ⟧ und ⟦#1⟧ ٣ mal, 2500 Tage",
    ):
        restored = restore(text, protected)
        assert restored.faults == ()
        assert restored.text.startswith("`b` und `a` ")
        assert "⟦" not in restored.text
    assert restore("⟦#1⟧ ⟦#2⟧ ⟦3⟧ 25,00", protected).faults == ("⟦2,500⟧",)
    assert restore("⟦#1⟧ ⟦#2⟧ 3 2500 ⟦", protected).faults == ("⟦",)


def test_numbers_and_words() -> None:
    assert numbers_in("a 1.5, ２-３ and ४५") == ["1.5", "2-3", "45"]
    assert value("2,500") == value("2.500") == value("2500") == ("2500",)
    assert value("3.5") == value("3,5") != value("35")
    assert without_marks("say ⟦#1⟧ and ⟦12⟧ or [#3]").split() == ["say", "and", "or"]


@pytest.mark.parametrize("piece", ["\\[", "```", "$_", "<a", "⟦#1", "{", "9,", "a@a.", "`", "<!--", "def f(\n"])
def test_long_texts_of_one_kind_take_no_long(piece: str) -> None:
    text = piece * (20_000 // len(piece))
    assert restore(protect(text).text, protect(text)).text == text
