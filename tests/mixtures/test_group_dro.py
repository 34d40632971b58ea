import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mixtures.group_dro import DomainWeights, excess_loss, token_coefficients, update

NAN = math.nan
PROXY = np.array([[3, 2, 4, 1], [2.5, 3.5, 2, NAN], [5, 4, 6, 3], [1, 1.5, 0.5, 1]])
REFERENCE = np.array([[2.5, 2.2, 3, 1.1], [2, 3, 2.5, NAN], [3, 4.5, 4, 2], [1, 1.4, 0.6, 1]])
ROWS = np.array([0, 0, 1, 2])


def test_the_vector_of_the_official_formula():
    loss = excess_loss(PROXY, REFERENCE, ROWS, ~np.isnan(PROXY), 3)
    after = update(DomainWeights.uniform(3), loss.clipped, loss.tokens, eta=1, smoothing=1e-3)
    assert loss.tokens.tolist() == [7, 4, 4]
    np.testing.assert_allclose(loss.clipped / loss.tokens, [0.3571429, 1.25, 0.025], atol=1e-7)
    np.testing.assert_allclose(after.weights, [0.2405075, 0.5868619, 0.1726306], atol=1e-6)
    # by hand, without clipping: A (1.2 + .5) / 7, B 4.5 / 4, C 0
    np.testing.assert_allclose(loss.plain / loss.tokens, [1.7 / 7, 4.5 / 4, 0], atol=1e-12)


def test_a_batch_in_parts_adds_up_to_the_whole():
    mask = ~np.isnan(PROXY)
    whole = excess_loss(PROXY, REFERENCE, ROWS, mask, 3)
    first = excess_loss(PROXY[:2], REFERENCE[:2], ROWS[:2], mask[:2], 3)
    parts = first + excess_loss(PROXY[2:], REFERENCE[2:], ROWS[2:], mask[2:], 3)
    for name in ("clipped", "plain", "tokens"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-12)


def test_the_loss_is_the_weighted_sum_of_domain_means_whatever_the_token_counts():
    mask = ~np.isnan(PROXY)
    loss = excess_loss(PROXY, REFERENCE, ROWS, mask, 3)
    weights = np.array([0.2, 0.5, 0.3])
    per_token = token_coefficients(weights, loss.tokens)[ROWS][:, None] * np.where(mask, PROXY - REFERENCE, 0)
    by_domain = [(PROXY - REFERENCE)[rows][mask[rows]].mean() for rows in ([0, 1], [2], [3])]
    assert per_token.sum() == pytest.approx(np.dot(weights, by_domain), abs=1e-12)
    assert token_coefficients(weights, np.array([0.0, 1, 2])).tolist() == [0, 0.5, 0.15]


def test_the_average_is_the_mean_of_the_steps_and_leaves_out_the_start():
    state = DomainWeights.uniform(2)
    assert state.average.tolist() == [0.5, 0.5]
    steps = []
    for clipped in ([1.0, 0.0], [0.0, 3.0], [2.0, 0.0]):
        state = update(state, np.array(clipped), np.ones(2))
        steps.append(state.weights)
    np.testing.assert_allclose(state.average, np.mean(steps, axis=0), rtol=1e-12)


@pytest.mark.parametrize("absent", ["stratify", "skip", "carry"])
def test_a_domain_absent_from_the_first_batch_keeps_its_weight(absent):
    after = update(
        DomainWeights.uniform(4), np.array([1.0, 2, 0, 3]), np.array([1, 1, 0, 1]), smoothing=0, absent=absent
    )
    others = np.exp([1, 2, 3]) / np.exp([1, 2, 3]).sum()
    np.testing.assert_allclose(after.weights, np.insert(0.75 * others, 2, 0.25), rtol=1e-12)


