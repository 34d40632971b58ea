import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from corpus.core.errors import UsageError, ZeroToOneError
from mixtures.cli import app
from mixtures.doremi import DoReMiConfig, doremi, verdict
from tests.mixtures.sources import known_sources, on_disk
from train.mixture import Mixture

BYTES = {"cycle": 1, "markov-a": 2, "markov-b": 2, "noise": 5}
MODEL = {
    "model_type": "llama",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
    "tie_word_embeddings": True,
}
OUTPUTS = ("mixture.yaml", "mixture_bytes.yaml", "weights_history.jsonl")


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("doremi")
    on_disk(place / "shards", known_sources(0, 4000), BYTES)
    (place / "model.json").write_text(json.dumps(MODEL))
    return place


@pytest.fixture(scope="module")
def config(place) -> DoReMiConfig:
    small = {"steps": 40, "row_length": 16, "batch_rows": 6, "threads": 1, "precision": "fp32"}
    return DoReMiConfig(model=str(place / "model.json"), **small)


@pytest.fixture(scope="module")
def whole(place, config) -> Path:
    doremi(place / "shards", place / "whole", config)
    return place / "whole"


def contents(directory: Path) -> dict[str, bytes]:
    return {name: (directory / name).read_bytes() for name in OUTPUTS}


def test_the_mixture_says_where_it_comes_from(whole, config):
    mixture = Mixture.load(whole / "mixture.yaml")
    assert mixture.unit == "tokens"
    assert mixture.source["method"] == "doremi"
    assert (whole / mixture.source["reference"] / "metrics.jsonl").exists()
    assert (whole / mixture.source["proxy"] / "metrics.jsonl").exists()
    assert mixture.source["parameters"]["eta"] == 1.0
    by_bytes = Mixture.load(whole / "mixture_bytes.yaml")
    assert by_bytes.unit == "bytes"
    shares = {name: weight * BYTES[name] for name, weight in mixture.weights.items()}
    expected = {name: share / sum(shares.values()) for name, share in shares.items()}
    assert by_bytes.weights == pytest.approx(expected, rel=1e-9)


def test_the_history_has_every_logged_step_and_the_mean_of_the_weights(whole):
    lines = [json.loads(line) for line in (whole / "weights_history.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 41))
    mean = np.mean([list(line["weights"].values()) for line in lines], axis=0)
    mixture = Mixture.load(whole / "mixture.yaml")
    np.testing.assert_allclose(list(mixture.weights.values()), mean, rtol=1e-9)
    assert lines[-1]["average"] == pytest.approx(mixture.weights)
    metrics = [json.loads(line) for line in (whole / "round-1/proxy/metrics.jsonl").read_text().splitlines()]
    assert metrics[7]["excess/noise"] == lines[7]["excess"]["noise"]


def test_rows_are_rounded_up_to_all_domains(whole):
    counts = json.loads((whole / "manifest.json").read_text())["counts"]
    assert counts == {"rounds": 1, "steps": 40, "tokens": 2 * 40 * 8 * 16}


def test_a_finished_search_is_not_run_again(place, whole, config, monkeypatch):
    monkeypatch.setattr("mixtures.doremi.fit", None)
    before = contents(whole)
    result = doremi(place / "shards", whole, config)
    assert result["verdict"] == json.loads((whole / "manifest.json").read_text())["result"]["verdict"]
    assert contents(whole) == before


def test_other_parameters_need_overwrite(place, whole, config):
    with pytest.raises(ZeroToOneError, match=r"eta was 1\.0, is 0\.5"):
        doremi(place / "shards", whole, replace(config, eta=0.5))


KILLED = """
import os, signal, sys
from mixtures import cli, proxy
from train.causal import causal_batch

def batch(sampler, step):
    if step == 21:
        os.kill(os.getpid(), signal.SIGKILL)
    return causal_batch(sampler, step)

proxy.causal_batch = batch
sys.argv[0] = "mixtures"
cli.main()
"""


def test_kill_and_rerun_give_the_same_bits(place, whole, config):
    output = place / "killed"
    small = ["--steps", "40", "--row-length", "16", "--batch-rows", "6", "--threads", "1", "--precision", "fp32"]
    arguments = ["doremi", str(place / "shards"), "-o", str(output), "--model", config.model, *small]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments], cwd=Path(__file__).parents[2], capture_output=True
    )
    assert killed.returncode == -signal.SIGKILL
    assert list((output / "round-1/proxy/checkpoints").glob("step-*"))
    assert not (output / "mixture.yaml").exists()
    doremi(place / "shards", output, config)
    assert contents(output) == contents(whole)


