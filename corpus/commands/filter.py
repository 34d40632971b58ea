"""The verb `corpus filter`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from corpus.core import options
from corpus.core.console import print_summary
from corpus.core.errors import UsageError
from corpus.core.output import Manifest
from corpus.filtering.filter import filter_documents
from corpus.filtering.ledger import is_ledger
from corpus.filtering.rule_files import built_in_names
from corpus.filtering.what_if import ask, compare
from corpus.filtering.what_if_output import write_what_if

_GROUPS_SHOWN = 15


def filter(
    inputs: options.Documents,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The dataset directory to write; for a ledger optional.")
    ] = None,
    rules: Annotated[
        str | None,
        typer.Option(
            help=f"In order: {', '.join(built_in_names())} (auto, the default, chooses by language), YAML files. "
            "NAME@code is the definition of the authors' code, NAME@paper that of their paper. "
            "For a ledger the default is the rules that decided it."
        ),
    ] = None,
    lang: Annotated[
        str | None,
        typer.Option(help="Keep only these languages, such as en,zh or zh-Hant. For a ledger '' lifts it."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="RULE=VALUE or SIGNAL=VALUE: another threshold; may be repeated."),
    ] = None,
    documents: Annotated[
        bool, typer.Option("--documents", help="For a ledger: write the documents too, not only the decisions.")
    ] = False,
    words: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=FILE: a list of words, one a line, for the signals words.NAME and words.NAME_per_line "
            "(bad for c4, sensitive for chinesewebtext); may be repeated."
        ),
    ] = None,
    url_lists: Annotated[
        str | None, typer.Option(help="Folder of blocked domains, URLs and words.", metavar="DIR")
    ] = None,
    workers: options.Workers = None,
    engine: options.Engine = "local",
    strict: options.Strict = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Keep documents by rules; record every signal and every failing rule of all of them.

    Example: corpus filter extracted/ -o filtered/ --rules fineweb --set gopher.few_words=30

    Given the ledger of an earlier filter, decide its documents again without reading a text, and print what
    changes; with -o write the new decisions.

    Example: corpus filter filtered/ledger --set fineweb.newlines_per_word=0.25
    """
    ledgers = [item for item in inputs if is_ledger(item)]
    if ledgers:
        if len(inputs) > 1:
            raise UsageError(f"{ledgers[0]}: a ledger is decided alone, without other inputs")
        question = ask(
            ledgers[0], options.names(rules), settings or [], None if lang is None else options.names(lang)
        )
        changes = compare(question)
        if output is not None:
            write_what_if(
                question, output, documents=documents, workers=workers, engine=engine, overwrite=overwrite
            )
        elif documents:
            raise UsageError("--documents needs -o, the directory to write them to")
        _print_changes(changes, output, as_json)
        return
    if output is None:
        raise UsageError("no output given; write -o DIR")
    if documents:
        raise UsageError("--documents goes with a ledger; of documents they are written anyway")
    manifest = filter_documents(
        inputs,
        output,
        ["auto"] if rules is None else options.names(rules),
        languages=options.names(lang),
        settings=settings or [],
        words=words or [],
        url_lists=url_lists,
        workers=workers,
        engine=engine,
        overwrite=overwrite,
        strict=strict,
    )
    print_summary(f"filter → {output}", manifest if as_json else _rows(manifest), as_json=as_json)


def _rows(manifest: Manifest) -> list[dict[str, object]]:
    """The funnel: documents in, per rule those that it took first and those that fail it, documents kept."""
    counts, reasons = manifest["counts"], manifest["reasons"]
    failed = {name.removeprefix("failed:"): n for name, n in counts.items() if name.startswith("failed:")}
    rows: list[dict[str, object]] = [{"rule": "documents in", "documents": counts["documents_in"]}]
    for rule, documents in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
        rows.append({"rule": rule, "documents": -documents, "failing it": failed.pop(rule)})
    for rule, documents in sorted(failed.items(), key=lambda item: (-item[1], item[0])):
        rows.append({"rule": rule, "documents": 0, "failing it": documents})
    if counts.get("set_aside"):
        rows.append({"rule": "broken records set aside", "documents": counts["set_aside"]})
    return [*rows, {"rule": "documents kept", "documents": counts["documents_kept"]}]


def _print_changes(changes: dict[str, Any], output: Path | None, as_json: bool) -> None:
    if as_json:
        print_summary("what-if", {**changes, "output": output and str(output)}, as_json=True)
        return
    rules = [_rule_row(row) for row in changes["rules"] if _differs(row)]
    if rules:
        print_summary("rules that decide otherwise", rules, as_json=False)
    for name in ("languages", "domains"):
        rows = changes[name]
        if len(rows) > 1:
            more = f" ({_GROUPS_SHOWN} of {len(rows):,}, most changes first)" if len(rows) > _GROUPS_SHOWN else ""
            shown = [{key.replace("_", " "): value for key, value in row.items()} for row in rows[:_GROUPS_SHOWN]]
            print_summary(f"{name}{more}", shown, as_json=False)
    numbers = ("documents", "kept_before", "kept_now", "newly_kept", "newly_dropped")
    total: dict[str, object] = {name.replace("_", " "): changes[name] for name in numbers}
    title = f"what-if on {changes['ledger']}" + (f" → {output}" if output else " (nothing written)")
    print_summary(title, total, as_json=False)


def _differs(row: dict[str, Any]) -> bool:
    pairs = ("keeps_before", "keeps_now"), ("took_before", "takes_now"), ("fail_before", "fail_now")
    moved = row["newly_kept"] or row["newly_dropped"]
    return bool(moved) or any(row[before] != row[now] for before, now in pairs)


def _rule_row(row: dict[str, Any]) -> dict[str, object]:
    limit = row["keeps_now"] if row["keeps_before"] == row["keeps_now"] else _moved(row)
    return {
        "rule": row["rule"],
        "keeps": limit,
        "took first": row["took_before"],
        "takes now": row["takes_now"],
        "failed": row["fail_before"],
        "fail now": row["fail_now"],
        "newly kept": row["newly_kept"],
        "newly dropped": row["newly_dropped"],
    }


def _moved(row: dict[str, Any]) -> str:
    return f"{row['keeps_before'] or 'no rule'} → {row['keeps_now'] or 'no rule'}"
