"""`instruct generate` against a real server: rounds, filters, resumption, accounts."""

import json
from pathlib import Path
from typing import Any

import pytest

from corpus.core.conversations import read_conversations
from corpus.core.errors import UsageError, ZeroToOneError
from instruct.budget import read_limit
from instruct.client import Endpoint, EndpointError
from instruct.generate import GenerateOptions, generate
from instruct.prompt import load_prompts
from instruct.rounds import METHODS, ROUND_REQUESTS
from tests.instruct.chat_server import chat_server, words

SEEDS = [
    {"id": f"s{number}", "instruction": words(f"seed {number}", 9), "input": "", "output": "Done."}
    for number in range(8)
]


@pytest.fixture
def seeds(tmp_path: Path) -> str:
    path = tmp_path / "seeds.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in SEEDS))
    return str(path)


def run(seeds: str, directory: Path, url: str, count: int = 40, **options: Any) -> tuple[dict[str, Any], Any]:
    settings = {
        "lang": "en",
        "seed": 0,
        "budget": None,
        "concurrency": 8,
        "max_tokens": 4096,
        "use_cases": "none",
        **options,
    }
    endpoint = Endpoint(url, "m", concurrency=settings["concurrency"], backoff=0.01, budget=settings["budget"])
    names = ("method", "seed", "max_tokens", "use_cases", "roles", "temperature")
    wanted = GenerateOptions(settings["lang"], count, **{key: settings[key] for key in names if key in settings})
    cache = directory.parent / "cache.sqlite"
    return generate(
        seeds, directory, endpoint, wanted, cache_path=cache, strict=bool(options.get("strict", False))
    )


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def outputs(directory: Path) -> list[bytes]:
    return [(directory / name).read_bytes() for name in ("conversations.jsonl", "removed.jsonl")]


def test_rows_carry_their_lineage_and_add_up(tmp_path: Path, seeds: str) -> None:
    with chat_server() as server:
        manifest, tally = run(seeds, tmp_path / "out", server.url)
    kept = list(read_conversations([tmp_path / "out" / "conversations.jsonl"]))
    removed = rows(tmp_path / "out" / "removed.jsonl")
    assert len(kept) == manifest["counts"]["rows_kept"] == 40
    assert len({row["id"] for row in kept}) == 40
    assert manifest["counts"]["tasks_in_replies"] == len(kept) + len(removed)
    assert sum(manifest["reasons"].values()) == len(removed)
    assert manifest["stopped"] == "count_reached"
    assert manifest["usage"]["requests"] == tally.requests_sent == server.requests()
    known = {row["id"] for row in SEEDS}
    for row in kept:
        lineage = row["lineage"]
        assert lineage["prompt_hash"] == load_prompts("en")["alpaca"].hash
        assert len(lineage["seeds"]) == 3
        assert set(lineage["seeds"]) <= known | {other["id"] for other in kept}
        assert row["id"].startswith(f"en-{lineage['request_key'][:16]}")
        assert lineage["model"] == "m"


def test_the_same_rows_for_any_concurrency_and_order_of_replies(tmp_path: Path, seeds: str) -> None:
    made = []
    for number, concurrency in enumerate((1, 16)):
        fault = (lambda _, attempt: {"status": 503} if attempt == 0 else None) if number else None
        with chat_server(fault=fault) as server:
            url = server.url
            directory = tmp_path / f"run{number}" / "out"
            generate(
                seeds,
                directory,
                Endpoint(url, "m", concurrency=concurrency, backoff=0.02),
                GenerateOptions("en", 200, use_cases="none"),
                cache_path=tmp_path / f"cache{number}",
            )
        # Request keys hold the server's address, which differs by its port.
        made.append([row["messages"] for row in rows(directory / "conversations.jsonl")])
    assert made[0] == made[1]


