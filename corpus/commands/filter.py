"""The verb `corpus filter`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from corpus.core import options
from corpus.core.console import print_summary
from corpus.core.output import Manifest
from corpus.filtering.filter import filter_documents


def filter(
    inputs: options.Documents,
    output: Annotated[Path, typer.Option("-o", "--output", help="The dataset directory to write.")],
    rules: Annotated[
        str,
        typer.Option(
            help="In order: gopher, gopher-repetition, c4, fineweb, fineweb2-zh, auto (by language), YAML files."
        ),
    ] = "auto",
    lang: Annotated[str, typer.Option(help="Keep only these languages, such as en,zh.")] = "",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="RULE=VALUE: another threshold; may be repeated.")
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
    """
    manifest = filter_documents(
        inputs,
        output,
        _names(rules),
        languages=_names(lang),
        settings=settings or [],
        url_lists=url_lists,
        workers=workers,
        engine=engine,
        overwrite=overwrite,
        strict=strict,
    )
    print_summary(f"filter → {output}", manifest if as_json else _rows(manifest), as_json=as_json)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


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
