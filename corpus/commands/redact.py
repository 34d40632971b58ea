"""The verb `corpus redact`."""

from __future__ import annotations

from typing import Annotated

import typer

from corpus.core import options
from corpus.core.console import print_summary
from corpus.core.output import Manifest
from corpus.privacy.identifiers import PLACEHOLDERS
from corpus.privacy.redact import redact_documents


def redact(
    inputs: options.Documents,
    output: options.Dataset,
    kinds: Annotated[str, typer.Option(help="What to look for.")] = ",".join(PLACEHOLDERS),
    workers: options.Workers = None,
    engine: options.Engine = "local",
    strict: options.Strict = False,
    overwrite: options.Overwrite = False,
    as_json: options.AsJson = False,
) -> None:
    """Put placeholders such as <EMAIL_ADDRESS> in the place of personal identifiers.

    E-mail, public IP addresses, telephone and card numbers, mainland China's identity, mobile and bank card
    numbers, with checksums. Records how many of each kind, and where they stood, but not what they were.

    Example: corpus redact filtered/ -o redacted/ --kinds email,ip,cn_id_card
    """
    manifest = redact_documents(
        inputs,
        output,
        kinds=options.names(kinds),
        workers=workers,
        engine=engine,
        overwrite=overwrite,
        strict=strict,
    )
    print_summary(f"redact → {output}", manifest if as_json else _rows(manifest), as_json=as_json)


def _rows(manifest: Manifest) -> dict[str, object]:
    counts = manifest["counts"]
    rows: dict[str, object] = {"documents": counts["documents_in"]}
    rows["with identifiers"] = counts.get("documents_redacted", 0)
    rows |= {PLACEHOLDERS[kind]: counts.get(f"redacted:{kind}", 0) for kind in manifest["parameters"]["kinds"]}
    return rows | ({"broken records set aside": counts["set_aside"]} if counts.get("set_aside") else {})
