"""The verb `corpus report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from corpus.core import options
from corpus.core.console import print_report
from corpus.reporting.report import write_report


def report(
    directories: Annotated[
        list[Path], typer.Argument(help="Dataset directories; the steps before them are found and added.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The HTML file.")] = Path("report.html"),
    as_json: options.AsJson = False,
) -> None:
    """Write an HTML report: funnel, reasons with samples, languages, overlap of rules, signals, duplicates.

    Example: corpus report near/ -o report.html
    """
    print_report(write_report(directories, output), output, as_json=as_json)
