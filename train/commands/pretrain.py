"""The verb `train pretrain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from corpus.core import options
from corpus.core.console import print_summary
from train.mixture import Mixture
from train.schedule import Schedule


def pretrain(
    shards: Annotated[Path, typer.Argument(help="Token shard directory, from `corpus tokenize`.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Run directory; the model is in its model/.")],
    model: Annotated[
        str,
        typer.Option(
            help="tiny, mini, small (1.2, 3.3, 13.8 million parameters at a vocabulary of 8,192), gpt2-117m, "
            "gpt2-345m, gpt2-762m, gpt2-1542m, a config.json, or a model's folder."
        ),
    ],
    tokens: Annotated[int, typer.Option(help="How many tokens to train on.")],
    weights: Annotated[
        Path | None, typer.Option(help="Mixture YAML; without it domains count by their tokens.")
    ] = None,
    row_length: Annotated[int, typer.Option(help="Tokens in a row.")] = 256,
    batch_rows: Annotated[int, typer.Option(help="Rows in a step.")] = 8,
    learning_rate: Annotated[
        float, typer.Option(help="The highest learning rate; larger models want less.")
    ] = 3e-3,
    schedule: Annotated[
        str, typer.Option(help="cosine, linear or wsd (decay in the last fifth only).")
    ] = "cosine",
    seed: Annotated[int, typer.Option(help="Seed of the first weights and the order of the data.")] = 0,
    precision: Annotated[
        str, typer.Option(help="fp32, bf16 (weights stay fp32), or auto: bf16 where it is native.")
    ] = "auto",
    checkpoint_every: Annotated[int, typer.Option(help="Steps between checkpoints.")] = 100,
    threads: Annotated[int | None, typer.Option(help="CPU threads; what torch takes by default.")] = None,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Pre-train a model on token shards; a run that was interrupted goes on from its last checkpoint.

    Example: train pretrain shards/ -o base/ --model mini --tokens 2000000 --weights mixture.yaml
    """
    from train.pretrain import PretrainConfig
    from train.pretrain import pretrain as run_pretrain

    config = PretrainConfig(
        model=model,
        tokens=tokens,
        row_length=row_length,
        batch_rows=batch_rows,
        learning_rate=learning_rate,
        schedule=cast(Schedule, schedule),
        seed=seed,
        precision=precision,
        checkpoint_every=checkpoint_every,
        threads=threads,
    )
    mixture = Mixture.load(weights) if weights else None
    print_summary(
        "pretrain", run_pretrain(shards, output, config, mixture=mixture, overwrite=overwrite), as_json=as_json
    )
