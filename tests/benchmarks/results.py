"""The file of measured results: each benchmark writes its own section anew and leaves the others as they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")


def write_section(title: str, body: str, path: Path = RESULTS) -> None:
    """Replace the section `## title` with `body`, or append it where there is none."""
    text = path.read_text("utf-8").rstrip("\n") + "\n"
    section = f"## {title}\n{body.strip()}\n"
    pattern = re.compile(rf"^## {re.escape(title)}\n(?:(?!## ).*\n)*", re.MULTILINE)
    if pattern.search(text):
        text = pattern.sub(lambda _: section + "\n", text)
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
