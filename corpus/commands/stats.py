"""The verb `corpus stats`."""

from __future__ import annotations

from corpus.core import options
from corpus.core.console import print_summary
from corpus.reporting.stats import document_stats


def stats(
    inputs: options.Documents,
    workers: options.Workers = None,
    engine: options.Engine = "local",
    strict: options.Strict = False,
    as_json: options.AsJson = False,
) -> None:
    """Count documents, characters, bytes and words by domain and language.

    Example: corpus stats filtered/ --json
    """
    rows = document_stats(inputs, workers=workers, engine=engine, strict=strict)
    print_summary("stats", rows, as_json=as_json)
