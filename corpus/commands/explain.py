"""The verb `corpus explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from corpus.commands.pair_view import print_pair
from corpus.core import options
from corpus.core.console import print_summary
from corpus.filtering.ledger import signal_of
from corpus.reporting.explain import Finding, explain_document


def explain(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="A document's id or URL.")],
    directories: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Directories that steps wrote.")],
    as_json: options.AsJson = False,
) -> None:
    """Show what every step did with a document and why, back to the page that it came from.

    Example: corpus explain https://example.org/page.html deduped/
    """
    findings = explain_document(identifier, directories)
    if as_json:
        print_summary("explain", {"steps": [finding.as_json() for finding in findings]}, as_json=True)
        return
    for finding in findings:
        _show(finding)


def _show(finding: Finding) -> None:
    outcome = "kept" if finding.kept else f"dropped: {finding.document.get('reason', 'no reason given')}"
    about: dict[str, object] = {name: value for name, value in finding.document.items() if name != "reason"}
    if finding.rules:
        failed = len(finding.failed_rules)
        about["failed rules"] = finding.failed_rules or "none"
        outcome += f" ({failed} of {len(finding.rules)} rules fail)" if failed else ""
    if finding.edits:
        about["taken out by edits"] = finding.edits
    about |= {f"lines dropped by {name}": text for name, text in finding.edited_out.items()}
    about |= finding.scores
    if finding.redactions:
        about["redacted"] = finding.redactions
    about |= {name: value for name, value in finding.cluster.items() if name != "others"}
    about |= finding.tokens
    command = f"{finding.command} (decided again)" if finding.decided_again else finding.command
    print_summary(f"{command} → {finding.directory}: {outcome}", about, as_json=False)
    if finding.rules:
        print_summary("rules", [_rule_row(finding, number) for number in range(len(finding.rules))], as_json=False)
    if finding.other_signals:
        others = [_signal_row(name, value) for name, value in finding.other_signals.items()]
        print_summary("signals that no rule looks at", others, as_json=False)
    if finding.places:
        print_summary("identifiers, in the text as it came in", finding.places, as_json=False)
    if finding.hits:
        print_summary("evaluation items, in the text as it came in", finding.hits, as_json=False)
    if finding.spans:
        print_summary("repeated spans, in the text as it came in", finding.spans, as_json=False)
    if finding.cluster.get("others"):
        print_summary("others of the cluster", finding.cluster["others"], as_json=False)
    if finding.lines:
        print_summary("lines that went, in the text as it came in", finding.lines, as_json=False)
    if finding.pair:
        print_pair(finding.pair)


def _rule_row(finding: Finding, number: int) -> dict[str, object]:
    verdict = finding.rules[number]
    return {
        "rule": verdict.rule,
        "signal": verdict.signal,
        "value": verdict.value,
        "keeps": f"{verdict.comparison} {verdict.threshold:g}",
        "": "" if verdict.passed else "fails",
    }


def _signal_row(name: str, value: float | int) -> dict[str, object]:
    signal = signal_of(name)
    return {"signal": name, "value": value, "unit": signal.unit if signal else ""}
