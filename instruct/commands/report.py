"""The verb `instruct report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from corpus.core import options
from corpus.core.console import print_summary
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
    steps = write_report(directories, output)
    if as_json:
        print_summary("report", {"report": str(output), "steps": steps}, as_json=True)
        return
    rows = [{name: value for name, value in step.items() if name != "reasons"} for step in steps]
    print_summary(f"report → {output}", rows, as_json=False)
