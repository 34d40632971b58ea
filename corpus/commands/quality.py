"""The verbs of `corpus quality`: `train` and `score`; `perplexity` has a file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from corpus.commands.perplexity import perplexity
from corpus.core import options
from corpus.core.console import print_summary, program_of
from corpus.core.errors import UsageError
from corpus.core.output import Manifest
from corpus.quality.fasttext_training import TrainingParameters
from corpus.quality.keep import Keep
from corpus.quality.normalisation import Normalisation
from corpus.quality.score import ScoreOptions, score_documents
from corpus.quality.train import CLASSES, TrainOptions, train_quality

_TEXTS = {"words": True, "line": False}


def quality() -> typer.Typer:
    """The program behind `corpus quality`."""
    text = "Learned quality: train, score, bucket by perplexity. Example: corpus quality train --help"
    return program_of(text, (train, score, perplexity))


def train(
    positive: Annotated[list[str], typer.Option(help="Documents that are wanted; may be repeated.")],
    negative: Annotated[list[str], typer.Option(help="Documents that are not; may be repeated.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder to write.")],
    sample: Annotated[
        int | None,
        typer.Option(help="Documents of each class (at most as many as the smaller has); all by default."),
    ] = None,
    held_out: Annotated[float, typer.Option(help="The share of documents to measure with.")] = 0.1,
    text: Annotated[str, typer.Option(help="words: words apart, Chinese ones too; line: one line.")] = "words",
    lower_case: Annotated[bool, typer.Option(help="Train on lower-case text.")] = True,
    word_ngrams: Annotated[int, typer.Option(help="Words in the longest n-gram.")] = 2,
    dimensions: Annotated[int, typer.Option(help="Numbers in a word vector.")] = 100,
    epochs: Annotated[int, typer.Option(help="Passes over the training documents.")] = 5,
    learning_rate: Annotated[float, typer.Option(help="At the start; it falls to 0.")] = 0.1,
    buckets: Annotated[int, typer.Option(help="Vectors that all n-grams share.")] = 2_000_000,
    threads: Annotated[int, typer.Option(help="More than one is faster, and not the same bytes twice.")] = 1,
    quantize: Annotated[bool, typer.Option("--quantize", help="Write a compressed model (.ftz).")] = False,
    seed: Annotated[int, typer.Option(help="Of the held-out part, the sample and the training.")] = 0,
    workers: options.Workers = None,
    engine: options.Engine = "local",
    strict: options.Strict = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Train a fastText classifier that tells wanted documents from others, and measure it on held-out ones.

    Example: corpus quality train --positive wiki/ --negative crawl/ -o classifier/
    """
    training = TrainingParameters(word_ngrams, dimensions, epochs, learning_rate, buckets, threads, seed, quantize)
    manifest = train_quality(
        positive,
        negative,
        output,
        TrainOptions(training, _normalisation(text, lower_case), held_out, sample),
        workers=workers,
        engine=engine,
        overwrite=overwrite,
        strict=strict,
    )
    print_summary(f"quality train → {output}", manifest if as_json else _trained(manifest), as_json=as_json)


def score(
    inputs: options.Documents,
    output: options.Dataset,
    model: Annotated[str, typer.Option(help="A folder of `corpus quality train`, or a fastText model file.")],
    name: Annotated[str, typer.Option(help="The column of the score.")] = "quality",
    label: Annotated[
        str | None, typer.Option(help="Whose probability is the score; a model file needs it.")
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="With a model file, line (default) or words: how texts become its lines.")
    ] = None,
    lower_case: Annotated[
        bool, typer.Option("--lower-case", help="With a model file: ask in lower case.")
    ] = False,
    keep_above: Annotated[float | None, typer.Option(help="Keep documents with at least this score.")] = None,
    keep_quantile: Annotated[float | None, typer.Option(help="Keep this share of all, the best.")] = None,
    keep_pareto: Annotated[
        float | None, typer.Option(help="Keep by GPT-3's draw, pareto(A) > 1 - score; 9 there.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the draw.")] = 0,
    workers: options.Workers = None,
    engine: options.Engine = "local",
    strict: options.Strict = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Add a classifier's score to documents; keep all, or the better ones.

    Example: corpus quality score filtered/ --model classifier/ -o scored/ --keep-quantile 0.1
    """
    asked = text is not None or lower_case
    normalisation = _normalisation(text or "line", lower_case) if asked else None
    chosen = ScoreOptions(model, name, label, normalisation, Keep(keep_above, keep_quantile, keep_pareto, seed))
    manifest = score_documents(
        inputs, output, chosen, workers=workers, engine=engine, overwrite=overwrite, strict=strict
    )
    print_summary(f"quality score → {output}", manifest if as_json else _scored(manifest), as_json=as_json)


def _normalisation(text: str, lower_case: bool) -> Normalisation:
    if text not in _TEXTS:
        raise UsageError(f"unknown --text `{text}`; choose {' or '.join(_TEXTS)}")
    return Normalisation(_TEXTS[text], lower_case)


def _trained(manifest: Manifest) -> dict[str, Any]:
    """The summary of training: what of each class was used, and the measures."""
    counts, measures = manifest["counts"], manifest["measures"]
    parts = ("documents_in", "trained_on", "held_out")
    used = {f"{name} (in, trained on, held out)": [counts[f"{name}_{part}"] for part in parts] for name in CLASSES}
    rows: dict[str, Any] = {**used, "model": manifest["model"]["file"], "ROC AUC": measures["roc_auc"]}
    rows["calibration error"] = measures["calibration_error"]
    for row in measures["thresholds"]:
        kept = {part: row[part] for part in ("precision", "recall", "kept")}
        rows[f"score ≥ {row['threshold']:g}"] = kept
    return rows


def _scored(manifest: Manifest) -> dict[str, Any]:
    """The summary of scoring: what went in, went and stayed, and the distribution of scores."""
    counts, scores = manifest["counts"], manifest["scores"]
    removed = {reason: -documents for reason, documents in sorted(manifest["reasons"].items())}
    rows = {"documents in": counts["documents_in"], **removed, "documents kept": counts["documents_kept"]}
    if counts.get("set_aside"):
        rows["broken records set aside"] = counts["set_aside"]
    for entry, name in (("threshold", "threshold"), ("expected_kept", "documents expected to stay")):
        if entry in manifest:
            rows[name] = manifest[entry]
    if "quantiles" in scores:
        rows["mean score"] = scores["mean"]
        rows["scores at quantiles"] = scores["quantiles"]
    return rows
