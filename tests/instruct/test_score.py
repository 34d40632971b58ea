"""`instruct score`: judged in sets by a real server, and by small local models against losses written out."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForSequenceClassification

from corpus.core.errors import UsageError, ZeroToOneError
from instruct.client import Endpoint
from instruct.score import ScoreOptions, estimate_score, score
from instruct.score_judge import text_sets
from instruct.score_replies import parse_set_scores
from instruct.structured import Unreadable
from tests.instruct.chat_server import ChatServer, chat_server
from tests.programs import call, write_jsonl
from tests.train.micro import micro_llama, save_base, save_micro_tokenizer


@pytest.mark.parametrize(
    ("text", "scores"),
    [
        ("[1] Score: 3\n[2] Score: 5", [3, 5]),
        ("[2] Score: 5\n[1] Score: 3", [3, 5]),
        ("1. 3\n2. 5", [3, 5]),
        ("Here they are:\n[1] Score: 3.5\n[2] Score: 5/6 - clear", [3.5, 5]),
        ("**[1]** Score: 3\n**[2]** Score: 5", [3, 5]),
        ("[1] 分数：3\n[2] 分数：5", [3, 5]),
        ("［１］分数：３\n［２］分数：５", [3, 5]),
        ("1、3 分\n2、5 分", [3, 5]),
    ],
)
def test_scores_of_a_set(text: str, scores: list[float]) -> None:
    assert parse_set_scores(text, 2) == scores


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3 5",
        "[1] Score: 3",
        "[1] Score: 3\n[2] Score: 7",
        "[1] Score: 0\n[2] Score: 1",
        "[1] Score: 3\n[2] Score: 12",
        "[1] Score: 3\n[3] Score: 5",
        "[1] Score: 3\n[1] Score: 4\n[2] Score: 5",
    ],
)
def test_what_is_no_set_of_scores(text: str) -> None:
    with pytest.raises(Unreadable):
        parse_set_scores(text, 2)


def test_one_text_may_have_a_bare_number() -> None:
    assert parse_set_scores("Score: 4", 1) == [4]
    assert parse_set_scores(" 4 / 6.\nBecause.", 1) == [4]
    with pytest.raises(Unreadable):
        parse_set_scores("4 of the tasks are easy", 1)


def test_log_probabilities_give_the_expectation_over_the_digits() -> None:
    """A digit's place is found by the tokens' texts; chances of other tokens are left out."""
    likeliest = {"3": math.log(0.5), " 5": math.log(0.25), "7": math.log(0.2), "x": math.log(0.05)}
    tokens = ["<think>", "1", "</think>\n", "[", "1", "]", " Score", ":", " 3", "\n[", "2", "] ", "Score: ", "6"]
    logprobs = [(token, likeliest if token == " 3" else {"1": 0.0}) for token in tokens]
    found = parse_set_scores("[1] Score: 3\n[2] Score: 6", 2, logprobs)
    assert found == pytest.approx([(3 * 0.5 + 5 * 0.25) / 0.75, 1.0])
    # tokens that do not spell the text are not used
    assert parse_set_scores("[1] Score: 3\n[2] Score: 6", 2, [("other", {"1": 0.0})]) == [3, 6]


def row(id: str, question: str, answer: str, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"id": id, "messages": messages, **more}


def rows_of(folder: Path, name: str = "conversations.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]


def test_sets_are_variants_of_one_seed_and_answers_to_one_instruction() -> None:
    family = [row(f"s+{n}", f"task {n}", "x", lineage={"root": "s"}, lang="") for n in range(8)]
    pairs = [("a", "Why?", "so"), ("b", "Why?", "thus"), ("c", "Why?", "so"), ("d", "为什么？", "因为")]
    others = [row(*pair, lineage={}, lang="") for pair in pairs]
    sets = text_sets([*family, *others], "complexity", None)
    assert [len(found.texts) for found in sets] == [6, 2, 1, 1, 1, 1]
    assert sets[1].rows == ((6,), (7,))
    answers = text_sets(others, "quality", None)
    assert [(found.task, found.texts, found.rows, found.language) for found in answers] == [
        ("Why?", ("so", "thus"), ((0, 2), (1,)), "en"),
        ("为什么？", ("因为",), ((3,),), "zh"),
    ]


def by_length(messages: list[dict[str, str]]) -> str:
    """The server's judge: longer texts get higher scores."""
    texts = re.findall(r"=== \[\d+\] ===\n(.*?)\n=== End of", messages[-1]["content"], re.DOTALL)
    return "\n".join(f"[{n}] Score: {min(6, 1 + len(text) // 10)}" for n, text in enumerate(texts, 1))


