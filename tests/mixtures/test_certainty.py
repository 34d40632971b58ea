import numpy as np
import pytest

from mixtures.certainty import bootstrap_intervals, drift, replay
from mixtures.group_dro import DomainWeights, update


def search(excess: np.ndarray, eta: float = 1.0) -> np.ndarray:
    state = DomainWeights.uniform(excess.shape[1])
    for row in excess:
        state = update(state, row, np.ones(len(row)), eta=eta)
    return state.average


def simulated(seed: int, levels: list[float], noise: float, steps: int = 200) -> np.ndarray:
    """Excess losses that fall from 4 nats like those of an untrained proxy, with one level per domain."""
    trend = 4 * np.exp(-np.arange(steps) / 20)[:, None]
    return trend + np.array(levels) + np.random.default_rng(seed).normal(0, noise, (steps, len(levels)))


def test_replay_is_the_search():
    excess = simulated(0, [0.1, 0.2, 0.15], 0.05)
    replayed = replay(np.stack([excess, excess[::-1]]), eta=0.7, smoothing=1e-3)
    np.testing.assert_allclose(replayed[0], search(excess, 0.7), rtol=1e-9)
    np.testing.assert_allclose(replayed[1], search(excess[::-1], 0.7), rtol=1e-9)


def test_replay_repeats_each_entry():
    excess = simulated(1, [0.1, 0.2], 0.05, steps=30)
    repeated = replay(excess[None], eta=1, smoothing=1e-3, repeats=3)[0]
    np.testing.assert_allclose(repeated, search(np.repeat(excess, 3, axis=0)), rtol=1e-9)


@pytest.mark.parametrize("noise", [0.01, 0.1])
def test_domains_that_differ_by_noise_alone_are_rarely_told_apart(noise):
    false_alarms = 0
    for seed in range(60):
        excess = simulated(seed, [0.3] * 5, noise)
        intervals = bootstrap_intervals(excess, search(excess), eta=1, smoothing=1e-3)
        false_alarms += bool(intervals.outside(np.full(5, 0.2)).any())
    assert false_alarms <= 8  # 3 expected; more than 8 has a probability of 0.2 %


def log_odds(weights: np.ndarray) -> np.ndarray:
    return np.log(weights / (1 - weights))


def test_the_intervals_are_as_wide_as_the_spread_over_many_searches():
    levels = [0.3, 0.31, 0.295]
    averages = np.array([search(simulated(seed, levels, 0.05)) for seed in range(300)])
    excess = simulated(1000, levels, 0.05)
    intervals = bootstrap_intervals(excess, search(excess), eta=1, smoothing=1e-3)
    # a simultaneous 95 % interval over three domains is about 2.3 standard errors to each side
    errors = (log_odds(intervals.high) - log_odds(intervals.low)) / 2 / 2.3
    np.testing.assert_allclose(errors, log_odds(averages).std(axis=0), rtol=0.35)


def test_a_domain_with_more_excess_is_told_apart():
    excess = simulated(0, [0.3, 0.3, 0.35], 0.05)
    average = search(excess)
    intervals = bootstrap_intervals(excess, average, eta=1, smoothing=1e-3)
    assert intervals.outside(np.full(3, 1 / 3)).any()
    assert not intervals.outside(average).any()


def test_too_few_steps_say_nothing():
    intervals = bootstrap_intervals(np.array([[1.0, 2], [1, 2]]), np.array([0.3, 0.7]), eta=1, smoothing=0)
    assert not intervals.outside(np.array([0.99, 0.01])).any()


def test_one_domain_has_a_certain_weight():
    intervals = bootstrap_intervals(simulated(0, [0.3], 0.1), np.ones(1), eta=1, smoothing=1e-3)
    assert not intervals.outside(np.ones(1)).any()
    assert intervals.low[0] == pytest.approx(1)


def test_drift_is_the_largest_change_over_the_last_quarter():
    averages = np.array(
        [[0.1, 0.9], [0.2, 0.8], [0.4, 0.6], [0.45, 0.55], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [0.47, 0.53]]
    )
    assert drift(averages) == pytest.approx(0.03)
    assert drift(averages[:1]) == 0
