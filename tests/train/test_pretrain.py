import json
import math
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner

from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.shards import Shards
from tests.train.small_shards import CHAT_TEMPLATE, VOCABULARY, make_shards
from train.cli import app
from train.metrics import read_metrics
from train.mixture import Mixture
from train.pretrain import PretrainConfig, pretrain, token_mixture

MODEL = {
    "model_type": "llama",
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "tie_word_embeddings": True,
}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    return make_shards(tmp_path_factory.mktemp("data") / "shards", {"a": 60, "b": 30})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("model") / "config.json"
    file.write_text(json.dumps(MODEL), encoding="utf-8")
    return str(file)


def settings(model: str, **fields: Any) -> PretrainConfig:
    small = {"tokens": 3000, "row_length": 24, "batch_rows": 4, "checkpoint_every": 5, "threads": 1}
    return PretrainConfig(model=model, **{**small, **fields})


def test_from_shards_to_a_folder_that_transformers_opens(shards: Shards, model: str, tmp_path: Path) -> None:
    weights = tmp_path / "w.yaml"
    Mixture({"a": 0.25, "b": 0.75}).save(weights)
    run = tmp_path / "run"
    arguments = f"pretrain {shards.path} -o {run} --model {model} --tokens 3000 --weights {weights}"
    arguments += " --row-length 24 --batch-rows 4 --threads 1 --json"
    result = CliRunner().invoke(app(), arguments.split())
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert summary["steps"] == math.ceil(3000 / 96)
    assert summary["tokens"] == 96 * summary["steps"]
    assert summary["weights"] == {"a": 0.25, "b": 0.75}
    opened = AutoModelForCausalLM.from_pretrained(run / "model")
    assert opened.config.vocab_size == VOCABULARY
    assert opened.dtype == torch.float32
    tokenizer = AutoTokenizer.from_pretrained(run / "model")
    assert tokenizer("w5 w7").input_ids == [5, 7]
    assert tokenizer.chat_template == CHAT_TEMPLATE
    assert json.loads((run / "weights_history.jsonl").read_text()) == {
        "first_step": 0,
        "name": "w",
        "weights": {"a": 0.25, "b": 0.75},
    }
    metrics = list(read_metrics(run / "metrics.jsonl"))
    assert metrics[-1]["loss"] == summary["loss"] < metrics[0]["loss"]
    assert {"loss/a", "loss/b", "bits_per_byte/a", "bits_per_byte/b"} <= set().union(*metrics)


def test_finished_run_is_left_alone_and_another_one_is_refused(shards: Shards, model: str, tmp_path: Path) -> None:
    first = pretrain(shards.path, tmp_path / "run", settings(model))
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    assert pretrain(shards.path, tmp_path / "run", settings(model, threads=None)) == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")} == files
    with pytest.raises(ZeroToOneError, match=r"run: holds another run \(seed was 0, is 1\)"):
        pretrain(shards.path, tmp_path / "run", settings(model, seed=1))
    with pytest.raises(ZeroToOneError, match="threads was 1, is 2"):
        pretrain(shards.path, tmp_path / "run", settings(model, threads=2))
    with pytest.raises(ZeroToOneError, match=r"weights\.\w+ was"):
        pretrain(shards.path, tmp_path / "run", settings(model), mixture=Mixture({"b": 1.0}))
    other = pretrain(shards.path, tmp_path / "run", settings(model, seed=1), overwrite=True)
    assert other["loss"] != first["loss"]


