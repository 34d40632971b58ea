"""The verb `instruct answer`."""

from __future__ import annotations

from typing import Annotated

import typer

from corpus.core import options
from corpus.core.errors import UsageError
from instruct.answer import LAST, AnswerOptions, answer_command
from instruct.commands import options as shared
from instruct.commands.rows import ask_about_rows


@shared.asks_a_model
def answer(
    inputs: Annotated[
        list[str], typer.Argument(help="Conversations or other instruction data (JSON, JSONL, Parquet).")
    ],
    output: shared.Output,
    asking: shared.Asking,
    samples: Annotated[int, typer.Option(help="Replies to ask for; each is a row, unless one is picked.")] = 1,
    pick: Annotated[str | None, typer.Option(help="judge: a model picks the best sample, in two orders.")] = None,
    judge_model: Annotated[
        str | None, typer.Option(help="The model that picks, at the same endpoint; without it --model.")
    ] = None,
    rounds: Annotated[
        str,
        typer.Option(
            help="last: answer the last round, the earlier replies stay; each: all in turn, after new replies, so "
            "that a later question may not fit any more."
        ),
    ] = LAST,
    temperature: shared.Temperature = 1.0,
    max_tokens: shared.MaxTokens = 2048,
    strict: options.Strict = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Answer conversations anew with another model; the old reply stays in the lineage.

    Example: instruct answer alpaca.json --model qwen --samples 4 --pick judge --base-url http://localhost:8000/v1
    -o answered
    """
    if judge_model is not None and pick is None:
        raise UsageError("--judge-model picks among samples: it needs --pick judge")
    judge = asking.with_model(judge_model) if judge_model is not None else None
    command = answer_command(asking.endpoint, AnswerOptions(samples, pick, rounds, temperature, max_tokens), judge)
    ask_about_rows(command, inputs, output, asking, strict=strict, overwrite=overwrite, as_json=as_json)
