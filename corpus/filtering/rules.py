"""Rule sets: which signals with which thresholds keep a document.

A rule set is a YAML file (see `rule_sets/`). Sets apply one after the other; a set with edits changes the text
for its own rules and for the sets behind it. A rule says what is kept: `signal comparison threshold`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from corpus.filtering.edits import Edit
from corpus.filtering.signals import LANGUAGE_SCORE
from corpus.text.language_codes import primary_language

COMPARISONS = (">=", "<=", ">", "<", "==")
OWN_COLUMN = "column."  # before the name of a column of the documents: a signal of the user's own


@dataclass(frozen=True)
class Rule:
    """Keeps documents whose signal compares so with the threshold."""

    name: str
    signal: str
    comparison: str
    threshold: float


@dataclass(frozen=True)
class RuleSet:
    """A named set of rules, ready to apply.

    `text` names the set whose edits made the text that the rules look at ("" for the text as it came in). The
    set applies to documents in the languages `only_for` (all if empty) but not in `not_for`.
    """

    name: str
    definition: str
    source: str
    languages: tuple[str, ...]
    edits: tuple[Edit, ...]
    rules: tuple[Rule, ...]
    text: str = ""
    only_for: tuple[str, ...] = ()
    not_for: tuple[str, ...] = ()

    def label(self, rule: Rule) -> str:
        """What reasons and ledgers call a rule of this set."""
        return f"{self.name}.{rule.name}"

    def column(self, signal: str) -> str:
        """The ledger's column of a signal of the text that this set looks at."""
        of_any_text = signal == LANGUAGE_SCORE.name or signal.startswith(OWN_COLUMN)
        return signal if of_any_text else signal_column(self.text, signal)

    def applies(self, languages: pl.Series) -> pl.Series:
        """Which documents the set applies to, by their languages (null: unknown)."""
        primary = primary_language(languages).fill_null("")
        chosen = primary.is_in(list(self.only_for)) if self.only_for else pl.repeat(True, len(primary), eager=True)
        return chosen & ~primary.is_in(list(self.not_for))


def signal_column(text: str, signal: str) -> str:
    """The ledger's column of a signal of the text as edited by the set `text` ("" for as it came in)."""
    return f"{text}:{signal}" if text else signal


def decide(
    signals: pl.DataFrame,
    rule_sets: Sequence[RuleSet],
    languages: pl.Series,
    known: Mapping[str, npt.NDArray[np.bool_]] | None = None,
) -> pl.DataFrame:
    """Decide from signals alone: columns `kept`, `reason` (the first failing rule) and `failed_rules` (all).

    `signals` has the columns that `RuleSet.column` names (a null passes), `languages` one code a row. `known` has,
    by label, the rows that fail rules decided before; their signals are not looked at.
    """
    labels, failing = [], []
    known = known or {}
    for rule_set in rule_sets:
        open_rules = [rule for rule in rule_set.rules if rule_set.label(rule) not in known]
        found = dict(known)
        if open_rules:
            tests = [
                (~_passes(pl.col(rule_set.column(rule.signal)), rule)).fill_null(False).alias(rule_set.label(rule))
                for rule in open_rules
            ]
            applies = rule_set.applies(languages).to_numpy()
            found |= {column.name: column.to_numpy() & applies for column in signals.select(tests)}
        labels += [rule_set.label(rule) for rule in rule_set.rules]
        failing += [found[rule_set.label(rule)] for rule in rule_set.rules]
    return _decision(labels, failing, signals.height)


def passes(value: float | None, rule: Rule) -> bool:
    """Whether one value keeps the document; a missing one does."""
    return value is None or bool(pl.select(_passes(pl.lit(value), rule)).item())


def to_json(rule_sets: Sequence[RuleSet]) -> list[dict[str, Any]]:
    """Rule sets as plain values, for manifests."""
    return [
        {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(rule_set).items()}
        for rule_set in rule_sets
    ]


def from_json(values: Sequence[dict[str, Any]]) -> list[RuleSet]:
    """Rule sets from what `to_json` gave."""
    made = []
    for value in values:
        fields: dict[str, Any] = {
            name: tuple(item) if isinstance(item, list) else item for name, item in value.items()
        }
        fields["edits"] = tuple(Edit(**edit) for edit in value["edits"])
        fields["rules"] = tuple(Rule(**rule) for rule in value["rules"])
        made.append(RuleSet(**fields))
    return made


def _decision(labels: Sequence[str], failing: Sequence[npt.NDArray[np.bool_]], height: int) -> pl.DataFrame:
    """The decision from one mask a rule. The lists are laid out by counting: a column of texts a rule is slow."""
    counts = np.zeros(height, np.int64)
    for failed in failing:
        counts += failed
    ends = np.cumsum(counts)
    place = ends - counts
    rules = np.zeros(int(ends[-1]) if height else 0, np.uint32)
    for number, failed in enumerate(failing):
        rows = np.flatnonzero(failed)
        rules[place[rows]] = number
        place[rows] += 1
    names = pl.Series(labels, dtype=pl.String).gather(rules).to_arrow(compat_level=pl.CompatLevel.oldest())
    lists = pa.LargeListArray.from_arrays(np.concatenate([[0], ends]), names)
    failed_rules = pl.Series("failed_rules", lists, dtype=pl.List(pl.String))
    first = failed_rules.list.first().alias("reason")
    return pl.DataFrame([first.is_null().alias("kept"), first, failed_rules])


def _passes(value: pl.Expr, rule: Rule) -> pl.Expr:
    threshold = pl.lit(rule.threshold)
    if rule.comparison == ">=":
        return value >= threshold
    if rule.comparison == "<=":
        return value <= threshold
    if rule.comparison == ">":
        return value > threshold
    return value < threshold if rule.comparison == "<" else value == threshold
