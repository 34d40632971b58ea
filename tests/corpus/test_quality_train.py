"""Training of classifiers: what is trained on, what is measured, and that the file is fastText's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.core.errors import UsageError, ZeroToOneError
from corpus.quality.classifier import PUBLISHED, open_classifier
from corpus.quality.measures import at_thresholds, calibration, calibration_error, roc_auc
from corpus.quality.normalisation import Normalisation
from corpus.quality.sampling import choose
from corpus.quality.train import TrainOptions, train_quality
from corpus.text.fasttext_file import check_model_file
from tests.corpus.quality_documents import SMALL, documents, small_classifier, write

OPTIONS = TrainOptions(SMALL, held_out=0.25)
SCORES = st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.5, 0.9, 1.0]), max_size=12)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_classifier(tmp_path_factory.mktemp("classifier"))


@given(SCORES, SCORES)
def test_roc_auc_counts_pairs(positive: list[float], negative: list[float]) -> None:
    found = roc_auc(np.array(positive), np.array(negative))
    pairs = [(a > b) + (a == b) / 2 for a in positive for b in negative]
    assert found == (pytest.approx(sum(pairs) / len(pairs)) if pairs else None)


@given(SCORES, SCORES)
def test_measures_at_thresholds(positive: list[float], negative: list[float]) -> None:
    for row in at_thresholds(np.array(positive), np.array(negative)):
        kept = [score >= row["threshold"] for score in positive]
        wrong = [score >= row["threshold"] for score in negative]
        assert row["recall"] == (sum(kept) / len(kept) if kept else None)
        total = sum(kept) + sum(wrong)
        assert row["precision"] == (sum(kept) / total if total else None)


def test_calibration_of_scores_that_mean_what_they_say() -> None:
    draw = np.random.default_rng(0)
    scores = draw.random(20_000)
    truth = draw.random(20_000) < scores
    groups = calibration(scores[truth], scores[~truth])
    assert [group["documents"] for group in groups] == [2000] * 10
    assert calibration_error(groups) < 0.02
    squared = calibration(scores[truth] ** 4, scores[~truth] ** 4)
    assert calibration_error(squared) > 0.2


def test_measures_and_files(model: Path) -> None:
    manifest = json.loads((model / "manifest.json").read_text())
    counts, measures = manifest["counts"], manifest["measures"]
    assert counts["positive_documents_in"] == counts["positive_trained_on"] + counts["positive_held_out"] == 200
    assert measures["held_out_positive"] == counts["positive_held_out"] > 5
    assert measures["roc_auc"] > 0.95
    check_model_file(model / "model.bin")
    assert sorted(path.name for path in model.iterdir()) == [".state", "manifest.json", "model.bin"]
    assert [path.name for path in (model / ".state").iterdir()] == ["claim.json"]


def test_labels_without_meaning_cannot_be_learnt(tmp_path: Path) -> None:
    """The measure is honest: on two classes of the same documents the held-out AUC is near one half."""
    a, b = (write(tmp_path / f"{seed}.jsonl", documents("good", 400, seed)) for seed in (1, 2))
    manifest = train_quality([a], [b], tmp_path / "out", OPTIONS, workers=1)
    assert 0.3 < manifest["measures"]["roc_auc"] < 0.7


def test_the_same_bytes_for_any_number_of_workers_and_order_of_rows(tmp_path: Path) -> None:
    good, poor = documents("good", 90), documents("poor", 90)
    for name, rows in (("a", good), ("b", good[::-1])):
        for part in range(3):
            write(tmp_path / name / f"{part}.jsonl", rows[part::3])
    negative = write(tmp_path / "poor.jsonl", poor)
    models = []
    for source, workers in (("a", 1), ("a", 2), ("b", 1)):
        out = tmp_path / f"{source}{workers}"
        train_quality([tmp_path / source], [negative], out, OPTIONS, workers=workers)
        models.append((out / "model.bin").read_bytes())
    assert models[0] == models[1] == models[2]
    other = replace(OPTIONS, training=replace(SMALL, seed=1))
    train_quality([tmp_path / "a"], [negative], tmp_path / "seed", other, workers=1)
    assert (tmp_path / "seed" / "model.bin").read_bytes() != models[0]


def test_texts_of_both_classes_and_repeated_ones_are_left_out(tmp_path: Path) -> None:
    good, poor = documents("good", 60), documents("poor", 60)
    shared = [
        {**good[number], "id": f"shared-{number}", "text": good[number]["text"].upper()} for number in range(5)
    ]
    again = [{**poor[number], "id": f"again-{number}"} for number in range(7)]
    empty = [{"id": f"empty-{number}", "text": " \n\0", "mine": ""} for number in range(3)]
    positive = write(tmp_path / "good.jsonl", good + empty)
    negative = write(tmp_path / "poor.jsonl", poor + shared + again)
    counts = train_quality([positive], [negative], tmp_path / "out", OPTIONS, workers=1)["counts"]
    assert (counts["positive_empty"], counts["positive_in_both"]) == (3, 5)
    assert (counts["negative_in_both"], counts["negative_duplicates"]) == (5, 7)
    assert counts["positive_trained_on"] + counts["positive_held_out"] == 55
    assert counts["negative_trained_on"] + counts["negative_held_out"] == 60


def keys(sizes: dict[str, int]) -> pl.DataFrame:
    rows = [
        {"task": 0, "row": row, "label": label, "hash": f"{label}{row}", "held_out": row % 4 == 0, "bytes": 1}
        for label, size in sizes.items()
        for row in range(size)
    ]
    return pl.DataFrame(rows).with_columns(order=pl.Series(np.random.default_rng(0).random(len(rows))))


def test_samples_are_balanced_and_nested() -> None:
    every = keys({"positive": 40, "negative": 100})
    chosen = {sample: choose(every, sample)[0] for sample in (10, 20, 1000)}
    for sample, size in ((10, 10), (20, 20), (1000, 40)):
        assert chosen[sample].group_by("label").len()["len"].to_list() == [size, size]
    assert set(chosen[10]["hash"]) <= set(chosen[20]["hash"]) <= set(chosen[1000]["hash"])
    assert choose(every)[0].height == 140


def test_words_apart_chinese_ones_too() -> None:
    lines = Normalisation().lines(
        ["Don't PANIC, 3.5 times!\nOK", "他来到了网易杭研大厦。", "", "\0 \t", "a\ud800b"]
    )
    assert lines == ["do n't panic , 3.5 times ! ok", "他 来到 了 网易 杭研 大厦 。", "", "", "a?b"]
    assert PUBLISHED.lines([" One\n\nline,  as it IS "]) == ["One line, as it IS"]


def test_text_cannot_name_a_label() -> None:
    for line in Normalisation().lines(["a __label__positive b", "__label____label__x", "x__label__y"]):
        assert not any(word.startswith("__label__") for word in line.split())


def test_a_quantized_model_decides_as_the_whole_one(model: Path, tmp_path: Path) -> None:
    options = TrainOptions(replace(SMALL, quantize=True))
    sources = [model.parent / "good.jsonl"], [model.parent / "poor.jsonl"]
    manifest = train_quality(*sources, tmp_path / "out", options, workers=1)
    assert manifest["model"]["file"] == "model.ftz"
    assert manifest["measures"]["roc_auc"] > 0.9
    check_model_file(tmp_path / "out" / "model.ftz")


def test_swapped_classes_are_other_output(model: Path) -> None:
    with pytest.raises(ZeroToOneError, match="holds other output"):
        train_quality([model.parent / "poor.jsonl"], [model.parent / "good.jsonl"], model, TrainOptions(SMALL))


BAD: list[tuple[str, list[dict[str, str]], str]] = [
    ("identical", [{"id": f"{number}", "text": "same"} for number in range(50)], "in --negative"),
    ("empty texts", [{"id": f"{number}", "text": " "} for number in range(50)], "in --negative .*50 empty"),
    ("the other class", documents("good", 200), "in both"),
]


@pytest.mark.parametrize(("name", "rows", "told"), BAD, ids=[name for name, _, _ in BAD])
def test_classes_without_documents(name: str, rows: list[Any], told: str, model: Path, tmp_path: Path) -> None:
    options = replace(OPTIONS, held_out=0.9)  # 9 of 10: the one of the identical ones too
    negative = write(tmp_path / "bad.jsonl", rows)
    with pytest.raises(ZeroToOneError, match=told):
        train_quality([model.parent / "good.jsonl"], [negative], tmp_path / "out", options, workers=1)


def test_a_class_without_a_file_and_wrong_options(model: Path, tmp_path: Path) -> None:
    (tmp_path / "blank.jsonl").write_text("\n")
    good = model.parent / "good.jsonl"
    with pytest.raises(ZeroToOneError, match=r"blank\.jsonl: no documents to read \(--negative\)"):
        train_quality([good], [tmp_path / "blank.jsonl"], tmp_path / "out", OPTIONS, workers=1)
    for wrong in (
        replace(OPTIONS, held_out=1.0),
        replace(OPTIONS, sample=0),
        replace(OPTIONS, training=replace(SMALL, learning_rate=float("nan"))),
        replace(OPTIONS, training=replace(SMALL, dimensions=0)),
    ):
        with pytest.raises(UsageError):
            train_quality([good], [good], tmp_path / "out", wrong)


def test_files_that_are_no_classifiers(model: Path, tmp_path: Path) -> None:
    whole = (model / "model.bin").read_bytes()
    for name, content in {
        "empty": b"",
        "text": b"not a model at all",
        "half": whole[: len(whole) // 2],
        "almost": whole[:-1],
        "more": whole + b"x",
        "vectors": whole[:36] + b"\2" + whole[37:],
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ZeroToOneError, match=f"{tmp_path / name}: "):
            open_classifier(str(tmp_path / name), "positive")
    with pytest.raises(ZeroToOneError, match="no such file"):
        open_classifier(str(tmp_path / "missing"), "positive")


def test_folders_that_are_no_classifiers(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ZeroToOneError, match=r"manifest\.json: no such file"):
        open_classifier(str(tmp_path))
    for content, told in (
        ("[]", "not the manifest"),
        ('{"command": "corpus filter"}', "written by `corpus filter`"),
    ):
        (tmp_path / "manifest.json").write_text(content)
        with pytest.raises(ZeroToOneError, match=told):
            open_classifier(str(tmp_path))
    (tmp_path / "manifest.json").write_bytes((model / "manifest.json").read_bytes())
    whole = bytearray((model / "model.bin").read_bytes())
    whole[-1] ^= 1
    (tmp_path / "model.bin").write_bytes(whole)
    with pytest.raises(ZeroToOneError, match="its SHA-256 differs"):
        open_classifier(str(tmp_path))


def test_labels(model: Path) -> None:
    file = str(model / "model.bin")
    with pytest.raises(UsageError, match=r"--label says .* negative positive"):
        open_classifier(file)
    with pytest.raises(UsageError, match="--label hq: not in"):
        open_classifier(file, "hq")
    good = [row["text"] for row in documents("good", 5, 9)]
    positive, negative = (open_classifier(file, name).score(good) for name in ("__label__positive", "negative"))
    for a, b in zip(positive, negative, strict=True):
        assert a is not None
        assert b is not None
        assert a + b == pytest.approx(1, abs=1e-4)
