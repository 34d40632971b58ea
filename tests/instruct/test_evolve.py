"""`instruct evolve` against a real server: operations, eliminations, rounds, `kill -9`."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from corpus.core.conversations import read_conversations
from corpus.core.errors import UsageError, ZeroToOneError
from instruct.client import Endpoint
from instruct.evolve import evolve
from instruct.evolve_operations import load_operations
from instruct.evolve_rounds import EvolveOptions
from tests.instruct.chat_server import ChatServer, answer, chat_server, digest, words

RULES = {"evolve": "Task:\n", "judge": "Equal or Different"}


def write(path: Path, count: int) -> str:
    lines = [
        {"id": f"i{number}", "instruction": f"{words(f'task {number}', 6)} {number}", "output": "x", "lang": "en"}
        for number in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in lines))
    return str(path)


def run(source: str, directory: Path, url: str, rounds: int = 2, **options: Any) -> tuple[dict[str, Any], Any]:
    endpoint = Endpoint(url, "m", concurrency=8, backoff=0.01, budget=options.pop("budget", None))
    cache = directory.parent / "cache.sqlite"
    return evolve([source], directory, endpoint, EvolveOptions(rounds, **options), cache_path=cache)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def agreeable(messages: list[dict[str, str]]) -> str:
    """The server's model with a judge that finds every evolution different, so that no prompt comes twice."""
    return "Different" if RULES["judge"] in messages[-1]["content"] else answer(messages)


def stage(prompt: str) -> str:
    text = json.loads(prompt)[1][-1]["content"]
    return next((name for name, mark in RULES.items() if mark in text), "answer")