def test_a_crash_in_the_reference_and_in_the_proxy_changes_nothing(place, whole, config, monkeypatch):
    from train.causal import causal_batch

    class Crash(Exception):
        pass

    for module, step in (("train.causal", 13), ("mixtures.proxy", 29)):

        def crashing(sampler, at, last=step):
            if at == last:
                raise Crash
            return causal_batch(sampler, at)

        monkeypatch.setattr(f"{module}.causal_batch", crashing)
        with pytest.raises(Crash):
            doremi(place / "shards", place / "crashed", config)
        monkeypatch.undo()
    doremi(place / "shards", place / "crashed", config)
    assert contents(place / "crashed") == contents(whole)


def test_the_second_round_starts_from_the_weights_of_the_first(place, whole, config):
    doremi(place / "shards", place / "rounds", replace(config, rounds=2))
    lines = [json.loads(line) for line in (place / "rounds/weights_history.jsonl").read_text().splitlines()]
    first = [json.loads(line) for line in (whole / "weights_history.jsonl").read_text().splitlines()]
    assert [line for line in lines if line["round"] == 1] == first
    assert [line["round"] for line in lines] == [1] * 40 + [2] * 40
    assert Mixture.load(place / "rounds/mixture.yaml").source["reference"] == "round-2/reference"
    assert Mixture.load(place / "rounds/mixture.yaml").weights != Mixture.load(whole / "mixture.yaml").weights


def test_only_domains_of_the_baseline_take_part(place, config):
    Mixture({"noise": 0.5, "cycle": 0.5}).save(place / "two.yaml")
    result = doremi(place / "shards", place / "two", replace(config, baseline=str(place / "two.yaml"), steps=4))
    assert [row["domain"] for row in result["domains"]] == ["cycle", "noise"]
    assert sum(row["weight"] for row in result["domains"]) == pytest.approx(1)


def test_the_command_prints_one_json_object(place, whole, config):
    arguments = ["doremi", str(place / "shards"), "-o", str(whole), "--model", config.model, "--steps", "40"]
    small = ["--row-length", "16", "--batch-rows", "6", "--json"]
    result = CliRunner().invoke(app(), [*arguments, *small, "--threads", "1", "--precision", "fp32"])
    assert result.exit_code == 0, result.exception
    answer = json.loads(result.stdout)
    assert answer["mixture"] == str(whole / "mixture.yaml")
    for row in answer["domains"]:
        assert row["low"] <= row["weight"] <= row["high"]


def test_the_verdict_says_when_nothing_can_be_told_apart():
    assert "not distinguishable from the baseline, not distinguishable from uniform" in verdict(4, 0, 0, 0.01)
    assert "3 of 4 differ from the baseline" in verdict(4, 3, 0, 0.01)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"steps": 0}, "--steps"),
        ({"eta": 0}, "--eta"),
        ({"smoothing": 2}, "--smoothing"),
        ({"model": "."}, "--model"),
    ],
)
def test_wrong_usage_is_named(config, change, complaint):
    with pytest.raises(UsageError, match=complaint):
        replace(config, **change)


def test_rows_longer_than_the_model_takes_are_refused(place, config):
    with pytest.raises(ZeroToOneError, match="takes 64 tokens, fewer than the rows' 65"):
        doremi(place / "shards", place / "long", replace(config, row_length=65))
    assert not (place / "long").exists()
