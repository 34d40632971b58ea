"""`instruct judge`: known replies with figures worked out by hand, and a judge behind a real server."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from scipy import stats

from corpus.core.errors import UsageError, ZeroToOneError
from instruct.budget import read_limit
from instruct.client import Endpoint
from instruct.judge import JudgeOptions, estimate_judge, judge
from instruct.judge_inputs import Fields
from tests.instruct.chat_server import ChatServer, chat_server
from tests.programs import call, write_jsonl

LONG, SHORT = "a" * 60, "a" * 20
# Replies (scores in the order shown) to a question, the new system first and the old one first.
WIN, LOSS, TIE, FIRST = ("9 6", "6 9"), ("5 8", "8 5"), ("7 7", "7 7"), ("8 7", "8 7")
CASES = {"writing": [WIN] * 7 + [TIE, FIRST, LOSS], "maths": [WIN] * 4 + [FIRST] * 2 + [LOSS] * 4}


def known_case(folder: Path) -> list[object]:
    """Twenty questions: in `writing` the new system's answers are longer by 40 letters, in `maths` shorter."""
    questions, replies, old, new = [], [], [], []
    for category, cases in CASES.items():
        for number, (new_first, old_first) in enumerate(cases):
            id = f"{category}{number}"
            questions.append({"question_id": id, "category": category, "text": f"Question {id}?"})
            replies.append({"question_id": id, "systems": ["new", "old"], "text": f"{new_first}\nBecause."})
            replies.append({"question_id": id, "systems": ["old", "new"], "text": f"{old_first}\nBecause."})
            lengths = (SHORT, LONG) if category == "writing" else (LONG, SHORT)
            old.append({"question_id": id, "text": lengths[0]})
            new.append({"question_id": id, "text": lengths[1]})
    paths = [
        write_jsonl(folder / f"{name}.jsonl", rows)
        for name, rows in (("questions", questions), ("replies", replies), ("old", old), ("new", new))
    ]
    return [paths[0], "--replies", paths[1], "--answers", f"old={paths[2]}", "--answers", f"new={paths[3]}"]


def test_show_5_figures_worked_out_by_hand(tmp_path: Path) -> None:
    command = ["judge", *known_case(tmp_path), "-o", tmp_path / "out", "--resamples", 20000, "--json"]
    outcome = call("instruct", *command)
    assert outcome.status == 0, outcome.err
    summary = json.loads(outcome.out)
    whole, writing, maths = summary["results"]
    assert [row["category"] for row in summary["results"]] == ["all", "writing", "maths"]
    assert (whole["wins"], whole["ties"], whole["losses"]) == (11, 4, 5)
    # 11 wins at 9 to 6, 5 losses at 5 to 8, a tie at 7 to 7, 3 where the first shown got 8 and the other 7
    assert whole["mean_score"] == (11 * 9 + 5 * 5 + 7 + 3 * 7.5) / 20
    assert whole["performance_ratio"]["value"] == pytest.approx(153.5 / 135.5)
    assert whole["beat_rate"]["value"] == 11 / 16
    assert whole["win_rate"]["value"] == 13 / 20
    assert whole["inconsistent"]["value"] == 3 / 20
    # Two differences in length: log odds of the win rates 0.8 and 0.5 are ln 4 and 0, their mean is ln 2.
    assert whole["length_controlled_win_rate"]["value"] == pytest.approx(2 / 3, abs=2e-3)
    assert (writing["win_rate"]["value"], maths["win_rate"]["value"]) == (0.8, 0.5)
    assert (writing["beat_rate"]["value"], maths["beat_rate"]["value"]) == (7 / 8, 1 / 2)
    assert writing["performance_ratio"]["value"] == pytest.approx((63 + 7 + 7.5 + 5) / (42 + 7 + 7.5 + 8))
    # The shown first is scored a point higher in both orders of 3 of 20 questions.
    assert summary["first_place_advantage"] == pytest.approx(0.15)
    # A resample draws 20 questions, each inconsistent with probability 3/20.
    assert whole["inconsistent"]["low"] == stats.binom.ppf(0.025, 20, 0.15) / 20 == 0
    assert whole["inconsistent"]["high"] == stats.binom.ppf(0.975, 20, 0.15) / 20 == 0.3
    # A standard error of sqrt(sum of squares) / n; the percentiles of a mean of 20 are near the normal ones.
    squares = 11 * 0.35**2 + 4 * 0.15**2 + 5 * 0.65**2
    half = 1.96 * squares**0.5 / 20
    assert whole["win_rate"]["low"] == pytest.approx(0.65 - half, abs=0.026)  # the rates are 0.025 apart
    assert whole["win_rate"]["high"] == pytest.approx(0.65 + half, abs=0.026)
    for row in summary["results"]:
        for name in ("performance_ratio", "beat_rate", "win_rate", "inconsistent"):
            assert row[name]["low"] <= row[name]["value"] <= row[name]["high"]


