"""Complexity and quality by a judge: variants of one instruction, or answers to it, are scored in one prompt.

After Deita (Liu et al. 2024, section 2.2 and 2.3), which evolves an instruction or an answer five times and lets a
model score all six beside each other: scores of texts that are seen together spread more than those of texts seen
alone. Here the variants are those that the rows themselves have: descendants of a seed, answers to an instruction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from corpus.core.conversations import Conversation
from instruct.client import REQUEST_REJECTED, ChatClient, Reply, Request, map_in_order
from instruct.language import has_chinese
from instruct.prompt import LANGUAGES, load_prompts
from instruct.score_replies import parse_set_scores
from instruct.structured import read

JUDGED = ("complexity", "quality")
PROMPTS = "score"
LARGEST_SET = 6  # Deita's: an instruction and its five variants
_LIKELIEST = 20  # tokens whose log-probabilities are asked for, the most that OpenAI's API gives


@dataclass(frozen=True)
class TextSet:
    """Texts to be scored in one prompt, and the numbers of the rows that each of them stands for."""

    measure: str
    task: str
    texts: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]
    language: str


@dataclass(frozen=True)
class SetScores:
    """The scores of a set, or in the reply the reason why there are none."""

    of: TextSet
    reply: Reply
    scores: list[float] | None

    @property
    def prompt_hash(self) -> str:
        """Of the prompt that was sent."""
        return load_prompts(self.of.language, PROMPTS)[self.of.measure].hash


def question_of(row: Conversation) -> str:
    """The instruction of a row: all that comes before its last reply."""
    turns = [message["content"] for message in row["messages"][:-1]]
    return "\n\n".join(turns).strip()


def answer_of(row: Conversation) -> str:
    """The last reply of a row."""
    return str(row["messages"][-1]["content"]).strip()


def text_sets(rows: Sequence[Conversation], measure: str, language: str | None) -> list[TextSet]:
    """The sets of a measure, of at most six texts each, in the order of their first rows.

    For `complexity` the different instructions of one root (`lineage.root`, else the row's id), for `quality` the
    different answers to one instruction.
    """
    groups: dict[str, dict[str, list[int]]] = {}
    for number, row in enumerate(rows):
        key = str(row["lineage"].get("root", row["id"])) if measure == "complexity" else question_of(row)
        text = question_of(row) if measure == "complexity" else answer_of(row)
        groups.setdefault(key, {}).setdefault(text, []).append(number)
    sets = []
    for key, group in groups.items():
        texts = list(group.items())
        for start in range(0, len(texts), LARGEST_SET):
            some = texts[start : start + LARGEST_SET]
            task = "" if measure == "complexity" else key
            of_first = language or str(rows[some[0][1][0]]["lang"])
            if of_first not in LANGUAGES:
                of_first = "zh" if has_chinese(task or some[0][0]) else "en"
            sets.append(
                TextSet(measure, task, tuple(t for t, _ in some), tuple(tuple(n) for _, n in some), of_first)
            )
    return sets


class SetJudge:
    """Asks a judge for the scores of sets, with log-probabilities until the endpoint refuses them."""

    def __init__(self, client: ChatClient, temperature: float, max_tokens: int) -> None:
        self._client = client
        self._temperature = temperature
        self._max_tokens = max_tokens
        self._logprobs = True

    async def score(self, texts: TextSet) -> SetScores:
        """The scores of one set."""
        plain = Request(_messages(texts), self._max_tokens, {"temperature": self._temperature})
        asked = {"logprobs": True, "top_logprobs": _LIKELIEST}
        reply = None
        if self._logprobs:
            reply = await self._client.ask(replace(plain, parameters={**plain.parameters, **asked}))
            if reply.reason == REQUEST_REJECTED and "logprobs" in reply.detail.lower():
                self._logprobs, reply = False, None
        reply = reply or await self._client.ask(plain)
        scores, judged = read(reply, lambda text: parse_set_scores(text, len(texts.texts), reply.logprobs))
        return SetScores(texts, judged, scores)

    async def score_all(self, sets: Sequence[TextSet], done: Callable[[], None]) -> list[SetScores]:
        """The scores of many sets, in their order; `done` hears of each."""

        async def one(texts: TextSet) -> SetScores:
            found = await self.score(texts)
            done()
            return found

        return await map_in_order(one, sets, self._client.endpoint.concurrency)


def _messages(texts: TextSet) -> tuple[dict[str, str], ...]:
    prompts = load_prompts(texts.language, PROMPTS)
    items = [
        prompts["item"].messages(number=str(number), text=text)[0]["content"]
        for number, text in enumerate(texts.texts, 1)
    ]
    values: Mapping[str, str] = {"count": str(len(items)), "items": "\n\n".join(items), "task": texts.task}
    return prompts[texts.measure].messages(**values)
