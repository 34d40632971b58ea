"""Evol-Instruct: instructions made harder or rarer by a model, round by round (Xu et al. 2023).

Every instruction of the pool is evolved once a round by one of six operations. An evolution that passes the
four eliminations becomes a row and takes its parent's place in the pool; what fails leaves the parent there.
Instructions do not meet, so each goes through its rounds by itself: one more row is only its own requests.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from corpus.core.console import Progress, progress
from corpus.core.conversations import Conversation
from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import file_hash, stable_fraction, text_hash
from corpus.core.output import Manifest
from instruct.cache import RequestCache, canonical_json
from instruct.client import ChatClient, Endpoint, Reply, Request, Tally, map_in_order
from instruct.convert import ConvertResult, read_rows, set_aside
from instruct.costs import Usage
from instruct.elimination import answer_fault, is_equal, leaks_prompt, without_label
from instruct.estimate import Estimate, Unit, pilot_places, run_pilot
from instruct.forms import alpaca_messages
from instruct.language import has_chinese
from instruct.prompt import LANGUAGES, Prompt, load_prompts
from instruct.runs import Row, Run, RunResult, total_size
from instruct.seed_tasks import BUILTIN, read_seed_tasks

OPERATIONS = ("add_constraints", "deepen", "concretise", "add_reasoning", "complicate_input", "breadth")
INPUT_FORMATS = ("XML", "SQL", "Python", "HTML", "shell", "JSON")
_VERDICT_TOKENS = 256  # a model that reasons aloud needs more than one word


@dataclass(frozen=True)
class EvolveOptions:
    """What changes the rows: number of rounds, language (None: each row's own), sampling, and the draws' seed."""

    rounds: int
    language: str | None = None
    temperature: float = 1.0
    max_tokens: int = 2048
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise UsageError("--rounds must be at least 1")
        if self.max_tokens < 1:
            raise UsageError("--max-tokens must be at least 1")
        if self.language not in (None, *LANGUAGES):
            raise UsageError(f"--lang {self.language}: choose one of {', '.join(LANGUAGES)}")


@dataclass(frozen=True)
class Instruction:
    """An instruction of the pool: its row's id, the id of the input row that it stems from, text, language."""

    id: str
    root: str
    text: str
    language: str


@dataclass
class Attempt:
    """What one evolution came to; `reason` is empty where it passed."""

    parent: Instruction
    round: int
    operation: str
    prompt_hash: str
    reason: str = ""
    detail: str = ""
    text: str = ""
    answer: str = ""
    replies: dict[str, Reply] = field(default_factory=dict)

    def child(self) -> Instruction:
        """The evolved instruction."""
        root = self.parent.root
        return Instruction(f"{root}+{self.round}", root, self.text, self.parent.language)

    def lineage(self, model: str) -> dict[str, Any]:
        """Parent, operation, prompt, model and requests."""
        return {
            "operation": self.operation,
            "round": self.round,
            "parent": self.parent.id,
            "root": self.parent.root,
            "prompt_hash": self.prompt_hash,
            "model": model,
            "request_keys": {stage: reply.key for stage, reply in self.replies.items()},
        }


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
    pool = _read_pool(inputs, options, strict, read)
    languages = sorted({instruction.language for instruction in pool})
    hashes = {name: {key: prompt.hash for key, prompt in load_prompts(name).items()} for name in languages}
    parameters = {
        **asdict(options),
        "model": endpoint.model,
        "base_url": endpoint.public_url,
        "prompts": text_hash(canonical_json(hashes)),
    }
    files = [path for path in inputs if path != BUILTIN]
    prints = [text_hash(canonical_json([asdict(instruction) for instruction in pool]))]
    prints += [file_hash(Path(path)) for path in files if Path(path).is_file()]
    run = Run("instruct evolve", parameters, files, prints, total_size(files), output)
    earlier = run.finished(overwrite)
    if earlier is not None:
        return earlier, None
    with RequestCache(cache_path) as cache, progress("evolve", len(pool) * options.rounds, "evolutions") as bar:
        attempts, tally = asyncio.run(_evolve_all(pool, endpoint, cache, options, bar))
    result = _result(attempts, endpoint.model, options.rounds)
    result.price = endpoint.effective_price
    result.set_aside = read.set_aside
    result.counts = {"rows_in": read.rows_in, "rows_set_aside": len(read.set_aside), **result.counts}
    return run.write(result), tally


def estimate_evolve(
    inputs: Sequence[str], endpoint: Endpoint, options: EvolveOptions, *, cache_path: Path, strict: bool = False
) -> Estimate:
    """What `evolve` would take, from a pilot of some instructions through all rounds; writes only the cache."""
    pool = _read_pool(inputs, options, strict, ConvertResult())
    places = pilot_places([len(instruction.text) for instruction in pool])

    async def work(client: ChatClient, instruction: Instruction) -> Unit:
        attempts = await Evolver(client, options, lambda _: None).rounds(instruction)
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
            language = options.language or conversation["lang"]
            if language not in LANGUAGES:
                language = "zh" if has_chinese(text) else "en"
            pool[conversation["id"]] = Instruction(conversation["id"], conversation["id"], text, language)
    if not pool:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in read.reasons.items())
        raise ZeroToOneError(f"{', '.join(inputs)}: no instructions to evolve{f' ({reasons})' if reasons else ''}")
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
            yield BUILTIN, {"id": seed.id, "messages": messages, "lang": language}