def test_a_finished_directory_asks_nothing_and_a_longer_run_only_the_rest(tmp_path: Path, seeds: str) -> None:
    with chat_server() as server:
        run(seeds, tmp_path / "out", server.url)
        before = outputs(tmp_path / "out")
        sent = server.requests()
        _, tally = run(seeds, tmp_path / "out", server.url)
        assert tally is None
        assert server.requests() == sent
        run(seeds, tmp_path / "again", server.url)
        assert server.requests() == sent
        assert outputs(tmp_path / "again") == before
        with pytest.raises(ZeroToOneError, match="count was 40, is 50"):
            run(seeds, tmp_path / "out", server.url, count=50)
        run(seeds, tmp_path / "other", server.url, seed=1)
        assert outputs(tmp_path / "other") != before


def test_every_dropped_task_has_its_reason(tmp_path: Path, seeds: str) -> None:
    bad = [
        ("Say hi", "hi", "too_short"),
        ("Describe the picture on the wall.", "x", "blacklisted"),
        (SEEDS[3]["instruction"], "x", "not_novel"),
        ("Name three rivers in Africa.", "", "no_output"),
    ]

    def reply(messages: list[dict[str, str]]) -> str:
        tasks = [*((text, output) for text, output, _ in bad), (words(str(messages), 9), "good")]
        return "\n".join(f"Instruction: {text}\nOutput: {output}" for text, output in tasks)

    with chat_server(reply=reply) as server:
        manifest, _ = run(seeds, tmp_path / "out", server.url, count=5)
    requests = manifest["usage"]["requests"]
    for text, _, reason in bad:
        found = [row for row in rows(tmp_path / "out" / "removed.jsonl") if row["instruction"] == text]
        assert {row["reason"] for row in found} == {reason}
        assert len(found) == requests
    near = next(row for row in rows(tmp_path / "out" / "removed.jsonl") if row["reason"] == "not_novel")
    assert near["similar_to"] == "s3"
    assert near["rouge_l"] == 1.0
    assert near["lineage"]["nearest"][0] == ["s3", 1.0]
    for row in rows(tmp_path / "out" / "conversations.jsonl"):
        scores = [score for _, score in row["lineage"]["nearest"]]
        assert scores == sorted(scores, reverse=True)
        assert len(scores) <= 10
        assert all(score <= 0.7 for score in scores)


def test_a_cut_reply_loses_only_its_last_task(tmp_path: Path, seeds: str) -> None:
    def reply(messages: list[dict[str, str]]) -> str:
        tasks = (f"Instruction: {words(f'{messages}{number}', 8)}\nOutput: fine\n" for number in range(20))
        return "\n".join(tasks)  # of 10 words each

    with chat_server(reply=reply) as server:
        manifest, _ = run(seeds, tmp_path / "out", server.url, count=15, max_tokens=100)
    assert manifest["reasons"]["cut_by_length"] == manifest["usage"]["requests"]
    for row in rows(tmp_path / "out" / "conversations.jsonl"):
        assert len(row["messages"][0]["content"].split()) == 8


def test_replies_without_tasks_are_kept_with_their_text_and_end_the_run(tmp_path: Path, seeds: str) -> None:
    with chat_server(reply=lambda _: "I would rather talk about the weather.") as server:
        manifest, _ = run(seeds, tmp_path / "out", server.url, count=10)
    assert manifest["stopped"] == "no_new_tasks"
    assert manifest["reasons"] == {"no_tasks_in_reply": manifest["usage"]["requests"]}
    assert {row["text"] for row in rows(tmp_path / "out" / "removed.jsonl")} == {
        "I would rather talk about the weather."
    }


def test_chinese_tasks_from_chinese_prompts(tmp_path: Path) -> None:
    path = tmp_path / "seeds.jsonl"
    seed = {"id": "z", "lang": "zh", "instruction": "写一首关于春天的诗。", "input": "", "output": "春风吹。"}
    path.write_text(json.dumps(seed, ensure_ascii=False), encoding="utf-8")
    topics = ["海洋", "山川", "友谊", "早餐", "编程", "天气", "历史", "运动", "建筑", "电影"]

    def reply(messages: list[dict[str, str]]) -> str:
        assert "写一首关于春天的诗。" in messages[-1]["content"]
        verbs = ["请介绍", "比较两种", "列出十个"]
        return "\n\n".join(
            f"### {n}\n指令：{verbs[n % 3]}{topic}方面{topic[::-1] * 2}的问题{n}\n输入：<无>\n输出：好的{n}。"
            for n, topic in enumerate(topics, 2)
        )

    with chat_server(reply=reply) as server:
        run(str(path), tmp_path / "out", server.url, count=5, lang="zh")
    kept = rows(tmp_path / "out" / "conversations.jsonl")
    assert len(kept) == 5
    assert {row["lang"] for row in kept} == {"zh"}


