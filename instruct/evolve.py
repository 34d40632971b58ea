"""Evol-Instruct: instructions made harder or rarer by a model, round by round (Xu et al. 2023).

Every instruction of the pool is evolved once a round by an operation drawn from a set. An evolution that passes
the four eliminations becomes a row and takes its parent's place in the pool; what fails leaves the parent there.
Instructions do not meet, so each goes through its rounds by itself: one more row is only its own requests.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from corpus.core.console import Progress, progress
from corpus.core.conversations import Conversation
from corpus.core.files import file_hash, text_hash
from corpus.core.output import Manifest
from instruct.cache import RequestCache, canonical_json
from instruct.client import ChatClient, Endpoint, Tally, map_in_order
from instruct.convert import ConvertResult, read_rows, set_aside
from instruct.costs import Usage
from instruct.estimate import Estimate, Unit, pilot_places, run_pilot
from instruct.evolve_operations import OperationSet, load_operations
from instruct.evolve_rounds import Attempt, EvolveOptions, Evolver, Instruction
from instruct.forms import alpaca_messages
from instruct.prompt import LANGUAGES, load_prompts, prompt_language
from instruct.runs import Row, Run, RunResult, total_size
from instruct.seed_tasks import BUILTIN, read_seed_tasks


def evolve(
    inputs: Sequence[str],
    output: Path,
    endpoint: Endpoint,
    options: EvolveOptions,
    *,
    cache_path: Path,
    overwrite: bool = False,
    strict: bool = False,
) -> tuple[Manifest, Tally | None]:
    """Evolve the instructions of files (conversations, Alpaca rows, seeds) or of `builtin` seeds.

    Returns the manifest and what was sent; a finished directory is left as it is (then there is no tally).
    Raises ZeroToOneError for unreadable input, and EndpointError where no request can succeed.
    """
    read = ConvertResult()
    operations = load_operations(options.operations, options.breadth)
    pool = _read_pool(inputs, options, strict, read)
    languages = sorted({instruction.language for instruction in pool})
    operations.check_languages(languages)
    parameters = {
        **asdict(options),
        "operations": operations.name,
        "model": endpoint.model,
        "base_url": endpoint.public_url,
        "prompts": _prompts_hash(operations, languages),
    }
    files = [path for path in inputs if path != BUILTIN]
    prints = [text_hash(canonical_json([asdict(instruction) for instruction in pool]))]
    prints += [file_hash(Path(path)) for path in files if Path(path).is_file()]
    run = Run("instruct evolve", parameters, files, prints, total_size(files), output)
    earlier = run.finished(overwrite)
    if earlier is not None:
        return earlier, None
    with RequestCache(cache_path) as cache, progress("evolve", len(pool) * options.rounds, "evolutions") as bar:
        attempts, tally = asyncio.run(_evolve_all(pool, endpoint, cache, options, operations, bar))
    result = _result(attempts, endpoint.model, operations)
    result.price = endpoint.effective_price
    result.set_aside = read.set_aside
    result.counts = {"rows_in": read.rows_in, "rows_set_aside": len(read.set_aside), **result.counts}
    return run.write(result), tally


def estimate_evolve(
    inputs: Sequence[str], endpoint: Endpoint, options: EvolveOptions, *, cache_path: Path, strict: bool = False
) -> Estimate:
    """What `evolve` would take, from a pilot of some instructions through all rounds; writes only the cache."""
    operations = load_operations(options.operations, options.breadth)
    pool = _read_pool(inputs, options, strict, ConvertResult())
    operations.check_languages({instruction.language for instruction in pool})
    places = pilot_places([len(instruction.text) for instruction in pool])

    async def work(client: ChatClient, instruction: Instruction) -> Unit:
        attempts = await Evolver(client, options, operations, lambda _: None).rounds(instruction)
        usage = Usage()
        for attempt in attempts:
            _count(usage, attempt)
        return Unit(usage, sum(not attempt.reason for attempt in attempts))

    return run_pilot([pool[place] for place in places], work, endpoint, cache_path, total=len(pool))


def _read_pool(
    inputs: Sequence[str], options: EvolveOptions, strict: bool, read: ConvertResult
) -> list[Instruction]:
    """The instructions of the input's rows of one round; the others are set aside."""
    pool: dict[str, Instruction] = {}
    for path in inputs:
        for place, conversation in _read(path, options, strict, read):
            fault = _fault(conversation, pool)
            if fault:
                set_aside(read, place, fault, str(conversation["id"]), 1, strict)
                continue
            text = conversation["messages"][0]["content"].strip()
            language = prompt_language(options.language or conversation["lang"], text)
            name = conversation["id"]
            pool[name] = Instruction(name, name, text, language, place, conversation["lineage"])
    if not pool:
        raise read.nothing_left(inputs, "instructions to evolve")
    return list(pool.values())


