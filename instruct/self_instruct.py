"""Self-Instruct's second half: is it classification, and instances of each instruction (Wang et al. 2023, 2.2).

For classification the labels come first and an input for each after them, so that not all inputs get one label.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from instruct.client import UNPAID, Reply
from instruct.filters import instance_faults
from instruct.pool import Accepted, Pool
from instruct.prompt import Prompt
from instruct.rounds import Requests, Sender
from instruct.seed_tasks import BUILTIN, SeedTask, read_seed_tasks
from instruct.tasks import INPUT_FIRST, OUTPUT_FIRST, Task, parse_instances, render

_VERDICT = re.compile(r"\W*(?:classification|分类)?\W*(yes|是)(?![a-z])", re.IGNORECASE)
_EXAMPLES = 3
_VERDICT_PARAMETERS = {"temperature": 0.0}
_INSTANCE_PARAMETERS = {"temperature": 0.0, "presence_penalty": 1.5}


async def write_instances(
    sender: Sender, pool: Pool, requests: Requests, prompts: Mapping[str, Prompt], language: str
) -> list[tuple[Accepted, Task]]:
    """Classify the pool's instructions and write instances of each; returns those that pass the filters.

    What is dropped goes to the pool's account. An instruction whose request fails is dropped with the reason.
    """
    prompt = prompts["is_classification"]
    verdicts = await sender.all(
        [
            requests.make(prompt.messages(instruction=one.task.instruction), _VERDICT_PARAMETERS)
            for one in pool.accepted
        ],
        each=1,
    )
    asked: list[Accepted] = []
    for one, verdict in zip(pool.accepted, verdicts, strict=True):
        pool.result.usage.add(verdict)
        if verdict.reason in UNPAID:
            pool.result.removed.append(_without_instances(one, verdict))
        else:
            asked.append(_classified(one, verdict, prompt.hash))
    orders = [OUTPUT_FIRST if one.lineage["is_classification"] else INPUT_FIRST for one in asked]
    examples = {order: _examples(pool.seeds, language, order) for order in (INPUT_FIRST, OUTPUT_FIRST)}
    names = {INPUT_FIRST: "input_first", OUTPUT_FIRST: "output_first"}
    made = [
        requests.make(
            prompts[names[order]].messages(instruction=one.task.instruction, examples=examples[order]),
            _INSTANCE_PARAMETERS,
        )
        for one, order in zip(asked, orders, strict=True)
    ]
    kept: list[tuple[Accepted, Task]] = []
    for one, order, reply in zip(asked, orders, await sender.all(made, each=1), strict=True):
        kept += _take(pool, one, order, reply, prompts[names[order]].hash)
    return kept


def is_classification(verdict: str) -> bool:
    """Whether a verdict begins with a yes; what says neither counts as no, as in the paper's code."""
    return _VERDICT.match(verdict) is not None


def _classified(one: Accepted, verdict: Reply, prompt_hash: str) -> Accepted:
    lineage = {
        **one.lineage,
        "is_classification": is_classification(verdict.text),
        "classification": {"prompt_hash": prompt_hash, "request_key": verdict.key},
    }
    return Accepted(one.id, one.task, one.use_case, lineage)


def _take(
    pool: Pool, one: Accepted, order: tuple[str, ...], reply: Reply, prompt_hash: str
) -> list[tuple[Accepted, Task]]:
    """The instances of a reply that stay, each as a task with a name of its own."""
    pool.result.usage.add(reply)
    lineage = {**one.lineage, "instances": {"prompt_hash": prompt_hash, "request_key": reply.key}}
    whole = Accepted(one.id, one.task, one.use_case, lineage)
    usable = reply.reason not in (*UNPAID, "refused")
    instances = parse_instances(one.task.instruction, reply.text, order) if usable else []
    if not instances:
        pool.result.removed.append(_without_instances(whole, reply))
    kept = []
    faults = instance_faults(instances, reply.reason == "cut_by_length")
    for number, (instance, fault) in enumerate(zip(instances, faults, strict=True), 1):
        name = f"{one.id}-{number}"
        if fault:
            pool.result.removed.append({"id": name, "reason": fault, **instance.fields(), "lineage": lineage})
        else:
            kept.append((Accepted(name, instance, one.use_case, lineage), instance))
    return kept


def _without_instances(one: Accepted, reply: Reply) -> dict[str, object]:
    reason = reply.reason or "no_instances_in_reply"
    return {
        "id": one.id,
        "reason": reason,
        "detail": reply.detail,
        "instruction": one.task.instruction,
        "text": reply.text,
        "lineage": one.lineage,
    }


def _examples(seeds: Sequence[SeedTask], language: str, order: tuple[str, ...]) -> str:
    """Tasks with an instance, of the seeds or, where these lack the kind, of the program's own."""
    wanted = order == OUTPUT_FIRST
    for tasks in (seeds, read_seed_tasks(BUILTIN, language)[0]):
        found = [
            seed.task for seed in tasks if seed.is_classification is wanted and (seed.task.input or not wanted)
        ]
        if found:
            break
    label = {"en": "Task: ", "zh": "任务："}[language]
    return "\n\n".join(
        f"{label}{task.instruction}\n\n{render([task], language, order)}" for task in found[:_EXAMPLES]
    )
