"""The client against a real server with faults."""

import asyncio
import logging
import socket
import time
from decimal import Decimal
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from corpus.core.errors import UsageError
from instruct import retries
from instruct.budget import Budget, read_limit
from instruct.cache import RequestCache
from instruct.client import ChatClient, Endpoint, EndpointError, Reply, Request, Tally, map_in_order
from instruct.prices import Price
from instruct.structured import response_format
from tests.instruct.chat_server import KEY, chat_server, digest


def ask_all(url: str, requests: list[Request], cache: Path, **options: Any) -> tuple[list[Reply], Tally]:
    endpoint = Endpoint(url, "m", **{"backoff": 0.01, "timeout": 5.0, "api_key": KEY, **options})

    async def run() -> tuple[list[Reply], Tally]:
        with RequestCache(cache) as opened:
            async with ChatClient(endpoint, opened) as client:
                replies = await map_in_order(client.ask, requests, endpoint.concurrency)
                return replies, client.tally

    return asyncio.run(run())


def question(text: str, max_tokens: int = 500, **options: Any) -> Request:
    return Request(({"role": "user", "content": text},), max_tokens, **options)


def questions(count: int) -> list[Request]:
    return [question(f"question {number}") for number in range(count)]


def test_requests_are_unique_prompts_and_retries_under_many_faults(tmp_path: Path) -> None:
    def fault(prompt: str, attempt: int) -> dict[str, Any] | None:
        if attempt > 1:
            return None
        return (
            {"status": 429, "headers": {"Retry-After": "0"}},
            {"status": 500},
            {"cut": "json"},
            {"cut": "socket"},
            {"content": "", "status": 503, "headers": {"Retry-After": "0"}},
            None,
        )[digest(f"{prompt}{attempt}") % 6]

    with chat_server(fault=fault, reply=lambda messages: messages[-1]["content"].upper()) as server:
        asked = questions(120)
        replies, tally = ask_all(server.url, asked + asked, tmp_path / "c")
        assert [reply.text for reply in replies] == [f"QUESTION {number}" for number in range(120)] * 2
        assert {reply.reason for reply in replies} == {""}
        assert len(server.completed) == len(set(server.completed)) == 120
        assert tally.retries > 100
        assert tally.requests_sent == server.requests() == 120 + tally.retries
        assert tally.from_cache == 120
        again, second = ask_all(server.url, asked + asked, tmp_path / "c")
        assert again == replies
        assert second.requests_sent == 0


def test_concurrency_is_limited_and_used(tmp_path: Path) -> None:
    with chat_server(delay=0.02) as server:
        ask_all(server.url, questions(60), tmp_path / "c", concurrency=7)
        assert server.most_in_flight == 7


def test_a_stalled_reply_is_asked_again(tmp_path: Path) -> None:
    with chat_server(fault=lambda _, attempt: {"stall": 2} if attempt == 0 else None) as server:
        replies, tally = ask_all(server.url, questions(5), tmp_path / "c", timeout=0.3)
        assert all(reply.text for reply in replies)
        assert tally.retries == 5


def test_retry_after_is_honoured(tmp_path: Path) -> None:
    with chat_server(
        fault=lambda _, attempt: {"status": 429, "headers": {"Retry-After": "1"}} if attempt == 0 else None
    ) as server:
        started = time.monotonic()
        replies, tally = ask_all(server.url, questions(4), tmp_path / "c")
        assert time.monotonic() - started >= 1.0
        assert tally.retries == 4
        assert not any(reply.reason for reply in replies)


def test_retry_after_as_number_and_date() -> None:
    assert retries.retry_after({"retry-after": "2.5"}, 0.0) == 2.5
    assert retries.retry_after({"retry-after": formatdate(1000, usegmt=True)}, 990.0) == 10.0
    assert retries.retry_after({"retry-after": formatdate(1000, usegmt=True)}, 2000.0) == 0.0
    assert retries.retry_after({"retry-after": "soon"}, 0.0) is None
    assert retries.retry_after({}, 0.0) is None


