"""`corpus dedup`: exact or near duplicates out, with the evidence.

Three stages, each resumable: sign the documents by units, find the clusters, write the documents by units.
Text is read twice and never held; keys (200 to 300 bytes a document) are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from corpus.core.console import log
from corpus.core.engine import Parameters, Step, UnitOutput, process_units
from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.inputs import Unit, plan_units, read_documents
from corpus.core.output import Claim, input_entries, remove_stages, unit_claim
from corpus.core.quarantine import nothing_to_read
from corpus.core.workers import default_workers, run_units
from corpus.duplicates.near.matching import Matching, choose_matching
from corpus.duplicates.whole.against import (
    STORED,
    finish_store,
    plan_earlier,
    signing_parameters,
    store,
    take_stored,
)
from corpus.duplicates.whole.canonical_url import canonical_urls
from corpus.duplicates.whole.document_keys import CASE, NORMALISATIONS, URL, without_url
from corpus.duplicates.whole.estimate import check_disk, estimate
from corpus.duplicates.whole.group import NO_BOUND, assigned_path, group
from corpus.duplicates.whole.keep import EARLIER, parse_keep
from corpus.duplicates.whole.rehydrate import REPEAT, parse_table, times
from corpus.duplicates.whole.runaway import FIGURES
from corpus.duplicates.whole.sign import (
    CLUSTER_SIZE,
    SignTask,
    read_for_signing,
    sign_unit,
    signed_height,
    signed_path,
    weight,
)

METHODS = ("exact", "url", "minhash")
URL_DUPLICATE = "url_duplicate"
_SIMILARITIES = ("jaccard", "lowest_edge", "lowest_jaccard", "fewest_shared")
_STAGES = ("signed", "assigned")


def dedup_documents(
    inputs: Sequence[str | Path],
    output: Path,
    *,
    method: str = "minhash",
    threshold: float | None = None,
    ngram: int | None = None,
    preset: str | None = None,
    bands: int | None = None,
    rows: int | None = None,
    verify: str = "jaccard",
    linkage: str | None = None,
    keep: str = "first",
    scope: str = "all",
    normalise: str = CASE,
    against: Sequence[str | Path] = (),
    keep_signatures: bool = False,
    rehydrate: str | None = None,
    memory: int = NO_BOUND,
    workers: int | None = None,
    engine: str = "local",
    overwrite: bool = False,
    strict: bool = False,
) -> dict[str, Any]:
    """Keep one document of every cluster of duplicates and return the manifest.

    `exact` compares texts as `normalise` says (`document_keys`), `url` the canonical URLs (`canonical_url`); a
    document without one stays. `minhash` compares sets of `ngram` words (`shingle_sets`): pairs that share a band
    of their signatures are near duplicates when the Jaccard similarity of the sets is at least `threshold`;
    `preset`, or `bands` and `rows`, or the threshold says which bands (`choose_matching`), and `verify` whether
    the similarity is that of the sets, an estimate from signatures, or not looked at. `linkage`: `star` cuts what
    is joined so that every removed document resembles the kept one (`star.py`), `single` keeps one of each
    connected component. `keep` says which member stays (`parse_keep`). `scope` is "all" or a column in which
    duplicates must agree. Two documents may have the same id: they stay two documents, and `cluster` then names
    them with their row. `against`: earlier corpora, which stay as they are; what resembles a document of theirs is
    removed. `keep_signatures` leaves what a later run needs to compare with this one without its texts. `memory`:
    about how many bytes finding the clusters may hold (`group.group`).

    `rehydrate` names a table (`rehydrate.parse_table`): documents get a column `repeat`, how often each is to be
    seen by the size of its cluster. Rows are not repeated, so that ids stay unique; `corpus tokenize` can do it.

    Writes `documents/` (with `cluster_size`), `removed/` (with `reason` and `kept_id`), `clusters/` (a row per
    member of a cluster of two or more: its `jaccard` similarity with the kept member, which signatures estimate,
    and what `runaway.figures` says of its cluster) and `edges/` (the pairs that joined the clusters; of stars
    those with the centre). With `url`, clusters have the `canonical_url` and no similarities.
    """
    chosen = choose_matching(threshold, ngram, preset, bands, rows, verify, linkage)
    matching, policy = _check(method, chosen, normalise), parse_keep(keep)
    if any(Path(path).resolve() == output.resolve() for path in against):
        raise UsageError(f"{output}: the output cannot be what it is compared with (--against)")
    units = plan_units(inputs)
    parameters: dict[str, Any] = {"method": method, "keep": keep, "scope": scope}
    if policy.order:
        parameters["priority"] = list(policy.order)
    if matching is not None:
        parameters |= matching.parameters()
    elif method == "exact":
        parameters["normalise"] = normalise
    if rehydrate is not None:
        parameters["rehydrate"] = [list(pair) for pair in parse_table(rehydrate)]
    compare = URL if method == "url" else normalise
    if keep_signatures:
        parameters["keep_signatures"] = matching.stored_hashes if matching else None
    first = SignTask(units[0], output, matching, None if scope == "all" else scope, policy, strict, compare)
    # Before the output is claimed: a wrong column should not need --overwrite to be corrected.
    beginning = next(read_for_signing(first), None)
    earlier_units = plan_earlier(against, len(units), signing_parameters(first))
    step = Step("corpus dedup", parameters, _write_unit)
    claim = _claim(step, inputs, units, earlier_units, output)
    earlier = claim.finished(overwrite)
    if earlier is not None:
        remove_stages(output, *_STAGES)
        return earlier
    if beginning is not None and not signed_path(output, 0).exists():
        _say_what_it_needs(units, first, beginning, claim.input_bytes, memory, workers)
    tasks = _unsigned(first, units, earlier_units)
    run_units(sign_unit, tasks, workers=workers, engine=engine, description="corpus dedup: signing")
    if not any(signed_height(output, unit.index) for unit in units):
        raise nothing_to_read(inputs, units, "documents to read")
    found = group(output, units, matching, keep, memory, earlier_units)
    counts, reasons = process_units(step, units, output, workers=workers, engine=engine, strict=strict)
    if keep_signatures:
        finish_store(output, signing_parameters(first))
    compared = {"against": input_entries(against, output, 0)} if against else {}
    manifest = claim.write_manifest(
        **compared,
        counts=dict(sorted({**counts, **found}.items())),
        reasons=reasons,
    )
    remove_stages(output, *_STAGES)
    return manifest


def _unsigned(first: SignTask, units: Sequence[Unit], earlier: Sequence[Unit]) -> list[SignTask]:
    """What is left to sign; stored signatures are taken as they are."""
    tasks = [replace(first, unit=unit) for unit in units]
    for unit in earlier:
        if unit.format != STORED:
            tasks.append(replace(first, unit=unit, keep=EARLIER))
        elif not signed_path(first.output, unit.index).exists():
            take_stored(unit, first.output)
    return [task for task in tasks if not signed_path(first.output, task.unit.index).exists()]


def _say_what_it_needs(
    units: Sequence[Unit],
    task: SignTask,
    beginning: pl.DataFrame,
    input_bytes: int,
    memory: int,
    workers: int | None,
) -> None:
    count = min(workers or default_workers(), len(units))
    needed = estimate(units, task, beginning, input_bytes, memory, count)
    if needed is not None:
        log(f"corpus dedup: {needed}")
        check_disk(task.output, needed)


def _claim(
    step: Step, inputs: Sequence[str | Path], units: Sequence[Unit], earlier: Sequence[Unit], output: Path
) -> Claim:
    """The claim of the output, which depends on the earlier corpora too."""
    claim = unit_claim(step.command, step.parameters, inputs, units, output)
    others = unit_claim(step.command, step.parameters, inputs, earlier, output)
    return replace(claim, fingerprints=[*claim.fingerprints, *others.fingerprints])


def _check(method: str, matching: Matching, normalise: str) -> Matching | None:
    if method not in METHODS:
        raise UsageError(f"unknown --method `{method}`; choose {', '.join(METHODS)}")
    if normalise not in NORMALISATIONS:
        raise UsageError(f"unknown --normalise `{normalise}`; choose {', '.join(NORMALISATIONS)}")
    return matching if method == "minhash" else None


def _write_unit(unit: Unit, parameters: Parameters, output: UnitOutput) -> None:
    assigned = pl.read_parquet(assigned_path(output.directory, unit.index))
    if parameters["method"] == "url":
        unknown = (pl.lit(None, assigned.schema[name]).alias(name) for name in _SIMILARITIES)  # of their texts
        assigned = assigned.with_columns(pl.lit(URL_DUPLICATE).alias("reason"), *unknown)
    row = 0
    unnamed: list[int] = []
    for frame in read_documents(unit, output):
        if parameters["method"] == "url":
            here = without_url(frame)
            output.count("documents_without_url", len(here))
            unnamed += (here + row).tolist()
        own = assigned.filter(pl.col("row").is_between(row, row + frame.height, closed="left"))
        _write_frame(frame, own.with_columns(pl.col("row") - row), output, parameters)
        row += frame.height
    if row != signed_height(output.directory, unit.index):
        raise ZeroToOneError(f"{unit.path}: changed while it was read; use --overwrite")
    if "keep_signatures" in parameters:
        removed = assigned.filter(~pl.col("keep"))["row"].to_list()
        # What has no URL has a key that is its own in this run only.
        store(output.directory, unit.index, [*removed, *unnamed], parameters["keep_signatures"])


def _write_frame(frame: pl.DataFrame, members: pl.DataFrame, output: UnitOutput, parameters: Parameters) -> None:
    """Write documents of a unit; `members`: those that are in clusters, `row` being their place in the frame."""
    kept = pl.repeat(True, frame.height, eager=True).scatter(members["row"], members["keep"])
    sizes = frame.with_columns(weight(frame))["weight"].scatter(members["row"], members["cluster_size"])
    documents = frame.with_columns(sizes.alias(CLUSTER_SIZE)).filter(kept)
    if "rehydrate" in parameters:
        documents = documents.with_columns(times(documents[CLUSTER_SIZE], parameters["rehydrate"]))
        output.count("documents_repeated", int(documents[REPEAT].sum()))
    dropped = members.filter(~pl.col("keep"))
    removed = frame[dropped["row"]].with_columns(dropped["reason"], dropped["kept_id"])
    output.write("documents", documents)
    output.write("removed", removed)
    named = frame[members["row"]].select("id", "url", "domain", "origin")
    evidence = members.select("cluster", pl.col("keep").alias("kept"), "kept_id", "jaccard", *FIGURES)
    clusters = pl.concat([named, evidence], how="horizontal")
    clusters = clusters.select("id", *evidence.columns, "url", "domain", "origin")
    if parameters["method"] == "url":
        urls = pl.Series(canonical_urls(named["url"].to_list()), dtype=pl.String)
        clusters = clusters.with_columns(urls.alias("canonical_url"))
    output.write("clusters", clusters)
    output.count("documents_in", frame.height)
    output.count("documents_kept", documents.height)
    output.count("documents_removed", removed.height)
    for reason, count in removed.group_by("reason").len().sort("reason").iter_rows():
        output.reason(reason, count)
