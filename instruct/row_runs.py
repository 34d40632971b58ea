"""Commands that ask a model about conversations, each row by itself (`answer`, `translate`).

One more row is only its own requests, and the order of the replies changes nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corpus.core.console import Progress, progress
from corpus.core.conversations import Conversation
from corpus.core.files import text_hash
from corpus.core.output import Manifest
from instruct.cache import RequestCache, canonical_json
from instruct.client import ChatClient, Endpoint, Reply, Tally, map_in_order
from instruct.convert import ConvertResult, read_rows, set_aside
from instruct.costs import Usage
from instruct.estimate import Estimate, Unit, pilot_places, run_pilot
from instruct.runs import Row, Run, RunResult, total_size


@dataclass(frozen=True)
class Source:
    """A row of the input and its place there."""

    place: str
    conversation: Conversation


@dataclass
class Outcome:
    """What became of a row: rows kept, rows removed (each with its `reason`), and the replies used, by stage."""

    kept: list[Conversation] = field(default_factory=list)
    removed: list[Row] = field(default_factory=list)
    replies: list[tuple[str, Reply]] = field(default_factory=list)


Work = Callable[[ChatClient, ChatClient, Source], Awaitable[Outcome]]


@dataclass(frozen=True)
class RowCommand:
    """A verb that asks about rows: `work` takes the clients of `endpoint` and `second`, and a row.

    `second_stage` is the stage that `second` does (another model, at its own price); without one it is the first.
    """

    name: str
    parameters: Mapping[str, Any]
    endpoint: Endpoint
    work: Work
    second: Endpoint | None = None
    second_stage: str = ""

    def usage(self) -> Usage:
        """A count of requests that knows the second model's price."""
        price = self.second.effective_price if self.second else None
        return Usage(prices={self.second_stage: price} if price else {})


def run_rows(
    command: RowCommand,
    inputs: Sequence[str],
    output: Path,
    *,
    cache_path: Path,
    overwrite: bool = False,
    strict: bool = False,
) -> tuple[Manifest, Tally | None]:
    """Do a command's work for the rows of files in any readable form, into a directory.

    Returns the manifest and what was sent; a finished directory is left as it is (then there is no tally).
    Raises ZeroToOneError for unreadable input, and EndpointError where no request can succeed.
    """
    read = ConvertResult()
    rows = _read(command, inputs, strict, read)
    endpoint = command.endpoint
    parameters = {**command.parameters, "model": endpoint.model, "base_url": endpoint.public_url}
    prints = [text_hash(canonical_json([[row.place, row.conversation] for row in rows]))]
    run = Run(f"instruct {command.name}", parameters, inputs, prints, total_size(inputs), output)
    earlier = run.finished(overwrite)
    if earlier is not None:
        return earlier, None
    with RequestCache(cache_path) as cache, progress(command.name, len(rows), "rows") as bar:
        outcomes, tally = asyncio.run(_work_all(command, rows, cache, bar))
    result = RunResult(usage=command.usage(), price=endpoint.effective_price, set_aside=read.set_aside)
    for outcome in outcomes:
        result.kept += outcome.kept
        result.removed += outcome.removed
        _count(result.usage, outcome)
    result.counts = {"rows_in": read.rows_in, "rows_set_aside": len(read.set_aside)}
    return run.write(result), tally


def estimate_rows(
    command: RowCommand, inputs: Sequence[str], *, cache_path: Path, strict: bool = False
) -> Estimate:
    """What `run_rows` would take, from a pilot of some rows; writes only the cache."""
    rows = _read(command, inputs, strict, ConvertResult())
    places = pilot_places([len(json.dumps(row.conversation["messages"])) for row in rows])

    async def work(client: ChatClient, row: Source) -> Unit:
        async with _second(command, client) as second:
            outcome = await command.work(client, second, row)
        usage = command.usage()
        _count(usage, outcome)
        return Unit(usage, len(outcome.kept))

    return run_pilot([rows[place] for place in places], work, command.endpoint, cache_path, total=len(rows))


def _read(command: RowCommand, inputs: Sequence[str], strict: bool, read: ConvertResult) -> list[Source]:
    rows: dict[str, Source] = {}
    for place, rounds, conversation in read_rows(inputs, None, strict, read):
        if conversation["id"] in rows:
            set_aside(read, place, "duplicate_id", str(conversation["id"]), rounds, strict)
        else:
            rows[conversation["id"]] = Source(place, conversation)
    if not rows:
        raise read.nothing_left(inputs, f"rows to {command.name}")
    return list(rows.values())


async def _work_all(
    command: RowCommand, rows: Sequence[Source], cache: RequestCache, bar: Progress
) -> tuple[list[Outcome], Tally]:
    async with ChatClient(command.endpoint, cache) as client, _second(command, client) as second:

        async def one(row: Source) -> Outcome:
            outcome = await command.work(client, second, row)
            bar.text = client.tally.text()
            bar.advance()
            return outcome

        return await map_in_order(one, rows, command.endpoint.concurrency), client.tally


@asynccontextmanager
async def _second(command: RowCommand, client: ChatClient) -> AsyncIterator[ChatClient]:
    if command.second is None:
        yield client
        return
    async with ChatClient(command.second, client.cache, beside=client) as second:
        yield second


def _count(usage: Usage, outcome: Outcome) -> None:
    for stage, reply in outcome.replies:
        usage.add(reply, stage)
