"""The verb `train evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from corpus.core import options
from corpus.core.console import print_summary
from corpus.core.errors import UsageError


def evaluate(
    models: Annotated[
        list[str], typer.Argument(help="Models' folders or run directories; the first is the base.")
    ],
    shards: Annotated[Path | None, typer.Option(help="Token shards with held-out documents.")] = None,
    conversations: Annotated[
        list[str] | None,
        typer.Option(help="Held-out conversations: JSONL, or a directory with conversations.jsonl."),
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(help="JSONL of id, lang, prompt; a built-in list by default.")
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Directory for evaluation.json.")] = None,
    maximum_tokens: Annotated[int | None, typer.Option(help="At most this many tokens of each domain.")] = None,
    replies: Annotated[int, typer.Option(help="How many replies to write to see whether they stop.")] = 32,
    maximum_new_tokens: Annotated[int, typer.Option(help="The longest reply or answer.")] = 64,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Compare models: bits per byte by domain, loss of held-out replies, whether replies stop, answers.

    Example: train evaluate base/ tuned/ --shards shards/ --conversations tuned/held_out.jsonl -o evaluation/
    """
    from train.evaluate import EvaluationConfig
    from train.evaluate import evaluate as run_evaluate

    config = EvaluationConfig(
        shards=shards,
        conversations=tuple(conversations or ()),
        prompts=prompts,
        maximum_tokens=maximum_tokens,
        replies=replies,
        maximum_new_tokens=maximum_new_tokens,
    )
    named = {model: Path(model) for model in models}
    if len(named) != len(models):
        raise UsageError(f"{', '.join(models)}: the same model twice")
    result = run_evaluate(named, config, output, overwrite=overwrite)
    if as_json:
        print_summary("evaluate", result, as_json=True)
        return
    if "domains" in result:
        entries = {**result["domains"], "all": result["all"]}
        rows = [_domain_row(domain, entry) for domain, entry in entries.items()]
        print_summary("bits per byte of held-out documents", rows, as_json=False)
    if "replies" in result:
        replied = [{"model": name, **entry} for name, entry in result["replies"].items()]
        print_summary("held-out replies", replied, as_json=False)
    answers = [
        {"prompt": row["prompt"], **{name: answer["text"] for name, answer in row["answers"].items()}}
        for row in result["answers"]
    ]
    print_summary("answers", answers, as_json=False)


def _domain_row(domain: str, entry: dict[str, Any]) -> dict[str, Any]:
    differences = {f"{name}, difference": value for name, value in entry["difference"].items()}
    scored = {"documents": entry["documents"], "bytes": entry["bytes"]}
    return {"domain": domain, **scored, **entry["bits_per_byte"], **differences}
