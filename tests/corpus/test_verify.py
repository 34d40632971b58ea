"""What joins a candidate pair: true Jaccard, signatures, or nothing, against brute force and the prediction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from corpus.duplicates.near.minhash import Banding, signatures
from corpus.duplicates.near.recall import verified_by_signature
from corpus.duplicates.near.similarity import least_shared, similarity_from
from corpus.duplicates.whole.dedup import dedup_documents
from tests.corpus.test_dedup import family_corpus, files, table, write
from tests.corpus.test_matching import twins
from tests.corpus.test_minhash import brute_jaccard, brute_shingles, one_set, sign


def overlapping(shared: int, own: int, count: int) -> list[str]:
    """Pairs of texts of single-word shingles: J = shared / (shared + 2 own)."""
    return [text for seed in range(count) for text in twins(shared + own, own, seed)]


@pytest.mark.parametrize(("similarity", "threshold"), [(0.7, 0.75), (0.75, 0.75), (0.9, 0.8), (0.6, 0.3)])
def test_signatures_confirm_as_often_as_predicted(similarity: float, threshold: float) -> None:
    """By drawing hashes that agree independently, band by band."""
    banding, draws = Banding(6, 4), 40_000
    equal = np.random.default_rng(1).random((draws, banding.bands, banding.rows)) < similarity
    found = (equal.all(axis=2).any(axis=1) & (equal.mean(axis=(1, 2)) >= threshold - 1e-9)).mean()
    assert found == pytest.approx(verified_by_signature(banding, similarity, threshold), abs=0.01)


def test_a_threshold_of_nothing_leaves_the_bands_alone() -> None:
    for similarity in (0.3, 0.8, 1.0):
        assert verified_by_signature(Banding(14, 8), similarity, 0.0) == pytest.approx(
            Banding(14, 8).probability(similarity)
        )


@pytest.mark.parametrize("size", [0, 1, 2, 7, 50])
def test_least_shared_is_the_smallest_that_reaches_the_threshold(size: int) -> None:
    for other in range(60):
        for threshold in (0.0, 0.1, 0.5, 0.8, 0.85, 1.0):
            enough = [
                s
                for s in range(size + other + 1)
                if (s / (size + other - s) if s < size + other else 1) >= threshold
            ]
            assert least_shared(size, other, threshold) == enough[0]


def test_a_similarity_below_the_threshold_is_nothing_and_else_exact() -> None:
    draw = np.random.default_rng(0)
    for _ in range(300):
        left, right = (np.unique(draw.integers(40, size=draw.integers(1, 40))).astype(np.uint32) for _ in range(2))
        true = brute_jaccard(set(left.tolist()), set(right.tolist()))
        values, offsets = np.concatenate([left, right]), np.cumsum([0, len(left), len(right)])
        for threshold in (0.0, 0.3, true, 0.7):
            found = similarity_from(values, offsets, 0, 1, threshold, False)
            assert found == (true if true >= threshold else 0.0)


def test_by_signature_the_share_of_equal_hashes_decides(tmp_path: Path) -> None:
    texts = family_corpus(7, 80)
    path = write(tmp_path / "a.parquet", texts)
    dedup_documents([path], tmp_path / "out", verify="signature", threshold=0.7, workers=1)
    text = dict(pl.read_parquet(path).select("id", "text").iter_rows())
    rows = table(tmp_path / "out", "clusters")
    assert rows.height > 50
    estimates = 0
    for row in rows.to_dicts():
        left, right = (sign(one_set(text[row[side]]), hashes=22 * 5)[0] for side in ("id", "kept_id"))
        assert row["jaccard"] == (left == right).mean()
        assert row["jaccard"] >= 0.7
        true = brute_jaccard(*(brute_shingles(text[row[side]], 5) for side in ("id", "kept_id")))
        estimates += row["jaccard"] != true
    assert estimates, "they are estimates"


def test_unverified_every_pair_that_shares_a_band_is_joined(tmp_path: Path) -> None:
    texts = overlapping(60, 20, 300)  # J = 0.6
    path = write(tmp_path / "a.parquet", texts)
    options = {"bands": 6, "rows": 3, "ngram": 1, "workers": 1}
    manifest = dedup_documents([path], tmp_path / "none", verify="none", **options)
    assert manifest["parameters"]["linkage"] == "single"
    assert "threshold" not in manifest["parameters"]
    expected = 0
    for left, right in zip(texts[::2], texts[1::2], strict=True):
        hashed = [sign(one_set(text, 1), hashes=18)[0].reshape(6, 3) for text in (left, right)]
        expected += (hashed[0] == hashed[1]).all(axis=1).any()
    assert 0 < expected < 300
    assert manifest["counts"]["documents_removed"] == expected
    assert table(tmp_path / "none", "clusters")["jaccard"].to_list() != []
    assert dedup_documents([path], tmp_path / "verified", **options)["counts"]["documents_removed"] == 0


@pytest.mark.parametrize("verify", ["jaccard", "signature", "none"])
def test_texts_shorter_than_a_shingle_equal_only_their_own_words(verify: str, tmp_path: Path) -> None:
    short = [f"word{number}" for number in range(50)] + [
        "one two",
        "two one",
        "One, two!",
        "",
        "",
        "?",
        "中文",
        "中 文",
    ]
    path = write(tmp_path / "a.parquet", short)
    manifest = dedup_documents([path], tmp_path / verify, verify=verify, preset="redpajama", workers=1)
    assert manifest["counts"]["documents_removed"] == 3
    removed = table(tmp_path / verify, "removed").select("id", "kept_id").rows()
    assert sorted(removed) == [("a-52", "a-50"), ("a-54", "a-53"), ("a-57", "a-56")]


@pytest.mark.parametrize("verify", ["signature", "none"])
def test_memory_and_workers_do_not_change_the_output(verify: str, tmp_path: Path) -> None:
    texts = family_corpus(11, 60) + ["the same few words"] * 300
    for part in range(3):
        write(tmp_path / "in" / f"{part}.parquet", texts[part::3])
    for name, options in {"one": {"workers": 1}, "two": {"workers": 2, "memory": 5000}}.items():
        dedup_documents([tmp_path / "in"], tmp_path / name, verify=verify, **options)
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_the_share_of_equal_hashes() -> None:
    values, offsets = np.arange(3, dtype=np.uint32), np.array([0, 2, 3])
    hashed = signatures(values, offsets, 8)
    assert (
        similarity_from(hashed.reshape(-1), np.array([0, 8, 16]), 0, 1, 0.9, True)
        == (hashed[0] == hashed[1]).mean()
    )
