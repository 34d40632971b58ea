"""The verb `instruct evolve`."""

from __future__ import annotations

from typing import Annotated

import typer

from corpus.core import options
from instruct.commands import options as shared
from instruct.estimate import print_estimate
from instruct.evolve import estimate_evolve
from instruct.evolve import evolve as run_evolve
from instruct.evolve_rounds import EvolveOptions
from instruct.runs import print_run


@shared.asks_a_model
def evolve(
    inputs: Annotated[
        list[str], typer.Argument(help="Conversations, Alpaca rows or seeds (JSONL), or `builtin`.")
    ],
    output: shared.Output,
    asking: shared.Asking,
    rounds: Annotated[int, typer.Option(help="Rounds of evolution.")] = 4,
    operations: Annotated[
        str, typer.Option(help="general, code (programming tasks), or a YAML file of operations of your own.")
    ] = "general",
    breadth: Annotated[
        float | None,
        typer.Option(help="Share of evolutions to new tasks of the field; without it by weight, one in six."),
    ] = None,
    lang: Annotated[str | None, typer.Option(help="en or zh; without it each row's own.")] = None,
    temperature: shared.Temperature = 1.0,
    max_tokens: shared.MaxTokens = 2048,
    seed: shared.Seed = 0,
    strict: options.Strict = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Make instructions harder and rarer with a model, and answer them (Evol-Instruct).

    Example: instruct evolve tasks/conversations.jsonl --model qwen --base-url http://localhost:8000/v1 -o evolved
    """
    how = EvolveOptions(rounds, lang, temperature, max_tokens, seed, operations, breadth)
    if asking.estimate:
        found = estimate_evolve(inputs, asking.endpoint, how, cache_path=asking.cache, strict=strict)
        print_estimate("evolve", found, as_json=as_json)
        return
    manifest, tally = run_evolve(
        inputs, output, asking.endpoint, how, cache_path=asking.cache, overwrite=overwrite, strict=strict
    )
    print_run("evolve", manifest, output, tally, as_json=as_json)
