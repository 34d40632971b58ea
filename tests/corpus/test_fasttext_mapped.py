"""A mapped model answers as fastText's own code does for the same file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.quality.fasttext_training import TrainingParameters, train_classifier
from corpus.text.fasttext_mapped import MappedModel, open_mapped
from corpus.text.fasttext_model import load_model
from tests.corpus.quality_documents import SMALL, documents

WORDS = ["river", "buy", "Don't", "网易", "杭研", "大厦", "é", "😀", "</s>", "<", "__label__", "__label__x", "ab"]
SPACES = [" ", "  ", "\t", "\v", "\f", "\r", "\u00a0", "\0"]
KINDS = {
    "bigrams": TrainingParameters(dimensions=8, buckets=50, epochs=5, learning_rate=0.5),
    "words": TrainingParameters(word_ngrams=1, dimensions=5, buckets=1, epochs=5, learning_rate=0.5),
    "five-grams": TrainingParameters(word_ngrams=5, dimensions=16, buckets=1 << 12, epochs=5, learning_rate=0.5),
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    rows = [(kind, row["text"]) for kind in ("good", "poor", "other") for row in documents(kind, 40)]
    lines = [f"__label__{kind} {text} {WORDS[number % 8]}" for number, (kind, text) in enumerate(rows)]
    (folder / "lines.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name, parameters in KINDS.items():
        train_classifier(folder / "lines.txt", folder / name, parameters)
    return {name: folder / name for name in KINDS}


def mapped(path: Path) -> MappedModel:
    model = open_mapped(path)
    assert model is not None
    return model


WORD = st.one_of(
    st.sampled_from(WORDS), st.text(st.characters(exclude_characters="\n", codec="utf-8"), max_size=6)
)
LINE = st.lists(st.tuples(WORD, st.sampled_from(SPACES)), max_size=25).map(
    lambda parts: "".join(word + space for word, space in parts)
)


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(st.lists(LINE, min_size=1, max_size=5))
def test_predictions_are_fasttexts(models: dict[str, Path], kind: str, lines: list[str]) -> None:
    ours, theirs = mapped(models[kind]), load_model(models[kind])
    for line, found in zip(lines, ours.probabilities(lines), strict=True):
        expected = {label: min(1.0, value) for value, label in theirs.predict(line + "\n", 3, 0.0, "strict")}
        assert dict(zip(ours.labels, found.tolist(), strict=True)) == pytest.approx(expected, abs=1e-6)


def test_a_line_alone_and_among_others_has_the_same_bytes(models: dict[str, Path]) -> None:
    model = mapped(models["bigrams"])
    lines = [row["text"] for row in documents("good", 30, 3)] + [""]
    together = model.probabilities(lines)
    assert together.tobytes() == b"".join(model.probabilities([line]).tobytes() for line in lines)
    assert together[:, 0].std() > 0
    assert model.probabilities([]).shape == (0, 3)


def test_the_matrix_is_the_files_own_memory(models: dict[str, Path]) -> None:
    model = mapped(models["bigrams"])
    assert np.shares_memory(model.input, model.data)
    assert np.shares_memory(model.output, model.data)
    assert not model.input.flags.writeable


def test_a_quantized_model_is_left_to_fasttext(models: dict[str, Path], tmp_path: Path) -> None:
    lines = models["bigrams"].parent / "lines.txt"
    train_classifier(lines, tmp_path / "model.ftz", TrainingParameters(**{**vars(SMALL), "quantize": True}))
    assert open_mapped(tmp_path / "model.ftz") is None


def test_a_file_written_anew_is_read_anew(models: dict[str, Path], tmp_path: Path) -> None:
    file = tmp_path / "model.bin"
    for name in ("bigrams", "words"):
        file.unlink(missing_ok=True)
        file.write_bytes(models[name].read_bytes())
        assert mapped(file).word_ngrams == KINDS[name].word_ngrams


def test_numbers_that_lead_out_of_the_matrix_are_not_followed(models: dict[str, Path], tmp_path: Path) -> None:
    """The file names more buckets than its matrix has rows."""
    content = bytearray(models["bigrams"].read_bytes())
    content[40:44] = (10**6).to_bytes(4, "little")
    (tmp_path / "model.bin").write_bytes(content)
    assert open_mapped(tmp_path / "model.bin") is None
