"""The verb `train trace`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from corpus.core import options
from corpus.core.console import print_summary


def trace(
    directory: Annotated[Path, typer.Argument(help="Run directory of `train pretrain` or `train sft`.")],
    step: Annotated[int, typer.Option(help="Which step, from 0, as in metrics.jsonl.")],
    as_json: options.AsJson = False,
) -> None:
    """Show which documents (with their URLs) or conversations a training step saw.

    Example: train trace base/ --step 120
    """
    from train.trace import trace as trace_step

    print_summary(f"{directory}, step {step}", trace_step(directory, step), as_json=as_json)