def _read(
    path: str, options: EvolveOptions, strict: bool, read: ConvertResult
) -> Iterator[tuple[str, Conversation]]:
    if path != BUILTIN:
        for place, _, conversation in read_rows([path], None, strict, read):
            yield place, conversation
        return
    for language in (options.language,) if options.language else LANGUAGES:
        for seed in read_seed_tasks(BUILTIN, language)[0]:
            read.rows_in += 1
            messages, _ = alpaca_messages(seed.task.instruction, seed.task.input, seed.task.output)
            yield BUILTIN, {"id": seed.id, "messages": messages, "lang": language, "lineage": {}}


def _fault(conversation: Conversation, pool: dict[str, Instruction]) -> str:
    roles = [message["role"] for message in conversation["messages"]]
    if roles != ["user", "assistant"]:
        return "system_turn_not_held" if roles[0] == "system" else "more_than_one_round"
    if not conversation["messages"][0]["content"].strip():
        return "no_instruction"
    return "duplicate_id" if conversation["id"] in pool else ""


def _prompts_hash(operations: OperationSet, languages: Sequence[str]) -> str:
    """The hash of all that is asked besides the instructions."""
    shared = {code: [load_prompts(code)[name].hash for name in ("equality", "answer")] for code in languages}
    return text_hash(canonical_json([shared, operations.hash]))


async def _evolve_all(
    pool: Sequence[Instruction],
    endpoint: Endpoint,
    cache: RequestCache,
    options: EvolveOptions,
    operations: OperationSet,
    bar: Progress,
) -> tuple[list[list[Attempt]], Tally]:
    async with ChatClient(endpoint, cache) as client:

        def done(attempt: Attempt) -> None:
            bar.text = client.tally.text()
            bar.advance()

        evolver = Evolver(client, options, operations, done)
        return await map_in_order(evolver.rounds, pool, endpoint.concurrency), client.tally


def _result(chains: Sequence[Sequence[Attempt]], model: str, operations: OperationSet) -> RunResult:
    """Rows and removed rows by round, then in the input's order, with the funnel of each round."""
    result = RunResult()
    funnel: list[dict[str, Any]] = []
    names = [operation.name for operation in operations.operations]
    for number, attempts in enumerate(zip(*chains, strict=True), 1):
        for attempt in attempts:
            _count(result.usage, attempt)
            rows = result.removed if attempt.reason else result.kept
            rows.append(_removed_row(attempt, model) if attempt.reason else _kept_row(attempt, model))
        kept = Counter(attempt.operation.name for attempt in attempts if not attempt.reason)
        tried = Counter(attempt.operation.name for attempt in attempts)
        reasons = Counter(attempt.reason for attempt in attempts if attempt.reason)
        funnel.append(
            {
                "round": number,
                "tried": len(attempts),
                "kept": sum(kept.values()),
                "operations": {name: {"tried": tried[name], "kept": kept[name]} for name in names},
                "reasons": dict(sorted(reasons.items())),
            }
        )
    result.counts = {"instructions": len(chains), "evolutions": sum(map(len, chains))}
    result.details = {"funnel": funnel}
    return result


def _count(usage: Usage, attempt: Attempt) -> None:
    for stage, reply in attempt.replies.items():
        usage.add(reply, stage)


def _kept_row(attempt: Attempt, model: str) -> Row:
    child = attempt.child()
    messages, _ = alpaca_messages(child.text, "", attempt.answer)
    return {
        "id": child.id,
        "messages": messages,
        "lang": child.language,
        "source": "instruct evolve",
        "lineage": attempt.lineage(model),
    }


def _removed_row(attempt: Attempt, model: str) -> Row:
    return {
        "id": attempt.child().id,
        "reason": attempt.reason,
        "detail": attempt.detail,
        "instruction": attempt.text,
        "answer": attempt.answer,
        "lineage": attempt.lineage(model),
    }
