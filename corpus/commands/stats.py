"""The verb `corpus stats`."""

from __future__ import annotations

from typing import Annotated

import typer

from corpus.console import print_summary
from corpus.stats import document_stats


def stats(
    inputs: Annotated[list[str], typer.Argument(help="Dataset directories, files, globs or URLs of documents.")],
    workers: Annotated[int | None, typer.Option(help="Processes; all processors by default.")] = None,
    engine: Annotated[str, typer.Option(help="local or ray.")] = "local",
    strict: Annotated[bool, typer.Option("--strict", help="Fail on the first broken record.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Count documents, characters, bytes and words by domain and language.

    Example: corpus stats filtered/ --json
    """
    rows = document_stats(inputs, workers=workers, engine=engine, strict=strict)
    print_summary("stats", rows, as_json=as_json)
