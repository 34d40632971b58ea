"""A filter's part of the report: the funnel by rule, rules that overlap, edits, signals with their limits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from corpus.filtering.ledger import column_names, read_ledger
from corpus.filtering.rules import RuleSet, from_json
from corpus.reporting import report_page as html
from corpus.reporting.histograms import Histogram, fill_histograms, histograms_of
from corpus.reporting.ledger_numbers import LedgerNumbers, count_ledger
from corpus.reporting.steps import step_label

_OVERLAPS = 40


@dataclass(frozen=True)
class FilterReport:
    """What the report tells of a filter's ledger."""

    label: str
    rule_sets: Sequence[RuleSet]
    numbers: LedgerNumbers
    histograms: Sequence[Histogram]

    def waterfall(self) -> str:
        """The documents that are left after each rule that takes some, in the order of the rules."""
        by_reason = self.numbers.groups.group_by("reason").agg(pl.col("documents", "characters").sum())
        taken = {row["reason"]: row for row in by_reason.iter_rows(named=True)}
        order = [rule_set.label(rule) for rule_set in self.rule_sets for rule in rule_set.rules]
        others = sorted(reason for reason in taken if reason is not None and reason not in order)
        documents, characters = int(by_reason["documents"].sum()), int(by_reason["characters"].sum())
        rows: list[dict[str, object]] = [
            {"after": "documents in", "left": documents, "characters left": characters}
        ]
        for reason in [*others, *order]:
            if reason in taken:
                documents -= taken[reason]["documents"]
                characters -= taken[reason]["characters"]
                took = taken[reason]["documents"]
                rows.append({"after": reason, "took": took, "left": documents, "characters left": characters})
        return html.details("rule by rule, in their order", html.table(rows))

    def overlap(self) -> str:
        """How many documents fail each rule, alone and with others."""
        rows = self.numbers.overlap.rows()
        if not rows:
            return ""
        note = "A rule that few documents fail alone drops little that the others would keep."
        more = f"{len(rows) - _OVERLAPS} other rules fail fewer documents." if len(rows) > _OVERLAPS else ""
        parts = [html.table(rows[:_OVERLAPS]), *([html.paragraph(more, soft=True)] if more else [])]
        return html.heading(self.label) + html.paragraph(note, soft=True) + html.card(*parts)

    def edits(self) -> str:
        """What each edit took out, and what that did to the lengths."""
        rows = [
            {
                "edit": name.replace(":edit.", "."),
                "documents changed": documents,
                "lines or marks taken out": total,
            }
            for name, (documents, total) in self.numbers.edits.items()
        ]
        if not rows:
            return ""
        said = [
            html.paragraph(
                f"{name}: {after:,} of {before:,} characters are left ({after / before:.1%})."
                if before
                else f"{name}: applied to no document.",
                soft=True,
            )
            for name, (before, after) in self.numbers.lengths.items()
        ]
        return html.heading(self.label) + html.card(html.table(rows), *said)

    def signals(self) -> str:
        """A histogram per signal, with the limits of the rules on it."""
        drawings = [html.histogram(_drawn(histogram)) for histogram in self.histograms if histogram.values]
        if not drawings:
            return ""
        note = (
            "What a rule drops has the other colour; lines mark limits. Heights grow with the square root of the "
            "number of documents; the last column holds all values beyond the axis."
        )
        return (
            html.heading(self.label) + html.paragraph(note, soft=True) + html.card(html.small_multiples(drawings))
        )


def filter_report(step: Path, manifest: dict[str, Any]) -> FilterReport:
    """Read a filter's ledger, in three passes over the columns that the report shows."""
    rule_sets = from_json(manifest["parameters"]["rules"])
    parts = sorted((step / "ledger").glob("part-*.parquet"))
    columns = list(column_names(parts[0])) if parts else []
    histograms = histograms_of(rule_sets, columns)
    looked_at = list(dict.fromkeys(["lang", *(histogram.column for histogram in histograms)]))

    def read() -> Iterable[pl.DataFrame]:
        return (frame for part in parts for frame in read_ledger(part, looked_at))

    fill_histograms(histograms, read)
    return FilterReport(step_label(manifest, step), rule_sets, count_ledger(parts, columns, rule_sets), histograms)


def _drawn(histogram: Histogram) -> html.Drawing:
    rule_set = histogram.applies
    only = ", ".join(rule_set.only_for) or (f"not {', '.join(rule_set.not_for)}" if rule_set.not_for else "")
    limits = [
        (f"{label} {rule.comparison} {rule.threshold:g}", _place(histogram, rule.threshold))
        for label, rule in histogram.rules.items()
    ]
    return html.Drawing(
        f"{histogram.column} ({only})" if only else histogram.column,
        histogram.low,
        histogram.width,
        histogram.counts.tolist(),
        [histogram.keeps(number) for number in range(len(histogram.counts))],
        limits,
    )


def _place(histogram: Histogram, threshold: float) -> float | None:
    """Where a limit stands, in bins from the left; None where it lies beyond the axis."""
    place = (threshold - histogram.low) / histogram.width
    return place if 0 <= place <= len(histogram.counts) - 1 else None
