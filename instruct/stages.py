"""Conversations read by units, and the tables between the stages of a command, under `.state/`.

Every command that goes this way accounts for its rounds: those that came in are those of the rows that it hands
on, of what is set aside, and of branches of trees that stand in no conversation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from corpus.core.conversations import Conversation
from corpus.core.engine import UnitOutput
from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.inputs import Unit
from corpus.core.output import remove_stages
from instruct.forms import OTHER_BRANCHES, READABLE, FormError, detect, rounds_in
from instruct.rows import read_unit

ROWS, SET_ASIDE = ".state/rows", ".state/set_aside"
Read = Callable[[Any, str, str, Counter[str]], Conversation]  # of a row, its form, an id, what is lost


def check_form(form: str | None) -> None:
    """Raise UsageError for a form that is not known."""
    if form is not None and form not in READABLE:
        raise UsageError(f"--from {form}: choose one of {', '.join(READABLE)}")


def read_conversations(
    unit: Unit, form: str | None, read: Read, output: UnitOutput
) -> Iterator[tuple[str, Conversation, int]]:
    """The conversations of a unit, with their places and numbers of rounds; what cannot be read is set aside.

    `read` makes a conversation of a row (`forms.read_row`, `forms.to_conversation`). Counts rows and rounds in.
    """
    lost: Counter[str] = Counter()
    for place, row, text in read_unit(unit):
        rounds = rounds_in(row, detect(row))
        output.count("rows_in")
        output.counts["rounds_in"] += rounds
        not_held: Counter[str] = Counter()
        try:
            conversation = _read_row(place, row, form, read, not_held)
        except FormError as error:
            set_aside(output, place, str(error), text, rounds)
            continue
        lost.update(not_held)
        conversation["source"] = conversation["source"] or unit.name
        yield place, conversation, rounds - not_held[OTHER_BRANCHES]
    for name, number in (+lost).items():
        output.count(name if name == OTHER_BRANCHES else f"not held: {name}", number)


def _read_row(place: str, row: Any, form: str | None, read: Read, lost: Counter[str]) -> Conversation:
    if isinstance(row, FormError):
        raise row
    found = form or detect(row)
    if found is None:
        raise FormError("unknown_form" if isinstance(row, dict) else "not_an_object")
    conversation = read(row, found, place, lost)
    if not conversation["messages"]:
        raise FormError("no_messages")
    return conversation


def set_aside(output: UnitOutput, place: str, reason: str, text: str, rounds: int) -> None:
    """Record a row that cannot be read, or with `strict` raise ZeroToOneError."""
    if output.strict:
        raise ZeroToOneError(f"{place}: {reason} (--strict)")
    row = {"place": place, "reason": reason, "record": text[:1000], "rounds": rounds}
    output.write(SET_ASIDE, pl.DataFrame([row]))


def read_stage(
    output: Path, units: Sequence[Unit], table: str = ROWS, columns: Sequence[str] | None = None
) -> Iterator[pl.DataFrame]:
    """A table that the units wrote, in the input's order."""
    for unit in units:
        part = output / table / f"part-{unit.index:05d}.parquet"
        if part.exists():
            yield pl.read_parquet(part, columns=None if columns is None else list(columns))


def end_stages(output: Path) -> None:
    """Remove the tables of a command that has finished."""
    remove_stages(output, "rows", "set_aside", "near")


def check_rounds(inputs: Sequence[str], rounds_in: int, out: int, removed: int, aside: int) -> None:
    """Raise ZeroToOneError where rounds do not add up."""
    if rounds_in != out + removed + aside:
        raise ZeroToOneError(
            f"{', '.join(inputs)}: {rounds_in} rounds came in; {out} kept, {removed} removed and {aside} set "
            "aside are not as many: a fault of the program"
        )
