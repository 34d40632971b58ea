"""The verb `corpus dedup`: each method's options, and the function that it calls."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from corpus.core import options
from corpus.core.console import log, print_summary
from corpus.core.errors import UsageError
from corpus.duplicates.dedup import METHODS, dedup_documents
from corpus.duplicates.dedup_substring import dedup_substrings
from corpus.duplicates.document_keys import CASE
from corpus.duplicates.keep import CHOICES
from corpus.duplicates.matching import PRESETS, Matching, choose_matching

_PREDICTED = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)

# The methods that an option belongs to; those that are not here belong to all.
_METHODS_OF = {
    "normalise": ("exact",),
    "threshold": ("minhash",),
    "ngram": ("minhash",),
    "preset": ("minhash",),
    "bands": ("minhash",),
    "rows": ("minhash",),
    "keep": ("exact", "url", "minhash", "substring"),
    "length_threshold": ("substring",),
    "length_unit": ("substring",),
    "remove": ("substring",),
}
_ALL_METHODS = (*METHODS, "substring")
_LABELS = {
    "documents_in": "documents in",
    "documents_kept": "documents kept",
    "documents_cut": "documents that lost spans",
    "spans": "spans",
    "characters_removed": "characters removed",
    "clusters": "clusters of two or more",
    "largest_cluster": "largest cluster",
    "duplicate_ids": "documents with an id seen before",
}


def dedup(
    context: typer.Context,
    inputs: options.Documents,
    output: options.Dataset,
    method: Annotated[
        str,
        typer.Option(
            help="exact (same text), url (same page), minhash (near duplicates) or substring (repeated spans); "
            "see below."
        ),
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
        str | None, typer.Option(help=f"Bands, words a shingle and threshold of a recipe: {', '.join(PRESETS)}.")
    ] = None,
    bands: Annotated[int | None, typer.Option(help="Bands of a signature, with --rows.")] = None,
    rows: Annotated[int | None, typer.Option(help="Hashes a band.")] = None,
    keep: Annotated[str, typer.Option(help=f"Which member of a cluster stays: {CHOICES}.")] = "first",
    normalise: Annotated[
        str,
        typer.Option(
            help="exact: what does not count in a text. none: all counts. space: runs of white space are one "
            "space. case: so, and case and width of letters (Unicode NFKC, lower case). letters: only letters, "
            "marks and digits count, so compared."
        ),
    ] = CASE,
    length_threshold: Annotated[
        int, typer.Option(help="substring: tokens, or characters, of the shortest repeated span that goes.")
    ] = 50,
    length_unit: Annotated[str, typer.Option(help="substring: tokens or characters.")] = "tokens",
    remove: Annotated[str, typer.Option(help="substring: span, or the document that has one.")] = "span",
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

    --keep: newest goes by the column date, priority:FILE by the domains in a
    file, the preferred first.

    --method url: what does not count is http or https, www., ports 80 and 443,
    slashes at the end, fragments (unless they begin with ! or /), the order of
    parameters, and parameters that track (utm_..., gclid, fbclid, spm...) or
    name a session. The case of paths counts. Documents without a URL stay.

    --method substring: what stands before in the input, exactly so and at
    least --length-threshold tokens long, is cut out, and recorded in spans/.
    A token is a word, a Chinese character (of other scripts without spaces,
    too) or a run of one sign; white space must be the same, but does not count.
    Text that a document repeats of itself goes, too. With --keep none the
    first occurrence goes as well. A document of which fewer than 20 characters
    are left is removed.

    Example: corpus dedup filtered/ -o deduped/ --threshold 0.8 --keep newest

    Example: corpus dedup deduped/ -o spans/ --method substring --length-threshold 50
    """
    _check_options(context, method)
    shared: dict[str, Any] = {
        "scope": scope,
        "memory": options.memory_bytes(memory),
        "workers": workers,
        "engine": engine,
        "overwrite": overwrite,
        "strict": strict,
    }
    if method == "minhash":
        _print_prediction(choose_matching(threshold, ngram, preset, bands, rows))
    if method == "substring":
        spans: dict[str, Any] = {
            "length_threshold": length_threshold,
            "length_unit": length_unit,
            "remove": remove,
            "keep": keep,
        }
        manifest = dedup_substrings(inputs, output, **spans, **shared)
    else:
        bounds: dict[str, Any] = {
            "threshold": threshold,
            "ngram": ngram,
            "preset": preset,
            "bands": bands,
            "rows": rows,
        }
        how: dict[str, Any] = {"method": method, "keep": keep, "normalise": normalise}
        manifest = dedup_documents(inputs, output, **how, **bounds, **shared)
    print_summary("dedup", manifest if as_json else _rows(manifest), as_json=as_json)


def _check_options(context: typer.Context, method: str) -> None:
    """Raise UsageError for an unknown method, and for an option that was given although it has no use for it."""
    if method not in _ALL_METHODS:
        raise UsageError(f"unknown --method `{method}`; choose {', '.join(_ALL_METHODS)}")
    for option, methods in _METHODS_OF.items():
        source = context.get_parameter_source(option)
        given = source is not None and source.name == "COMMANDLINE"
        if given and method not in methods:
            raise UsageError(f"--{option.replace('_', '-')} is for --method {' or '.join(methods)}, not {method}")


def _rows(manifest: dict[str, Any]) -> dict[str, object]:
    counts = manifest["counts"]
    rows: dict[str, object] = {label: counts[name] for name, label in _LABELS.items() if name in counts}
    return {
        **rows,
        "removed": manifest["reasons"] or 0,
        "records set aside": counts.get("set_aside", 0),
        "seconds": manifest["seconds"],
    }


def _print_prediction(matching: Matching) -> None:
    """On stderr, what share of pairs of a similarity will be found."""
    banding = matching.banding
    log(f"{banding.bands} bands of {banding.rows}, shingles of {matching.ngram} words; share of pairs, predicted:")
    columns = zip(*(matching.predicted(similarity) for similarity in _PREDICTED), strict=True)
    names = ("Jaccard similarity", "become candidates", f"are joined (from {matching.threshold:g} on)")
    for name, values in zip(names, [_PREDICTED, *columns], strict=True):
        log(f"  {name:<24}" + "".join(f"{value:8.3f}" for value in values))
