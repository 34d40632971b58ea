"""New tasks from seed tasks, in rounds: several examples in a prompt, several new tasks in a reply.

Three ways, by their papers' numbers: Alpaca's (whole tasks, many in one reply), Self-Instruct's (instructions,
then a classification of each, then instances) and Phoenix's (roles, the tasks of these roles, answers). What a
round asks depends on the seeds, the options and the rounds before it, never on the order in which replies arrive,
so that a rerun asks the same and finds it in the cache.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from corpus.core.console import progress
from corpus.core.conversations import Conversation
from corpus.core.errors import UsageError
from corpus.core.files import text_hash
from corpus.core.output import Manifest
from instruct.cache import RequestCache, canonical_json
from instruct.client import ChatClient, Endpoint, Tally
from instruct.forms import alpaca_messages
from instruct.near_measures import NoveltyOptions, open_measure
from instruct.pool import Accepted, Pool
from instruct.prompt import Prompt, load_prompts
from instruct.roles import answer_all, ask_roles_for_tasks, find_roles, read_roles
from instruct.rounds import METHODS, Method, Requests, Rounds, Sender
from instruct.runs import Run, RunResult, refuse_if_strict, total_size
from instruct.seed_tasks import BUILTIN, SeedTask, read_seed_tasks
from instruct.self_instruct import write_instances
from instruct.tasks import Task
from instruct.use_cases import INSTRUCTGPT, UseCase, load_use_cases, quotas

ALPACA, SELF_INSTRUCT, ROLES = METHODS
PROMPTS = {
    ALPACA: ("alpaca", "kind_of_any", "kind_of_one"),
    SELF_INSTRUCT: (
        "self_instruct", "kind_of_any", "kind_of_one", "is_classification", "input_first", "output_first",
    ),
    ROLES: ("roles", "role_tasks", "role_expansion", "role_answer", "answer"),
}  # fmt: skip


@dataclass(frozen=True)
class GenerateOptions:
    """What changes the rows.

    `count` are the tasks to keep, for Self-Instruct the instructions; without a `temperature` the method's own
    holds. `use_cases` are `instructgpt`, `none` or a file of shares, and count for nothing with `roles`, a number
    of roles or a file of them, which takes the place of `method`. `seed` is that of the draws of examples.
    """

    language: str
    count: int
    method: str = ALPACA
    temperature: float | None = None
    max_tokens: int = 4096
    seed: int = 0
    use_cases: str = INSTRUCTGPT
    roles: str = ""
    novelty: NoveltyOptions = field(default_factory=NoveltyOptions)

    def __post_init__(self) -> None:
        if self.count < 1:
            raise UsageError("--count must be at least 1")
        if self.max_tokens < 1:
            raise UsageError("--max-tokens must be at least 1")
        if self.method not in (ALPACA, SELF_INSTRUCT):
            raise UsageError(f"--method {self.method}: choose {ALPACA} or {SELF_INSTRUCT}")


@dataclass(frozen=True)
class _Plan:
    """The options with all that they name read in."""

    options: GenerateOptions
    method_name: str
    method: Method
    seeds: Sequence[SeedTask]
    prompts: dict[str, Prompt]
    use_cases: list[UseCase]
    role_count: int
    roles: list[str]

    @property
    def quotas(self) -> dict[str, int]:
        return quotas(self.use_cases, self.options.count)

    def parameters(self) -> dict[str, Any]:
        """What the rows depend on, besides the seeds and the endpoint."""
        settings = asdict(self.options)
        return {
            **{name: settings[name] for name in ("language", "count", "max_tokens", "seed")},
            "method": self.method_name,
            "sampling": dict(self.method.parameters),
            "use_cases": [asdict(use_case) for use_case in self.use_cases],
            "roles": self.roles or self.role_count,
            "novelty": settings["novelty"],
            "prompts": {name: self.prompts[name].hash for name in PROMPTS[self.method_name]},
        }


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
    Raises ZeroToOneError for unreadable seeds, shares, roles and models, and EndpointError where no request can
    succeed.
    """
    tasks, set_aside = read_seed_tasks(seeds, options.language)
    refuse_if_strict(set_aside, strict)
    plan = _plan(tasks, options)
    parameters = {**plan.parameters(), "model": endpoint.model, "base_url": endpoint.public_url}
    prints = [text_hash(canonical_json([asdict(task) for task in tasks]))]
    inputs = [] if seeds == BUILTIN else [seeds]
    run = Run("instruct generate", parameters, inputs, prints, total_size(inputs), output)
    earlier = run.finished(overwrite)
    if earlier is not None:
        return earlier, None
    with RequestCache(cache_path) as cache:
        result, tally = asyncio.run(_generate(plan, endpoint, cache))
    result.price = endpoint.effective_price
    result.set_aside = set_aside
    result.counts = {"seeds_in": len(tasks), "seeds_set_aside": len(set_aside), **result.counts}
    return run.write(result), tally


