"""Forms of instruction data: round trips, accounts of rows and rounds, broken input."""

import gzip
import json
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.core.conversations import conversation_error, read_conversations
from corpus.core.errors import UsageError, ZeroToOneError
from instruct.convert import convert
from instruct.forms import READABLE, FormError, detect, from_conversation, rounds_in, to_conversation

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "instruct"
TEXT = st.text(st.characters(codec="utf-8"), max_size=30)
ALPACA = st.fixed_dictionaries(
    {"id": TEXT, "instruction": TEXT, "input": TEXT, "output": TEXT},
    optional={"topic": st.integers(), "lang": st.just("en")},
)


@st.composite
def conversations(draw: st.DrawFn) -> dict[str, Any]:
    rounds = draw(st.integers(1, 4))
    system = [{"role": "system", "content": draw(TEXT)}] if draw(st.booleans()) else []
    turns = [{"role": role, "content": draw(TEXT)} for _ in range(rounds) for role in ("user", "assistant")]
    extras = draw(st.dictionaries(st.sampled_from(["score", "category"]), st.integers()))
    about = {"lang": draw(TEXT), "source": draw(TEXT), "lineage": draw(st.dictionaries(TEXT, TEXT, max_size=2))}
    return {"id": draw(TEXT), "messages": system + turns, **about, **extras}


def back(row: dict[str, Any], form: str) -> dict[str, Any]:
    return to_conversation(row, form, "0", Counter())


@given(ALPACA)
def test_alpaca_rows_come_back(row: dict[str, Any]) -> None:
    assert from_conversation(back(row, "alpaca"), "alpaca") == row


@given(conversations())
def test_conversations_come_back_from_sharegpt(conversation: dict[str, Any]) -> None:
    row = from_conversation(conversation, "sharegpt")
    assert detect(row) == "sharegpt"
    assert rounds_in(row, "sharegpt") == rounds_in(conversation, "messages")
    assert back(row, "sharegpt") == conversation


@given(conversations())
def test_alpaca_holds_one_round_and_says_so(conversation: dict[str, Any]) -> None:
    if conversation["messages"][0]["role"] == "system" or len(conversation["messages"]) > 2:
        with pytest.raises(FormError):
            from_conversation(conversation, "alpaca")
    else:
        assert back(from_conversation(conversation, "alpaca"), "alpaca") == conversation


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
KEYS = [
    "id",
    "messages",
    "conversations",
    "chat",
    "meta_instruction",
    "instruction",
    "output",
    "history",
    "lineage",
]
TURN = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "x"]), "from": JSON, "content": JSON, "value": JSON}
)


@given(st.dictionaries(st.sampled_from(KEYS), JSON | st.lists(TURN, max_size=3)), st.sampled_from(READABLE))
def test_any_row_is_read_or_has_a_reason(row: dict[str, Any], form: str) -> None:
    with suppress(FormError):
        assert conversation_error(to_conversation(row, form, "0", Counter())) is None
    assert rounds_in(row, detect(row)) >= 0


def write(path: Path, rows: list[Any]) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_an_alpaca_array_becomes_conversations(tmp_path: Path) -> None:
    source = tmp_path / "alpaca.json"
    rows = [
        {"instruction": "Add.", "input": "1 2", "output": "3"},
        {"instruction": "你好", "input": "", "output": "你好！"},
        {"instruction": "And?", "output": "Yes.", "system": "Be kind.", "history": [["Hi", "Hello"]]},
    ]
    source.write_text(json.dumps(rows), encoding="utf-8-sig")
    result = convert([str(source)], tmp_path / "out.jsonl", to="messages")
    assert (result.rounds_in, result.rounds_out, result.rounds_set_aside) == (4, 4, 0)
    first, second, third = read_conversations([tmp_path / "out.jsonl"])
    assert first["messages"][0]["content"] == "Add.\n\n1 2"
    assert first["id"] == "alpaca.json:1"
    assert first["source"] == "alpaca.json"
    assert second["messages"][1]["content"] == "你好！"
    assert [message["role"] for message in third["messages"]] == ["system", *["user", "assistant"] * 2]
    convert([str(tmp_path / "out.jsonl")], tmp_path / "back.json", to="alpaca")
    again = json.loads((tmp_path / "back.json").read_text(encoding="utf-8"))
    assert [row["input"] for row in again] == ["1 2", ""]