def _fault(conversation: Conversation, pool: dict[str, Instruction]) -> str:
    roles = [message["role"] for message in conversation["messages"]]
    if roles != ["user", "assistant"]:
        return "system_turn_not_held" if roles[0] == "system" else "more_than_one_round"
    if not conversation["messages"][0]["content"].strip():
        return "no_instruction"
    return "duplicate_id" if conversation["id"] in pool else ""


async def _evolve_all(
    pool: Sequence[Instruction], endpoint: Endpoint, cache: RequestCache, options: EvolveOptions, bar: Progress
) -> tuple[list[list[Attempt]], Tally]:
    async with ChatClient(endpoint, cache) as client:

        def done(attempt: Attempt) -> None:
            bar.text = client.tally.text()
            bar.advance()

        evolver = Evolver(client, options, done)
        return await map_in_order(evolver.rounds, pool, endpoint.concurrency), client.tally


class Evolver:
    """Takes an instruction through its rounds; `done` hears of each attempt."""

    def __init__(self, client: ChatClient, options: EvolveOptions, done: Callable[[Attempt], None]) -> None:
        self._client = client
        self._options = options
        self._done = done

    async def rounds(self, instruction: Instruction) -> list[Attempt]:
        """The attempts of all rounds; each starts from the last one that passed."""
        attempts = []
        for number in range(1, self._options.rounds + 1):
            attempt = await self._evolve(instruction, number)
            attempts.append(attempt)
            self._done(attempt)
            if not attempt.reason:
                instruction = attempt.child()
        return attempts

    async def _evolve(self, parent: Instruction, number: int) -> Attempt:
        draw = f"{parent.root}\x00{number}"
        operation = _choose(OPERATIONS, f"operation\x00{draw}", self._options.seed)
        prompts = load_prompts(parent.language)
        attempt = Attempt(parent, number, operation, prompts[operation].hash)
        values = {"instruction": parent.text}
        if operation == "complicate_input":
            values["format"] = _choose(INPUT_FORMATS, f"format\x00{draw}", self._options.seed)
        reply = await self._ask(attempt, "evolve", prompts[operation], number, values)
        attempt.text = without_label(reply.text)
        if not attempt.reason:
            attempt.reason = _text_fault(attempt)
        if not attempt.reason:
            await self._judge(attempt, prompts["equality"])
        if not attempt.reason:
            reply = await self._ask(attempt, "answer", prompts["answer"], 0, {"instruction": attempt.text})
            attempt.answer = reply.text.strip()
            attempt.reason = attempt.reason or answer_fault(attempt.answer, parent.language)
        return attempt

    async def _judge(self, attempt: Attempt, prompt: Prompt) -> None:
        values = {"first": attempt.parent.text, "second": attempt.text}
        reply = await self._ask(attempt, "judge", prompt, 0, values, temperature=0.0, max_tokens=_VERDICT_TOKENS)
        equal = is_equal(reply.text)
        if not attempt.reason and equal is not False:
            attempt.reason = "equal_to_parent" if equal else "verdict_unreadable"
            attempt.detail = reply.text[:200]

    async def _ask(
        self,
        attempt: Attempt,
        stage: str,
        prompt: Prompt,
        sample: int,
        values: dict[str, str],
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> Reply:
        """Ask one stage; a reply that is none becomes the attempt's reason. `sample`: a round may ask again."""
        parameters = {"temperature": self._options.temperature if temperature is None else temperature}
        limit = self._options.max_tokens if max_tokens is None else max_tokens
        reply = await self._client.ask(Request(prompt.messages(**values), limit, parameters, sample))
        attempt.replies[stage] = reply
        if reply.reason:
            attempt.reason, attempt.detail = f"{stage}_{reply.reason}", reply.detail
        return reply


def _choose(choices: Sequence[str], key: str, seed: int) -> str:
    return choices[int(stable_fraction(key, seed) * len(choices))]


def _text_fault(attempt: Attempt) -> str:
    parent = attempt.parent
    if not attempt.text:
        return "evolve_empty_reply"
    if attempt.text == parent.text:
        return "equal_to_parent"
    return "leaks_prompt" if leaks_prompt(attempt.text, parent.text, parent.language) else ""


def _result(chains: Sequence[Sequence[Attempt]], model: str, rounds: int) -> RunResult:
    """Rows and removed rows by round, then in the input's order, with the funnel of each round."""
    result = RunResult()
    funnel: list[dict[str, Any]] = []
    for number in range(rounds):
        attempts = [chain[number] for chain in chains]
        for attempt in attempts:
            _count(result.usage, attempt)
            rows = result.removed if attempt.reason else result.kept
            rows.append(_removed_row(attempt, model) if attempt.reason else _kept_row(attempt, model))
        kept = Counter(attempt.operation for attempt in attempts if not attempt.reason)
        tried = Counter(attempt.operation for attempt in attempts)
        reasons = Counter(attempt.reason for attempt in attempts if attempt.reason)
        funnel.append(
            {
                "round": number + 1,
                "tried": len(attempts),
                "kept": sum(kept.values()),
                "operations": {name: {"tried": tried[name], "kept": kept[name]} for name in OPERATIONS},
                "reasons": dict(sorted(reasons.items())),
            }
        )
    result.counts = {"instructions": len(chains), "evolutions": len(chains) * rounds}
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
