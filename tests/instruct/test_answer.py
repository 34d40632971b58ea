"""`instruct answer` against a real server: rounds, samples, a judge's pick, lineage, money."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from corpus.core.errors import UsageError, ZeroToOneError
from instruct.answer import AnswerOptions, answer_command, verdict
from instruct.budget import read_limit
from instruct.client import Endpoint
from instruct.prices import Price
from instruct.prompt import load_prompts
from instruct.row_runs import estimate_rows, run_rows
from tests.instruct.chat_server import chat_server, digest, words

PICK = "Write only the number of the best reply."


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def conversation(name: str, rounds: int = 1, **extra: Any) -> dict[str, Any]:
    messages = []
    for number in range(rounds):
        messages.append({"role": "user", "content": f"Question {number} of {name}?"})
        messages.append({"role": "assistant", "content": f"Old {number} of {name}."})
    return {"id": name, "messages": messages, "lang": "en", "source": "s", "lineage": {}, **extra}


def run(
    source: str,
    directory: Path,
    url: str,
    options: AnswerOptions | None = None,
    judge: str | None = None,
    **more: Any,
) -> tuple[dict[str, Any], Any]:
    endpoint = Endpoint(url, "m", concurrency=8, backoff=0.01, **more)
    second = replace(endpoint, model=judge) if judge else None
    command = answer_command(endpoint, options or AnswerOptions(), second)
    return run_rows(command, [source], directory, cache_path=directory.parent / "cache.sqlite")


def rows(directory: Path, name: str = "conversations") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_reply_is_new_and_all_else_stays(tmp_path: Path) -> None:
    lineage = {"operation": "generate", "answer": {"model": "old"}}
    own = conversation("a", topic={"x": [1]}, lineage=lineage)
    own["messages"].insert(0, {"role": "system", "content": "Be a pirate."})
    source = write(tmp_path / "in.jsonl", [own, conversation("b")])
    with chat_server(reply=lambda messages: f" New to {messages[-1]['content']} ") as server:
        manifest, tally = run(source, tmp_path / "out", server.url)
        assert server.requests() == tally.requests_sent == 2
        systems = {body["messages"][-1]["content"]: body["messages"][0]["content"] for body in server.bodies}
    assert systems["Question 0 of a?"] == "Be a pirate."
    assert systems["Question 0 of b?"] == load_prompts("en")["answer"].system
    first, second = rows(tmp_path / "out")
    assert [turn["content"] for turn in first["messages"]] == [
        "Be a pirate.",
        "Question 0 of a?",
        "New to Question 0 of a?",
    ]
    assert {name: first[name] for name in ("id", "lang", "source", "topic")} == {
        "id": "a", "lang": "en", "source": "s", "topic": {"x": [1]}
    }  # fmt: skip
    made = first["lineage"]["answer"]
    assert first["lineage"]["operation"] == "generate"
    assert made["before"] == {"model": "old"}
    assert made["place"] == "in.jsonl:1"
    assert (made["model"], made["prompt_hash"]) == ("m", "")
    assert made["replaced"][0]["content"] == "Old 0 of a."
    assert made["replaced"][0]["request_key"] == made["request_keys"][0]
    assert second["lineage"]["answer"]["prompt_hash"] == load_prompts("en")["answer"].hash
    assert manifest["counts"] == {"rows_in": 2, "rows_set_aside": 0, "rows_kept": 2, "rows_removed": 0}


def contexts(bodies: list[dict[str, Any]]) -> list[list[str]]:
    return sorted([turn["content"] for turn in body["messages"][1:]] for body in bodies)


def test_the_last_round_or_each_with_the_new_replies_before_it(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", [conversation("a", 3)])
    with chat_server(reply=lambda messages: f"New to {messages[-1]['content']}") as server:
        run(source, tmp_path / "last", server.url)
        assert contexts(server.bodies) == [
            ["Question 0 of a?", "Old 0 of a.", "Question 1 of a?", "Old 1 of a.", "Question 2 of a?"]
        ]
        server.bodies.clear()
        run(source, tmp_path / "each", server.url, AnswerOptions(rounds="each"))
        new = [f"New to Question {number} of a?" for number in range(3)]
        assert contexts(server.bodies) == [
            ["Question 0 of a?"],
            ["Question 0 of a?", new[0], "Question 1 of a?"],
            ["Question 0 of a?", new[0], "Question 1 of a?", new[1], "Question 2 of a?"],
        ]
    (last,), (each,) = rows(tmp_path / "last"), rows(tmp_path / "each")
    assert [turn["content"] for turn in last["messages"][1::2]] == ["Old 0 of a.", "Old 1 of a.", new[2]]
    assert [turn["content"] for turn in each["messages"][1::2]] == new
    replaced = each["lineage"]["answer"]["replaced"]
    assert [(one["message"], one["content"]) for one in replaced] == [
        (1, "Old 0 of a."), (3, "Old 1 of a."), (5, "Old 2 of a.")
    ]  # fmt: skip


def test_samples_are_rows_of_their_own(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", [conversation("a"), conversation("b")])
    with chat_server(fault=lambda _, attempt: {"content": f"Reply number {attempt}"}) as server:
        manifest, _ = run(source, tmp_path / "out", server.url, AnswerOptions(samples=3))
        assert server.requests() == 6
        again, tally = run(source, tmp_path / "more", server.url, AnswerOptions(samples=4))
        assert (tally.requests_sent, tally.from_cache) == (2, 6)
    made = rows(tmp_path / "out")
    assert [row["id"] for row in made] == ["a#1", "a#2", "a#3", "b#1", "b#2", "b#3"]
    assert {row["messages"][1]["content"] for row in made[:3]} == {f"Reply number {number}" for number in range(3)}
    assert {row["lineage"]["answer"]["conversation"] for row in made[:3]} == {"a"}
    assert (manifest["counts"]["rows_kept"], again["counts"]["rows_kept"]) == (6, 8)


def sampled(judge: Any) -> Any:
    """A model whose samples differ in length, and a judge."""

    def fault(prompt: str, attempt: int) -> dict[str, Any]:
        _, messages, _ = json.loads(prompt)
        text = messages[-1]["content"]
        return {"content": judge(text) if PICK in text else "long " * (1 + digest(f"{text}{attempt}") % 50)}

    return fault


def shown(prompt: str) -> list[str]:
    listed = prompt.partition("The replies:\n")[2].partition(PICK)[0]
    return [part.partition("]\n")[2].strip() for part in listed.split("\n\n[")] if listed else []


def longest(prompt: str) -> str:
    replies = shown(prompt)
    return f"Reply {1 + replies.index(max(replies, key=len))}."


def test_a_judge_picks_in_both_orders(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", [conversation(f"c{number}") for number in range(20)])
    options = AnswerOptions(samples=4, pick="judge")
    with chat_server(fault=sampled(longest)) as server:
        run(source, tmp_path / "out", server.url, options, judge="j")
        models = [body["model"] for body in server.bodies]
        assert (models.count("m"), models.count("j")) == (80, 40)
        by_question: dict[str, list[str]] = {}
        for prompt in server.completed:
            text = json.loads(prompt)[1][-1]["content"]
            if PICK in text:
                question = text.partition("<user>\n")[2].partition("\n")[0]
                by_question.setdefault(question, []).append(text)
    for row in rows(tmp_path / "out"):
        forth, back = by_question[row["messages"][0]["content"]]
        assert sorted(shown(forth)) == sorted(shown(back))
        assert shown(forth) == shown(back)[::-1]
        assert row["messages"][1]["content"] == max(shown(forth), key=len)
        pick = row["lineage"]["answer"]["replaced"][0]["pick"]
        assert (pick["model"], pick["of"], pick["orders_agree"]) == ("j", len(shown(forth)), True)
        assert len(set(shown(forth))) == len(shown(forth))
        assert len(set(pick["request_keys"])) == 2


@pytest.mark.parametrize(("says", "kept"), [("1", 1), ("[2]", 1), ("All are good.", 0), ("1 or 2", 0), ("9", 0)])
def test_a_judge_of_places_decides_nothing(says: str, kept: int, tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", [conversation("a")])

    def fault(prompt: str, attempt: int) -> dict[str, Any]:
        return {"content": says if PICK in prompt else f"Sample {'abc'[attempt]}"}

    with chat_server(fault=fault) as server:
        manifest, _ = run(source, tmp_path / "out", server.url, AnswerOptions(samples=3, pick="judge"))
    assert manifest["counts"]["rows_kept"] == kept
    if kept:  # the second of three is the second in both orders
        pick = rows(tmp_path / "out")[0]["lineage"]["answer"]["replaced"][0]["pick"]
        assert pick["orders_agree"] is (says == "[2]")
    else:
        assert manifest["reasons"] == {"pick_verdict_unreadable": 1}
        assert rows(tmp_path / "out", "removed")[0]["detail"] == says


def test_equal_samples_are_not_judged(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", [conversation("a")])
    with chat_server(reply=lambda _: "The same.") as server:
        run(source, tmp_path / "out", server.url, AnswerOptions(samples=3, pick="judge"))
        assert server.requests() == 3


@pytest.mark.parametrize(
    ("text", "number"),
    [("2", 2), ("Reply 3 is best.", 3), ("**1**", 1), ("编号：2。", 2), ("0", None), ("4", None), ("1, 2", None)],
)
def test_verdicts(text: str, number: int | None) -> None:
    assert verdict(text, 3) == number


def test_bad_replies_are_reasons_and_failed_ones_are_asked_again(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", [conversation(name) for name in "abcd"])

    def fault(prompt: str, _: int) -> dict[str, Any] | None:
        faults = {"a": {"status": 400}, "b": {"finish_reason": "length"}, "c": {"refusal": "No."}}
        return next((value for name, value in faults.items() if f"of {name}?" in prompt), None)

    with chat_server(fault=fault) as server:
        manifest, _ = run(source, tmp_path / "out", server.url)
        assert manifest["reasons"] == {
            "answer_cut_by_length": 1, "answer_refused": 1, "answer_request_rejected": 1
        }  # fmt: skip
        removed = rows(tmp_path / "out", "removed")
        assert [row["id"] for row in removed] == ["a", "b", "c"]
        assert removed[2]["messages"][1]["content"] == "Old 0 of c."
        server.fault, before = None, server.requests()
        manifest, _ = run(source, tmp_path / "out", server.url)
        assert server.requests() == before + 1
    assert manifest["counts"]["rows_kept"] == 2
    assert manifest["usage"]["failed"] == 0


def test_faults_lose_nothing(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", [conversation(f"c{number}", 2) for number in range(25)])
    options = AnswerOptions(samples=2, pick="judge", rounds="each")

    def reply(messages: list[dict[str, str]]) -> str:
        return "2" if PICK in messages[-1]["content"] else words(json.dumps(messages), 6)

    def fault(prompt: str, attempt: int) -> dict[str, Any] | None:
        draw = digest(f"{prompt}{attempt}") % 100
        if draw < 20:
            return {"status": 429, "headers": {"Retry-After": "0"}}
        return {"status": 500} if draw < 25 else {"cut": "json"} if draw < 28 else None

    with chat_server(fault=fault, reply=reply) as server:
        run(source, tmp_path / "a" / "out", server.url, options)
        server.fault = None
        run(source, tmp_path / "b" / "out", server.url, options)
    assert len(rows(tmp_path / "a" / "out")) == 25
    for name in ("conversations.jsonl", "removed.jsonl"):
        assert (tmp_path / "a/out" / name).read_bytes() == (tmp_path / "b/out" / name).read_bytes()


def test_a_judge_has_its_own_price_and_shares_the_budget(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", [conversation(f"c{number}") for number in range(40)])
    cheap, dear = Price("USD", *map(Decimal, "112")), Price("USD", *map(Decimal, "335"))
    options = AnswerOptions(samples=2, pick="judge")
    with chat_server(fault=sampled(longest)) as server:
        endpoint = Endpoint(server.url, "m", concurrency=8, price=cheap)
        command = answer_command(endpoint, options, replace(endpoint, model="j", price=dear))
        estimate = estimate_rows(command, [source], cache_path=tmp_path / "cache")
        manifest, tally = run_rows(command, [source], tmp_path / "out", cache_path=tmp_path / "cache")
    costs = manifest["costs"]
    stages = costs["stages"]
    assert stages["answer"]["requests"] == 80
    assert costs["cost"] == pytest.approx(stages["answer"]["cost"] + stages["pick"]["cost"])
    assert stages["pick"]["cost"] > 3 * stages["pick"]["tokens"] / 1e6 * 0.99
    assert stages["answer"]["cost"] < 2 * stages["answer"]["tokens"] / 1e6
    assert float(tally.cost) + (estimate.spent or 0) == pytest.approx(costs["cost"])
    assert estimate.cost is not None
    assert estimate.cost.value == pytest.approx(costs["cost"], rel=0.2)
    with chat_server(fault=sampled(longest)) as server:
        manifest, tally = run(
            source, tmp_path / "b" / "out", server.url, options, judge="j", budget=read_limit("9000tokens")
        )
        assert 0 < server.tokens <= 9000
        assert len({body["model"] for body in server.bodies}) == 2
    assert {reason.rpartition("_budget")[2] for reason in manifest["reasons"]} == {"_spent"}


@pytest.mark.parametrize(
    "options",
    [{"samples": 0}, {"rounds": "all"}, {"pick": "me"}, {"pick": "judge"}, {"max_tokens": 0}],
)
def test_wrong_usage(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        AnswerOptions(**options)


def test_input_that_cannot_be_answered(tmp_path: Path) -> None:
    lines = [conversation("a"), conversation("a"), {"messages": []}]
    source = write(tmp_path / "in.jsonl", lines)
    with chat_server() as server:
        manifest, _ = run(source, tmp_path / "out", server.url)
        assert manifest["counts"]["rows_in"] == 3
        reasons = [row["reason"] for row in rows(tmp_path / "out", "set_aside")]
        assert reasons == ["duplicate_id", "no_messages"]
        nothing = write(tmp_path / "nothing.jsonl", lines[2:])
        with pytest.raises(ZeroToOneError, match=r"no rows to answer \(no_messages: 1\)"):
            run(nothing, tmp_path / "none", server.url)
