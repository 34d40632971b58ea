"""Rounds of generation: which requests a round sends, with which examples, and when there is no more to ask."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from corpus.core.console import Progress
from instruct.cache import canonical_json
from instruct.client import BUDGET_SPENT, ChatClient, Reply, Request, map_in_order
from instruct.pool import Draw, Pool
from instruct.prompt import Prompt
from instruct.seed_tasks import SeedTask
from instruct.tasks import INSTRUCTION, WHOLE, WITH_ROLE, render
from instruct.use_cases import UseCase

ROUND_REQUESTS = 64
_DRY_ROUNDS = 5  # with less than one new task in a hundred asked for, one after the other


@dataclass(frozen=True)
class Method:
    """How a method asks: its prompt, examples by people and by the model, tasks asked for, sampling parameters."""

    prompt: str
    human: int
    machine: int
    asked: int
    parts: tuple[str, ...]
    parameters: Mapping[str, float]
    drop_cut_replies: bool = False


METHODS = {
    # Taori et al. 2023: three seed tasks in a prompt that asks for twenty.
    "alpaca": Method("alpaca", 3, 0, 20, WHOLE, {"temperature": 1.0}),
    # Wang et al. 2023, section 2.2 and appendix A: six and two in a prompt; a reply cut by length is dropped.
    "self-instruct": Method(
        "self_instruct",
        6,
        2,
        8,
        INSTRUCTION,
        {"temperature": 0.7, "top_p": 0.5, "presence_penalty": 2.0},
        drop_cut_replies=True,
    ),
    # Chen et al. 2023 (Phoenix), user-centred instructions; the paper leaves the numbers open.
    "roles": Method("role_expansion", 1, 5, 10, WITH_ROLE, {"temperature": 1.0}),
}


@dataclass(frozen=True)
class Sender:
    """Sends requests to a client, and tells a progress display of it."""

    client: ChatClient
    bar: Progress

    async def all(self, requests: Sequence[Request], each: int = 0) -> list[Reply]:
        """The replies in the order of the requests; the display advances by `each` with every reply."""

        async def ask(request: Request) -> Reply:
            reply = await self.client.ask(request)
            self.bar.note(self.client.tally.text())
            self.bar.advance(each)
            return reply

        return await map_in_order(ask, requests, self.client.endpoint.concurrency)


class Requests:
    """Makes requests; one that was made before, in all alike, becomes another sample."""

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._made: Counter[str] = Counter()

    def make(self, messages: tuple[dict[str, str], ...], parameters: Mapping[str, float]) -> Request:
        """A request that was not made yet."""
        text = canonical_json([messages, dict(parameters)])
        sample, self._made[text] = self._made[text], self._made[text] + 1
        return Request(messages, self._max_tokens, dict(parameters), sample)


class Rounds:
    """Draws the requests of a round from the pool, and puts their replies into it."""

    def __init__(
        self,
        pool: Pool,
        method: Method,
        requests: Requests,
        prompts: Mapping[str, Prompt],
        language: str,
        use_cases: Sequence[UseCase],
        seed: int,
    ) -> None:
        self.stopped = ""
        self.number = 0
        self._pool, self._method, self._requests, self._prompts = pool, method, requests, prompts
        self._language, self._seed, self._dry = language, seed, 0
        self._kinds = {"": _text(prompts["kind_of_any"])}
        self._kinds |= {one.name: _text(prompts["kind_of_one"], kind=one.text) for one in use_cases}

    async def run(self, sender: Sender) -> None:
        """Ask in rounds until all quotas are full, nothing new comes, or the budget is spent."""
        while not self.stopped:
            draws = self.draw()
            replies = await sender.all([draw.request for draw in draws])
            sender.bar.advance(self.take(draws, replies))

    def draw(self) -> list[Draw]:
        """The requests of the next round: the use case that is fullest least comes next, again and again."""
        self.number += 1
        missing = {use_case: self._pool.missing(use_case) for use_case in self._pool.quotas}
        draws: list[Draw] = []
        while len(draws) < ROUND_REQUESTS and any(left > 0 for left in missing.values()):
            use_case = max(missing, key=lambda name: missing[name] / max(self._pool.quotas[name], 1))
            wanted = min(missing[use_case], self._method.asked)
            draws.append(self._draw(len(draws), use_case, wanted))
            missing[use_case] -= wanted
        return draws

    def _draw(self, place: int, use_case: str, wanted: int) -> Draw:
        draws = random.Random(f"{self._seed}:{self.number}:{place}")
        machine = [one.as_seed() for one in self._pool.accepted] if self._method.machine else []
        made = _sample(draws, machine, self._method.machine, use_case)
        by_people = self._method.human + self._method.machine - len(made)
        examples = [*_sample(draws, self._pool.seeds, by_people, use_case), *made]
        draws.shuffle(examples)
        prompt = self._prompts[self._method.prompt]
        messages = prompt.messages(
            count=str(wanted),
            kind=self._kinds[use_case],
            examples=render([example.task for example in examples], self._language, self._method.parts),
        )
        request = self._requests.make(messages, self._method.parameters)
        names = tuple(example.id for example in examples)
        return Draw(request, self._method.prompt, prompt.hash, names, wanted, use_case, self._method.parts)

    def take(self, draws: Sequence[Draw], replies: Sequence[Reply]) -> int:
        """Put a round's replies into the pool, in the order of the requests; returns how many tasks it kept."""
        before = len(self._pool.accepted)
        for draw, reply in zip(draws, replies, strict=True):
            self._pool.take(self.number, draw, reply)
        new = len(self._pool.accepted) - before
        self._dry = 0 if 100 * new >= sum(draw.wanted for draw in draws) else self._dry + 1
        if all(self._pool.missing(use_case) <= 0 for use_case in self._pool.quotas):
            self.stopped = "count_reached"
        elif any(reply.reason == BUDGET_SPENT for reply in replies):
            self.stopped = BUDGET_SPENT
        elif self._dry >= _DRY_ROUNDS:
            self.stopped = "no_new_tasks"
        return new


def _sample(draws: random.Random, tasks: Sequence[SeedTask], count: int, use_case: str) -> list[SeedTask]:
    """A draw of tasks, those of the use case first."""
    same = [task for task in tasks if use_case and task.use_case == use_case]
    drawn = draws.sample(same, min(count, len(same)))
    if len(drawn) < count:
        names = {task.id for task in same}
        others = [task for task in tasks if task.id not in names]
        drawn += draws.sample(others, min(count - len(drawn), len(others)))
    return drawn


def _text(prompt: Prompt, **values: Any) -> str:
    return prompt.messages(**values)[0]["content"]
