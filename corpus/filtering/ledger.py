"""The ledger of `corpus filter`: a row for every document, kept or not, with all that decided about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import read_json
from corpus.core.parquet_files import open_parquet
from corpus.filtering.edits import EDITED_OUT
from corpus.filtering.rules import OWN_COLUMN, Rule, RuleSet, from_json, passes
from corpus.filtering.signals import SIGNALS, SIGNALS_VERSION, Signal
from corpus.filtering.word_lists import PREFIX

ABOUT = ("id", "url", "domain", "lang", "lang_score")
DECISION = ("kept", "reason", "failed_rules")
_BATCH_ROWS = 65536


class Verdict(NamedTuple):
    """What a rule said about a document: its label, the signal's value and what would be kept."""

    rule: str
    signal: str
    value: float | int | None
    comparison: str
    threshold: float
    passed: bool


@dataclass(frozen=True)
class Ledger:
    """A ledger's folder and, from the manifest beside it, the rules and languages that decided it.

    `counts` and `reasons` are the manifest's; `columns` those of its files, in their order.
    """

    folder: Path
    rule_sets: tuple[RuleSet, ...]
    languages: tuple[str, ...]
    counts: dict[str, int]
    reasons: dict[str, int]
    columns: tuple[str, ...]

    @property
    def parts(self) -> list[Path]:
        """The ledger's files, in the order of the filter's units."""
        return _parts(self.folder)


def is_ledger(path: str | Path) -> bool:
    """Whether a path is a ledger's folder, or a file of one: a table of decisions without texts."""
    place = Path(path)
    parts = [place] if place.is_file() and place.suffix == ".parquet" else _parts(place)
    if "://" in str(path) or not parts:
        return False
    try:
        names = pl.scan_parquet(parts[0]).collect_schema().names()
    except (pl.exceptions.PolarsError, OSError):
        return False
    return set(DECISION) < set(names) and "text" not in names


def open_ledger(folder: str | Path) -> Ledger:
    """The ledger in a folder that `corpus filter` wrote.

    Raises ZeroToOneError where the filter's manifest is missing, where another version of the signals' definitions
    counted (both are named), or where a file of the ledger is missing.
    """
    place = Path(folder)
    if place.is_file():
        raise UsageError(f"{place}: a file of a ledger; name its folder, {place.parent}")
    parts, file = _parts(place), place.parent / "manifest.json"
    if not parts:
        raise ZeroToOneError(f"{place}: no part-*.parquet here; not a ledger")
    if not file.is_file():
        raise ZeroToOneError(f"{place}: a ledger without its filter's manifest.json beside it; move both together")
    manifest = read_json(file)
    try:
        parameters = manifest["parameters"]
        version = parameters.get("signals_version", "unknown")
        rule_sets, languages = from_json(parameters["rules"]), tuple(parameters["languages"])
        counts, reasons = dict(manifest["counts"]), dict(manifest["reasons"])
    except (AttributeError, KeyError, TypeError):
        raise ZeroToOneError(f"{file}: not the manifest of `corpus filter`") from None
    if version != SIGNALS_VERSION:
        raise ZeroToOneError(
            f"{place}: its signals follow version {version} of their definitions, this program version "
            f"{SIGNALS_VERSION}; run `corpus filter` on the documents again"
        )
    ledger = Ledger(place, tuple(rule_sets), languages, counts, reasons, column_names(parts[0]))
    rows = sum(_rows(part) for part in parts)
    if rows != counts.get("documents_in"):
        raise ZeroToOneError(
            f"{place}: {rows:,} rows, but {file} counts {counts.get('documents_in', 0):,} documents"
        )
    return ledger


def read_ledger(part: Path, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Some columns of a file of a ledger, in batches of rows. Raises ZeroToOneError for a missing column."""
    with open_parquet(str(part)) as file:
        for name in columns:
            if name not in file.schema_arrow.names:
                raise ZeroToOneError(f"{part}: no column `{name}`")
        for batch in file.iter_batches(_BATCH_ROWS, columns=list(columns)):
            frame = pl.from_arrow(batch)
            assert isinstance(frame, pl.DataFrame)
            yield frame.select(columns)


def edit_column(rule_set: str, edit: str) -> str:
    """The ledger's column with what an edit of a rule set took out of a document."""
    return f"{rule_set}:edit.{edit}"


def is_edit_column(column: str) -> bool:
    """Whether a ledger's column is one of `edit_column`."""
    return ":edit." in column


def verdicts(row: Mapping[str, Any], rule_sets: Sequence[RuleSet]) -> list[Verdict]:
    """What every rule that applies to a document says, from its row of the ledger, in the rules' order."""
    language = pl.Series([row.get("lang")], dtype=pl.String)
    applying = [rule_set for rule_set in rule_sets if rule_set.applies(language)[0]]
    return [_verdict(row, rule_set, rule) for rule_set in applying for rule in rule_set.rules]


def _verdict(row: Mapping[str, Any], rule_set: RuleSet, rule: Rule) -> Verdict:
    value = row.get(rule_set.column(rule.signal))
    passed = passes(value, rule)
    return Verdict(rule_set.label(rule), rule.signal, value, rule.comparison, rule.threshold, passed)


def other_signals(row: Mapping[str, Any], rule_sets: Sequence[RuleSet]) -> dict[str, Any]:
    """A document's signals that no rule which applies to it looks at, by column; nulls are left out.

    Those of the user's own columns and word lists are among them.
    """
    language = pl.Series([row.get("lang")], dtype=pl.String)
    applying = [rule_set for rule_set in rule_sets if rule_set.applies(language)[0]]
    looked_at = {rule_set.column(rule.signal) for rule_set in applying for rule in rule_set.rules}
    return {
        name: value
        for name, value in row.items()
        if (signal_of(name) or _is_own(name)) and name not in looked_at and value is not None
    }


def _is_own(column: str) -> bool:
    return column.rpartition(":")[2].startswith((OWN_COLUMN, PREFIX))


def signal_of(column: str) -> Signal | None:
    """The signal that a column of a ledger holds, if it holds one."""
    return None if is_edit_column(column) else SIGNALS.get(column.rpartition(":")[2])


def edits_made(row: Mapping[str, Any]) -> dict[str, int]:
    """What the edits took out of a document: lines dropped or marks cut, by edit, without zeros."""
    return {name.replace(":edit.", "."): int(n) for name, n in row.items() if is_edit_column(name) and n}


def edited_out(row: Mapping[str, Any]) -> dict[str, str]:
    """The beginning of the lines that each rule set's edits dropped, by set, where there are any."""
    named = ((name.rpartition(":"), text) for name, text in row.items())
    return {rule_set: text for (rule_set, _, name), text in named if name == EDITED_OUT and text}


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*.parquet"))


def _rows(part: Path) -> int:
    with open_parquet(str(part)) as file:
        return int(file.metadata.num_rows)


def column_names(part: Path) -> tuple[str, ...]:
    """The columns of a file of a ledger, in their order."""
    with open_parquet(str(part)) as file:
        return tuple(file.schema_arrow.names)
