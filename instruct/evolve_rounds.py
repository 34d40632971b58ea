"""An instruction's way through the rounds of Evol-Instruct: operation, eliminations, answer.

Xu et al. 2023, section 3. What is drawn depends on the instruction's id and the round alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from corpus.core.errors import UsageError
from instruct.client import ChatClient, Reply, Request
from instruct.elimination import answer_fault, is_equal, leaks_prompt, refuses, without_label
from instruct.evolve_operations import Operation, OperationSet
from instruct.prompt import LANGUAGES, Prompt, load_prompts

_VERDICT_TOKENS = 256  # a model that reasons aloud needs more than one word


@dataclass(frozen=True)
class EvolveOptions:
    """What changes the rows: rounds, language (None: each row's own), operations, breadth's share, sampling, seed.

    `operations` is the name of a set or a file (`load_operations`); without a share of breadth it is the weights'.
    """

    rounds: int
    language: str | None = None
    temperature: float = 1.0
    max_tokens: int = 2048
    seed: int = 0
    operations: str = "general"
    breadth: float | None = None

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise UsageError("--rounds must be at least 1")
        if self.max_tokens < 1:
            raise UsageError("--max-tokens must be at least 1")
        if self.language not in (None, *LANGUAGES):
            raise UsageError(f"--lang {self.language}: choose one of {', '.join(LANGUAGES)}")
        if self.breadth is not None and not 0 <= self.breadth <= 1:
            raise UsageError("--breadth must be a share from 0 to 1")


@dataclass(frozen=True)
class Instruction:
    """An instruction of the pool: its row's id, text, language, and the input row that it stems from.

    `origin` is that row's place in the input, `root_lineage` its lineage.
    """

    id: str
    root: str
    text: str
    language: str
    origin: str = ""
    root_lineage: dict[str, Any] = field(default_factory=dict)


@dataclass
class Attempt:
    """What one evolution came to: `reason` is empty where it passed, `passed` has eliminations survived."""

    parent: Instruction
    round: int
    operation: Operation
    choices: dict[str, str]
    reason: str = ""
    detail: str = ""
    text: str = ""
    answer: str = ""
    passed: list[str] = field(default_factory=list)
    prompts: dict[str, str] = field(default_factory=dict)
    replies: dict[str, Reply] = field(default_factory=dict)

    def child(self) -> Instruction:
        """The evolved instruction."""
        parent = self.parent
        name = f"{parent.root}+{self.round}"
        return Instruction(name, parent.root, self.text, parent.language, parent.origin, parent.root_lineage)

    def eliminate(self, reason: str, failed: bool) -> bool:
        """Note the outcome of an elimination; returns whether the evolution has failed."""
        if failed:
            self.reason = reason
        else:
            self.passed.append(reason)
        return failed

    def lineage(self, model: str) -> dict[str, Any]:
        """Seed, parent, operation, prompts, model, requests, and the eliminations that it passed."""
        parent = self.parent
        found = {
            "operation": self.operation.name,
            "kind": self.operation.kind,
            "round": self.round,
            "parent": parent.id,
            "root": parent.root,
            "origin": parent.origin,
            "prompt_hash": self.operation.prompts[parent.language].hash,
            "prompt_hashes": self.prompts,
            "model": model,
            "request_keys": {stage: reply.key for stage, reply in self.replies.items()},
            "eliminations_passed": self.passed,
        }
        if self.choices:
            found["choices"] = self.choices
        return {**found, "root_lineage": parent.root_lineage} if parent.root_lineage else found


class Evolver:
    """Takes an instruction through its rounds; `done` hears of each attempt."""

    def __init__(
        self,
        client: ChatClient,
        options: EvolveOptions,
        operations: OperationSet,
        done: Callable[[Attempt], None],
    ) -> None:
        self._client = client
        self._options = options
        self._operations = operations
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
        operation, choices = self._operations.draw(f"{parent.root}\x00{number}", self._options.seed)
        attempt = Attempt(parent, number, operation, choices)
        values = {"instruction": parent.text, **choices}
        reply = await self._ask(attempt, "evolve", operation.prompts[parent.language], number, values)
        attempt.text = without_label(reply.text)
        if attempt.reason or self._text_fails(attempt):
            return attempt
        prompts = load_prompts(parent.language)
        await self._judge(attempt, prompts["equality"])
        if not attempt.reason:
            reply = await self._ask(attempt, "answer", prompts["answer"], 0, {"instruction": attempt.text})
            attempt.answer = reply.text.strip()
        if not attempt.reason:
            fault = answer_fault(attempt.answer, parent.language)
            for reason in ("sorry_answer", "answer_without_content"):
                if attempt.eliminate(reason, fault == reason):
                    break
        return attempt

    def _text_fails(self, attempt: Attempt) -> bool:
        parent = attempt.parent
        if not attempt.text:
            attempt.reason = "evolve_empty_reply"
        elif attempt.text == parent.text:
            attempt.reason = "equal_to_parent"
        elif refuses(attempt.text, parent.text):
            attempt.reason = "evolve_refused"
        else:
            leaks = self._operations.leaks.get(parent.language, ())
            attempt.eliminate("leaks_prompt", leaks_prompt(attempt.text, parent.text, leaks))
        return bool(attempt.reason)

    async def _judge(self, attempt: Attempt, prompt: Prompt) -> None:
        values = {"first": attempt.parent.text, "second": attempt.text}
        reply = await self._ask(attempt, "judge", prompt, 0, values, temperature=0.0, max_tokens=_VERDICT_TOKENS)
        if attempt.reason:
            return
        equal = is_equal(reply.text)
        if equal is None:
            attempt.reason = "verdict_unreadable"
        else:
            attempt.eliminate("equal_to_parent", equal)
        if attempt.reason:
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
        attempt.replies[stage], attempt.prompts[stage] = reply, prompt.hash
        if reply.reason:
            attempt.reason, attempt.detail = f"{stage}_{reply.reason}", reply.detail
        return reply
