"""fastText models read and asked: what language identification and quality classifiers share.

The binding under fastText's Python class is called directly: the class's `predict` asks numpy for a copy that
numpy 2 refuses, and its loader prints a warning. The binding's call for many lines returns no probabilities.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from corpus.core.errors import ZeroToOneError
from corpus.core.files import file_hash
from corpus.text.fasttext_file import check_model_file

LABEL = "__label__"


def load_model(path: Path, sha256: str = "") -> Any:
    """Read a model file, once in a process until it is another; with `sha256` only one that has this hash.

    Raises ZeroToOneError for a file that is no fastText model or another than expected.
    """
    return _load(str(path), sha256.lower(), file_state(path))


def file_state(path: Path) -> tuple[int, ...]:
    """What changes when a file is written anew (nothing where there is none): a key for what was read from it."""
    try:
        about = path.stat()
    except OSError:
        return ()
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns


@lru_cache(maxsize=3)
def _load(path: str, sha256: str, _: tuple[int, ...]) -> Any:
    # Imported here: the import maps a shared library that only these steps need.
    import fasttext_pybind

    check_model_file(Path(path))
    if sha256 and (found := file_hash(Path(path))) != sha256:
        raise ZeroToOneError(f"{path}: its SHA-256 is {found}, not {sha256}")
    model = fasttext_pybind.fasttext()
    try:
        model.loadModel(path)
    except (ValueError, RuntimeError, MemoryError) as error:
        raise ZeroToOneError(f"{path}: not a fastText classifier: {error}") from None
    return model


def labels(model: Any) -> list[str]:
    """All labels of a model, without `__label__`."""
    # Below any probability: all. (fasttext-predict's binding has no list of them.)
    return [label.removeprefix(LABEL) for _, label in model.predict("\n", 100_000, -1.0, "replace")]


def top_label(model: Any, line: str) -> tuple[str, float]:
    """The most likely label of a line, without `__label__`, and its probability; ("", 0) for an empty line."""
    found = model.predict(line + "\n", 1, 0.0, "replace") if line else []
    score, label = found[0] if found else (0.0, "")
    return label.removeprefix(LABEL), min(1.0, score)


def one_line(text: str) -> str:
    """The text with white space as single blanks: fastText reads to the first line break.

    Lone surrogates, which it does not take, become question marks.
    """
    line = " ".join(text.replace("\0", " ").split())
    return line.encode("utf-8", "replace").decode("utf-8")
