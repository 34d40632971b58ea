from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from mixtures.group_dro import DomainWeights, excess_loss, update
from mixtures.proxy import ProxyObjective
from tests.mixtures.sources import VOCABULARY, in_memory, known_sources
from train.causal import CausalObjective, causal_batch, token_losses
from train.mixture import Mixture
from train.sampler import Sampler

STEPS, ROWS, LENGTH = 600, 64, 32


class TwoGram(nn.Module):
    """A perceptron over the embeddings of the last two tokens."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.embedding = nn.Embedding(VOCABULARY + 1, 32)
        self.layers = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, VOCABULARY))

    def forward(self, input_ids, position_ids, use_cache):
        before = nn.functional.pad(input_ids[:, :-1], (1, 0), value=VOCABULARY)
        both = torch.cat([self.embedding(before), self.embedding(input_ids)], dim=-1)
        return SimpleNamespace(logits=self.layers(both))


def sampler(sources: dict[str, np.ndarray], rows: int = ROWS, length: int = LENGTH) -> Sampler:
    return Sampler(in_memory(sources), [(0, Mixture.uniform(sources))], length, rows, seed=0)


def train(model: nn.Module, objective, steps: int = STEPS) -> nn.Module:
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(steps):
        loss, _ = objective.loss(model, objective.batch(step), step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def losses_of(model: nn.Module):
    return lambda batch: token_losses(model, batch["inputs"], batch["positions"], batch["targets"])


def proxy_objective(rows: Sampler, reference) -> ProxyObjective:
    return ProxyObjective(rows, reference, eta=1.0, smoothing=1e-3, interval=1)


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def averages(rows: Sampler, reference) -> dict[str, float]:
    objective = proxy_objective(rows, reference)
    train(TwoGram(1), objective)
    return dict(zip(rows.domains, objective.search.average, strict=True))


def test_weight_goes_to_what_can_still_be_learned():
    rows = sampler(known_sources(0, 60_000))
    average = averages(rows, losses_of(train(TwoGram(0), CausalObjective(rows))))
    assert average["noise"] < 0.25
    assert average["cycle"] < 0.2
    assert average["markov-a"] + average["markov-b"] > 0.6
    assert min(average["markov-a"], average["markov-b"]) > 2 * average["cycle"]


def test_without_a_reference_noise_gets_nearly_all_weight():
    rows = sampler(known_sources(0, 60_000))
    assert averages(rows, lambda batch: torch.zeros(batch["targets"].shape))["noise"] > 0.8


@pytest.mark.parametrize("domains", [1, 2, 3, 7, 22])
def test_every_batch_has_all_domains_in_equal_parts(domains):
    rows = sampler({f"d{i}": np.arange(100 + 37 * i) % VOCABULARY for i in range(domains)}, 2 * domains, 8)
    for step in range(300):
        numbers = [rows.domains.index(row.domain) for row in rows.rows(step)]
        assert np.bincount(numbers).tolist() == [2] * domains


def test_a_step_is_the_update_and_the_weighted_sum_of_domain_means():
    rows = sampler(known_sources(0, 2000), rows=8)
    reference, proxy = TwoGram(0), TwoGram(1)
    objective = proxy_objective(rows, losses_of(reference))
    search = DomainWeights.uniform(4)
    for step in range(3):
        batch = causal_batch(rows, step)
        mine, theirs = (losses_of(model)(batch).double().detach() for model in (proxy, reference))
        loss, metrics = objective.loss(proxy, batch, step)
        excess = excess_loss(mine.numpy(), theirs.numpy(), batch["domains"].numpy(), np.ones((8, LENGTH), bool), 4)
        search = update(search, excess.clipped, excess.tokens)
        assert loss.item() == pytest.approx(np.dot(search.weights, excess.plain / excess.tokens), abs=1e-5)
        assert metrics["average/noise"] == pytest.approx(search.average[3], rel=1e-12)
    np.testing.assert_allclose(objective.search.weights, search.weights, rtol=1e-12)


def test_the_gradient_comes_from_the_proxy_alone_and_is_not_clipped():
    rows = sampler(known_sources(0, 2000), rows=4)
    proxy = TwoGram(0)
    better = lambda batch: losses_of(proxy)(batch).detach() + 1.0  # noqa: E731  (an excess below zero everywhere)
    objective = proxy_objective(rows, better)
    loss, metrics = objective.loss(proxy, objective.batch(0), 0)
    assert loss.item() == pytest.approx(-1, abs=1e-5)
    assert metrics["excess/noise"] == 0
    loss.backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in proxy.layers.parameters())


def test_state_goes_on_where_it_was():
    rows = sampler(known_sources(0, 2000), rows=4)
    whole = proxy_objective(rows, losses_of(TwoGram(0)))
    whole.interval = 3
    train(TwoGram(1), whole, steps=4)
    second = proxy_objective(rows, losses_of(TwoGram(0)))
    second.interval = 3
    second.load_state(whole.state())
    proxy = TwoGram(2)
    for objective in (whole, second):
        for step in range(4, 9):
            objective.loss(proxy, objective.batch(step), step)
    assert whole.history.steps.tolist() == [3, 6, 9]
    for name, value in whole.state().items():
        np.testing.assert_array_equal(value, second.state()[name])


def test_a_loss_that_is_not_finite_leaves_the_weights_alone():
    rows = sampler(known_sources(0, 2000), rows=4)
    objective = proxy_objective(rows, lambda batch: torch.full(batch["targets"].shape, torch.nan))
    loss, _ = objective.loss(TwoGram(0), objective.batch(0), 0)
    assert not torch.isfinite(loss)
    assert objective.search.steps == 0
