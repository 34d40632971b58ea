"""Fine-tuning: packing, the loss, resume, and what must not be trained on."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from corpus.core.errors import UsageError, ZeroToOneError
from tests.train.micro import micro_bloom, micro_llama, save_base, turns, write_lines
from train import loop
from train.chat_data import EncodedConversation, SetAside, encode_conversations, is_held_out
from train.chat_encoding import Encoded, chat_encoder
from train.chat_objective import ChatObjective
from train.models import check_isolation
from train.packing import pack_rows, plan_steps
from train.sft import SftConfig, fine_tune
from train.trace import trace

lengths_strategy = st.lists(st.integers(1, 20), min_size=1, max_size=60)


@given(lengths_strategy)
def test_packed_rows_hold_each_item_once_and_do_not_overflow(lengths):
    rows = pack_rows(list(range(len(lengths))), lengths, 20)
    assert sorted(item for row in rows for item in row) == list(range(len(lengths)))
    filled = [sum(lengths[item] for item in row) for row in rows]
    assert max(filled) <= 20
    assert sum(total <= 10 for total in filled) <= 1  # two half-empty rows would have been one


@given(lengths_strategy, st.booleans(), st.integers(0, 3))
def test_each_epoch_shows_each_conversation_once(lengths, packed, seed):
    arguments = {"row_length": 20, "batch_tokens": 45, "epochs": 2, "packed": packed}
    plan = plan_steps(lengths, **arguments, seed=seed)
    shown = [item for step in plan for row in step for item in row]
    everything = list(range(len(lengths)))
    assert sorted(shown[: len(lengths)]) == everything == sorted(shown[len(lengths) :])
    for step in plan:
        longest = max(sum(lengths[item] for item in row) for row in step)
        assert len(step) <= 2 if packed else len(step) * longest <= 45
    assert plan == plan_steps(lengths, **arguments, seed=seed)


def encoded_conversations(sizes, vocabulary_size=50, seed=0):
    generator = np.random.default_rng(seed)
    made = []
    for number, size in enumerate(sizes):
        ids = generator.integers(0, vocabulary_size, size).astype(np.int32)
        targets = np.arange(size) >= size // 2
        made.append(EncodedConversation({"id": str(number)}, ids, targets, 0))
    return made


def reply_logits(model, encoded, plan, packed):
    """Logits of each conversation in the rows of a plan's first step."""
    objective = ChatObjective(encoded, plan, packed=packed, part_tokens=10**6)
    (part,) = objective.batch(0)
    positions = {"position_ids": part["positions"]} if packed else {}
    with torch.no_grad():
        logits = model(input_ids=part["inputs"], use_cache=False, **positions).logits
    found = {}
    for number, row in enumerate(plan[0]):
        start = 0
        for item in row:
            stop = start + len(encoded[item].ids) - 1
            found[item], start = logits[number, start:stop], stop
    return found


@pytest.mark.parametrize("packed", [True, False])
def test_conversations_in_a_batch_get_the_logits_they_get_alone(packed):
    model = micro_llama(50).eval()
    encoded = encoded_conversations([9, 14, 5, 20])
    plan = [[[0, 1, 2], [3]]] if packed else [[[0], [1], [2], [3]]]
    for item, logits in reply_logits(model, encoded, plan, packed).items():
        alone = model(input_ids=torch.from_numpy(encoded[item].ids[None, :-1].astype(np.int64)), use_cache=False)
        assert torch.allclose(logits, alone.logits[0], atol=1e-4)


def test_the_probe_finds_the_architecture_that_leaks():
    assert check_isolation(micro_llama(50), "llama") < 1e-4
    with pytest.raises(ZeroToOneError, match="bloom"):
        check_isolation(micro_bloom(50), "model")


def gradients(model, encoded, plan, packed, part_tokens):
    model.zero_grad()
    objective = ChatObjective(encoded, plan, packed=packed, part_tokens=part_tokens)
    batch = objective.batch(0)
    loss, metrics = objective.loss(model, batch, 0)
    loss.backward()
    return len(batch), metrics["loss"], torch.cat([p.grad.flatten() for p in model.parameters()])


