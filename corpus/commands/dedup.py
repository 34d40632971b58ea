"""The verb `corpus dedup`."""

from __future__ import annotations

from typing import Annotated

import typer

from corpus.core import options
from corpus.core.console import print_summary
from corpus.duplicates.dedup import dedup_documents
from corpus.duplicates.keep import CHOICES


def dedup(
    inputs: options.Documents,
    output: options.Dataset,
    method: Annotated[
        str,
        typer.Option(help="exact (same text but for case, width and white space) or minhash (near duplicates)."),
    ] = "minhash",
    threshold: Annotated[
        float, typer.Option(help="Jaccard similarity of near duplicates; 0.8 means FineWeb's 14 bands of 8.")
    ] = 0.8,
    ngram: Annotated[int, typer.Option(help="Words a shingle; a Chinese or Japanese character is a word.")] = 5,
    keep: Annotated[str, typer.Option(help=f"Which member of a cluster stays: {CHOICES}.")] = "first",
    scope: Annotated[str, typer.Option(help="all, or a column in which duplicates must agree.")] = "all",
    memory: Annotated[
        str, typer.Option(help="What finding the clusters may hold at once; the result does not depend on it.")
    ] = "4G",
    workers: options.Workers = None,
    engine: options.Engine = "local",
    strict: options.Strict = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Keep one document of every cluster of duplicates, with the evidence in clusters/.

    newest goes by the column date, priority:FILE by the domains in a file, the preferred first.

    Example: corpus dedup filtered/ -o deduped/ --threshold 0.8 --keep newest
    """
    manifest = dedup_documents(
        inputs,
        output,
        method=method,
        threshold=threshold,
        ngram=ngram,
        keep=keep,
        scope=scope,
        memory=options.memory_bytes(memory),
        workers=workers,
        engine=engine,
        overwrite=overwrite,
        strict=strict,
    )
    counts = manifest["counts"]
    rows = {
        "documents in": counts["documents_in"],
        "documents kept": counts["documents_kept"],
        "removed": manifest["reasons"] or 0,
        "clusters of two or more": counts["clusters"],
        "largest cluster": counts["largest_cluster"],
        "documents with an id seen before": counts["duplicate_ids"],
        "records set aside": counts.get("set_aside", 0),
        "seconds": manifest["seconds"],
    }
    print_summary("dedup", manifest if as_json else rows, as_json=as_json)
