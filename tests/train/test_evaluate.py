"""Evaluation: bits per byte against a loop, stops, answers, and models side by side."""

import json
import math
import os
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from transformers import AutoTokenizer

from corpus.core.errors import ZeroToOneError
from corpus.core.shards import open_shards, write_domain, write_shards_manifest
from corpus.tokens import scoring
from corpus.tokens.tokenizer import tokenizer_hash
from tests.train.micro import micro_bloom, micro_llama, save_base, save_micro_tokenizer, turns, write_lines
from train.bits_per_byte import Documents, document_windows, sample_documents, score_documents
from train.evaluate import EvaluationConfig, evaluate, read_prompts
from train.saved_model import open_model
from train.sft import SftConfig, fine_tune

TEXTS = {
    "fox": ["Where is the red fox?", "Under the old tree, near the river. " * 6, "x"],
    "中文": ["今天天气很好。", "我们去公园散步，红色的狐狸在树下睡觉。" * 4],
}


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save_base(tmp_path_factory.mktemp("models") / "base", micro_llama(400, context=64))


@pytest.fixture(scope="module")
def shards(base, tmp_path_factory):
    path = tmp_path_factory.mktemp("shards")
    save_micro_tokenizer(path / "tokenizer")
    tokenizer = AutoTokenizer.from_pretrained(base)
    entries = {}
    for domain, texts in TEXTS.items():
        parts = []
        for number, text in enumerate(texts):
            ids = np.array([*tokenizer(text).input_ids, tokenizer.eos_token_id])
            row = {
                "id": f"{domain}{number}",
                "url": "",
                "origin": "",
                "tokens": len(ids),
                "bytes": len(text.encode()),
            }
            parts.append((ids, pl.DataFrame([row])))
        entries[domain] = write_domain(path, "held_out", domain, 400, parts)
    about = {"hash": tokenizer_hash(base), "vocabulary_size": 400, "end_of_text_id": 0}
    splits = {"train": {}, "held_out": entries}
    write_shards_manifest(path, {"tokenizer": about, "dtype": "uint16", "splits": splits})
    return path


def by_hand(model, tokenizer, texts, context):
    """Bits per byte, a token at a time; a window starts with one token of context."""
    bits = 0.0
    for text in texts:
        ids = [tokenizer.eos_token_id, *tokenizer(text).input_ids]
        for place in range(1, len(ids)):
            seen = ids[(place - 1) // context * context : place]
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([seen])).logits[0, -1].double()
            bits -= torch.log_softmax(logits, -1)[ids[place]].item() / math.log(2)
    return bits / sum(len(text.encode()) for text in texts)


def test_bits_per_byte_equals_a_loop_over_tokens(base, shards):
    result = evaluate({"base": base}, EvaluationConfig(shards=shards, prompts=None, maximum_new_tokens=1))
    model, tokenizer = open_model(base)
    assert max(len(tokenizer(text).input_ids) for texts in TEXTS.values() for text in texts) > 64
    for domain, texts in TEXTS.items():
        entry = result["domains"][domain]
        assert entry["bytes"] == sum(len(text.encode()) for text in texts)
        assert entry["tokens"]["base"] == sum(len(tokenizer(text).input_ids) for text in texts)
        expected = by_hand(model, tokenizer, texts, 64)
        assert math.isclose(entry["bits_per_byte"]["base"], expected, rel_tol=1e-5)
    everything = [text for texts in TEXTS.values() for text in texts]
    expected = by_hand(model, tokenizer, everything, 64)
    assert math.isclose(result["all"]["bits_per_byte"]["base"], expected, rel_tol=1e-5)


def test_a_uniform_model_needs_the_logarithm_of_its_vocabulary(base):
    model, _ = open_model(base)
    with torch.no_grad():
        model.get_input_embeddings().weight.zero_()
    score = score_documents(model, Documents([np.arange(10), np.arange(200)], 300), 0)
    assert (score.documents, score.tokens) == (2, 210)
    assert math.isclose(score.as_dict()["bits_per_byte"], 210 * math.log2(400) / 300, rel_tol=1e-5)


@pytest.mark.parametrize("make", [micro_llama, micro_bloom])
def test_batches_do_not_change_a_score(monkeypatch, make):
    model = make(400)
    generator = np.random.default_rng(0)
    sequences = [generator.integers(0, 400, size) for size in (2, 60, 1, 17, 33, 60, 9)]
    together = scoring.sequence_nll(model, sequences)
    monkeypatch.setattr(scoring, "_LOGITS", 1)
    alone = scoring.sequence_nll(model, sequences)
    assert np.allclose(together, alone, rtol=1e-5)
    assert together[2] == 0
    assert np.allclose(scoring.sequence_nll(model, sequences[::-1])[::-1], alone, rtol=1e-5)


def test_windows_score_each_token_once():
    for size in (0, 1, 7, 8, 9, 40):
        tokens = np.arange(1, size + 1)
        windows = document_windows(tokens, 0, 8)
        assert [token for window in windows for token in window[1:]] == tokens.tolist()
        assert all(len(window) <= 9 for window in windows)
        assert [window[0] for window in windows] == [8 * i for i in range(len(windows))]


