"""`corpus quality score`: documents with a classifier's score, and where asked only the better ones.

One pass over the units; to keep a share of all documents, one before it that only scores.
"""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from corpus.core.engine import Parameters, Step, UnitOutput, process_units
from corpus.core.errors import ZeroToOneError
from corpus.core.files import write_atomically
from corpus.core.inputs import Unit, plan_units, read_documents
from corpus.core.output import Manifest, unit_claim
from corpus.core.quarantine import Skipped, nothing_to_read
from corpus.core.workers import run_units, tick
from corpus.quality.classifier import Classifier, open_classifier
from corpus.quality.decided import check_columns, kept_any, read_written, staged_path, write_decided
from corpus.quality.keep import (
    Keep,
    decide_by_pareto,
    decide_by_threshold,
    expected_by_pareto,
    quantile_threshold,
)
from corpus.quality.normalisation import Normalisation

COMMAND = "corpus quality score"
QUANTILES = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
_STAGE = "scores"


@dataclass(frozen=True)
class ScoreOptions:
    """What to score with: `model` is a folder of `corpus quality train` or a model file with its `label` and
    `normalisation`; `name` is the column's; `keep` says which documents stay."""

    model: str
    name: str = "quality"
    label: str | None = None
    normalisation: Normalisation | None = None
    keep: Keep = field(default_factory=Keep)


def score_documents(
    inputs: Sequence[str | Path],
    output: Path,
    options: ScoreOptions,
    *,
    workers: int | None = None,
    engine: str = "local",
    overwrite: bool = False,
    strict: bool = False,
) -> Manifest:
    """Write documents with their scores (0 to 1; null for one without words) and return the manifest.

    `documents/` holds those that stay, `removed/` the others with their `reason`, both with the score. The
    manifest has the distribution of all scores, the threshold that a share means, and how many documents the
    Pareto draw is expected to keep. Raises ZeroToOneError when no document is left; the output stays.
    """
    options.keep.check()
    classifier = open_classifier(options.model, options.label, options.normalisation)
    units = plan_units(inputs)
    check_columns(options.name, [options.name], units)
    parameters = {"classifier": classifier.identity(), "name": options.name, "keep": asdict(options.keep)}
    claim = unit_claim(COMMAND, parameters, inputs, units, output)
    earlier = claim.finished(overwrite)
    if earlier is not None:
        return kept_any(earlier, output)
    threshold = options.keep.above
    if options.keep.quantile is not None:
        tasks = [_ScoreTask(unit, output, classifier, strict) for unit in units]
        waiting = [task for task in tasks if not task.path.exists()]
        run_units(_write_scores, waiting, workers=workers, engine=engine, description=f"{COMMAND}: scoring")
        threshold = quantile_threshold(_staged(tasks), options.keep.quantile)
    step = Step(COMMAND, parameters | {"model_path": classifier.path, "threshold": threshold}, _process)
    counts, reasons = process_units(step, units, output, workers=workers, engine=engine, strict=strict)
    if not counts.get("documents_in"):
        raise nothing_to_read(inputs, units, "documents to read")
    scores = read_written(output, [options.name])[options.name].to_numpy().astype(np.float64)  # null is NaN
    manifest = claim.write_manifest(
        counts=counts,
        reasons=reasons,
        model=os.path.relpath(classifier.path, output),
        scores=_distribution(scores),
        **_meaning(options.keep, threshold, scores),
    )
    shutil.rmtree(output / ".state" / _STAGE, ignore_errors=True)
    return kept_any(manifest, output)


@dataclass(frozen=True)
class _ScoreTask:
    unit: Unit
    output: Path
    classifier: Classifier
    strict: bool

    @property
    def path(self) -> Path:
        return staged_path(self.output, _STAGE, self.unit)


def _write_scores(task: _ScoreTask) -> None:
    """The first pass to a share: a unit's scores, in the order of its documents."""
    scores: list[float | None] = []
    for frame in read_documents(task.unit, Skipped(task.strict), ["text"]):
        scores += task.classifier.score(frame["text"].to_list())
        tick(frame.height)
    with write_atomically(task.path) as temporary:
        pl.DataFrame({"score": scores}, schema={"score": pl.Float64}).write_parquet(temporary)


def _staged(tasks: Sequence[_ScoreTask]) -> npt.NDArray[np.float64]:
    parts = [pl.read_parquet(task.path)["score"] for task in tasks]
    return pl.concat(parts).to_numpy().astype(np.float64)  # null is NaN


def _process(unit: Unit, parameters: Parameters, output: UnitOutput) -> None:
    """Score and decide one unit: the step's function."""
    about, name = parameters["classifier"], parameters["name"]
    normalisation = Normalisation(**about["normalisation"])
    classifier = Classifier(parameters["model_path"], about["sha256"], about["label"], normalisation)
    staged = _staged_of(output.directory, unit)
    row = 0
    for frame in read_documents(unit, output):
        if staged is None:
            scores = pl.Series(name, classifier.score(frame["text"].to_list()), dtype=pl.Float64)
        else:
            scores = staged.slice(row, frame.height).alias(name)
        if scores.len() < frame.height:
            raise ZeroToOneError(f"{unit.path}: changed while it was read; use --overwrite")
        row += frame.height
        write_decided(frame.with_columns(scores), _decide(frame, scores, parameters), output)


def _staged_of(output: Path, unit: Unit) -> pl.Series | None:
    path = staged_path(output, _STAGE, unit)
    return pl.read_parquet(path)["score"] if path.exists() else None


def _decide(frame: pl.DataFrame, scores: pl.Series, parameters: Parameters) -> pl.Series:
    """Per document the reason why it goes, null where it stays."""
    keep = Keep(**parameters["keep"])
    if keep.pareto is not None:
        reasons = decide_by_pareto(scores, frame["id"].to_list(), keep.pareto, keep.seed)
    elif parameters["threshold"] is not None:
        reasons = decide_by_threshold(scores, parameters["threshold"])
    else:
        return pl.Series([None] * frame.height, dtype=pl.String)
    return pl.select(pl.format(f"{parameters['name']}_{{}}", pl.lit(reasons))).to_series()


def _distribution(scores: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Mean and quantiles of the scores, and how many documents have none."""
    known = np.sort(scores[~np.isnan(scores)])
    if not known.size:
        return {"without": int(scores.size)}
    places = {f"{share:g}": float(np.quantile(known, share, method="lower")) for share in QUANTILES}
    return {"mean": float(known.mean()), "without": int(scores.size - known.size), "quantiles": places}


def _meaning(keep: Keep, threshold: float | None, scores: npt.NDArray[np.float64]) -> dict[str, Any]:
    """What the choice came to: the threshold, or the expected number of documents kept."""
    if keep.pareto is not None:
        return {"expected_kept": expected_by_pareto(scores, keep.pareto)}
    return {} if threshold is None or math.isinf(threshold) else {"threshold": threshold}
