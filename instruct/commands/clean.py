"""The verb `instruct clean`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from corpus.core import options
from corpus.core.console import print_summary
from corpus.core.errors import UsageError
from corpus.core.output import Manifest
from instruct.clean import clean_conversations
from instruct.clean_conversation import DUPLICATES, CleanOptions
from instruct.forms import READABLE

_DEFAULT = CleanOptions()


def clean(
    inputs: Annotated[
        list[str], typer.Argument(help="JSONL, JSON (.gz, .zst) or Parquet files; globs; directories.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The directory to write.")],
    source_form: Annotated[
        str | None, typer.Option("--from", help=f"{', '.join(READABLE)}; else told by the row's keys.")
    ] = None,
    html: Annotated[
        str, typer.Option(help="auto: texts that are rendered Markdown as a whole; always; or never.")
    ] = _DEFAULT.html,
    lang: Annotated[
        str | None, typer.Option(help="Languages to keep, as `en,zh`; what is not certain stays.")
    ] = None,
    duplicates: Annotated[
        str, typer.Option(help=f"Which to remove, of {', '.join(DUPLICATES)}; or none.")
    ] = ",".join(_DEFAULT.duplicates),
    threshold: Annotated[
        float, typer.Option(help="Jaccard similarity of 5-grams from which two are near duplicates.")
    ] = _DEFAULT.threshold,
    keep_identity: Annotated[
        bool, typer.Option("--keep-identity", help="Keep replies that say `I am ChatGPT` or `trained by OpenAI`.")
    ] = False,
    after_removed: Annotated[
        str, typer.Option(help="cut or keep the rounds behind one that was removed: they have lost its context.")
    ] = "cut",
    max_tokens: Annotated[
        int | None, typer.Option(help="Split conversations on whole rounds into rows of so many tokens.")
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="Folder of the tokenizer that counts them; without it an estimate.")
    ] = None,
    too_long: Annotated[
        str, typer.Option(help="remove or keep (as a row of its own) a single round that is longer.")
    ] = _DEFAULT.too_long,
    workers: options.Workers = None,
    engine: options.Engine = "local",
    strict: options.Strict = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Clean conversations from chats (ShareGPT, Vicuna and other forms); every round is kept or has a reason.

    HTML becomes Markdown, roles are repaired, buttons and error messages go. Where turns do not alternate, the
    rounds before that place stay and the rest is removed.

    Example: instruct clean sg_90k_part1.json -o cleaned/ --lang en,zh --tokenizer model/ --max-tokens 2048
    """
    if after_removed not in ("cut", "keep"):
        raise UsageError(f"--after-removed {after_removed}: choose one of cut, keep")
    manifest = clean_conversations(
        inputs,
        output,
        CleanOptions(
            html=html,
            languages=tuple(options.names(lang)),
            duplicates=() if duplicates == "none" else tuple(options.names(duplicates)),
            threshold=threshold,
            keep_identity=keep_identity,
            keep_rest=after_removed == "keep",
            max_tokens=max_tokens,
            tokenizer=tokenizer,
            too_long=too_long,
        ),
        source_form=source_form,
        workers=workers,
        engine=engine,
        overwrite=overwrite,
        strict=strict,
    )
    print_summary(f"clean → {output}", manifest if as_json else _rows(manifest), as_json=as_json)


def _rows(manifest: Manifest) -> dict[str, object]:
    rounds = {f"rounds removed: {reason}": number for reason, number in manifest["rounds_by_reason"].items()}
    return {**manifest["counts"], **rounds}
