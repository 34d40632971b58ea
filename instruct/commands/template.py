"""The verb `instruct template`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from corpus.core import options
from corpus.core.console import print_summary
from instruct.candidates import LANGUAGES, MAKERS
from instruct.template import CAP_PER_TASK, MAXIMUM_CHARACTERS, make_conversations


def template(
    inputs: options.Documents,
    output: Annotated[Path, typer.Option("-o", "--output", help="The directory to write.")],
    tasks: Annotated[str, typer.Option(help=f"Of {', '.join(MAKERS)}; without it all.")] = ",".join(MAKERS),
    lang: Annotated[str, typer.Option(help="Languages of the prompts.")] = ",".join(LANGUAGES),
    cap_per_task: Annotated[int, typer.Option(help="Most conversations of one task.")] = CAP_PER_TASK,
    maximum_characters: Annotated[
        int, typer.Option(help="Most characters of prompt and answer; of Chinese documents half as many.")
    ] = MAXIMUM_CHARACTERS,
    held_out: Annotated[float, typer.Option(help="Share of the documents to hold out.")] = 0.05,
    seed: Annotated[int, typer.Option(help="Takes other examples and phrasings.")] = 0,
    workers: options.Workers = None,
    engine: options.Engine = "local",
    strict: options.Strict = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Make instruction data from documents, by templates in English and Chinese.

    Example: instruct template deduped/ -o templates/ --tasks describe,name,fill_in --lang en,zh
    """
    manifest = make_conversations(
        inputs,
        output,
        tasks=options.names(tasks),
        languages=options.names(lang),
        cap_per_task=cap_per_task,
        maximum_characters=maximum_characters,
        seed=seed,
        held_out=held_out,
        workers=workers,
        engine=engine,
        strict=strict,
        overwrite=overwrite,
    )
    print_summary("template", manifest if as_json else _rows(manifest), as_json=as_json)


def _rows(manifest: dict[str, Any]) -> list[dict[str, object]]:
    """A line for each task: conversations by language, held-out ones, dropped candidates."""
    rows: list[dict[str, object]] = []
    for task in manifest["parameters"]["tasks"]:
        made = manifest["tasks"]["conversations"].get(task, {})
        dropped = [number for name, number in manifest["reasons"].items() if name.startswith(f"{task}: ")]
        rows.append(
            {
                "task": task,
                **{language: made.get(language, 0) for language in manifest["parameters"]["languages"]},
                "held out": sum(manifest["tasks"]["held_out"].get(task, {}).values()),
                "dropped": sum(dropped),
            }
        )
    return rows