def _plan(seeds: Sequence[SeedTask], options: GenerateOptions) -> _Plan:
    name = ROLES if options.roles else options.method
    method = METHODS[name]
    if options.temperature is not None:
        method = replace(method, parameters={**method.parameters, "temperature": options.temperature})
    use_cases = [] if options.roles else load_use_cases(options.use_cases, options.language)
    number, roles = read_roles(options.roles) if options.roles else (0, [])
    return _Plan(options, name, method, seeds, load_prompts(options.language), use_cases, number, roles)


async def _generate(plan: _Plan, endpoint: Endpoint, cache: RequestCache) -> tuple[RunResult, Tally]:
    options = plan.options
    measure = open_measure(options.novelty, options.language)
    drop_cut = plan.method.drop_cut_replies
    pool = Pool(plan.seeds, plan.quotas, measure, options.language, endpoint.model, drop_cut)
    requests = Requests(options.max_tokens)
    rounds = Rounds(pool, plan.method, requests, plan.prompts, options.language, plan.use_cases, options.seed)
    async with ChatClient(endpoint, cache) as client:
        roles = await _roles(plan, client, requests, pool) if plan.method_name == ROLES else []
        with progress("generate", options.count, "tasks") as bar:
            sender = Sender(client, bar)
            if plan.method_name == ROLES:
                prompt = plan.prompts["role_tasks"]
                await ask_roles_for_tasks(
                    sender, rounds, pool, requests, plan.method, prompt, roles, options.language
                )
            await rounds.run(sender)
        rows = await _finish(plan, client, pool, requests)
        tally = client.tally
    return _result(plan, pool, rounds, roles, rows), tally


async def _roles(plan: _Plan, client: ChatClient, requests: Requests, pool: Pool) -> list[str]:
    """The roles of the file, or those that the model names."""
    if plan.roles:
        return plan.roles
    with progress("roles", plan.role_count, "roles") as bar:
        return await find_roles(
            Sender(client, bar),
            requests,
            plan.method,
            plan.prompts["roles"],
            plan.role_count,
            plan.options.language,
            pool.result,
        )


async def _finish(plan: _Plan, client: ChatClient, pool: Pool, requests: Requests) -> list[tuple[Accepted, Task]]:
    """Whole tasks from what the rounds accepted: as they are, with instances, or with answers."""
    if plan.method_name == ALPACA:
        return [(one, one.task) for one in pool.accepted]
    stages = 2 if plan.method_name == SELF_INSTRUCT else 1
    with progress("complete", stages * len(pool.accepted), "requests") as bar:
        sender = Sender(client, bar)
        if plan.method_name == SELF_INSTRUCT:
            return await write_instances(sender, pool, requests, plan.prompts, plan.options.language)
        return await answer_all(sender, pool, requests, plan.method, plan.prompts)


def _result(
    plan: _Plan, pool: Pool, rounds: Rounds, roles: Sequence[str], rows: Sequence[tuple[Accepted, Task]]
) -> RunResult:
    result = pool.result
    result.kept = [_row(one, task, plan.options.language) for one, task in rows]
    result.counts = {"requests": result.usage.requests, "tasks_in_replies": pool.tasks}
    if plan.method_name == SELF_INSTRUCT:
        result.counts["instructions"] = len(pool.accepted)
    if roles:
        result.counts["roles"] = len(roles)
    result.details = {"stopped": rounds.stopped, "rounds": rounds.number}
    if plan.use_cases:
        quota = plan.quotas
        result.details["use_cases"] = {name: {"wanted": quota[name], "held": pool.held[name]} for name in quota}
    return result


def _row(one: Accepted, task: Task, language: str) -> Conversation:
    messages, held = alpaca_messages(task.instruction, task.input, task.output)
    return {
        "id": one.id,
        "messages": messages,
        "lang": language,
        "source": "instruct generate",
        "lineage": {**one.lineage, **held},
    }
