"""Bad endpoints, options, prices and caches on the command line: one line, the right status, no traceback."""

import json
import shutil
import socket
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

from instruct.cache import RequestCache
from tests.instruct.chat_server import KEY, chat_server, words
from tests.programs import Outcome, call


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    path = tmp_path / "in.jsonl"
    rows = [{"id": str(number), "instruction": words(f"task {number}", 6), "output": "x"} for number in range(6)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def evolve(source: Path, url: str, *more: object, cache: Path | None = None) -> Outcome:
    out, cache = source.parent / "out", cache or source.parent / "cache"
    asked = ["--model", "m", "--base-url", url, "--rounds", 1, "--cache", cache]
    return call("instruct", "evolve", source, "-o", out, *asked, *more)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"status": 401}, "refuses the key (status 401); check OPENAI_API_KEY"),
        ({"status": 404, "message": "no model m"}, "no model m"),
        ({"status": 402}, "quota is used up"),
        ({"status": 400, "message": f"bad temperature\nfor {KEY}"}, "bad temperature for ***"),
    ],
)
def test_an_endpoint_that_refuses_all(source: Path, fault: dict[str, Any], message: str) -> None:
    with chat_server(fault=lambda *_: fault) as server:
        outcome = evolve(source, server.url)
        assert outcome.status == 1
        assert message in outcome.message
        assert outcome.message.startswith(server.url)
        assert KEY not in outcome.out + outcome.err
        assert server.requests() <= 6  # no retries


def test_an_endpoint_that_is_down(source: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        outcome = evolve(source, f"http://127.0.0.1:{free.getsockname()[1]}/v1")
    assert outcome.status == 1
    assert "is the endpoint running?" in outcome.message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--budget", "plenty"], "--budget `plenty`"),
        (["--budget", "5USD"], "needs the model's price"),
        (["--requests-per-minute", "0"], "--requests-per-minute must be at least 1"),
        (["--tokens-per-minute", "0"], "--tokens-per-minute must be at least 1"),
        (["--concurrency", "0"], "--concurrency must be at least 1"),
    ],
)
def test_wrong_options(source: Path, options: list[str], message: str) -> None:
    outcome = evolve(source, "http://127.0.0.1:9/v1", *options)
    assert outcome.status == 2
    assert message in outcome.message


def test_prices_that_cannot_be_read(source: Path) -> None:
    prices = source.parent / "prices.yaml"
    url = "http://127.0.0.1:9/v1"
    assert "no such file" in evolve(source, url, "--prices", prices).message
    prices.write_text("models: {other: {input: 1, output: 2}}")
    wrong = evolve(source, url, "--prices", prices)
    assert wrong.status == 2
    assert "no price of `m`; there are other" in wrong.message
    prices.write_text("models: {m: {input: 1, output: much}}")
    assert f"{prices}: models.m.output: not a number" in evolve(source, url, "--prices", prices).message
    prices.write_text("models: {m: {input: 1, output: 2}}")
    assert "in USD" in evolve(source, url, "--prices", prices, "--budget", "5EUR").message


def test_a_cache_of_another_version(source: Path) -> None:
    cache = source.parent / "cache"
    RequestCache(cache).close()
    with sqlite3.connect(cache) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    outcome = evolve(source, "http://127.0.0.1:9/v1")
    assert outcome.status == 1
    assert f"{cache}: a cache of another version" in outcome.message


def test_a_disk_that_fills_up_in_the_middle(source: Path) -> None:
    place = source.parent / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a file system here")
    try:
        long = {"content": "word " * 4000}
        with chat_server(fault=lambda prompt, _: None if "Equal or" in prompt else long) as server:
            options = ["--max-tokens", 9000]
            outcome = evolve(source, server.url, *options, cache=place / "cache")
            assert outcome.status == 1
            assert f"{place / 'cache'}: disk full" in outcome.message
            done = set(server.attempts)
            subprocess.run(["mount", "-o", "remount,size=50m", str(place)], check=True)
            server.attempts.clear()
            again = evolve(source, server.url, *options, cache=place / "cache")
            assert again.status == 0, again.err
            assert len(done & set(server.attempts)) < len(done)  # what was stored is not asked again
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_replies_that_are_no_results_are_reasons(source: Path) -> None:
    faults = ({"content": ""}, {"refusal": "no"}, {"finish_reason": "length"})
    for fault, reason in zip(faults, ("empty_reply", "refused", "cut_by_length"), strict=True):
        with chat_server(fault=lambda *_, fault=fault: fault) as server:
            outcome = evolve(source, server.url, "--json", "--overwrite", cache=source.parent / reason)
            assert outcome.status == 0, outcome.err
            assert json.loads(outcome.out)["reasons"] == {f"evolve_{reason}": 6}


def test_by_the_batch_api(source: Path) -> None:
    prices = source.parent / "prices.yaml"
    prices.write_text("models: {m: {input: 2, output: 8, batch: 0.5}}")
    with chat_server() as server:
        outcome = evolve(source, server.url, "--batch", "--json", "--prices", prices, "--timeout", "30")
        assert outcome.status == 0, outcome.err
        assert len(server.batches.made) == 3  # evolutions, verdicts, answers
    manifest = json.loads((source.parent / "out" / "manifest.json").read_text())
    usage = manifest["usage"]
    millionths = usage["prompt_tokens"] + 4 * usage["completion_tokens"]  # half of the prices
    assert manifest["costs"]["cost"] == pytest.approx(millionths / 1e6)
