"""`mixtures plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from corpus.core import options
from corpus.core.console import log, print_summary
from corpus.core.errors import UsageError, ZeroToOneError
from mixtures.plan import plan_run, save_plan
from mixtures.sizes import format_size, parse_size

_SIZES = ("tokens", "available", "worth_in_fresh_tokens", "parameters", "chinchilla_tokens")


def plan(
    source: Annotated[
        Path, typer.Argument(help="Token shards, or a YAML file of sizes: a line `domain: 410B` for each domain.")
    ],
    tokens: Annotated[str | None, typer.Option(help="Tokens of the run, e.g. 300B.", show_default=False)] = None,
    weights: Annotated[
        str, typer.Option(help="A mixture file, proportional, temperature:T or unimax:E (at most E epochs).")
    ] = "proportional",
    params: Annotated[
        str | None,
        typer.Option(help="Parameters of the model, e.g. 7B; without --tokens the run has 20 per parameter."),
    ] = None,
    max_epochs: Annotated[float, typer.Option(help="How often a domain may be repeated.")] = 4.0,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write the mixture, with the plan in it, as YAML.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that is there.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Say what weights mean for a run: tokens, epochs, the value of repetition, caps, compute.

    A plan that no weights can meet is an error that names the largest run; weights over the cap are a warning.

    Example: mixtures plan shards/ --tokens 300B --weights unimax:4 --params 7B
    """
    run = plan_run(
        source,
        weights,
        tokens=_size("--tokens", tokens),
        parameters=_size("--params", params),
        max_epochs=max_epochs,
    )
    rows, summary, complaint = run.domain_rows(), run.summary(), run.complaint()
    if as_json:
        print_summary("plan", {**summary, "complaint": complaint, "domains": rows}, as_json=True)
    else:
        print_summary("Domains", [_readable(row) for row in rows], as_json=False)
        print_summary("Run", _readable(summary), as_json=False)
    if not run.plan.feasible:
        raise ZeroToOneError(f"{source}: {complaint}")
    if complaint:
        log(f"warning: {complaint}")
    if output is not None:
        save_plan(run, output, overwrite)


def _size(option: str, text: str | None) -> float | None:
    try:
        return None if text is None else parse_size(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None


def _readable(row: dict[str, object]) -> dict[str, object]:
    """The row with long numbers as 300B."""
    readable = {}
    for name, value in row.items():
        is_size = isinstance(value, float) and (name in _SIZES or name.startswith("largest_run"))
        text = format_size(value) if is_size and isinstance(value, float) else value
        readable[name.replace("_", " ")] = f"{value:.3g}" if name == "compute" else text
    return readable
