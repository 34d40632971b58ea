"""Training of fastText classifiers (Joulin et al. 2016) with floret, saved as fastText's own model files.

floret is a fork of fastText whose trainer is fastText's; unlike fastText's own package it comes as wheels and has
module names of its own. Its files differ by two integers among the arguments, which are left out here.
"""

from __future__ import annotations

import shutil
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import write_atomically
from corpus.text.fasttext_file import check_model_file

_BEFORE_OWN = 13 * 4  # bytes of floret's file up to its own arguments: mode and number of hashes
_OWN = 2 * 4


@dataclass(frozen=True)
class TrainingParameters:
    """How a classifier is trained; the defaults are fastText's, with word bigrams as DCLM has them."""

    word_ngrams: int = 2
    dimensions: int = 100
    epochs: int = 5
    learning_rate: float = 0.1
    buckets: int = 2_000_000
    threads: int = 1
    seed: int = 0
    quantize: bool = False

    def check(self) -> None:
        """Raise UsageError for a value that makes no sense."""
        counts = ("word_ngrams", "dimensions", "epochs", "buckets", "threads")
        wrong = [name for name in counts if getattr(self, name) < 1]
        if wrong:
            raise UsageError(f"--{wrong[0].replace('_', '-')} must be at least 1")
        if not 0 < self.learning_rate <= 10:
            raise UsageError("--learning-rate must lie between 0 and 10")
        if not 0 <= self.seed < 2**31:
            raise UsageError("--seed must lie between 0 and 2,147,483,647")


def train_classifier(lines: Path, model: Path, parameters: TrainingParameters) -> None:
    """Train on a file with a `__label__NAME` and words on each line; write the model file `model`.

    The same bytes for the same input, seed and one thread. With `quantize`, fastText's compression (.ftz).
    Raises ZeroToOneError without floret and where training fails.
    """
    floret = _floret()
    trained = _in_thread(lambda: _train(floret, lines, parameters))
    raw = model.with_name(f".{model.name}.floret.tmp")
    with write_atomically(model) as temporary:
        try:
            trained.save_model(str(raw))
            _check_saved(raw)
            with raw.open("rb") as source, temporary.open("wb") as target:
                target.write(source.read(_BEFORE_OWN))
                source.seek(_OWN, 1)
                shutil.copyfileobj(source, target, 2**20)
        finally:
            raw.unlink(missing_ok=True)


def _floret() -> Any:
    try:
        import floret
    except ImportError:
        raise ZeroToOneError("training a classifier needs the package floret: pip install floret") from None
    return floret


def _train(floret: Any, lines: Path, parameters: TrainingParameters) -> Any:
    try:
        trained = floret.train_supervised(
            str(lines),
            wordNgrams=parameters.word_ngrams,
            dim=parameters.dimensions,
            epoch=parameters.epochs,
            lr=parameters.learning_rate,
            bucket=parameters.buckets,
            thread=parameters.threads,
            seed=parameters.seed,
            verbose=2 if sys.stderr.isatty() else 0,  # its own line of progress
        )
        if parameters.quantize:
            trained.quantize(verbose=0)
    except (ValueError, RuntimeError, MemoryError) as error:
        raise ZeroToOneError(f"training failed: {error}; try a lower --learning-rate or fewer --buckets") from None
    return trained


def _check_saved(raw: Path) -> None:
    try:
        check_model_file(raw, more_arguments=_OWN)
    except ZeroToOneError:
        # The trainer does not notice that writing failed.
        raise ZeroToOneError(f"{raw}: disk full; free some space and run the same command again") from None


def _in_thread(function: Any) -> Any:
    """The result of a function of compiled code; Ctrl-C is answered while it runs."""
    results: list[Any] = []
    errors: list[BaseException] = []

    def call() -> None:
        try:
            results.append(function())
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.2)
    if errors:
        raise errors[0]
    return results[0]
