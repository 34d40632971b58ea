"""Phoenix's user-centred way (Chen et al. 2023): roles, what people in them ask for, more of it, answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from corpus.core.errors import UsageError, ZeroToOneError
from instruct.client import BUDGET_SPENT, UNPAID
from instruct.filters import output_fault
from instruct.pool import Accepted, Draw, Pool
from instruct.prompt import Prompt
from instruct.rounds import Method, Requests, Rounds, Sender
from instruct.runs import RunResult
from instruct.tasks import WITH_ROLE, Task, parse_list, render

TASKS_OF_A_ROLE = 5
_ROLES_PER_REQUEST = 20
_SHOWN_ROLES = 40  # that are known already, in a prompt
_DRY_REQUESTS = 3
_LONGEST_ROLE = 100  # characters
_NOBODY = {"en": "nobody in particular, a user as any other", "zh": "没有特定身份的普通用户"}


def read_roles(source: str) -> tuple[int, list[str]]:
    """`--roles`: a number of roles to ask for, or a text file with one role a line.

    Returns that number and the roles of the file. Raises UsageError and ZeroToOneError.
    """
    if source.isascii() and source.isdigit():
        if int(source) < 1:
            raise UsageError("--roles must be at least 1, or a file with one role a line")
        return int(source), []
    path = Path(source)
    try:
        lines = path.read_text("utf-8").splitlines()
    except FileNotFoundError:
        raise ZeroToOneError(f"{path}: no such file (--roles is a number or a file of roles)") from None
    except IsADirectoryError:
        raise ZeroToOneError(f"{path}: a directory, not a file of roles") from None
    except UnicodeDecodeError as error:
        raise ZeroToOneError(f"{path}: not UTF-8 at byte {error.start}") from None
    roles = list(dict.fromkeys(" ".join(line.split()) for line in lines if line.strip()))
    if not roles:
        raise ZeroToOneError(f"{path}: no roles")
    return len(roles), roles


async def find_roles(
    sender: Sender,
    requests: Requests,
    method: Method,
    prompt: Prompt,
    count: int,
    language: str,
    result: RunResult,
) -> list[str]:
    """Ask for roles until there are `count` or nothing new comes; those left out go to `result` with reasons.

    One request after the other, since each names the roles that are known.
    """
    roles: dict[str, str] = {}
    dry = 0
    while len(roles) < count and dry < _DRY_REQUESTS:
        known = ("、" if language == "zh" else "; ").join(list(roles.values())[-_SHOWN_ROLES:])
        wanted = min(_ROLES_PER_REQUEST, count - len(roles))
        messages = prompt.messages(count=str(wanted), known=known or "-")
        [reply] = await sender.all([requests.make(messages, method.parameters)])
        result.usage.add(reply)
        lineage = {"operation": "roles", "prompt_hash": prompt.hash, "request_key": reply.key}
        found = [] if reply.reason in (*UNPAID, "refused") else parse_list(reply.text)
        if not found:
            reason = reply.reason or "no_roles_in_reply"
            row = {"id": f"{language}-{reply.key[:16]}", "reason": reason, "detail": reply.detail}
            result.removed.append({**row, "text": reply.text, "lineage": lineage})
        before = len(roles)
        for place, role in enumerate(found, 1):
            fault = _role_fault(role, roles, count, reply.reason == "cut_by_length" and place == len(found))
            if fault:
                name = f"{language}-{reply.key[:16]}-{place:02d}"
                result.removed.append({"id": name, "reason": fault, "role": role, "lineage": lineage})
            else:
                roles[role.casefold()] = role
        sender.bar.advance(len(roles) - before)
        dry = dry + 1 if len(roles) == before else 0
        if reply.reason == BUDGET_SPENT:
            break
    return list(roles.values())


def _role_fault(role: str, known: Mapping[str, str], count: int, cut: bool) -> str:
    if cut:
        return "cut_by_length"
    if len(role) > _LONGEST_ROLE:
        return "role_too_long"
    if role.casefold() in known:
        return "role_known"
    return "beyond_count" if len(known) >= count else ""


async def ask_roles_for_tasks(
    sender: Sender,
    rounds: Rounds,
    pool: Pool,
    requests: Requests,
    method: Method,
    prompt: Prompt,
    roles: Sequence[str],
    language: str,
) -> None:
    """The first round: tasks of each role, and of nobody in particular (the empty role)."""
    everyone = [*roles, ""]
    wanted = min(TASKS_OF_A_ROLE, math.ceil(pool.missing("") / len(everyone)))
    examples = pool.seeds[: method.human + 2]
    shown = render([example.task for example in examples], language, WITH_ROLE[1:])
    draws = []
    for role in everyone:
        messages = prompt.messages(count=str(wanted), role=role or _NOBODY[language], examples=shown)
        request = requests.make(messages, method.parameters)
        names = tuple(example.id for example in examples)
        draws.append(Draw(request, "role_tasks", prompt.hash, names, wanted, parts=WITH_ROLE[1:], role=role))
    rounds.number += 1
    sender.bar.advance(rounds.take(draws, await sender.all([draw.request for draw in draws])))


async def answer_all(
    sender: Sender, pool: Pool, requests: Requests, method: Method, prompts: Mapping[str, Prompt]
) -> list[tuple[Accepted, Task]]:
    """Answer the pool's tasks, each as its role would have it; returns those that pass the filters."""
    chosen = [prompts["role_answer" if one.task.role else "answer"] for one in pool.accepted]
    made = [
        requests.make(_answer_messages(prompt, one.task), method.parameters)
        for prompt, one in zip(chosen, pool.accepted, strict=True)
    ]
    kept = []
    for one, prompt, reply in zip(pool.accepted, chosen, await sender.all(made, each=1), strict=True):
        pool.result.usage.add(reply)
        answered = Task(one.task.instruction, one.task.input, reply.text.strip(), one.task.role)
        lineage = {
            **one.lineage,
            "role": one.task.role,
            "answer": {"prompt_hash": prompt.hash, "request_key": reply.key},
        }
        reason = reply.reason or output_fault(answered)
        if reason:
            row = {"id": one.id, "reason": reason, "detail": reply.detail, **answered.fields(), "lineage": lineage}
            pool.result.removed.append(row)
        else:
            kept.append((Accepted(one.id, answered, one.use_case, lineage), answered))
    return kept


def _answer_messages(prompt: Prompt, task: Task) -> tuple[dict[str, str], ...]:
    values = {"instruction": task.prompt()}
    return prompt.messages(**values, role=task.role)
