"""`corpus redact`: placeholders for personal identifiers, and a ledger of where they stood, not what they were."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import polars as pl

from corpus.core.engine import Step, UnitOutput, run_step
from corpus.core.errors import UsageError
from corpus.core.inputs import Unit, read_documents
from corpus.core.output import Manifest
from corpus.privacy.identifiers import PLACEHOLDERS, Identifier, find_identifiers, redact
from corpus.text.words import chunks


def redact_documents(
    inputs: Sequence[str | Path],
    output: Path,
    *,
    kinds: Sequence[str] = tuple(PLACEHOLDERS),
    workers: int | None = None,
    engine: str = "local",
    overwrite: bool = False,
    strict: bool = False,
) -> Manifest:
    """Put placeholders in the place of identifiers of the texts and return the manifest.

    `documents/` has every document. `ledger/` has a row for each that held an identifier, with the number of every
    kind; `redactions/` a row for each identifier: the document's id, the kind, offset and length in characters of
    the text as it came in, and never the identifier or a hash of it. Only `text` is searched; a URL or other
    columns are as they were.
    """
    parameters = {"kinds": _check(kinds)}
    step = Step("corpus redact", parameters, process_unit)
    return run_step(step, inputs, output, workers=workers, engine=engine, overwrite=overwrite, strict=strict)


def process_unit(unit: Unit, parameters: dict[str, Any], output: UnitOutput) -> None:
    """Redact one unit: the step's function."""
    for frame in read_documents(unit, output):
        _process(frame, parameters["kinds"], output)


def _check(kinds: Sequence[str]) -> list[str]:
    unknown = [kind for kind in kinds if kind not in PLACEHOLDERS]
    if unknown or not kinds:
        named = f"unknown kind `{unknown[0]}`" if unknown else "no kind given"
        raise UsageError(f"{named}; choose from {', '.join(PLACEHOLDERS)}")
    return [kind for kind in PLACEHOLDERS if kind in kinds]


def _process(frame: pl.DataFrame, kinds: Sequence[str], output: UnitOutput) -> None:
    texts: list[str] = frame["text"].to_list()
    found = find_in_documents(texts, kinds)
    rows = []
    for row, identifiers in groupby(found, key=lambda identifier: identifier.text):
        rows.append(row)
        texts[row] = redact(texts[row], list(identifiers))
    output.write("documents", frame.with_columns(pl.Series("text", texts, dtype=pl.String)) if rows else frame)
    output.count("documents_in", frame.height)
    output.count("documents_kept", frame.height)
    if not rows:
        return
    output.count("documents_redacted", len(rows))
    for kind, number in Counter(identifier.kind for identifier in found).items():
        output.count(f"redacted:{kind}", number)
    output.write("ledger", _count(frame[rows], rows, found, kinds))
    output.write("redactions", _places(frame, found))


def find_in_documents(texts: Sequence[str], kinds: Sequence[str] = tuple(PLACEHOLDERS)) -> list[Identifier]:
    """The identifiers of all texts, found in pieces that bound the memory."""
    found, first = [], 0
    for part in chunks(texts):
        found += [item._replace(text=item.text + first) for item in find_identifiers(part, kinds)]
        first += len(part)
    return found


def _count(
    frame: pl.DataFrame, rows: Sequence[int], found: Sequence[Identifier], kinds: Sequence[str]
) -> pl.DataFrame:
    """A row for each document with identifiers, a column for each kind."""
    numbers = Counter((identifier.text, identifier.kind) for identifier in found)
    return frame.select("id", "url", "domain", "lang").with_columns(
        pl.Series(kind, [numbers[row, kind] for row in rows], dtype=pl.Int64) for kind in kinds
    )


def _places(frame: pl.DataFrame, found: Sequence[Identifier]) -> pl.DataFrame:
    """A row for each identifier: where it stood."""
    return frame.select("id")[[identifier.text for identifier in found]].with_columns(
        pl.Series("kind", [identifier.kind for identifier in found], dtype=pl.String),
        pl.Series("offset", [identifier.first for identifier in found], dtype=pl.Int64),
        pl.Series("length", [identifier.end - identifier.first for identifier in found], dtype=pl.Int64),
    )
