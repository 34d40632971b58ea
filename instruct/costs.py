"""What a run has sent and received, and what its rows have cost, by stage and by kept row."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from instruct.cache import StoredReply
from instruct.completions import UNPAID, Reply
from instruct.prices import Price


@dataclass
class Tally:
    """What a run has sent and received.

    `cost` is in the price's currency, without a price it stays 0; `seconds_waited` is the time from sending to
    reply, over all requests; `waiting` says what the run waits for.
    """

    requests_sent: int = 0
    retries: int = 0
    from_cache: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    failed: int = 0
    cached_tokens: int = 0
    seconds_waited: float = 0.0
    cost: Decimal = Decimal(0)
    price: Price | None = None
    waiting: str = ""

    def add(self, stored: StoredReply, price: Price | None) -> None:
        """Count a reply that was paid at a price."""
        prompt, completion = stored.prompt_tokens or 0, stored.completion_tokens or 0
        self.prompt_tokens += prompt
        self.completion_tokens += completion
        self.cached_tokens += stored.cached_tokens
        if price:
            self.cost += price.cost(prompt, completion, stored.cached_tokens)

    def text(self) -> str:
        """A line for the progress display."""
        parts = [f"{self.requests_sent:,} requests", f"{self.from_cache:,} cached"]
        if self.retries:
            parts.append(f"{self.retries:,} retries")
        parts.append(f"{self.prompt_tokens + self.completion_tokens:,} tokens")
        if self.price:
            parts.append(money(self.cost, self.price.currency))
        return ", ".join([*parts, self.waiting] if self.waiting else parts)


@dataclass
class Usage:
    """Requests and tokens that rows rest on, whether paid in this run or an earlier one, in all and by stage.

    A request that several rows share counts once. `prices` has those of stages that another model did; then all is
    added by stage.
    """

    requests: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    stages: dict[str, Usage] = field(default_factory=dict)
    prices: dict[str, Price] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set, repr=False, compare=False)

    def add(self, reply: Reply, stage: str = "") -> None:
        """Count a reply of a stage."""
        if reply.reason not in UNPAID:
            if reply.key in self._seen:
                return
            self._seen.add(reply.key)
        self._count(reply)
        if stage:
            self.stages.setdefault(stage, Usage())._count(reply)

    def _count(self, reply: Reply) -> None:
        self.requests += 1
        self.failed += reply.reason in UNPAID
        self.prompt_tokens += reply.prompt_tokens
        self.completion_tokens += reply.completion_tokens
        self.cached_tokens += reply.cached_tokens

    @property
    def tokens(self) -> int:
        """Tokens of prompts and replies."""
        return self.prompt_tokens + self.completion_tokens

    def cost(self, price: Price) -> Decimal:
        """What its tokens cost by a price, and stages with one of their own by that."""
        if self.prices:
            costs_by_stage = (stage.cost(self.prices.get(name, price)) for name, stage in self.stages.items())
            return sum(costs_by_stage, Decimal(0))
        return price.cost(self.prompt_tokens, self.completion_tokens, self.cached_tokens)

    def numbers(self) -> dict[str, int]:
        """The counts for a manifest, without the stages."""
        names = ("requests", "failed", "prompt_tokens", "completion_tokens", "cached_tokens")
        return {name: getattr(self, name) for name in names}


def costs(usage: Usage, kept: int, price: Price | None) -> dict[str, Any]:
    """What the rows of a run cost, for its manifest and summary: in all, and by stage for each *kept* row.

    What a removed row cost is part of the price of the kept ones. Without a price there are only tokens.
    """
    found: dict[str, Any] = {"kept": kept, **_line(usage, kept, price)}
    if price:
        found["currency"] = price.currency
    found["stages"] = {
        name: {"requests": stage.requests, **_line(stage, kept, usage.prices.get(name, price))}
        for name, stage in usage.stages.items()
    }
    return found


def _line(usage: Usage, kept: int, price: Price | None) -> dict[str, Any]:
    line: dict[str, Any] = {"tokens": usage.tokens}
    if kept:
        line["tokens_per_kept_row"] = round(usage.tokens / kept, 1)
    if price:
        cost = usage.cost(price)
        line["cost"] = float(cost)
        if kept:
            line["cost_per_kept_row"] = float(cost / kept)
    return line


def summary_rows(found: dict[str, Any]) -> dict[str, object]:
    """Lines of `costs` for a summary table."""
    rows: dict[str, object] = {"tokens_per_kept_row": found.get("tokens_per_kept_row")}
    currency = found.get("currency")
    if currency:
        rows["cost"] = money(Decimal(str(found["cost"])), currency)
        rows["cost_per_kept_row"] = _money_of(found, currency)
    if len(found["stages"]) > 1:
        shown = {name: _money_of(stage, currency) for name, stage in found["stages"].items()}
        rows["kept_row_by_stage"] = shown
    return {name: value for name, value in rows.items() if value is not None}


def _money_of(line: dict[str, Any], currency: str | None) -> str:
    if "tokens_per_kept_row" not in line:
        return "no kept row"
    if currency:
        return money(Decimal(str(line["cost_per_kept_row"])), currency)
    return f"{line['tokens_per_kept_row']:,} tokens"


def money(amount: Decimal, currency: str) -> str:
    """An amount for people: two places, more where it is small."""
    if amount >= 1 or not amount:
        return f"{amount:,.2f} {currency}"
    return f"{float(amount):.3g} {currency}" if amount >= Decimal("0.0001") else f"{amount:.7f} {currency}"
