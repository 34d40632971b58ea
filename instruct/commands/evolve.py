"""The verb `instruct evolve`."""

from __future__ import annotations

from typing import Annotated

import typer

from corpus.core import options
from instruct.commands import options as shared
from instruct.evolve import EvolveOptions
from instruct.evolve import evolve as run_evolve
from instruct.runs import print_run


def evolve(
    inputs: Annotated[
        list[str], typer.Argument(help="Conversations, Alpaca rows or seeds (JSONL), or `builtin`.")
    ],
    output: shared.Output,
    model: shared.Model,
    rounds: Annotated[int, typer.Option(help="Rounds of evolution.")] = 4,
    lang: Annotated[str | None, typer.Option(help="en or zh; without it each row's own.")] = None,
    base_url: shared.BaseUrl = shared.DEFAULT_URL,
    temperature: shared.Temperature = 1.0,
    max_tokens: shared.MaxTokens = 2048,
    seed: shared.Seed = 0,
    concurrency: shared.Concurrency = 16,
    timeout: shared.Timeout = 120.0,
    budget_tokens: shared.BudgetTokens = None,
    cache: shared.Cache = None,
    strict: options.Strict = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Make instructions harder and rarer with a model, and answer them (Evol-Instruct).

    Example: instruct evolve tasks/conversations.jsonl --model qwen --base-url http://localhost:8000/v1 -o evolved
    """
    manifest, tally = run_evolve(
        inputs,
        output,
        shared.endpoint(base_url, model, concurrency, timeout, budget_tokens),
        EvolveOptions(rounds, lang, temperature, max_tokens, seed),
        cache_path=shared.cache_path(cache),
        overwrite=overwrite,
        strict=strict,
    )
    print_run("evolve", manifest, output, tally, as_json=as_json)
