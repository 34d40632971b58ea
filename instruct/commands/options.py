"""Options that the verbs which ask a model share."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from corpus.core.errors import UsageError
from instruct.batch import MOST_REQUESTS
from instruct.budget import read_limit
from instruct.cache import default_cache_path
from instruct.client import OPENAI_URL, Endpoint, endpoint_from_environment
from instruct.prices import price_of

Output = Annotated[Path, typer.Option("-o", "--output", help="Directory to write.")]
Model = Annotated[str, typer.Option(help="The model's name at the endpoint.")]
OptionalModel = Annotated[str | None, typer.Option(help="The judge's name at the endpoint.")]
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
Cache = Annotated[
    Path | None, typer.Option(help="File of completed requests, for all runs; without it in the user's cache.")
]
Seed = Annotated[int, typer.Option(help="Seed of the draws.")]
Temperature = Annotated[float, typer.Option(min=0, help="Sampling temperature.")]
MaxTokens = Annotated[int, typer.Option(help="Longest reply, in tokens.")]
RequestsPerMinute = Annotated[int | None, typer.Option(help="Most requests sent in a minute.")]
TokensPerMinute = Annotated[int | None, typer.Option(help="Most tokens of prompts and replies in a minute.")]
Prices = Annotated[
    Path | None, typer.Option(help="YAML or JSON file of prices per million tokens, by model (see the README).")
]
Budget = Annotated[
    str | None, typer.Option(help="Most that this run may spend: 5USD (needs --prices) or 200000tokens.")
]
Estimate = Annotated[
    bool,
    typer.Option("--estimate", help="Do a few rows, tell what all would take (tokens, money, time), and stop."),
]
Batch = Annotated[
    bool, typer.Option("--batch", help="By the endpoint's Batch API: cheaper, within a day, resumed by a rerun.")
]

DEFAULT_URL = OPENAI_URL


@dataclass(frozen=True)
class Asking:
    """What a verb that asks a model needs: endpoint, cache, whether only an estimate is wanted, file of prices."""

    endpoint: Endpoint
    cache: Path
    estimate: bool
    prices: Path | None

    def with_model(self, model: str) -> Endpoint:
        """The same endpoint with another model, at that one's price."""
        return replace(self.endpoint, model=model, price=price_of(self.prices, model) if self.prices else None)


def _asking(
    *,
    model: Model,
    base_url: BaseUrl = DEFAULT_URL,
    concurrency: Concurrency = 16,
    timeout: Timeout = 120.0,
    requests_per_minute: RequestsPerMinute = None,
    tokens_per_minute: TokensPerMinute = None,
    prices: Prices = None,
    budget: Budget = None,
    estimate: Estimate = False,
    batch: Batch = False,
    cache: Cache = None,
) -> Asking:
    named = endpoint_from_environment(
        base_url,
        model,
        concurrency=MOST_REQUESTS if batch else concurrency,
        timeout=timeout,
        budget=read_limit(budget) if budget is not None else None,
        price=price_of(prices, model) if prices is not None else None,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        batch=batch,
    )
    return Asking(named, cache or default_cache_path(), estimate, prices)


def asks_a_model(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command, in place of its parameter `asking`, the options of all that asks a model."""
    return _with_options(command, optional=False)


def may_ask_a_model(command: Callable[..., None]) -> Callable[..., None]:
    """The same for a command that need not ask one: without --model its parameter `asking` is None."""
    return _with_options(command, optional=True)


def _with_options(command: Callable[..., None], *, optional: bool) -> Callable[..., None]:
    own = inspect.signature(command, eval_str=True).parameters
    shared = dict(inspect.signature(_asking, eval_str=True).parameters)
    if optional:
        shared["model"] = shared["model"].replace(default=None, annotation=OptionalModel)

    @functools.wraps(command)
    def with_options(**given: Any) -> None:
        chosen = {name: given.pop(name) for name in shared}
        if chosen["model"] is None and chosen["estimate"]:
            raise UsageError("--estimate needs --model")
        command(asking=None if chosen["model"] is None else _asking(**chosen), **given)

    parameters = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in own.items()
        if name != "asking"
    ]
    place = list(own).index("asking")
    parameters[place:place] = shared.values()
    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return with_options
