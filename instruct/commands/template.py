"""The verb `instruct template`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from corpus.core import options
from corpus.core.console import print_summary
from corpus.core.errors import UsageError
from corpus.core.output import Manifest
from instruct.candidates import LANGUAGES, MAKERS
from instruct.tables.build import CAP, LONGEST, TableOptions, build_from_tables
from instruct.tables.templates import built_in_kinds, load_templates, with_mappings
from instruct.template import CAP_PER_TASK, MAXIMUM_CHARACTERS, make_conversations

_TABLE = TableOptions()


def template(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Documents; with --templates tables: JSON, JSONL, Parquet or Arrow files, folders, globs, "
            "`datasets:NAME`, task files of Super-NaturalInstructions."
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The directory to write.")],
    tasks: Annotated[
        str | None, typer.Option(help=f"Of documents: some of {', '.join(MAKERS)}; without it all.")
    ] = None,
    lang: Annotated[str | None, typer.Option(help="Languages of the prompts; all by default.")] = None,
    cap_per_task: Annotated[
        int | None, typer.Option(help=f"Most conversations of one task of documents ({CAP_PER_TASK:,}).")
    ] = None,
    templates: Annotated[
        str | None,
        typer.Option(help=f"A table's templates: a YAML file, or one of {', '.join(built_in_kinds())}."),
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="Columns of a table as the templates name them: `text=review,answer=y`.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="Words for a table's answers: `0=negative,1=positive`.")
    ] = None,
    values: Annotated[
        str | None, typer.Option(help="What is the same in all rows: `target_language=German`.")
    ] = None,
    cap: Annotated[int | None, typer.Option(help=f"Most rows of one table's data set ({CAP:,}).")] = None,
    few_shot: Annotated[
        float | None, typer.Option(help="Share of a table's prompts that show other rows first (0).")
    ] = None,
    shots: Annotated[
        int | None, typer.Option(help=f"Most rows that such a prompt shows ({_TABLE.shots}).")
    ] = None,
    rationales: Annotated[
        float | None,
        typer.Option(help=f"Share with reasoning, of a table's rows that have some ({_TABLE.rationales})."),
    ] = None,
    maximum_characters: Annotated[
        int | None,
        typer.Option(
            help=f"Most characters of prompt and answer ({MAXIMUM_CHARACTERS:,}; of tables {LONGEST:,}); "
            "of Chinese documents and rows half as many."
        ),
    ] = None,
    held_out: Annotated[float, typer.Option(help="Share of the documents or rows to hold out.")] = 0.05,
    seed: Annotated[int, typer.Option(help="Takes other examples and phrasings.")] = 0,
    workers: options.Workers = None,
    engine: options.Engine = "local",
    strict: options.Strict = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Make instruction data by templates in English and Chinese: of documents, or of the rows of any table.

    Example: instruct template deduped/ -o templates/ --tasks describe,name,fill_in --lang en,zh

    Example: instruct template reviews.parquet -o flan/ --templates sentiment --labels 0=negative,1=positive
    """
    of_documents = {"--tasks": tasks, "--cap-per-task": cap_per_task}
    of_tables = {
        "--columns": columns,
        "--labels": labels,
        "--values": values,
        "--cap": cap,
        "--few-shot": few_shot,
        "--shots": shots,
        "--rationales": rationales,
    }
    for name, value in (of_documents if templates else of_tables).items():
        if value is not None:
            raise UsageError(f"{name}: only {'without' if templates else 'with'} --templates")
    run: dict[str, Any] = {"workers": workers, "engine": engine, "strict": strict, "overwrite": overwrite}
    if templates is None:
        manifest = make_conversations(
            inputs,
            output,
            tasks=list(MAKERS) if tasks is None else options.names(tasks),
            languages=LANGUAGES if lang is None else options.names(lang),
            cap_per_task=CAP_PER_TASK if cap_per_task is None else cap_per_task,
            maximum_characters=MAXIMUM_CHARACTERS if maximum_characters is None else maximum_characters,
            seed=seed,
            held_out=held_out,
            **run,
        )
        print_summary("template", manifest if as_json else _rows(manifest), as_json=as_json)
        return
    given = {
        "cap": cap,
        "few_shot": few_shot,
        "shots": shots,
        "rationales": rationales,
        "longest": maximum_characters,
    }
    table_options = TableOptions(
        languages=tuple(options.names(lang)),
        held_out=held_out,
        seed=seed,
        **{name: value for name, value in given.items() if value is not None},  # type: ignore[arg-type]
    )
    chosen = with_mappings(
        load_templates(templates),
        _pairs("--columns", columns),
        _pairs("--labels", labels),
        _pairs("--values", values),
    )
    manifest = build_from_tables(inputs, output, chosen, table_options, **run)
    print_summary("template", manifest if as_json else _data_set_rows(manifest), as_json=as_json)


def _pairs(option: str, text: str | None) -> dict[str, str]:
    """The pairs of an option such as `a=b,c=d`."""
    found = {}
    for item in options.names(text):
        name, equals, value = item.partition("=")
        if not equals or not name.strip() or not value.strip():
            raise UsageError(f"{option} `{item}`: write NAME=VALUE,NAME=VALUE")
        found[name.strip()] = value.strip()
    return found


def _data_set_rows(manifest: Manifest) -> list[dict[str, object]]:
    """A line for each data set, and one for each reason why rows were left out."""
    rows: list[dict[str, object]] = [{"data set": name, **entry} for name, entry in manifest["datasets"].items()]
    rows += [{"data set": f"left out: {name}", "rows_in": number} for name, number in manifest["reasons"].items()]
    return rows


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
