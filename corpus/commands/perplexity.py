"""The verb `corpus quality perplexity`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from corpus.core import options
from corpus.core.console import print_summary
from corpus.core.errors import UsageError
from corpus.core.output import Manifest
from corpus.quality.buckets import BUCKETS, NO_PERPLEXITY
from corpus.quality.perplexity import PerplexityOptions, add_perplexities

_SENTENCES = {"line": True, "document": False}


def perplexity(
    inputs: options.Documents,
    output: Annotated[Path, typer.Option("-o", "--output", help="The dataset directory to write.")],
    model: Annotated[
        list[str],
        typer.Option(
            help="LANG=FILE: a KenLM model, binary (workers share its memory), .arpa or .arpa.gz; FILE alone is "
            "for all languages without one of their own; may be repeated."
        ),
    ],
    tokenizer: Annotated[
        list[str] | None,
        typer.Option(
            help="LANG=FILE or FILE: the SentencePiece model that the language model was trained with; without "
            "one, tokens are words (Chinese ones as jieba has them) and punctuation marks; may be repeated."
        ),
    ] = None,
    normalize: Annotated[
        bool,
        typer.Option(help="As CCNet: lower case, no accents, digits as 0, punctuation as ASCII."),
    ] = True,
    sentence: Annotated[
        str,
        typer.Option(
            help="line: every line is a sentence to the model (CCNet's paper); document: all lines run together "
            "are one (its code, to which its published cut-offs belong)."
        ),
    ] = "line",
    percentiles: Annotated[
        str, typer.Option(help="Of a language's perplexities: where head and middle end.")
    ] = "30,60",
    cutoffs: Annotated[
        str | None,
        typer.Option(
            help="Percentiles from this table, not from the input: CCNet's cutoff.csv, or the cutoffs.csv of an "
            "earlier output."
        ),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option(
            help="Buckets that stay, such as head,middle; all by default. `all` is the bucket of documents "
            "without a perplexity."
        ),
    ] = None,
    name: Annotated[str, typer.Option(help="The column; the bucket's is NAME_bucket.")] = "perplexity",
    workers: options.Workers = None,
    engine: options.Engine = "local",
    strict: options.Strict = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Add the perplexity under a KenLM model and its bucket, head, middle or tail of the language, as CCNet does.

    Example: corpus quality perplexity filtered/ --model en=en.arpa.bin --tokenizer en=en.sp.model -o bucketed/
    """
    if sentence not in _SENTENCES:
        raise UsageError(f"unknown --sentence `{sentence}`; choose {' or '.join(_SENTENCES)}")
    chosen = PerplexityOptions(
        model,
        tokenizer or (),
        normalize,
        _SENTENCES[sentence],
        _numbers(percentiles),
        cutoffs,
        () if keep is None else [part.strip() for part in keep.split(",")],
        name,
    )
    manifest = add_perplexities(
        inputs, output, chosen, workers=workers, engine=engine, overwrite=overwrite, strict=strict
    )
    print_summary(f"quality perplexity → {output}", manifest if as_json else _rows(manifest), as_json=as_json)


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"--percentiles {text}: write whole numbers, such as 30,60") from None


def _rows(manifest: Manifest) -> dict[str, Any]:
    """The summary: what went in, went and stayed; then the cut-offs, and each language's buckets."""
    counts = manifest["counts"]
    removed = {reason: -documents for reason, documents in sorted(manifest["reasons"].items())}
    rows = {"documents in": counts["documents_in"], **removed, "documents kept": counts["documents_kept"]}
    if counts.get("set_aside"):
        rows["broken records set aside"] = counts["set_aside"]
    for group, limits in manifest["cut_offs"].items():
        rows[f"perplexity where middle and tail begin ({group})"] = list(limits.values())
    for language, found in manifest["buckets"].items():
        shown = {bucket: found[bucket] for bucket in (*BUCKETS, NO_PERPLEXITY) if bucket in found}
        rows[f"documents ({language})"] = shown
    return rows