def test_the_other_reference_turns_the_figures_round(tmp_path: Path) -> None:
    case = [*known_case(tmp_path), "--resamples", 0, "--json"]
    there = json.loads(call("instruct", "judge", *case, "-o", tmp_path / "a").out)["results"][0]
    back = json.loads(call("instruct", "judge", *case, "--reference", "new", "-o", tmp_path / "b").out)["results"][
        0
    ]
    assert back["system"] == "old"
    assert back["performance_ratio"]["value"] == pytest.approx(1 / there["performance_ratio"]["value"])
    for name in ("beat_rate", "win_rate", "length_controlled_win_rate"):
        assert back[name]["value"] == pytest.approx(1 - there[name]["value"])
        assert "low" not in back[name]


def test_replies_without_answers_have_no_length_control(tmp_path: Path) -> None:
    questions, _, replies, *_ = known_case(tmp_path)
    outcome = call(
        "instruct", "judge", questions, "--replies", replies, "--reference", "old", "-o", tmp_path / "o"
    )
    assert outcome.status == 0, outcome.err
    results = json.loads((tmp_path / "o" / "manifest.json").read_text())["results"]
    assert results[0]["length_controlled_win_rate"] is None
    assert results[0]["win_rate"]["value"] == 13 / 20
    assert "113.3 (" in outcome.out


def write_case(folder: Path, count: int, systems: tuple[str, ...] = ("base", "good", "bad")) -> dict[str, Any]:
    """Questions, and answers whose quality stands in them for the server's judge."""
    rows = [{"id": number, "category": "ab"[number % 2], "text": f"What is {number}?"} for number in range(count)]
    quality = {"base": 5, "good": 8, "bad": 2}
    answers = {
        name: str(
            write_jsonl(
                folder / f"{name}.jsonl",
                [{"id": n, "output": f"{name} {n}: quality={quality.get(name, 5)}."} for n in range(count)],
            )
        )
        for name in systems
    }
    return {"questions": str(write_jsonl(folder / "questions.jsonl", rows)), "answers": answers}


def fair(messages: list[dict[str, str]]) -> str:
    found = re.findall(r"quality=(\d+)", messages[-1]["content"])
    if "> A" in messages[-1]["content"]:
        order = sorted(range(len(found)), key=lambda place: -int(found[place]))
        return " > ".join("ABCDEF"[place] for place in order) + "\nBecause."
    return " ".join(found) + "\nBecause."


def first_is_best(messages: list[dict[str, str]]) -> str:
    return "9 6\nThe first one."


def endpoint(server: ChatServer, **options: Any) -> Endpoint:
    return Endpoint(server.url, "m", concurrency=8, backoff=0.01, **options)


def verdicts(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()]


def test_both_orders_are_asked_of_an_endpoint_and_a_rerun_asks_none(tmp_path: Path) -> None:
    case, cache = write_case(tmp_path, 10), tmp_path / "cache"
    with chat_server(reply=fair) as server:
        judged = endpoint(server)
        manifest, tally = judge(
            **case, output=tmp_path / "a", options=JudgeOptions(), endpoint=judged, cache_path=cache
        )
        assert tally is not None
        assert tally.requests_sent == server.requests() == 10 * 2 * 2
        again, _ = judge(**case, output=tmp_path / "b", options=JudgeOptions(), endpoint=judged, cache_path=cache)
        assert server.requests() == 40
        assert (
            judge(**case, output=tmp_path / "a", options=JudgeOptions(), endpoint=judged, cache_path=cache)[1]
            is None
        )
    rows = verdicts(tmp_path / "a")
    assert (tmp_path / "a" / "verdicts.jsonl").read_bytes() == (tmp_path / "b" / "verdicts.jsonl").read_bytes()
    assert again["results"] == manifest["results"]
    asked = {(row["question_id"], *row["systems"]) for row in rows}
    assert len(asked) == 40
    assert {systems[::-1] for _, *names in asked for systems in [tuple(names)]} == {
        tuple(names) for _, *names in asked
    }
    assert {row["lineage"]["model"] for row in rows} == {"m"}
    assert len({row["lineage"]["request_key"] for row in rows}) == 40
    whole = {row["system"]: row for row in manifest["results"] if row["category"] == "all"}
    assert whole["good"]["performance_ratio"]["value"] == 8 / 5
    assert whole["bad"]["performance_ratio"]["value"] == 2 / 5
    assert (whole["good"]["beat_rate"]["value"], whole["bad"]["beat_rate"]["value"]) == (1, 0)
    assert manifest["costs"]["stages"]["judge"]["requests"] == 40
    # What was written is read again as saved replies, with the same figures.
    saved, _ = judge(
        **case, output=tmp_path / "c", options=JudgeOptions(), replies=str(tmp_path / "a" / "verdicts.jsonl")
    )
    assert saved["results"] == manifest["results"]


