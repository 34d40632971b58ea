"""Prices of models, from a file that the user gives: what tokens cost.

    currency: USD
    models:
      some-model: {input: 0.15, cached_input: 0.075, output: 0.60, batch: 0.5}

Prices are per million tokens. `cached_input` (prompt tokens that the endpoint had in its own cache) is the price
of the input where it is missing; `batch` is the factor of the Batch API, 1 where it is missing. Amounts are
decimal numbers, so that a sum of a million requests is exact.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import yaml

from corpus.core.errors import UsageError, ZeroToOneError

_MILLION = 1_000_000
_CURRENCY = re.compile(r"[A-Z]{3}")
_FIELDS = ("input", "output", "cached_input", "batch")


@dataclass(frozen=True)
class Price:
    """What a million tokens of one model cost; `batch` is the factor of the Batch API."""

    currency: str
    input: Decimal
    output: Decimal
    cached_input: Decimal
    batch: Decimal = Decimal(1)

    def cost(self, prompt: int, completion: int, cached: int = 0) -> Decimal:
        """The cost of so many prompt and completion tokens, `cached` of the prompt's being read from a cache."""
        whole = (prompt - cached) * self.input + cached * self.cached_input + completion * self.output
        return whole / _MILLION

    def in_batch(self) -> Price:
        """The price of the same model by the Batch API."""
        lower = (self.input * self.batch, self.output * self.batch, self.cached_input * self.batch)
        return Price(self.currency, *lower)


def read_prices(path: Path) -> dict[str, Price]:
    """The prices in a YAML or JSON file, by the model's name.

    Raises ZeroToOneError that names the file and the place.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ZeroToOneError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise ZeroToOneError(f"{path}: not UTF-8") from None
    except yaml.YAMLError as error:
        raise ZeroToOneError(f"{path}: not valid YAML or JSON: {' '.join(str(error).split())}") from None
    models = content.get("models") if isinstance(content, Mapping) else None
    if not isinstance(models, Mapping) or not models:
        raise ZeroToOneError(f"{path}: no `models`, a mapping of names to prices")
    currency = content.get("currency", "USD")
    if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
        raise ZeroToOneError(f"{path}: currency: not three capital letters such as USD")
    return {str(name): _price(path, str(name), currency, entry) for name, entry in models.items()}


def price_of(path: Path, model: str) -> Price:
    """The price of one model in a file. Raises UsageError for a model that is not there."""
    prices = read_prices(path)
    if model not in prices:
        raise UsageError(f"{path}: no price of `{model}`; there are {', '.join(prices)}")
    return prices[model]


def _price(path: Path, name: str, currency: str, entry: Any) -> Price:
    if not isinstance(entry, Mapping):
        raise ZeroToOneError(f"{path}: models.{name}: not a mapping with input and output")
    if unknown := [str(field) for field in entry if field not in _FIELDS]:
        raise ZeroToOneError(f"{path}: models.{name}: unknown `{unknown[0]}`; there are {', '.join(_FIELDS)}")
    given = {field: _number(path, f"models.{name}.{field}", value) for field, value in entry.items()}
    for field in ("input", "output"):
        if field not in given:
            raise ZeroToOneError(f"{path}: models.{name}: no `{field}`")
    return Price(currency, **{"cached_input": given["input"], **given})


def _number(path: Path, place: str, value: Any) -> Decimal:
    try:
        if isinstance(value, bool):
            raise InvalidOperation
        number = Decimal(str(value))
    except InvalidOperation:
        raise ZeroToOneError(f"{path}: {place}: not a number") from None
    if not number.is_finite() or number < 0:
        raise ZeroToOneError(f"{path}: {place}: must be 0 or more")
    return number
