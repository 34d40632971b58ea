"""`instruct translate` against a real server: both ways, drawn languages, marks, languages, tasks left out."""

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from corpus.core.errors import UsageError
from corpus.text.language import known_languages
from instruct.client import Endpoint
from instruct.decontaminate import ancestors_of
from instruct.forms import from_conversation
from instruct.prompt import load_prompts
from instruct.row_runs import estimate_rows, run_rows
from instruct.target_languages import (
    chosen_languages,
    draw_language,
    language_of,
    other_language,
    target_languages,
)
from instruct.translate import TranslateOptions, translate_command
from instruct.translate_tasks import hinges_on_language, says_yes
from tests.instruct.chat_server import chat_server, digest
from tests.instruct.test_evolve import cached_prompts
from tests.programs import start

ZH = "请用通俗易懂的方式说明这件事情的来龙去脉，"
DE = "Bitte erkläre mir diese Angelegenheit von Anfang an so einfach wie möglich, damit ich sie verstehe"
EN = "Please explain the whole of this matter from the beginning, as plainly as you possibly can"


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def conversation(name: str, *texts: str, **extra: Any) -> dict[str, Any]:
    roles = ("user", "assistant")
    messages = [{"role": roles[place % 2], "content": text} for place, text in enumerate(texts)]
    return {"id": name, "messages": messages, "lang": "en", "source": "s", "lineage": {}, **extra}


def marks(text: str) -> str:
    return " ".join(f"⟦{part.partition('⟧')[0]}⟧" for part in text.split("⟦")[1:])


def model(messages: list[dict[str, str]]) -> str:
    """Finds every task translatable, and translates all into the same sentence with the marks of the text."""
    prompt = messages[-1]["content"]
    if "Yes or No" in prompt or "是 或者 否" in prompt:
        return "No" if "Yes" in prompt else "否"
    if "Text:\n" in prompt:
        return ZH + marks(prompt.rpartition("Text:\n")[2])
    return f"{ZH}{digest(json.dumps(messages)) % 1000}"


def run(
    source: str, directory: Path, url: str, mode: str = "translation", to: str = "zh", **more: Any
) -> dict[str, Any]:
    endpoint = Endpoint(url, "m", concurrency=8, backoff=0.01)
    command = translate_command(endpoint, TranslateOptions(mode, to, **more))
    return run_rows(command, [source], directory, cache_path=directory.parent / "cache.sqlite")[0]


def rows(directory: Path, name: str = "conversations") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def test_questions_and_replies_are_translated(tmp_path: Path) -> None:
    own = conversation("a", "Run `ls` 3 times.", "See https://a.org/b now.", topic="t", lineage={"seeds": ["s1"]})
    with chat_server(reply=model) as server:
        manifest = run(write(tmp_path / "in.jsonl", [own]), tmp_path / "out", server.url)
        assert server.requests() == 3
    (row,) = rows(tmp_path / "out")
    assert [turn["content"] for turn in row["messages"]] == [f"{ZH}`ls` 3", f"{ZH}https://a.org/b"]
    assert (row["id"], row["lang"], row["topic"]) == ("a-zh", "zh", "t")
    lineage = row["lineage"]
    assert {name: lineage[name] for name in ("operation", "mode", "parent", "origin", "from", "to", "model")} == {
        "operation": "translate", "mode": "translation", "parent": "a", "origin": "in.jsonl:1", "from": "en",
        "to": "zh", "model": "m",
    }  # fmt: skip
    assert {stage: len(keys) for stage, keys in lineage["request_keys"].items()} == {"question": 1, "translate": 2}
    prompts = load_prompts("en", "translate")
    assert lineage["prompt_hashes"] == {name: prompts[name].hash for name in ("question", "translate")}
    assert set(ancestors_of(lineage)) == {"a", "s1"}
    assert set(manifest["costs"]["stages"]) == {"question", "translate"}