def test_every_target_token_weighs_the_same_whatever_the_parts():
    model = micro_llama(50)
    encoded = encoded_conversations([4, 30, 7, 50, 12, 3])
    encoded[2].targets[:] = False  # a part without targets
    separate = [[[item] for item in range(6)]]
    parts, loss, whole = gradients(model, encoded, separate, False, 10**6)
    assert parts == 1
    nats, count = torch.zeros(()), 0
    model.zero_grad()
    for item in encoded:
        ids = torch.from_numpy(item.ids.astype(np.int64))
        logged = torch.log_softmax(model(input_ids=ids[None, :-1], use_cache=False).logits[0], dim=-1)
        for place in range(1, len(ids)):
            if item.targets[place]:
                nats, count = nats - logged[place - 1, ids[place]], count + 1
    (nats / count).backward()
    by_hand = torch.cat([p.grad.flatten() for p in model.parameters()])
    assert math.isclose(loss, nats.item() / count, rel_tol=1e-5)
    assert torch.allclose(whole, by_hand, atol=1e-6)
    for plan, packed in ((separate, False), ([[[0, 1], [2], [3], [4, 5]]], True)):
        parts, same_loss, same = gradients(model, encoded, plan, packed, 1)
        assert parts == len(plan[0])
        assert math.isclose(loss, same_loss, rel_tol=1e-5)
        assert torch.allclose(whole, same, atol=1e-6)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save_base(tmp_path_factory.mktemp("base"))


def conversations(count=40):
    return [
        {
            "id": f"c{i}",
            "messages": turns(f"Where is fox {i}?", "Under the tree. " * (1 + i % 4), "今天?", "好"),
            "lineage": {"seed": i},
        }
        for i in range(count)
    ]


CONFIG = SftConfig(epochs=2, learning_rate=3e-3, batch_tokens=384, held_out=0.1, threads=1, checkpoint_every=3)


@pytest.fixture(scope="module")
def finished(base, tmp_path_factory):
    directory = tmp_path_factory.mktemp("run")
    broken = ["{", '{"messages": []}', {"id": "long", "messages": turns("fox " * 300, "no")}]
    broken += [{"id": "bad", "messages": turns("\ud800", "no")}]
    lines = [json.dumps(row) for row in [*conversations(), *broken[2:]]] + broken[:2]
    file = write_lines(directory / "conversations.jsonl", lines)
    return file, directory / "out", fine_tune([file], base, directory / "out", CONFIG)


def test_unusable_lines_are_set_aside_with_their_reason(finished, base, tmp_path):
    file, output, summary = finished
    reasons = {"invalid_json": 1, "lone_surrogate": 1, "no_messages": 1, "too_long": 1}
    assert summary["set_aside"] == reasons
    entries = [json.loads(line) for line in (output / "set_aside.jsonl").read_text().splitlines()]
    assert {entry["reason"] for entry in entries} == set(reasons)
    assert any(entry["place"].endswith("conversations.jsonl:43") for entry in entries)
    with pytest.raises(ZeroToOneError, match="too_long"):
        fine_tune([file], base, tmp_path / "strict", CONFIG, strict=True)


def test_held_out_conversations_are_in_no_step(finished):
    _, output, summary = finished
    held_out = {json.loads(line)["id"] for line in (output / "held_out.jsonl").read_text().splitlines()}
    assert held_out == {row["id"] for row in conversations() if is_held_out(row["id"], 0.1)}
    traced = [entry["id"] for step in range(summary["steps"]) for entry in trace(output, step)]
    everyone = {row["id"] for row in conversations()}
    assert len(held_out) == summary["conversations_held_out"] > 0
    assert sorted(traced) == sorted([*(everyone - held_out)] * 2)


def test_trace_names_the_conversations_of_a_step(finished):
    _, output, _ = finished
    for entry in trace(output, 1):
        assert entry["lineage"] == {"seed": int(entry["id"][1:])}
        assert entry["source"] == "conversations.jsonl"


def test_the_loss_on_held_out_replies_falls(finished):
    assert finished[2]["held_out_loss_after"] < finished[2]["held_out_loss_before"] - 1


def test_the_model_is_a_plain_folder_that_stops_at_the_end_of_turn(finished, base):
    folder = finished[1] / "model"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    ends = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    assert model.generation_config.eos_token_id == ends
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (folder / name).read_bytes() == (base / name).read_bytes()


