"""Linking by bands: large buckets, and the same result within any memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.duplicates.near.linking import link
from corpus.duplicates.near.union_find import roots
from corpus.duplicates.whole.signed import first_of_equals, part_of


class Signed:
    """Signed documents in memory: `columns` of keys and the shingle sets."""

    def __init__(self, sets: Sequence[np.ndarray], **columns: np.ndarray) -> None:
        self.rows, self.row_type, self.by_signature = len(sets), np.dtype(np.uint32), False
        self.sizes = np.array([len(items) for items in sets], dtype=np.uint32)
        self._sets, self._columns = sets, columns

    def pieces(self, columns: Sequence[str]) -> Iterator[tuple[int, pl.DataFrame]]:
        frame = pl.DataFrame({name: self._columns[name] for name in columns})
        for at in range(0, self.rows, 700):
            yield at, frame.slice(at, 700)

    def sets(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        chosen = [self._sets[row] for row in rows]
        offsets = np.cumsum([0, *map(len, chosen)]).astype(np.int64)
        return np.concatenate([np.empty(0, dtype=np.uint32), *chosen]), offsets


def linked(signed: Any, bands: int, memory: int) -> tuple[list[int], list[tuple[int, int, float]]]:
    parents = first_of_equals(signed, ["set_0", "set_1"], memory)
    links = link(signed, bands, parents, 0.9, memory)
    edges = zip(links.left.tolist(), links.right.tolist(), links.similarity.tolist(), strict=True)
    return roots(parents).tolist(), list(edges)


def keyed(sets: Sequence[np.ndarray], bands: dict[str, np.ndarray]) -> Any:
    numbers = {items.tobytes(): key for key, items in enumerate(sets)}
    keys = np.array([numbers[items.tobytes()] for items in sets], dtype=np.uint64)
    spread = keys * np.uint64(0x9E3779B97F4A7C15)
    return Signed(sets, set_0=spread, set_1=keys, **bands)


@pytest.mark.parametrize("memory", [1 << 40, 200_000, 20_000])
def test_large_bucket_of_two_kinds_is_separated(memory: int) -> None:
    draw = np.random.default_rng(0)
    kinds = [np.sort(draw.choice(2**31, 100, replace=False)).astype(np.uint32) for _ in range(2)]
    sets = [np.delete(kinds[i % 2], i // 2 % 100) for i in range(2000)]
    signed = keyed(sets, {"band_0": np.ones(2000, dtype=np.uint64)})
    found, edges = linked(signed, 1, memory)
    assert found == [i % 2 for i in range(2000)]
    assert len(edges) == 198, "of equal sets one is compared"
    assert min(similarity for _, _, similarity in edges) == 98 / 100


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32), st.integers(1, 3), st.sampled_from([3, 40, 600]), st.sampled_from([1000, 5000, 50_000])
)
def test_memory_does_not_change_the_result(seed: int, bands: int, buckets: int, memory: int) -> None:
    draw = np.random.default_rng(seed)
    bases = [np.sort(draw.choice(2**31, 60, replace=False)).astype(np.uint32) for _ in range(20)]
    sets = [np.delete(bases[draw.integers(20)], draw.integers(60, size=2)) for _ in range(1500)]
    numbers = {items.tobytes(): draw.integers(2**63, dtype=np.uint64) for items in sets}
    of_content = np.array([numbers[items.tobytes()] for items in sets])
    keys = {
        f"band_{band}": (of_content >> np.uint64(band)) % np.uint64(buckets) * np.uint64(2**63 // buckets)
        for band in range(bands)
    }
    signed = keyed(sets, keys)
    assert linked(signed, bands, memory) == linked(signed, bands, 1 << 40)


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1), st.integers(1, 100))
def test_ranges_rise_with_the_keys(keys: list[int], parts: int) -> None:
    found = part_of(np.array(sorted(keys), dtype=np.uint64), parts)
    assert (np.diff(found.astype(np.int64)) >= 0).all()
    assert found.max() < parts