def test_questions_are_answered_in_the_target_language(tmp_path: Path) -> None:
    own = conversation("a", "Why is it so?", "Old.", "And then?", "Old too.")
    own["messages"].insert(0, {"role": "system", "content": "Be kind."})
    plain = conversation("b", "Why is it so?", "Old.")
    with chat_server(reply=model) as server:
        run(write(tmp_path / "in.jsonl", [own, plain]), tmp_path / "out", server.url, mode="answer")
        answers = [body["messages"] for body in server.bodies if len(body["messages"]) > 1]
        assert all("Old" not in json.dumps(body) for body in server.bodies)
    first, second = rows(tmp_path / "out")
    contents = [turn["content"] for turn in first["messages"]]
    assert contents[:2] == [ZH, ZH]
    last = max(answers, key=len)
    assert [turn["role"] for turn in last] == ["system", "user", "assistant", "user"]
    assert last[0]["content"] == f"{ZH}\n\nWrite in Chinese."
    assert [turn["content"] for turn in last[1:]] == contents[1:4]
    (alone,) = [turns for turns in answers if "knowledgeable" in turns[0]["content"]]
    assert "Write in Chinese." in alone[0]["content"]
    assert second["messages"][1]["content"].startswith(ZH)
    assert {stage: len(keys) for stage, keys in first["lineage"]["request_keys"].items()} == {
        "question": 1, "translate": 3, "answer": 2
    }  # fmt: skip


