"""New tasks from seed tasks, in rounds: several examples in a prompt, several new tasks in a reply.

The way is Alpaca's (one prompt, one instance a task), with Self-Instruct's mixture of human and machine
examples, filters and novelty. What a round asks depends on the seeds, the options and the rounds before it,
never on the order in which replies arrive, so that a rerun asks the same and finds it in the cache.
"""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from corpus.core.console import Progress, progress
from corpus.core.errors import UsageError
from corpus.core.files import text_hash
from corpus.core.output import Manifest
from instruct.cache import RequestCache, canonical_json
from instruct.client import BUDGET_SPENT, UNPAID, ChatClient, Endpoint, Reply, Request, Tally, map_in_order
from instruct.filters import task_fault
from instruct.forms import alpaca_messages
from instruct.novelty import THRESHOLD, RougeIndex
from instruct.prompt import load_prompts
from instruct.runs import Run, RunResult, refuse_if_strict, total_size
from instruct.seed_tasks import BUILTIN, SeedTask, read_seed_tasks
from instruct.tasks import Task, parse, render

EXAMPLES = 3  # in a prompt; one of them is machine-made as soon as there are some
TASKS_PER_REQUEST = 10
ROUND_REQUESTS = 64
_DRY_ROUNDS = 5  # with less than one new task in a hundred asked for, one after the other


@dataclass(frozen=True)
class GenerateOptions:
    """What changes the rows: language, their number, sampling, and the seed of the draws of examples."""

    language: str
    count: int
    temperature: float = 1.0
    max_tokens: int = 4096
    seed: int = 0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise UsageError("--count must be at least 1")
        if self.max_tokens < 1:
            raise UsageError("--max-tokens must be at least 1")


@dataclass(frozen=True)
class _Draw:
    """A request with the examples that stand in it."""

    request: Request
    examples: tuple[str, ...]


def generate(
    seeds: str,
    output: Path,
    endpoint: Endpoint,
    options: GenerateOptions,
    *,
    cache_path: Path,
    overwrite: bool = False,
    strict: bool = False,
) -> tuple[Manifest, Tally | None]:
    """Generate tasks from `seeds` (a JSONL file or `builtin`) into a directory.

    Returns the manifest and what was sent; a finished directory is left as it is (then there is no tally).
    Raises ZeroToOneError for unreadable seeds, and EndpointError where no request can succeed.
    """
    tasks, set_aside = read_seed_tasks(seeds, options.language)
    refuse_if_strict(set_aside, strict)
    parameters = {
        **asdict(options),
        "model": endpoint.model,
        "base_url": endpoint.public_url,
        "prompt_hash": load_prompts(options.language)["generate"].hash,
    }
    prints = [text_hash(canonical_json([asdict(task) for task in tasks]))]
    inputs = [] if seeds == BUILTIN else [seeds]
    run = Run("instruct generate", parameters, inputs, prints, total_size(inputs), output)
    earlier = run.finished(overwrite)
    if earlier is not None:
        return earlier, None
    with RequestCache(cache_path) as cache, progress("generate", options.count, "tasks") as bar:
        result, tally = asyncio.run(_generate(tasks, endpoint, cache, options, bar))
    result.set_aside = set_aside
    result.counts = {"seeds_in": len(tasks), "seeds_set_aside": len(set_aside), **result.counts}
    return run.write(result), tally


async def _generate(
    seeds: Sequence[SeedTask], endpoint: Endpoint, cache: RequestCache, options: GenerateOptions, bar: Progress
) -> tuple[RunResult, Tally]:
    async with ChatClient(endpoint, cache) as client:

        async def ask(draw: _Draw) -> Reply:
            reply = await client.ask(draw.request)
            bar.note(client.tally.text())
            return reply

        bootstrap = Bootstrap(seeds, options, endpoint.model)
        while not bootstrap.stopped:
            draws = bootstrap.draw()
            replies = await map_in_order(ask, draws, endpoint.concurrency)
            bar.advance(bootstrap.take(draws, replies))
        return bootstrap.result(), client.tally


