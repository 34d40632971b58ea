"""The verb `instruct explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from corpus.core import options
from corpus.core.console import print_summary
from corpus.core.errors import UsageError
from instruct.cache import default_cache_path
from instruct.explain import RowFinding, SentRequest, explain_row, total_cost
from instruct.prices import read_prices

_TEXT = 1000  # characters of a text that are shown; --json has all
_EXAMPLE = 120


def explain(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="A row's id.")],
    places: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Directories that verbs wrote, and files of rows.")
    ],
    cache: Annotated[
        Path | None, typer.Option(help="File of completed requests; without it that in the user's cache.")
    ] = None,
    prices: Annotated[
        Path | None, typer.Option(help="YAML or JSON file of prices per million tokens, by model.")
    ] = None,
    as_json: options.AsJson = False,
) -> None:
    """Show how a row came to be, kept or removed: seed, operation, prompt, model, filters, cost.

    Example: instruct explain seed_7+2 evolved/ answered/ --prices prices.yaml
    """
    if cache is not None and not cache.is_file():
        raise UsageError(f"--cache {cache}: no such file")
    known = read_prices(prices) if prices else None
    findings = explain_row(identifier, places, cache_path=cache or default_cache_path(), prices=known)
    if as_json:
        found = {"steps": [finding.as_json() for finding in findings], "cost": total_cost(findings)}
        print_summary("explain", found, as_json=True)
        return
    examples = [finding for finding in findings if finding.role == "example"]
    if examples:
        rows = [{"id": one.id, "in": one.place, "text": _first_text(one)} for one in examples]
        print_summary("examples in the prompt", rows, as_json=False)
    for finding in findings:
        if finding.role != "example":
            _show(finding)
    if any(finding.requests for finding in findings):
        print_summary("cost of it all", total_cost(findings), as_json=False)


def _first_text(finding: RowFinding) -> str:
    return _cut(next(iter(finding.texts().values()), ""), _EXAMPLE)


def _show(finding: RowFinding) -> None:
    outcome = "kept" if finding.kept else f"removed: {finding.row.get('reason', 'no reason given')}"
    if finding.command in ("seed", "input"):
        outcome = finding.command
    about = {name: value for name, value in finding.about().items() if name != "reason"}
    hidden = ("request_key", "request_keys", "root_lineage", "parent_lineage", "prompt_hashes", "seeds")
    lineage = {name: value for name, value in finding.lineage.items() if name not in hidden}
    texts = {name: _cut(text, _TEXT) for name, text in finding.texts().items()}
    rows = {"id": finding.id, **about, **lineage, **texts}
    where = f"{finding.command} → {finding.place}" if finding.command not in ("seed", "input") else finding.place
    print_summary(f"{where}: {outcome}", rows, as_json=False)
    if finding.requests:
        print_summary("requests", [_request_row(one) for one in finding.requests], as_json=False)
        for one in finding.requests:
            print_summary(f"{one.stage}, request {one.key[:16]}", _request_texts(one), as_json=False)


def _request_row(one: SentRequest) -> dict[str, object]:
    row: dict[str, object] = {
        "stage": one.stage,
        "model": one.model,
        "prompt": one.prompt
        or (f"{one.prompt_hash[:16]} (prompt since changed)" if one.prompt_hash else "not noted"),
        "tokens in": one.prompt_tokens,
        "tokens out": one.completion_tokens,
    }
    return {**row, f"cost, {one.currency}": one.cost} if one.currency else row


def _request_texts(one: SentRequest) -> dict[str, object]:
    texts: dict[str, object] = {"prompt": _cut(one.prompt_text, _TEXT)} if one.prompt_text else {}
    if one.sent is None:
        return {**texts, "sent": "not in the cache"}
    sent = {f"sent, {message['role']}": _cut(message["content"], _TEXT) for message in one.sent}
    return {**texts, **sent, "reply": _cut(one.reply or "", _TEXT)}


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"
