"""The verb `train sft`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from corpus.core import options
from corpus.core.console import print_summary


def sft(
    conversations: Annotated[
        list[str], typer.Argument(help="JSONL files of conversations, or directories with conversations.jsonl.")
    ],
    base: Annotated[Path, typer.Option(help="Folder of the model to tune, with its tokenizer.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Run directory; the model is in its model/.")],
    epochs: Annotated[int, typer.Option(help="How often each conversation is seen.")] = 3,
    learning_rate: Annotated[
        float, typer.Option(help="The highest learning rate; models of billions of parameters want about 2e-5.")
    ] = 1e-3,
    batch_tokens: Annotated[int, typer.Option(help="Tokens in a step.")] = 4096,
    row_length: Annotated[
        int | None, typer.Option(help="Tokens in a row; the model's context by default, at most 2,048.")
    ] = None,
    held_out: Annotated[float, typer.Option(help="Share of conversations kept from training, by id.")] = 0.05,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the order of the conversations.")] = 0,
    precision: Annotated[
        str, typer.Option(help="fp32, bf16 (weights stay fp32), or auto: bf16 where it is native.")
    ] = "auto",
    checkpoint_every: Annotated[int, typer.Option(help="Steps between checkpoints.")] = 100,
    threads: Annotated[int | None, typer.Option(help="CPU threads; all processors by default.")] = None,
    overwrite: options.Overwrite = False,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on the first unusable conversation.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Tune a model on conversations: the loss counts replies and their end tokens only.

    Example: train sft conversations.jsonl --base base/model -o tuned/ --epochs 3
    """
    from train.sft import SftConfig, fine_tune

    config = SftConfig(
        epochs=epochs,
        learning_rate=learning_rate,
        batch_tokens=batch_tokens,
        row_length=row_length,
        held_out=held_out,
        seed=seed,
        precision=precision,
        threads=threads,
        checkpoint_every=checkpoint_every,
    )
    summary = fine_tune(conversations, base, output, config, overwrite=overwrite, strict=strict)
    print_summary("sft", {**summary, "model": str(output / summary["model"])}, as_json=as_json)