def test_rounds_in_are_rounds_out_and_set_aside(tmp_path: Path) -> None:
    human, gpt = {"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}
    rows = [
        {"conversations": [human, gpt]},
        {"conversations": [human, gpt, human, gpt]},
        {"conversations": [gpt, human, gpt]},
        {"conversations": [human, gpt, human]},
        {"conversations": [{"from": "robot", "value": "x"}, human]},
        {"conversations": []},
        ["no", "object"],
        {"something": "else"},
    ]
    path = Path(write(tmp_path / "in.jsonl", rows))
    with path.open("ab") as handle:
        handle.write(b'{"conversations": [\n\xff\xfe\n{"instruction": "\\ud800", "output": "x"}\n')
    result = convert([str(path)], tmp_path / "out.jsonl", to="alpaca")
    assert result.rows_in == 11
    assert result.rows_out == 1
    assert result.rounds_in == 1 + 2 + 1 + 2 + 1
    assert result.rounds_in == result.rounds_out + result.rounds_set_aside
    assert result.rows_in == result.rows_out + len(result.set_aside)
    assert result.reasons == {
        "invalid_json": 1,
        "invalid_utf8": 1,
        "lone_surrogate": 1,
        "more_than_one_round": 1,
        "no_final_reply": 1,
        "no_messages": 1,
        "not_an_object": 1,
        "roles_do_not_alternate": 1,
        "unknown_form": 1,
        "unknown_role": 1,
    }
    aside = [json.loads(line) for line in (tmp_path / "out.jsonl.set_aside.jsonl").read_text().splitlines()]
    assert [row["place"] for row in aside] == [f"in.jsonl:{number}" for number in range(2, 12)]
    with pytest.raises(ZeroToOneError, match=r"in\.jsonl:2: more_than_one_round"):
        convert([str(path)], tmp_path / "strict.jsonl", to="alpaca", strict=True)
    assert not (tmp_path / "strict.jsonl").exists()


def test_moss_turns_and_what_they_lose(tmp_path: Path) -> None:
    def turn(number: int, thought: str) -> dict[str, str]:
        return {
            "Human": f"<|Human|>: 问题{number}<eoh>\n",
            "Inner Thoughts": f"<|Inner Thoughts|>: {thought}<eot>\n",
            "Commands": "<|Commands|>: None<eoc>\n",
            "MOSS": f"<|MOSS|>: 回答<{number}><eom>\n",
        }

    chat = {f"turn_{number}": turn(number, "None" if number % 2 else "算") for number in (10, 2, 1)}
    row = {"conversation_id": 4, "meta_instruction": "你是助手。\n", "num_turns": 3, "chat": chat, "category": "x"}
    result = convert([write(tmp_path / "moss.jsonl", [row])], tmp_path / "out.jsonl", to="messages")
    assert result.lost == {"inner_thoughts": 2}
    (conversation,) = read_conversations([tmp_path / "out.jsonl"])
    assert conversation["id"] == "4"
    assert conversation["category"] == "x"
    assert [message["content"] for message in conversation["messages"]] == [
        "你是助手。", "问题1", "回答<1>", "问题2", "回答<2>", "问题10", "回答<10>",
    ]  # fmt: skip


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data")
def test_real_moss_conversations(tmp_path: Path) -> None:
    result = convert([str(SHARED / "moss_conversations_zh.jsonl")], tmp_path / "out.jsonl", to="messages")
    assert result.rounds_in == result.rounds_out == 2284
    text = (tmp_path / "out.jsonl").read_text(encoding="utf-8")
    assert sum(1 for _ in read_conversations([tmp_path / "out.jsonl"])) == 605
    assert not any(mark in text for mark in ("<eoh>", "<eom>", "<|Human|>", "<|MOSS|>"))


def test_a_cut_archive_keeps_what_stands_before_the_cut(tmp_path: Path) -> None:
    rows = [{"instruction": f"{number} " * 50, "output": str(number)} for number in range(2000)]
    packed = gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode())
    (tmp_path / "in.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    result = convert([str(tmp_path / "in.jsonl.gz")], tmp_path / "out.jsonl", to="messages")
    assert result.reasons == {"truncated_file": 1}
    assert 100 < result.rows_out < 2000


def test_nothing_written_is_lost(tmp_path: Path) -> None:
    first = write(tmp_path / "1.jsonl", [{"instruction": "a", "output": "b"}])
    second = write(tmp_path / "2.jsonl", [{"instruction": "c", "output": "d"}])
    output = tmp_path / "out.jsonl"
    convert([first], output, to="messages")
    before = output.read_bytes()
    convert([first], output, to="messages")
    with pytest.raises(ZeroToOneError, match="exists with other content"):
        convert([second], output, to="messages")
    assert output.read_bytes() == before
    convert([second], output, to="messages", overwrite=True)
    assert output.read_bytes() != before
    assert {path.name for path in tmp_path.iterdir()} == {"1.jsonl", "2.jsonl", "out.jsonl"}


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ZeroToOneError, match="no such file"):
        convert([str(tmp_path / "missing.jsonl")], tmp_path / "o", to="messages")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(ZeroToOneError, match="no rows"):
        convert([str(tmp_path / "empty.jsonl")], tmp_path / "o", to="messages")
    (tmp_path / "cut.json").write_text('[{"instruction": "a",')
    with pytest.raises(ZeroToOneError, match=r"cut\.json: not valid JSON"):
        convert([str(tmp_path / "cut.json")], tmp_path / "o", to="messages")
    with pytest.raises(UsageError, match="--to"):
        convert([], tmp_path / "o", to="moss")
