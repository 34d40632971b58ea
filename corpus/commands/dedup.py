"""The verb `corpus dedup`."""

from __future__ import annotations

from typing import Annotated

import typer

from corpus.core import options
from corpus.core.console import log, print_summary
from corpus.duplicates.dedup import dedup_documents
from corpus.duplicates.keep import CHOICES
from corpus.duplicates.matching import PRESETS, Matching, choose_matching
from corpus.duplicates.runaway import CRITERIA

_RECIPES = ", ".join(
    f"{name} ({one.banding.bands} × {one.banding.rows}, {one.ngram}, {one.threshold:g})"
    for name, one in PRESETS.items()
)
_CHAINS = "see `corpus report`; --linkage star forms no chains"
_PREDICTED = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


def dedup(
    inputs: options.Documents,
    output: options.Dataset,
    method: Annotated[
        str,
        typer.Option(help="exact (same text but for case, width and white space) or minhash (near duplicates)."),
    ] = "minhash",
    threshold: Annotated[
        float | None,
        typer.Option(help="Jaccard similarity of near duplicates, 0.8 by default; chooses the bands, too."),
    ] = None,
    ngram: Annotated[
        int | None,
        typer.Option(
            help="Words a shingle, 5 by default; a Chinese or Japanese character is a word. "
            "A shorter text is one shingle: it only equals texts of the same words."
        ),
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help=f"Bands × rows, words a shingle, threshold of a recipe: {_RECIPES}.")
    ] = None,
    bands: Annotated[int | None, typer.Option(help="Bands of a signature, with --rows.")] = None,
    rows: Annotated[int | None, typer.Option(help="Hashes a band.")] = None,
    verify: Annotated[
        str,
        typer.Option(
            help="What joins a candidate pair: jaccard (of their shingles), signature (share of equal hashes) "
            "or none (every candidate)."
        ),
    ] = "jaccard",
    linkage: Annotated[
        str | None,
        typer.Option(
            help="star (what is removed resembles what is kept) or single (chains of pairs, as published "
            "recipes have it); star by default, single with --verify none."
        ),
    ] = None,
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

    Clusters of 100 or more, a tenth of them with less than 0.5 of similarity with the kept one, have run away.

    Example: corpus dedup filtered/ -o deduped/ --threshold 0.8 --keep newest
    """
    if method == "minhash":
        _print_prediction(choose_matching(threshold, ngram, preset, bands, rows, verify, linkage))
    manifest = dedup_documents(
        inputs,
        output,
        method=method,
        threshold=threshold,
        ngram=ngram,
        preset=preset,
        bands=bands,
        rows=rows,
        verify=verify,
        linkage=linkage,
        keep=keep,
        scope=scope,
        memory=options.memory_bytes(memory),
        workers=workers,
        engine=engine,
        overwrite=overwrite,
        strict=strict,
    )
    counts = manifest["counts"]
    if counts.get("runaway_clusters"):
        runaway = f"{counts['runaway_clusters']:,}, with {counts['runaway_documents']:,} documents"
        log(f"warning: clusters that have run away ({CRITERIA}): {runaway}; {_CHAINS}")
    summary = {
        "documents in": counts["documents_in"],
        "documents kept": counts["documents_kept"],
        "removed": manifest["reasons"] or 0,
        "clusters of two or more": counts["clusters"],
        "largest cluster": counts["largest_cluster"],
        "clusters that ran away": counts.get("runaway_clusters", 0),
        "documents with an id seen before": counts["duplicate_ids"],
        "records set aside": counts.get("set_aside", 0),
        "seconds": manifest["seconds"],
    }
    print_summary("dedup", manifest if as_json else summary, as_json=as_json)


def _print_prediction(matching: Matching) -> None:
    """On stderr, what share of pairs of a similarity will be found."""
    banding = matching.banding
    log(
        f"{banding.bands} bands of {banding.rows}, {matching.ngram} words a shingle; predicted share of pairs that"
    )
    columns = zip(*(matching.predicted(similarity) for similarity in _PREDICTED), strict=True)
    joined = "are joined, all" if matching.verify == "none" else f"are joined by {matching.verify}"
    names = ("at a Jaccard similarity", "become candidates", joined)
    for name, values in zip(names, [_PREDICTED, *columns], strict=True):
        log(f"  {name:<24}" + "".join(f"{value:8.3f}" for value in values))
