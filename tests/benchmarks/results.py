"""The file of measured results: each benchmark writes its own section anew and leaves the others as they are.

A benchmark's headlines, the numbers that have a goal, go as JSON into the folder of the environment variable
`HEADLINES`, where `python -m tests.benchmarks.goals` collects them; without it they go nowhere.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

RESULTS = Path(__file__).with_name("RESULTS.md")
HEADLINES = "HEADLINES"


class Headline(NamedTuple):
    """A measured number beside its goal; `met` is None where there is no goal."""

    measure: str
    goal: str
    measured: str
    met: bool | None


def at_least(measure: str, value: float, goal: float, form: str = "{:.2f}") -> Headline:
    """A number that shall be so large; `form` writes both, such as `{:.0f} ×`."""
    return Headline(measure, f"≥ {form.format(goal)}", form.format(value), bool(value >= goal))


def at_most(measure: str, value: float, goal: float, form: str = "{:.2f}") -> Headline:
    """A number that shall be so small."""
    return Headline(measure, f"≤ {form.format(goal)}", form.format(value), bool(value <= goal))


def without_goal(measure: str, value: float, form: str = "{:.2f}") -> Headline:
    """A number that stands in the summary for information."""
    return Headline(measure, "", form.format(value), None)


def leave_headlines(name: str, headlines: Iterable[Headline]) -> None:
    """Leave a benchmark's headlines for the summary, if one is being made."""
    if folder := os.environ.get(HEADLINES):
        about = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "headlines": [one._asdict() for one in headlines]}
        (Path(folder) / f"{name}.json").write_text(json.dumps(about, ensure_ascii=False), "utf-8")


def write_section(title: str, body: str, path: Path = RESULTS, first: bool = False) -> None:
    """Replace the section `## title` with `body`; where there is none append it, or put it before all others."""
    text = path.read_text("utf-8").rstrip("\n") + "\n"
    section = f"## {title}\n{body.strip()}\n"
    pattern = re.compile(rf"^## {re.escape(title)}\n(?:(?!## ).*\n)*", re.MULTILINE)
    if pattern.search(text):
        text = pattern.sub(lambda _: section + "\n", text)
    elif first and (other := re.search(r"^## ", text, re.MULTILINE)):
        text = f"{text[: other.start()]}{section}\n{text[other.start() :]}"
    else:
        text += f"\n{section}"
    path.write_text(text.rstrip("\n") + "\n", "utf-8")


def made_with(command: str, packages: Sequence[str], others: dict[str, str]) -> str:
    """A line that names command, date, machine and versions; `others` are versions of a peer's environment."""
    versions = [f"{name} {version(name)}" for name in packages]
    versions += [f"{name} {number}" for name, number in others.items()]
    return f"`{command}`, {datetime.now(UTC):%Y-%m-%d}, two cores, CPU; {', '.join(versions)}."


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    return "\n".join([*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows)])
