"""The verb `instruct decontaminate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from corpus.core import options
from corpus.core.console import print_summary
from corpus.core.errors import UsageError
from corpus.core.output import Manifest
from instruct.decontaminate import decontaminate_conversations
from instruct.forms import READABLE


def decontaminate(
    inputs: Annotated[
        list[str], typer.Argument(help="JSONL, JSON (.gz, .zst) or Parquet files; globs; directories.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The directory to write.")],
    against: Annotated[list[str], typer.Option(help="Evaluation files (JSONL, Parquet, text); may be repeated.")],
    ancestors: Annotated[
        list[str] | None, typer.Option(help="Files of what the rows were made from, as seeds; may be repeated.")
    ] = None,
    ngram: Annotated[int, typer.Option(help="Words that must be the same; 13 are 20 Chinese characters.")] = 13,
    fields: Annotated[
        str | None, typer.Option(help="Where items have their text, if under unusual names.")
    ] = None,
    source_form: Annotated[
        str | None, typer.Option("--from", help=f"{', '.join(READABLE)}; else told by the row's keys.")
    ] = None,
    workers: options.Workers = None,
    engine: options.Engine = "local",
    strict: options.Strict = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Remove conversations that hold questions or answers of evaluation files, and all that stems from one.

    What stems from one is told by lineage: evolved and generated rows name their parents and seeds. Give the files
    of seeds with --ancestors where they are not among the inputs.

    Example: instruct decontaminate evolved/ -o clean/ --against gsm8k_test.jsonl --ancestors seeds.jsonl
    """
    names = options.names(fields)
    if fields is not None and not names:
        raise UsageError("--fields: no field given")
    manifest = decontaminate_conversations(
        inputs,
        output,
        against,
        ngram=ngram,
        fields=names,
        ancestors=ancestors or (),
        source_form=source_form,
        workers=workers,
        engine=engine,
        overwrite=overwrite,
        strict=strict,
    )
    print_summary(f"decontaminate → {output}", manifest if as_json else _rows(manifest), as_json=as_json)


def _rows(manifest: Manifest) -> dict[str, object]:
    files = {
        file["name"]: f"{file['items']:,} items"
        + (f", {file['uncheckable']:,} too short" if file["uncheckable"] else "")
        for file in manifest["parameters"]["against"]
    }
    return {**manifest["counts"], **manifest["reasons"], **files}
