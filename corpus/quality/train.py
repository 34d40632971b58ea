"""`corpus quality train`: a classifier from documents that are wanted and documents that are not.

Three stages, each resumable: every document becomes a line, those to train on are chosen, the model is trained
and measured on documents that it has not seen. The lines that are trained on are held in memory once.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import file_hash, stable_fraction, text_hash, write_atomically
from corpus.core.inputs import Unit, plan_units, read_documents
from corpus.core.output import Claim, Manifest, unit_claim
from corpus.core.quarantine import Skipped, nothing_to_read
from corpus.core.workers import run_units, tick
from corpus.quality.classifier import TRAIN_COMMAND, score_lines
from corpus.quality.fasttext_training import TrainingParameters, train_classifier
from corpus.quality.measures import at_thresholds, calibration, calibration_error, roc_auc
from corpus.quality.normalisation import Normalisation
from corpus.quality.sampling import choose
from corpus.text.fasttext_model import LABEL

CLASSES = ("positive", "negative")
_STAGE = "lines"
_LINES = pl.Schema(
    {
        "label": pl.String(),
        "line": pl.String(),
        "hash": pl.String(),
        "held_out": pl.Boolean(),
        "order": pl.Float64(),
    }
)


@dataclass(frozen=True)
class TrainOptions:
    """What to train on: `held_out` is the share of documents to measure with, `sample` how many of each class."""

    training: TrainingParameters = field(default_factory=TrainingParameters)
    normalisation: Normalisation = field(default_factory=Normalisation)
    held_out: float = 0.1
    sample: int | None = None

    def check(self) -> None:
        """Raise UsageError for a value that makes no sense."""
        self.training.check()
        if not 0 <= self.held_out < 1:
            raise UsageError("--held-out must lie between 0 and 1, and 1 is too much")
        if self.sample is not None and self.sample < 1:
            raise UsageError("--sample must be at least 1")


@dataclass(frozen=True)
class _LineTask:
    unit: Unit
    output: Path
    label: str
    options: TrainOptions
    strict: bool

    @property
    def path(self) -> Path:
        return self.output / ".state" / _STAGE / f"{self.label}-{self.unit.index:05d}.parquet"


def train_quality(
    positive: Sequence[str | Path],
    negative: Sequence[str | Path],
    output: Path,
    options: TrainOptions = TrainOptions(),
    *,
    workers: int | None = None,
    engine: str = "local",
    overwrite: bool = False,
    strict: bool = False,
) -> Manifest:
    """Train a fastText classifier on two kinds of documents into a folder and return its manifest.

    The folder holds `model.bin` (quantized: `model.ftz`), which any fastText opens, and `manifest.json` with the
    normalisation, the model's hash and the measures on held-out documents. Which documents are held out and which
    are sampled depends on their ids and the seed alone. A text that both classes have is left out, and one that a
    class has twice is taken once: so nothing that is trained on is measured with.
    Raises ZeroToOneError where a class has no documents left to train on.
    """
    options.check()
    units = {label: plan_units(inputs) for label, inputs in zip(CLASSES, (positive, negative), strict=True)}
    claim = _claim(positive, negative, units, output, options)
    earlier = claim.finished(overwrite)
    if earlier is not None:
        return earlier
    tasks = [_LineTask(unit, output, label, options, strict) for label in CLASSES for unit in units[label]]
    waiting = [task for task in tasks if not task.path.exists()]
    run_units(_write_lines, waiting, workers=workers, engine=engine, description=f"{TRAIN_COMMAND}: reading")
    keys = _read_keys(tasks)
    for label, inputs in zip(CLASSES, (positive, negative), strict=True):
        if not (keys["label"] == label).any():
            raise nothing_to_read(inputs, units[label], f"documents to read (--{label})")
    chosen, counts = choose(keys, options.sample)
    _check_chosen(chosen, counts, output)
    model = output / ("model.ftz" if options.training.quantize else "model.bin")
    _train(tasks, chosen, model, options.training)
    measures = _measure(tasks, chosen, model)
    about = {
        "file": model.name,
        "sha256": file_hash(model),
        "label": CLASSES[0],
        "labels": list(CLASSES),
        "normalisation": asdict(options.normalisation),
    }
    manifest = claim.write_manifest(counts=counts, model=about, measures=measures)
    shutil.rmtree(output / ".state" / _STAGE)
    return manifest


def _claim(
    positive: Sequence[str | Path],
    negative: Sequence[str | Path],
    units: dict[str, list[Unit]],
    output: Path,
    options: TrainOptions,
) -> Claim:
    parameters = {
        **asdict(options.training),
        "normalisation": asdict(options.normalisation),
        "held_out": options.held_out,
        "sample": options.sample,
        "positive_inputs": len(positive),  # the manifest's first inputs; the rest is negative
    }
    parts = [
        unit_claim(TRAIN_COMMAND, parameters, inputs, units[label], output)
        for label, inputs in zip(CLASSES, (positive, negative), strict=True)
    ]
    prints = [*parts[0].fingerprints, *CLASSES[1:], *parts[1].fingerprints]
    size = sum(part.input_bytes for part in parts)
    return Claim(TRAIN_COMMAND, parameters, [*positive, *negative], prints, size, output)


def _write_lines(task: _LineTask) -> None:
    """A unit's documents as lines, each with what the choice needs: two draws and a hash of the line."""
    skipped, options, seed = Skipped(task.strict), task.options, task.options.training.seed
    frames = []
    for frame in read_documents(task.unit, skipped, ["id", "text"]):
        lines = options.normalisation.lines(frame["text"].to_list())
        ids = frame["id"].to_list()
        columns = {
            "label": [task.label] * len(lines),
            "line": lines,
            "hash": [text_hash(line)[:32] for line in lines],
            "held_out": [stable_fraction(f"held out\0{name}", seed) < options.held_out for name in ids],
            "order": [stable_fraction(f"order\0{name}", seed) for name in ids],
        }
        frames.append(pl.DataFrame(columns, schema=_LINES))
        tick(len(lines))
    table = pl.concat([pl.DataFrame(schema=_LINES), *frames])
    with write_atomically(task.path) as temporary:
        table.write_parquet(temporary, compression="zstd", compression_level=1)