def test_a_sample_of_documents_is_whole_and_within_the_maximum(shards):
    shard = open_shards(shards, "held_out").domains["fox"]
    whole = sample_documents(shard, None)
    assert len(whole.tokens) == 3
    assert whole.bytes == shard.bytes
    sample = sample_documents(shard, 20)
    assert 0 < sum(len(tokens) + 1 for tokens in sample.tokens) <= 20
    assert len(sample_documents(shard, 1).tokens) == 1


def test_another_tokenizer_scores_the_same_bytes(base, shards, tmp_path, capfd):
    other = tmp_path / "other"
    save_base(other, micro_llama(400, context=64))
    backend = json.loads((other / "tokenizer.json").read_text())
    backend["model"]["merges"], lost = backend["model"]["merges"][:-10], backend["model"]["merges"][-10:]
    for left, right in lost:
        del backend["model"]["vocab"][left + right]
    (other / "tokenizer.json").write_text(json.dumps(backend))
    result = evaluate({"base": base, "other": other}, EvaluationConfig(shards=shards, maximum_new_tokens=1))
    assert "encoded anew" in capfd.readouterr().err
    entry = result["all"]
    assert entry["tokens"]["other"] > entry["tokens"]["base"]
    model, tokenizer = open_model(other)
    expected = by_hand(model, tokenizer, [text for texts in TEXTS.values() for text in texts], 64)
    assert math.isclose(entry["bits_per_byte"]["other"], expected, rel_tol=1e-5)
    assert entry["difference"] == {"other": entry["bits_per_byte"]["other"] - entry["bits_per_byte"]["base"]}


@pytest.fixture(scope="module")
def tuned(base, tmp_path_factory):
    """A run that has learnt one reply by heart."""
    directory = tmp_path_factory.mktemp("tuned")
    file = write_lines(directory / "c.jsonl", [{"id": "one", "messages": turns("Where?", "Under the old tree.")}])
    fine_tune([file], base, directory / "run", SftConfig(epochs=60, learning_rate=1e-2, held_out=0, threads=1))
    return file, directory / "run"


def test_replies_and_answers_of_base_and_tuned(base, shards, tuned, tmp_path):
    file, run = tuned
    prompts = write_lines(tmp_path / "prompts.jsonl", [{"id": "p", "prompt": "Where?"}, {"prompt": "a<|im_end|>"}])
    config = EvaluationConfig(conversations=(str(file),), prompts=prompts, maximum_new_tokens=40)
    result = evaluate({"base": base, "tuned": run}, config, tmp_path / "out")
    before, after = (result["replies"][name] for name in ("base", "tuned"))
    assert before["tokens"] == after["tokens"]
    assert before["loss"] > 1 > after["loss"]
    assert (before["stopped_share"], after["stopped_share"]) == (0, 1)
    assert result["tuned"] == {"base": False, "tuned": True}
    assert result["answers"][0]["answers"]["tuned"]["text"] == "Under the old tree."
    assert result == json.loads((tmp_path / "out" / "evaluation.json").read_text())


def test_a_rerun_goes_on_with_the_models_that_are_missing(base, tuned, tmp_path, monkeypatch):
    models, config = {"base": base, "tuned": tuned[1]}, EvaluationConfig(maximum_new_tokens=2)
    result = evaluate(models, config, tmp_path / "out")
    monkeypatch.setattr("train.evaluate.evaluate_model", None)
    assert evaluate(models, config, tmp_path / "out") == result
    (tmp_path / "out" / "manifest.json").unlink()
    assert evaluate(models, config, tmp_path / "out") == result
    monkeypatch.chdir(tmp_path)
    elsewhere = {name: Path(os.path.relpath(folder)) for name, folder in models.items()}
    assert evaluate(elsewhere, config, Path("out")) == result
    with pytest.raises(ZeroToOneError, match="maximum_new_tokens was 2, is 3"):
        evaluate(models, EvaluationConfig(maximum_new_tokens=3), tmp_path / "out")


def test_the_built_in_prompts_are_in_two_languages():
    prompts = read_prompts(None)
    assert {prompt["lang"] for prompt in prompts} == {"en", "zh"}
    assert len({prompt["id"] for prompt in prompts}) == len(prompts)


def test_bad_input_is_one_clear_line(base, shards, tmp_path):
    with pytest.raises(ZeroToOneError, match=r"p\.jsonl:2: not a JSON object with a text `prompt`"):
        read_prompts(write_lines(tmp_path / "p.jsonl", [{"prompt": "a"}, {"text": "b"}]))
    with pytest.raises(ZeroToOneError, match=r"nothing\.jsonl: no such file"):
        read_prompts(tmp_path / "nothing.jsonl")
    with pytest.raises(ZeroToOneError, match="not a model's folder"):
        evaluate({"shards": shards}, EvaluationConfig())
    copy = shutil.copytree(base, tmp_path / "broken")
    (copy / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ZeroToOneError, match="broken: cannot open the model"):
        evaluate({"copy": copy}, EvaluationConfig())
