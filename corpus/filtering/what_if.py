"""What-if: decide the documents of a ledger again, by other thresholds or rule sets, without their texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from corpus.core.console import progress
from corpus.core.errors import ZeroToOneError
from corpus.filtering.filter import LANGUAGE_REASON, drop_languages
from corpus.filtering.ledger import DECISION, Ledger, open_ledger, read_ledger
from corpus.filtering.recorded_edits import (
    Sources,
    language_keys,
    needed_columns,
    recorded_column,
    recorded_sources,
)
from corpus.filtering.rule_files import load_rule_sets, with_settings
from corpus.filtering.rules import Rule, RuleSet, decide
from corpus.filtering.word_lists import PREFIX
from corpus.text.language import among

_GROUPS = ("domain", "lang")
_CHANGES = ("documents", "kept_before", "kept_now", "newly_kept", "newly_dropped")


@dataclass(frozen=True)
class Question:
    """A ledger and what shall decide it now.

    `sources` are the ledger's columns that hold what the rules look at (see `recorded_sources`); `carried` the
    reasons that came from elsewhere than rules and languages: they stand.
    """

    ledger: Ledger
    rule_sets: tuple[RuleSet, ...]
    languages: tuple[str, ...]
    found_languages: tuple[str, ...]
    sources: Sources
    carried: tuple[str, ...]

    @cached_property
    def settled(self) -> tuple[str, ...]:
        """The labels of the rules that decide as before: `failed_rules` says who fails them.

        Empty where a set is new, gone, or edits or chooses otherwise: then a rule may look at another text.
        """
        old, new = ([replace(rule_set, rules=()) for rule_set in sets] for sets in self._before_and_now())
        if old != new:
            return ()
        before, now = ({s.label(rule): rule for s in sets for rule in s.rules} for sets in self._before_and_now())
        return tuple(label for label, rule in now.items() if before.get(label) == rule)

    def _before_and_now(self) -> tuple[tuple[RuleSet, ...], tuple[RuleSet, ...]]:
        return self.ledger.rule_sets, self.rule_sets

    def looked_at(self) -> set[str]:
        """The columns of signals that the rules which are not settled name."""
        return {
            rule_set.column(rule.signal)
            for rule_set in self.rule_sets
            for rule in rule_set.rules
            if rule_set.label(rule) not in self.settled
        }

    def columns(self) -> list[str]:
        """The columns of the ledger that deciding reads."""
        needed = {name for column in self.looked_at() for name in needed_columns(column, self.sources)}
        first = ["domain", "lang", "kept", "reason", "failed_rules"]
        return first + sorted(needed - set(first))


def ask(
    folder: str | Path, rules: Sequence[str], settings: Sequence[str], languages: Sequence[str] | None
) -> Question:
    """Open a ledger for a decision by `rules` (none: those that decided it) with changed thresholds.

    `languages` None leaves the restriction as it was. Raises ZeroToOneError for a ledger of another version, and
    one that names the edit or the column which the rules need and the ledger does not have.
    """
    ledger = open_ledger(folder)
    lists = [name.removeprefix(PREFIX) for name in ledger.columns if name.startswith(PREFIX)]
    loaded = load_rule_sets(rules, settings, lists) if rules else with_settings(ledger.rule_sets, settings)
    found = languages_found(ledger.parts)
    try:
        sources = recorded_sources(loaded, ledger.rule_sets, found)
    except ZeroToOneError as error:
        raise ZeroToOneError(f"{folder}: {error}") from None
    wanted = ledger.languages if languages is None else tuple(sorted({name.lower() for name in languages}))
    if scripts := [name for name in wanted if "-" in name]:
        raise ZeroToOneError(
            f"{folder}: tells no scripts apart ({scripts[0]}); run `corpus filter` on the documents"
        )
    labels = {rule_set.label(rule) for rule_set in ledger.rule_sets for rule in rule_set.rules}
    failed = {name.removeprefix("failed:") for name in ledger.counts if name.startswith("failed:")}
    carried = tuple(sorted(failed - labels - {LANGUAGE_REASON}))
    question = Question(ledger, tuple(loaded), wanted, found, sources, carried)
    _check_columns(question)
    return question


def decide_again(frame: pl.DataFrame, question: Question) -> pl.DataFrame:
    """Decide rows of the ledger (with at least `question.columns()`): `kept`, `reason`, `failed_rules`."""
    key = "language key"
    frame = frame.with_columns(language_keys(frame["lang"]).alias(key))
    looked_at = frame.with_columns(
        recorded_column(name, question.sources, pl.col(key)) for name in question.looked_at()
    )
    known = failing_rows(frame["failed_rules"], question.settled)
    decision = decide(looked_at, question.rule_sets, frame["lang"], known)
    if question.carried:
        decision = _with_carried(decision, frame["failed_rules"], question.carried)
    if not question.languages:
        return decision
    return drop_languages(decision, among((), frame["lang"].fill_null("").to_list(), question.languages))


def failing_rows(failed_rules: pl.Series, labels: Sequence[str]) -> dict[str, npt.NDArray[np.bool_]]:
    """For each label, which of the rows have it in their list."""
    lengths = failed_rules.list.len().fill_null(0)
    listed = pl.DataFrame(
        [
            failed_rules.filter(lengths > 0).explode().alias("label"),
            pl.Series("row", np.repeat(np.arange(len(lengths)), lengths)),
        ]
    )
    rows = {
        label: group["row"].to_numpy() for (label,), group in listed.partition_by("label", as_dict=True).items()
    }
    found = {}
    for label in labels:
        found[label] = np.zeros(len(failed_rules), np.bool_)
        found[label][rows.get(label, [])] = True
    return found


def compare(question: Question) -> dict[str, Any]:
    """Decide the whole ledger again and count what changes.

    Returns plain values: `documents`, `kept_before`, `kept_now`, `newly_kept`, `newly_dropped`; `rules`: for each
    rule (and other reason) its limit, the documents that it took first, those that fail it, those that come back
    from it and those that it takes newly, before and now; `languages` and `domains`: the same counts of documents
    for each, those with the most changes first.
    """
    groups: list[pl.DataFrame] = []
    now, failing, lets_go, takes_newly = (Counter[str]() for _ in range(4))
    for frame, decision in _decided(question):
        both = frame.select("domain", "lang", pl.col("kept").alias("before"), pl.col("reason").alias("old"))
        both = both.with_columns(decision["kept"].alias("now"), decision["reason"].alias("new"))
        groups.append(_grouped(both))
        now.update(_counted(both["new"]))
        failing.update(_counted(decision["failed_rules"].explode()))
        lets_go.update(_counted(both.filter(~pl.col("before") & pl.col("now"))["old"]))
        takes_newly.update(_counted(both.filter(pl.col("before") & ~pl.col("now"))["new"]))
    total = pl.concat(groups).group_by(_GROUPS).agg(pl.col(_CHANGES).sum())
    before = {name.removeprefix("failed:"): n for name, n in question.ledger.counts.items() if "failed:" in name}
    counts = {
        "took_before": Counter(question.ledger.reasons),
        "takes_now": now,
        "fail_before": Counter(before),
        "fail_now": failing,
        "newly_kept": lets_go,
        "newly_dropped": takes_newly,
    }
    return {
        "ledger": str(question.ledger.folder),
        **{name: int(total[name].sum()) for name in _CHANGES},
        "rules": _rule_rows(question, counts),
        "languages": _group_rows(total, "lang"),
        "domains": _group_rows(total, "domain"),
    }


def languages_found(parts: Sequence[Path]) -> tuple[str, ...]:
    """The primary languages of the documents in some files of a ledger, sorted; "" for unknown ones."""
    frames = (frame for part in parts for frame in read_ledger(part, ["lang"]))
    return tuple(sorted({key for frame in frames for key in language_keys(frame["lang"].unique())}))


def _decided(question: Question) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    columns = question.columns()
    with progress("what-if", question.ledger.counts["documents_in"]) as bar:
        for part in question.ledger.parts:
            for frame in read_ledger(part, columns):
                yield frame, decide_again(frame, question)
                bar.advance(frame.height)


def _check_columns(question: Question) -> None:
    for rule_set in question.rule_sets:
        for rule in rule_set.rules:
            for name in sorted(needed_columns(rule_set.column(rule.signal), question.sources)):
                if name not in question.ledger.columns:
                    label, folder = rule_set.label(rule), question.ledger.folder
                    raise ZeroToOneError(f"{folder}: no column `{name}`, which the rule `{label}` looks at")


def _with_carried(decision: pl.DataFrame, before: pl.Series, carried: Sequence[str]) -> pl.DataFrame:
    """Put the reasons that stand before those of the rules."""
    standing = before.list.eval(pl.element().filter(pl.element().is_in(list(carried))))
    lists = decision.select(pl.concat_list(standing, "failed_rules").alias("failed_rules"))["failed_rules"]
    first = lists.list.first().alias("reason")
    return pl.DataFrame([first.is_null().alias("kept"), first, lists]).select(DECISION)


def _grouped(both: pl.DataFrame) -> pl.DataFrame:
    before, now = pl.col("before"), pl.col("now")
    return both.group_by(_GROUPS).agg(
        pl.len().cast(pl.Int64).alias("documents"),
        before.sum().cast(pl.Int64).alias("kept_before"),
        now.sum().cast(pl.Int64).alias("kept_now"),
        (~before & now).sum().cast(pl.Int64).alias("newly_kept"),
        (before & ~now).sum().cast(pl.Int64).alias("newly_dropped"),
    )


def _counted(values: pl.Series) -> dict[str, int]:
    return dict(values.drop_nulls().value_counts(name="n").iter_rows())


def _rule_rows(question: Question, counts: dict[str, Counter[str]]) -> list[dict[str, Any]]:
    """A row for each rule of before and now that takes anything or whose limit changes, in the rules' order."""
    old, new = _limits(question.ledger.rule_sets), _limits(question.rule_sets)
    others = {name for counter in counts.values() for name in counter} - set(old) - set(new)
    rows = []
    for name in dict.fromkeys([*sorted(others), *old, *new]):
        numbers = {column: counter[name] for column, counter in counts.items()}
        limits = {"keeps_before": old.get(name, ""), "keeps_now": new.get(name, "")}
        if any(numbers.values()) or len(set(limits.values())) > 1:
            rows.append({"rule": name, **limits, **numbers})
    return rows


def _limits(rule_sets: Sequence[RuleSet]) -> dict[str, str]:
    return {rule_set.label(rule): _limit(rule) for rule_set in rule_sets for rule in rule_set.rules}


def _limit(rule: Rule) -> str:
    return f"{rule.comparison} {rule.threshold:g}"


def _group_rows(total: pl.DataFrame, name: str) -> list[dict[str, Any]]:
    rows = total.group_by(pl.col(name).fill_null("")).agg(pl.col(_CHANGES).sum())
    changed = (pl.col("newly_kept") + pl.col("newly_dropped")).alias("changed")
    ordered = rows.with_columns(changed).sort(["changed", "documents", name], descending=[True, True, False])
    return ordered.drop("changed").to_dicts()
