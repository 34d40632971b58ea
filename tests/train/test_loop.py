import json
import math
import os
import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

from corpus.core.errors import ZeroToOneError
from tests.train.small_shards import make_shards
from train.causal import CausalObjective
from train.checkpoint import State, latest_checkpoint
from train.loop import LoopConfig, fit, resolve_precision
from train.metrics import MetricsFile, read_metrics
from train.mixture import Mixture
from train.sampler import Sampler
from train.schedule import learning_rate

CONFIG = LoopConfig(
    steps=12, learning_rate=3e-3, precision="fp32", checkpoint_every=3, log_every=1, warmup_steps=2
)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def sampler(tmp_path_factory: pytest.TempPathFactory) -> Sampler:
    shards = make_shards(tmp_path_factory.mktemp("shards"), {"a": 60, "b": 30})
    return Sampler(shards, [(0, Mixture({"a": 0.7, "b": 0.3}))], row_length=24, rows_per_step=4)


def micro(dropout: float = 0.0) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        tie_word_embeddings=True,
        attention_dropout=dropout,
    )
    return LlamaForCausalLM(config)


def changed(**fields: Any) -> LoopConfig:
    return LoopConfig(**{**CONFIG.__dict__, **fields})


def same_bits(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    weights = second.state_dict()
    return all(torch.equal(tensor, weights[name]) for name, tensor in first.state_dict().items())


class Stateful(CausalObjective):
    """Keeps an array and a number that move with every step, weighs the loss by them, and can stop."""

    def __init__(self, sampler: Sampler, stop_at: int = -1) -> None:
        super().__init__(sampler)
        self.stop_at, self.average, self.seen = stop_at, np.ones(3), 0

    def loss(self, model: Any, batch: Any, step: int) -> tuple[torch.Tensor, dict[str, float]]:
        if step == self.stop_at:
            raise KeyboardInterrupt
        loss, metrics = super().loss(model, batch, step)
        self.average = 0.9 * self.average + 0.1 * metrics["loss"]
        self.seen += 1
        return loss * float(self.average.mean()), metrics

    def state(self) -> State:
        return {"average": self.average, "seen": self.seen}

    def load_state(self, state: State) -> None:
        self.average, self.seen = np.asarray(state["average"]), int(state["seen"])


def test_equals_a_loop_written_by_hand(sampler: Sampler, tmp_path: Path) -> None:
    model, by_hand = micro(), micro()
    fit(model, CausalObjective(sampler), changed(gradient_clip=0.5), tmp_path)
    decayed = [p for p in by_hand.parameters() if p.ndim == 2]
    others = [p for p in by_hand.parameters() if p.ndim == 1]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), foreach=False, fused=False)
    for step, logged in enumerate(read_metrics(tmp_path / "metrics.jsonl")):
        losses = []
        for row in torch.from_numpy(sampler.tokens(step)):
            cuts = [0, *(torch.nonzero(row[:-1] == 0).flatten().tolist()), 24]
            for start, stop in pairwise(cuts):
                if stop > start:
                    logits = by_hand(input_ids=row[None, start:stop]).logits[0]
                    losses.append(-logits.log_softmax(-1)[range(stop - start), row[start + 1 : stop + 1]])
        loss = torch.cat(losses).mean()
        loss.backward()
        norm = math.sqrt(sum(float((p.grad**2).sum()) for p in by_hand.parameters() if p.grad is not None))
        for parameter in by_hand.parameters():
            assert parameter.grad is not None
            parameter.grad *= min(1.0, 0.5 / norm)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, 12, 3e-3, 1e-4, 2)
        optimizer.step()
        optimizer.zero_grad()
        assert logged["loss"] == pytest.approx(loss.item(), rel=1e-4)
        assert logged["gradient_norm"] == pytest.approx(norm, rel=1e-3)
    for mine, reference in zip(model.parameters(), by_hand.parameters(), strict=True):
        assert torch.allclose(mine, reference, atol=2e-5)


