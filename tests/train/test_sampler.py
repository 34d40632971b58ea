from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.core.errors import ZeroToOneError
from corpus.core.shards import Shards
from tests.train.small_shards import END, make_shards
from train.mixture import Mixture
from train.sampler import Sampler, document_positions, permuted

DOMAINS = {"a": 40, "b": 17, "c": 5, "d": 30, "e": 1, "f": 12}
WEIGHTS = st.lists(st.integers(0, 1000), min_size=1, max_size=6).filter(any)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    return make_shards(tmp_path_factory.mktemp("shards"), DOMAINS)


def mixture_of(weights: list[int]) -> Mixture:
    return Mixture.proportional(dict(zip(DOMAINS, weights, strict=False)))


def one(shards: Shards, mixture: Mixture, **arguments: int) -> Sampler:
    return Sampler(shards, [(0, mixture)], **{"row_length": 16, "rows_per_step": 4, **arguments})


@given(WEIGHTS)
def test_share_stays_within_a_row_of_the_target_at_all_times(shards: Shards, weights: list[int]) -> None:
    mixture = mixture_of(weights)
    sampler = one(shards, mixture, rows_per_step=1)
    domains = sum(weight > 0 for weight in weights)
    bound = 1 - 1 / max(1, 2 * domains - 2) if domains > 1 else 0.0
    counts: Counter[str] = Counter()
    for step in range(400):
        counts[sampler.rows(step)[0].domain] += 1
        for domain, weight in mixture.weights.items():
            assert abs(counts[domain] - weight * (step + 1)) <= bound + 1e-6


@given(st.lists(st.tuples(st.integers(1, 60), WEIGHTS), min_size=2, max_size=8))
@settings(deadline=None)
def test_share_follows_changing_weights(shards: Shards, parts: list[tuple[int, list[int]]]) -> None:
    history, first = [], 0
    for length, weights in parts:
        history.append((first, mixture_of(weights)))
        first += length
    sampler = Sampler(shards, history, row_length=16, rows_per_step=1)
    target, counts = dict.fromkeys(DOMAINS, 0.0), Counter[str]()
    for step in range(first):
        mixture = next(mixture for start, mixture in reversed(history) if start <= step)
        domain = sampler.rows(step)[0].domain
        counts[domain] += 1
        assert mixture.weights[domain] > 0
        for name, weight in mixture.weights.items():
            target[name] += weight
        assert max(abs(counts[name] - target[name]) for name in DOMAINS) < 2


def test_each_epoch_shows_each_row_and_each_target_once(shards: Shards) -> None:
    sampler = one(shards, Mixture({"a": 1.0}), rows_per_step=1)
    per_epoch = sampler.rows_per_epoch("a")
    size = len(shards.domains["a"].tokens)
    orders = []
    for epoch in range(3):
        rows = [sampler.rows(epoch * per_epoch + k)[0] for k in range(per_epoch)]
        assert {row.epoch for row in rows} == {epoch}
        assert sorted(row.index for row in rows) == list(range(per_epoch))
        seen = Counter((row.start + 1 + place) % size for row in rows for place in range(16))
        assert set(seen) == set(range(size))
        assert seen.total() - size < 16  # only what the last row repeats
        orders.append([row.index for row in rows])
    assert orders[0] != orders[1] != orders[2]


def test_any_step_can_be_asked_for_first(shards: Shards) -> None:
    mixture = mixture_of([5, 3, 2, 1, 1, 1])
    walked = one(shards, mixture, seed=7)
    expected = [walked.tokens(step) for step in range(60)]
    for step in (59, 0, 31):
        assert np.array_equal(one(shards, mixture, seed=7).tokens(step), expected[step])
    assert not np.array_equal(one(shards, mixture, seed=8).tokens(31), expected[31])


def test_new_weights_change_nothing_before_them(shards: Shards) -> None:
    old, new = mixture_of([1, 1, 1]), mixture_of([0, 1, 5])
    before = Sampler(shards, [(0, old)], 16, 4)
    after = Sampler(shards, [(0, old), (20, new)], 16, 4)
    assert [before.rows(step) for step in range(20)] == [after.rows(step) for step in range(20)]
    assert [before.rows(step) for step in range(20, 30)] != [after.rows(step) for step in range(20, 30)]