def test_directory_with_other_things_in_it_is_never_emptied(shards: Shards, model: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ZeroToOneError, match="not a run directory"):
        pretrain(shards.path, tmp_path, settings(model), overwrite=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_directory_of_a_run_killed_at_its_first_file(shards: Shards, model: str, tmp_path: Path) -> None:
    (tmp_path / ".run.json.123.tmp").write_text("{")
    pretrain(shards.path, tmp_path, settings(model, tokens=96))
    assert not (tmp_path / ".run.json.123.tmp").exists()


def test_goes_on_from_a_model_folder(shards: Shards, model: str, tmp_path: Path) -> None:
    pretrain(shards.path, tmp_path / "first", settings(model))
    pretrain(shards.path, tmp_path / "second", settings(str(tmp_path / "first" / "model")))
    before = list(read_metrics(tmp_path / "first" / "metrics.jsonl"))
    after = list(read_metrics(tmp_path / "second" / "metrics.jsonl"))
    assert after[0]["loss"] < before[0]["loss"] - 0.2


def test_domain_that_the_shards_lack_is_named(shards: Shards, model: str, tmp_path: Path) -> None:
    with pytest.raises(ZeroToOneError, match=r"no tokens of domain `c` of the mixture; it has a, b"):
        pretrain(shards.path, tmp_path / "run", settings(model), mixture=Mixture({"a": 0.5, "c": 0.5}))
    assert not (tmp_path / "run").exists()


def test_mixtures_of_bytes_and_documents(shards: Shards) -> None:
    a, b = shards.domains["a"], shards.domains["b"]
    by_bytes = token_mixture(shards, Mixture({"a": 0.5, "b": 0.5, "c": 0.0}, unit="bytes")).weights
    assert by_bytes["a"] / by_bytes["b"] == pytest.approx(len(a.tokens) / a.bytes / (len(b.tokens) / b.bytes))
    by_documents = token_mixture(shards, Mixture({"a": 0.5, "b": 0.5}, unit="documents")).weights
    assert by_documents["a"] / by_documents["b"] == pytest.approx(len(a.tokens) / 60 / (len(b.tokens) / 30))
    proportional = token_mixture(shards, None).weights
    assert proportional["a"] == pytest.approx(len(a.tokens) / (len(a.tokens) + len(b.tokens)))


def test_rows_longer_than_the_model_takes(shards: Shards, tmp_path: Path) -> None:
    file = tmp_path / "short.json"
    file.write_text(json.dumps({**MODEL, "max_position_embeddings": 16}), encoding="utf-8")
    with pytest.raises(ZeroToOneError, match="takes 16 tokens, fewer than the rows' 24"):
        pretrain(shards.path, tmp_path / "run", settings(str(file)))


@pytest.mark.parametrize(
    "fields", [{"tokens": 0}, {"row_length": 0}, {"learning_rate": -1.0}, {"schedule": "stairs"}]
)
def test_wrong_arguments(model: str, fields: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(fields)).replace("_", "-")):
        settings(model, **fields)


def test_kill_9_and_rerun_end_in_the_same_bytes(shards: Shards, model: str, tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["train.pretrain"])
    draw = random.Random(0)
    config = settings(model, tokens=12000, checkpoint_every=7)

    def start(name: str) -> Any:
        process = context.Process(target=pretrain, args=(shards.path, tmp_path / name, config))
        process.start()
        return process

    whole = start("whole")
    killed = 0
    for checkpoints in (0, 3, 6, 9, 12):
        process = start("run")
        while process.is_alive() and _newest(tmp_path / "run") < 7 * checkpoints:
            time.sleep(0.001)
        time.sleep(draw.random() * 0.05)
        process.kill()
        process.join()
        killed += process.exitcode == -signal.SIGKILL
    last = start("run")
    for process in (last, whole):
        process.join()
        assert process.exitcode == 0
    assert killed >= 3
    for file in ("model/model.safetensors", "model/config.json", "weights_history.jsonl", "run.json"):
        assert (tmp_path / "run" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    steps = [line["step"] for line in read_metrics(tmp_path / "run" / "metrics.jsonl")]
    assert steps == [line["step"] for line in read_metrics(tmp_path / "whole" / "metrics.jsonl")]
    assert not list((tmp_path / "run").rglob("*.tmp"))


def _newest(run: Path) -> int:
    return max((int(path.name[5:]) for path in (run / "checkpoints").glob("step-*")), default=0)


def test_sigterm_stops_the_command_with_a_line(shards: Shards, model: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "train.cli", "pretrain", str(shards.path), "-o", str(tmp_path / "run")]
    command += ["--model", model, "--tokens", "100000000", "--row-length", "24", "--batch-rows", "4"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        [*command, "--threads", "1", "--checkpoint-every", "1000000"],
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )
    while not list(read_metrics(tmp_path / "run" / "metrics.jsonl")):
        assert process.poll() is None
        time.sleep(0.01)
    process.terminate()
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 130, messages
    assert "with a checkpoint; run it again" in messages
    assert "Traceback" not in messages
    assert _newest(tmp_path / "run") > 0
