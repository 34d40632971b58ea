"""The verb `instruct select`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from corpus.core import options
from corpus.core.console import print_summary
from instruct.commands import options as shared
from instruct.select import SelectOptions
from instruct.select import select as run_select
from instruct.select_quotas import parse_quotas


def select(
    inputs: Annotated[list[str], typer.Argument(help="Scored rows, as `instruct score` writes them.")],
    output: shared.Output,
    by: Annotated[list[str], typer.Option(help="A score of the rows; of several the product counts. Repeatable.")],
    count: Annotated[int | None, typer.Option(help="Most rows to take.")] = None,
    diversity: Annotated[
        str, typer.Option(help="Where distances are measured: tfidf, minhash, embedding, or none.")
    ] = "tfidf",
    distance: Annotated[
        float, typer.Option(help="A row is taken if its distance to the nearest taken one is above this (0 to 1).")
    ] = 0.1,
    embedding_model: Annotated[
        Path | None, typer.Option(help="Folder of a model, for --diversity embedding.")
    ] = None,
    quota: Annotated[
        list[str] | None,
        typer.Option(help="FIELD=VALUE:COUNT, at most so many rows; VALUE * is each other value. Repeatable."),
    ] = None,
    strict: options.Strict = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Select the best rows that differ from each other, with quotas; the others are removed with their reason.

    Example: instruct select scored --by complexity --by quality --count 6000 --quota lang=zh:3000 -o selected
    """
    how = SelectOptions(
        tuple(dict.fromkeys(by)), count, diversity, distance, embedding_model, parse_quotas(quota or [])
    )
    manifest = run_select(inputs, output, how, overwrite=overwrite, strict=strict)
    about = {"reasons": manifest["reasons"], "scores": manifest["scores"], "output": str(output)}
    print_summary("select", {**manifest["counts"], **about}, as_json=as_json)
