"""Star linkage: against the definition by brute force, in any memory, in any order; no chains, no square."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from corpus.duplicates.near.star import ALWAYS, SHARING, link_stars
from corpus.duplicates.whole.dedup import dedup_documents
from tests.corpus.test_dedup import family_corpus, found_clusters, table, write
from tests.corpus.test_linking import Signed
from tests.corpus.test_minhash import brute_jaccard, brute_shingles


def stars_by_definition(sets: list[set], order: list[int], threshold: float) -> dict[int, int]:
    """The best is a centre and takes all that resemble it; the rest goes on."""
    centre: dict[int, int] = {}
    left = list(order)
    while left:
        best = left[0]
        taken = [item for item in left if item == best or brute_jaccard(sets[best], sets[item]) >= threshold]
        centre |= dict.fromkeys(taken, best)
        left = [item for item in left if item not in taken]
    return centre


def chained(count: int, size: int, step: int) -> list[np.ndarray]:
    """Sets of which each shares all but `step` values with the next."""
    return [np.arange(i * step, i * step + size, dtype=np.uint32) for i in range(count)]


def star(sets: list[np.ndarray], order: np.ndarray, threshold: float, memory: int, **columns: Any) -> Any:
    signed: Any = Signed(sets, **columns)
    signed.gather = lambda rows, names: pl.DataFrame({name: columns[name][rows] for name in names})
    return link_stars(signed, order, np.zeros(len(order)), len(columns), threshold, memory)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 150), st.sampled_from([0.3, 0.5, 0.8]), st.integers(1, 40))
def test_stars_are_those_of_the_definition(seed: int, count: int, threshold: float, values: int) -> None:
    draw = np.random.default_rng(seed)
    sets = [np.unique(draw.integers(values, size=12)).astype(np.uint32) for _ in range(count)]
    order = draw.permutation(count)
    # All share one band: every centre is compared, so that the answer is exact for any number of centres.
    keys = {"band_0": np.ones(count, dtype=np.uint64)}
    centres, similarity = star(sets, order, threshold, 1 << 40, **keys)
    plain = [set(items.tolist()) for items in sets]
    expected = stars_by_definition(plain, order.tolist(), threshold)
    assert dict(zip(order.tolist(), centres.tolist(), strict=True)) == expected
    for item, centre, score in zip(order, centres, similarity, strict=True):
        assert score == pytest.approx(brute_jaccard(plain[item], plain[centre]))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([6000, 20_000, 60_000]))
def test_memory_does_not_change_the_stars(seed: int, memory: int) -> None:
    draw = np.random.default_rng(seed)
    sets = chained(300, 30, 3)
    order = draw.permutation(len(sets))
    numbers = np.arange(len(sets), dtype=np.uint64)
    keys = {f"band_{band}": (numbers + np.uint64(band * 3)) // np.uint64(9) for band in range(3)}
    bounded, unbounded = (star(sets, order, 0.7, size, **keys) for size in (memory, 1 << 40))
    assert bounded[0].tolist() == unbounded[0].tolist()
    assert bounded[1].tolist() == unbounded[1].tolist()
    assert len(set(unbounded[0].tolist())) > ALWAYS


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.sampled_from(["first", "longest", "best:stars", "newest"]))
def test_every_removed_document_resembles_the_kept_one(
    tmp_path_factory: pytest.TempPathFactory, seed: int, keep: str
) -> None:
    path, texts = tmp_path_factory.mktemp("star"), family_corpus(seed, 25)
    draw = random.Random(seed)
    columns = {"stars": [draw.randrange(3) for _ in texts], "date": [f"20{draw.randrange(10, 14)}" for _ in texts]}
    rows = write(path / "a.parquet", texts, **columns)
    dedup_documents([rows], path / "out", keep=keep, workers=1, threshold=0.6)
    text = dict(pl.read_parquet(rows).select("id", "text").iter_rows())
    rank = {
        "first": {key: row for row, key in enumerate(text)},
        "longest": {key: -len(value) for key, value in text.items()},
        "best:stars": dict(zip(text, (-value for value in columns["stars"]), strict=True)),
        "newest": dict(zip(text, (-int(value) for value in columns["date"]), strict=True)),
    }[keep]
    for row in table(path / "out", "removed").to_dicts():
        pair = [brute_shingles(text[row[side]], 5) for side in ("id", "kept_id")]
        assert brute_jaccard(*pair) >= 0.6
        assert rank[row["kept_id"]] <= rank[row["id"]]
    single = found_of(rows, path / "single", keep=keep, linkage="single", threshold=0.6)
    stars = found_clusters(path / "out", list(text))
    assert all(any(star <= cluster for cluster in single) for star in stars), "stars are parts of components"


def found_of(path: Path, output: Path, **options: Any) -> set[frozenset[int]]:
    dedup_documents([path], output, workers=1, **options)
    frames = (
        [pl.read_parquet(path)] if path.is_file() else [pl.read_parquet(one) for one in sorted(path.glob("*"))]
    )
    ids = sorted(pl.concat(frames)["id"], key=lambda name: int(name.rpartition("-")[2]))
    return found_clusters(output, ids)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(0, 2**32),
    st.sampled_from([("star", "longest"), ("star", "best:stars"), ("single", "first"), ("star", "none")]),
    st.sampled_from(["jaccard", "signature"]),
)
def test_the_order_of_the_input_does_not_matter(
    tmp_path_factory: pytest.TempPathFactory, seed: int, how: tuple[str, str], verify: str
) -> None:
    path, draw = tmp_path_factory.mktemp("order"), random.Random(seed)
    texts = family_corpus(seed, 25) + ["same words here"] * 20 + ["!!!", ""]
    ids, stars = [f"d-{row}" for row in range(len(texts))], [row % 3 for row in range(len(texts))]
    order = draw.sample(range(len(texts)), len(texts))
    write(path / "one" / "a.parquet", texts, id=ids, stars=stars)
    for part in range(2):
        rows = order[part::2]
        shuffled = {"id": [ids[row] for row in rows], "stars": [stars[row] for row in rows]}
        write(path / "two" / f"{part}.parquet", [texts[row] for row in rows], **shuffled)
    options = {"linkage": how[0], "keep": how[1], "verify": verify, "threshold": 0.6}
    assert found_of(path / "one", path / "a", **options) == found_of(path / "two", path / "b", **options)


def window_texts(count: int, size: int, step: int) -> list[str]:
    return [" ".join(f"w{i * step + k}" for k in range(size)) for i in range(count)]


def test_a_chain_is_one_cluster_or_many_stars(tmp_path: Path) -> None:
    texts = window_texts(300, 84, 4)  # 80 shingles, 76 in common with the next: J = 76 / 84
    path = write(tmp_path / "a.parquet", texts)
    options = {"bands": 40, "rows": 4, "workers": 1}
    single = dedup_documents([path], tmp_path / "single", linkage="single", **options)
    assert single["counts"]["documents_kept"] == 1
    star = dedup_documents([path], tmp_path / "star", **options)
    # A centre takes those whose J with it is 0.8 and more: two to either side, 72 / 88 = 0.818.
    assert star["counts"]["documents_kept"] == 100
    assert star["counts"]["largest_cluster"] == 3
    assert table(tmp_path / "star", "clusters")["jaccard"].min() == pytest.approx(72 / 88)
    assert star["counts"]["runaway_clusters"] == 0
    assert single["counts"]["runaway_clusters"] == 1
    assert single["counts"]["runaway_documents"] == 300


def test_a_chain_of_fifty_thousand() -> None:
    sets = chained(50_000, 40, 4)
    numbers = np.arange(len(sets), dtype=np.uint64)
    order = np.random.default_rng(0).permutation(len(sets))
    keys = {f"band_{band}": (numbers + np.uint64(2 * band)) // np.uint64(4) for band in range(2)}
    centres, similarity = star(sets, order, 0.6, 1 << 30, **keys)
    assert similarity.min() >= 0.6
    # A centre takes two to either side that are not taken, and a centre's neighbours always share a band.
    assert 10_000 <= len(np.unique(centres)) <= 25_000


@pytest.mark.parametrize(("place", "found"), [(0, True), (ALWAYS + SHARING - 1, True), (ALWAYS + SHARING, False)])
def test_so_many_centres_are_compared_and_no_more(place: int, found: bool) -> None:
    """All share a band and none resembles another, but for the last, which is like the centre at `place`."""
    count = ALWAYS + SHARING + 50
    sets = [np.arange(10 * i, 10 * i + 10, dtype=np.uint32) for i in range(count)]
    sets.append(sets[place][:9])
    keys = {"band_0": np.ones(count + 1, dtype=np.uint64)}
    for memory in (1 << 40, 40_000):
        centres, _ = star(sets, np.arange(count + 1), 0.8, memory, **keys)
        assert centres[:-1].tolist() == list(range(count))
        assert centres[-1] == (place if found else count)
