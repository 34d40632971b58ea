"""The conversation contract: what is read, what is set aside, and that whatever is written can be read."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.core.conversations import read_conversations, write_conversations
from corpus.core.errors import ZeroToOneError

# All characters, lone surrogates too.
TEXT = st.text(st.characters(exclude_categories=()), max_size=8)


def conversation(*contents: str, **others: Any) -> dict[str, Any]:
    roles = ("user", "assistant")
    messages = [{"role": roles[place % 2], "content": content} for place, content in enumerate(contents)]
    return {"id": "a", "messages": messages, "lang": "en", "source": "test", "lineage": {}, **others}


@given(st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=4))
def test_whatever_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[str, ...]]
) -> None:
    path = tmp_path_factory.mktemp("written") / "conversations.jsonl"
    rows = [conversation(user, reply, lineage={"prompt": prompt}) for user, reply, prompt in texts]
    assert write_conversations(path, rows) == len(rows)
    for row, read in zip(rows, read_conversations([path]), strict=True):
        for before, after in zip(row["messages"], read["messages"], strict=True):
            valid = before["content"].encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            assert after["content"] == valid


def test_a_lone_surrogate_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    bad = [conversation("hello", "\ud83d"), conversation("a", "b", lineage={"\udc00": 1})]
    good = conversation("smile", "\U0001f600")
    path.write_text("".join(json.dumps(row) + "\n" for row in [bad[0], good, bad[1]]))
    found: list[tuple[str, str]] = []
    read = list(read_conversations([path], lambda place, reason, _: found.append((place, reason))))
    assert read == [good]
    assert found == [(f"{path}:1", "lone_surrogate"), (f"{path}:3", "lone_surrogate")]
    with pytest.raises(ZeroToOneError, match=r"in\.jsonl:1: lone_surrogate"):
        list(read_conversations([path]))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "invalid_json"),
        (b'"\xff"', "invalid_utf8"),
        (b"[]", "not_an_object"),
        (b'{"messages": []}', "no_messages"),
        (b'{"messages": [{"role": "teacher", "content": "x"}]}', "unknown_role"),
        (b'{"messages": [{"role": "user", "content": 1}]}', "content_not_text"),
        (b'{"messages": [{"role": "user", "content": "x"}]}', "no_final_reply"),
        (b'{"messages": [{"role": "assistant", "content": "x"}]}', "roles_do_not_alternate"),
    ],
)
def test_what_is_no_conversation_is_set_aside(tmp_path: Path, line: bytes, reason: str) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(line + b"\n\n" + json.dumps(conversation("a", "b")).encode())
    found: list[tuple[str, str]] = []
    read = list(read_conversations([path], lambda place, why, _: found.append((place, why))))
    assert [row["id"] for row in read] == ["a"]
    assert found == [(f"{path}:1", reason)]


def test_what_is_missing_is_filled_in(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl.gz"
    messages = conversation("a", "b")["messages"]
    with gzip.open(path, "wt") as handle:
        handle.write("\n" + json.dumps({"messages": messages}) + "\n")
    [read] = read_conversations([path])
    assert read == {"id": f"{path.name}:2", "messages": messages, "lang": "", "source": path.name, "lineage": {}}