def test_learns_a_pattern(sampler: Sampler, tmp_path: Path) -> None:
    fit(micro(), CausalObjective(sampler), changed(steps=150, learning_rate=1e-2, checkpoint_every=1000), tmp_path)
    losses = [line["loss"] for line in read_metrics(tmp_path / "metrics.jsonl")]
    assert losses[0] == pytest.approx(math.log(64), abs=0.2)
    assert np.mean(losses[-5:]) < 2.2


@pytest.mark.parametrize("stop_at", [2, 3, 7, 11])
def test_interrupted_run_ends_in_the_same_bits(sampler: Sampler, tmp_path: Path, stop_at: int) -> None:
    whole, halted, resumed = micro(dropout=0.1), micro(dropout=0.1), micro(dropout=0.1)
    straight = Stateful(sampler)
    fit(whole, straight, CONFIG, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fit(halted, Stateful(sampler, stop_at), CONFIG, tmp_path / "run")
    objective = Stateful(sampler)
    fit(resumed, objective, CONFIG, tmp_path / "run")
    assert same_bits(whole, resumed)
    assert np.array_equal(straight.average, objective.average)
    assert straight.seen == objective.seen == 12

    def lines(name: str) -> list[dict[str, Any]]:
        metrics = read_metrics(tmp_path / name / "metrics.jsonl")
        return [{k: v for k, v in line.items() if k != "tokens_per_second"} for line in metrics]

    assert lines("run") == lines("whole")
    assert [line["step"] for line in lines("run")] == list(range(12))
    last = "checkpoints/step-000012"
    for file in ("model.safetensors", "optimizer.safetensors", "objective.safetensors", "state.json"):
        assert (tmp_path / "run" / last / file).read_bytes() == (tmp_path / "whole" / last / file).read_bytes()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_lets_the_step_end_and_writes_a_checkpoint(
    sampler: Sampler, tmp_path: Path, number: signal.Signals
) -> None:
    class Signalled(CausalObjective):
        def loss(self, model: Any, batch: Any, step: int) -> tuple[torch.Tensor, dict[str, float]]:
            if step == 4:
                os.kill(os.getpid(), number)
            return super().loss(model, batch, step)

    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt):
        fit(micro(), Signalled(sampler), CONFIG, tmp_path / "run")
    assert signal.getsignal(number) is before
    newest = latest_checkpoint(tmp_path / "run" / "checkpoints")
    assert newest is not None
    assert newest.name == "step-000005"
    resumed, whole = micro(), micro()
    fit(resumed, CausalObjective(sampler), CONFIG, tmp_path / "run")
    fit(whole, CausalObjective(sampler), CONFIG, tmp_path / "whole")
    assert same_bits(resumed, whole)


def test_finished_run_only_loads_its_weights(sampler: Sampler, tmp_path: Path) -> None:
    trained, again = micro(), micro()
    fit(trained, Stateful(sampler), CONFIG, tmp_path)
    before = (tmp_path / "metrics.jsonl").read_bytes()
    fit(again, Stateful(sampler, stop_at=0), changed(checkpoint_every=5), tmp_path)
    assert same_bits(trained, again)
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


def test_another_configuration_is_refused(sampler: Sampler, tmp_path: Path) -> None:
    fit(micro(), CausalObjective(sampler), CONFIG, tmp_path)
    with pytest.raises(ZeroToOneError, match=r"weight_decay 0.1, not 0.3"):
        fit(micro(), CausalObjective(sampler), changed(weight_decay=0.3), tmp_path)


def test_keeps_two_checkpoints_without_pickle(sampler: Sampler, tmp_path: Path) -> None:
    leftover = tmp_path / "checkpoints" / ".step-000009.tmp"
    leftover.mkdir(parents=True)
    (leftover / "model.safetensors").write_bytes(b"cut off")
    fit(micro(), CausalObjective(sampler), CONFIG, tmp_path)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-000009", "step-000012"]
    suffixes = {path.suffix for path in (tmp_path / "checkpoints").rglob("*") if path.is_file()}
    assert suffixes == {".json", ".safetensors"}
    newest = latest_checkpoint(tmp_path / "checkpoints")
    assert newest is not None
    assert isinstance(LlamaForCausalLM.from_pretrained(newest), LlamaForCausalLM)


