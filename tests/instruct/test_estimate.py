"""Estimates: the formulas against worked examples and simulation, and a pilot against the true cost of a run."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.core.errors import ZeroToOneError
from instruct.budget import read_limit
from instruct.client import Endpoint, Tally
from instruct.costs import Usage
from instruct.estimate import Unit, by_ratio, by_units, extrapolate, pilot_by_count, pilot_places, student
from tests.instruct.chat_server import chat_server, digest, words
from tests.programs import call


@given(st.lists(st.integers(0, 50), min_size=1, max_size=300), st.integers(1, 40))
def test_a_pilot_is_spread_over_the_sizes(sizes: list[int], count: int) -> None:
    places = pilot_places(sizes, count)
    assert len(set(places)) == len(places) == min(count, len(sizes))
    chosen, every = sorted(sizes[place] for place in places), sorted(sizes)
    for number, size in enumerate(chosen):  # one from each of `count` equal parts of the ordered sizes
        part = every[int(number * len(sizes) / len(chosen)) : int((number + 1) * len(sizes) / len(chosen)) + 1]
        assert part[0] <= size <= part[-1]


def test_student() -> None:
    # Two-sided 90 % quantiles from the printed tables.
    for degrees, quantile in ((3, 2.353), (5, 2.015), (9, 1.833), (19, 1.729), (60, 1.671), (10_000, 1.645)):
        assert student(degrees) == pytest.approx(quantile, abs=0.02 if degrees < 5 else 0.002)


def test_a_sum_over_units() -> None:
    # Mean 3, deviation 1.5811, t(4) = 2.132; 100 units: 300 ± 2.132 · 1.5811 · √((1 − 5/100)/5) · 100
    found = by_units([1, 2, 3, 4, 5], 100)
    assert found.value == 300
    assert found.high - found.value == pytest.approx(146.9, rel=0.01)
    assert found.low == pytest.approx(153.1, rel=0.01)
    whole = by_units([1, 2, 3, 4, 5], 5)
    assert whole.low == whole.value == whole.high == 15


def test_a_sum_until_enough_rows_are_kept() -> None:
    found = by_ratio([10, 20, 30], [1, 2, 3], 60)  # ten for each row, without exception
    assert (found.low, found.value, found.high) == (600, 600, 600)
    with pytest.raises(ZeroToOneError, match="kept no row"):
        by_ratio([10], [0], 5)


@pytest.mark.parametrize("by", ["units", "ratio"])
def test_intervals_hold_the_truth_nine_times_in_ten(by: str) -> None:
    draw = random.Random(3)
    kept = [draw.randint(0, 4) for _ in range(400)]
    tokens = [50 + 100 * row + draw.expovariate(1 / 60) for row in kept]
    held = 0
    for _ in range(1000):
        sample = draw.sample(range(400), 20)
        values = [tokens[place] for place in sample]
        if by == "units":
            found, truth = by_units(values, 400), sum(tokens)
        else:
            found, truth = by_ratio(values, [kept[place] for place in sample], sum(kept)), sum(tokens)
        held += found.low <= truth <= found.high
    assert 860 <= held <= 940


def unit(tokens: int, kept: int = 1) -> Unit:
    return Unit(Usage(requests=2, prompt_tokens=tokens), kept)


def test_time_follows_latency_and_limits() -> None:
    tally = Tally(requests_sent=4, seconds_waited=8.0)
    units = [unit(100), unit(100)]
    free = Endpoint("http://h/v1", "m", concurrency=10)
    assert extrapolate(units, free, tally, total=100).seconds == 200 * 2.0 / 10
    slow = Endpoint("http://h/v1", "m", concurrency=10, requests_per_minute=50)
    assert extrapolate(units, slow, tally, total=100).seconds == 240
    few = Endpoint("http://h/v1", "m", concurrency=10, tokens_per_minute=1000)
    assert extrapolate(units, few, tally, total=100).seconds == 600
    assert extrapolate(units, free, Tally(), total=100).seconds is None


def test_whether_the_budget_suffices() -> None:
    units = [unit(100), unit(100)]
    for budget, enough in ((9_999, False), (10_000, True)):
        endpoint = Endpoint("http://h/v1", "m", budget=read_limit(f"{budget}tokens"))
        assert extrapolate(units, endpoint, Tally(), total=100).within_budget is enough


def test_from_a_small_run_of_a_verb_that_counts_kept_rows(tmp_path: Path) -> None:
    usage = {"requests": 10, "failed": 0, "prompt_tokens": 900, "completion_tokens": 100, "cached_tokens": 0}
    asked: list[int] = []

    def run(count: int, _: Path) -> tuple[dict[str, Any], Tally]:
        asked.append(count)
        return {"usage": usage, "counts": {"rows_kept": 20}}, Tally(requests_sent=10, seconds_waited=5.0)

    found = pilot_by_count(run, Endpoint("http://h/v1", "m", concurrency=5), 400)
    assert asked == [40]
    assert (found.requests.value, found.tokens.value) == (200, 20_000)
    assert found.tokens.low == pytest.approx(20_000 * (1 - 1.729 / 20**0.5), rel=0.001)
    assert found.seconds == 200 * 0.5 / 5


PRICES = "models: {m: {input: 2, output: 8}}"


def reply(messages: list[dict[str, str]]) -> str:
    """A model whose replies differ in length as the questions do, and which some rows fail with."""
    prompt = messages[-1]["content"]
    if "Equal or Different" in prompt:
        return "Equal" if digest(prompt) % 4 == 0 else "Different"
    if "Task:\n" in prompt:
        return f"{prompt.rpartition('Task:')[2].strip()} {words(prompt, 5 + digest(prompt) % 30)}"
    return f"The answer is {words(prompt, 20 + digest(prompt) % 200)}."


def test_an_estimate_and_the_true_cost_differ_by_less_than_a_fifth(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    rows = [
        {"id": str(number), "instruction": words(f"task {number}", 4 + digest(str(number)) % 60), "output": "x"}
        for number in range(150)
    ]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    prices = tmp_path / "prices.yaml"
    prices.write_text(PRICES)
    with chat_server(reply=reply) as server:
        options = [
            "--model",
            "m",
            "--base-url",
            server.url,
            "--cache",
            tmp_path / "c",
            "--prices",
            prices,
            "--json",
        ]
        command = ["instruct", "evolve", source, "-o", tmp_path / "out", "--rounds", 2, *options]
        estimated = call(*command, "--estimate", "--budget", "100USD")
        assert estimated.status == 0, estimated.err
        estimate = json.loads(estimated.out)
        pilot_tokens, pilot_requests = server.tokens, server.requests()
        assert not (tmp_path / "out").exists()
        assert estimate["within_budget"] is True
        assert estimate["spent_tokens"] == pilot_tokens > 0
        again = json.loads(call(*command, "--estimate").out)
        assert server.requests() == pilot_requests  # the pilot came from the cache
        assert again["tokens"] == estimate["tokens"]
        assert again["seconds"] is None
        ran = call(*command)
        assert ran.status == 0, ran.err
        summary = json.loads(ran.out)
        assert summary["requests_sent"] == server.requests() - pilot_requests
        true = server.tokens
    assert estimate["tokens"]["value"] == pytest.approx(true, rel=0.2)
    cost = json.loads((tmp_path / "out" / "manifest.json").read_text())["costs"]["cost"]
    assert estimate["cost"]["value"] == pytest.approx(cost, rel=0.2)
    assert estimate["kept"]["value"] == pytest.approx(summary["rows_kept"], rel=0.2)
    assert estimate["requests"]["value"] == pytest.approx(server.requests(), rel=0.2)
    assert set(summary["kept_row_by_stage"]) == {"evolve", "judge", "answer"}


def test_an_estimate_of_generate(tmp_path: Path) -> None:
    with chat_server() as server:
        options = ["--model", "m", "--base-url", server.url, "--cache", tmp_path / "c", "--json"]
        outcome = call("instruct", "generate", "--count", 300, "-o", tmp_path / "out", *options, "--estimate")
        assert outcome.status == 0, outcome.err
        estimate = json.loads(outcome.out)
        assert estimate["kept"]["value"] == 300
        assert 0 < estimate["spent_tokens"] == server.tokens < estimate["tokens"]["value"]
    assert not (tmp_path / "out").exists()


def test_a_pilot_that_the_budget_does_not_allow(tmp_path: Path) -> None:
    with chat_server() as server:
        options = ["--model", "m", "--base-url", server.url, "--cache", tmp_path / "c", "--budget", "10tokens"]
        outcome = call("instruct", "evolve", "builtin", "-o", tmp_path / "out", *options, "--estimate")
        assert outcome.status == 1
        assert "no estimate" in outcome.message
        assert server.requests() == 0
