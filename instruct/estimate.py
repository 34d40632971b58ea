"""What a run would take, from a pilot: a few of its own units of work, done as the run does them.

The pilot's replies stay in the cache, so that the run does not pay for them again. Its units are spread evenly
over the sizes of all (systematic sampling), and the means are extrapolated with Student's intervals (Cochran,
Sampling Techniques, chapters 2, 6 and 8): by the number of units, or, where a run goes on until it has kept enough
rows, by the ratio to the kept ones.
"""

from __future__ import annotations

import asyncio
import math
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from pathlib import Path
from statistics import NormalDist, fmean
from typing import Any, TypeVar

from corpus.core.console import print_summary, progress
from corpus.core.errors import ZeroToOneError
from instruct.budget import TOKENS
from instruct.cache import RequestCache
from instruct.client import ChatClient, Tally, map_in_order
from instruct.costs import Usage, money
from instruct.endpoint import Endpoint

PILOT_UNITS = 20
PILOT_KEPT = 40  # rows of a pilot of a verb that counts kept ones
CONFIDENCE = 0.9

Item = TypeVar("Item")


@dataclass(frozen=True)
class Unit:
    """What one unit of work came to: its requests and tokens, and the rows kept from it."""

    usage: Usage
    kept: int


@dataclass(frozen=True)
class Interval:
    """An expected value with a 90 % interval."""

    value: float
    low: float
    high: float

    def scaled(self, factor: float) -> Interval:
        """All three times a factor."""
        return Interval(self.value * factor, self.low * factor, self.high * factor)


@dataclass(frozen=True)
class Estimate:
    """What the whole run would take, its pilot included; what is cached already costs nothing again.

    `seconds` is None where nothing was sent, so that no time was measured, or by the Batch API. `spent` is what
    the pilot itself paid.
    """

    pilot_units: int
    requests: Interval
    tokens: Interval
    kept: Interval
    cost: Interval | None
    currency: str
    seconds: float | None
    spent_tokens: int
    spent: float | None
    within_budget: bool | None


def pilot_places(sizes: Sequence[int], count: int = PILOT_UNITS) -> list[int]:
    """The places of `count` units (all, if there are fewer), spread evenly over the units in the order of size."""
    order = sorted(range(len(sizes)), key=lambda place: (sizes[place], place))
    count = min(count, len(sizes))
    return sorted(order[int((number + 0.5) * len(sizes) / count)] for number in range(count))


def run_pilot(
    units: Sequence[Item],
    work: Callable[[ChatClient, Item], Awaitable[Unit]],
    endpoint: Endpoint,
    cache_path: Path,
    *,
    total: int | None = None,
    kept: int | None = None,
) -> Estimate:
    """Do the work of a pilot's units and extrapolate to `total` units, or until `kept` rows are kept.

    Raises ZeroToOneError where the budget ends within the pilot or every unit fails, and EndpointError.
    """

    async def run() -> tuple[list[Unit], Tally]:
        async with ChatClient(direct(endpoint), cache) as client:

            async def one(unit: Item) -> Unit:
                done = await work(client, unit)
                bar.text = client.tally.text()
                bar.advance()
                return done

            return await map_in_order(one, units, client.endpoint.concurrency), client.tally

    with RequestCache(cache_path) as cache, progress("estimate", len(units), "units") as bar:
        done, tally = asyncio.run(run())
    usable = [unit for unit in done if not unit.usage.failed]
    if not usable:
        raise ZeroToOneError("no estimate: every unit of the pilot failed, or the budget ended within it")
    return extrapolate(usable, endpoint, tally, total=total, kept=kept)


def direct(endpoint: Endpoint) -> Endpoint:
    """The endpoint that a pilot asks: without the Batch API, which may take a day."""
    return replace(endpoint, batch=False, concurrency=min(endpoint.concurrency, PILOT_UNITS))


def pilot_by_count(
    run: Callable[[int, Path], tuple[Mapping[str, Any], Tally | None]], endpoint: Endpoint, count: int
) -> Estimate:
    """The estimate of a verb that goes on until it has kept `count` rows, from a small run of the verb itself.

    `run` takes a count and a directory and gives manifest and tally. The interval takes kept rows for a Poisson
    count; it does not know that novelty falls as rows are added. Raises ZeroToOneError where none is kept.
    """
    with tempfile.TemporaryDirectory() as directory:
        manifest, tally = run(min(count, PILOT_KEPT), Path(directory) / "pilot")
    usage, kept = Usage(**manifest["usage"]), manifest["counts"]["rows_kept"]
    if not kept:
        raise ZeroToOneError("no estimate: the pilot kept no row")
    spread = student(kept - 1) / math.sqrt(kept) if kept < count else 0.0

    def whole(value: float) -> Interval:
        return _interval(value * count / kept, value * count / kept * spread)

    price = endpoint.effective_price
    return _estimate(
        1,
        whole(usage.requests),
        whole(usage.tokens),
        Interval(count, count, count),
        whole(float(usage.cost(price))) if price else None,
        endpoint,
        tally or Tally(price=price),
    )


