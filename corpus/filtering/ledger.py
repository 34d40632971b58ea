"""The ledger of `corpus filter`: a row for every document, kept or not, with all that decided about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl

from corpus.filtering.rules import Rule, RuleSet, passes


class Verdict(NamedTuple):
    """What a rule said about a document: its label, the signal's value and what would be kept."""

    rule: str
    signal: str
    value: float | int | None
    comparison: str
    threshold: float
    passed: bool


def edit_column(rule_set: str, edit: str) -> str:
    """The ledger's column with what an edit of a rule set took out of a document."""
    return f"{rule_set}:edit.{edit}"


def verdicts(row: Mapping[str, Any], rule_sets: Sequence[RuleSet]) -> list[Verdict]:
    """What every rule that applies to a document says, from its row of the ledger, in the rules' order."""
    language = pl.Series([row.get("lang")], dtype=pl.String)
    applying = [rule_set for rule_set in rule_sets if rule_set.applies(language)[0]]
    return [_verdict(row, rule_set, rule) for rule_set in applying for rule in rule_set.rules]


def _verdict(row: Mapping[str, Any], rule_set: RuleSet, rule: Rule) -> Verdict:
    value = row.get(rule_set.column(rule.signal))
    passed = passes(value, rule)
    return Verdict(rule_set.label(rule), rule.signal, value, rule.comparison, rule.threshold, passed)


def edits_made(row: Mapping[str, Any]) -> dict[str, int]:
    """What the edits took out of a document: lines dropped or marks cut, by edit, without zeros."""
    return {name.replace(":edit.", "."): int(n) for name, n in row.items() if ":edit." in name and n}
