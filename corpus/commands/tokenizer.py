"""The verb `corpus tokenizer`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from corpus.core import options
from corpus.core.console import print_summary
from corpus.tokens.tokenizer_training import build_tokenizer


def tokenizer(
    inputs: options.Documents,
    output: Annotated[Path, typer.Option("-o", "--output", help="The tokenizer's folder.")],
    vocabulary_size: Annotated[int, typer.Option(help="Tokens, special ones and bytes included.")] = 8192,
    sample_bytes: Annotated[
        int, typer.Option(help="Bytes of text to train on; small domains whole, the others in equal parts.")
    ] = 32_000_000,
    seed: Annotated[int, typer.Option(min=0, help="Draws another sample.")] = 0,
    strict: options.Strict = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Train a byte-level BPE tokenizer and save it as a Hugging Face folder with a chat template.

    Example: corpus tokenizer deduped/ -o tokenizer/ --vocabulary-size 8192
    """
    manifest = build_tokenizer(
        inputs,
        output,
        vocabulary_size=vocabulary_size,
        sample_bytes=sample_bytes,
        seed=seed,
        overwrite=overwrite,
        strict=strict,
    )
    rows = {
        "vocabulary": manifest["counts"]["vocabulary_size"],
        "sampled bytes": {name: entry["bytes"] for name, entry in manifest["sample"].items()},
        "records set aside": manifest["counts"]["set_aside"],
        "tokenizer": str(output),
    }
    print_summary("tokenizer", manifest if as_json else rows, as_json=as_json)
