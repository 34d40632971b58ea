"""Options that the verbs which ask a model share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from instruct.cache import default_cache_path
from instruct.client import OPENAI_URL, Endpoint, endpoint_from_environment

Output = Annotated[Path, typer.Option("-o", "--output", help="Directory to write.")]
Model = Annotated[str, typer.Option(help="The model's name at the endpoint.")]
BaseUrl = Annotated[
    str,
    typer.Option(
        envvar="OPENAI_BASE_URL",
        help="Any OpenAI-compatible endpoint, such as http://localhost:8000/v1; its key is read from "
        "OPENAI_API_KEY, which local ones do not need.",
    ),
]
Concurrency = Annotated[int, typer.Option(help="Requests in flight.")]
Timeout = Annotated[float, typer.Option(help="Seconds that one request may take.")]
BudgetTokens = Annotated[
    int | None, typer.Option(help="Most tokens that this run may spend, prompts and replies together.")
]
Cache = Annotated[
    Path | None, typer.Option(help="File of completed requests, for all runs; without it in the user's cache.")
]
Seed = Annotated[int, typer.Option(help="Seed of the draws.")]
Temperature = Annotated[float, typer.Option(min=0, help="Sampling temperature.")]
MaxTokens = Annotated[int, typer.Option(help="Longest reply, in tokens.")]

DEFAULT_URL = OPENAI_URL


def endpoint(base_url: str, model: str, concurrency: int, timeout: float, budget_tokens: int | None) -> Endpoint:
    """The endpoint that the options name."""
    return endpoint_from_environment(
        base_url, model, concurrency=concurrency, timeout=timeout, budget_tokens=budget_tokens
    )


def cache_path(cache: Path | None) -> Path:
    """The cache that the options name."""
    return cache or default_cache_path()
