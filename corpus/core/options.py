"""Options that the verbs of all four programs share."""

from __future__ import annotations

from typing import Annotated

import typer

Documents = Annotated[list[str], typer.Argument(help="Dataset directories, files, globs or URLs of documents.")]
Workers = Annotated[int | None, typer.Option(help="Processes; all processors by default.")]
Engine = Annotated[str, typer.Option(help="local or ray.")]
Strict = Annotated[bool, typer.Option("--strict", help="Fail on the first broken record.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Start again.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
