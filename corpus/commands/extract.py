"""The verb `corpus extract`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from corpus.core import options
from corpus.core.console import log, print_summary
from corpus.core.output import Manifest
from corpus.pages.extract import AUTO_DOMAIN, TYPE_COUNT, ExtractOptions
from corpus.pages.extract import extract as extract_documents

_WARNINGS = 5


def extract(
    inputs: Annotated[
        list[str], typer.Argument(help="WARC, WET or HTML files, directories, globs, URLs, .paths listings.")
    ],
    output: options.Dataset,
    domain: Annotated[
        str, typer.Option(help="Domain of all documents, or auto: the host of the page's URL.")
    ] = AUTO_DOMAIN,
    lang: Annotated[str, typer.Option(help="Languages to keep, as en,zh or zh-Hans; without it all.")] = "",
    minimum_lang_score: Annotated[
        float, typer.Option(help="Least probability of the language, where --lang is given.")
    ] = 0.65,
    extractor: Annotated[
        str, typer.Option(help="trafilatura, or resiliparse: several times as fast, less exact.")
    ] = "trafilatura",
    output_format: Annotated[
        str,
        typer.Option("--format", help="text, or markdown: headings, lists, tables and code blocks kept."),
    ] = "text",
    language_model: Annotated[
        str | None, typer.Option(help="fastText model instead of the installed lid.176.ftz.", metavar="PATH")
    ] = None,
    paths_base: Annotated[
        str,
        typer.Option(help="Where the relative lines of listings begin; else near the listing.", metavar="URL"),
    ] = "",
    url_lists: Annotated[
        str | None, typer.Option(help="Folder of blocked domains, URLs and words.", metavar="DIR")
    ] = None,
    workers: options.Workers = None,
    engine: options.Engine = "local",
    strict: options.Strict = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Extract documents from web pages: charset, main text, language.

    Example: corpus extract crawl/*.warc.gz -o extracted/ --lang en,zh
    """
    chosen = ExtractOptions(
        domain=domain,
        languages=tuple(sorted({code.lower() for code in options.names(lang)})),
        minimum_language_score=minimum_lang_score,
        extractor=extractor,
        output_format=output_format,
        language_model=language_model,
        paths_base=paths_base,
        url_lists=url_lists,
    )
    manifest = extract_documents(
        inputs, output, chosen, workers=workers, engine=engine, overwrite=overwrite, strict=strict
    )
    _warn(output)
    counts = manifest["counts"]
    rows = {
        "pages in": counts["pages_in"],
        "documents": counts["documents_kept"],
        "removed": counts["documents_removed"],
        **_reasons(manifest),
        "set aside": counts.get("set_aside", 0),
        "dataset": str(output),
    }
    print_summary("extract", manifest if as_json else rows, as_json=as_json)


def _reasons(manifest: Manifest) -> dict[str, int]:
    """Lines for the reasons; below `not_html` its types."""
    types = {name: n for name, n in manifest["counts"].items() if name.startswith(TYPE_COUNT)}
    lines: dict[str, int] = {}
    for reason, number in manifest["reasons"].items():
        lines[f"  {reason}"] = number
        if reason == "not_html":
            lines |= {f"    {name.removeprefix(TYPE_COUNT)}": n for name, n in types.items()}
    return lines


def _warn(output: Path) -> None:
    """A line for each damaged place, for the first few."""
    parts = sorted((output / "set_aside").glob("part-*.parquet"))
    places = [row for part in parts for row in pl.read_parquet(part).iter_rows(named=True)]
    for row in places[:_WARNINGS]:
        log(f"warning: {row['place']}: {row['reason']}; everything that is whole was read")
    if len(places) > _WARNINGS:
        log(f"warning: {len(places) - _WARNINGS} more damaged places in {output / 'set_aside'}")
