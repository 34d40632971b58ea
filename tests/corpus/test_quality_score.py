"""Scoring: the column, what is kept, the manifest, and that no number of workers changes a byte."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from corpus.core.errors import UsageError, ZeroToOneError
from corpus.quality.keep import Keep
from corpus.quality.normalisation import Normalisation
from corpus.quality.score import ScoreOptions, score_documents
from tests.corpus.quality_documents import documents, small_classifier, write

EMPTY = {"id": "empty", "text": " \n", "mine": "x"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_classifier(tmp_path_factory.mktemp("classifier"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    rows = [*documents("good", 60, 5), *documents("poor", 59, 5), EMPTY]
    for part in range(3):
        write(tmp_path / "source" / f"{part}.jsonl", rows[part::3])
    return tmp_path / "source"


def table(directory: Path, name: str) -> pl.DataFrame:
    files = sorted((directory / name).glob("*.parquet"))
    return pl.concat([pl.read_parquet(file) for file in files]) if files else pl.DataFrame()


def tree(directory: Path) -> dict[str, bytes]:
    files = (path for path in directory.rglob("*.parquet") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def options(model: Path, **keep: float) -> ScoreOptions:
    return ScoreOptions(str(model), keep=Keep(**keep))  # type: ignore[arg-type]


def test_everything_stays_with_its_score(source: Path, model: Path, tmp_path: Path) -> None:
    manifest = score_documents([source], tmp_path / "out", options(model), workers=1)
    kept = table(tmp_path / "out", "documents")
    assert (kept.height, not (tmp_path / "out" / "removed").exists()) == (120, True)
    assert kept["mine"].null_count() == 0
    means = {kind: kept.filter(pl.col("id").str.starts_with(kind))["quality"].mean() for kind in ("good", "poor")}
    assert means["good"] > 0.8 > 0.2 > means["poor"]  # type: ignore[operator]
    assert kept.filter(pl.col("id") == "empty")["quality"].to_list() == [None]
    scores = kept["quality"].drop_nulls()
    assert manifest["scores"]["without"] == 1
    assert manifest["scores"]["mean"] == pytest.approx(scores.mean())
    assert manifest["scores"]["quantiles"]["0.5"] == scores.quantile(0.5, "lower")


def test_the_score_is_fasttexts_own(source: Path, model: Path, tmp_path: Path) -> None:
    """fasttext-predict's class on the saved file, with the line that fastText's user would write."""
    import fasttext

    ours = ScoreOptions(str(model / "model.bin"), "q", "__label__positive", Normalisation(False, True))
    score_documents([source], tmp_path / "out", ours, workers=1)
    theirs = fasttext.load_model(str(model / "model.bin"))
    for text, score in table(tmp_path / "out", "documents").select("text", "q").iter_rows():
        if text.strip():
            found = {label: value for value, label in theirs.f.predict(text.lower() + "\n", 2, 0.0, "strict")}
            assert score == pytest.approx(min(1.0, found["__label__positive"]), abs=1e-6)


@pytest.mark.parametrize("keep", [{"above": 0.5}, {"quantile": 0.1}, {"pareto": 9.0, "seed": 3}, {}])
def test_the_same_bytes_for_any_number_of_workers(
    keep: dict[str, float], source: Path, model: Path, tmp_path: Path
) -> None:
    trees = []
    for workers in (1, 2):
        out = tmp_path / f"out{workers}"
        score_documents([source], out, options(model, **keep), workers=workers)
        trees.append(tree(out))
    assert trees[0] == trees[1]
    manifest = json.loads((tmp_path / "out1" / "manifest.json").read_text())
    assert manifest["counts"]["documents_in"] == 120
    assert sum(manifest["reasons"].values()) == manifest["counts"]["documents_removed"]


def test_a_threshold(source: Path, model: Path, tmp_path: Path) -> None:
    manifest = score_documents([source], tmp_path / "out", options(model, above=0.5), workers=1)
    kept, removed = table(tmp_path / "out", "documents"), table(tmp_path / "out", "removed")
    assert kept["quality"].min() >= 0.5  # type: ignore[operator]
    assert removed["quality"].drop_nulls().max() < 0.5  # type: ignore[operator]
    assert manifest["reasons"] == {"quality_below": removed.height - 1, "quality_no_text": 1}
    assert kept.height + removed.height == 120
    assert manifest["threshold"] == 0.5


def test_the_best_share_of_all_units(source: Path, model: Path, tmp_path: Path) -> None:
    score_documents([source], tmp_path / "all", options(model), workers=1)
    scores = table(tmp_path / "all", "documents")["quality"].drop_nulls().sort(descending=True)
    manifest = score_documents([source], tmp_path / "out", options(model, quantile=0.1), workers=1)
    assert manifest["threshold"] == scores[11]  # the twelfth of 120
    assert manifest["counts"]["documents_kept"] == (scores >= scores[11]).sum()
    assert not (tmp_path / "out" / ".state" / "scores").exists()
    again = score_documents([source], tmp_path / "out", options(model, quantile=0.1), workers=1)
    assert again == manifest


def test_a_rerun_after_a_kill_goes_on(source: Path, model: Path, tmp_path: Path) -> None:
    score_documents([source], tmp_path / "whole", options(model, quantile=0.3), workers=1)
    out = tmp_path / "out"
    score_documents([source], out, options(model, quantile=0.3), workers=1)
    (out / "manifest.json").unlink()
    (out / ".state" / "unit-00001.json").unlink()
    (out / "documents" / "part-00001.parquet").unlink()
    score_documents([source], out, options(model, quantile=0.3), workers=1)
    assert tree(out) == tree(tmp_path / "whole")


def test_the_draw_keeps_what_it_promises(model: Path, tmp_path: Path) -> None:
    rows = [*documents("good", 1500, 6), *documents("poor", 1500, 6)]
    manifest = score_documents(
        [write(tmp_path / "a.jsonl", rows)], tmp_path / "out", options(model, pareto=9), workers=1
    )
    scores = np.concatenate(
        [table(tmp_path / "out", name)["quality"].to_numpy() for name in ("documents", "removed")]
    )
    chances = (2 - scores) ** -9.0
    assert manifest["expected_kept"] == pytest.approx(chances.sum())
    deviation = np.sqrt((chances * (1 - chances)).sum())
    assert abs(manifest["counts"]["documents_kept"] - chances.sum()) < 4 * deviation


def test_a_moved_model_is_the_same_and_another_is_not(source: Path, model: Path, tmp_path: Path) -> None:
    score_documents([source], tmp_path / "out", options(model), workers=1)
    shutil.copytree(model, tmp_path / "moved")
    score_documents([source], tmp_path / "out", options(tmp_path / "moved"), workers=1)
    with pytest.raises(ZeroToOneError, match=r"classifier\.label was 'positive', is 'negative'"):
        score_documents([source], tmp_path / "out", ScoreOptions(str(model), label="negative"), workers=1)


def test_wrong_usage(source: Path, model: Path, tmp_path: Path) -> None:
    for wrong in (
        ScoreOptions(str(model), name="text"),
        ScoreOptions(str(model), name=" "),
        ScoreOptions(str(model), normalisation=Normalisation()),
        ScoreOptions(str(model), label="x"),
        options(model, above=2.0),
    ):
        with pytest.raises(UsageError):
            score_documents([source], tmp_path / "out", wrong, workers=1)
    assert not (tmp_path / "out").exists()


def test_nothing_left_says_why(source: Path, model: Path, tmp_path: Path) -> None:
    rows = [{"id": f"{number}", "text": " "} for number in range(3)]
    blank = write(tmp_path / "blank.jsonl", rows)
    for keep in ({"above": 0.0}, {"quantile": 0.5}, {"pareto": 9.0}):
        with pytest.raises(ZeroToOneError, match="no documents left; quality_no_text took 3"):
            score_documents([blank], tmp_path / "-".join(keep), options(model, **keep), workers=1)
    assert score_documents([blank], tmp_path / "all", options(model), workers=1)["scores"] == {"without": 3}