def test_delays_double_and_have_a_ceiling() -> None:
    for attempt in range(1, 12):
        most = min(30.0, 0.5 * 2 ** (attempt - 1))
        drawn = [retries.delay(attempt, 0.5, None) for _ in range(50)]
        assert most / 2 <= min(drawn) < max(drawn) <= most
    assert retries.delay(1, 0.5, 7.0) >= 7.0


def test_a_wrong_key_is_one_line_and_no_retry(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with chat_server(key="another") as server:
        with pytest.raises(EndpointError) as caught:
            ask_all(server.url, questions(1), tmp_path / "c")
        assert server.requests() == 1
    message = str(caught.value)
    assert "refuses the key (status 401); check OPENAI_API_KEY" in message
    assert "\n" not in message
    assert KEY not in message + caplog.text
    assert KEY not in repr(Endpoint("http://h/v1", "m", api_key=KEY))


def test_the_key_is_in_no_error_and_not_in_the_cache(tmp_path: Path) -> None:
    fault = {"status": 400, "message": f"bad request\nfrom {KEY}"}
    with chat_server(fault=lambda prompt, _: fault if "bad" in prompt else None) as server:
        url = server.url.replace("http://", f"http://user:{KEY}@")
        replies, _ = ask_all(url, [question("good"), question("bad")], tmp_path / "c")
    assert replies[0].reason == ""
    assert replies[1].reason == "request_rejected"
    assert replies[1].detail == "status 400: bad request from ***"
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"good" in content
    assert KEY.encode() not in content


def test_an_endpoint_that_is_down_is_given_up_soon(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        with pytest.raises(EndpointError, match=r"no answer after 4 attempts .* is the endpoint running\?"):
            ask_all(url, questions(50), tmp_path / "c")


def test_an_endpoint_that_fails_from_some_moment_on_is_given_up(tmp_path: Path) -> None:
    def fault(prompt: str, _: int) -> dict[str, Any] | None:
        return {"status": 500} if len(server.completed) >= 20 else None

    with chat_server(fault=fault) as server:
        with pytest.raises(EndpointError, match="attempts in a row failed, the last with status 500"):
            ask_all(server.url, questions(400), tmp_path / "c", concurrency=4, backoff=0.001)
        assert server.requests() < 20 + 4 + retries.ATTEMPTS * 12
        server.fault = None
        replies, tally = ask_all(server.url, questions(400), tmp_path / "c")
        assert not any(reply.reason for reply in replies)
        assert tally.from_cache >= 20
        assert len(server.completed) == 400


def test_one_failing_row_loses_no_other(tmp_path: Path) -> None:
    with chat_server(fault=lambda prompt, _: {"status": 500} if 'question 7"' in prompt else None) as server:
        replies, tally = ask_all(server.url, questions(20), tmp_path / "c", backoff=0.001)
        assert [place for place, reply in enumerate(replies) if reply.reason] == [7]
        assert replies[7].reason == "request_failed"
        assert replies[7].detail == "status 500: injected"
        assert server.requests() == 19 + retries.ATTEMPTS
        assert tally.failed == 1


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"content": "  \n"}, "empty_reply"),
        ({"refusal": "I cannot do that."}, "refused"),
        ({"finish_reason": "content_filter"}, "refused"),
        ({"finish_reason": "length"}, "cut_by_length"),
    ],
)
def test_replies_that_are_no_results(tmp_path: Path, fault: dict[str, Any], reason: str) -> None:
    with chat_server(fault=lambda *_: fault) as server:
        first, _ = ask_all(server.url, questions(1), tmp_path / "c")
        second, tally = ask_all(server.url, questions(1), tmp_path / "c")
    assert first == second
    assert first[0].reason == reason
    assert first[0].prompt_tokens > 0
    assert tally.requests_sent == 0  # it was answered, so it is not paid again


