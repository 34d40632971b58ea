"""`instruct explain` on rows that a real server evolved: chain, prompts, requests, tokens, money."""

import json
from pathlib import Path
from typing import Any

import pytest

from instruct.evolve_operations import load_operations
from instruct.explain import explain_row
from instruct.lineage import MADE_FROM, named_ids, requests_of
from tests.instruct.chat_server import chat_server
from tests.programs import call, conversations, write_jsonl


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def evolved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explain")
    write_jsonl(folder / "chats.jsonl", [*conversations(6)])
    (folder / "prices.yaml").write_text("models:\n  m: {input: 1000000, output: 2000000}\n")
    with chat_server() as server:
        asking = ["--model", "m", "--base-url", server.url, "--cache", folder / "cache.sqlite"]
        made = call("instruct", "evolve", folder / "chats.jsonl", "-o", folder / "out", "--rounds", 2, *asking)
    assert made.status == 0, made.err
    return folder


def test_a_row_of_the_last_round_is_followed_back_to_its_seed(evolved: Path) -> None:
    kept = {row["id"]: row for row in rows(evolved / "out" / "conversations.jsonl")}
    last = next(row for row in kept.values() if row["lineage"]["parent"] in kept)
    outcome = call(
        "instruct", "explain", last["id"], evolved / "out", "--json",
        "--cache", evolved / "cache.sqlite", "--prices", evolved / "prices.yaml",
    )  # fmt: skip
    assert outcome.status == 0, outcome.err
    found = json.loads(outcome.out)
    assert [step["id"] for step in found["steps"]] == [
        last["lineage"]["root"], last["lineage"]["parent"], last["id"],
    ]  # fmt: skip
    requests = [request for step in found["steps"] for request in step["requests"]]
    keys = [key for name in (last["lineage"]["parent"], last["id"]) for key in _keys(kept[name])]
    assert sorted(request["key"] for request in requests) == sorted(keys)
    tokens = [(request["prompt_tokens"], request["completion_tokens"]) for request in requests]
    assert found["cost"]["tokens"] == sum(map(sum, tokens))
    assert found["cost"]["cost_USD"] == sum(sent + 2 * made for sent, made in tokens)
    last_answer = next(one for one in found["steps"][-1]["requests"] if one["stage"] == "answer")
    first = found["steps"][-1]["requests"][0]
    operations = {one.name: one for one in load_operations("general").operations}
    used = operations[last["lineage"]["operation"]].prompts["en"]
    assert used.hash == last["lineage"]["prompt_hash"]
    assert (first["stage"], first["prompt_text"]) == ("evolve", used.user)
    assert last_answer["reply"] == last["messages"][-1]["content"]
    assert last["messages"][0]["content"] in last_answer["sent"][-1]["content"]


def _keys(row: dict[str, Any]) -> list[str]:
    return list(row["lineage"]["request_keys"].values())


def test_without_a_cache_the_lineage_alone_is_told(evolved: Path) -> None:
    last = rows(evolved / "out" / "conversations.jsonl")[-1]
    findings = explain_row(last["id"], [evolved / "out"])
    assert {one.key for one in findings[-1].requests} == set(_keys(last))
    assert all(one.reply is None and one.cost is None for one in findings[-1].requests)
    printed = call("instruct", "explain", last["id"], evolved / "out", "--cache", evolved / "cache.sqlite").out
    assert last["lineage"]["operation"] in printed


def test_an_unknown_id_names_its_neighbours(evolved: Path) -> None:
    outcome = call("instruct", "explain", "c1+", evolved / "out")
    assert outcome.status == 1
    assert "c1+: no row of this id" in outcome.message
    assert "near it: c1+" in outcome.message


def test_a_removed_row_is_found_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "manifest.json").write_text('{"command": "instruct evolve", "inputs": []}')
    write_jsonl(tmp_path / "out" / "conversations.jsonl", [])
    gone = {
        "id": "a+1",
        "reason": "equal",
        "lineage": {"parent": "a", "prompt_hash": "0" * 64, "request_key": "k"},
    }
    write_jsonl(tmp_path / "out" / "removed.jsonl", [gone])
    write_jsonl(tmp_path / "seeds.jsonl", [{"id": "a", "instruction": "Sing.", "output": "La."}])
    findings = explain_row("a+1", [tmp_path / "out", tmp_path / "seeds.jsonl"])
    assert [(one.id, one.kept) for one in findings] == [("a", True), ("a+1", False)]
    assert findings[1].requests[0].prompt == ""
    printed = call("instruct", "explain", "a+1", tmp_path / "out").out
    assert "removed: equal" in printed
    assert "prompt since changed" in " ".join(printed.split())


def test_lineages_of_other_verbs_are_read_alike() -> None:
    answered = {
        "operation": "evolve",
        "parent": "a",
        "model": "m",
        "answer": {
            "model": "n",
            "prompt_hash": "h",
            "request_keys": ["k1", "k2"],
            "before": {"request_keys": ["old"]},
        },
        "scores": {"quality": {"model": "j", "prompt_hash": "q", "request_key": "k3"}},
        "parent_lineage": {"parent": "b", "request_key": "older"},
    }
    found = {(one.stage, one.key, one.prompt_hash, one.model) for one in requests_of(answered)}
    assert found == {("answer", "k1", "h", "n"), ("answer", "k2", "h", "n"), ("quality", "k3", "q", "j")}
    assert named_ids(answered, MADE_FROM) == ["a", "b"]
