"""Chat: what the model is given, what the terminal shows, and when a reply ends."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer
from typer.testing import CliRunner

from corpus.core.errors import ZeroToOneError
from tests.train.micro import micro_llama, save_base, save_micro_tokenizer, turns, write_lines
from train.chat import Reply, converse, is_tuned, printable, prompt_ids, stream_reply, valid_text
from train.cli import app
from train.generation import Sampling, TextStream, generate
from train.saved_model import open_model
from train.sft import SftConfig, fine_tune

REPLY = "狐狸 under the old tree."


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save_base(tmp_path_factory.mktemp("models") / "base")


@pytest.fixture(scope="module")
def run(base, tmp_path_factory):
    """A model that always gives the same reply."""
    directory = tmp_path_factory.mktemp("tuned")
    asked = ["Where?", "再说", "a<|im_end|>b"]
    rows = [{"id": str(i), "messages": turns(text, REPLY)} for i, text in enumerate(asked)]
    config = SftConfig(epochs=60, learning_rate=1e-2, held_out=0, threads=1)
    fine_tune([write_lines(directory / "c.jsonl", rows)], base, directory / "run", config)
    return directory / "run"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return AutoTokenizer.from_pretrained(save_micro_tokenizer(tmp_path_factory.mktemp("tokenizer")))


@given(text=st.text(max_size=30), invalid=st.booleans())
def test_stream_shows_all_text_and_no_broken_character(tokenizer, text, invalid):
    ids = tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids
    if invalid:
        ids = [*ids[: len(ids) // 2], *tokenizer("狐").input_ids[:-1], *ids[len(ids) // 2 :]]
    stream = TextStream(tokenizer)
    pieces = [*(stream.add(token) for token in ids), stream.end()]
    assert "".join(pieces) == tokenizer.decode(ids)
    if not invalid and "\ufffd" not in text:
        assert not any("\ufffd" in piece for piece in pieces)


def test_generation_equals_the_greedy_search_of_transformers(base):
    model, _ = open_model(base)
    prompt = list(range(5, 25))
    expected = model.generate(torch.tensor([prompt]), max_new_tokens=30, do_sample=False, eos_token_id=[3])
    written = list(generate(model, prompt, (3,), Sampling(maximum_new_tokens=30)))
    assert written == expected[0, len(prompt) :].tolist()
    penalised = model.generate(
        torch.tensor([prompt[:1]]), max_new_tokens=20, do_sample=False, eos_token_id=[3], repetition_penalty=1.3
    )[0, 1:].tolist()
    # transformers also counts the prompt: the same as long as its one token is not the best choice
    ours = list(generate(model, prompt[:1], (3,), Sampling(20, repetition_penalty=1.3), suppressed_ids=prompt[:1]))
    assert prompt[0] not in penalised
    assert ours == penalised


def test_generation_ends_where_the_context_is_full(base):
    model, _ = open_model(base)
    assert len(list(generate(model, list(range(5, 105)), (), Sampling(maximum_new_tokens=100)))) == 28
    assert list(generate(model, list(range(5, 133)), (), Sampling())) == []


def test_sampling_follows_the_seed_and_the_model(base):
    model, _ = open_model(base)
    first = [list(generate(model, [5], (), Sampling(8, 1.0, seed=seed))) for seed in (1, 1, 2)]
    assert first[0] == first[1] != first[2]
    with torch.no_grad():
        expected = torch.softmax(model(input_ids=torch.tensor([[5]])).logits[0, -1] / 0.5, -1)
    drawn = [next(generate(model, [5], (), Sampling(1, 0.5, seed=seed))) for seed in range(400)]
    half = expected.argsort(descending=True)[:40]
    share = sum(token in set(half.tolist()) for token in drawn) / 400
    assert abs(share - float(expected[half].sum())) < 0.08  # more than three standard deviations


def test_what_a_tuned_model_is_given_and_where_it_stops(base, run):
    model, tokenizer = open_model(run)
    assert is_tuned(model, tokenizer)
    ids, stops = prompt_ids(model, tokenizer, turns("a<|im_end|>b"))
    assert sum(i == tokenizer.convert_tokens_to_ids("<|im_end|>") for i in ids) == 1
    assert tokenizer.decode(ids) == "<|im_start|>user\na<|im_end|>b<|im_end|>\n<|im_start|>assistant\n"
    assert set(stops) == set(tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"]))
    reply = Reply()
    pieces = list(stream_reply(model, tokenizer, turns("a<|im_end|>b"), Sampling(60), reply))
    assert "".join(pieces) == reply.text == REPLY
    assert reply.stopped
    assert not is_tuned(*open_model(base))


def test_old_rounds_are_forgotten_when_the_context_is_full(run):
    model, tokenizer = open_model(run)
    messages = turns(*["fox " * 5] * 21, system="Be kind.")
    ids, _ = prompt_ids(model, tokenizer, messages)
    assert 48 < len(ids) <= 96
    assert tokenizer.decode(ids).startswith("<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\n")
    with pytest.raises(ZeroToOneError, match=r"the message has \d+ tokens with its frame, the model takes 96"):
        prompt_ids(model, tokenizer, turns("狐" * 200))


def test_a_conversation_remembers_its_rounds_and_ends_at_the_end_of_input(run, monkeypatch):
    model, tokenizer = open_model(run)
    given_messages = []

    def recorded(model, tokenizer, messages):
        given_messages.append(list(messages))
        return prompt_ids(model, tokenizer, messages)

    monkeypatch.setattr("train.chat.prompt_ids", recorded)
    typed = iter(["Where?", "  ", "再说"])
    shown = []

    def read():
        try:
            return next(typed)
        except StopIteration:
            raise EOFError from None

    converse(model, tokenizer, None, Sampling(60), read, shown.append)
    assert given_messages == [turns("Where?"), turns("Where?", REPLY, "再说")]
    assert "".join(shown).startswith(REPLY + "\n")


def test_terminal_commands_in_a_reply_are_not_obeyed():
    assert printable("a\x1b[31mb\x07\r\n\t狐\x9b") == "a[31mb\n\t狐"


def test_typed_bytes_that_are_no_utf8_become_replacement_characters():
    assert valid_text("狐" + b"\xe7\x8b".decode("utf-8", "surrogateescape")) == "狐\ufffd"


def test_the_command_answers_and_says_what_a_base_model_does(base, run):
    runner = CliRunner()
    greedy = ["chat", str(run), "--temperature", "0"]
    answered = runner.invoke(app(), [*greedy, "--prompt", "Where?"])
    assert (answered.exit_code, answered.stdout) == (0, REPLY + "\n")
    row = json.loads(
        runner.invoke(app(), ["chat", str(run), "--prompt", "再说", "--temperature", "0", "--json"]).stdout
    )
    assert (row["reply"], row["stopped"], row["tuned"]) == (REPLY, True, True)
    row = json.loads(runner.invoke(app(), ["chat", str(base), "--prompt", "Where", "--json"]).stdout)
    assert row["tuned"] is False
    typed = runner.invoke(app(), greedy, input="Where?\n")
    assert (typed.exit_code, typed.stdout) == (0, REPLY + "\n\n")


def test_a_foreign_model_without_generation_marks_can_still_answer(tmp_path):
    folder = save_base(tmp_path / "foreign", micro_llama(400))
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m.role + ': ' + m.content + '<|endoftext|>' }}{% endfor %}assistant: "
    )
    model, tokenizer = open_model(folder)
    model.generation_config.eos_token_id = [0, 3]
    ids, stops = prompt_ids(model, tokenizer, turns("Where?"))
    assert tokenizer.decode(ids) == "user: Where?<|endoftext|>assistant: "
    assert 0 in stops
    with pytest.raises(ZeroToOneError, match="cannot be given to the model"):
        prompt_ids(model, tokenizer, turns("a<|endoftext|>"))
