"""Quotas by use case: shares, files of the user's, and a run that keeps to them."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.core.conversations import read_conversations
from corpus.core.errors import UsageError, ZeroToOneError
from instruct.client import Endpoint
from instruct.generate import GenerateOptions, generate
from instruct.use_cases import UseCase, load_use_cases, quotas
from tests.instruct.chat_server import chat_server


def test_instructgpts_shares_of_a_thousand() -> None:
    # Ouyang et al. 2022, table 1, in percent; they add up to 99.9.
    assert quotas(load_use_cases("instructgpt", "en"), 1000) == {
        "generation": 457,
        "open QA": 124,
        "brainstorming": 112,
        "chat": 84,
        "rewrite": 66,
        "summarisation": 42,
        "classification": 35,
        "other": 35,
        "closed QA": 26,
        "extract": 19,
    }


@given(st.lists(st.floats(0.01, 1e6), min_size=1, max_size=12), st.integers(1, 10_000))
def test_quotas_add_up_and_are_near_the_shares(shares: list[float], count: int) -> None:
    found = quotas([UseCase(str(place), share, "") for place, share in enumerate(shares)], count)
    assert sum(found.values()) == count
    for place, share in enumerate(shares):
        assert abs(found[str(place)] - count * share / sum(shares)) < 1 + 1e-6


def test_every_use_case_has_words_in_both_languages() -> None:
    texts = {language: [one.text for one in load_use_cases("instructgpt", language)] for language in ("en", "zh")}
    assert all(text.isascii() for text in texts["en"])
    assert not any(text.isascii() for text in texts["zh"])
    assert len(set(texts["en"] + texts["zh"])) == 20


def test_a_file_of_shares(tmp_path: Path) -> None:
    path = tmp_path / "shares.yaml"
    path.write_text("extract: 3\npoems: {share: 1, en: short poems, zh: 短诗}\n出谜语: 1\n", "utf-8")
    english, chinese = load_use_cases(str(path), "en"), load_use_cases(str(path), "zh")
    assert [(one.name, one.share) for one in english] == [("extract", 3), ("poems", 1), ("出谜语", 1)]
    assert [one.text for one in english[1:]] == ["short poems", "出谜语"]
    assert "extracting" in english[0].text
    assert chinese[1].text == "短诗"
    assert quotas(english, 5) == {"extract": 3, "poems": 1, "出谜语": 1}
    assert load_use_cases("none", "en") == []
    assert quotas([], 7) == {"": 7}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- a\n- b\n", "must map use cases to shares"),
        (b"", "must map use cases to shares"),
        (b"a: [1\n", "not valid YAML"),
        (b"a: \xff\n", "not valid YAML"),
        (b"a: 0\n", "`a` has no share above 0"),
        (b"a: .nan\n", "`a` has no share above 0"),
        (b"a: .inf\n", "`a` has no share above 0"),
        (b"a: true\n", "`a` has no share above 0"),
        (b"a: {en: x}\n", "`a` has no share above 0"),
    ],
)
def test_broken_files(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "shares.yaml"
    path.write_bytes(content)
    with pytest.raises(ZeroToOneError, match=message):
        load_use_cases(str(path), "en")


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(ZeroToOneError, match="no such file"):
        load_use_cases(str(tmp_path / "no"), "en")
    with pytest.raises(ZeroToOneError, match="a directory"):
        load_use_cases(str(tmp_path), "en")
    with pytest.raises(UsageError, match="--method"):
        GenerateOptions("en", 1, method="other")


def test_a_run_keeps_to_its_quotas_and_examples_are_of_the_kind(tmp_path: Path) -> None:
    nouns = ["otter", "comet", "violin", "harvest", "glacier", "theatre", "ladder", "mustard", "tunnel", "lichen"]
    seeds = tmp_path / "seeds.jsonl"
    rows = [
        {"id": f"{kind}-{n}", "instruction": f"{kind} task {nouns[n]}", "output": "x", "use_case": kind}
        for kind in ("extract", "poems")
        for n in range(5)
    ]
    seeds.write_text("".join(json.dumps(row) + "\n" for row in rows))
    shares = tmp_path / "shares.yaml"
    shares.write_text("extract: 30\npoems: {share: 10, en: short poems}\n")

    def reply(messages: list[dict[str, str]]) -> str:
        """Thirty tasks, more than asked for, all new."""
        made = counter["tasks"]
        counter["tasks"] += 30
        tasks = (f"w{n}a w{n}b w{n}c w{n}d" for n in range(made, made + 30))
        return "\n\n".join(f"Instruction: {task}\nOutput: fine" for task in tasks)

    counter = Counter[str]()
    with chat_server(reply=reply) as server:
        manifest, _ = generate(
            str(seeds),
            tmp_path / "out",
            Endpoint(server.url, "m", concurrency=1),
            GenerateOptions("en", 40, use_cases=str(shares)),
            cache_path=tmp_path / "cache",
        )
    kept: list[dict[str, Any]] = list(read_conversations([tmp_path / "out" / "conversations.jsonl"]))
    assert Counter(row["lineage"]["use_case"] for row in kept) == {"extract": 30, "poems": 10}
    assert manifest["use_cases"] == {
        "extract": {"wanted": 30, "held": 30},
        "poems": {"wanted": 10, "held": 10},
    }
    assert manifest["reasons"] == {"use_case_full": manifest["counts"]["tasks_in_replies"] - 40}
    for row in kept:
        assert all(name.startswith(row["lineage"]["use_case"]) for name in row["lineage"]["seeds"])
    prompts = [body["messages"][-1]["content"] for body in server.bodies]
    assert sum("one kind, whatever kind the examples are: short poems." in prompt for prompt in prompts) == 1
    assert sum("one kind, whatever kind the examples are: extracting" in prompt for prompt in prompts) == 2
