"""The verb `instruct generate`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from corpus.core import options
from corpus.core.errors import UsageError
from corpus.core.output import Manifest
from instruct.commands import options as shared
from instruct.costs import Tally
from instruct.estimate import direct, pilot_by_count, print_estimate
from instruct.generate import ALPACA, SELF_INSTRUCT, GenerateOptions
from instruct.generate import generate as run_generate
from instruct.near_measures import MEASURES, NoveltyOptions
from instruct.novelty import CHARACTERS, CHINESE_TOKENS
from instruct.runs import print_run
from instruct.seed_tasks import BUILTIN
from instruct.use_cases import INSTRUCTGPT, NONE


@shared.asks_a_model
def generate(
    output: shared.Output,
    asking: shared.Asking,
    count: Annotated[int, typer.Option(help="Tasks to keep; for self-instruct instructions.")],
    seeds: Annotated[str, typer.Option(help="JSONL file of seed tasks, or builtin.")] = BUILTIN,
    lang: Annotated[str, typer.Option(help="en or zh.")] = "en",
    method: Annotated[
        str | None,
        typer.Option(
            help=f"{ALPACA} (the default): twenty whole tasks in a reply; {SELF_INSTRUCT}: instructions, then a "
            "classification of each, then up to five instances."
        ),
    ] = None,
    roles: Annotated[
        str | None,
        typer.Option(
            help="In place of a method: tasks that people in these roles would set, then answered (Phoenix). A "
            "number of roles to ask the model for, or a file with one a line."
        ),
    ] = None,
    use_cases: Annotated[
        str | None,
        typer.Option(
            help=f"Quotas by kind of task: {INSTRUCTGPT} (the default), {NONE}, or a YAML file, a share by name."
        ),
    ] = None,
    novelty: Annotated[
        str, typer.Option(help=f"How near instructions are to earlier ones is measured by {', '.join(MEASURES)}.")
    ] = MEASURES[0],
    novelty_threshold: Annotated[
        float | None,
        typer.Option(help="Highest score that is still novel; without it 0.7, for embedding 0.9."),
    ] = None,
    chinese_tokens: Annotated[
        str, typer.Option(help=f"Chinese is compared by {' or '.join(CHINESE_TOKENS)} (of jieba).")
    ] = CHARACTERS,
    embedding_model: Annotated[
        str, typer.Option(help="Folder of a transformers model, for --novelty embedding.")
    ] = "",
    temperature: Annotated[
        float | None,
        typer.Option(min=0, help="Sampling temperature; without it the method's: 1, for self-instruct 0.7."),
    ] = None,
    max_tokens: shared.MaxTokens = 4096,
    seed: shared.Seed = 0,
    strict: options.Strict = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Write new tasks from seed tasks with a model (Self-Instruct, Alpaca, or Phoenix's roles).

    Example: instruct generate --lang zh --count 500 --model qwen --base-url http://localhost:8000/v1 -o tasks
    """
    if roles and (method or use_cases):
        raise UsageError("--roles takes the place of --method and --use-cases")
    how = GenerateOptions(
        lang,
        count,
        method=method or ALPACA,
        temperature=temperature,
        max_tokens=max_tokens,
        seed=seed,
        use_cases=use_cases or INSTRUCTGPT,
        roles=roles or "",
        novelty=NoveltyOptions(novelty, novelty_threshold, chinese_tokens, embedding_model),
    )
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
