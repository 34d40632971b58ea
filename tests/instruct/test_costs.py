"""Prices, budgets in money, costs by stage and kept row."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.core.errors import UsageError, ZeroToOneError
from instruct.budget import Limit, read_limit
from instruct.client import Endpoint, Reply
from instruct.costs import Usage, costs, money, summary_rows
from instruct.prices import Price, price_of, read_prices

PRICE = Price("USD", Decimal("2.5"), Decimal("10"), Decimal("1.25"), Decimal("0.5"))


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_prices_as_yaml_and_json(tmp_path: Path) -> None:
    yaml = written(
        tmp_path / "p.yaml",
        "currency: EUR\nmodels:\n  small: {input: 0.1, output: 0.4}\n"
        "  large: {input: 2.5, cached_input: 1.25, output: 10, batch: 0.5}\n",
    )
    json = written(tmp_path / "p.json", '{"models": {"m": {"input": 1, "output": 2e0}}}')
    assert read_prices(yaml)["small"] == Price("EUR", Decimal("0.1"), Decimal("0.4"), Decimal("0.1"))
    # 1,000 prompt tokens, 400 of them cached, and 200 of the reply: (600 × 2.5 + 400 × 1.25 + 200 × 10) / 1e6
    assert price_of(yaml, "large").cost(1000, 200, 400) == Decimal("0.004")
    assert price_of(yaml, "large").in_batch().cost(1000, 200, 400) == Decimal("0.002")
    assert price_of(json, "m").currency == "USD"
    with pytest.raises(UsageError, match="no price of `other`; there are small, large"):
        price_of(yaml, "other")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: [", "not valid YAML or JSON"),
        ("- a", "no `models`"),
        ("models: {}", "no `models`"),
        ("models: {m: 5}", "models.m: not a mapping"),
        ("models: {m: {input: 1}}", "models.m: no `output`"),
        ("models: {m: {input: 1, output: 2, outputs: 3}}", "unknown `outputs`"),
        ("models: {m: {input: cheap, output: 2}}", "models.m.input: not a number"),
        ("models: {m: {input: -1, output: 2}}", "models.m.input: must be 0 or more"),
        ("models: {m: {input: .nan, output: 2}}", "models.m.input: must be 0 or more"),
        ("models: {m: {input: true, output: 2}}", "models.m.input: not a number"),
        ("currency: dollars\nmodels: {m: {input: 1, output: 2}}", "currency: not three capital letters"),
    ],
)
def test_broken_prices_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path / "p.yaml", text)
    with pytest.raises(ZeroToOneError, match=message) as caught:
        read_prices(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_unreadable_files_of_prices(tmp_path: Path) -> None:
    with pytest.raises(ZeroToOneError, match="no such file"):
        read_prices(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes("models: é".encode("latin-1"))
    with pytest.raises(ZeroToOneError, match="not UTF-8"):
        read_prices(tmp_path / "latin.yaml")


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("5USD", Limit(Decimal(5), "USD")),
        ("2.50 eur", Limit(Decimal("2.50"), "EUR")),
        ("200000tokens", Limit(Decimal(200_000), "tokens")),
        (" 1,000,000 Tokens ", Limit(Decimal(1_000_000), "tokens")),
    ],
)
def test_limits(text: str, limit: Limit) -> None:
    assert read_limit(text) == limit


@pytest.mark.parametrize(
    "text", ["", "5", "USD", "-5USD", "0USD", "5 dollars", "1.5tokens", "0tokens", "5USDUSD", "1e3USD"]
)
def test_wrong_limits(text: str) -> None:
    with pytest.raises(UsageError, match="--budget"):
        read_limit(text)


def test_a_budget_in_money_needs_the_price_in_its_currency() -> None:
    with pytest.raises(UsageError, match="needs the model's price"):
        Endpoint("http://h/v1", "m", budget=read_limit("5USD"))
    with pytest.raises(UsageError, match="the price of m is in USD"):
        Endpoint("http://h/v1", "m", budget=read_limit("5EUR"), price=PRICE)
    endpoint = Endpoint("http://h/v1", "m", budget=read_limit("5USD"), price=PRICE, batch=True)
    assert endpoint.amount(1_000_000, 0) == Decimal("1.25")
    assert Endpoint("http://h/v1", "m", budget=read_limit("5tokens"), price=PRICE).amount(3, 4) == 7


def reply(key: str, prompt: int, completion: int, reason: str = "") -> Reply:
    return Reply(key, prompt_tokens=prompt, completion_tokens=completion, reason=reason)


def test_the_price_of_a_kept_row_by_stage() -> None:
    usage = Usage()
    usage.add(reply("a", 100_000, 10_000), "evolve")
    usage.add(reply("b", 300_000, 10_000), "evolve")  # of a row that was removed: part of the price
    usage.add(reply("c", 40_000, 0), "judge")
    usage.add(reply("c", 40_000, 0), "judge")  # shared by two rows, paid once
    usage.add(reply("d", 0, 0, "request_failed"), "judge")
    found = costs(usage, 2, PRICE)
    assert found["cost"] == pytest.approx(1.0 + 0.2 + 0.1)
    assert found["cost_per_kept_row"] == pytest.approx(0.65)
    assert found["stages"]["evolve"]["cost_per_kept_row"] == pytest.approx(0.6)
    assert found["stages"]["judge"] == {
        "requests": 2,
        "tokens": 40_000,
        "tokens_per_kept_row": 20_000,
        "cost": pytest.approx(0.1),
        "cost_per_kept_row": pytest.approx(0.05),
    }
    assert usage.numbers()["failed"] == 1
    rows = summary_rows(found)
    assert rows["cost"] == "1.30 USD"
    assert rows["kept_row_by_stage"] == {"evolve": "0.6 USD", "judge": "0.05 USD"}


def test_without_price_or_kept_row() -> None:
    usage = Usage()
    usage.add(reply("a", 10, 5), "evolve")
    usage.add(reply("b", 10, 5), "judge")
    assert "cost" not in costs(usage, 2, None)
    assert summary_rows(costs(usage, 2, None))["kept_row_by_stage"]["evolve"] == "7.5 tokens"  # type: ignore[index]
    assert summary_rows(costs(usage, 0, PRICE))["cost_per_kept_row"] == "no kept row"
    assert costs(Usage(), 0, None)["stages"] == {}


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), max_size=50))
def test_sums_of_costs_are_exact(tokens: list[tuple[int, int]]) -> None:
    one_by_one = sum((PRICE.cost(*pair) for pair in tokens), Decimal(0))
    assert one_by_one == PRICE.cost(sum(pair[0] for pair in tokens), sum(pair[1] for pair in tokens))


def test_amounts_for_people() -> None:
    shown = {"0": "0.00 USD", "1234.5": "1,234.50 USD", "0.0123": "0.0123 USD", "0.0000021": "0.0000021 USD"}
    assert {amount: money(Decimal(amount), "USD") for amount in shown} == shown
