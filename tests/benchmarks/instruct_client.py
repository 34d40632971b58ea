"""The client of `instruct`: requests a second, a rerun from the cache, and a run among faults that is killed.

    python -m tests.benchmarks.instruct_client [--requests N] [--rows N] [--evolutions N] [--write]

Requests a second: `ChatClient` with its cache against a server in a process of its own that answers at once.
Rerun: rows that are in the cache already, by `ask_all` and one by one by `ask`. Faults: `instruct evolve` against
a server of which 20 % of the attempts get 429 with Retry-After, 5 % get 500, 1 % stall and 2 % send half of their
JSON; killed by signal 9 at five moments and run again, and compared with a run that nothing disturbed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from instruct.cache import RequestCache, StoredReply, canonical_json, request_key
from instruct.client import ChatClient, Endpoint, Request, map_in_order
from instruct.completions import content_of
from tests.benchmarks.results import (
    Headline,
    at_least,
    at_most,
    leave_headlines,
    made_with,
    table,
    without_goal,
    write_section,
)
from tests.instruct.chat_server import ChatServer, answer, chat_server, digest, words

CONCURRENCY = 32
CHUNK = 10_000  # requests in one call of `ask_all`
SINGLE = 20_000  # rows that `ask` looks up one by one
KILLS = 5
STALL = 3.0  # seconds; the client waits one
BODY = json.dumps(
    {
        "choices": [{"index": 0, "message": {"content": words("reply", 40)}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 90, "completion_tokens": 40},
    }
).encode()
PROMPT = words("prompt", 60)
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)


class _AtOnce(asyncio.Protocol):
    """Answers every request with the same completion, as soon as all of it is there."""

    def connection_made(self, transport: Any) -> None:
        self.transport, self.received = transport, b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            head = self.received[:end].lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
            if len(self.received) < end + 4 + length:
                return
            self.received = self.received[end + 4 + length :]
            self.transport.write(HEAD + BODY)


def _serve(port: int) -> None:
    async def forever() -> None:
        server = await asyncio.get_running_loop().create_server(_AtOnce, "127.0.0.1", port)
        await server.serve_forever()

    asyncio.run(forever())


@contextmanager
def server_at_once() -> Iterator[str]:
    """The address of a server that answers at once, in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = multiprocessing.get_context("fork").Process(target=_serve, args=(port,), daemon=True)
    process.start()
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with socket.socket() as trial:
                if trial.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.join()


def request(number: int) -> Request:
    """A request of some length, a different one for each number."""
    return Request(({"role": "user", "content": f"{number}: {PROMPT}"},), 500)


def requests_per_second(count: int, folder: Path) -> float:
    """New requests, each sent, answered and stored."""

    async def run(url: str) -> float:
        with RequestCache(folder / "new.sqlite") as cache:
            async with ChatClient(Endpoint(url, "m", concurrency=CONCURRENCY), cache) as client:
                started = time.perf_counter()
                await map_in_order(client.ask, map(request, range(count)), CONCURRENCY)
                seconds = time.perf_counter() - started
                assert client.tally.requests_sent == len(cache) == count
        return count / seconds

    with server_at_once() as url:
        return asyncio.run(run(url))


class Rerun(NamedTuple):
    """Seconds for all rows together, microseconds for one of those asked one by one, and the file's size."""

    seconds: float
    microseconds_alone: float
    megabytes: float