def endpoint(server: ChatServer) -> Endpoint:
    return Endpoint(server.url, "m", concurrency=4, backoff=0.01)


def test_a_judge_scores_sets_and_a_rerun_asks_nothing(tmp_path: Path) -> None:
    rows = [
        row(f"s+{n}", "do it " * (1 + 2 * n), "x" * 10 * n + ".", lineage={"root": "s"}, tag=n) for n in range(4)
    ]
    source = str(write_jsonl(tmp_path / "in.jsonl", [*rows, {"id": "broken"}]))
    options = ScoreOptions(("complexity", "quality", "length"))
    with chat_server(reply=by_length) as server:
        cache = tmp_path / "cache"
        manifest, tally = score([source], tmp_path / "a", options, endpoint=endpoint(server), cache_path=cache)
        assert tally is not None
        assert tally.requests_sent == server.requests() == 1 + 4
        assert server.bodies[0]["logprobs"] is True
        score([source], tmp_path / "b", options, endpoint=endpoint(server), cache_path=cache)
        assert server.requests() == 5
    scored = rows_of(tmp_path / "a")
    assert [r["scores"]["complexity"] for r in scored] == [1, 2, 3, 5]  # 5, 17, 29 and 41 letters
    assert [r["scores"]["quality"] for r in scored] == [1, 2, 3, 4]
    assert [r["scores"]["length"] for r in scored] == [1] * 4
    assert [r["tag"] for r in scored] == [0, 1, 2, 3]
    assert {r["lineage"]["root"] for r in scored} == {"s"}
    assert set(scored[0]["lineage"]["scores"]) == {"complexity", "quality"}
    assert len({r["lineage"]["scores"]["complexity"]["request_key"] for r in scored}) == 1
    assert manifest["counts"] == {"rows_in": 5, "rows_kept": 4, "rows_set_aside": 1}
    assert set(manifest["costs"]["stages"]) == {"complexity", "quality"}
    assert (tmp_path / "a" / "conversations.jsonl").read_bytes() == (
        tmp_path / "b" / "conversations.jsonl"
    ).read_bytes()


def test_unreadable_and_refused_scores_keep_their_row(tmp_path: Path) -> None:
    rows = [row("a", "bad one", "x"), row("b", "good", "y")]
    source = str(write_jsonl(tmp_path / "in.jsonl", rows))

    def reply(messages: list[dict[str, str]]) -> str:
        return "No idea." if "bad one" in messages[-1]["content"] else "[1] Score: 2"

    with chat_server(reply=reply) as server:
        manifest, _ = score(
            [source],
            tmp_path / "o",
            ScoreOptions(("quality",)),
            endpoint=endpoint(server),
            cache_path=tmp_path / "c",
        )
    assert [r["scores"] for r in rows_of(tmp_path / "o")] == [{"quality": None}, {"quality": 2}]
    assert manifest["reasons"] == {"quality: unreadable_reply": 1}
    [unscored] = rows_of(tmp_path / "o", "unscored.jsonl")
    assert (unscored["id"], unscored["text"]) == ("a", "No idea.")


def likeliest(token: str, **chances: float) -> dict[str, Any]:
    return {"token": token, "top_logprobs": [{"token": t[1:], "logprob": value} for t, value in chances.items()]}


@pytest.mark.parametrize("spoilt", [{}, {"content": None}, {"content": [{"token": 3}]}, {"content": [{}]}])
def test_log_probabilities_of_an_endpoint_are_kept(tmp_path: Path, spoilt: dict[str, Any]) -> None:
    """They come from the cache again; -Infinity, which some servers send, is no chance at all."""
    told = [
        likeliest("[1] Score: "),
        likeliest("3", _3=math.log(0.6), _4=math.log(0.2), _1=float("-inf")),
    ]
    source = str(write_jsonl(tmp_path / "in.jsonl", [row("a", "Why?", "So.")]))
    options, cache = ScoreOptions(("quality",)), tmp_path / "cache"

    def fault(prompt: str, _: int) -> dict[str, Any]:
        return {"content": "[1] Score: 3", "choice": {"logprobs": spoilt or {"content": told}}}

    with chat_server(fault=fault) as server:
        for name in ("a", "b"):
            score([source], tmp_path / name, options, endpoint=endpoint(server), cache_path=cache)
        assert server.requests() == 1
    expected = 3.0 if spoilt else (3 * 0.6 + 4 * 0.2) / 0.8
    for name in ("a", "b"):
        assert rows_of(tmp_path / name)[0]["scores"]["quality"] == pytest.approx(expected, abs=1e-6)


