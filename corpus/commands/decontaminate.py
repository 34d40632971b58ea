"""The verb `corpus decontaminate`."""

from __future__ import annotations

from typing import Annotated

import typer

from corpus.contamination.decontaminate import decontaminate_documents
from corpus.core import options
from corpus.core.console import print_summary
from corpus.core.errors import UsageError
from corpus.core.output import Manifest


def decontaminate(
    inputs: options.Documents,
    output: options.Dataset,
    against: Annotated[list[str], typer.Option(help="Evaluation files (JSONL, Parquet, text); may be repeated.")],
    ngram: Annotated[int, typer.Option(help="Words that must be the same; 13 are 20 Chinese characters.")] = 13,
    remove: Annotated[str, typer.Option(help="document, or span: only the words that are the same.")] = "document",
    fields: Annotated[
        str | None, typer.Option(help="Where items have their text, if under unusual names.")
    ] = None,
    workers: options.Workers = None,
    engine: options.Engine = "local",
    strict: options.Strict = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Remove documents that hold questions or answers of evaluation files.

    A document is hit where 13 words in a row, or 20 Chinese characters, are the same as in an item, whatever their
    case and punctuation; an item of fewer, but at least 8 words or 13 characters, as a whole. The ledger names the
    item and the place of every hit.

    Example: corpus decontaminate near/ -o clean/ --against gsm8k_test.jsonl --against m3ke/ --remove span
    """
    manifest = decontaminate_documents(
        inputs,
        output,
        against,
        ngram=ngram,
        remove=remove,
        fields=_names(fields),
        workers=workers,
        engine=engine,
        overwrite=overwrite,
        strict=strict,
    )
    print_summary(f"decontaminate → {output}", manifest if as_json else _rows(manifest), as_json=as_json)


def _names(fields: str | None) -> list[str]:
    names = options.names(fields)
    if fields is not None and not names:
        raise UsageError("--fields: no field given")
    return names


def _rows(manifest: Manifest) -> dict[str, object]:
    counts = manifest["counts"]
    rows: dict[str, object] = {"documents": counts["documents_in"]}
    rows |= {name: counts.get(f"documents_{name}", 0) for name in ("kept", "removed")}
    if manifest["parameters"]["remove"] == "span":
        rows["kept, but cut"] = counts.get("documents_cut", 0)
    for file in manifest["parameters"]["against"]:
        hits, short = counts.get(f"hits:{file['name']}", 0), file["uncheckable"]
        rows[file["name"]] = f"{hits:,} hits; {file['items']:,} items" + (
            f", {short:,} too short" if short else ""
        )
    return rows | ({"broken records set aside": counts["set_aside"]} if counts.get("set_aside") else {})