class Bootstrap:
    """The pool of seeds and accepted tasks: draws the requests of a round, and takes their replies."""

    def __init__(self, seeds: Sequence[SeedTask], options: GenerateOptions, model: str) -> None:
        self.stopped = ""
        self._seeds = list(seeds)
        self._options = options
        self._model = model
        self._prompt = load_prompts(options.language)["generate"]
        self._machine: list[SeedTask] = []
        self._made = RunResult()
        self._round = self._dry = self._tasks = 0
        self._asked: Counter[str] = Counter()
        self._index = RougeIndex(options.language)
        for seed in seeds:
            self._index.add(seed.id, seed.task.instruction)

    def draw(self) -> list[_Draw]:
        """The requests of the next round."""
        missing = self._options.count - len(self._machine)
        size = min(ROUND_REQUESTS, math.ceil(missing / TASKS_PER_REQUEST))
        self._round += 1
        return [self._draw(place) for place in range(size)]

    def _draw(self, place: int) -> _Draw:
        draws = random.Random(f"{self._options.seed}:{self._round}:{place}")
        machine = draws.sample(self._machine, min(1, len(self._machine)))
        human = draws.sample(self._seeds, min(EXAMPLES - len(machine), len(self._seeds)))
        examples = [*human, *machine]
        draws.shuffle(examples)
        messages = self._prompt.messages(
            count=str(TASKS_PER_REQUEST),
            examples=render([example.task for example in examples], self._options.language),
        )
        text = canonical_json(messages)
        sample, self._asked[text] = self._asked[text], self._asked[text] + 1
        parameters = {"temperature": self._options.temperature}
        request = Request(messages, self._options.max_tokens, parameters, sample)
        return _Draw(request, tuple(example.id for example in examples))

    def take(self, draws: Sequence[_Draw], replies: Sequence[Reply]) -> int:
        """Filter the tasks of a round's replies, in the order of the requests; returns how many were kept."""
        before = len(self._machine)
        for draw, reply in zip(draws, replies, strict=True):
            self._take_reply(draw, reply)
        new = len(self._machine) - before
        self._dry = 0 if 100 * new >= len(draws) * TASKS_PER_REQUEST else self._dry + 1
        if len(self._machine) >= self._options.count:
            self.stopped = "count_reached"
        elif any(reply.reason == BUDGET_SPENT for reply in replies):
            self.stopped = BUDGET_SPENT
        elif self._dry >= _DRY_ROUNDS:
            self.stopped = "no_new_tasks"
        return new

    def _take_reply(self, draw: _Draw, reply: Reply) -> None:
        self._made.usage.add(reply)
        lineage = {
            "operation": "generate",
            "round": self._round,
            "prompt_hash": self._prompt.hash,
            "seeds": list(draw.examples),
            "model": self._model,
            "request_key": reply.key,
        }
        name = f"{self._options.language}-{reply.key[:16]}"
        tasks = [] if reply.reason in (*UNPAID, "refused") else parse(reply.text)
        if not tasks:
            reason = reply.reason or "no_tasks_in_reply"
            row = {"id": name, "reason": reason, "detail": reply.detail, "text": reply.text, "lineage": lineage}
            self._made.removed.append(row)
        for place, task in enumerate(tasks):
            cut = reply.reason == "cut_by_length" and place == len(tasks) - 1
            self._take_task(f"{name}-{place + 1:02d}", task, cut, lineage)

    def _take_task(self, name: str, task: Task, cut: bool, lineage: dict[str, Any]) -> None:
        self._tasks += 1
        reason, evidence = self._fault(task, cut)
        if reason:
            row = {"id": name, "reason": reason, **evidence, **asdict(task), "lineage": lineage}
            self._made.removed.append(row)
            return
        self._index.add(name, task.instruction)
        self._machine.append(SeedTask(name, task))
        messages, held = alpaca_messages(task.instruction, task.input, task.output)
        self._made.kept.append(
            {
                "id": name,
                "messages": messages,
                "lang": self._options.language,
                "source": "instruct generate",
                "lineage": {**lineage, **held},
            }
        )

    def _fault(self, task: Task, cut: bool) -> tuple[str, dict[str, Any]]:
        reason = "cut_by_length" if cut else task_fault(task, self._options.language)
        if reason:
            return reason, {}
        near = self._index.nearest(task.instruction)
        if near and near[0].score > THRESHOLD:
            return "not_novel", {"similar_to": near[0].id, "rouge_l": round(near[0].score, 4)}
        return ("beyond_count" if len(self._machine) >= self._options.count else ""), {}

    def result(self) -> RunResult:
        """All that was made, with its counts."""
        self._made.counts = {"requests": self._made.usage.requests, "tasks_in_replies": self._tasks}
        self._made.details = {"stopped": self.stopped, "rounds": self._round}
        return self._made
