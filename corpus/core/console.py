"""What the four programs share on a terminal: progress, summaries, and errors of one line."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress
from rich.table import Table

from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import is_disk_full

_INTERRUPTED = 130  # the shells' convention: 128 + SIGINT
_GO_ON = "interrupted; run the same command again to go on from here"
_LINE_SECONDS = 10.0

_stderr = Console(stderr=True, highlight=False)


def program_of(text: str, verbs: Sequence[Callable[..., None]]) -> typer.Typer:
    """A program of verbs, each a function of that name; `text` is what `--help` says about it."""
    app = typer.Typer(help=text, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    app.callback()(lambda: None)  # without it a single verb would be the program itself
    for verb in verbs:
        app.command()(verb)
    return app


def program(text: str, commands: str, verbs: Sequence[str], groups: Sequence[str] = ()) -> typer.Typer:
    """A program of verbs that are imported when they are wanted: each takes seconds.

    A verb is a function in the module of its name in the package `commands`; a group is one, too, and returns a
    program of its own. All are imported where the command line does not begin with one of them.
    """
    every = [*verbs, *groups]
    wanted = [name for name in every if name in sys.argv[1:2]] or every
    members = {name: getattr(import_module(f"{commands}.{name}"), name) for name in wanted}
    app = program_of(text, [member for name, member in members.items() if name in verbs])
    for name in groups:
        if name in members:
            app.add_typer(members[name](), name=name)
    return app


def print_report(steps: Sequence[Mapping[str, Any]], output: Path, *, as_json: bool) -> None:
    """Say where a report is, and what its steps did: as JSON whole, as a table without the reasons."""
    if as_json:
        print_summary("report", {"report": str(output), "steps": steps}, as_json=True)
        return
    rows = [{name: value for name, value in step.items() if name != "reasons"} for step in steps]
    print_summary(f"report → {output}", rows, as_json=False)


def run(load: Callable[[], typer.Typer]) -> None:
    """Load and run a program; every failure that the user can act on is one line on stderr, no traceback."""
    try:
        try:
            load()()
        finally:
            sys.stdout.flush()  # a closed pipe shows here, not when the interpreter ends
    except UsageError as error:
        _fail(str(error), 2)
    except ZeroToOneError as error:
        _fail(str(error), 1)
    except KeyboardInterrupt:
        _fail(_GO_ON, _INTERRUPTED)
    except SystemExit as end:  # typer makes this of Ctrl-C, without a word
        if end.code == _INTERRUPTED:
            _fail(_GO_ON, _INTERRUPTED)
        raise
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except Exception as error:
        if is_disk_full(error):
            where = getattr(error, "filename", None) or "the output"
            _fail(f"{where}: disk full; free some space and run the same command again", 1)
        if isinstance(error, OSError):
            place = error.filename2 or error.filename
            _fail(f"{place}: {error.strerror}" if place else " ".join(str(error).split()), 1)
        raise


def _fail(message: str, status: int) -> None:
    _stderr.print(f"error: {message}" if status != _INTERRUPTED else message, markup=False, soft_wrap=True)
    raise SystemExit(status) from None


def log(message: str) -> None:
    """Print a line on stderr."""
    _stderr.print(message, markup=False, soft_wrap=True)


class Progress:
    """A running count; `advance` adds to it, `note` sets the text behind it."""

    def __init__(self, description: str, total: float | None, unit: str, bar: RichProgress | None) -> None:
        self.description, self.total, self.unit = description, total, unit
        self.done, self.text = 0.0, ""
        self._bar, self._started, self._printed = bar, time.monotonic(), time.monotonic()
        self._first = 0.0
        self._task = bar.add_task(description, total=total, rate="", text="") if bar else None

    def start_at(self, done: float) -> None:
        """Count `done` as finished before, so that rate and time left speak of this run."""
        self.done = self._first = done
        self.advance(0)

    def advance(self, n: float = 1) -> None:
        """Add `n` to the count."""
        self.done += n
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self.done, rate=self._rate(), text=escape(self.text))
        elif time.monotonic() - self._printed >= _LINE_SECONDS:
            self._printed = time.monotonic()
            log(self._line())

    def note(self, text: str) -> None:
        """Set the text that stands behind the count."""
        self.text = text
        self.advance(0)

    def _rate(self) -> str:
        seconds = max(time.monotonic() - self._started, 1e-6)
        rate = (self.done - self._first) / seconds
        return f"{rate:,.0f} {self.unit}/s" if rate >= 10 else f"{rate:.1f} {self.unit}/s"

    def _line(self) -> str:
        of_total = f"/{self.total:,.0f}" if self.total is not None else ""
        parts = [f"{self.description}: {self.done:,.0f}{of_total} {self.unit}, {self._rate()}"]
        rate = (self.done - self._first) / max(time.monotonic() - self._started, 1e-6)
        if self.total is not None and rate > 0:
            parts.append(f"{max(self.total - self.done, 0) / rate:,.0f} s left")
        return ", ".join([*parts, self.text] if self.text else parts)


@contextmanager
def progress(description: str, total: float | None, unit: str = "documents") -> Iterator[Progress]:
    """Show progress: a bar with rate and time left on a terminal, a plain line every ten seconds elsewhere."""
    if not _stderr.is_terminal:
        counter = Progress(description, total, unit, None)
        yield counter
        log(counter._line())
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}"),
    )
    with RichProgress(*columns, console=_stderr) as bar:
        yield Progress(description, total, unit, bar)


def print_summary(
    title: str, rows: Mapping[str, object] | Sequence[Mapping[str, object]], *, as_json: bool
) -> None:
    """Print a table (name and value, or one line per row), or with `as_json` one JSON object on stdout."""
    if as_json:
        value: dict[str, object] = (
            dict(rows) if isinstance(rows, Mapping) else {"rows": [dict(row) for row in rows]}
        )
        print(json.dumps(value, ensure_ascii=False, default=str))
        return
    table = Table(title=title, title_justify="left", show_header=not isinstance(rows, Mapping))
    if isinstance(rows, Mapping):
        table.add_column("")
        table.add_column("", overflow="fold")
        for name, cell in rows.items():
            table.add_row(escape(name), escape(_cell(cell)))
    else:
        names = list(dict.fromkeys(name for row in rows for name in row))
        for name in names:
            numeric = any(isinstance(row.get(name), (int, float)) for row in rows)
            table.add_column(escape(name), justify="right" if numeric else "left", overflow="fold")
        for row in rows:
            table.add_row(*(escape(_cell(row.get(name, ""))) for name in names))
    Console(highlight=False, width=None if sys.stdout.isatty() else 120).print(table)


def _cell(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return "" if value is None else str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_cell(item)}" for name, item in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(_cell(item) for item in value)
    return str(value)