def _read_keys(tasks: Sequence[_LineTask]) -> pl.DataFrame:
    """All rows without their lines; `task` and `row` say where each line is."""
    columns = ["label", "hash", "held_out", "order", pl.col("line").str.len_bytes().alias("bytes")]
    parts = [
        pl.scan_parquet(task.path)
        .select(columns)
        .with_row_index("row")
        .with_columns(task=pl.lit(number))
        .collect()
        for number, task in enumerate(tasks)
    ]
    return pl.concat(parts)


def _check_chosen(chosen: pl.DataFrame, counts: dict[str, int], output: Path) -> None:
    for label in CLASSES:
        if chosen.filter((pl.col("label") == label) & ~pl.col("held_out")).is_empty():
            left_out = ", ".join(
                f"{counts[f'{label}_{why}']:,} {why.replace('_', ' ')}"
                for why in ("empty", "in_both", "duplicates", "held_out")
            )
            raise ZeroToOneError(f"{output}: no documents to train on in --{label} ({left_out})")


def _lines(tasks: Sequence[_LineTask], chosen: pl.DataFrame) -> pl.DataFrame:
    """The chosen rows with their lines, in an order that depends on the documents' ids alone."""
    parts = [chosen.clear().with_columns(line=pl.lit(None, dtype=pl.String))]
    for (number,), rows in chosen.partition_by("task", as_dict=True).items():
        lines = pl.read_parquet(tasks[int(number)].path, columns=["line"])["line"]
        parts.append(rows.with_columns(lines.gather(rows["row"])))
    return pl.concat(parts).sort("order", "hash")


def _train(tasks: Sequence[_LineTask], chosen: pl.DataFrame, model: Path, parameters: TrainingParameters) -> None:
    table = _lines(tasks, chosen.filter(~pl.col("held_out")))
    file = model.parent / ".state" / _STAGE / "train.txt"
    with write_atomically(file) as temporary, temporary.open("w", encoding="utf-8") as handle:
        for label, line in table.select("label", "line").iter_rows():
            handle.write(f"{LABEL}{label} {line}\n")
    del table
    train_classifier(file, model, parameters)


def _measure(tasks: Sequence[_LineTask], chosen: pl.DataFrame, model: Path) -> dict[str, Any]:
    """The measures of the saved model on the held-out documents."""
    table = _lines(tasks, chosen.filter("held_out"))
    scores = table.with_columns(
        score=pl.Series(score_lines(str(model), CLASSES[0], table["line"].to_list()), dtype=pl.Float64)
    )
    positive, negative = (
        scores.filter(pl.col("label") == label)["score"].to_numpy().astype(np.float64) for label in CLASSES
    )
    groups = calibration(positive, negative)
    return {
        "held_out_positive": positive.size,
        "held_out_negative": negative.size,
        "roc_auc": roc_auc(positive, negative),
        "calibration_error": calibration_error(groups),
        "thresholds": at_thresholds(positive, negative),
        "calibration": groups,
    }
