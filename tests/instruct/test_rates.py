"""Limits per minute and the circuit breaker."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instruct import circuit, retries
from instruct.circuit import CircuitBreaker
from instruct.rates import MINUTE, RateLimits, Window, request_window
from instruct.retries import Action, Failure


def most_within(times: list[tuple[float, int]], seconds: float) -> int:
    """The largest sum within any so many seconds, by brute force."""
    return max(sum(amount for time, amount in times if start <= time < start + seconds) for start, _ in times)


@given(st.integers(1, 2000), st.lists(st.floats(0, 3), min_size=1, max_size=400))
def test_no_minute_has_more_requests_than_allowed(per_minute: int, gaps: list[float]) -> None:
    window, now, sent = request_window(per_minute), 0.0, []
    for gap in gaps:
        now += gap
        now += window.wait(1, now)
        window.take(1, now)
        sent.append((now, 1))
    # A window begins an instant later, so that rounding of sums of times does not decide.
    assert most_within(sent, MINUTE - 1e-6) <= per_minute


def test_the_rate_of_requests_is_used() -> None:
    for per_minute in (1, 7, 60, 500, 3000):
        window, now = request_window(per_minute), 0.0
        for _ in range(2 * per_minute):
            now += window.wait(1, now)
            window.take(1, now)
        assert now <= 2 * MINUTE * 1.02


@given(st.integers(1, 1000), st.lists(st.tuples(st.integers(1, 1500), st.floats(0, 1)), min_size=1, max_size=60))
def test_no_minute_has_more_tokens_than_allowed(capacity: int, asked: list[tuple[int, float]]) -> None:
    window, now, used = Window(capacity, MINUTE), 0.0, []
    for most, share in asked:
        now += window.wait(most, now)
        entry = window.take(most, now)
        true = int(share * entry.amount)  # never more than was reserved
        window.settle(entry, true)
        used.append((now, true))
    assert most_within(used, MINUTE - 1e-6) <= capacity


def test_tokens_that_were_not_used_are_given_back() -> None:
    window = Window(100, MINUTE)
    entry = window.take(90, 0.0)
    assert window.wait(20, 1.0) == 59.0
    window.settle(entry, 10)
    assert window.wait(20, 1.0) == 0.0
    window.take(90, 1.0)
    assert window.wait(1, 2.0) == 58.0  # the first entry leaves
    assert window.wait(50, 2.0) == 59.0
    assert Window(5, MINUTE).wait(50, 0.0) == 0.0  # too large for any minute: alone


def test_a_pause_holds_all_back_and_settling_wakes_the_next() -> None:
    async def run() -> list[str]:
        events: list[str] = []
        limits = RateLimits(None, 100)
        first = await limits.enter(90)

        async def second() -> None:
            await limits.enter(50)
            events.append("second")

        waiting = asyncio.create_task(second())
        await asyncio.sleep(0.05)
        events.append("settle")
        limits.settle(first, 10)
        await waiting
        limits.pause(0.1)
        started = asyncio.get_running_loop().time()
        await limits.enter(1)
        assert asyncio.get_running_loop().time() - started >= 0.09
        return events

    assert asyncio.run(run()) == ["settle", "second"]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0.0),
        ({"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "60s"}, 0.0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1.5s"}, 1.5),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}, 360.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "20ms"}, 0.02),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "soon"}, 0.0),
        ({"x-ratelimit-remaining-tokens": "0"}, 0.0),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "9d"}, 3600.0),
    ],
)
def test_headers_of_used_up_limits(headers: dict[str, str], seconds: float) -> None:
    assert retries.exhausted(headers) == pytest.approx(seconds)


def test_an_absurd_retry_after_is_bounded() -> None:
    assert retries.retry_after({"retry-after": "1e9"}, 0.0) == 3600.0
    assert retries.retry_after({"retry-after": "nan"}, 0.0) is None
    assert retries.retry_after({"retry-after": "inf"}, 0.0) is None
    assert retries.retry_after({"retry-after": "-5"}, 0.0) == 0.0


DOWN = Failure(Action.RETRY, "refused", answered=False)
FAULT = Failure(Action.RETRY, "status 500")


def run_breaker(script: Callable[[CircuitBreaker], Awaitable[None]]) -> None:
    async def run() -> None:
        await script(CircuitBreaker(0.001))

    asyncio.run(run())


def test_one_request_that_always_fails_opens_nothing() -> None:
    breaker = CircuitBreaker(0.001)
    for _ in range(50):
        breaker.failed("same", FAULT, probe=False)
    assert not breaker.open
    for number in range(circuit.REQUESTS):
        breaker.failed(str(number), FAULT, probe=False)
    assert breaker.open


def test_an_endpoint_that_comes_back_closes_the_circuit() -> None:
    async def script(breaker: CircuitBreaker) -> None:
        for _ in range(circuit.FAILURES):
            breaker.failed("a", DOWN, probe=False)
        at_once: list[int] = []
        inside = 0

        async def attempt(place: int) -> None:
            nonlocal inside
            async with breaker.passage() as probe:
                inside += 1
                at_once.append(inside)
                await asyncio.sleep(0)
                if place < 3:
                    assert probe
                    breaker.failed(str(place), DOWN, probe)
                else:
                    breaker.succeeded()
                inside -= 1

        await asyncio.gather(*(attempt(place) for place in range(8)))
        assert set(at_once) == {1}  # one at a time, in turn
        assert not breaker.open
        assert not breaker.given_up

    run_breaker(script)


def test_after_enough_probes_it_is_given_up() -> None:
    async def script(breaker: CircuitBreaker) -> None:
        for _ in range(circuit.FAILURES + 5):
            breaker.failed("a", DOWN, probe=False)  # on their way when it opened: no probes
        for number in range(circuit.PROBES):
            assert not breaker.given_up
            async with breaker.passage() as probe:
                breaker.failed(str(number), DOWN, probe)
        assert breaker.given_up

    run_breaker(script)
