"""`corpus dedup --method substring`: what comes again, span by span, out of the texts, with the evidence.

Stages, each of units or ranges of keys, each resumable: anchors of all windows (by units); which come again (by
ranges); the windows of those (by units); where each comes first (by ranges); the spans, verified by their text (by
units); and the documents without them (by units). The input is read three times and never held.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from corpus.core.engine import Parameters, Step, UnitOutput, process_units
from corpus.core.errors import UsageError
from corpus.core.inputs import Unit, plan_units, read_documents
from corpus.core.output import remove_stages, unit_claim
from corpus.core.quarantine import nothing_to_read
from corpus.core.workers import default_workers, run_units
from corpus.duplicates.normalised import utf8
from corpus.duplicates.spans.cuts import cut_spans, have_left
from corpus.duplicates.spans.evidence import find_unit_spans, resolve_collisions, spans_path
from corpus.duplicates.spans.scans import find_unit_anchors, find_unit_windows
from corpus.duplicates.spans.stages import (
    Job,
    changed,
    documents_of,
    find_range,
    folder,
    range_tasks,
    read_texts,
    unit_tasks,
)
from corpus.duplicates.spans.windows import Measure
from corpus.duplicates.utf8 import as_column
from corpus.duplicates.whole.group import NO_BOUND

UNITS = ("tokens", "characters")
REMOVALS = ("span", "document")
KEEPS = ("first", "none")
LONGEST = 1_000_000  # of --length-threshold: what a window needs in memory grows with it
LEAST_LEFT = 20  # characters but white space: a cut document of fewer is removed
REPEATED, NOTHING_LEFT = "repeated_span", "nothing_left"


def dedup_substrings(
    inputs: Sequence[str | Path],
    output: Path,
    *,
    length_threshold: int = 50,
    length_unit: str = "tokens",
    remove: str = "span",
    keep: str = "first",
    scope: str = "all",
    memory: int = NO_BOUND,
    workers: int | None = None,
    engine: str = "local",
    overwrite: bool = False,
    strict: bool = False,
) -> dict[str, Any]:
    """Remove spans that came before, of at least `length_threshold` tokens or characters, and return the manifest.

    A window of so many tokens (`next_unit` says what one is) comes again where its text, white space included,
    stands in the input before, in this document or another, and does not overlap with it there. All that such
    windows cover is a repeated span. `remove="span"` cuts it out of the text; of a document of which then fewer
    than LEAST_LEFT characters other than white space are left, and with `remove="document"` of every one that has
    a repeated span, the whole goes to `removed/` as it came in. With `keep="none"` the first occurrences of what
    comes again are repeated spans, too, as in the published tool. `scope` is "all" or a column in which documents
    must agree. `memory`: about how many bytes finding the spans may hold in all workers together.

    Writes `documents/`, `removed/` (with `reason`) and `spans/`: a row for each span or part of one, in the order
    of the text: `id`, `offset` and `length` in characters of the text as it came in, `text`, and where it stood
    first: `first_id`, `first_offset`. `kept` says whether the document is in `documents/`.
    """
    measure = _check(length_threshold, length_unit, remove, keep)
    units = plan_units(inputs)
    parameters: dict[str, Any] = {
        "method": "substring",
        "length_threshold": length_threshold,
        "length_unit": length_unit,
        "remove": remove,
        "keep": keep,
        "scope": scope,
    }
    job = Job(output, len(units), measure, None if scope == "all" else scope, keep == "none", strict)
    # Before the output is claimed: a wrong column should not need --overwrite to be corrected.
    next(read_texts(job, units[0]), None)
    step = Step("corpus dedup", parameters, _write_unit)
    claim = unit_claim(step.command, parameters, inputs, units, output)
    earlier = claim.finished(overwrite)
    if earlier is not None:
        remove_stages(output, folder(output).name)
        return earlier
    run = partial(run_units, workers=workers, engine=engine)
    run(find_unit_anchors, unit_tasks(job, units, "anchors"), description="corpus dedup: anchors")
    if not any(documents_of(output, unit.index) for unit in units):
        raise nothing_to_read(inputs, units, "documents to read")
    _find_spans(job, units, memory // (workers or default_workers()), run)
    counts, reasons = process_units(step, units, output, workers=workers, engine=engine, strict=strict)
    manifest = claim.write_manifest(counts=counts, reasons=reasons)
    remove_stages(output, folder(output).name)
    return manifest


def _find_spans(job: Job, units: Sequence[Unit], memory: int, run: Callable[..., Any]) -> None:
    """From anchors to verified spans; `memory`: what a worker may hold of keys."""
    tasks, matches = range_tasks(job, "anchors", memory)
    run(find_range, tasks, description="corpus dedup: repeated anchors")
    run(find_unit_windows, unit_tasks(job, units, "windows", matches), description="corpus dedup: windows")
    tasks, matches = range_tasks(job, "windows", memory, job.keep_none)
    run(find_range, tasks, description="corpus dedup: repeated windows")
    run(find_unit_spans, unit_tasks(job, units, "spans", matches), description="corpus dedup: spans")
    if resolve_collisions(job, units):
        run(find_unit_spans, unit_tasks(job, units, "spans", matches), description="corpus dedup: spans")


def _check(length_threshold: int, length_unit: str, remove: str, keep: str) -> Measure:
    if not 1 <= length_threshold <= LONGEST:
        raise UsageError(f"--length-threshold must be at least 1 and at most {LONGEST:,}")
    for option, value, choices in (
        ("--length-unit", length_unit, UNITS),
        ("--remove", remove, REMOVALS),
        ("--keep", keep, KEEPS),
    ):
        if value not in choices:
            raise UsageError(f"unknown {option} `{value}` for substring; choose {' or '.join(choices)}")
    return Measure(length_threshold, length_unit == "characters")


def _write_unit(unit: Unit, parameters: Parameters, output: UnitOutput) -> None:
    found = pl.read_parquet(spans_path(output.directory, unit.index))
    row = 0
    for frame in read_documents(unit, output):
        own = found.filter(pl.col("row").is_between(row, row + frame.height, closed="left"))
        _write_frame(frame, own.with_columns(pl.col("row") - row), parameters["remove"] == "span", output)
        row += frame.height
    if row != documents_of(output.directory, unit.index):
        raise changed(unit)


def _write_frame(frame: pl.DataFrame, spans: pl.DataFrame, cutting: bool, output: UnitOutput) -> None:
    """Write documents of a unit; `spans`: what comes again in them, `row` being their place in the frame."""
    places = [spans[name].to_numpy() for name in ("row", "offset", "length")]
    cut, pieces = cut_spans(utf8(frame["text"]), *places)
    rows = np.unique(places[0])
    gone = ~have_left(cut, rows, LEAST_LEFT) if cutting else np.ones(len(rows), dtype=bool)
    reason, removed = NOTHING_LEFT if cutting else REPEATED, frame[rows[gone]]
    kept = pl.Series(np.isin(np.arange(frame.height), rows[gone], invert=True))
    # What nothing is cut out of is written as it was read.
    left = frame.with_columns(as_column(cut).alias("text")) if cutting and len(rows) else frame
    output.write("documents", left.filter(kept) if removed.height else left)
    output.write("removed", removed.with_columns(pl.lit(reason).alias("reason")))
    about = frame.select("id", "origin")[spans["row"]]
    values = [as_column(pieces).alias("text"), kept.gather(spans["row"]).alias("kept")]
    evidence = spans.select("offset", "length", *values, "first_id", "first_offset")
    output.write("spans", pl.concat([about, evidence], how="horizontal"))
    output.count("documents_in", frame.height)
    output.count("documents_kept", frame.height - removed.height)
    output.count("documents_removed", removed.height)
    output.count("documents_cut", len(rows) - removed.height)
    output.count("spans", spans.height)
    output.count("characters_removed", int(spans["length"].sum()))
    if removed.height:
        output.reason(reason, removed.height)
