"""Options that the verbs of all four programs share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from corpus.core.errors import UsageError

Documents = Annotated[list[str], typer.Argument(help="Dataset directories, files, globs or URLs of documents.")]
Dataset = Annotated[Path, typer.Option("-o", "--output", help="The dataset directory to write.")]
Workers = Annotated[int | None, typer.Option(help="Processes; all processors by default.")]
Engine = Annotated[str, typer.Option(help="local or ray.")]
Strict = Annotated[bool, typer.Option("--strict", help="Fail on the first broken record.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Start again.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def names(text: str | None) -> list[str]:
    """The names in an option's list with commas, without white space and empty ones."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def memory_bytes(text: str) -> int:
    """Bytes of a size such as `512M`, `4G` or `4GB` (powers of 1,024). Raises UsageError."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?) ?([KMGT])(?:i?B)?", text.strip(), flags=re.IGNORECASE)
    size = int(float(found[1]) * 1024 ** (1 + "KMGT".index(found[2].upper()))) if found else 0
    if not size:
        raise UsageError(f"--memory `{text}` is no size; write 512M or 4G")
    return size
