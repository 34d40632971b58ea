"""A fastText classifier ready to score documents: a folder of `corpus quality train`, or any model file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import file_hash, read_json
from corpus.quality.normalisation import Normalisation
from corpus.text.fasttext_file import check_model_file
from corpus.text.fasttext_mapped import open_mapped
from corpus.text.fasttext_model import LABEL, labels, load_model

TRAIN_COMMAND = "corpus quality train"
PUBLISHED = Normalisation(words=False, lower_case=False)  # as DCLM's and most others were trained


@dataclass(frozen=True)
class Classifier:
    """A model file, the label whose probability is the score, and how texts become its lines."""

    path: str
    sha256: str
    label: str
    normalisation: Normalisation

    def identity(self) -> dict[str, Any]:
        """All that the scores depend on: not where the file lies."""
        return {"sha256": self.sha256, "label": self.label, "normalisation": asdict(self.normalisation)}

    def score(self, texts: Sequence[str]) -> list[float | None]:
        """The probability of the label, 0 to 1, for every text; None for a text without words."""
        return score_lines(self.path, self.label, self.normalisation.lines(texts))


def score_lines(path: str, label: str, lines: Sequence[str]) -> list[float | None]:
    """As `Classifier.score`, for lines that are normalised already."""
    wanted = LABEL + label
    mapped = open_mapped(Path(path))
    if mapped is None:
        model = load_model(Path(path))
        every = len(labels(model))
        return [_probability(model, line, every, wanted) if line else None for line in lines]
    # A line without anything known has probability 0, as where fastText answers nothing.
    found = np.nan_to_num(mapped.probabilities(lines)[:, mapped.labels.index(wanted)]).tolist()
    return [score if line else None for score, line in zip(found, lines, strict=True)]


def _probability(model: Any, line: str, every: int, wanted: str) -> float:
    found = model.predict(line + "\n", every, 0.0, "replace")
    return min(1.0, next((score for score, label in found if label == wanted), 0.0))


def _labels(path: Path) -> list[str]:
    mapped = open_mapped(path)
    if mapped is None:
        return labels(load_model(path))
    return [label.removeprefix(LABEL) for label in mapped.labels]


def open_classifier(
    place: str, label: str | None = None, normalisation: Normalisation | None = None
) -> Classifier:
    """The classifier in a folder that `corpus quality train` wrote, or in a model file.

    A file needs its `label` (with or without `__label__`), and texts become its lines as DCLM's unless
    `normalisation` says otherwise; a folder knows both. Raises ZeroToOneError for what is no classifier, or
    another than the folder's manifest names, and UsageError for a label that the model does not have.
    """
    folder = Path(place)
    if not folder.is_dir():
        check_model_file(folder)
        found = _labels(folder)
        return Classifier(place, file_hash(folder), _known(label, found, place), normalisation or PUBLISHED)
    if normalisation is not None:
        raise UsageError(f"{place}: knows how its texts become lines; --text and --lower-case are for model files")
    file = folder / "manifest.json"
    manifest = read_json(file)
    try:
        if manifest["command"] != TRAIN_COMMAND:
            raise ZeroToOneError(f"{place}: written by `{manifest['command']}`, not a classifier")
        about = manifest["model"]
        model, trained_on = folder / Path(about["file"]).name, Normalisation(**about["normalisation"])
        expected, own_label = str(about["sha256"]), str(about["label"])
    except (KeyError, TypeError):
        raise ZeroToOneError(f"{file}: not the manifest of `{TRAIN_COMMAND}`") from None
    check_model_file(model)
    digest = file_hash(model)
    if digest != expected:
        raise ZeroToOneError(f"{model}: not the model that {file} names (its SHA-256 differs)")
    chosen = own_label if label is None else _known(label, _labels(model), str(model))
    return Classifier(str(model), digest, chosen, trained_on)


def _known(label: str | None, found: Sequence[str], place: str) -> str:
    shown = " ".join(sorted(found)[:20])
    if label is None:
        raise UsageError(f"{place}: --label says whose probability is the score; the model has {shown}")
    name = label.removeprefix(LABEL)
    if name not in found:
        raise UsageError(f"--label {label}: not in {place}; the model has {shown}")
    return name
