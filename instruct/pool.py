"""The pool of a generation: seeds, accepted tasks, quotas, and what is dropped for which reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from instruct.client import UNPAID, Reply, Request
from instruct.filters import instruction_fault, output_fault
from instruct.near_measures import Measure
from instruct.runs import RunResult
from instruct.seed_tasks import SeedTask
from instruct.tasks import INSTRUCTION, WHOLE, Task, parse, parse_list


@dataclass(frozen=True)
class Draw:
    """A request for new tasks, and what the rows from it tell about it.

    `parts` are those of the tasks in the reply; `role` stands in for the one that they do not name themselves.
    """

    request: Request
    operation: str
    prompt_hash: str
    examples: tuple[str, ...]
    wanted: int
    use_case: str = ""
    parts: tuple[str, ...] = WHOLE
    role: str = ""


@dataclass(frozen=True)
class Accepted:
    """A task that passed all filters, with its lineage so far."""

    id: str
    task: Task
    use_case: str
    lineage: dict[str, Any]

    def as_seed(self) -> SeedTask:
        """The task as an example for prompts."""
        return SeedTask(self.id, self.task, self.use_case)


class Pool:
    """Takes replies in the order of their requests, filters their tasks, and keeps account of all of them."""

    def __init__(
        self,
        seeds: Sequence[SeedTask],
        quotas: Mapping[str, int],
        measure: Measure,
        language: str,
        model: str,
        drop_cut_replies: bool,
    ) -> None:
        self.seeds = list(seeds)
        self.quotas = quotas
        self.accepted: list[Accepted] = []
        self.held = dict.fromkeys(quotas, 0)
        self.result = RunResult()
        self.tasks = 0
        self._measure, self._language, self._model = measure, language, model
        self._drop_cut_replies = drop_cut_replies
        for seed in seeds:
            measure.index.add(seed.id, seed.task.instruction)

    def missing(self, use_case: str) -> int:
        """How many tasks of a use case are still wanted."""
        return self.quotas[use_case] - self.held[use_case]

    def take(self, number: int, draw: Draw, reply: Reply) -> None:
        """Filter the tasks of a reply of round `number`."""
        self.result.usage.add(reply)
        lineage = {
            "operation": draw.operation,
            "round": number,
            "prompt_hash": draw.prompt_hash,
            "seeds": list(draw.examples),
            **({"use_case": draw.use_case} if draw.use_case else {}),
            "model": self._model,
            "request_key": reply.key,
        }
        name = f"{self._language}-{reply.key[:16]}"
        tasks = [] if reply.reason in (*UNPAID, "refused") else read_tasks(reply.text, draw)
        if not tasks:
            reason = reply.reason or "no_tasks_in_reply"
            row = {"id": name, "reason": reason, "detail": reply.detail, "text": reply.text, "lineage": lineage}
            self.result.removed.append(row)
        for place, task in enumerate(tasks):
            last = place == len(tasks) - 1
            cut = reply.reason == "cut_by_length" and (last or self._drop_cut_replies)
            self._take_task(f"{name}-{place + 1:02d}", task, cut, draw, lineage)

    def _take_task(self, name: str, task: Task, cut: bool, draw: Draw, lineage: dict[str, Any]) -> None:
        self.tasks += 1
        reason = "cut_by_length" if cut else instruction_fault(task.instruction, self._language)
        if not reason and "output" in draw.parts:
            reason = output_fault(task)
        evidence: dict[str, Any] = {}
        if not reason:
            near = self._measure.index.nearest(task.instruction)
            lineage = {**lineage, "nearest": [[one.id, round(one.score, 4)] for one in near]}
            if near and near[0].score > self._measure.threshold:
                reason = "not_novel"
                evidence = {"similar_to": near[0].id, self._measure.name: round(near[0].score, 4)}
            elif self.missing(draw.use_case) <= 0:
                reason = "use_case_full" if draw.use_case else "beyond_count"
        if reason:
            row = {"id": name, "reason": reason, **evidence, **task.fields(), "lineage": lineage}
            self.result.removed.append(row)
            return
        self._measure.index.add(name, task.instruction)
        self.held[draw.use_case] += 1
        self.accepted.append(Accepted(name, task, draw.use_case, lineage))


def read_tasks(text: str, draw: Draw) -> list[Task]:
    """The tasks of a reply; where only instructions were asked for, a plain list of them will do."""
    if draw.parts == INSTRUCTION:
        found = [Task(task.instruction) for task in parse(text)]
        return found or [Task(item) for item in parse_list(text)]
    tasks = parse(text, draw.parts)
    return [Task(task.instruction, task.input, task.output, task.role or draw.role) for task in tasks]
