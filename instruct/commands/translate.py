"""The verb `instruct translate`."""

from __future__ import annotations

from typing import Annotated

import typer

from corpus.core import options
from instruct.commands import options as shared
from instruct.commands.rows import ask_about_rows
from instruct.translate import TRANSLATION, TranslateOptions, translate_command


@shared.asks_a_model
def translate(
    inputs: Annotated[
        list[str], typer.Argument(help="Conversations or other instruction data (JSON, JSONL, Parquet).")
    ],
    output: shared.Output,
    asking: shared.Asking,
    to: Annotated[
        str,
        typer.Option(help="A language (zh), several (de,fr,sw), or speakers: one drawn by numbers of speakers."),
    ],
    mode: Annotated[
        str,
        typer.Option(help="translation: questions and replies; answer: questions, answered in that language."),
    ] = TRANSLATION,
    question: Annotated[
        bool,
        typer.Option(help="Ask the model if a task can be translated at all; without it rules alone decide."),
    ] = True,
    temperature: Annotated[float, typer.Option(min=0, help="Of answers; translations are asked at 0.")] = 1.0,
    max_tokens: shared.MaxTokens = 2048,
    seed: shared.Seed = 0,
    strict: options.Strict = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Translate conversations, or their questions only, to be answered anew (Phoenix).

    Code, URLs, placeholders and numbers stay as they are; a translation that lost one is asked for once more.
    Tasks about the words of a language (spelling, rhymes, grammar) are removed.

    Example: instruct translate alpaca.json --to speakers --model qwen --base-url http://localhost:8000/v1 -o more
    """
    command = translate_command(
        asking.endpoint, TranslateOptions(mode, to, question, temperature, max_tokens, seed)
    )
    ask_about_rows(command, inputs, output, asking, strict=strict, overwrite=overwrite, as_json=as_json)
