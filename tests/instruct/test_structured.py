"""Reading structured replies: what models really write around and inside JSON and lists."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instruct.client import Reply
from instruct.structured import (
    UNREADABLE,
    Unreadable,
    fenced,
    json_object,
    json_value,
    numbered_items,
    read,
    response_format,
)

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=15,
)
CONTAINERS = st.lists(VALUES, max_size=4) | st.dictionaries(st.text(), VALUES, max_size=4)
PLAIN = st.text(st.characters(exclude_characters="{}[]｛｝［］`~", exclude_categories=["Cs"]), max_size=60)


@given(CONTAINERS, st.sampled_from([None, 2]), st.booleans())
def test_valid_json_is_read_as_it_is(value: Any, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert json_value(text) == value


@given(CONTAINERS, PLAIN, PLAIN, st.sampled_from(["{}", "```json\n{}\n```", "~~~\n{}\n~~~"]))
def test_text_and_fences_around_it_are_left_out(value: Any, before: str, after: str, frame: str) -> None:
    text = (
        f"{before}\n{frame.format(json.dumps(value))}\n{after}"
        if "\n" in frame
        else (f"{before} {json.dumps(value)} {after}")
    )
    assert json_value(text) == value


SIMPLE = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)


@given(st.dictionaries(SIMPLE, st.one_of(SIMPLE, st.booleans(), st.none(), st.integers()), min_size=1, max_size=5))
def test_full_width_marks_are_taken_for_json(value: dict[str, Any]) -> None:
    def shown(one: Any) -> str:
        return f"“{one}”" if isinstance(one, str) else repr(one)

    inside = "，".join(f"“{name}”： {shown(one)}" for name, one in value.items())
    assert json_value(f"好的，结果如下：\n｛{inside}，｝\n以上。") == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1,}', {"a": 1}),
        ('{"a": [1, 2,], }', {"a": [1, 2]}),
        ('{"a": "one\ntwo"}', {"a": "one\ntwo"}),
        ('{"a": "he said "no" twice"}', {"a": 'he said "no" twice'}),
        ('{"a": "x：y，z", "b": True}', {"a": "x：y，z", "b": True}),
        ('{"评分"：9，"理由"："说“好”的人很多"}', {"评分": 9, "理由": "说“好”的人很多"}),
        ('Sure! Use {braces} like this: {"a": 1} and {"b": 2}', {"a": 1}),
        ('```json\n{"a": "```"}\n', {"a": "```"}),
        ("[1, 2] trailing", [1, 2]),
    ],
)
def test_what_models_write(text: str, value: Any) -> None:
    assert json_value(text) == value


def test_the_words_true_and_none_inside_strings_stay() -> None:
    assert json_value("{“a”: “True, None”, “b”: True}") == {"a": "True, None", "b": True}


def test_json_within_a_fence_is_preferred() -> None:
    assert json_value('The form is [score]:\n```\n{"score": 7}\n```') == {"score": 7}


@pytest.mark.parametrize("text", ["", "no", "{", '{"a": 1', "[" * 5000, '{"a": "b', "{a: 1}"])
def test_what_is_no_json_is_told(text: str) -> None:
    with pytest.raises(Unreadable, match="no JSON object or array"):
        json_value(text)


def test_fields_are_asked_for() -> None:
    assert json_object('[{"a": 1}]', "a") == {"a": 1}
    with pytest.raises(Unreadable, match="no `b`"):
        json_object('{"a": 1}', "a", "b")
    with pytest.raises(Unreadable, match="not an object"):
        json_object("[1, 2]")


MARKS = ["{}. ", "{}) ", "({}) ", "（{}）", "{}、", "{}．", "**{}.** ", "{}: ", "[{}] ", "第{}条："]
ITEM = st.text(st.characters(categories=["L"]), min_size=1, max_size=12)


@given(st.lists(ITEM, min_size=1, max_size=15), st.sampled_from(MARKS), st.booleans())
def test_numbered_lists(items: list[str], mark: str, spaced: bool) -> None:
    lines = [mark.format(number) + item for number, item in enumerate(items, 1)]
    text = "Here they are:\n\n" + ("\n\n" if spaced else "\n").join(lines)
    found = numbered_items(text)
    assert [item.lstrip("：") for item in found] == items


def test_numbers_inside_an_item_do_not_end_it() -> None:
    text = "1. In 2020.\n2020. was long\n3. not yet\n2. Pi is\n3.14 of course\n3. Steps:\n1. one\n2. two"
    assert numbered_items(text) == [
        "In 2020.\n2020. was long\n3. not yet",
        "Pi is\n3.14 of course",
        "Steps:\n1. one\n2. two",
    ]


def test_chinese_numbers() -> None:
    names = ["一", "二", "三", "四", "五", "六", "七", "八", "九", "十", "十一", "十二"]
    text = "\n".join(f"{name}、第{name}件事" for name in names)
    assert numbered_items(text) == [f"第{name}件事" for name in names]
    assert numbered_items("①甲\n②乙") == ["甲", "乙"]
    with pytest.raises(Unreadable, match="no numbered list"):
        numbered_items("nothing here\n2. begins late")


def test_fences() -> None:
    assert fenced("a\n```python\nx = 1\n```\nb\n~~~~\n```\n~~~~\n```\nopen") == ["x = 1", "```", "open"]
    assert fenced("inline ```code``` only") == []


def test_a_reply_that_cannot_be_read_keeps_its_text() -> None:
    good, bad, cut = (
        Reply("k", "[1]"),
        Reply("k", "I would rather not."),
        Reply("k", "[1]", reason="cut_by_length"),
    )
    assert read(good, json_value) == ([1], good)
    value, told = read(bad, json_value)
    assert value is None
    assert (told.reason, told.text, told.detail) == (UNREADABLE, bad.text, "no JSON object or array")
    assert read(cut, json_value) == (None, cut)


def test_the_form_that_is_sent() -> None:
    sent = response_format("verdict", {"type": "object"})
    assert sent["type"] == "json_schema"
    assert sent["json_schema"]["schema"] == {"type": "object"}


@pytest.mark.parametrize("piece", ["{", '{"a": "', '"', "“", "1. ", "```\n", "[[", "\\", "1", "**", "：{"])
def test_long_nonsense_comes_to_an_end(piece: str) -> None:
    for reader in (json_value, numbered_items):
        with contextlib.suppress(Unreadable):  # some of it is a list
            reader(piece * 10_000)
    assert fenced(piece * 10_000) is not None