def test_rows_do_not_depend_on_how_they_are_grouped_into_steps(shards: Shards) -> None:
    mixture = mixture_of([5, 3, 2])
    fours, sixes = one(shards, mixture, rows_per_step=4), one(shards, mixture, rows_per_step=6)
    assert [r for s in range(6) for r in fours.rows(s)] == [r for s in range(4) for r in sixes.rows(s)]


def test_documents_are_those_of_the_tokens(shards: Shards) -> None:
    sampler = one(shards, mixture_of([5, 3, 2, 1, 1, 1]), row_length=50)
    for step in range(8):
        tokens, rebuilt = sampler.tokens(step)[:, 1:], np.full((4, 50), -1)
        for span in sampler.documents(step):
            shard = shards.domains[span.domain]
            assert span.domain == sampler.rows(step)[span.row].domain
            document = shard.tokens[shard.offsets[span.document] : shard.offsets[span.document + 1]]
            taken = document[span.document_offset : span.document_offset + span.tokens]
            rebuilt[span.row, span.row_offset : span.row_offset + span.tokens] = taken
        assert np.array_equal(rebuilt, tokens)


def test_a_domain_smaller_than_a_row_repeats(shards: Shards) -> None:
    tokens = shards.domains["e"].tokens
    length = 3 * len(tokens)
    row = one(shards, Mixture({"e": 1.0}), row_length=length, rows_per_step=1).tokens(0)[0]
    assert Counter(row[1:].tolist()) == {token: 3 * count for token, count in Counter(tokens.tolist()).items()}


def test_counts_are_the_rows_before_a_step(shards: Shards) -> None:
    sampler = one(shards, mixture_of([5, 3, 2]))
    brute = Counter(row.domain for step in range(25) for row in sampler.rows(step))
    assert sampler.counts(25) == brute
    assert one(shards, mixture_of([5, 3, 2])).counts(0) == {"a": 0, "b": 0, "c": 0}


@given(st.integers(1, 3000), st.integers(0, 2**64 - 1))
def test_permuted_is_a_permutation(size: int, key: int) -> None:
    assert sorted(permuted(index, size, key) for index in range(size)) == list(range(size))


def test_permutations_are_spread_evenly() -> None:
    # Where six things go under 6,000 keys: 36 cells of 1,000 each; the 0.1 % point of chi-square at 25 degrees
    # of freedom is 52.6. The keys are fixed, so is the outcome.
    cells = Counter((i, permuted(i, 6, key * 0x9E3779B97F4A7C15 % 2**64)) for key in range(6000) for i in range(6))
    assert sum((cells[i, j] - 1000) ** 2 / 1000 for i in range(6) for j in range(6)) < 52.6


@given(st.lists(st.lists(st.integers(0, 3), min_size=9, max_size=9), min_size=1, max_size=4))
def test_positions_begin_anew_at_each_end_of_text(rows: list[list[int]]) -> None:
    expected = []
    for row in rows:
        place = -1
        expected.append([place := 0 if token == END else place + 1 for token in row])
    assert document_positions(np.array(rows), END).tolist() == expected


def test_faults_name_the_domain(shards: Shards, tmp_path: Path) -> None:
    with pytest.raises(ZeroToOneError, match="no domain `z`"):
        one(shards, Mixture({"a": 0.5, "z": 0.5}))
    with pytest.raises(ZeroToOneError, match="begin at step 0"):
        Sampler(shards, [(1, Mixture({"a": 1.0}))], 16, 4)
    with pytest.raises(ZeroToOneError, match="not in order at step 5"):
        Sampler(shards, [(0, mixture_of([1])), (5, mixture_of([1])), (5, mixture_of([1]))], 16, 4)
    with pytest.raises(ZeroToOneError, match="of bytes"):
        one(shards, Mixture({"a": 1.0}, unit="bytes"))
    empty = make_shards(tmp_path, {"a": 2})
    object.__setattr__(empty.domains["a"], "tokens", np.empty(0, np.uint16))
    with pytest.raises(ZeroToOneError, match="`a` of the mixture has no tokens"):
        one(empty, Mixture({"a": 1.0}))