def test_an_endpoint_without_log_probabilities_is_asked_without_them(tmp_path: Path) -> None:
    def fault(prompt: str, _: int) -> dict[str, Any] | None:
        with_logprobs = "logprobs" in server.bodies[-1]
        return {"status": 400, "message": "logprobs are not supported"} if with_logprobs else None

    rows = [row(str(n), f"question {n}", "x") for n in range(6)]
    source = str(write_jsonl(tmp_path / "in.jsonl", rows))
    with chat_server(reply=by_length, fault=fault) as server:
        one = Endpoint(server.url, "m", concurrency=1, backoff=0.01)
        manifest, _ = score(
            [source], tmp_path / "o", ScoreOptions(("quality",)), endpoint=one, cache_path=tmp_path / "c"
        )
        assert server.requests() == 6 + 1
    assert manifest["reasons"] == {}


def test_the_estimate_is_the_run(tmp_path: Path) -> None:
    rows = [row(str(n), f"question {n}", "x") for n in range(50)]
    source = str(write_jsonl(tmp_path / "in.jsonl", rows))
    options = ScoreOptions(("quality",))
    with chat_server(reply=by_length) as server:
        found = estimate_score([source], endpoint(server), options, cache_path=tmp_path / "c")
        manifest, _ = score(
            [source], tmp_path / "o", options, endpoint=endpoint(server), cache_path=tmp_path / "c"
        )
    assert found.requests.value == 50
    assert found.tokens.value == pytest.approx(manifest["costs"]["tokens"], rel=0.05)


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_base(tmp_path_factory.mktemp("models") / "base", micro_llama(400, context=64))


CHATS = [
    row("fox", "Where is the red fox?", "It sleeps under the old tree."),
    row("river", "Where is the river?", "Near the old tree, where the red fox sleeps."),
    row("zh", "今天天气怎么样？", "今天天气很好。"),
    row("long", "Where is it? " * 40, "Here."),
    row("cut", "Where?", "It sleeps under the old tree, near the river. " * 12),
]


def loss(model: Any, ids: list[int], count: int) -> float:
    """The mean loss of the last `count` tokens, by transformers' own labels."""
    labels = torch.tensor([[-100] * (len(ids) - count) + ids[-count:]])
    with torch.no_grad():
        return float(model(input_ids=torch.tensor([ids]), labels=labels).loss)


@pytest.mark.parametrize("template", [True, False])
def test_difficulty_is_the_ratio_of_two_losses(causal: Path, tmp_path: Path, template: bool) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for file in causal.iterdir():
        if template or file.name != "chat_template.jinja":
            (folder / file.name).write_bytes(file.read_bytes())
    source = str(write_jsonl(tmp_path / "in.jsonl", CHATS))
    manifest, tally = score([source], tmp_path / "o", ScoreOptions(("ifd",), causal_model=folder))
    assert tally is None
    found = {r["id"]: r["scores"]["ifd"] for r in rows_of(tmp_path / "o")}
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    model.train(False)
    start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    for chat in CHATS:
        if chat["id"] == "long":
            assert found["long"] is None
            continue
        question, reply = (message["content"] for message in chat["messages"])
        text = (
            f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n" if template else f"{question}\n\n"
        )
        context = [start, *tokenizer(text, add_special_tokens=False)["input_ids"]]
        answer = tokenizer(reply.strip(), add_special_tokens=False)["input_ids"][: 64 - len(context)]
        expected = loss(model, context + answer, len(answer)) / loss(model, [start, *answer], len(answer))
        assert found[chat["id"]] == pytest.approx(expected, rel=1e-4)
    assert manifest["reasons"] == {"ifd: instruction_too_long": 1}
    assert rows_of(tmp_path / "o", "unscored.jsonl") == [
        {"id": "long", "score": "ifd", "reason": "instruction_too_long"}
    ]


@pytest.fixture(scope="module")
def reward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_micro_tokenizer(tmp_path_factory.mktemp("reward"))
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=400, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=128, num_labels=1, pad_token_id=1,
    )  # fmt: skip
    LlamaForSequenceClassification(config).save_pretrained(folder)
    return folder


