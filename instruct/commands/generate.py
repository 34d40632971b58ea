"""The verb `instruct generate`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from corpus.core import options
from corpus.core.output import Manifest
from instruct.commands import options as shared
from instruct.costs import Tally
from instruct.estimate import direct, pilot_by_count, print_estimate
from instruct.generate import GenerateOptions
from instruct.generate import generate as run_generate
from instruct.runs import print_run
from instruct.seed_tasks import BUILTIN


@shared.asks_a_model
def generate(
    output: shared.Output,
    asking: shared.Asking,
    count: Annotated[int, typer.Option(help="Tasks to keep.")],
    seeds: Annotated[str, typer.Option(help="JSONL file of seed tasks, or builtin.")] = BUILTIN,
    lang: Annotated[str, typer.Option(help="en or zh.")] = "en",
    temperature: shared.Temperature = 1.0,
    max_tokens: shared.MaxTokens = 4096,
    seed: shared.Seed = 0,
    strict: options.Strict = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Write new tasks from seed tasks with a model (Self-Instruct, Alpaca's way).

    Example: instruct generate --lang zh --count 500 --model qwen --base-url http://localhost:8000/v1 -o tasks
    """
    how = GenerateOptions(lang, count, temperature, max_tokens, seed)
    if asking.estimate:

        def pilot(few: int, where: Path) -> tuple[Manifest, Tally | None]:
            less = replace(how, count=few)
            return run_generate(
                seeds, where, direct(asking.endpoint), less, cache_path=asking.cache, strict=strict
            )

        print_estimate("generate", pilot_by_count(pilot, asking.endpoint, count), as_json=as_json)
        return
    manifest, tally = run_generate(
        seeds, output, asking.endpoint, how, cache_path=asking.cache, overwrite=overwrite, strict=strict
    )
    print_run("generate", manifest, output, tally, as_json=as_json)
