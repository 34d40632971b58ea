import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from corpus.core.errors import UsageError, ZeroToOneError
from train.causal import token_losses
from train.models import PRESETS, build_model, check_isolation, parameter_count
from train.sampler import document_positions

MICRO = {
    "llama": {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2},
    "gpt2": {"n_embd": 16, "n_layer": 2, "n_head": 2},
    "qwen3": {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 8,
    },
    "bloom": {"hidden_size": 16, "n_layer": 2, "n_head": 2},
}


def micro(kind: str, vocabulary_size: int = 64) -> PreTrainedModel:
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, vocab_size=vocabulary_size, **MICRO[kind])
    return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


# The GPT-2 counts are those of the released models (Hugging Face hub: gpt2, -medium, -large, -xl).
@pytest.mark.parametrize(
    ("name", "vocabulary_size", "parameters"),
    [
        ("gpt2-117m", 50257, 124_439_808),
        ("gpt2-345m", 50257, 354_823_168),
        ("gpt2-762m", 50257, 774_030_080),
        ("gpt2-1542m", 50257, 1_557_611_200),
        ("tiny", 8192, 8192 * 96 + 4 * (4 * 96**2 + 3 * 96 * 256 + 2 * 96) + 96),
        ("mini", 8192, 8192 * 192 + 4 * (4 * 192**2 + 3 * 192 * 512 + 2 * 192) + 192),
        ("small", 8192, 8192 * 384 + 6 * (4 * 384**2 + 3 * 384 * 1024 + 2 * 384) + 384),
    ],
)
def test_sizes_of_presets(name: str, vocabulary_size: int, parameters: int) -> None:
    with torch.device("meta"):
        model = build_model(name, vocabulary_size=vocabulary_size, end_of_text_id=0)
    assert parameter_count(model) == parameters


def test_every_preset_has_a_known_size() -> None:
    assert set(PRESETS) == {"tiny", "mini", "small", "gpt2-117m", "gpt2-345m", "gpt2-762m", "gpt2-1542m"}


def test_first_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = build_model("tiny", vocabulary_size=64, end_of_text_id=0, seed=3).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(6)
    second = build_model("tiny", vocabulary_size=64, end_of_text_id=0, seed=3).state_dict()
    other = build_model("tiny", vocabulary_size=64, end_of_text_id=0, seed=4).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    name = "model.layers.0.mlp.up_proj.weight"
    assert not torch.equal(first[name], other[name])


@pytest.mark.parametrize("kind", ["llama", "gpt2", "qwen3"])
def test_packed_documents_get_the_logits_that_they_get_alone(kind: str) -> None:
    model = micro(kind)
    model.eval()
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randint(1, 64, (1, 60), generator=generator)
    starts = [0, 7, 8, 33, 60]
    inputs[0, starts[1:-1]] = 0
    positions = torch.from_numpy(document_positions(inputs.numpy(), 0))
    targets = torch.randint(1, 64, (1, 60), generator=generator)
    with torch.no_grad():
        packed = token_losses(model, inputs, positions, targets)[0]
        for start, stop in pairwise(starts):
            logits = model(input_ids=inputs[:, start:stop]).logits[0].double().numpy()
            normal = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
            alone = -normal[np.arange(stop - start), targets[0, start:stop].numpy()]
            assert np.abs(packed[start:stop].numpy() - alone).max() < 1e-5
    assert check_isolation(model, kind) < 1e-5


def test_architecture_that_leaks_is_refused() -> None:
    with pytest.raises(ZeroToOneError, match=r"my-model: documents in one row see each other .*\(bloom\)"):
        check_isolation(micro("bloom"), "my-model")


def test_model_of_no_numbers_is_refused() -> None:
    model = micro("llama")
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    with pytest.raises(ZeroToOneError, match="my-model"):
        check_isolation(model, "my-model")


def test_isolation_probe_leaves_the_mode() -> None:
    model = micro("llama")
    model.train()
    check_isolation(model, "x")
    assert model.training


def test_folder_with_weights_is_opened_as_it_is(tmp_path: Path) -> None:
    model = micro("qwen3")
    model.to(torch.bfloat16).save_pretrained(tmp_path)
    opened = build_model(tmp_path, vocabulary_size=60, end_of_text_id=9)
    assert opened.config.model_type == "qwen3"
    assert opened.dtype == torch.float32
    assert opened.generation_config.eos_token_id == 9
    weights = opened.state_dict()
    assert all(torch.equal(tensor.float(), weights[name]) for name, tensor in model.state_dict().items())


def test_folder_with_too_few_token_ids(tmp_path: Path) -> None:
    micro("llama").save_pretrained(tmp_path)
    with pytest.raises(ZeroToOneError, match="has 64 token ids, the tokenizer 65"):
        build_model(tmp_path, vocabulary_size=65, end_of_text_id=0)


def test_configuration_file_gets_the_vocabulary_of_the_data(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"model_type": "gpt2", **MICRO["gpt2"], "vocab_size": 50257}), encoding="utf-8")
    for given in (file, tmp_path):
        model = build_model(given, vocabulary_size=64, end_of_text_id=7)
        assert (model.config.model_type, model.config.vocab_size, model.config.eos_token_id) == ("gpt2", 64, 7)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("{}", "not a model configuration"),
        ('{"model_type": "no-such"}', "not a model configuration"),
        ('{"model_type": "llama", "hidden_size": "wide"}', "hidden_size"),
        ('{"model_type": "gpt2", "n_embd": 10, "n_head": 3}', "not a model configuration"),
        ("[1]", "not a model configuration"),
    ],
)
def test_bad_configuration_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ZeroToOneError, match=message) as error:
        build_model(file, vocabulary_size=64, end_of_text_id=0)
    assert "\n" not in str(error.value)


def test_unknown_name_lists_the_presets() -> None:
    with pytest.raises(UsageError, match="gpt2-117m"):
        build_model("gigantic", vocabulary_size=64, end_of_text_id=0)
