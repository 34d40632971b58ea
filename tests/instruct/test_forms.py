"""ChatML, Dolly, OpenAssistant's trees, Super-NaturalInstructions; fields of messages; files of rows."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.core.conversations import read_conversations
from corpus.core.errors import ZeroToOneError
from instruct.convert import convert
from instruct.forms import FormError, detect, from_conversation, rounds_in, to_conversation
from instruct.rows import list_row_files, plan_rows, read_records, read_unit
from tests.instruct.test_convert import back, conversations, write

MARKS = ("<|im_start|>", "<|im_end|>")


@given(conversations())
def test_conversations_come_back_from_chatml(conversation: dict[str, Any]) -> None:
    row = from_conversation(conversation, "chatml")
    assert detect(row) == "chatml"
    assert rounds_in(row, "chatml") == rounds_in(conversation, "messages")
    assert back(row, "chatml") == conversation


@given(conversations(), st.sampled_from(MARKS), st.integers(0, 9))
def test_chatml_does_not_hold_its_own_marks(conversation: dict[str, Any], mark: str, place: int) -> None:
    message = conversation["messages"][place % len(conversation["messages"])]
    message["content"] += mark
    with pytest.raises(FormError, match="chatml_mark_in_content"):
        from_conversation(conversation, "chatml")
    assert back(from_conversation(conversation, "sharegpt"), "sharegpt") == conversation


@given(conversations(), st.dictionaries(st.sampled_from(["weight", "name"]), st.integers(), min_size=1))
def test_fields_of_messages_survive_or_are_counted(conversation: dict[str, Any], more: dict[str, int]) -> None:
    conversation["messages"][-1].update(more)
    assert back(from_conversation(conversation, "sharegpt"), "sharegpt") == conversation
    lost: Counter[str] = Counter()
    from_conversation(conversation, "chatml", lost)
    assert lost == {"message_fields": len(more)}


@pytest.mark.parametrize(
    "text",
    [
        "<|im_start|>user\na<|im_end|>\nmore",
        "<|im_start|>user\na",
        "<|im_start|>user\na<|im_start|>b\nc<|im_end|>",
    ],
)
def test_broken_chatml(text: str) -> None:
    with pytest.raises(FormError, match="broken_chatml"):
        to_conversation({"text": text}, "chatml", "0", Counter())


def test_names_of_speakers_and_parts_of_contents() -> None:
    row = {
        "messages": [
            {"role": "Developer", "content": "Be kind."},
            {"role": "Human", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "bot", "content": "c"},
        ]
    }
    found = to_conversation(row, "messages", "0", Counter())["messages"]
    assert [(turn["role"], turn["content"]) for turn in found] == [
        ("system", "Be kind."), ("user", "a\nb"), ("assistant", "c"),
    ]  # fmt: skip
    row["messages"][1]["content"] = [{"type": "image_url", "image_url": "x"}]
    with pytest.raises(FormError, match="content_not_text"):
        to_conversation(row, "messages", "0", Counter())


def test_dolly(tmp_path: Path) -> None:
    rows = [
        {"instruction": "Who?", "context": "Ada wrote it.", "response": "Ada.", "category": "closed_qa"},
        {"instruction": "Why?", "context": "", "response": "Because."},
    ]
    convert([write(tmp_path / "in.jsonl", rows)], tmp_path / "out.jsonl", to="messages")
    first, second = read_conversations([tmp_path / "out.jsonl"])
    assert first["messages"][0]["content"] == "Who?\n\nAda wrote it."
    assert first["category"] == "closed_qa"
    assert second["messages"][1]["content"] == "Because."
    convert([str(tmp_path / "out.jsonl")], tmp_path / "back.json", to="alpaca")
    again = json.loads((tmp_path / "back.json").read_text())
    assert [(row["instruction"], row["input"], row["output"]) for row in again] == [
        ("Who?", "Ada wrote it.", "Ada."),
        ("Why?", "", "Because."),
    ]


def node(role: str, text: str, rank: int | None = None, replies: list[Any] | None = None) -> dict[str, Any]:
    return {"role": role, "text": text, "rank": rank, "replies": replies or []}


def test_the_best_branch_of_a_tree_and_what_it_leaves(tmp_path: Path) -> None:
    best = node(
        "assistant", "a0", 0, [node("prompter", "q2", None, [node("assistant", "a2")]), node("prompter", "q3")]
    )
    tree = {"message_tree_id": "t", "prompt": node("prompter", "q1", None, [node("assistant", "a1", 1), best])}
    unanswered = {"message_tree_id": "u", "prompt": node("prompter", "q")}
    result = convert([write(tmp_path / "in.jsonl", [tree, unanswered])], tmp_path / "out.jsonl", to="messages")
    (row,) = read_conversations([tmp_path / "out.jsonl"])
    assert (row["id"], [message["content"] for message in row["messages"]]) == ("t", ["q1", "a0", "q2", "a2"])
    assert (result.rounds_in, result.rounds_out, result.rounds_set_aside) == (4, 2, 1)
    assert result.rounds_of_other_branches == 1
    assert result.lost == {"messages_of_other_branches": 2, "rounds_of_other_branches": 1}
    assert result.reasons == {"no_messages": 1}


TREE = st.recursive(
    st.builds(node, st.sampled_from(["prompter", "assistant"]), st.just("x"), st.none() | st.integers(0, 3)),
    lambda inner: st.builds(
        node,
        st.sampled_from(["prompter", "assistant"]),
        st.just("x"),
        st.none() | st.integers(0, 3),
        st.lists(inner, max_size=3),
    ),
    max_leaves=8,
)


@given(TREE)
def test_no_message_of_a_tree_is_lost_silently(prompt: dict[str, Any]) -> None:
    def size(tree: dict[str, Any]) -> int:
        return 1 + sum(map(size, tree["replies"]))

    lost: Counter[str] = Counter()
    row = {"message_tree_id": "t", "prompt": prompt}
    try:
        conversation = to_conversation(row, "oasst", "0", lost)
    except FormError:
        assert not lost
        return
    assert len(conversation["messages"]) + lost["messages_of_other_branches"] == size(prompt)
    assert rounds_in(row, "oasst") == rounds_in(conversation, "messages") + lost["rounds_of_other_branches"]


def test_a_task_of_super_natural_instructions(tmp_path: Path) -> None:
    task = {
        "Contributors": ["x"],
        "Categories": ["Sums"],
        "Definition": ["Add the numbers."],
        "Positive Examples": [{"input": "1 1", "output": "2", "explanation": "e"}],
        "Negative Examples": [],
        "Instances": [
            {"id": "task-1", "input": "1 2", "output": ["3", "three"]},
            {"id": "task-2", "input": "2 2", "output": ["4"]},
            {"id": "task-3", "input": "9"},
        ],
    }
    (tmp_path / "task.json").write_text(json.dumps(task, indent=1))
    result = convert([str(tmp_path / "task.json")], tmp_path / "out.jsonl", to="messages")
    rows = list(read_conversations([tmp_path / "out.jsonl"]))
    assert [(row["id"], row["messages"][1]["content"]) for row in rows] == [("task-1", "3"), ("task-2", "4")]
    assert rows[0]["messages"][0]["content"] == "Add the numbers.\n\n1 2"
    assert rows[0]["Categories"] == ["Sums"]
    assert result.lost == {"other_outputs": 1, "positive_examples": 1}
    assert result.reasons == {"no_final_reply": 1}
    assert result.set_aside[0].place == "task.json:1#3"


def test_places_of_rows_are_the_same_in_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"instruction": f"{number} " * (number % 9), "output": "x"} for number in range(90)]
    path = write(tmp_path / "in.jsonl", rows)
    monkeypatch.setattr("instruct.rows.UNIT_BYTES", 300)
    units = plan_rows([path])
    assert len(units) > 5
    assert [record for unit in units for record in read_unit(unit)] == list(read_records(path))


def test_files_of_rows(tmp_path: Path) -> None:
    rows = [{"instruction": "a", "output": str(number)} for number in range(3)]
    (tmp_path / "data").mkdir()
    pl.DataFrame(rows).write_parquet(tmp_path / "data" / "a.parquet")
    (tmp_path / "data" / "b.json").write_text("\n".join(map(json.dumps, rows)))  # rows in lines, whatever the name
    (tmp_path / "data" / "c.json").write_text(json.dumps(rows[0], indent=1))
    for name in ("manifest.json", "removed.jsonl", ".hidden.jsonl", "notes.txt"):
        (tmp_path / "data" / name).write_text("no row")
    found = list_row_files([str(tmp_path / "data")])
    assert [Path(path).name for path in found] == ["a.parquet", "b.json", "c.json"]
    assert [[row for _, row, _ in read_records(path)] for path in found] == [rows, rows, rows[:1]]
    assert list_row_files([str(tmp_path / "data" / "*.json")]) == [
        *found[1:],
        str(tmp_path / "data" / "manifest.json"),
    ]
    (tmp_path / "data" / "conversations.jsonl").write_text("")
    assert list_row_files([str(tmp_path / "data")]) == [str(tmp_path / "data" / "conversations.jsonl")]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ZeroToOneError, match="no files of rows here"):
        list_row_files([str(tmp_path / "empty")])
