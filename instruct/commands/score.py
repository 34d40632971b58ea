"""The verb `instruct score`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from corpus.core import options
from instruct.commands import options as shared
from instruct.estimate import print_estimate
from instruct.runs import print_run
from instruct.score import ScoreOptions, estimate_score
from instruct.score import score as run_score


@shared.may_ask_a_model
def score(
    inputs: Annotated[list[str], typer.Argument(help="Conversations or other instruction data.")],
    output: shared.Output,
    asking: shared.Asking | None,
    measure: Annotated[
        list[str],
        typer.Option(
            help="length, complexity or quality (by a judge, --model), ifd (--causal-model), reward "
            "(--reward-model); repeatable."
        ),
    ],
    causal_model: Annotated[
        Path | None, typer.Option(help="Folder of a causal language model, for instruction-following difficulty.")
    ] = None,
    reward_model: Annotated[Path | None, typer.Option(help="Folder of a classifier with one output.")] = None,
    lang: Annotated[str | None, typer.Option(help="Of the prompts: en or zh; else each row's own.")] = None,
    temperature: shared.Temperature = 0.0,
    max_tokens: shared.MaxTokens = 512,
    strict: options.Strict = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Score rows: length, complexity and quality by a judge, difficulty by a language model, reward by a model.

    Example: instruct score evolved --measure complexity --measure quality --model gpt-4o -o scored
    """
    how = ScoreOptions(tuple(dict.fromkeys(measure)), causal_model, reward_model, lang, temperature, max_tokens)
    if asking and asking.estimate:
        found = estimate_score(inputs, asking.endpoint, how, cache_path=asking.cache, strict=strict)
        print_estimate("score", found, as_json=as_json)
        return
    manifest, tally = run_score(
        inputs,
        output,
        how,
        endpoint=asking.endpoint if asking else None,
        cache_path=asking.cache if asking else None,
        overwrite=overwrite,
        strict=strict,
    )
    print_run("score", manifest, output, tally, as_json=as_json)
