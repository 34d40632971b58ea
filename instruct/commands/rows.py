"""What the verbs do that ask a model about each row by itself."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from instruct.commands.options import Asking
from instruct.estimate import print_estimate
from instruct.row_runs import RowCommand, estimate_rows, run_rows
from instruct.runs import print_run


def ask_about_rows(
    command: RowCommand,
    inputs: Sequence[str],
    output: Path,
    asking: Asking,
    *,
    strict: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Do a command's work, or with --estimate tell what it would take, and print what came of it."""
    if asking.estimate:
        found = estimate_rows(command, inputs, cache_path=asking.cache, strict=strict)
        print_estimate(command.name, found, as_json=as_json)
        return
    manifest, tally = run_rows(
        command, inputs, output, cache_path=asking.cache, overwrite=overwrite, strict=strict
    )
    print_run(command.name, manifest, output, tally, as_json=as_json)