def test_thoughts_are_no_part_of_a_reply(tmp_path: Path) -> None:
    texts = iter(["<think>\nLet me see.\n</think>\n\nSeven, not <think>.", "<think>Only that.</think>\n"])
    with chat_server(fault=lambda *_: {"content": next(texts)}) as server:
        replies, _ = ask_all(server.url, questions(2), tmp_path / "c", concurrency=1)
    assert replies[0].text == "Seven, not <think>."
    assert replies[1].reason == "empty_reply"


def test_what_is_sent_decides_what_is_found(tmp_path: Path) -> None:
    system = {"role": "system", "content": "Be brief."}
    first = question("same")
    others = [
        Request((system, *first.messages), 500),
        question("same", parameters={"temperature": 0.5}),
        question("same", sample=1),
    ]
    with chat_server() as server:
        ask_all(server.url, [first], tmp_path / "c")
        for number, other in enumerate(others, 2):
            ask_all(server.url, [first, other], tmp_path / "c")
            assert server.requests() == number
        ask_all(server.url.replace("127.0.0.1", "localhost"), [first], tmp_path / "c")
        assert server.requests() == len(others) + 2


def test_a_higher_limit_asks_only_cut_replies_again(tmp_path: Path) -> None:
    with chat_server(reply=lambda messages: messages[-1]["content"]) as server:
        texts = ["one two three", "one two three four five six"]
        ask_all(server.url, [question(text, 4) for text in texts], tmp_path / "c")
        replies, tally = ask_all(server.url, [question(text, 8) for text in texts], tmp_path / "c")
    assert tally.requests_sent == 1
    assert [reply.text for reply in replies] == texts


def test_an_unknown_model_and_a_used_up_quota_stop_at_once(tmp_path: Path) -> None:
    for fault, message in (
        ({"status": 404, "message": "no model m"}, "knows no such model or address"),
        ({"status": 429, "code": "insufficient_quota"}, "quota is used up"),
    ):
        with chat_server(fault=lambda *_, fault=fault: fault) as server:
            with pytest.raises(EndpointError, match=message):
                ask_all(server.url, questions(1), tmp_path / "c")
            assert server.requests() == 1


def test_the_token_budget_is_never_passed(tmp_path: Path) -> None:
    with chat_server(delay=0.01) as server:
        replies, _ = ask_all(
            server.url, questions(300), tmp_path / "c", concurrency=64, budget=read_limit("5000tokens")
        )
        done = [reply for reply in replies if not reply.reason]
        assert {reply.reason for reply in replies} == {"", "budget_spent"}
        assert 4000 < server.tokens <= 5000
        assert server.tokens == sum(reply.prompt_tokens + reply.completion_tokens for reply in done)


def test_a_budget_in_money_is_never_passed(tmp_path: Path) -> None:
    price = Price("USD", Decimal("2.5"), Decimal(10), Decimal("1.25"))
    options: dict[str, Any] = {"concurrency": 300, "price": price, "budget": read_limit("0.2USD")}
    usage = {"prompt_tokens_details": {"cached_tokens": 2}}
    with chat_server(delay=0.3, fault=lambda *_: {"usage": usage}) as server:
        asked = [question(f"question {number}", 100) for number in range(900)]
        replies, tally = ask_all(server.url, asked, tmp_path / "c", **options)
        done = [reply for reply in replies if not reply.reason]
        assert {reply.reason for reply in replies} == {"", "budget_spent"}
        assert server.most_in_flight > 60
    costs = [price.cost(one.prompt_tokens, one.completion_tokens, one.cached_tokens) for one in done]
    paid = sum(costs, Decimal(0))
    assert tally.cached_tokens == 2 * len(done)
    assert Decimal("0.19") < paid == tally.cost <= Decimal("0.2")
    assert replies[-1].detail == f"{paid:,} USD are spent"


SCHEMA = response_format("answer", {"type": "object"})


def test_a_schema_is_sent_where_the_endpoint_can(tmp_path: Path) -> None:
    with chat_server() as server:
        asked = [question(f"question {number}", schema=SCHEMA) for number in range(3)]
        ask_all(server.url, asked, tmp_path / "c")
        assert [body["response_format"] for body in server.bodies] == [SCHEMA] * 3
        _, tally = ask_all(server.url, [*asked, question("question 0")], tmp_path / "c")
        assert tally.requests_sent == 1  # without a schema it is another request


