"""The verb `corpus tokenize`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from corpus.core import options
from corpus.core.console import print_summary
from corpus.tokens.tokenize import tokenize_documents


def tokenize(
    inputs: options.Documents,
    output: Annotated[Path, typer.Option("-o", "--output", help="The token shard directory.")],
    tokenizer: Annotated[Path, typer.Option(help="A folder with tokenizer.json.")],
    held_out: Annotated[float, typer.Option(help="Share of each domain's documents to hold out.")] = 0.02,
    seed: Annotated[int, typer.Option(min=0, help="Holds other documents out.")] = 0,
    repeat: Annotated[
        str | None,
        typer.Option(help="A column that says how often a document is seen: what dedup --rehydrate wrote."),
    ] = None,
    workers: options.Workers = None,
    engine: options.Engine = "local",
    strict: options.Strict = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Encode documents into token shards, one per domain, with a held-out split.

    Example: corpus tokenize deduped/ -o shards/ --tokenizer tokenizer/
    """
    manifest = tokenize_documents(
        inputs,
        output,
        tokenizer,
        held_out=held_out,
        seed=seed,
        repeat=repeat,
        workers=workers,
        engine=engine,
        overwrite=overwrite,
        strict=strict,
    )
    print_summary("tokenize", manifest if as_json else _rows(manifest), as_json=as_json)


def _rows(manifest: dict[str, Any]) -> list[dict[str, object]]:
    splits = manifest["splits"]
    return [
        {
            "domain": domain,
            "documents": sum(splits[split].get(domain, {}).get("documents", 0) for split in splits),
            "held out": splits["held_out"].get(domain, {}).get("documents", 0),
            "tokens": sum(splits[split].get(domain, {}).get("tokens", 0) for split in splits),
            "bytes a token": sum(splits[split].get(domain, {}).get("bytes", 0) for split in splits)
            / sum(splits[split].get(domain, {}).get("tokens", 0) for split in splits),
        }
        for domain in sorted({name for entries in splits.values() for name in entries})
    ]
