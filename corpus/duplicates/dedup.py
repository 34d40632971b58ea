"""`corpus dedup`: exact or near duplicates out, with the evidence.

Three stages, each resumable: sign the documents by units, find the clusters, write the documents by units.
Text is read twice and never held; keys (200 to 300 bytes a document) are.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from corpus.core.engine import Parameters, Step, UnitOutput, process_units
from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.inputs import Unit, plan_units, read_documents
from corpus.core.output import unit_claim
from corpus.core.quarantine import nothing_to_read
from corpus.core.workers import run_units
from corpus.duplicates.dedup_group import NO_BOUND, assigned_path, group
from corpus.duplicates.dedup_sign import (
    CLUSTER_SIZE,
    SignTask,
    read_for_signing,
    sign_unit,
    signed_height,
    signed_path,
    weight,
)
from corpus.duplicates.keep import parse_keep
from corpus.duplicates.matching import Matching, choose_matching
from corpus.duplicates.runaway import FIGURES

METHODS = ("exact", "minhash")
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
    memory: int = NO_BOUND,
    workers: int | None = None,
    engine: str = "local",
    overwrite: bool = False,
    strict: bool = False,
) -> dict[str, Any]:
    """Keep one document of every cluster of duplicates and return the manifest.

    `exact` compares texts after `normalise` and with white space collapsed. `minhash` compares sets of
    `ngram` words (`shingle_sets`): pairs that share a band of their signatures are near duplicates when the
    Jaccard similarity of the sets is at least `threshold`; `preset`, or `bands` and `rows`, or the threshold says
    which bands (`choose_matching`), and `verify` whether the similarity is that of the sets, an estimate from
    signatures, or not looked at. `linkage`: `star` cuts what is joined so that every removed document resembles
    the kept one (`star.py`), `single` keeps one of each connected component. `keep` says which member
    stays (`parse_keep`). `scope` is "all" or a column in which duplicates must agree. Two documents may have the
    same id: they stay two documents, and `cluster` then names them with their row. `memory`: about how many
    bytes finding the clusters may hold (`dedup_group.group`).

    Writes `documents/` (with `cluster_size`), `removed/` (with `reason` and `kept_id`), `clusters/` (a row per
    member of a cluster of two or more: its `jaccard` similarity with the kept member, which signatures estimate,
    and what `runaway.figures` says of its cluster) and `edges/` (the pairs that joined the clusters; of stars
    those with the centre).
    """
    chosen = choose_matching(threshold, ngram, preset, bands, rows, verify, linkage)
    matching, policy = _check(method, chosen), parse_keep(keep)
    units = plan_units(inputs)
    parameters: dict[str, Any] = {"method": method, "keep": keep, "scope": scope}
    if policy.order:
        parameters["priority"] = list(policy.order)
    if matching is not None:
        parameters |= matching.parameters()
    column = None if scope == "all" else scope
    # Before the output is claimed: a wrong column should not need --overwrite to be corrected.
    next(read_for_signing(SignTask(units[0], output, matching, column, policy, strict)), None)
    step = Step("corpus dedup", parameters, _write_unit)
    claim = unit_claim(step.command, parameters, inputs, units, output)
    earlier = claim.finished(overwrite)
    if earlier is not None:
        _remove_stages(output)
        return earlier
    unsigned = [unit for unit in units if not signed_path(output, unit.index).exists()]
    tasks = [SignTask(unit, output, matching, column, policy, strict) for unit in unsigned]
    run_units(sign_unit, tasks, workers=workers, engine=engine, description="corpus dedup: signing")
    if not any(signed_height(output, unit.index) for unit in units):
        raise nothing_to_read(inputs, units, "documents to read")
    found = group(output, units, matching, keep, memory)
    counts, reasons = process_units(step, units, output, workers=workers, engine=engine, strict=strict)
    manifest = claim.write_manifest(
        counts=dict(sorted({**counts, **found}.items())),
        reasons=reasons,
    )
    _remove_stages(output)
    return manifest


def _check(method: str, matching: Matching) -> Matching | None:
    if method not in METHODS:
        raise UsageError(f"unknown --method `{method}`; choose {' or '.join(METHODS)}")
    return matching if method == "minhash" else None


def _write_unit(unit: Unit, _: Parameters, output: UnitOutput) -> None:
    assigned = pl.read_parquet(assigned_path(output.directory, unit.index))
    row = 0
    for frame in read_documents(unit, output):
        own = assigned.filter(pl.col("row").is_between(row, row + frame.height, closed="left"))
        _write_frame(frame, own.with_columns(pl.col("row") - row), output)
        row += frame.height
    if row != signed_height(output.directory, unit.index):
        raise ZeroToOneError(f"{unit.path}: changed while it was read; use --overwrite")


def _write_frame(frame: pl.DataFrame, members: pl.DataFrame, output: UnitOutput) -> None:
    """Write documents of a unit; `members`: those that are in clusters, `row` being their place in the frame."""
    kept = pl.repeat(True, frame.height, eager=True).scatter(members["row"], members["keep"])
    sizes = frame.with_columns(weight(frame))["weight"].scatter(members["row"], members["cluster_size"])
    documents = frame.with_columns(sizes.alias(CLUSTER_SIZE)).filter(kept)
    dropped = members.filter(~pl.col("keep"))
    removed = frame[dropped["row"]].with_columns(dropped["reason"], dropped["kept_id"])
    output.write("documents", documents)
    output.write("removed", removed)
    named = frame[members["row"]].select("id", "url", "domain", "origin")
    evidence = members.select("cluster", pl.col("keep").alias("kept"), "kept_id", "jaccard", *FIGURES)
    clusters = pl.concat([named, evidence], how="horizontal")
    output.write("clusters", clusters.select("id", *evidence.columns, "url", "domain", "origin"))
    output.count("documents_in", frame.height)
    output.count("documents_kept", documents.height)
    output.count("documents_removed", removed.height)
    for reason, count in removed.group_by("reason").len().sort("reason").iter_rows():
        output.reason(reason, count)


def _remove_stages(output: Path) -> None:
    for name in _STAGES:
        if (output / ".state" / name).exists():
            shutil.rmtree(output / ".state" / name)
