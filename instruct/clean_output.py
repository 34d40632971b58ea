"""What `instruct clean` writes from its stage: rows with their lineage, removed ones, the account of rounds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corpus.core.conversations import Conversation
from corpus.core.errors import ZeroToOneError
from corpus.core.inputs import Unit
from instruct.clean_conversation import CleanOptions
from instruct.clean_duplicates import Duplicate
from instruct.clean_split import split_rounds
from instruct.stages import SET_ASIDE, check_rounds, read_stage

TOO_LONG = "too_long"


@dataclass
class Account:
    """Rows and rounds that were written, by where they went."""

    options: CleanOptions
    rows_out: int = 0
    rounds_out: int = 0
    rounds_set_aside: int = 0
    rows_set_aside: Counter[str] = field(default_factory=Counter)
    conversations_split: int = 0
    removed: Counter[str] = field(default_factory=Counter)
    rounds_removed: Counter[str] = field(default_factory=Counter)

    def check(self, rounds_in: int, inputs: Sequence[str]) -> None:
        """Raise ZeroToOneError where rounds do not add up, and where no row is left."""
        check_rounds(inputs, rounds_in, self.rounds_out, sum(self.rounds_removed.values()), self.rounds_set_aside)
        if not self.rows_out:
            most = (self.removed + self.rows_set_aside).most_common(3)
            reasons = ", ".join(f"{reason} took {number}" for reason, number in most)
            raise ZeroToOneError(f"{', '.join(inputs)}: no conversation is left; {reasons}")

    def manifest(self, counts: dict[str, int]) -> dict[str, Any]:
        """The entries of the manifest; `counts` are those of the units."""
        written = {
            "rows_out": self.rows_out,
            "conversations_split": self.conversations_split,
            "rows_set_aside": sum(self.rows_set_aside.values()),
            "rounds_out": self.rounds_out,
            "rounds_removed": sum(self.rounds_removed.values()),
            "rounds_set_aside": self.rounds_set_aside,
        }
        return {
            "counts": {**counts, **written},
            "reasons": dict(sorted((self.removed + self.rows_set_aside).items())),
            "rounds_by_reason": dict(sorted(self.rounds_removed.items())),
        }


@dataclass(frozen=True)
class _Row:
    number: int
    place: str
    conversation: Conversation
    removed: list[dict[str, Any]]
    edits: dict[str, int]
    numbers: list[int]
    tokens: list[int]

    def lineage(self, rounds: Sequence[int]) -> dict[str, Any]:
        """The conversation's own lineage, and which of its rounds (from 1) these are."""
        cleaned = {"conversation": self.conversation["id"], "place": self.place, "rounds": list(rounds)}
        return {**self.conversation["lineage"], "clean": cleaned}


def _rows(output: Path, units: Sequence[Unit]) -> Iterator[_Row]:
    number = 0
    for frame in read_stage(output, units):
        for row in frame.iter_rows(named=True):
            own = {name: json.loads(row[name]) for name in ("conversation", "removed", "edits")}
            yield _Row(number, row["place"], numbers=row["numbers"], tokens=row["tokens"], **own)
            number += 1


def _parts(row: _Row, options: CleanOptions) -> Iterator[tuple[int, int, bool]]:
    """The runs of a row's rounds that become rows, and whether each stays."""
    if options.max_tokens is None:
        yield 0, len(row.numbers), True
        return
    shared, *sizes = row.tokens
    for first, last in split_rounds(sizes, shared, options.max_tokens):
        fits = shared + sum(sizes[first:last]) <= options.max_tokens
        yield first, last, fits or options.too_long == "keep"


def kept_rows(
    output: Path, units: Sequence[Unit], found: dict[int, Duplicate], account: Account
) -> Iterator[Conversation]:
    """The conversations that stay; each part of a split one has its number behind the id."""
    for row in _rows(output, units):
        if row.number in found or not row.numbers:
            continue
        runs = list(_parts(row, account.options))
        account.conversations_split += len(runs) > 1
        for part, (first, last, stays) in enumerate(runs, 1):
            if not stays:
                continue
            numbers = row.numbers[first:last]
            conversation = {**row.conversation, "messages": _messages(row, first, last)}
            if len(runs) > 1:
                conversation["id"] = f"{row.conversation['id']}#{part}"
            conversation["lineage"] = row.lineage(numbers)
            if row.edits:
                conversation["lineage"]["clean"]["edits"] = row.edits
            account.rows_out += 1
            account.rounds_out += len(numbers)
            yield conversation


def _messages(row: _Row, first: int, last: int) -> list[dict[str, str]]:
    messages = row.conversation["messages"]
    system = len(messages) - 2 * len(row.numbers)
    return [*messages[:system], *messages[system + 2 * first : system + 2 * last]]


def removed_rows(
    output: Path, units: Sequence[Unit], found: dict[int, Duplicate], account: Account
) -> Iterator[dict[str, Any]]:
    """What does not stay: a row for each stretch of turns."""
    places = _places(output, units, {duplicate.kept for duplicate in found.values()})
    for row in _rows(output, units):
        for item in row.removed:
            yield _removed(row, item["reason"], item["detail"], item["rounds"], item["messages"], account)
        if row.number in found:
            reason, kept = found[row.number]
            yield _removed(row, reason, places[kept], row.numbers, row.conversation["messages"], account)
        elif row.numbers:
            for first, last, stays in _parts(row, account.options):
                if not stays:
                    detail = f"{row.tokens[0] + sum(row.tokens[1 + first : 1 + last])} tokens"
                    messages = _messages(row, first, last)
                    yield _removed(row, TOO_LONG, detail, row.numbers[first:last], messages, account)


def _places(output: Path, units: Sequence[Unit], wanted: set[int]) -> dict[int, str]:
    """Id and place of the rows that stay for others."""
    found = ((row.number, row) for row in _rows(output, units) if row.number in wanted)
    return {number: f"{row.conversation['id']} ({row.place})" for number, row in found}


def _removed(
    row: _Row,
    reason: str,
    detail: str,
    rounds: Sequence[int],
    messages: Sequence[dict[str, Any]],
    account: Account,
) -> dict[str, Any]:
    account.removed[reason] += 1
    account.rounds_removed[reason] += len(rounds)
    return {
        "id": row.conversation["id"],
        "reason": reason,
        "detail": detail,
        "rounds": list(rounds),
        "messages": list(messages),
        "lineage": row.lineage(rounds),
    }


def set_aside_rows(output: Path, units: Sequence[Unit], account: Account) -> Iterator[dict[str, Any]]:
    """The input's rows that could not be read."""
    for frame in read_stage(output, units, SET_ASIDE):
        for row in frame.iter_rows(named=True):
            account.rows_set_aside[row["reason"]] += 1
            account.rounds_set_aside += row["rounds"]
            yield row