def test_an_endpoint_without_schemas_is_asked_without(tmp_path: Path) -> None:
    def fault(prompt: str, _: int) -> dict[str, Any] | None:
        with_schema = "response_format" in server.bodies[-1]
        return {"status": 400, "message": "response_format json_schema is not supported"} if with_schema else None

    with chat_server(fault=fault) as server:
        asked = [question(f"question {number}", schema=SCHEMA) for number in range(30)]
        replies, _ = ask_all(server.url, asked, tmp_path / "c", concurrency=1)
        assert not any(reply.reason for reply in replies)
        assert server.requests() == 31  # refused once
        again, tally = ask_all(server.url, asked, tmp_path / "c")
        assert again == replies
        assert tally.requests_sent == 0


def test_many_cached_replies_are_found_together(tmp_path: Path) -> None:
    async def both(url: str) -> tuple[list[Reply], list[Reply], int]:
        endpoint = Endpoint(url, "m", concurrency=8)
        with RequestCache(tmp_path / "c") as cache:
            async with ChatClient(endpoint, cache) as client:
                asked = questions(1200)
                first = await client.ask_all(asked[::2])
                return first, await client.ask_all(asked + asked[:5]), client.tally.from_cache

    with chat_server() as server:
        first, every, found = asyncio.run(both(server.url))
        assert server.requests() == 1200
    assert every[:1200:2] == first
    assert every[1200:] == every[:5]
    assert len({reply.text for reply in every}) == 1200
    assert found == 600 + 5


def test_a_rate_of_requests_is_kept(tmp_path: Path) -> None:
    with chat_server() as server:
        started = time.monotonic()
        ask_all(server.url, questions(5), tmp_path / "c", requests_per_minute=240)
        assert time.monotonic() - started >= 4 / 6  # four at once, then the next second
        assert server.requests() == 5


def test_a_used_up_limit_pauses_all(tmp_path: Path) -> None:
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "400ms"}
    with chat_server(fault=lambda *_: {"headers": headers}) as server:
        started = time.monotonic()
        ask_all(server.url, questions(3), tmp_path / "c", concurrency=1)
        assert time.monotonic() - started >= 0.8
        assert server.requests() == 3


def test_an_endpoint_that_comes_back_is_waited_for(tmp_path: Path) -> None:
    failing = iter(range(20))  # ten attempts open the circuit; more are on their way, or probe

    def fault(_: str, __: int) -> dict[str, Any] | None:
        down = len(server.completed) >= 30 and next(failing, None) is not None
        return {"status": 503} if down else None

    with chat_server(fault=fault) as server:
        replies, tally = ask_all(server.url, questions(200), tmp_path / "c", concurrency=16)
        assert not any(reply.reason for reply in replies)
        assert server.requests() == 200 + tally.retries
        assert tally.retries == 20


def test_a_budget_counts_what_may_have_been_charged() -> None:
    async def run() -> None:
        budget = Budget(Decimal(100))
        assert await budget.reserve(Decimal(60))
        second = asyncio.create_task(budget.reserve(Decimal(60)))
        await asyncio.sleep(0.01)
        assert not second.done()  # the first may give some back
        await budget.settle(Decimal(60), Decimal(30))
        assert await second
        await budget.settle(Decimal(60), Decimal(60))
        assert budget.spent == 90
        assert not await budget.reserve(Decimal(11))
        assert await budget.reserve(Decimal(10))

    asyncio.run(run())


def test_wrong_settings_are_told() -> None:
    with pytest.raises(UsageError, match="not an http or https address"):
        Endpoint("localhost:8000", "m")
    with pytest.raises(UsageError, match="--concurrency"):
        Endpoint("http://h/v1", "m", concurrency=0)
    with pytest.raises(UsageError, match="--timeout"):
        Endpoint("http://h/v1", "m", timeout=0)
