"""An endpoint: where requests go, and within which limits of number, time and money."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from corpus.core.errors import UsageError, ZeroToOneError
from instruct.budget import TOKENS, Limit
from instruct.cache import public_url
from instruct.prices import Price

OPENAI_URL = "https://api.openai.com/v1"


class EndpointError(ZeroToOneError):
    """No request to the endpoint can succeed."""


@dataclass(frozen=True)
class Endpoint:
    """Where requests go, how many at a time and a minute, how long one may take, and what all may cost.

    `timeout` and `backoff` (the first delay before a retry) are in seconds; `budget` caps what is spent on prompts
    and replies together, in tokens, or with a `price` in its currency. `batch`: by the Batch API. Without a key,
    one that local servers ignore is sent.
    """

    base_url: str
    model: str
    api_key: str = field(default="", repr=False)
    concurrency: int = 16
    timeout: float = 120.0
    backoff: float = 0.5
    budget: Limit | None = None
    price: Price | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    batch: bool = False

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise UsageError(f"--base-url {public_url(self.base_url)}: not an http or https address")
        if self.concurrency < 1:
            raise UsageError("--concurrency must be at least 1")
        if not self.timeout > 0:
            raise UsageError("--timeout must be more than 0 seconds")
        for name in ("requests_per_minute", "tokens_per_minute"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"--{name.replace('_', '-')} must be at least 1")
        self._check_currency()

    def _check_currency(self) -> None:
        limit = self.budget
        if limit is None or limit.unit == TOKENS:
            return
        if self.price is None:
            raise UsageError(f"--budget {limit} needs the model's price: name a file of prices with --prices")
        if self.price.currency != limit.unit:
            raise UsageError(f"--budget {limit}: the price of {self.model} is in {self.price.currency}")

    @property
    def public_url(self) -> str:
        """The address without credentials."""
        return public_url(self.base_url)

    @property
    def official(self) -> bool:
        """Whether it is OpenAI's own."""
        return (urlsplit(self.base_url).hostname or "").endswith("openai.com")

    @property
    def effective_price(self) -> Price | None:
        """The price of what this endpoint is sent: lower by the Batch API."""
        return self.price.in_batch() if self.price and self.batch else self.price

    def amount(self, prompt: int, completion: int, cached: int = 0) -> Decimal:
        """What tokens cost in the unit of the limit; without a limit in tokens."""
        limit, price = self.budget, self.effective_price
        if limit is None or limit.unit == TOKENS or price is None:
            return Decimal(prompt + completion)
        return price.cost(prompt, completion, cached)


def endpoint_from_environment(base_url: str, model: str, **options: Any) -> Endpoint:
    """An endpoint with the key of `OPENAI_API_KEY`, which only OpenAI's own address cannot do without."""
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    if not key and (urlsplit(base_url).hostname or "").endswith("openai.com"):
        raise UsageError("no key: set OPENAI_API_KEY, or name another endpoint with --base-url")
    return Endpoint(base_url, model, api_key=key, **options)