def test_carry_uses_the_last_known_excess_and_skip_does_not():
    seen = update(DomainWeights.uniform(2), np.array([2.0, 1.0]), np.ones(2), smoothing=0)
    absent = np.array([0.0, 4.0]), np.array([0, 4])
    carried = update(seen, *absent, smoothing=0, absent="carry")
    skipped = update(seen, *absent, smoothing=0, absent="skip")
    both = np.exp([4.0, 2.0])
    np.testing.assert_allclose(carried.weights, both / both.sum(), rtol=1e-12)
    np.testing.assert_allclose(skipped.weights, seen.weights, rtol=1e-12)


@pytest.mark.parametrize("absent", ["stratify", "skip", "carry"])
def test_nothing_to_learn_from_in_the_whole_batch_changes_nothing(absent):
    state = update(DomainWeights.uniform(3), np.array([1.0, 2, 3]), np.ones(3), smoothing=0)
    after = update(state, np.zeros(3), np.zeros(3), smoothing=0, absent="skip" if absent == "carry" else absent)
    np.testing.assert_allclose(after.weights, state.weights, rtol=1e-12)
    first = update(DomainWeights.uniform(3), np.zeros(3), np.zeros(3), absent=absent)
    np.testing.assert_allclose(first.weights, np.full(3, 1 / 3), rtol=1e-12)


def test_one_domain_has_all_the_weight():
    state = DomainWeights.uniform(1)
    for excess in (0.0, 5.0, 1e4):
        state = update(state, np.array([excess]), np.ones(1))
    assert state.weights.tolist() == [1.0]
    assert state.average.tolist() == [1.0]


def test_a_thousand_domains_of_which_most_are_missing():
    rng = np.random.default_rng(0)
    state = DomainWeights.uniform(1000)
    for _ in range(50):
        tokens = np.zeros(1000)
        tokens[rng.choice(1000, 16)] = 128
        state = update(state, tokens * rng.exponential(3, 1000), tokens, absent="carry")
        assert state.weights.sum() == pytest.approx(1, abs=1e-12)
    assert np.isfinite(state.weights).all()
    assert state.weights.min() >= 1e-3 / 1000 * (1 - 1e-9)


def test_smoothing_is_a_floor_even_when_a_weight_underflows():
    state = update(DomainWeights.uniform(2), np.array([1e5, 0.0]), np.ones(2), smoothing=1e-3)
    np.testing.assert_allclose(state.weights, [1 - 5e-4, 5e-4], rtol=1e-12)
    without = update(DomainWeights.uniform(2), np.array([1e5, 0.0]), np.ones(2), smoothing=0)
    again = update(without, np.array([0.0, 1e5]), np.ones(2), smoothing=0)
    assert np.isfinite(again.weights).all()
    assert again.weights.sum() == 1


def test_a_loss_that_is_not_finite_is_named():
    with pytest.raises(ValueError, match="domain 1 is not finite"):
        update(DomainWeights.uniform(3), np.array([1.0, NAN, 2.0]), np.ones(3))


@st.composite
def searches(draw):
    domains = draw(st.integers(1, 6))
    steps = draw(st.integers(1, 5))
    excess = draw(hnp.arrays(float, (steps, domains), elements=st.floats(0, 50)))
    tokens = draw(hnp.arrays(int, (steps, domains), elements=st.sampled_from([0, 1, 7])))
    return excess * tokens, tokens, np.array(draw(st.permutations(range(domains))))


@settings(deadline=None)
@given(searches(), st.sampled_from(["stratify", "skip", "carry"]), st.sampled_from([0.0, 1e-3, 1.0]))
def test_weights_stay_a_distribution_and_follow_a_permutation_of_the_domains(search, absent, smoothing):
    clipped, tokens, order = search
    one = other = DomainWeights.uniform(len(order))
    for sums, counts in zip(clipped, tokens, strict=True):
        one = update(one, sums, counts, smoothing=smoothing, absent=absent)
        other = update(other, sums[order], counts[order], smoothing=smoothing, absent=absent)
        assert (one.weights >= 0).all()
        assert one.weights.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(one.weights[order], other.weights, atol=1e-9)
    np.testing.assert_allclose(one.average[order], other.average, atol=1e-9)
