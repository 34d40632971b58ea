"""`corpus dedup --method bloom`: paragraphs and documents whose n-grams were seen before, by DCLM's filter.

Stages, each resumable: count the n-grams by units (left out where their number is given), decide the units in
their order with one filter, write the documents by units. The filter is all that is held.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from corpus.core.engine import Parameters, Step, UnitOutput, process_units
from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import read_json, write_json
from corpus.core.inputs import Unit, plan_units, read_documents
from corpus.core.output import remove_stages, unit_claim
from corpus.core.quarantine import nothing_to_read
from corpus.core.workers import run_units
from corpus.duplicates.cut_output import write_cut
from corpus.duplicates.lines.bloom_filter import choose_size
from corpus.duplicates.lines.lines import find_lines
from corpus.duplicates.lines.ngram_decisions import (
    NgramTask,
    check_memory,
    count_unit,
    counted_path,
    decisions_of,
    ordered_pass,
)
from corpus.duplicates.normalised import utf8
from corpus.duplicates.scoped import read_scoped
from corpus.duplicates.whole.group import NO_BOUND

REASON = "seen_ngrams"


def dedup_ngrams(
    inputs: Sequence[str | Path],
    output: Path,
    *,
    ngram: int = 13,
    threshold: float = 0.8,
    false_positive_rate: float = 0.01,
    expected_ngrams: int | None = None,
    scope: str = "all",
    memory: int = NO_BOUND,
    workers: int | None = None,
    engine: str = "local",
    overwrite: bool = False,
    strict: bool = False,
) -> dict[str, Any]:
    """Take out paragraphs and documents whose n-grams were seen before, and return the manifest.

    The documents pass in the order of the input. A paragraph (a line) of which more than `threshold` of the
    n-grams of `ngram` words were seen goes, else its n-grams count as seen from then on; one of fewer words stays.
    A document goes whole where more than `threshold` of all its n-grams were seen. What was seen is kept in a
    Bloom filter (`bloom_filter`), which takes an n-gram for seen that was not at most at `false_positive_rate`; it
    has room for `expected_ngrams`, or for as many as a first pass counts, and must fit `memory` bytes (else
    ZeroToOneError). `scope` is "all" or a column in which two documents must agree.

    Writes `documents/`, `removed/` (with `reason`) and `lines/`: a row for each paragraph that went, with its span
    and text (`cut_output.write_cut`), its `ngrams` and how many of them were `seen`.
    """
    _check(ngram, threshold, false_positive_rate, expected_ngrams)
    units = plan_units(inputs)
    column = None if scope == "all" else scope
    next(read_scoped(units[0], column, ["id", "text"], strict), None)  # before the output is claimed
    parameters: dict[str, Any] = {"method": "bloom", "scope": scope, "ngram": ngram, "threshold": threshold}
    parameters |= {"false_positive_rate": false_positive_rate, "expected_ngrams": expected_ngrams}
    step = Step("corpus dedup", parameters, _write_unit)
    claim = unit_claim(step.command, parameters, inputs, units, output)
    earlier = claim.finished(overwrite)
    if earlier is not None:
        _remove_stages(output)
        return earlier
    if expected_ngrams is None:
        uncounted = [unit for unit in units if not counted_path(output, unit.index).exists()]
        tasks = [NgramTask(unit, output, column, ngram, strict) for unit in uncounted]
        run_units(count_unit, tasks, workers=workers, engine=engine, description="corpus dedup: counting n-grams")
        counted = [read_json(counted_path(output, unit.index)) for unit in units]
        expected_ngrams = sum(one["ngrams"] for one in counted)
    size, probes = choose_size(expected_ngrams, false_positive_rate)
    check_memory(expected_ngrams, size, false_positive_rate, memory)
    reached = _decide(units, output, (size, probes), column, ngram, threshold, strict)
    if not any(decisions_of(output, unit.index)[0] for unit in units):
        raise nothing_to_read(inputs, units, "documents to read")
    counts, reasons = process_units(step, units, output, workers=workers, engine=engine, strict=strict)
    manifest = claim.write_manifest(counts=counts, reasons=reasons, filter=reached)
    _remove_stages(output)
    return manifest


def _decide(
    units: Sequence[Unit],
    output: Path,
    size: tuple[int, int],
    column: str | None,
    ngram: int,
    threshold: float,
    strict: bool,
) -> dict[str, Any]:
    """Decide all units in their order, and return what the manifest says of the filter."""
    finished = output / ".state" / "decided.json"
    if not finished.exists():
        decide = ordered_pass(output, *size, column, ngram, threshold, strict)
        run_units(decide, units, workers=1, description="corpus dedup: n-grams in order")
        write_json(finished, decide.finish())
    return dict(read_json(finished))


def _check(ngram: int, threshold: float, false_positive_rate: float, expected_ngrams: int | None) -> None:
    if ngram < 1:
        raise UsageError("--ngram must be at least 1")
    if not 0 <= threshold <= 1:
        raise UsageError("--threshold is a share of n-grams: from 0 to 1")
    if not 1e-6 <= false_positive_rate <= 0.5:
        raise UsageError("--false-positive-rate must be from 0.000001 to 0.5")
    if expected_ngrams is not None and expected_ngrams < 1:
        raise UsageError("--expected-ngrams must be at least 1")


def _write_unit(unit: Unit, parameters: Parameters, output: UnitOutput) -> None:
    documents, ngrams, seen = decisions_of(output.directory, unit.index)
    threshold = parameters["threshold"]
    rows = line = 0
    for frame in read_documents(unit, output):
        texts = utf8(frame["text"])
        lines = find_lines(texts)
        all_of, known = (of[line : line + len(lines.keys)] for of in (ngrams, seen))
        if len(all_of) < len(lines.keys):
            break
        gone = _above(known, all_of, threshold)
        of_known, of_all = (np.diff(np.append(0, np.cumsum(of))[lines.firsts]) for of in (known, all_of))
        dropped = _above(of_known, of_all, threshold)
        evidence = pl.DataFrame({"ngrams": all_of[gone], "seen": known[gone]})
        write_cut(frame, texts, lines, gone, evidence, dropped, REASON, output)
        output.count("ngrams", int(all_of.sum()))
        output.count("ngrams_seen", int(known.sum()))
        rows, line = rows + frame.height, line + len(lines.keys)
    if (rows, line) != (documents, len(ngrams)):
        raise ZeroToOneError(f"{unit.path}: changed while it was read; use --overwrite")


def _above(some: np.ndarray, of: np.ndarray, threshold: float) -> np.ndarray:
    """Where a share is above the threshold; nowhere where there is nothing to share."""
    found: np.ndarray = (of > 0) & (some / np.maximum(of, 1) > threshold)
    return found


def _remove_stages(output: Path) -> None:
    remove_stages(output, "counted", "decided")
    for pattern in ("filter*", "decided.json"):
        for path in (output / ".state").glob(pattern):
            path.unlink()