def test_an_input_can_still_be_parted_from_its_instruction(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(json.dumps({"instruction": "Sum up.", "input": "It cost 7 euros.", "output": "Seven."}) + "\n")
    with chat_server(reply=model) as server:
        run(str(path), tmp_path / "out", server.url)
    (row,) = rows(tmp_path / "out")
    alpaca = from_conversation(row, "alpaca")
    assert (alpaca["instruction"], alpaca["input"]) == (ZH, f"{ZH}7")


def spoiled(text: str, times: int) -> Any:
    """The model, with its first translations of a text that has a mark spoiled."""

    def reply(messages: list[dict[str, str]]) -> str:
        asked = sum(turn["role"] == "assistant" for turn in messages)
        if "Yes or No" in messages[-1]["content"]:
            return "No"
        return text if asked < times else model([messages[0]])

    return reply


@pytest.mark.parametrize(
    ("text", "reason", "detail"),
    [
        ("没有标记", "translate_marks_not_kept", "⟦#1⟧, ⟦2⟧"),
        ("⟦#1⟧ 和 ⟦20⟧", "translate_marks_not_kept", "⟦2⟧"),
        (f"{EN} ⟦#1⟧ ⟦2⟧", "translate_wrong_language", "en"),
        (f"{DE} ⟦#1⟧ ⟦2⟧", "translate_wrong_language", "de"),
    ],
)
def test_a_bad_translation_is_asked_for_once_more(text: str, reason: str, detail: str, tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", [conversation("a", "Run `ls` 2 times.", "Well.")])
    with chat_server(reply=spoiled(text, 1)) as server:
        run(source, tmp_path / "once" / "out", server.url)
        told = [body["messages"] for body in server.bodies if len(body["messages"]) == 3]
    (row,) = rows(tmp_path / "once" / "out")
    assert row["messages"][0]["content"] == f"{ZH}`ls` 2"
    assert row["lineage"]["asked_again"] >= 1
    assert any(turns[1]["content"] == text for turns in told)
    if "marks" in reason:
        assert any(detail in turns[2]["content"] for turns in told)
    with chat_server(reply=spoiled(text, 2)) as server:
        manifest = run(source, tmp_path / "twice" / "out", server.url)
    assert manifest["reasons"] == {reason: 1}
    (removed,) = rows(tmp_path / "twice" / "out", "removed")
    assert removed["detail"] == detail
    assert removed["messages"][0]["content"] == "Run `ls` 2 times."


def test_an_answer_in_another_language_is_a_reason(tmp_path: Path) -> None:
    source = write(
        tmp_path / "in.jsonl", [conversation("a", "Why?", "Well."), conversation("b", "Why not?", "W.")]
    )

    def reply(messages: list[dict[str, str]]) -> str:
        if len(messages) > 1 and "again" not in messages[0]["content"]:
            return f"{EN}.\n```\n{ZH}\n```" if len(messages) == 2 else EN
        return model(messages)

    with chat_server(reply=reply) as server:
        manifest = run(source, tmp_path / "out", server.url, mode="answer")
        assert manifest["reasons"] == {"answer_wrong_language": 2}
        code = f"好的，{ZH}请看：\n```\n{EN}\n```"
        server.reply = lambda messages: code if len(messages) > 1 else model(messages)
        manifest = run(source, tmp_path / "new" / "out", server.url, mode="answer")
    assert manifest["counts"]["rows_kept"] == 2  # code may hold any language


def test_tasks_about_words_are_left_out(tmp_path: Path) -> None:
    own = [
        conversation("rule", "Find a rhyme for moon.", "June."),
        conversation("model", "Which of these is odd?", "This."),
        conversation("unclear", "Who knows?", "Me."),
        conversation("given", "Sum up.\n\nThe spelling bee was held in May.", "x", lineage={}),
        conversation("fine", "Why is the sky blue?", "Well."),
    ]
    own[3]["lineage"] = {"alpaca_input": "The spelling bee was held in May."}

    def reply(messages: list[dict[str, str]]) -> str:
        prompt = messages[-1]["content"]
        if "Yes or No" in prompt:
            return "Yes." if "odd" in prompt else "Hm." if "knows" in prompt else "No"
        return model(messages)

    with chat_server(reply=reply) as server:
        source = write(tmp_path / "in.jsonl", own)
        manifest = run(source, tmp_path / "out", server.url)
        assert manifest["reasons"] == {"hinges_on_language": 2, "question_unreadable": 1}
        removed = {row["id"]: row["detail"] for row in rows(tmp_path / "out", "removed")}
        assert removed == {"rule": "rhyme", "model": "Yes.", "unclear": "Hm."}
        assert [row["id"] for row in rows(tmp_path / "out")] == ["given-zh", "fine-zh"]
        manifest = run(source, tmp_path / "rules", server.url, question=False)
    assert manifest["reasons"] == {"hinges_on_language": 1}
    assert rows(tmp_path / "rules")[0]["lineage"]["checks_passed"] == ["rules"]


@pytest.mark.parametrize(
    ("instruction", "words"),
    [
        ("Correct the grammar of this sentence.", "Correct the grammar of this sentence"),
        ("Translate this into French.", "Translate"),
        ("Write a poem in Spanish.", "in Spanish"),
        ("How many letters has this word?", "How many letters"),
        ("给“路”字组词。", "组词"),
        ("下面的句子有没有错别字？", "错别字"),
        ("用英语写一封信。", "用英语"),
        ("What is a good name for a cat?", ""),
        ("Explain punitive damages and the spelt harvest.", ""),
        ("介绍一下唐朝的历史。", ""),
    ],
)
def test_rules_for_tasks_about_words(instruction: str, words: str) -> None:
    assert hinges_on_language(instruction) == words


@pytest.mark.parametrize(
    ("verdict", "yes"),
    [
        ("Yes", True),
        ("No.", False),
        ("**no**", False),
        ("是", True),
        ("否", False),
        ("不是", False),
        ("Yes or no", None),
        ("?", None),
    ],
)
def test_verdicts(verdict: str, yes: bool | None) -> None:
    assert says_yes(verdict) is yes


def test_chinese_rows_get_chinese_prompts(tmp_path: Path) -> None:
    own = conversation("a", "天空为什么是蓝的？", "因为散射。", lang="")
    seen: list[str] = []

    def reply(messages: list[dict[str, str]]) -> str:
        seen.append(messages[-1]["content"])
        return "否" if "是 或者 否" in seen[-1] else DE

    with chat_server(reply=reply) as server:
        run(write(tmp_path / "in.jsonl", [own]), tmp_path / "out", server.url, to="de")
    assert any("请把下面的文字译成德语" in prompt for prompt in seen)
    (row,) = rows(tmp_path / "out")
    assert (row["lang"], row["lineage"]["from"]) == ("de", "zh")


def test_languages_are_drawn_by_speakers() -> None:
    languages = chosen_languages("speakers")
    assert len(languages) == 40
    assert {language.code for language in languages} <= known_languages()
    drawn = Counter(language.code for language in draws("speakers", 20_000))
    speakers = {language.code: language.speakers for language in languages if language.code != "en"}
    total = sum(speakers.values())
    assert "en" not in drawn
    assert set(drawn) == set(speakers)
    for code, count in drawn.items():
        expected = 20_000 * speakers[code] / total
        assert abs(count - expected) < 5 * expected**0.5, code  # five standard deviations of a Poisson count
    assert {language.code for language in draws("de,sw", 50)} == {"de", "sw"}
    assert draw_language(chosen_languages("en"), "k", 0, besides="en") is None


def draws(to: str, count: int) -> list[Any]:
    return [draw_language(chosen_languages(to), f"row {number}", 3, besides="en") for number in range(count)]


def test_rows_in_the_target_language_are_removed(tmp_path: Path) -> None:
    own = [conversation("a", "天空为什么是蓝的？", "因为散射。", lang="zh-Hans"), conversation("b", "Why?", "So.")]
    with chat_server(reply=model) as server:
        manifest = run(write(tmp_path / "in.jsonl", own), tmp_path / "out", server.url)
    assert manifest["reasons"] == {"already_in_target_language": 1}
    assert [row["id"] for row in rows(tmp_path / "out")] == ["b-zh"]


def test_languages_of_texts() -> None:
    known = target_languages()
    assert language_of("短", "") == "zh"
    assert language_of("short", "") == "en"
    assert language_of(DE) == "de"
    assert language_of("x", "zh_CN") == "zh"
    assert other_language(DE, known["de"]) == ""
    assert other_language(DE, known["fr"]) == "de"
    assert other_language("Too short", known["zh"]) == ""
    malay = "Sila terangkan perkara ini dari awal dengan cara yang paling mudah supaya saya boleh memahaminya"
    assert other_language(malay, known["id"]) == ""


def test_an_estimate_is_near_the_true_cost(tmp_path: Path) -> None:
    own = [conversation(f"c{number}", f"Why {number}?", "Well, " * (number % 9)) for number in range(80)]
    source = write(tmp_path / "in.jsonl", own)
    with chat_server(reply=model) as server:
        command = translate_command(Endpoint(server.url, "m"), TranslateOptions("answer", "zh"))
        estimate = estimate_rows(command, [source], cache_path=tmp_path / "cache")
        manifest, tally = run_rows(command, [source], tmp_path / "out", cache_path=tmp_path / "cache")
        assert tally is not None
        assert tally.from_cache >= estimate.pilot_units
        assert server.requests() == len(set(server.completed))
    assert estimate.tokens.value == pytest.approx(manifest["costs"]["tokens"], rel=0.2)


def test_faults_lose_nothing(tmp_path: Path) -> None:
    own = [conversation(f"c{number}", f"Why {number} or `x`?", f"{number} of 9.") for number in range(30)]
    source = write(tmp_path / "in.jsonl", own)

    def fault(prompt: str, attempt: int) -> dict[str, Any] | None:
        draw = digest(f"{prompt}{attempt}") % 100
        if draw < 20:
            return {"status": 429, "headers": {"Retry-After": "0"}}
        return {"status": 500} if draw < 25 else {"cut": "json"} if draw < 28 else None

    with chat_server(fault=fault, reply=model) as server:
        run(source, tmp_path / "a" / "out", server.url)
        server.fault = None
        run(source, tmp_path / "b" / "out", server.url)
        assert len(server.completed) == 2 * len(set(server.completed))
    assert len(rows(tmp_path / "a" / "out")) == 30
    for name in ("conversations.jsonl", "removed.jsonl"):
        assert (tmp_path / "a/out" / name).read_bytes() == (tmp_path / "b/out" / name).read_bytes()


def test_after_kill_9_no_completed_request_is_sent_again(tmp_path: Path) -> None:
    own = [conversation(f"c{number}", f"Why {number} or `x`?", f"{number} of 9.") for number in range(20)]
    source = write(tmp_path / "in.jsonl", own)
    with chat_server(delay=0.01, reply=model) as server:
        run(source, tmp_path / "whole" / "out", server.url)
        total = len(server.completed)
        options = ["--to", "zh", "--model", "m", "--base-url", server.url, "--concurrency", "4"]
        command = ["translate", source, "-o", tmp_path / "out", "--cache", tmp_path / "cache", *options]
        for kill_at in (5, 30):
            server.completed.clear()
            process = start("instruct", *command)
            deadline = time.monotonic() + 60
            while len(server.completed) < kill_at and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.005)
            process.kill()
            process.communicate()
        time.sleep(0.05)  # the last replies to the killed program
        cached = cached_prompts(tmp_path / "cache")
        assert len(cached) >= 25
        server.attempts.clear()
        process = start("instruct", *command)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        assert not set(cached) & set(server.attempts)
        assert server.requests() == total - len(cached)
    for name in ("conversations.jsonl", "removed.jsonl"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole/out" / name).read_bytes()


@pytest.mark.parametrize(
    ("mode", "to", "message"),
    [("both", "zh", "--mode both"), ("answer", "tlh", "--to tlh: choose of"), ("answer", "de,,fr", "--to")],
)
def test_wrong_usage(mode: str, to: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TranslateOptions(mode, to)


@pytest.mark.parametrize("name", ["answer", "translate"])
def test_prompts_are_the_same_in_both_languages(name: str) -> None:
    english, chinese = load_prompts("en", name), load_prompts("zh", name)
    assert set(english) == set(chinese)
    for key, prompt in english.items():
        assert prompt.places == chinese[key].places
