"""`mixtures doremi`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from corpus.core import options
from corpus.core.console import log, print_summary


def doremi(
    shards: Annotated[Path, typer.Argument(help="Token shard directory, from `corpus tokenize`.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Directory; the weights are in its mixture.yaml.")
    ],
    baseline: Annotated[
        str,
        typer.Option(help="Weights of the reference: a mixture file, proportional, temperature:T or unimax:E."),
    ] = "proportional",
    model: Annotated[str, typer.Option(help="Reference and proxy: tiny, mini, small, or a config.json.")] = "tiny",
    steps: Annotated[int, typer.Option(help="Steps of the reference, and of the proxy.")] = 1000,
    rounds: Annotated[int, typer.Option(help="Rounds; each takes the weights of the last as baseline.")] = 1,
    eta: Annotated[float, typer.Option(help="Step size of the weights.")] = 1.0,
    smoothing: Annotated[float, typer.Option(help="Share of uniform weights mixed in at each step.")] = 1e-3,
    row_length: Annotated[int, typer.Option(help="Tokens in a row.")] = 256,
    batch_rows: Annotated[
        int, typer.Option(help="Rows in a step, rounded up to a multiple of the number of domains.")
    ] = 32,
    seed: Annotated[int, typer.Option(help="Seed of the models' first weights and the order of the data.")] = 0,
    precision: Annotated[
        str, typer.Option(help="fp32, bf16 (weights stay fp32), or auto: bf16 where it is native.")
    ] = "auto",
    threads: Annotated[int | None, typer.Option(help="CPU threads; all processors by default.")] = None,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Find domain weights by DoReMi: a reference model, then a proxy that weights what it can still learn.

    A search that was interrupted goes on from its last checkpoint.

    Example: mixtures doremi shards/ -o doremi/ --model tiny --steps 1000
    """
    from mixtures.doremi import DoReMiConfig
    from mixtures.doremi import doremi as run_doremi

    config = DoReMiConfig(
        baseline=baseline,
        model=model,
        steps=steps,
        rounds=rounds,
        eta=eta,
        smoothing=smoothing,
        row_length=row_length,
        batch_rows=batch_rows,
        seed=seed,
        precision=precision,
        threads=threads,
    )
    result = run_doremi(shards, output, config, overwrite=overwrite)
    if as_json:
        print_summary("doremi", {**result, "mixture": str(output / "mixture.yaml")}, as_json=True)
    else:
        print_summary(f"Weights in {output / 'mixture.yaml'}", result["domains"], as_json=False)
        log(result["verdict"])
