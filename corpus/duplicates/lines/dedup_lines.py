"""`corpus dedup --method line`: lines that occurred before go, as in CCNet (Wenzek et al. 2020, section 3.1).

Three stages, each resumable: the keys of the lines by units, the lines that occurred before by ranges of keys, the
documents by units. Text is read twice and never held; on disk, a line takes 16 bytes between the stages.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from corpus.core.engine import Parameters, Step, UnitOutput, process_units
from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.inputs import Unit, plan_units, read_documents
from corpus.core.output import remove_stages, unit_claim
from corpus.core.quarantine import nothing_to_read
from corpus.core.workers import default_workers, run_units
from corpus.duplicates.cut_output import write_cut
from corpus.duplicates.lines.line_keys import LineTask, is_signed, sign_lines, stored_size
from corpus.duplicates.lines.line_repeats import find_repeats, range_tasks, repeats_of
from corpus.duplicates.lines.lines import find_lines
from corpus.duplicates.normalised import utf8
from corpus.duplicates.scoped import read_scoped
from corpus.duplicates.whole.group import NO_BOUND

REASON = "duplicate_lines"
_KEEP = ("first", "none")
_STAGES = ("signed", "repeats")


def dedup_lines(
    inputs: Sequence[str | Path],
    output: Path,
    *,
    keep: str = "first",
    scope: str = "all",
    memory: int = NO_BOUND,
    workers: int | None = None,
    engine: str = "local",
    overwrite: bool = False,
    strict: bool = False,
) -> dict[str, Any]:
    """Take lines that occurred before out of the documents and return the manifest.

    What is compared of a line says `lines.find_lines`; lines without a letter or digit stay. The first occurrence
    in the order of the input stays, in the same document or an earlier one; with `keep` "none" it goes, too, as in
    CCNet's own pipeline. `scope` is "all" or a column in which two documents must agree. A document of which no
    line with a letter or digit stays is removed, as in CCNet's code. `memory`: about how many bytes finding the
    lines may hold.

    Writes `documents/`, `removed/` (with `reason`) and `lines/`: a row for each line that went, with its span and
    text (`cut_output.write_cut`), and as `first_id` and `first_offset` where it occurred first.
    """
    if keep not in _KEEP:
        raise UsageError(
            f"--method line takes --keep {' or '.join(_KEEP)}, not `{keep}`: lines have no other rank"
        )
    units = plan_units(inputs)
    column = None if scope == "all" else scope
    next(read_scoped(units[0], column, ["id", "text"], strict), None)  # before the output is claimed
    step = Step("corpus dedup", {"method": "line", "keep": keep, "scope": scope}, _write_unit)
    claim = unit_claim(step.command, step.parameters, inputs, units, output)
    earlier = claim.finished(overwrite)
    if earlier is not None:
        remove_stages(output, *_STAGES)
        return earlier
    unsigned = [unit for unit in units if not is_signed(output, unit.index)]
    tasks = [LineTask(unit, output, column, strict) for unit in unsigned]
    run_units(sign_lines, tasks, workers=workers, engine=engine, description="corpus dedup: lines")
    if not any(stored_size(output, unit.index, "firsts") for unit in units):
        raise nothing_to_read(inputs, units, "documents to read")
    share = max(1, memory // (workers or default_workers()))
    run_units(
        find_repeats,
        range_tasks(output, len(units), share, keep == "none"),
        workers=workers,
        engine=engine,
        description="corpus dedup: repeated lines",
    )
    counts, reasons = process_units(step, units, output, workers=workers, engine=engine, strict=strict)
    manifest = claim.write_manifest(counts=counts, reasons=reasons)
    remove_stages(output, *_STAGES)
    return manifest


def _write_unit(unit: Unit, _: Parameters, output: UnitOutput) -> None:
    repeats, first_ids, first_offsets = repeats_of(output.directory, unit.index)
    rows = line = 0
    for frame in read_documents(unit, output):
        texts = utf8(frame["text"])
        lines = find_lines(texts)
        low, high = np.searchsorted(repeats, [line, line + len(lines.keys)])
        gone = np.zeros(len(lines.keys), dtype=np.bool_)
        gone[repeats[low:high] - line] = True
        evidence = pl.DataFrame(
            {"first_id": first_ids[int(low) : int(high)], "first_offset": first_offsets[low:high]}
        )
        write_cut(
            frame, texts, lines, gone, evidence, _emptied(lines.firsts, gone, lines.compared), REASON, output
        )
        rows, line = rows + frame.height, line + len(lines.keys)
    signed = [stored_size(output.directory, unit.index, kind) for kind in ("firsts", "offsets")]
    if [rows, line] != signed:
        raise ZeroToOneError(f"{unit.path}: changed while it was read; use --overwrite")


def _emptied(firsts: np.ndarray, gone: np.ndarray, compared: np.ndarray) -> np.ndarray:
    """Which documents lost lines and have none with a letter or digit left."""
    lost, left = (np.append(0, np.cumsum(which)) for which in (gone, compared & ~gone))
    found: np.ndarray = (np.diff(lost[firsts]) > 0) & (np.diff(left[firsts]) == 0)
    return found
