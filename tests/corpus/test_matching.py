"""Presets, bands by hand and for a threshold: against the published numbers, and what contradicts itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from corpus.core.errors import UsageError, ZeroToOneError
from corpus.duplicates.near.matching import choose_matching
from corpus.duplicates.near.minhash import Banding
from corpus.duplicates.whole.dedup import dedup_documents
from tests.programs import call


@pytest.mark.parametrize(
    ("preset", "bands", "rows", "ngram", "threshold"),
    [("fineweb", 14, 8, 5, 0.75), ("refinedweb", 450, 20, 5, 0.8), ("redpajama", 9, 13, 13, 0.8)],
)
def test_presets_are_the_published_ones(preset: str, bands: int, rows: int, ngram: int, threshold: float) -> None:
    matching = choose_matching(preset=preset)
    assert matching.parameters().items() >= {"bands": bands, "rows": rows, "ngram": ngram}.items()
    assert matching.threshold == threshold
    assert choose_matching(0.9, preset=preset).parameters()["threshold"] == 0.9
    assert choose_matching(0.9, preset=preset).banding == Banding(bands, rows)


def test_predictions_are_the_published_ones() -> None:
    # Penedo et al. 2024 for FineWeb; RefinedWeb's curve is at one half near 0.73 (Lee et al. 2022, figure 4).
    fineweb = choose_matching(preset="fineweb")
    assert [round(fineweb.predicted(s)[0], 2) for s in (0.7, 0.75, 0.8)] == [0.56, 0.77, 0.92]
    steep = choose_matching(preset="refinedweb")
    assert steep.predicted(0.65)[0] < 0.1
    assert steep.predicted(0.8)[0] > 0.99
    assert [fineweb.predicted(s)[1] for s in (0.5, 0.74)] == [0, 0]
    assert fineweb.predicted(0.75)[0] == fineweb.predicted(0.75)[1]


def test_bands_by_hand_and_for_a_threshold() -> None:
    by_hand = choose_matching(bands=3, rows=7, ngram=2)
    assert (by_hand.banding, by_hand.ngram, by_hand.threshold) == (Banding(3, 7), 2, 0.8)
    others = {"verify": "jaccard", "linkage": "star"}
    assert choose_matching().parameters() == {"threshold": 0.8, "ngram": 5, "bands": 14, "rows": 8, **others}
    unverified = choose_matching(0.8, verify="none").parameters()
    assert unverified == {"ngram": 5, "bands": 14, "rows": 8, "verify": "none", "linkage": "single"}


CONTRADICTIONS = [
    ({"preset": "fineweb", "bands": 3, "rows": 3}, "--preset fineweb sets --bands; give one of them"),
    ({"preset": "fineweb", "ngram": 5}, "--preset fineweb sets --ngram"),
    ({"preset": "fine"}, "unknown --preset `fine`; choose fineweb, refinedweb, redpajama"),
    ({"bands": 3}, "--bands and --rows belong together"),
    ({"rows": 3}, "--bands and --rows belong together"),
    ({"bands": 0, "rows": 3}, "--bands must be at least 1"),
    ({"bands": 1000, "rows": 1000}, "--bands times --rows"),
    ({"threshold": float("nan")}, "--threshold"),
    ({"ngram": 0}, "--ngram"),
    ({"verify": "x"}, "unknown --verify `x`; choose jaccard, signature, none"),
    ({"linkage": "x"}, "unknown --linkage `x`; choose star, single"),
    ({"verify": "none", "linkage": "star"}, "--linkage star needs a similarity"),
]


@pytest.mark.parametrize(("wrong", "message"), CONTRADICTIONS)
def test_contradictions_are_wrong_usage(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        choose_matching(**wrong)


def twins(words: int, changed: int, seed: int) -> list[str]:
    """Two texts whose sets of single words share words - changed of words + changed."""
    draw = np.random.default_rng(seed)
    names = [f"w{number}" for number in draw.choice(10**9, words + changed, replace=False)]
    return [" ".join(names[:words]), " ".join(names[changed:])]


@pytest.mark.parametrize("options", [{"preset": "redpajama"}, {"bands": 2, "rows": 3, "ngram": 1}])
def test_pairs_are_found_as_often_as_predicted(options: dict[str, Any], tmp_path: Path) -> None:
    pairs, matching = 400, choose_matching(0.5, **options)
    texts = [text for seed in range(pairs) for text in twins(100 + matching.ngram, 5, seed)]
    pl.DataFrame({"id": [str(row) for row in range(len(texts))], "text": texts}).write_parquet(
        tmp_path / "a.parquet"
    )
    manifest = dedup_documents([tmp_path / "a.parquet"], tmp_path / "out", threshold=0.5, workers=1, **options)
    shingles = 101 if matching.ngram > 1 else 106
    shared = shingles - 5
    expected = matching.predicted(shared / (2 * shingles - shared))[1]
    assert 0.2 < expected < 0.99
    found = manifest["counts"]["documents_removed"] / pairs
    assert abs(found - expected) < 4 * np.sqrt(expected * (1 - expected) / pairs)
    assert manifest["parameters"].items() >= matching.parameters().items()
    assert "preset" not in manifest["parameters"]


def test_bands_are_part_of_what_was_asked_for(tmp_path: Path) -> None:
    pl.DataFrame({"id": ["a"], "text": ["some text"]}).write_parquet(tmp_path / "a.parquet")
    first = dedup_documents([tmp_path / "a.parquet"], tmp_path / "out", workers=1, threshold=0.75)
    with pytest.raises(ZeroToOneError, match=r"bands was 18, is 14"):
        dedup_documents([tmp_path / "a.parquet"], tmp_path / "out", workers=1, preset="fineweb")
    again = dedup_documents(
        [tmp_path / "a.parquet"], tmp_path / "out", workers=1, threshold=0.75, bands=18, rows=6
    )
    assert again == first, "the same bands by another name"


def test_the_prediction_is_printed_before_the_run(tmp_path: Path) -> None:
    pl.DataFrame({"id": ["a"], "text": ["some text"]}).write_parquet(tmp_path / "a.parquet")
    outcome = call("corpus", "dedup", tmp_path / "a.parquet", "-o", tmp_path / "out", "--workers", 1, "--json")
    assert outcome.status == 0, outcome.err
    assert "14 bands of 8" in outcome.err
    assert outcome.err.index("0.924") < outcome.err.index("signing")
    options = ["--preset", "fineweb", "--bands", 3, "--rows", 2]
    outcome = call("corpus", "dedup", tmp_path / "a.parquet", "-o", tmp_path / "no", *options)
    assert (outcome.status, outcome.message) == (2, "--preset fineweb sets --bands; give one of them")
    assert not (tmp_path / "no").exists()
