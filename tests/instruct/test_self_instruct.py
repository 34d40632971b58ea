"""Self-Instruct against a real server: mixtures of examples, classification, instances in both orders."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from corpus.core.conversations import read_conversations
from instruct.client import Endpoint
from instruct.filters import instance_faults
from instruct.generate import GenerateOptions, generate
from instruct.self_instruct import is_classification
from instruct.tasks import INPUT_FIRST, OUTPUT_FIRST, Task, parse_instances
from tests.instruct.chat_server import ChatServer, chat_server, words

SEEDS = [
    {
        "id": f"s{number}",
        "instruction": words(f"seed {number}", 9),
        "instances": [{"input": f"material {number}", "output": f"label {number % 2}"}],
        "is_classification": number % 4 == 0,
    }
    for number in range(12)
]
KNOWN = {row["id"] for row in SEEDS}


@pytest.fixture
def seeds(tmp_path: Path) -> str:
    path = tmp_path / "seeds.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in SEEDS))
    return str(path)


def model(messages: list[dict[str, str]]) -> str:
    """Four instructions a reply, as a plain list; every instruction with an `amber` is classification."""
    prompt = messages[-1]["content"]
    if prompt.rstrip().endswith("Classification:"):
        return "Yes" if "amber" in prompt.rstrip().split("\n")[-2] else "No."
    if "Class label" in prompt:
        return "Example 1\nClass label: good\nInput: fine thing\n\nExample 2\nClass label: bad\nInput: poor thing"
    if "Example 1\nInput:" in prompt:
        pairs = (("one", "1"), ("two", "2"), ("3", "3"))
        return "\n\n".join(
            f"Example {number}\nInput: {given}\nOutput: {output}"
            for number, (given, output) in enumerate(pairs, 1)
        )
    return "\n".join(f"{number}. {words(f'{prompt}{number}', 9)}" for number in range(9, 13))


def run(seeds: str, directory: Path, server: ChatServer, count: int = 30, **options: Any) -> Any:
    endpoint = Endpoint(server.url, "m", concurrency=8, backoff=0.01)
    settings = {"method": "self-instruct", "use_cases": "none", **options}
    wanted = GenerateOptions("en", count, **settings)
    return generate(seeds, directory, endpoint, wanted, cache_path=directory.parent / "cache.sqlite")


def kept(directory: Path) -> list[dict[str, Any]]:
    return list(read_conversations([directory / "conversations.jsonl"]))


def removed(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "removed.jsonl").read_text().splitlines()]


def test_instructions_then_classification_then_instances(tmp_path: Path, seeds: str) -> None:
    with chat_server(reply=model) as server:
        manifest, tally = run(seeds, tmp_path / "out", server)
    rows, dropped = kept(tmp_path / "out"), removed(tmp_path / "out")
    assert manifest["counts"]["instructions"] == 30
    assert manifest["usage"]["requests"] == tally.requests_sent == server.requests()
    assert {row["lineage"]["is_classification"] for row in rows} == {True, False}
    for row in rows:
        question, answer = (message["content"] for message in row["messages"])
        assert row["lineage"]["is_classification"] == ("amber" in question)
        assert answer in (("good", "bad") if "amber" in question else ("1", "2"))
        assert set(row["lineage"]["instances"]) == {"prompt_hash", "request_key"}
        assert re.fullmatch(r"en-[0-9a-f]{16}-\d\d-[1-3]", row["id"])
    # Two instances of each instruction; the third of the input-first ones repeats its input.
    assert len(rows) == 60
    others = {row["id"].rsplit("-", 1)[0] for row in rows if not row["lineage"]["is_classification"]}
    assert [row["reason"] for row in dropped].count("output_equals_input") == len(others)


def test_six_examples_by_people_and_two_by_the_model(tmp_path: Path, seeds: str) -> None:
    with chat_server(reply=model) as server:
        run(seeds, tmp_path / "out", server)
    machine: dict[int, set[int]] = {}
    for row in kept(tmp_path / "out"):
        assert len(row["lineage"]["seeds"]) == len(set(row["lineage"]["seeds"])) == 8
        machine.setdefault(row["lineage"]["round"], set()).add(len(set(row["lineage"]["seeds"]) - KNOWN))
    assert machine.pop(1) == {0}
    assert machine
    assert all(numbers == {2} for numbers in machine.values())


def test_the_papers_parameters_are_sent_and_no_stop_string(tmp_path: Path, seeds: str) -> None:
    with chat_server(reply=model) as server:
        run(seeds, tmp_path / "out", server, count=4)
    sent = set()
    for body in server.bodies:
        assert "stop" not in body
        prompt = body["messages"][-1]["content"]
        stage = "verdict" if prompt.endswith("Classification:") else "instance" if "Task: " in prompt else "tasks"
        sent.add((stage, body["temperature"], body.get("top_p"), body.get("presence_penalty")))
    assert sent == {("tasks", 0.7, 0.5, 2.0), ("verdict", 0.0, None, None), ("instance", 0.0, None, 1.5)}


def test_labels_come_first_in_the_examples_of_classification(tmp_path: Path, seeds: str) -> None:
    with chat_server(reply=model) as server:
        run(seeds, tmp_path / "out", server)
    prompts = [body["messages"][-1]["content"] for body in server.bodies]
    labels_first = [prompt for prompt in prompts if "Class label: label" in prompt]
    inputs_first = [prompt for prompt in prompts if "Example 1\nInput:" in prompt]
    assert labels_first
    assert inputs_first
    for prompt in labels_first:
        assert re.findall(r"Class label: (label \d)\nInput: (material \d+)", prompt) == [
            ("label 0", "material 0"),
            ("label 0", "material 4"),
            ("label 0", "material 8"),
        ]
    for prompt in inputs_first:
        assert re.findall(r"Input: (material \d+)\nOutput: (label \d)", prompt)[0] == ("material 1", "label 1")


def test_a_reply_cut_by_length_is_dropped_whole(tmp_path: Path, seeds: str) -> None:
    def cut(prompt: str, attempt: int) -> dict[str, Any] | None:
        return {"finish_reason": "length"} if "Write" in prompt and server.requests() <= 1 else None

    with chat_server(reply=model, fault=cut) as server:
        manifest, _ = run(seeds, tmp_path / "out", server, count=4)
    assert manifest["reasons"]["cut_by_length"] == 4
    assert manifest["counts"]["instructions"] == 4


def test_a_failed_verdict_is_asked_again_and_nothing_else(tmp_path: Path, seeds: str) -> None:
    broken = [True]

    def fault(prompt: str, _: int) -> dict[str, Any] | None:
        return {"status": 400} if broken[0] and "Classification:" in prompt and "amber" in prompt else None

    with chat_server(reply=model, fault=fault) as server:
        manifest, _ = run(seeds, tmp_path / "out", server, count=12)
        failed = manifest["usage"]["failed"]
        assert failed == manifest["reasons"]["request_rejected"] > 0
        broken[0] = False
        manifest, tally = run(seeds, tmp_path / "out", server, count=12)
        assert manifest["usage"]["failed"] == 0
        assert tally.requests_sent == 2 * failed  # the verdicts, then their instances
        run(seeds, tmp_path / "whole" / "out", server, count=12)
    for name in ("conversations.jsonl", "removed.jsonl"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / "out" / name).read_bytes()


def command(seeds: str, directory: Path, server: ChatServer) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-m", "instruct.cli", "generate", "--method", "self-instruct", "--seeds", seeds]
    arguments += ["--count", "24", "--use-cases", "none", "--model", "m", "--base-url", server.url]
    arguments += ["--cache", str(directory / "cache"), "-o", str(directory / "out"), "--concurrency", "4"]
    environment = {**os.environ, "OPENAI_API_KEY": "sk-test"}
    return subprocess.Popen(arguments, env=environment, text=True, stderr=subprocess.PIPE, stdout=subprocess.PIPE)


def test_after_kill_9_a_rerun_asks_for_the_rest_and_writes_the_same(tmp_path: Path, seeds: str) -> None:
    directories = {name: tmp_path / name for name in ("whole", "killed")}
    for directory in directories.values():
        directory.mkdir()
    with chat_server(delay=0.02, reply=model) as server:
        _, errors = command(seeds, directories["whole"], server).communicate(timeout=100)
        total = len(server.completed)
        assert total > 48, errors  # some rounds, 24 verdicts, 24 times instances
        server.completed.clear()
        for kill_at in (3, total // 3, 3 * total // 4):  # in each of the three stages
            process = command(seeds, directories["killed"], server)
            limit = time.monotonic() + 60
            while len(server.completed) < kill_at and process.poll() is None and time.monotonic() < limit:
                time.sleep(0.005)
            process.send_signal(signal.SIGKILL)
            process.communicate()
        process = command(seeds, directories["killed"], server)
        _, errors = process.communicate(timeout=100)
        assert process.returncode == 0, errors
        # Twice were sent at most those in flight when it was killed, four at a time.
        assert total <= len(server.completed) <= total + 3 * 4
    for name in ("conversations.jsonl", "removed.jsonl"):
        first, second = (directory / "out" / name for directory in directories.values())
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("verdict", "yes"),
    [
        ("Yes", True),
        ("yes, it is", True),
        ("Classification: Yes", True),
        ("No", False),
        ("是", True),
        ("分类：是。", True),
        ("否", False),
        ("不是", False),
        ("Yesterday", False),
        ("", False),
    ],
)
def test_verdicts(verdict: str, yes: bool) -> None:
    assert is_classification(verdict) is yes


def test_instances_are_read() -> None:
    text = "Example 1\nInput: a\nb\nOutput: c\n\nExample 2\nInput: <none>\nOutput: d: e\n"
    assert parse_instances("I", text, INPUT_FIRST) == [Task("I", "a\nb", "c"), Task("I", "", "d: e")]
    assert parse_instances("I", "Output: only this", INPUT_FIRST) == [Task("I", "", "only this")]
    text = "例子 1\n类别：好评\n输入：很好\n用\n\n例子 2\n类别：差评\n输入：不好"
    assert parse_instances("I", text, OUTPUT_FIRST) == [Task("I", "很好\n用", "好评"), Task("I", "不好", "差评")]
    assert parse_instances("I", "nothing of the kind", INPUT_FIRST) == []


def test_faults_of_instances() -> None:
    tasks = [
        Task("i", "a", "1"),
        Task("i", "a", "2"),
        Task("i", "b", "3"),
        Task("i", "b", "3"),
        Task("i", "c", ""),
        Task("i", "d", "d"),
        Task("i", "e", "it is:"),
        Task("i", "f", "4"),
        Task("i", "g", "5"),
        Task("i", "h", "6"),
        Task("i", "j", "7"),
        Task("i", "k", "8"),
        Task("i", "l", "9"),
    ]
    reasons = ["one_input_two_outputs"] * 2 + ["", "equal_instance", "no_output", "output_equals_input"]
    reasons += ["output_ends_in_colon", "", "", "", "", "beyond_five"]
    assert instance_faults(tasks, cut=True) == [*reasons, "cut_by_length"]
    assert instance_faults(tasks[:2], cut=True) == ["", "cut_by_length"]
    assert instance_faults([Task("i", "", "1"), Task("i", "", "2")], cut=False) == ["", ""]
    assert instance_faults([], cut=True) == []