def test_a_judge_of_places_wins_nothing(tmp_path: Path) -> None:
    case = write_case(tmp_path, 6, ("base", "good"))
    with chat_server(reply=first_is_best) as server:
        manifest, _ = judge(
            **case,
            output=tmp_path / "o",
            options=JudgeOptions(),
            endpoint=endpoint(server),
            cache_path=tmp_path / "c",
        )
    whole = manifest["results"][0]
    assert (whole["wins"], whole["losses"], whole["ties"]) == (0, 0, 6)
    assert whole["beat_rate"] is None
    assert whole["inconsistent"]["value"] == 1
    assert whole["performance_ratio"]["value"] == 1
    assert manifest["first_place_advantage"] == 3


def test_ranking_of_all_systems_in_one_call(tmp_path: Path) -> None:
    case = write_case(tmp_path, 8)
    options = JudgeOptions(mode="ranking")
    with chat_server(reply=fair) as server:
        manifest, _ = judge(
            **case, output=tmp_path / "o", options=options, endpoint=endpoint(server), cache_path=tmp_path / "c"
        )
        assert server.requests() == 16
    rows = verdicts(tmp_path / "o")
    by_question: dict[str, list[list[str]]] = {}
    for row in rows:
        by_question.setdefault(row["question_id"], []).append(row["systems"])
        assert dict(zip(row["systems"], row["ranks"], strict=True)) == {"good": 1, "base": 2, "bad": 3}
    assert all(first == second[::-1] for first, second in by_question.values())
    assert len({tuple(orders[0]) for orders in by_question.values()}) > 1  # drawn for each question
    whole = {row["system"]: row for row in manifest["results"] if row["category"] == "all"}
    assert whole["good"]["mean_rank"] == {"value": 1, "low": 1, "high": 1}
    assert whole["bad"]["mean_rank"]["value"] == 3
    assert {row["reference_rank"] for row in whole.values()} == {2}
    assert whole["good"]["performance_ratio"] is None
    assert (whole["good"]["win_rate"]["value"], whole["bad"]["win_rate"]["value"]) == (1, 0)


def test_what_cannot_be_read_or_asked_keeps_its_reason_and_text(tmp_path: Path) -> None:
    case = write_case(tmp_path, 6, ("base", "good"))
    path = Path(case["answers"]["good"])
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[1:], '{"id": 77, "output": "x"}', "{broken", lines[1]]) + "\n")

    def reply(messages: list[dict[str, str]]) -> str:
        return "Hard to say." if "What is 3?" in messages[-1]["content"] else fair(messages)

    with chat_server(reply=reply) as server:
        manifest, _ = judge(
            **case,
            output=tmp_path / "o",
            options=JudgeOptions(),
            endpoint=endpoint(server),
            cache_path=tmp_path / "c",
        )
    counts = manifest["counts"]
    assert (counts["verdicts"], counts["verdicts_readable"], counts["comparisons_removed"]) == (10, 8, 1)
    assert manifest["reasons"] == {"unreadable_reply": 2, "no_answer": 1}
    unread = [row for row in verdicts(tmp_path / "o") if row["reason"]]
    assert [(row["question_id"], row["text"], row["scores"]) for row in unread] == [
        ("3", "Hard to say.", None)
    ] * 2
    removed = [json.loads(line) for line in (tmp_path / "o" / "removed.jsonl").read_text().splitlines()]
    assert [(row["question_id"], row["detail"]) for row in removed] == [("0", "good")]
    aside = [json.loads(line) for line in (tmp_path / "o" / "set_aside.jsonl").read_text().splitlines()]
    assert [row["reason"] for row in aside] == ["unknown_question", "invalid_json", "duplicate_id"]
    assert manifest["results"][0]["questions"] == 4
    with chat_server(reply=fair) as server, pytest.raises(ZeroToOneError, match=r"good.jsonl:6: unknown_question"):
        judge(**case, output=tmp_path / "s", options=JudgeOptions(), endpoint=endpoint(server), strict=True)