def test_reward_is_the_logit_of_each_conversation_alone(reward: Path, tmp_path: Path) -> None:
    chats = [*CHATS[:3], row("much", "Where is it? " * 200, "Here.")]
    source = str(write_jsonl(tmp_path / "in.jsonl", chats))
    manifest, _ = score([source], tmp_path / "o", ScoreOptions(("reward",), reward_model=reward))
    found = [r["scores"]["reward"] for r in rows_of(tmp_path / "o")]
    model = LlamaForSequenceClassification.from_pretrained(reward).train(False)
    tokenizer = AutoTokenizer.from_pretrained(reward)
    for chat, value in zip(chats[:3], found[:3], strict=True):
        ids = tokenizer.apply_chat_template(chat["messages"], return_tensors="pt", return_dict=True)["input_ids"]
        with torch.no_grad():
            assert value == pytest.approx(float(model(input_ids=ids).logits[0, 0]), abs=1e-5)
    assert found[3] is None
    assert len({round(value, 6) for value in found[:3]}) == 3
    assert manifest["reasons"] == {"reward: too_long_for_the_model": 1}


def test_local_scores_go_on_where_a_run_ended(
    causal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from instruct import score as module

    monkeypatch.setattr(module, "_CHUNK", 2)
    source = str(write_jsonl(tmp_path / "in.jsonl", CHATS))
    options = ScoreOptions(("ifd",), causal_model=causal)
    score([source], tmp_path / "whole", options)
    original, computed = module._local_scorer, []

    def counting(name: str, path: Path) -> Any:
        scorer = original(name, path)

        def chunk(rows: Any) -> Any:
            computed.append([r["id"] for r in rows])
            if len(computed) == 2:
                raise KeyboardInterrupt
            return scorer(rows)

        return chunk

    monkeypatch.setattr(module, "_local_scorer", counting)
    with pytest.raises(KeyboardInterrupt):
        score([source], tmp_path / "o", options)
    score([source], tmp_path / "o", options)
    assert computed == [["fox", "river"], ["zh", "long"], ["zh", "long"], ["cut"]]
    assert (tmp_path / "o" / "conversations.jsonl").read_bytes() == (
        tmp_path / "whole" / "conversations.jsonl"
    ).read_bytes()
    assert not (tmp_path / "o" / ".state" / "ifd").exists()


def test_scores_are_added_to_those_that_are_there(tmp_path: Path) -> None:
    chats = [{**CHATS[0], "scores": {"mine": 3}}, row("zh", "几个字？", "今天 good 天气。")]
    source = str(write_jsonl(tmp_path / "in.jsonl", chats))
    score([source], tmp_path / "o", ScoreOptions(("length",)))
    assert [r["scores"] for r in rows_of(tmp_path / "o")] == [{"mine": 3, "length": 6}, {"length": 5}]


JUDGE = ["--model", "m", "--base-url", "http://127.0.0.1:9/v1"]


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--measure", "beauty"], 2, "--measure beauty: choose from length, complexity, quality, ifd, reward"),
        (["--measure", "quality"], 2, "--measure quality asks a judge: name it with --model"),
        (["--measure", "ifd"], 2, "--measure ifd needs --causal-model"),
        (["--measure", "reward"], 2, "--measure reward needs --reward-model"),
        (["--measure", "length", *JUDGE, "--estimate"], 2, "none of the measures"),
        (["--measure", "ifd", "--causal-model", "nowhere"], 1, "nowhere: no folder of a model"),
    ],
)  # fmt: skip
def test_wrong_usage(tmp_path: Path, options: list[str], status: int, message: str) -> None:
    source = write_jsonl(tmp_path / "in.jsonl", [CHATS[0]])
    outcome = call("instruct", "score", source, "-o", tmp_path / "out", *options)
    assert (outcome.status, message in outcome.message) == (status, True), outcome.err


def test_models_that_cannot_be_used(causal: Path, tmp_path: Path) -> None:
    source = str(write_jsonl(tmp_path / "in.jsonl", [CHATS[0]]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ZeroToOneError, match="empty: cannot open the model"):
        score([source], tmp_path / "a", ScoreOptions(("ifd",), causal_model=tmp_path / "empty"))
    with pytest.raises(ZeroToOneError, match="a reward model has one"):
        score([source], tmp_path / "b", ScoreOptions(("reward",), reward_model=causal))
    with pytest.raises(UsageError, match="--measure"):
        ScoreOptions(())
