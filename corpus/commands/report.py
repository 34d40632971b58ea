"""The verb `corpus report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from corpus.core import options
from corpus.core.console import print_summary
from corpus.reporting.report import step_directories, write_report


def report(
    directories: Annotated[
        list[Path], typer.Argument(help="Dataset directories; the steps before them are found and added.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The HTML file.")] = Path("report.html"),
    as_json: options.AsJson = False,
) -> None:
    """Write an HTML report: the funnel, reasons with samples, signals beside their limits, duplicate clusters.

    Example: corpus report near/ -o report.html
    """
    write_report(directories, output)
    steps = [str(path) for path in step_directories(directories)]
    print_summary("report", {"report": str(output), "steps": steps}, as_json=as_json)