def test_a_spent_budget_is_gone_on_with_later(tmp_path: Path) -> None:
    case, cache = write_case(tmp_path, 8, ("base", "good")), tmp_path / "cache"
    with chat_server(reply=fair) as server:
        first, _ = judge(
            **case,
            output=tmp_path / "o",
            options=JudgeOptions(max_tokens=64),
            endpoint=endpoint(server, budget=read_limit("2500tokens")),
            cache_path=cache,
        )
        assert server.tokens <= 2500
        assert first["reasons"]["budget_spent"] > 0
        done = server.requests()
        second, _ = judge(
            **case,
            output=tmp_path / "o",
            options=JudgeOptions(max_tokens=64),
            endpoint=endpoint(server),
            cache_path=cache,
        )
        assert server.requests() == 16 > done
    assert second["reasons"] == {}
    assert second["results"][0]["questions"] == 8


def test_the_estimate_is_the_run(tmp_path: Path) -> None:
    case = write_case(tmp_path, 60, ("base", "good"))
    with chat_server(reply=fair) as server:
        judged = endpoint(server)
        found = estimate_judge(**case, endpoint=judged, options=JudgeOptions(), cache_path=tmp_path / "c")
        manifest, _ = judge(
            **case, output=tmp_path / "o", options=JudgeOptions(), endpoint=judged, cache_path=tmp_path / "c"
        )
        assert server.requests() == 120
    assert found.requests.value == 120
    assert found.tokens.value == pytest.approx(manifest["costs"]["tokens"], rel=0.05)


def test_chinese_questions_get_the_chinese_prompt_and_turns_are_numbered(tmp_path: Path) -> None:
    questions = [
        {"question_id": 1, "category": "x", "turns": ["如何提高效率？", "再说一遍。"]},
        {"question_id": 2, "category": "x", "text": "Why?"},
    ]
    source = write_jsonl(tmp_path / "q.jsonl", questions)
    chats = [
        {"question_id": 1, "choices": [{"turns": ["好的 quality=3", "再说"]}]},
        {"question_id": 2, "messages": [{"role": "user", "content": "Why?"},
                                        {"role": "assistant", "content": "quality=4"}]},
    ]  # fmt: skip
    for name in ("a", "b"):
        write_jsonl(tmp_path / f"{name}.jsonl", [*chats])
    files = {name: str(tmp_path / f"{name}.jsonl") for name in ("a", "b")}
    with chat_server(reply=fair) as server:
        manifest, _ = judge(
            str(source),
            files,
            tmp_path / "o",
            JudgeOptions(),
            endpoint=endpoint(server),
            cache_path=tmp_path / "c",
        )
        prompts = [body["messages"][-1]["content"] for body in server.bodies]
    assert any("[1] 如何提高效率？\n\n[2] 再说一遍。" in text and "第一行只写" in text for text in prompts)
    assert any("[1] 好的 quality=3\n\n[2] 再说" in text for text in prompts)
    assert any("Why?" in text and "On the first line" in text for text in prompts)
    assert manifest["results"][0]["ties"] == 2


def test_fields_by_name(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "q.jsonl", [{"nr": "x", "ask": "Why?", "set": "koala"}])
    write_jsonl(tmp_path / "a.jsonl", [{"nr": "x", "said": "So. quality=4"}])
    fields = Fields("ask", "said", "nr", "set")
    files = {"a": str(tmp_path / "a.jsonl"), "b": str(tmp_path / "a.jsonl")}
    with chat_server(reply=fair) as server:
        judge(
            str(tmp_path / "q.jsonl"),
            files,
            tmp_path / "o",
            JudgeOptions(fields=fields),
            endpoint=endpoint(server),
            cache_path=tmp_path / "c",
        )
    assert [row["category"] for row in verdicts(tmp_path / "o")] == ["koala"] * 2


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        (["--reference", "nobody"], 2, "--reference nobody: not a system; there are old, new"),
        (["--mode", "duel"], 2, "--mode duel: choose one of pairwise, ranking"),
        (["--answers", "third"], 2, "--answers third: give NAME=FILE"),
        (["--answers", "old=x"], 2, "the system old was given before"),
        (["--answers", "third=missing.jsonl"], 1, "missing.jsonl: no such file"),
        (["--question-field", "nothing"], 1, "no question in the field `nothing`"),
        (["--answer-field", "nothing"], 1, "no answer in the field `nothing`"),
        (["--model", "m", "--base-url", "http://127.0.0.1:9/v1"], 2, "give --model to ask a judge, or --replies"),
        (["--lang", "fr"], 2, "--lang fr"),
    ],
)
def test_wrong_usage(tmp_path: Path, change: list[str], status: int, message: str) -> None:
    outcome = call("instruct", "judge", *known_case(tmp_path), "-o", tmp_path / "out", *change)
    assert (outcome.status, message in outcome.message) == (status, True), outcome.err
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_neither_judge_nor_replies(tmp_path: Path) -> None:
    case = write_case(tmp_path, 1)
    with pytest.raises(UsageError, match="give --model"):
        judge(**case, output=tmp_path / "o", options=JudgeOptions())
