"""The verb `corpus dedup`: each method's options, and the function that it calls."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from corpus.core import options
from corpus.core.console import log, print_summary
from corpus.core.errors import UsageError
from corpus.duplicates.lines.dedup_bloom import dedup_ngrams
from corpus.duplicates.lines.dedup_lines import dedup_lines
from corpus.duplicates.near.matching import PRESETS, Matching, choose_matching
from corpus.duplicates.spans.dedup_substring import dedup_substrings
from corpus.duplicates.whole.dedup import METHODS, dedup_documents
from corpus.duplicates.whole.document_keys import CASE
from corpus.duplicates.whole.keep import CHOICES
from corpus.duplicates.whole.rehydrate import FINEWEB2
from corpus.duplicates.whole.runaway import CRITERIA

_RECIPES = ", ".join(
    f"{name} ({one.banding.bands} × {one.banding.rows}, {one.ngram}, {one.threshold:g})"
    for name, one in PRESETS.items()
)
_CHAINS = "see `corpus report`; --linkage star forms no chains"
_PREDICTED = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)

# The methods that an option belongs to; those that are not here belong to all.
_METHODS_OF = {
    "normalise": ("exact",),
    "threshold": ("minhash", "bloom"),
    "ngram": ("minhash", "bloom"),
    "preset": ("minhash",),
    "bands": ("minhash",),
    "rows": ("minhash",),
    "verify": ("minhash",),
    "linkage": ("minhash",),
    "false_positive_rate": ("bloom",),
    "expected_ngrams": ("bloom",),
    "keep": ("exact", "url", "minhash", "line", "substring"),
    "against": ("exact", "url", "minhash"),
    "keep_signatures": ("exact", "url", "minhash"),
    "rehydrate": ("exact", "url", "minhash"),
    "length_threshold": ("substring",),
    "length_unit": ("substring",),
    "remove": ("substring",),
}
_ALL_METHODS = (*METHODS, "line", "substring", "bloom")
_LABELS = {
    "documents_in": "documents in",
    "documents_kept": "documents kept",
    "documents_removed": "documents removed",
    "removed_against": "of these, for an earlier corpus",
    "documents_repeated": "documents when repeated",
    "documents_without_url": "documents without a URL",
    "documents_cut": "documents that lost a part",
    "spans": "spans",
    "lines": "lines in",
    "lines_removed": "lines removed",
    "characters_removed": "characters removed",
    "clusters": "clusters of two or more",
    "largest_cluster": "largest cluster",
    "runaway_clusters": "clusters that ran away",
    "duplicate_ids": "documents with an id seen before",
}


def dedup(
    context: typer.Context,
    inputs: options.Documents,
    output: options.Dataset,
    method: Annotated[
        str,
        typer.Option(
            help="exact (same text), url (same page), minhash (near duplicates), line (repeated lines), substring "
            "(repeated spans) or bloom (paragraphs and documents of n-grams seen before); see above."
        ),
    ] = "minhash",
    threshold: Annotated[
        float | None,
        typer.Option(
            help="Jaccard similarity of near duplicates, 0.8 by default; chooses the bands, too. bloom: the share "
            "of n-grams seen before above which a paragraph or document goes, 0.8 by default."
        ),
    ] = None,
    ngram: Annotated[
        int | None,
        typer.Option(
            help="Words a shingle, 5 by default; a Chinese or Japanese character is a word. "
            "A shorter text is one shingle: it only equals texts of the same words. bloom: 13 by default."
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
    false_positive_rate: Annotated[
        float, typer.Option(help="bloom: the share of new n-grams that the filter may take for seen ones.")
    ] = 0.01,
    expected_ngrams: Annotated[
        int | None, typer.Option(help="bloom: n-grams to make room for; without it a first pass counts them.")
    ] = None,
    keep: Annotated[
        str, typer.Option(help=f"Which member of a cluster stays: {CHOICES}. line, substring: first or none.")
    ] = "first",
    normalise: Annotated[
        str,
        typer.Option(
            help="exact: what does not count in a text. none: all counts. space: runs of white space are one "
            "space. case: so, and case and width of letters (Unicode NFKC, lower case). letters: only letters, "
            "marks and digits count, so compared."
        ),
    ] = CASE,
    rehydrate: Annotated[
        str | None,
        typer.Option(
            help="Write a column repeat: how often a document is to be seen, by the size of its cluster. fineweb2 "
            f"({FINEWEB2}: from 5 copies on five times), a table like that, or a file of it. corpus tokenize "
            "--repeat repeat obeys it."
        ),
    ] = None,
    length_threshold: Annotated[
        int, typer.Option(help="substring: tokens, or characters, of the shortest repeated span that goes.")
    ] = 50,
    length_unit: Annotated[str, typer.Option(help="substring: tokens or characters.")] = "tokens",
    remove: Annotated[str, typer.Option(help="substring: span, or the document that has one.")] = "span",
    scope: Annotated[str, typer.Option(help="all, or a column in which duplicates must agree.")] = "all",
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH",
            help="An earlier corpus, which stays as it is: what it has is removed here. Again for each.",
        ),
    ] = None,
    keep_signatures: Annotated[
        bool,
        typer.Option("--keep-signatures", help="Keep what a later --against needs, so that it reads no texts."),
    ] = False,
    memory: Annotated[
        str,
        typer.Option(
            help="What finding duplicates may take, with some 400M of libraries; the result does not depend on it."
        ),
    ] = "4G",
    workers: options.Workers = None,
    engine: options.Engine = "local",
    strict: options.Strict = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Keep one document of every cluster of duplicates, with the evidence in
    clusters/; with line, substring and bloom take out of the documents what occurred
    before, with the evidence in lines/ or spans/.

    --keep: newest goes by the column date, priority:FILE by the domains in a
    file, the preferred first.

    --method url: what does not count is http or https, www., ports 80 and 443,
    slashes at the end, fragments (unless they begin with ! or /), the order of
    parameters, and parameters that track (utm_..., gclid, fbclid, spm...) or
    name a session. The case of paths counts. Documents without a URL stay.

    --method minhash: clusters of 100 or more, a tenth of them with less than 0.5
    of similarity with the kept one, have run away.

    --method line: CCNet's. A line that occurred before, in the same document or
    an earlier one, goes; case, digits (each is 0), punctuation and white space do
    not count. Lines without letters or digits stay. With --keep none the first
    occurrence goes, too, as in CCNet's pipeline. A document of which no line
    with a letter or digit stays is removed.

    --method substring: what stands before in the input, exactly so and at
    least --length-threshold tokens long, is cut out, and recorded in spans/.
    A token is a word, a Chinese character (of other scripts without spaces,
    too) or a run of one sign; white space must be the same, but does not count.
    Text that a document repeats of itself goes, too. With --keep none the
    first occurrence goes as well. A document of which fewer than 20 characters
    are left is removed.

    --method bloom: DCLM's. In the order of the input, a paragraph of which more
    than the threshold of the word n-grams were seen goes, else they are seen from
    then on; so does a document as a whole. Paragraphs of fewer words stay. A
    Chinese character is a word; case and punctuation do not count.

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
    if method == "line":
        manifest = dedup_lines(inputs, output, keep=keep, **shared)
    elif method == "substring":
        spans: dict[str, Any] = {
            "length_threshold": length_threshold,
            "length_unit": length_unit,
            "remove": remove,
            "keep": keep,
        }
        manifest = dedup_substrings(inputs, output, **spans, **shared)
    elif method == "bloom":
        room: dict[str, Any] = {"false_positive_rate": false_positive_rate, "expected_ngrams": expected_ngrams}
        limits: dict[str, Any] = {
            "ngram": 13 if ngram is None else ngram,
            "threshold": 0.8 if threshold is None else threshold,
        }
        manifest = dedup_ngrams(inputs, output, **limits, **room, **shared)
    else:
        matching: dict[str, Any] = {
            "threshold": threshold,
            "ngram": ngram,
            "preset": preset,
            "bands": bands,
            "rows": rows,
        }
        matching |= {"verify": verify, "linkage": linkage}
        if method == "minhash":
            _print_prediction(choose_matching(**matching))
        manifest = dedup_documents(
            inputs,
            output,
            method=method,
            **matching,
            keep=keep,
            normalise=normalise,
            rehydrate=rehydrate,
            against=against or (),
            keep_signatures=keep_signatures,
            **shared,
        )
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
    if counts.get("runaway_clusters"):
        runaway = f"{counts['runaway_clusters']:,}, with {counts['runaway_documents']:,} documents"
        log(f"warning: clusters that have run away ({CRITERIA}): {runaway}; {_CHAINS}")
    rows: dict[str, object] = {label: counts[name] for name, label in _LABELS.items() if name in counts}
    if "filter" in manifest:
        rows["false positives of the filter, estimated"] = f"{manifest['filter']['false_positive_rate']:.3g}"
    reasons = {"removed, by reason": manifest["reasons"]} if manifest["reasons"] else {}
    return rows | reasons | {"records set aside": counts.get("set_aside", 0), "seconds": manifest["seconds"]}


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
