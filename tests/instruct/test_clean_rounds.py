"""Rounds: none is lost when turns are taken apart, rounds taken out and conversations split."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus.core.conversations import conversation_error
from instruct.clean_conversation import CleanOptions, clean_messages
from instruct.clean_rounds import messages_of, take_apart
from instruct.clean_split import count_estimate, counter, split_rounds, turn_tokens

CONTENTS = st.sampled_from(
    ["Why?", "Because.", "", " ", "network error", "I am ChatGPT.", "<p>x</p>", "<div>" * 300, "2 / 3\n\nHello"]
)
TURN = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "user", "assistant", "assistant", "system", "tool"]),
        "content": CONTENTS | st.none(),
    }
)
ALTERNATING = st.lists(st.tuples(CONTENTS, CONTENTS), max_size=6).map(
    lambda rounds: [
        {"role": role, "content": text}
        for pair in rounds
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
)


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": {"u": "user", "a": "assistant", "s": "system"}[role], "content": content}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(TURN, max_size=10) | ALTERNATING, st.sampled_from(["auto", "always"]), st.booleans())
def test_every_question_is_in_one_place(messages: list[dict[str, Any]], html: str, keep_rest: bool) -> None:
    parts = clean_messages(messages, CleanOptions(html=html, keep_rest=keep_rest)).parts
    numbers = [round_.number for round_ in parts.kept]
    taken = [number for removed in parts.removed for number in removed.rounds]
    questions = sum(message["role"] == "user" for message in messages)
    assert sorted(numbers + taken) == list(range(1, questions + 1))
    turns = (
        2 * len(parts.kept) + sum(len(removed.messages) for removed in parts.removed) + (parts.system is not None)
    )
    assert turns == len(messages)
    if parts.kept:
        assert conversation_error({"messages": messages_of(parts.system, parts.kept)}) is None


@given(ALTERNATING)
def test_what_is_well_stays_as_it_is(messages: list[dict[str, str]]) -> None:
    parts = take_apart(messages)
    repeated = any(messages[place] == messages[place + 1] for place in range(len(messages) - 1))
    assert repeated or (messages_of(parts.system, parts.kept) == messages and not parts.removed)


@pytest.mark.parametrize(
    ("turns", "kept", "removed"),
    [
        ("a1 u1 a2", [1], [("leading_reply", ())]),
        ("u1 a1 u2", [1], [("no_reply", (2,))]),
        ("u1 a1 u2 u3 a3 u4 a4", [1], [("roles_do_not_alternate", (2, 3, 4))]),
        ("u1 a1 a2 u2 a3", [1], [("roles_do_not_alternate", (2,))]),
        ("u1 u1 a1", [2], [("repeated_turn", (1,))]),
        ("u1 a1 a1 u2 a2", [1, 2], [("repeated_turn", ())]),
        ("s0 u1 a1 s1 u2 a2", [1], [("system_turn_inside", (2,))]),
        ("s0", [], []),
        ("s0 a1", [], [("leading_reply", ())]),
    ],
)
def test_repairs(turns: str, kept: list[int], removed: list[tuple[str, tuple[int, ...]]]) -> None:
    parts = take_apart([turn(word[0], word) for word in turns.split()])
    assert [round_.number for round_ in parts.kept] == kept
    assert [(item.reason, item.rounds) for item in parts.removed] == removed


def test_what_follows_a_removed_round_stays_only_where_its_question_comes_again() -> None:
    error, again = [turn("u", "q2"), turn("a", "network error")], [turn("u", "q2 "), turn("a", "a2")]
    first, last = [turn("u", "q1"), turn("a", "a1")], [turn("u", "q3"), turn("a", "a3")]

    def numbers(messages: list[dict[str, str]], keep_rest: bool = False) -> list[int]:
        return [kept.number for kept in clean_messages(messages, CleanOptions(keep_rest=keep_rest)).parts.kept]

    assert numbers([*first, *error, *again, *last]) == [1, 3, 4]
    assert numbers([*first, *error, *last]) == [1]
    assert numbers([*first, *error, *last], keep_rest=True) == [1, 3]


SIZES = st.lists(st.integers(0, 60), max_size=30)


@given(SIZES, st.integers(0, 40), st.integers(1, 100))
def test_splits_are_whole_and_as_long_as_they_can_be(sizes: list[int], shared: int, most: int) -> None:
    runs = split_rounds(sizes, shared, most)
    assert [place for first, last in runs for place in range(first, last)] == list(range(len(sizes)))
    for first, last in runs:
        assert shared + sum(sizes[first:last]) <= most or last - first == 1
        assert last == len(sizes) or shared + sum(sizes[first : last + 1]) > most
    if all(shared + size <= most for size in sizes):
        assert len(runs) == fewest(tuple(sizes), most - shared)


def fewest(sizes: tuple[int, ...], room: int) -> int:
    """The smallest number of runs, found by trying every place for the last cut."""
    best = [0]
    for end in range(1, len(sizes) + 1):
        best.append(min(best[start] + 1 for start in range(end) if sum(sizes[start:end]) <= room))
    return best[-1]


def test_the_estimate_without_a_tokenizer() -> None:
    assert count_estimate("") == 0
    assert count_estimate("你好，世界") == 5
    assert count_estimate("hello") == 1
    assert count_estimate("international 12345") == 3 + 2
    assert turn_tokens("user", "", counter(None)) == 2 + 2 + 1