def test_loss_that_is_not_finite_names_the_step(sampler: Sampler, tmp_path: Path) -> None:
    class Broken(CausalObjective):
        def loss(self, model: Any, batch: Any, step: int) -> tuple[torch.Tensor, dict[str, float]]:
            loss, metrics = super().loss(model, batch, step)
            return (loss * math.nan if step == 5 else loss), metrics

    with pytest.raises(ZeroToOneError, match="the loss is nan at step 5"):
        fit(micro(), Broken(sampler), CONFIG, tmp_path)
    newest = latest_checkpoint(tmp_path / "checkpoints")
    assert newest is not None
    assert newest.name == "step-000003"


def test_gradient_that_is_not_finite_names_the_step(sampler: Sampler, tmp_path: Path) -> None:
    class Steep(CausalObjective):
        def loss(self, model: Any, batch: Any, step: int) -> tuple[torch.Tensor, dict[str, float]]:
            loss, metrics = super().loss(model, batch, step)
            return loss + (model.lm_head.weight[0, 0] * 0).sqrt(), metrics

    with pytest.raises(ZeroToOneError, match=r"gradient norm is (nan|inf) at step 0"):
        fit(micro(), Steep(sampler), CONFIG, tmp_path)


def test_bf16_keeps_fp32_weights_and_nearly_the_loss(sampler: Sampler, tmp_path: Path) -> None:
    for precision in ("fp32", "bf16"):
        fit(micro(), CausalObjective(sampler), changed(precision=precision), tmp_path / precision)
    lines = {p: list(read_metrics(tmp_path / p / "metrics.jsonl")) for p in ("fp32", "bf16")}
    losses = {p: np.array([line["loss"] for line in lines[p]]) for p in lines}
    assert not np.array_equal(losses["fp32"], losses["bf16"])
    assert np.allclose(losses["fp32"], losses["bf16"], atol=0.02)
    for file in (tmp_path / "bf16" / "checkpoints" / "step-000012").glob("*.safetensors"):
        assert {tensor.dtype for tensor in load_file(file).values()} == {torch.float32}


def test_precision_names() -> None:
    cpu = torch.device("cpu")
    assert [resolve_precision(name, cpu) for name in ("fp32", "bf16")] == ["fp32", "bf16"]
    assert resolve_precision("auto", cpu) in ("fp32", "bf16")
    with pytest.raises(ZeroToOneError, match="'fp8'"):
        resolve_precision("fp8", cpu)


def test_metrics_by_domain(sampler: Sampler, tmp_path: Path) -> None:
    fit(micro(), CausalObjective(sampler), CONFIG, tmp_path)
    shards = sampler.shards.domains
    for line in read_metrics(tmp_path / "metrics.jsonl"):
        share = {name: [row.domain for row in sampler.rows(line["step"])].count(name) / 4 for name in ("a", "b")}
        present = {name: part for name, part in share.items() if part}
        assert line["loss"] == pytest.approx(sum(line[f"loss/{name}"] * part for name, part in present.items()))
        for name in present:
            rate = len(shards[name].tokens) / shards[name].bytes
            assert line[f"bits_per_byte/{name}"] == pytest.approx(line[f"loss/{name}"] / math.log(2) * rate)
        assert line["tokens"] == (line["step"] + 1) * 4 * 24


def test_metrics_file_drops_what_a_resume_writes_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    whole = "".join(json.dumps({"step": step, "loss": 1.0}) + "\n" for step in range(5))
    path.write_text(whole + '{"step": 5, "lo', encoding="utf-8")
    with MetricsFile(path, 3) as metrics:
        metrics.write({"step": 3, "loss": 2.0})
    losses = {line["step"]: line["loss"] for line in read_metrics(path)}
    assert losses == {0: 1.0, 1: 1.0, 2: 1.0, 3: 2.0}