def test_an_interrupted_run_ends_in_the_same_bits(finished, base, tmp_path, monkeypatch):
    file, output, summary = finished
    step = loop._Run._step

    def interrupted(self, number):
        if number == 4:
            raise KeyboardInterrupt
        return step(self, number)

    monkeypatch.setattr(loop._Run, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fine_tune([file], base, tmp_path / "out", CONFIG)
    monkeypatch.undo()
    assert fine_tune([file], base, tmp_path / "out", CONFIG) == summary
    for name in ("model/model.safetensors", "plan.jsonl", "held_out.jsonl", "summary.json"):
        assert (tmp_path / "out" / name).read_bytes() == (output / name).read_bytes()


def test_a_finished_run_returns_at_once_and_another_is_refused(finished, base, monkeypatch):
    file, output, summary = finished
    monkeypatch.setattr("train.sft.fit", None)
    assert fine_tune([file], base, output, CONFIG) == summary
    with pytest.raises(ZeroToOneError, match=r"learning_rate was 0\.003, is 0\.1"):
        fine_tune([file], base, output, SftConfig(**{**vars(CONFIG), "learning_rate": 0.1}))


def test_an_architecture_that_leaks_is_trained_without_packing(tmp_path, capfd):
    base = save_base(tmp_path / "base", micro_bloom(400))
    file = write_lines(tmp_path / "c.jsonl", conversations(12))
    summary = fine_tune([file], base, tmp_path / "out", SftConfig(epochs=1, batch_tokens=384, threads=1))
    assert summary["packed"] is False
    assert "one conversation a row, padded" in capfd.readouterr().err
    rows = [(entry["row"], entry["id"]) for entry in trace(tmp_path / "out", 0)]
    assert len({row for row, _ in rows}) == len(rows) > 1


def test_an_over_fitted_reply_stops_by_itself(base, tmp_path):
    file = write_lines(tmp_path / "c.jsonl", [{"id": "one", "messages": turns("Where?", "Under the old tree.")}])
    config = SftConfig(epochs=60, learning_rate=1e-2, held_out=0, threads=1)
    fine_tune([file], base, tmp_path / "out", config)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out" / "model")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out" / "model")
    prompt = chat_encoder(tokenizer).prompt(turns("Where?"))
    written = model.generate(torch.tensor([prompt]), max_new_tokens=60, do_sample=False)[0, len(prompt) :]
    assert tokenizer.decode(written) == "Under the old tree.<|im_end|>"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "the input is empty"),
        (["{"], "invalid_json 1"),
        ([{"messages": turns("fox " * 300, "no")}], "too_long 1"),
    ],
)
def test_nothing_to_train_on_is_one_clear_line(base, tmp_path, lines, message):
    file = write_lines(tmp_path / "c.jsonl", lines)
    with pytest.raises(ZeroToOneError, match=rf"c.jsonl: no conversation to train on \({message}\)"):
        fine_tune([file], base, tmp_path / "out", CONFIG)


def test_a_mask_that_counts_nothing_is_an_error(tmp_path):
    class Unmarked:
        stop_ids = ()

        def encode(self, messages):
            empty = messages[0]["content"].startswith("no")
            return Encoded([1, 2, 3], [False, False, not empty])

    rows = [{"id": text, "messages": turns(text, "reply")} for text in ("no a", "no b", "yes", "yes 2")]
    file = str(write_lines(tmp_path / "c.jsonl", rows))
    set_aside = SetAside()
    kept = encode_conversations([file], Unmarked(), 10, set_aside)
    assert [item.conversation["id"] for item in kept] == ["yes", "yes 2"]
    assert set_aside.reasons() == {"no_targets": 2}
    write_lines(tmp_path / "c.jsonl", rows[:3])
    with pytest.raises(ZeroToOneError, match="the loss would count no token in 67% of the conversations"):
        encode_conversations([file], Unmarked(), 10, SetAside())


def test_wrong_arguments(base, tmp_path):
    file = write_lines(tmp_path / "c.jsonl", conversations(3))
    with pytest.raises(ZeroToOneError, match=r"nothing\.jsonl: no such file"):
        fine_tune([tmp_path / "nothing.jsonl"], base, tmp_path / "out", CONFIG)
    with pytest.raises(ZeroToOneError, match="nowhere: no such folder"):
        fine_tune([file], tmp_path / "nowhere", tmp_path / "out", CONFIG)
    with pytest.raises(ZeroToOneError, match="takes 128 tokens, fewer than --row-length 500"):
        fine_tune([file], base, tmp_path / "out", SftConfig(row_length=500))
    with pytest.raises(UsageError, match="--epochs must be at least 1"):
        SftConfig(epochs=0)
