"""The verb `instruct generate`."""

from __future__ import annotations

from typing import Annotated

import typer

from corpus.core import options
from instruct.commands import options as shared
from instruct.generate import GenerateOptions
from instruct.generate import generate as run_generate
from instruct.runs import print_run
from instruct.seed_tasks import BUILTIN


def generate(
    output: shared.Output,
    model: shared.Model,
    count: Annotated[int, typer.Option(help="Tasks to keep.")],
    seeds: Annotated[str, typer.Option(help="JSONL file of seed tasks, or builtin.")] = BUILTIN,
    lang: Annotated[str, typer.Option(help="en or zh.")] = "en",
    base_url: shared.BaseUrl = shared.DEFAULT_URL,
    temperature: shared.Temperature = 1.0,
    max_tokens: shared.MaxTokens = 4096,
    seed: shared.Seed = 0,
    concurrency: shared.Concurrency = 16,
    timeout: shared.Timeout = 120.0,
    budget_tokens: shared.BudgetTokens = None,
    cache: shared.Cache = None,
    strict: options.Strict = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Write new tasks from seed tasks with a model (Self-Instruct, Alpaca's way).

    Example: instruct generate --lang zh --count 500 --model qwen --base-url http://localhost:8000/v1 -o tasks
    """
    manifest, tally = run_generate(
        seeds,
        output,
        shared.endpoint(base_url, model, concurrency, timeout, budget_tokens),
        GenerateOptions(lang, count, temperature, max_tokens, seed),
        cache_path=shared.cache_path(cache),
        overwrite=overwrite,
        strict=strict,
    )
    print_run("generate", manifest, output, tally, as_json=as_json)
