"""The verb `instruct report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from corpus.core import options
from corpus.core.console import print_report
from instruct.report import write_report


def report(
    directories: Annotated[
        list[Path], typer.Argument(help="Directories that verbs wrote; those that they were made from are added.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The HTML file.")] = Path("report.html"),
    as_json: options.AsJson = False,
) -> None:
    """Write an HTML report: funnel, costs, use cases, verbs, lengths, languages, nearest pairs, samples.

    Example: instruct report evolved/ -o report.html
    """
    print_report(write_report(directories, output), output, as_json=as_json)
