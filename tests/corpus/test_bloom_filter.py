"""The filter: no key is lost, and keys that it does not have are taken for its own at the rate it was made for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.duplicates.lines.bloom_filter import (
    choose_size,
    count_present,
    expected_rate,
    false_positive_rate,
    insert,
    new_filter,
)

KEYS = st.lists(st.integers(0, 2**64 - 1), max_size=60)


@settings(deadline=None)
@given(KEYS, KEYS, st.sampled_from([0.5, 0.01, 1e-6]))
def test_what_went_in_is_in(keys: list[int], others: list[int], rate: float) -> None:
    size, probes = choose_size(len(keys), rate)
    blocks = new_filter(size)
    inside = np.array(keys, dtype=np.uint64)
    assert count_present(blocks, probes, inside) == 0
    assert insert(blocks, probes, inside) <= len(set(keys))
    assert count_present(blocks, probes, inside) == len(keys)
    assert insert(blocks, probes, inside) == 0
    both = np.array([*keys, *others], dtype=np.uint64)
    assert count_present(blocks, probes, both) >= sum(key in set(keys) for key in both.tolist())


@pytest.mark.parametrize("rate", [0.1, 0.01, 0.001])
def test_rate_of_false_positives(rate: float) -> None:
    draw = np.random.default_rng(1)
    keys, others = (draw.integers(0, 2**64, 200_000, dtype=np.uint64) for _ in range(2))
    size, probes = choose_size(len(keys), rate)
    blocks = new_filter(size)
    insert(blocks, probes, keys)
    found = count_present(blocks, probes, others) / len(others)
    estimated = false_positive_rate(blocks, probes)
    noise = 4 * math.sqrt(rate / len(others))
    assert abs(found - estimated) < noise + 0.05 * estimated
    assert 0.75 * rate - noise < found < rate + noise, "so small as asked for, and no larger a filter than needed"


def test_a_filter_of_blocks_takes_somewhat_more_than_a_plain_one() -> None:
    for bits in (6, 8, 12):
        plain = min((1 - math.exp(-probes / bits)) ** probes for probes in range(1, 20))
        assert plain < min(expected_rate(bits, probes) for probes in range(1, 20)) < 2 * plain
    for rate in (0.05, 0.01, 0.001):
        size, _ = choose_size(1_000_000, rate)
        plain = -math.log(rate) / math.log(2) ** 2 * 1_000_000 / 8
        assert plain < size * 64 < 1.35 * plain