def rerun_from_cache(rows: int, folder: Path) -> Rerun:
    """Ask for rows that are all in the cache; nothing listens at the endpoint's address."""
    endpoint = Endpoint("http://127.0.0.1:9/v1", "m", concurrency=CONCURRENCY)
    path = folder / "full.sqlite"
    reply = canonical_json(asdict(StoredReply(words("reply", 40), "stop", "", 90, 40)))
    with RequestCache(path) as cache, cache.transaction() as database:
        for number in range(rows):
            content = content_of(endpoint, request(number))
            row = (request_key(content), 500, canonical_json(content), reply)
            database.execute("INSERT INTO replies VALUES (?, ?, ?, ?)", row)

    async def run() -> tuple[float, float]:
        with RequestCache(path) as cache:
            async with ChatClient(endpoint, cache) as client:
                started = time.perf_counter()
                for start in range(0, rows, CHUNK):
                    some = [request(number) for number in range(start, min(rows, start + CHUNK))]
                    assert all(one.text for one in await client.ask_all(some))
                together = time.perf_counter() - started
                few = range(0, rows, max(1, rows // SINGLE))
                started = time.perf_counter()
                await map_in_order(client.ask, map(request, few), CONCURRENCY)
                alone = (time.perf_counter() - started) / len(few)
                assert client.tally.requests_sent == 0
                return together, alone * 1e6

    together, alone = asyncio.run(run())
    return Rerun(together, alone, path.stat().st_size / 1e6)


class Faulty(NamedTuple):
    """What a run among faults came to, over all its parts."""

    evolutions: int
    kept: int
    prompts: int
    attempts: int
    faults: int
    sent_again: int
    lost: int
    same_rows: bool
    seconds: float


def fault(prompt: str, attempt: int) -> dict[str, Any] | None:
    """20 % 429, 5 % 500, 1 % stalls, 2 % half of the JSON; by prompt and attempt."""
    draw = digest(f"{prompt}{attempt}") % 100
    if draw < 20:
        return {"status": 429, "headers": {"Retry-After": "1"}}
    if draw < 25:
        return {"status": 500}
    if draw < 26:
        return {"stall": STALL}
    return {"cut": "json"} if draw < 28 else None


def reply(messages: list[dict[str, str]]) -> str:
    """The test server's model, whose judge finds all different, so that no prompt comes twice."""
    return "Different" if "Equal or Different" in messages[-1]["content"] else answer(messages)


def evolve_command(source: Path, folder: Path, url: str, *more: str) -> list[str]:
    """`instruct evolve` for two rounds into a folder, with a cache of its own."""
    options = ["--model", "m", "--base-url", url, "--concurrency", "64", "--timeout", "1", "--json", *more]
    place = ["-o", str(folder / "out"), "--cache", str(folder / "cache")]
    return [sys.executable, "-m", "instruct.cli", "evolve", str(source), "--rounds", "2", *place, *options]


def run_to_end(command: Sequence[str]) -> None:
    """Run a command that must end well."""
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode:
        raise SystemExit(f"{command[3]}: exit status {ended.returncode}: {ended.stderr[-500:]}")


def among_faults(evolutions: int, folder: Path) -> Faulty:
    """A run killed at five moments and run again, beside one without faults."""
    source = folder / "in.jsonl"
    lines = [
        {"id": f"i{number}", "instruction": f"{words(f'task {number}', 8)} {number}", "output": "x", "lang": "en"}
        for number in range(evolutions // 2)
    ]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    started = time.perf_counter()
    with chat_server(fault=fault, reply=reply) as server:
        for part in range(1, KILLS + 1):
            _kill_at(evolve_command(source, folder / "faulty", server.url), server, part * 3 * evolutions // 6)
        cached = _cached(folder / "faulty" / "cache")
        before = len(server.completed)
        run_to_end(evolve_command(source, folder / "faulty", server.url))
        seconds = time.perf_counter() - started
        # Of what was sent by the last part, nothing was in the cache when it began.
        again = len(cached & set(server.completed[before:]))
        server_prompts, attempts = set(server.attempts), server.requests()
        faults = attempts - len(server.completed)
        server.fault = None
        run_to_end(evolve_command(source, folder / "calm", server.url))
    rows = [(folder / name / "out" / "conversations.jsonl").read_bytes() for name in ("faulty", "calm")]
    manifest = json.loads((folder / "faulty" / "out" / "manifest.json").read_text("utf-8"))
    counts = manifest["counts"]
    return Faulty(
        counts["evolutions"],
        counts["rows_kept"],
        len(server_prompts),
        attempts,
        faults,
        again,
        counts["evolutions"] - counts["rows_kept"] - counts["rows_removed"] + manifest["usage"]["failed"],
        rows[0] == rows[1],
        seconds,
    )


def _kill_at(command: Sequence[str], server: ChatServer, completed: int) -> None:
    """Run a command until the server has completed so many requests, then kill it."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while len(server.completed) < completed and process.poll() is None:
        time.sleep(0.01)
    if process.poll() is not None:
        raise SystemExit(f"ended by itself with {process.returncode}, before it was killed")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(STALL + 1)  # what the server had begun for the killed client


def _cached(path: Path) -> set[str]:
    """The prompts of the cached requests, in the server's words."""
    with RequestCache(path) as cache, cache.transaction() as database:
        contents = [json.loads(text) for (text,) in database.execute("SELECT request FROM replies")]
    return {
        json.dumps([content["model"], content["messages"], content["parameters"].get("temperature")])
        for content in contents
    }


def report(rate: float, rows: int, rerun: Rerun, faulty: Faulty, count: int) -> tuple[str, list[Headline]]:
    """The section and its headlines."""
    speed = [
        ["new requests a second, cache on", f"{rate:,.0f}", f"{count:,} requests, {CONCURRENCY} in flight"],
        [
            f"rerun of {rows:,} cached rows",
            f"{rerun.seconds:.1f} s",
            f"`ask_all`; a file of {rerun.megabytes:,.0f} MB",
        ],
        ["a cached row asked for alone", f"{rerun.microseconds_alone:.0f} µs", "`ask`, any of the rows"],
    ]
    among = [
        ["evolutions, kept and removed", f"{faulty.evolutions:,}, {faulty.kept:,} kept, {faulty.lost} lost"],
        ["different prompts", f"{faulty.prompts:,}"],
        ["attempts at the server", f"{faulty.attempts:,}, of them {faulty.faults:,} spoilt by a fault"],
        ["completed requests sent again after the last kill", f"{faulty.sent_again}"],
        ["rows equal to those of a run without faults", "yes" if faulty.same_rows else "**no**"],
        ["seconds, five kills and six starts included", f"{faulty.seconds:.0f}"],
    ]
    body = [
        made_with("python -m tests.benchmarks.instruct_client --write", ["openai", "httpx2"], {}),
        "A server in a process of its own answers at once; the client stores each reply in its cache.\n",
        table(["", "measured", ""], speed),
        f"\n`instruct evolve` of {faulty.evolutions // 2:,} instructions for two rounds against a server with "
        "faults (20 % 429 with Retry-After, 5 % 500, 1 % stalls, 2 % half a JSON body), killed by signal 9 at "
        "five moments:\n",
        table(["", "measured"], among),
    ]
    headlines = [
        at_least("client: new requests a second", rate, 300, "{:,.0f}"),
        at_most(f"client: seconds for {rows:,} cached rows", rerun.seconds, 60, "{:.0f}"),
        at_most("client: completed requests sent again after kill -9", faulty.sent_again, 0, "{:.0f}"),
        at_most("client: evolutions lost among faults", faulty.lost, 0, "{:.0f}"),
        without_goal("client: microseconds for a cached row alone", rerun.microseconds_alone, "{:.0f}"),
    ]
    return "\n".join(body), headlines


def main() -> None:
    """Measure, print, and with `--write` write the section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=6000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--evolutions", type=int, default=2000)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        rate = requests_per_second(options.requests, folder)
        print(f"{rate:,.0f} requests/s", file=sys.stderr, flush=True)
        rerun = rerun_from_cache(options.rows, folder)
        print(f"{options.rows:,} cached rows: {rerun}", file=sys.stderr, flush=True)
        faulty = among_faults(options.evolutions, folder)
    body, headlines = report(rate, options.rows, rerun, faulty, options.requests)
    print(body)
    if options.write:
        write_section("The client of instruct", body)
    leave_headlines("instruct-client", headlines)


if __name__ == "__main__":
    main()
