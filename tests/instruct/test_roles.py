"""Phoenix's roles against a real server."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from corpus.core.conversations import read_conversations
from corpus.core.errors import UsageError, ZeroToOneError
from instruct.client import Endpoint
from instruct.generate import GenerateOptions, generate
from instruct.roles import read_roles
from instruct.tasks import WITH_ROLE, Task, parse, parse_list, render
from tests.instruct.chat_server import ChatServer, chat_server, digest, words

SEED = {"id": "s", "instruction": "Name three large rivers.", "output": "Nile, Congo, Amazon"}


@pytest.fixture
def seeds(tmp_path: Path) -> str:
    path = tmp_path / "seeds.jsonl"
    path.write_text(json.dumps(SEED) + "\n")
    return str(path)


def model(messages: list[dict[str, str]]) -> str:
    prompt = messages[-1]["content"]
    if "different kinds of people" in prompt:
        number = digest(prompt) % 100
        return f"1. **baker {number}**\n2. gardener {number}\n3. gardener {number}\n"
    asked = re.search(r"Write (\d+) new tasks", prompt)
    if not asked:
        return f"{messages[0]['content']} {words(prompt, 6)}"
    role = "" if "Put yourself" in prompt else f"Role: sailor {digest(prompt) % 50}\n"
    blocks = [
        f"### {number}\n{role}Instruction: {words(f'{prompt}{number}', 8)}\nInput: notes {number}"
        for number in range(int(asked[1]))
    ]
    return "\n\n".join([*blocks, f"### 99\nRole: <none>\nInstruction: {words(prompt, 9)}\nInput: <none>"])


def run(seeds: str, directory: Path, server: ChatServer, roles: str, count: int = 40) -> Any:
    endpoint = Endpoint(server.url, "m", concurrency=8, backoff=0.01)
    wanted = GenerateOptions("en", count, roles=roles)
    return generate(seeds, directory, endpoint, wanted, cache_path=directory.parent / "cache.sqlite")


def rows(directory: Path) -> list[dict[str, Any]]:
    return list(read_conversations([directory / "conversations.jsonl"]))


def test_roles_tasks_expansion_answers(tmp_path: Path, seeds: str) -> None:
    with chat_server(reply=model) as server:
        manifest, tally = run(seeds, tmp_path / "out", server, "3")
        found = rows(tmp_path / "out")
        assert len(found) == manifest["counts"]["rows_kept"] == 40
        assert manifest["counts"]["roles"] == 3
        assert manifest["reasons"]["role_known"] >= 1
        assert manifest["usage"]["requests"] == tally.requests_sent == server.requests()
        by_operation: dict[str, list[dict[str, Any]]] = {}
        for row in found:
            by_operation.setdefault(row["lineage"]["operation"], []).append(row)
        # Five tasks of each of three roles and of nobody; the reply's sixth is one more.
        assert len(by_operation["role_tasks"]) == 24
        names = {row["lineage"]["role"] for row in by_operation["role_tasks"]}
        assert len(names) == 4
        assert "" in names
        expanded = {row["lineage"]["role"] for row in by_operation["role_expansion"]}
        assert "" in expanded
        assert any(role.startswith("sailor") for role in expanded)
        for row in found:
            role, answer = row["lineage"]["role"], row["messages"][1]["content"]
            assert (f"The user is: {role}." in answer) == bool(role)
            assert set(row["lineage"]["answer"]) == {"prompt_hash", "request_key"}
            assert "nearest" in row["lineage"]
        sent = server.requests()
        run(seeds, tmp_path / "again", server, "3")
        assert server.requests() == sent
    for name in ("conversations.jsonl", "removed.jsonl"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_roles_of_a_file(tmp_path: Path, seeds: str) -> None:
    path = tmp_path / "roles.txt"
    path.write_text("nurse on night shift\n\n nurse  on night shift\nbeekeeper\n")
    with chat_server(reply=model) as server:
        manifest, _ = run(seeds, tmp_path / "out", server, str(path), count=9)
    assert not any("different kinds of people" in str(body["messages"]) for body in server.bodies)
    assert {row["lineage"]["role"] for row in rows(tmp_path / "out")} >= {"nurse on night shift", "beekeeper", ""}
    assert manifest["counts"]["roles"] == 2


def test_a_model_that_names_no_roles_ends_the_search(tmp_path: Path, seeds: str) -> None:
    def reply(messages: list[dict[str, str]]) -> str:
        return "I cannot say." if "different kinds of people" in str(messages) else model(messages)

    with chat_server(reply=reply) as server:
        manifest, _ = run(seeds, tmp_path / "out", server, "3", count=6)
    assert manifest["reasons"]["no_roles_in_reply"] == 3
    assert manifest["counts"]["rows_kept"] == 6


def test_a_refused_answer_is_a_reason(tmp_path: Path, seeds: str) -> None:
    def fault(prompt: str, _: int) -> dict[str, Any] | None:
        return {"content": "", "refusal": "I will not."} if "notes 1" in prompt and "Write" not in prompt else None

    path = tmp_path / "roles.txt"
    path.write_text("beekeeper\n")
    with chat_server(reply=model, fault=fault) as server:
        manifest, _ = run(seeds, tmp_path / "out", server, str(path), count=10)
    assert manifest["reasons"]["refused"] == 2
    assert manifest["counts"]["rows_kept"] == 8


@pytest.mark.parametrize("language", ["en", "zh"])
def test_tasks_with_roles_are_read_back(language: str) -> None:
    tasks = [Task("Do it.", "a\nb", "", "nurse"), Task("Do that.", "", "", ""), Task("写诗。", "春天", "", "老师")]
    assert parse(render(tasks, language, WITH_ROLE), WITH_ROLE) == tasks


def test_a_task_without_its_role_line_is_read() -> None:
    text = "Instruction: a\nInput: b\n\nInstruction: c\nInput: <none>\n\nRole: d\nInstruction: e\nInput: f"
    assert parse(text, WITH_ROLE) == [Task("a", "b"), Task("c"), Task("e", "f", "", "d")]


def test_lists_are_read() -> None:
    text = "Here:\n1. one\n 2) **two**\n- three\n（4）四\n5、五\nno item\n6.\n"
    assert parse_list(text) == ["one", "two", "three", "四", "五"]
    assert parse_list("```\n1. a\n```") == ["a"]


def test_wrong_roles(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--roles"):
        read_roles("0")
    with pytest.raises(ZeroToOneError, match="no such file"):
        read_roles(str(tmp_path / "none.txt"))
    with pytest.raises(ZeroToOneError, match="a directory"):
        read_roles(str(tmp_path))
    empty, broken = tmp_path / "empty.txt", tmp_path / "broken.txt"
    empty.write_text("\n \n")
    broken.write_bytes(b"nurse\n\xff\n")
    with pytest.raises(ZeroToOneError, match="no roles"):
        read_roles(str(empty))
    with pytest.raises(ZeroToOneError, match="not UTF-8 at byte 6"):
        read_roles(str(broken))
