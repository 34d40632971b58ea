"""Conversion of instruction data between its forms: rounds in = rounds out + rounds set aside."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from corpus.core.console import progress
from corpus.core.conversations import Conversation
from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import file_hash, write_atomically, write_json_lines
from instruct.forms import (
    OTHER_BRANCHES,
    READABLE,
    WRITABLE,
    FormError,
    detect,
    from_conversation,
    rounds_in,
    to_conversation,
)
from instruct.rows import list_row_files, read_records
from instruct.runs import SetAside


@dataclass
class ConvertResult:
    """Counts of a conversion; `lost` counts parts that the contract or the form has no place for.

    Rounds in are rounds out, set aside, and of the branches of trees that were not taken.
    """

    rows_in: int = 0
    rows_out: int = 0
    rounds_in: int = 0
    rounds_out: int = 0
    rounds_set_aside: int = 0
    forms: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    set_aside: list[SetAside] = field(default_factory=list)

    @property
    def rounds_of_other_branches(self) -> int:
        """Rounds of trees that stand in no conversation."""
        return self.lost[OTHER_BRANCHES]

    def nothing_left(self, inputs: Sequence[str], what: str) -> ZeroToOneError:
        """The error of a command that needs rows and has none: `what` is wanted."""
        reasons = ", ".join(f"{reason}: {count}" for reason, count in self.reasons.items())
        return ZeroToOneError(f"{', '.join(inputs)}: no {what}{f' ({reasons})' if reasons else ''}")

    @property
    def reasons(self) -> dict[str, int]:
        """Rows set aside, by reason."""
        return dict(sorted(Counter(item.reason for item in self.set_aside).items()))


def convert(
    inputs: Sequence[str],
    output: Path,
    *,
    to: str,
    source_form: str | None = None,
    overwrite: bool = False,
    strict: bool = False,
) -> ConvertResult:
    """Convert JSON or JSONL files to one file of the form `to` (a JSON array if its name ends in .json).

    Rows that cannot be read or held go to `<output>.set_aside.jsonl` with place and reason; with `strict` the
    first of them raises ZeroToOneError. An existing output of other content is kept unless `overwrite`.
    """
    if to not in WRITABLE:
        raise UsageError(f"--to {to}: choose one of {', '.join(WRITABLE)}")
    if source_form is not None and source_form not in READABLE:
        raise UsageError(f"--from {source_form}: choose one of {', '.join(READABLE)}")
    result = ConvertResult()
    with progress("convert", None, "rows") as bar:
        rows = _convert_rows(inputs, to, source_form, strict, result)
        with write_atomically(output) as temporary:
            with temporary.open("w", encoding="utf-8") as handle:
                for text in _lines(rows, as_array=output.name.endswith(".json")):
                    handle.write(text)
                    bar.advance()
            if not result.rows_in:
                raise ZeroToOneError(f"{', '.join(inputs)}: no rows to convert")
            if not result.rows_out:
                first = result.set_aside[0]
                raise ZeroToOneError(
                    f"{', '.join(inputs)}: no row can be converted; the first is {first.place}: {first.reason}"
                )
            if output.exists() and not overwrite and file_hash(output) != file_hash(temporary):
                raise ZeroToOneError(f"{output}: exists with other content; use --overwrite or another name")
    aside = output.with_name(f"{output.name}.set_aside.jsonl")
    if result.set_aside:
        write_json_lines(aside, map(asdict, result.set_aside))
    else:
        aside.unlink(missing_ok=True)
    return result


def read_rows(
    inputs: Sequence[str], source_form: str | None, strict: bool, result: ConvertResult
) -> Iterator[tuple[str, int, Conversation]]:
    """Read rows of any form as (place, rounds, conversation); bad ones are set aside in `result`."""
    for path in list_row_files(inputs):
        for place, row, text in read_records(path):
            result.rows_in += 1
            form = source_form or detect(row)
            rounds = rounds_in(row, detect(row))
            result.rounds_in += rounds
            branches = result.rounds_of_other_branches
            try:
                if isinstance(row, FormError):
                    raise row
                if form is None:
                    raise FormError("unknown_form" if isinstance(row, dict) else "not_an_object")
                conversation = to_conversation(row, form, place, result.lost)
            except FormError as error:
                set_aside(result, place, str(error), text, rounds, strict)
                continue
            rounds -= result.rounds_of_other_branches - branches
            result.forms[form] += 1
            if not conversation["source"]:
                conversation["source"] = Path(path).name
            yield place, rounds, conversation


def set_aside(result: ConvertResult, place: str, reason: str, text: str, rounds: int, strict: bool) -> None:
    """Record a row that is not converted; with `strict` raise ZeroToOneError instead."""
    if strict:
        raise ZeroToOneError(f"{place}: {reason} (--strict)")
    result.rounds_set_aside += rounds
    result.set_aside.append(SetAside(place, reason, text[:1000]))


def _convert_rows(
    inputs: Sequence[str], to: str, source_form: str | None, strict: bool, result: ConvertResult
) -> Iterator[dict[str, Any]]:
    for place, rounds, conversation in read_rows(inputs, source_form, strict, result):
        try:
            row = from_conversation(conversation, to, result.lost)
        except FormError as error:
            text = json.dumps(conversation, ensure_ascii=False)
            set_aside(result, place, str(error), text, rounds, strict)
            continue
        result.rows_out += 1
        result.rounds_out += rounds
        yield row


def _lines(rows: Iterator[dict[str, Any]], *, as_array: bool) -> Iterator[str]:
    texts = (json.dumps(row, ensure_ascii=False) for row in rows)
    if not as_array:
        yield from (f"{text}\n" for text in texts)
        return
    first = next(texts, None)
    yield "[\n" if first is not None else "["
    yield from chain([first or ""], (f",\n{text}" for text in texts))
    yield "\n]\n" if first is not None else "]\n"