def test_a_failed_request_is_asked_again_by_a_rerun(tmp_path: Path, seeds: str) -> None:
    broken = [True]

    def fault(prompt: str, _: int) -> dict[str, Any] | None:
        return {"status": 400} if broken[0] and prompt == first[0] else None

    first: list[str] = [""]
    with chat_server() as server:
        run(seeds, tmp_path / "whole" / "out", server.url, count=60)
        first[0] = server.completed[0]
        server.fault = fault
        manifest, _ = run(seeds, tmp_path / "part" / "out", server.url, count=60)
        assert manifest["usage"]["failed"] == manifest["reasons"]["request_rejected"] == 1
        assert manifest["counts"]["rows_kept"] == 60
        broken[0] = False
        manifest, tally = run(seeds, tmp_path / "part" / "out", server.url, count=60)
        assert manifest["usage"]["failed"] == 0
        assert tally.requests_sent == 1
        assert outputs(tmp_path / "part" / "out") == outputs(tmp_path / "whole" / "out")


def test_a_spent_budget_keeps_what_was_made(tmp_path: Path, seeds: str) -> None:
    with chat_server() as server:
        manifest, _ = run(seeds, tmp_path / "out", server.url, 200, budget=read_limit("9000tokens"), concurrency=2)
        assert manifest["stopped"] == "budget_spent"
        assert server.tokens <= 9000
        assert 0 < manifest["counts"]["rows_kept"] < 200
        paid = len(server.completed)
        manifest, tally = run(seeds, tmp_path / "out", server.url, 200)
        assert manifest["stopped"] == "count_reached"
        assert manifest["counts"]["rows_kept"] == 200
        assert tally.from_cache == paid
        assert len(server.completed) == paid + tally.requests_sent == manifest["usage"]["requests"]


def test_broken_seed_rows_are_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "seeds.jsonl"
    lines = [json.dumps(SEEDS[0]), "{broken", json.dumps(SEEDS[0]), '{"instruction": "x"}', '["x"]']
    path.write_text("\n".join(lines))
    with chat_server() as server:
        manifest, _ = run(str(path), tmp_path / "out", server.url, count=5)
        assert manifest["counts"]["seeds_in"] == 1
        aside = rows(tmp_path / "out" / "set_aside.jsonl")
        assert [(row["place"], row["reason"]) for row in aside] == [
            ("seeds.jsonl:2", "invalid_json"),
            ("seeds.jsonl:3", "duplicate_id"),
            ("seeds.jsonl:4", "no_output"),
            ("seeds.jsonl:5", "not_an_object"),
        ]
        with pytest.raises(ZeroToOneError, match=r"seeds\.jsonl:2: invalid_json"):
            run(str(path), tmp_path / "strict", server.url, count=5, strict=True)


def test_wrong_arguments(tmp_path: Path, seeds: str) -> None:
    with pytest.raises(UsageError, match="--count"):
        GenerateOptions("en", 0)
    path = tmp_path / "bad.jsonl"
    path.write_text("{\n")
    with pytest.raises(ZeroToOneError, match="no seed tasks in the language `zh`; 1 rows"):
        run(str(path), tmp_path / "out", "http://127.0.0.1:9/v1", lang="zh")
    with chat_server(key="other") as server, pytest.raises(EndpointError, match="refuses the key"):
        run(seeds, tmp_path / "out", server.url)


def test_a_round_asks_for_what_is_missing(tmp_path: Path, seeds: str) -> None:
    with chat_server() as server:
        manifest, _ = run(seeds, tmp_path / "out", server.url, count=ROUND_REQUESTS * METHODS["alpaca"].asked // 4)
        assert ROUND_REQUESTS / 4 <= manifest["usage"]["requests"] <= ROUND_REQUESTS / 2
