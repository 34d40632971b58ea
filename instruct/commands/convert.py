"""The verb `instruct convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from corpus.core import options
from corpus.core.console import print_summary
from instruct.convert import convert as run_convert


def convert(
    inputs: Annotated[
        list[str], typer.Argument(help="JSONL, JSON (.gz, .zst) or Parquet files; globs; directories.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write; .json makes an array.")],
    to: Annotated[str, typer.Option("--to", help="alpaca, sharegpt, messages or chatml.")] = "messages",
    source_form: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="alpaca, sharegpt, messages, chatml, dolly, oasst, super-ni, moss; else told by the row's keys.",
        ),
    ] = None,
    strict: options.Strict = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Convert instruction data between forms; what the target cannot hold is set aside with its reason.

    Example: instruct convert alpaca_data.json -o conversations.jsonl --to messages
    """
    result = run_convert(inputs, output, to=to, source_form=source_form, overwrite=overwrite, strict=strict)
    rows = {
        "rows_in": result.rows_in,
        "rows_out": result.rows_out,
        "rows_set_aside": len(result.set_aside),
        "rounds_in": result.rounds_in,
        "rounds_out": result.rounds_out,
        "rounds_set_aside": result.rounds_set_aside,
        "rounds_of_other_branches": result.rounds_of_other_branches,
        "forms": dict(sorted(result.forms.items())),
        "reasons": result.reasons,
        "parts_not_held": dict(sorted(result.lost.items())),
        "output": str(output),
    }
    print_summary("convert", rows, as_json=as_json)
