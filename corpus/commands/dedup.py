"""The verb `corpus dedup`: each method's options, and the function that it calls."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from corpus.core import options
from corpus.core.console import print_summary
from corpus.core.errors import UsageError
from corpus.duplicates.dedup import METHODS, dedup_documents
from corpus.duplicates.dedup_lines import dedup_lines
from corpus.duplicates.document_keys import CASE
from corpus.duplicates.keep import CHOICES

# The methods that an option belongs to; those that are not here belong to all.
_METHODS_OF = {
    "normalise": ("exact",),
    "threshold": ("minhash",),
    "ngram": ("minhash",),
    "keep": ("exact", "url", "minhash", "line"),
}
_ALL_METHODS = (*METHODS, "line")
_LABELS = {
    "documents_in": "documents in",
    "documents_kept": "documents kept",
    "documents_removed": "documents removed",
    "documents_without_url": "documents without a URL",
    "documents_cut": "documents that lost lines",
    "lines": "lines in",
    "lines_removed": "lines removed",
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
        typer.Option(help="exact (same text), url (same page), minhash (near duplicates) or line (lines)."),
    ] = "minhash",
    threshold: Annotated[
        float, typer.Option(help="Jaccard similarity of near duplicates; 0.8 means FineWeb's 14 bands of 8.")
    ] = 0.8,
    ngram: Annotated[int, typer.Option(help="Words a shingle; a Chinese or Japanese character is a word.")] = 5,
    keep: Annotated[str, typer.Option(help=f"Which member of a cluster stays: {CHOICES}.")] = "first",
    normalise: Annotated[
        str,
        typer.Option(
            help="exact: what does not count in a text. none: all counts. space: runs of white space are one "
            "space. case: so, and case and width of letters (Unicode NFKC, lower case). letters: only letters, "
            "marks and digits count, so compared."
        ),
    ] = CASE,
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
    """Keep one document of every cluster of duplicates, with the evidence in clusters/;
    with --method line take out of the documents what occurred before, which goes to lines/.

    --keep: newest goes by the column date, priority:FILE by the domains in a
    file, the preferred first.

    --method url: what does not count is http or https, www., ports 80 and 443,
    slashes at the end, fragments (unless they begin with ! or /), the order of
    parameters, and parameters that track (utm_..., gclid, fbclid, spm...) or
    name a session. The case of paths counts. Documents without a URL stay.

    --method line: CCNet's. A line that occurred before, in the same document or an
    earlier one, goes; case, digits (each is 0), punctuation and white space do not
    count. Lines without letters or digits stay. With --keep none the first
    occurrence goes, too, as in CCNet's pipeline. A document of which no line with
    a letter or digit stays is removed.

    Example: corpus dedup filtered/ -o deduped/ --threshold 0.8 --keep newest
    """
    _check_options(context, method)
    shared = {
        "scope": scope,
        "memory": options.memory_bytes(memory),
        "workers": workers,
        "engine": engine,
        "overwrite": overwrite,
        "strict": strict,
    }
    if method == "line":
        manifest = dedup_lines(inputs, output, keep=keep, **shared)
    else:
        how = {"threshold": threshold, "ngram": ngram, "keep": keep, "normalise": normalise}
        manifest = dedup_documents(inputs, output, method=method, **how, **shared)
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
    reasons = {"removed, by reason": manifest["reasons"]} if manifest["reasons"] else {}
    return rows | reasons | {"records set aside": counts.get("set_aside", 0), "seconds": manifest["seconds"]}
