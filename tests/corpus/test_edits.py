from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.filtering.edits import EDITS, Edit, apply_edits

C4 = [
    Edit("drop_lines_with_long_words", 1000),
    Edit("remove_citations"),
    Edit("drop_lines_without_end_punctuation"),
    Edit("drop_lines_with_few_words", 3),
    Edit("drop_javascript_lines"),
    Edit("drop_policy_lines"),
]


def one(text: str, *edits: Edit) -> tuple[str, dict[str, int]]:
    texts, counts = apply_edits([text], edits)
    return texts[0], {name: number for name, number in counts.row(0, named=True).items() if number}


def plain_c4(text: str) -> str:
    """C4's line rules for English, line by line."""
    kept = []
    for line in text.splitlines():
        words = line.split()
        if any(len(word) > 1000 for word in words):
            continue
        line = re.sub(r"\[\d*\]|\[edit\]|\[citation needed\]", "", line.strip()).rstrip()
        if not line.endswith((".", "?", "!", '"', "'")) or line.endswith("...") or len(line.split()) < 3:
            continue
        lower = line.lower()
        policies = (
            "terms of use",
            "privacy policy",
            "cookie policy",
            "uses cookies",
            "use of cookies",
            "use cookies",
        )
        if "javascript" in lower or any(phrase in lower for phrase in policies):
            continue
        kept.append(line)
    return "\n".join(kept).strip()


PIECES = [
    "one ",
    "two ",
    "three ",
    "end.",
    "why?",
    "oh!",
    '"',
    "'",
    "...",
    "[1]",
    "[]",
    "[edit]",
    "[citation needed]",
]
PIECES += [
    "JavaScript ",
    "We use cookies ",
    "Terms of Use ",
    "x" * 1000,
    "y" * 1001,
    " ",
    "\t",
    "\n",
    "\n\n",
    "\r\n",
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=25).map("".join), max_size=4))
def test_c4_equals_the_plain_definition(texts: list[str]) -> None:
    edited, counts = apply_edits(texts, C4)
    assert edited == [plain_c4(text) for text in texts]
    assert counts.columns == [edit.name for edit in C4]
    assert counts.height == len(texts)


@pytest.mark.parametrize(
    ("edit", "text", "expected", "removed"),
    [
        (Edit("remove_citations"), "A [1] b[23] c [edit].\n\nD [citation needed]", "A  b c .\n\nD", 4),
        (Edit("remove_citations"), "a[b] [1a]", "a[b] [1a]", 0),
        (Edit("drop_lines_with_long_words", 5), "abcde abcde\nabcdef", "abcde abcde", 1),
        (Edit("drop_lines_with_long_words", 5), "今天天气很好我们去公园", "今天天气很好我们去公园", 0),
        (Edit("drop_lines_without_end_punctuation"), "Yes.\nNo\nWait...\n\nWhy?", "Yes.\nWhy?", 2),
        (
            Edit("drop_lines_without_end_punctuation"),
            "他来了。\n首页\n真的吗？\n好！\n他说“好。”\n（完。）\n更多 >",
            "他来了。\n真的吗？\n好！\n他说“好。”\n（完。）",
            2,
        ),
        (Edit("drop_lines_with_few_words", 3), "one two three\none two\n one", "one two three", 2),
        (
            Edit("drop_lines_with_few_words", 3),
            "今天天气很好。\n首页\n我来到北京",
            "今天天气很好。\n我来到北京",
            1,
        ),
        (Edit("drop_javascript_lines"), "Enable JAVASCRIPT now.\nRead on.", "Read on.", 1),
        (Edit("drop_policy_lines"), "Our Cookie Policy.\nThe policy of cookies.", "The policy of cookies.", 1),
    ],
)
def test_golden_lines(edit: Edit, text: str, expected: str, removed: int) -> None:
    edited, counts = one(text, edit)
    assert edited == expected
    assert counts == ({edit.name: removed} if removed else {})


def test_every_edit_has_a_golden_line_and_keeps_plain_prose() -> None:
    prose = "This is a plain line of prose.\nThis is another one."
    for name, kind in EDITS.items():
        assert one(prose, Edit(name, kind.threshold)) == (prose, {})


def test_edits_apply_in_order_and_to_what_is_left() -> None:
    text = "We saw it.[1]\nMenu\nUse JavaScript here please."
    edited, counts = one(text, *C4)
    assert edited == "We saw it."
    assert counts == {"remove_citations": 1, "drop_lines_without_end_punctuation": 1, "drop_javascript_lines": 1}


def test_texts_without_lines_stay_empty() -> None:
    texts, counts = apply_edits(["", "\n \n", "\x00"], C4)
    assert texts == ["", "", ""]
    assert counts["drop_lines_without_end_punctuation"].to_list() == [0, 0, 1]
    assert apply_edits([], C4)[0] == []


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=40).map("".join), max_size=4))
def test_long_texts_are_edited_piece_by_piece_with_the_same_result(texts: list[str]) -> None:
    for chosen in (C4, [Edit("remove_citations")]):
        whole, counts = apply_edits(texts, chosen)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("corpus.filtering.edits._PIECE_CHARACTERS", 7)
            patch.setattr("corpus.text.words._CHUNK_CHARACTERS", 20)
            pieces, counts_of_pieces = apply_edits(texts, chosen)
        assert pieces == whole
        assert counts_of_pieces.equals(counts)
