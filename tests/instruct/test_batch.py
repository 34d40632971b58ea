"""Requests by the Batch API, against a real server with files and batches."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from instruct.batch import read_outcomes
from instruct.budget import read_limit
from instruct.cache import RequestCache, StoredReply
from instruct.client import ChatClient, Endpoint, EndpointError, Reply, Request, Tally, map_in_order
from instruct.retries import Failure
from tests.instruct.chat_server import KEY, chat_server


def questions(count: int) -> list[Request]:
    return [Request(({"role": "user", "content": f"question {number}"},), 500) for number in range(count)]


def ask_all(
    url: str, requests: list[Request], cache: Path, limit: float | None = None, **options: Any
) -> tuple[list[Reply], Tally]:
    given = {"backoff": 0.01, "api_key": KEY, "batch": True, "concurrency": 1000, **options}
    endpoint = Endpoint(url, "m", **given)

    async def run() -> tuple[list[Reply], Tally]:
        with RequestCache(cache) as opened:
            async with ChatClient(endpoint, opened) as client, asyncio.timeout(limit):
                return await map_in_order(client.ask, requests, endpoint.concurrency), client.tally

    return asyncio.run(run())


def test_requests_share_a_batch_and_replies_reach_the_cache(tmp_path: Path) -> None:
    with chat_server() as server:
        replies, tally = ask_all(server.url, questions(30), tmp_path / "c")
        assert len(server.batches.made) == 1
        assert server.statuses[200] > 4
        assert tally.requests_sent == server.requests() == len(server.completed) == 30
        direct, second = ask_all(server.url, questions(30), tmp_path / "c", batch=False)
        assert direct == replies
        assert second.requests_sent == 0
        assert len({reply.text for reply in replies}) == 30
        assert server.tokens == tally.prompt_tokens + tally.completion_tokens


@pytest.mark.parametrize("lost", [False, True], ids=["known", "made but its id not received"])
def test_a_batch_under_way_is_waited_for_and_not_made_again(tmp_path: Path, lost: bool) -> None:
    with chat_server() as server:
        server.batches.held, server.batches.lost = True, lost
        with pytest.raises(EndpointError if lost else TimeoutError):
            ask_all(server.url, questions(12), tmp_path / "c", limit=None if lost else 5.0)
        assert len(server.batches.made) == 1
        server.batches.held = server.batches.lost = False
        # Another run may want only some of them, and others besides.
        wanted = questions(15)[6:]
        replies, tally = ask_all(server.url, wanted, tmp_path / "c")
        assert not any(reply.reason for reply in replies)
        assert tally.requests_sent == 3
        assert [len(one["input_file_id"]) > 0 for one in server.batches.made.values()] == [True] * 2
        assert len(server.completed) == len(set(server.completed)) == 15
        _, third = ask_all(server.url, questions(15), tmp_path / "c", batch=False)
        assert third.requests_sent == 0  # the six that nobody wanted were kept, too


def test_a_batch_that_never_came_to_be_is_made_again(tmp_path: Path) -> None:
    with chat_server() as server:
        server.batches.lost = True
        with pytest.raises(EndpointError):
            ask_all(server.url, questions(3), tmp_path / "c")
        server.batches.made.clear()
        server.batches.lost = False
        replies, _ = ask_all(server.url, questions(3), tmp_path / "c")
        assert not any(reply.reason for reply in replies)


def test_what_failed_in_a_batch_goes_into_the_next(tmp_path: Path) -> None:
    def fault(prompt: str, attempt: int) -> dict[str, Any] | None:
        if 'question 1"' in prompt:
            return {"status": 400, "message": "too long"}
        return {"status": (429, 500)[attempt]} if attempt < 2 and 'question 2"' in prompt else None

    with chat_server(fault=fault) as server:
        replies, tally = ask_all(server.url, questions(4), tmp_path / "c")
        assert [reply.reason for reply in replies] == ["", "request_rejected", "", ""]
        assert replies[1].detail == "status 400: too long"
        assert tally.retries == 2
        assert len(server.batches.made) == 3
        assert server.requests() == 4 + 2


def test_an_expired_batch_keeps_what_was_done(tmp_path: Path) -> None:
    with chat_server() as server:
        server.batches.ends = "expired"
        replies, tally = ask_all(server.url, questions(8), tmp_path / "c")
        assert not any(reply.reason for reply in replies)
        assert len(server.completed) == len(set(server.completed)) == 8
        assert tally.retries == 4 + 2 + 1


def test_a_refused_batch_is_one_line(tmp_path: Path) -> None:
    with chat_server() as server:
        server.batches.ends = "failed"
        with pytest.raises(EndpointError, match="batch batch-0 failed: a line is not valid"):
            ask_all(server.url, questions(2), tmp_path / "c")
    with chat_server() as server:
        server.batches.supported = False
        with pytest.raises(EndpointError, match="--batch: the endpoint knows no such model or address"):
            ask_all(server.url, questions(2), tmp_path / "c")
    with chat_server(key="other") as server, pytest.raises(EndpointError, match="refuses the key") as caught:
        ask_all(server.url, questions(2), tmp_path / "c")
    assert KEY not in str(caught.value)


def test_the_budget_holds_in_batches(tmp_path: Path) -> None:
    with chat_server() as server:
        asked = [replace(question, max_tokens=40) for question in questions(60)]
        replies, _ = ask_all(server.url, asked, tmp_path / "c", budget=read_limit("2000 tokens"))
        assert {reply.reason for reply in replies} == {"", "budget_spent"}
        assert 1000 < server.tokens <= 2000
        assert len(server.batches.made) > 1


def test_lines_of_results_that_are_none_are_left_out() -> None:
    body = b'{"choices": [{"message": {"content": "a"}}]}'
    good = b'{"custom_id": "k-5", "response": {"status_code": 200, "body": ' + body + b"}}"
    names = [b'{"custom_id": 5}', b'{"custom_id": "k-x"}', b'{"custom_id": "k-6", "response": 5}']
    lines = [b"", b"{", b"[]", *names, good]
    found = read_outcomes(b"\n".join(lines), "")
    assert isinstance(found.pop(("k", 5)), StoredReply)
    assert all(isinstance(one, Failure) for one in found.values())