def test_rows_chain_from_round_to_round_and_add_up(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", 30)
    with chat_server() as server:
        manifest, tally = run(source, tmp_path / "out", server.url, rounds=4)
        assert tally.requests_sent == server.requests() == len(cached_prompts(tmp_path / "cache.sqlite"))
    kept = list(read_conversations([tmp_path / "out" / "conversations.jsonl"]))
    removed = rows(tmp_path / "out" / "removed.jsonl")
    assert len(kept) + len(removed) == manifest["counts"]["evolutions"] == 120
    assert [line["tried"] for line in manifest["funnel"]] == [30] * 4
    assert sum(line["kept"] for line in manifest["funnel"]) == len(kept)
    assert removed
    assert {row["reason"] for row in removed} <= {"equal_to_parent", "sorry_answer"}
    by_id = {row["id"]: row for row in kept}
    roots = {f"i{number}" for number in range(30)}
    prompts = {operation.name: operation.prompts["en"] for operation in load_operations("general").operations}
    for row in kept:
        lineage = row["lineage"]
        assert lineage["root"] in roots
        assert lineage["parent"] in roots | set(by_id)
        assert lineage["prompt_hash"] == prompts[lineage["operation"]].hash
        assert set(lineage["request_keys"]) == {"evolve", "judge", "answer"}
        if lineage["parent"] in by_id:
            assert by_id[lineage["parent"]]["lineage"]["round"] < lineage["round"]
    for row in removed:  # what failed went back: the next round starts from the same parent
        following = f"{row['lineage']['root']}+{row['lineage']['round'] + 1}"
        if following in by_id:
            assert by_id[following]["lineage"]["parent"] == row["lineage"]["parent"]


def test_operations_are_even_and_do_not_depend_on_other_rows(tmp_path: Path) -> None:
    with chat_server() as server:
        run(write(tmp_path / "few.jsonl", 10), tmp_path / "few", server.url, rounds=1)
        sent = server.requests()
        manifest, tally = run(write(tmp_path / "more.jsonl", 120), tmp_path / "more", server.url, rounds=1)
        assert tally.from_cache == sent
    tried = {name: count["tried"] for name, count in manifest["funnel"][0]["operations"].items()}
    assert set(tried) == {
        "add_constraints", "deepen", "concretise", "add_reasoning", "complicate_input", "breadth"
    }  # fmt: skip
    # 120 draws from six: 20 each, standard deviation 4.1
    assert all(8 <= count <= 33 for count in tried.values())


@pytest.mark.parametrize(
    ("where", "text", "reason"),
    [
        ("judge", "Equal.", "equal_to_parent"),
        ("judge", "Who knows?", "verdict_unreadable"),
        ("answer", "Sorry, I can't do that.", "sorry_answer"),
        ("answer", "...!?", "answer_without_content"),
        ("evolve", "The Rewritten Prompt is this: sing", "leaks_prompt"),
        ("evolve", "I'm sorry, but I can't help with that.", "evolve_refused"),
        ("evolve", "", "evolve_empty_reply"),
        ("answer", "", "answer_empty_reply"),
    ],
)
def test_eliminations_send_the_parent_back(tmp_path: Path, where: str, text: str, reason: str) -> None:
    def fault(prompt: str, _: int) -> dict[str, Any] | None:
        return {"content": text} if stage(prompt) == where else None

    with chat_server(fault=fault) as server:
        manifest, _ = run(write(tmp_path / "in.jsonl", 4), tmp_path / "out", server.url, rounds=2)
        stages = Counter(stage(prompt) for prompt in server.completed)
    assert manifest["counts"]["rows_kept"] == 0
    reasons = manifest["reasons"]
    assert reasons.pop(reason) == (8 if where != "answer" else reasons_total(manifest, tmp_path, reason))
    parents = {row["lineage"]["parent"] for row in rows(tmp_path / "out" / "removed.jsonl")}
    assert parents == {"i0", "i1", "i2", "i3"}
    if where == "evolve":
        assert stages["judge"] == stages["answer"] == 0
    if where == "judge":
        assert stages["answer"] == 0


def reasons_total(manifest: dict[str, Any], directory: Path, reason: str) -> int:
    """Evolutions that reached the answer; the server's judge finds some equal before."""
    removed = rows(directory / "out" / "removed.jsonl")
    reached = [row for row in removed if "answer" in row["lineage"]["request_keys"]]
    assert {row["reason"] for row in reached} == {reason}
    assert len(removed) - len(reached) == manifest["reasons"].get("equal_to_parent", 0)
    return len(reached)


def test_an_unchanged_instruction_is_not_judged(tmp_path: Path) -> None:
    def reply(messages: list[dict[str, str]]) -> str:
        return messages[-1]["content"].rpartition("Task:\n")[2]

    with chat_server(reply=reply) as server:
        manifest, _ = run(write(tmp_path / "in.jsonl", 3), tmp_path / "out", server.url, rounds=1)
        assert server.requests() == 3
    assert manifest["reasons"] == {"equal_to_parent": 3}


def test_faults_lose_nothing(tmp_path: Path) -> None:
    def fault(prompt: str, attempt: int) -> dict[str, Any] | None:
        draw = digest(f"{prompt}{attempt}") % 100
        if draw < 20:
            return {"status": 429, "headers": {"Retry-After": "0"}}
        if draw < 25:
            return {"status": 500}
        return {"cut": "json"} if draw < 28 else None

    source = write(tmp_path / "in.jsonl", 60)
    with chat_server(fault=fault, reply=agreeable) as server:
        manifest, tally = run(source, tmp_path / "a" / "out", server.url)
        assert manifest["usage"]["failed"] == 0
        assert server.requests() == len(set(server.completed)) + tally.retries
        assert len(server.completed) == len(set(server.completed))
        assert tally.retries > 50
        server.fault = None
        run(source, tmp_path / "b" / "out", server.url)
    assert manifest["counts"]["rows_kept"] > 100
    for name in ("conversations.jsonl", "removed.jsonl"):
        assert (tmp_path / "a/out" / name).read_bytes() == (tmp_path / "b/out" / name).read_bytes()


def test_chinese_rows_get_chinese_prompts(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    row = {
        "id": "z",
        "messages": [{"role": "user", "content": "写一首诗。"}, {"role": "assistant", "content": "春"}],
    }
    path.write_text(json.dumps(row), encoding="utf-8")

    def reply(messages: list[dict[str, str]]) -> str:
        prompt = messages[-1]["content"]
        if "相同 或者 不同" in prompt:
            return "不同"
        return "写一首关于秋天的七言绝句，并说明用典。" if "写一首诗" in prompt else "秋风萧瑟。"

    with chat_server(reply=reply) as server:
        run(str(path), tmp_path / "out", server.url, rounds=1)
    (made,) = read_conversations([tmp_path / "out" / "conversations.jsonl"])
    assert made["lang"] == "zh"
    assert made["id"] == "z+1"
    assert [message["content"] for message in made["messages"]] == [
        "写一首关于秋天的七言绝句，并说明用典。",
        "秋风萧瑟。",
    ]


def test_rows_that_cannot_be_evolved_are_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    one = [{"role": "user", "content": "a b c d"}, {"role": "assistant", "content": "x"}]
    lines = [{"id": "1", "messages": one}, {"id": "1", "messages": one}, {"messages": one * 2}, {"messages": []}]
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\n{")
    with chat_server() as server:
        manifest, _ = run(str(path), tmp_path / "out", server.url, rounds=1)
    assert manifest["counts"]["rows_in"] == 5
    aside = [row["reason"] for row in rows(tmp_path / "out" / "set_aside.jsonl")]
    assert aside == ["duplicate_id", "more_than_one_round", "no_messages", "invalid_json"]
    path.write_text("{\n")
    with pytest.raises(ZeroToOneError, match=r"no instructions to evolve \(invalid_json: 1\)"):
        run(str(path), tmp_path / "none", server.url)
    with pytest.raises(UsageError, match="--rounds"):
        EvolveOptions(0)


def command(source: str, directory: Path, url: str) -> subprocess.Popen[str]:
    arguments = [
        sys.executable,
        "-m",
        "instruct.cli",
        "evolve",
        source,
        "-o",
        str(directory / "out"),
        "--rounds",
        "2",
    ]
    options = [
        "--model",
        "m",
        "--base-url",
        url,
        "--cache",
        str(directory / "cache"),
        "--concurrency",
        "4",
        "--json",
    ]
    environment = {**os.environ, "OPENAI_API_KEY": "sk-secret-of-the-subprocess"}
    return subprocess.Popen(
        arguments + options, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def cached_prompts(path: Path) -> list[str]:
    """The prompts of the cached requests, in the words of the server."""
    with sqlite3.connect(path) as database:
        texts = [text for (text,) in database.execute("SELECT request FROM replies")]
    database.close()
    requests = [json.loads(text) for text in texts]
    return [
        json.dumps([request["model"], request["messages"], request["parameters"].get("temperature")])
        for request in requests
    ]


def wait_for(server: ChatServer, completed: int, process: subprocess.Popen[str]) -> None:
    limit = time.monotonic() + 60
    while len(server.completed) < completed and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.005)


def start(server: ChatServer, directory: Path) -> set[str]:
    """Forget what the server counted; what the cache holds now."""
    time.sleep(0.05)  # the last replies to a killed client
    server.completed.clear()
    server.attempts.clear()
    cache = directory / "cache"
    return set(cached_prompts(cache)) if cache.exists() else set()


def test_after_kill_9_no_completed_request_is_sent_again(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", 25)
    with chat_server(delay=0.01, reply=agreeable) as server:
        run(source, tmp_path / "whole" / "out", server.url)
        total = len(server.completed)
        for kill_at in (1, 25, 50, 75, 100):
            cached = start(server, tmp_path)
            process = command(source, tmp_path, server.url)
            wait_for(server, kill_at - len(cached), process)
            process.send_signal(signal.SIGKILL)
            process.communicate()
            assert not cached & set(server.attempts)
            assert not (tmp_path / "out" / "manifest.json").exists()
        cached = start(server, tmp_path)
        assert len(cached) >= 90
        process = command(source, tmp_path, server.url)
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert not cached & set(server.attempts)
        assert server.requests() == len(server.completed) == total - len(cached)
    summary = json.loads(output)
    assert summary["from_cache"] >= len(cached)
    assert summary["requests_sent"] == total - len(cached)
    for name in ("conversations.jsonl", "removed.jsonl"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole/out" / name).read_bytes()
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"sk-secret-of-the-subprocess" not in everything + errors.encode() + output.encode()


def test_ctrl_c_is_one_line_and_a_rerun_goes_on(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", 20)
    with chat_server(delay=0.2, reply=agreeable) as server:  # 120 requests, 16 at a time: 1.5 s
        process = command(source, tmp_path, server.url)
        wait_for(server, 10, process)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 130
        assert errors.splitlines()[-1] == "interrupted; run the same command again to go on from here"
        assert "Traceback" not in errors
        cached = start(server, tmp_path)
        assert len(cached) >= 8
        process = command(source, tmp_path, server.url)
        process.communicate(timeout=60)
        assert process.returncode == 0
        assert not cached & set(server.attempts)


def test_lineage_names_seed_choices_prompts_and_eliminations(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    own = {"instruction": "Name a river.", "output": "x", "lang": "en", "lineage": {"seeds": ["s1", "s2"]}}
    path.write_text("".join(json.dumps({"id": f"i{number}", **own}) + "\n" for number in range(20)))
    with chat_server(reply=agreeable) as server:
        run(str(path), tmp_path / "out", server.url)
    kept = list(read_conversations([tmp_path / "out" / "conversations.jsonl"]))
    assert len(kept) == 40
    for row in kept:
        lineage = row["lineage"]
        number = lineage["root"].removeprefix("i")
        assert lineage["origin"] == f"in.jsonl:{int(number) + 1}"
        assert lineage["root_lineage"] == {"seeds": ["s1", "s2"]}
        passed = ["leaks_prompt", "equal_to_parent", "sorry_answer", "answer_without_content"]
        assert lineage["eliminations_passed"] == passed
        assert set(lineage["prompt_hashes"]) == {"evolve", "judge", "answer"}
        assert lineage["prompt_hashes"]["evolve"] == lineage["prompt_hash"]
        assert ("choices" in lineage) is (lineage["operation"] == "complicate_input")
        assert lineage["kind"] == ("breadth" if lineage["operation"] == "breadth" else "depth")


def test_operations_for_code_and_the_share_of_breadth(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", 12)
    with chat_server(reply=agreeable) as server:
        manifest, _ = run(source, tmp_path / "code", server.url, rounds=1, operations="code")
        assert set(manifest["funnel"][0]["operations"]) == {
            "add_constraints", "rarer_requirement", "add_reasoning", "misdirect", "raise_complexity"
        }  # fmt: skip
        prompts = [body["messages"][0]["content"] for body in server.bodies]
        assert sum("You make programming tasks" in prompt for prompt in prompts) == 12
        manifest, _ = run(source, tmp_path / "broad", server.url, rounds=1, breadth=1.0)
        assert manifest["funnel"][0]["operations"] == {"breadth": {"tried": 12, "kept": 12}}
        with pytest.raises(ZeroToOneError, match=r"breadth was 1\.0, is None"):
            run(source, tmp_path / "broad", server.url, rounds=1)
    with pytest.raises(UsageError, match="--breadth must be a share from 0 to 1"):
        EvolveOptions(1, breadth=1.5)
