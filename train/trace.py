"""`train trace`: which documents or conversations a step of a run trained on.

A pre-training step is recomputed from the sampler, which is a function of the step. A run over conversations
(kind `sft`) has a file `plan.jsonl` in its directory with a line for each step, in order: `step`, and `rows`, a
list of one object per conversation (`row`, `id`, `source`, `lineage`, `tokens`).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import polars as pl

from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.shards import Shards, open_shards
from train.pretrain import read_history
from train.run_directory import read_run
from train.sampler import Sampler

Rows = list[dict[str, Any]]


def trace(directory: Path, step: int) -> Rows:
    """What step `step` (from 0) of a run was trained on, one entry per row and document.

    Of a `pretrain` run: row, domain, id, url, `row_offset` (first token in the row), `document_offset` (the
    same token in the document) and `tokens`; of an `sft` run what its plan says. Raises ZeroToOneError where
    the run's data is gone or has changed, UsageError where the run has no such step.
    """
    run = read_run(directory)
    if run["kind"] == "pretrain":
        return _trace_pretrain(directory, run, step)
    if run["kind"] == "sft":
        return _trace_plan(directory, step)
    raise ZeroToOneError(f"{directory}: cannot trace a run of kind {run['kind']!r}")


def _trace_pretrain(directory: Path, run: dict[str, Any], step: int) -> Rows:
    parameters = run["parameters"]
    rows = parameters["batch_rows"]
    _check_step(directory, step, -(-parameters["tokens"] // (parameters["row_length"] * rows)))
    shards = _open_same_shards(directory, run)
    sampler = Sampler(shards, read_history(directory), parameters["row_length"], rows, parameters["seed"])
    spans = sampler.documents(step)
    documents: dict[str, pl.DataFrame] = {
        name: shards.domains[name].documents() for name in sorted({span.domain for span in spans})
    }
    entries: Rows = []
    for span in spans:
        document = documents[span.domain].row(span.document, named=True)
        entries.append(
            {
                "row": span.row,
                "domain": span.domain,
                "id": document["id"],
                "url": document["url"],
                "row_offset": span.row_offset,
                "document_offset": span.document_offset,
                "tokens": span.tokens,
            }
        )
    return entries


def _trace_plan(directory: Path, step: int) -> Rows:
    path = directory / "plan.jsonl"
    if not path.exists():
        raise ZeroToOneError(f"{path}: no such file")
    with path.open(encoding="utf-8") as lines:
        plan = lines.readlines()
    _check_step(directory, step, len(plan))
    try:
        return list(json.loads(plan[step])["rows"])
    except (ValueError, KeyError, TypeError):
        raise ZeroToOneError(f"{path}:{step + 1}: not a step of a plan") from None


def _check_step(directory: Path, step: int, steps: int) -> None:
    """Raise UsageError where a run of `steps` steps has no step `step`."""
    if not 0 <= step < steps:
        raise UsageError(f"{directory}: has steps 0 to {steps - 1}, not {step}")


def _open_same_shards(directory: Path, run: dict[str, Any]) -> Shards:
    path = Path(os.path.normpath(directory / run["data"]["shards"]))
    if not path.exists():
        raise ZeroToOneError(f"{path}: the shards of {directory} are not there any more")
    shards = open_shards(path, "train")
    if shards.hash != run["parameters"]["shards"]:
        raise ZeroToOneError(f"{path}: not the shards that {directory} was trained on (the hash differs)")
    return shards