def extrapolate(
    units: Sequence[Unit], endpoint: Endpoint, tally: Tally, *, total: int | None = None, kept: int | None = None
) -> Estimate:
    """The estimate from a pilot's units, for `total` units or until `kept` rows are kept; see the module."""
    price = endpoint.effective_price
    rows = [float(unit.kept) for unit in units]

    def whole(values: Sequence[float]) -> Interval:
        if kept is None:
            return by_units(values, total or len(units))
        return by_ratio(values, rows, kept)

    return _estimate(
        len(units),
        whole([unit.usage.requests for unit in units]),
        whole([unit.usage.tokens for unit in units]),
        whole(rows),
        whole([float(unit.usage.cost(price)) for unit in units]) if price else None,
        endpoint,
        tally,
    )


def _estimate(
    units: int,
    requests: Interval,
    tokens: Interval,
    kept: Interval,
    cost: Interval | None,
    endpoint: Endpoint,
    tally: Tally,
) -> Estimate:
    price = endpoint.effective_price
    return Estimate(
        pilot_units=units,
        requests=requests,
        tokens=tokens,
        kept=kept,
        cost=cost,
        currency=price.currency if price else "",
        seconds=_seconds(requests.value, tokens.value, endpoint, tally),
        spent_tokens=tally.prompt_tokens + tally.completion_tokens,
        spent=float(tally.cost) if price else None,
        within_budget=_within(tokens, cost, endpoint),
    )


def by_units(values: Sequence[float], total: int) -> Interval:
    """The sum over `total` units, of which `values` are a sample (Cochran, chapter 2)."""
    count = len(values)
    mean = fmean(values)
    half = student(count - 1) * _deviation(values) * math.sqrt(max(0.0, 1 - count / total) / count)
    return _interval(mean * total, half * total)


def by_ratio(values: Sequence[float], sizes: Sequence[float], wanted: float) -> Interval:
    """The sum of values where the sum of `sizes` is `wanted` (Cochran, chapter 6). Raises ZeroToOneError."""
    if not sum(sizes):
        raise ZeroToOneError("no estimate: the pilot kept no row")
    ratio, count = sum(values) / sum(sizes), len(values)
    residuals = [value - ratio * size for value, size in zip(values, sizes, strict=True)]
    half = student(count - 1) * _deviation(residuals) / math.sqrt(count) / fmean(sizes)
    return _interval(ratio * wanted, half * wanted)


def _interval(value: float, half: float) -> Interval:
    return Interval(value, max(0.0, value - half), value + half)


def _deviation(values: Sequence[float]) -> float:
    """The sample's standard deviation; of a single value its size, for want of anything better."""
    if len(values) < 2:
        return abs(values[0])
    mean = fmean(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))


def student(degrees: int, confidence: float = CONFIDENCE) -> float:
    """The two-sided quantile of Student's t (Abramowitz and Stegun, 26.7.5), of one degree at least three."""
    z, n = NormalDist().inv_cdf((1 + confidence) / 2), max(3, degrees)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / n ** (power + 1) for power, term in enumerate(terms))


def _seconds(requests: float, tokens: float, endpoint: Endpoint, tally: Tally) -> float | None:
    """The time of the run: by the pilot's time of a request and the concurrency, and not below the limits."""
    if not tally.requests_sent or endpoint.batch:
        return None
    by_latency = requests * tally.seconds_waited / tally.requests_sent / endpoint.concurrency
    by_rate = 60 * requests / endpoint.requests_per_minute if endpoint.requests_per_minute else 0.0
    by_tokens = 60 * tokens / endpoint.tokens_per_minute if endpoint.tokens_per_minute else 0.0
    return max(by_latency, by_rate, by_tokens)


def _within(tokens: Interval, cost: Interval | None, endpoint: Endpoint) -> bool | None:
    limit = endpoint.budget
    if limit is None:
        return None
    needed = tokens if limit.unit == TOKENS else cost
    return needed is not None and Decimal(needed.high) <= limit.amount


def print_estimate(title: str, estimate: Estimate, *, as_json: bool) -> None:
    """Print an estimate as a table, or as one JSON object."""
    if as_json:
        print_summary(title, asdict(estimate), as_json=True)
        return
    rows: dict[str, Any] = {"pilot": f"{estimate.pilot_units:,} units"}
    for name in ("requests", "tokens", "kept"):
        one: Interval = getattr(estimate, name)
        rows[name] = f"{one.value:,.0f} ({one.low:,.0f} to {one.high:,.0f})"
    if estimate.cost:
        shown = [money(Decimal(value), estimate.currency) for value in asdict(estimate.cost).values()]
        rows["cost"] = f"{shown[0]} ({shown[1]} to {shown[2]})"
    rows["time"] = "not measured" if estimate.seconds is None else f"{estimate.seconds:,.0f} s"
    rows["paid for the pilot"] = f"{estimate.spent_tokens:,} tokens" + (
        f", {money(Decimal(estimate.spent), estimate.currency)}" if estimate.spent is not None else ""
    )
    if estimate.within_budget is not None:
        rows["within the budget"] = estimate.within_budget
    print_summary(f"{title}: estimate (90 % intervals), nothing written", rows, as_json=False)
