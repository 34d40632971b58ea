"""`corpus dedup`: exact or near duplicates out, with the evidence.

Three stages, each resumable: sign the documents by units, find the clusters, write the documents by units.
Text is read twice and never held; keys (200 to 300 bytes a document) are.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from corpus.core.engine import Parameters, Step, UnitOutput, process_units
from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.inputs import Unit, plan_units, read_documents
from corpus.core.output import unit_claim
from corpus.core.quarantine import nothing_to_read
from corpus.core.workers import run_units
from corpus.duplicates.dedup_group import KEEP, assigned_path, group
from corpus.duplicates.dedup_sign import SignTask, has_documents, read_for_signing, sign_unit, signed_path
from corpus.duplicates.minhash import Banding, choose_banding

METHODS = ("exact", "minhash")
_STAGES = ("signed", "assigned")


def dedup_documents(
    inputs: Sequence[str | Path],
    output: Path,
    *,
    method: str = "minhash",
    threshold: float = 0.8,
    ngram: int = 5,
    keep: str = "first",
    scope: str = "all",
    workers: int | None = None,
    engine: str = "local",
    overwrite: bool = False,
    strict: bool = False,
) -> dict[str, Any]:
    """Keep one document of every cluster of duplicates and return the manifest.

    `exact` compares texts after `normalise` and with white space collapsed. `minhash` compares sets of
    `ngram` words (`shingle_sets`): pairs that share a band of their signatures (`choose_banding`) are joined
    when the Jaccard similarity of the sets is at least `threshold`. `keep` is the first or the longest member;
    `scope` is "all" or a column in which duplicates must agree. Two documents may have the same id: they stay
    two documents, and `cluster` then names them with their row.

    Writes `documents/` (with `cluster_size`), `removed/` (with `reason` and `kept_id`), `clusters/` (a row per
    member of a cluster of two or more: its `jaccard` similarity with the kept member) and `edges/` (the
    verified pairs that joined the clusters).
    """
    banding = _check(method, threshold, ngram, keep)
    units = plan_units(inputs)
    parameters: dict[str, Any] = {"method": method, "keep": keep, "scope": scope}
    if banding is not None:
        parameters |= {"threshold": threshold, "ngram": ngram}
    column = None if scope == "all" else scope
    # Before the output is claimed: a wrong column should not need --overwrite to be corrected.
    next(read_for_signing(SignTask(units[0], output, banding, ngram, column, strict)), None)
    step = Step("corpus dedup", parameters, _write_unit)
    claim = unit_claim(step.command, parameters, inputs, units, output)
    earlier = claim.finished(overwrite)
    if earlier is not None:
        _remove_stages(output)
        return earlier
    unsigned = [unit for unit in units if not signed_path(output, unit.index).exists()]
    tasks = [SignTask(unit, output, banding, ngram, column, strict) for unit in unsigned]
    run_units(sign_unit, tasks, workers=workers, engine=engine, description="corpus dedup: signing")
    if not any(has_documents(output, unit.index) for unit in units):
        raise nothing_to_read(inputs, units, "documents to read")
    found = group(output, units, banding, threshold, keep)
    counts, reasons = process_units(step, units, output, workers=workers, engine=engine, strict=strict)
    manifest = claim.write_manifest(
        parameters=parameters | (asdict(banding) if banding else {}),
        counts=dict(sorted({**counts, **found}.items())),
        reasons=reasons,
    )
    _remove_stages(output)
    return manifest


def _check(method: str, threshold: float, ngram: int, keep: str) -> Banding | None:
    if method not in METHODS:
        raise UsageError(f"unknown --method `{method}`; choose {' or '.join(METHODS)}")
    if keep not in KEEP:
        raise UsageError(f"unknown --keep `{keep}`; choose {' or '.join(KEEP)}")
    if ngram < 1:
        raise UsageError("--ngram must be at least 1")
    return choose_banding(threshold) if method == "minhash" else None


def _write_unit(unit: Unit, _: Parameters, output: UnitOutput) -> None:
    path = assigned_path(output.directory, unit.index)
    assigned = pl.read_parquet(path) if path.exists() else None
    row = 0
    for frame in read_documents(unit, output):
        if assigned is None or row + frame.height > assigned.height:
            raise ZeroToOneError(f"{unit.path}: changed while it was read; use --overwrite")
        _write_frame(frame, assigned.slice(row, frame.height), output)
        row += frame.height


def _write_frame(frame: pl.DataFrame, assigned: pl.DataFrame, output: UnitOutput) -> None:
    keep = assigned["keep"]
    kept = frame.with_columns(assigned["cluster_size"]).filter(keep)
    removed = frame.with_columns(assigned["reason"], assigned["kept_id"]).filter(~keep)
    output.write("documents", kept)
    output.write("removed", removed)
    members = assigned.with_columns(frame["id"], frame["url"], frame["domain"], frame["origin"])
    output.write(
        "clusters",
        members.filter(pl.col("members") > 1).select(
            "id", "cluster", pl.col("keep").alias("kept"), "kept_id", "jaccard", "url", "domain", "origin"
        ),
    )
    output.count("documents_in", frame.height)
    output.count("documents_kept", kept.height)
    output.count("documents_removed", removed.height)
    for reason, count in removed.group_by("reason").len().sort("reason").iter_rows():
        output.reason(reason, count)


def _remove_stages(output: Path) -> None:
    for name in _STAGES:
        if (output / ".state" / name).exists():
            shutil.rmtree(output / ".state" / name)
