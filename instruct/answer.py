"""Conversations answered anew by another model, as Alpaca-GPT4 did with Alpaca's (Peng et al. 2023).

Several samples are rows of their own, or a judge picks one: it sees them in two orders, since a judge prefers
places (Zheng et al. 2023, section 3.3).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from corpus.core.errors import UsageError
from corpus.core.files import text_hash
from instruct.cache import canonical_json
from instruct.client import UNPAID, ChatClient, Endpoint, Reply, Request
from instruct.prompt import LANGUAGES, load_prompts, prompt_language
from instruct.row_runs import Outcome, RowCommand, Source

LAST, EACH = "last", "each"
_VERDICT_TOKENS = 256  # a model that reasons aloud needs more than a number
_NUMBER = re.compile(r"\d{1,9}")
Message = dict[str, Any]


@dataclass(frozen=True)
class AnswerOptions:
    """What changes the rows: samples of a reply, whether a judge picks one, which rounds, and the sampling.

    `rounds`: `last` answers the last round, with the earlier ones as they are; `each` answers all in turn, each
    with the new replies before it.
    """

    samples: int = 1
    pick: str | None = None
    rounds: str = LAST
    temperature: float = 1.0
    max_tokens: int = 2048

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise UsageError("--samples must be at least 1")
        if self.max_tokens < 1:
            raise UsageError("--max-tokens must be at least 1")
        if self.rounds not in (LAST, EACH):
            raise UsageError(f"--rounds {self.rounds}: choose one of {LAST}, {EACH}")
        if self.pick not in (None, "judge"):
            raise UsageError(f"--pick {self.pick}: choose judge, or leave it out")
        if self.pick and self.samples < 2:
            raise UsageError("--pick judge needs --samples of at least 2")


def answer_command(endpoint: Endpoint, options: AnswerOptions, judge: Endpoint | None = None) -> RowCommand:
    """The verb `answer`; replies are picked by the model at `judge`, or by the same."""

    async def work(client: ChatClient, picker: ChatClient, row: Source) -> Outcome:
        answerer = Answerer(client, picker, options, row)
        samples = range(options.samples)
        if options.pick:
            return await answerer.chain(list(samples), row.conversation["id"])
        if options.samples == 1:
            return await answerer.chain([0], row.conversation["id"])
        names = [f"{row.conversation['id']}#{sample + 1}" for sample in samples]
        found = await asyncio.gather(*(answerer.chain([sample], names[sample]) for sample in samples))
        return Outcome(
            [kept for one in found for kept in one.kept],
            [removed for one in found for removed in one.removed],
            [reply for one in found for reply in one.replies],
        )

    hashes = [[load_prompts(code)["answer"].hash, load_prompts(code, "answer")["pick"].hash] for code in LANGUAGES]
    parameters = {**asdict(options), "prompts": text_hash(canonical_json(hashes))}
    if judge is not None:
        parameters["judge_model"] = judge.model
    return RowCommand("answer", parameters, endpoint, work, judge, "pick")


@dataclass
class _Chain:
    """A conversation on its way: its messages so far, and what they rest on."""

    messages: list[Message]
    replies: list[tuple[str, Reply]] = field(default_factory=list)
    replaced: list[dict[str, Any]] = field(default_factory=list)
    reason: str = ""
    detail: str = ""


class Answerer:
    """Answers one conversation anew."""

    def __init__(self, client: ChatClient, picker: ChatClient, options: AnswerOptions, row: Source) -> None:
        self._client = client
        self._picker = picker
        self._options = options
        self._row = row
        conversation = row.conversation
        question = next(one["content"] for one in conversation["messages"] if one["role"] == "user")
        self._language = prompt_language(conversation["lang"], question)
        self._prompt = load_prompts(self._language)["answer"]
        self._own_system = conversation["messages"][0]["role"] == "system"

    async def chain(self, samples: Sequence[int], name: str) -> Outcome:
        """The row `name` with its rounds answered; of several samples of a round the judge's pick goes on."""
        chain = _Chain(list(self._row.conversation["messages"]))
        places = [place for place, one in enumerate(chain.messages) if one["role"] == "assistant"]
        for place in places if self._options.rounds == EACH else places[-1:]:
            await self._answer(chain, place, samples)
            if chain.reason:
                break
        row = {**self._row.conversation, "id": name, "messages": chain.messages, "lineage": self._lineage(chain)}
        if chain.reason:
            removed = {**row, "reason": chain.reason, "detail": chain.detail}
            return Outcome(removed=[removed], replies=chain.replies)
        return Outcome(kept=[row], replies=chain.replies)

    async def _answer(self, chain: _Chain, place: int, samples: Sequence[int]) -> None:
        before = chain.messages[:place]
        asked = [self._client.ask(self._request(before, sample)) for sample in samples]
        replies = list(await asyncio.gather(*asked))
        chain.replies += [("answer", reply) for reply in replies]
        usable = [number for number, reply in enumerate(replies) if not reply.reason]
        unpaid = next((reply for reply in replies if reply.reason in UNPAID), None)
        old = chain.messages[place]
        note: dict[str, Any] = {"message": place, "content": old["content"]}
        if unpaid or not usable:
            failed = unpaid or replies[0]
            chain.reason, chain.detail = f"answer_{failed.reason}", failed.detail
            return
        first: dict[str, int] = {}  # of equal texts
        for number in usable:
            first.setdefault(replies[number].text.strip(), number)
        texts = list(first)
        text = texts[await self._pick(chain, before, texts, note) if len(texts) > 1 else 0]
        if not chain.reason:
            chain.messages[place] = {**old, "content": text}
            chosen = first[text]
            chain.replaced.append({**note, "sample": samples[chosen], "request_key": replies[chosen].key})

    def _request(self, before: Sequence[Message], sample: int) -> Request:
        turns = [{"role": one["role"], "content": one["content"]} for one in before]
        if not self._own_system and self._prompt.system:
            turns.insert(0, {"role": "system", "content": self._prompt.system.strip()})
        return Request(tuple(turns), self._options.max_tokens, {"temperature": self._options.temperature}, sample)

    async def _pick(
        self, chain: _Chain, before: Sequence[Message], texts: Sequence[str], note: dict[str, Any]
    ) -> int:
        """The place of the best text. Where the two orders disagree it is the earlier of their two."""
        prompt = load_prompts(self._language, "answer")["pick"]
        orders = [list(range(len(texts))), list(reversed(range(len(texts))))]
        requests = []
        for order in orders:
            shown = "\n\n".join(f"[{number}]\n{texts[place]}" for number, place in enumerate(order, 1))
            messages = prompt.messages(count=str(len(texts)), conversation=rendered(before), replies=shown)
            requests.append(Request(messages, _VERDICT_TOKENS, {"temperature": 0.0}))
        replies = await asyncio.gather(*(self._picker.ask(request) for request in requests))
        chain.replies += [("pick", reply) for reply in replies]
        bad = next((reply for reply in replies if reply.reason in UNPAID), None)
        numbers = [verdict(reply.text, len(texts)) for reply in replies]
        found = [order[number - 1] for order, number in zip(orders, numbers, strict=True) if number]
        if bad or not found:
            failed = bad or next((reply for reply in replies if reply.reason), None)
            chain.reason = f"pick_{failed.reason}" if failed else "pick_verdict_unreadable"
            chain.detail = failed.detail if failed else replies[0].text[:200]
            return 0
        note["pick"] = {
            "model": self._picker.endpoint.model,
            "prompt_hash": prompt.hash,
            "of": len(texts),
            "orders_agree": len(found) == len(orders) and len(set(found)) == 1,
            "request_keys": [reply.key for reply in replies],
        }
        return min(found)

    def _lineage(self, chain: _Chain) -> dict[str, Any]:
        """The row's own lineage, and what was answered by whom in place of what; an earlier answer stays below."""
        own = self._row.conversation["lineage"]
        made = {
            "conversation": self._row.conversation["id"],
            "place": self._row.place,
            "model": self._client.endpoint.model,
            "prompt_hash": "" if self._own_system else self._prompt.hash,
            "replaced": chain.replaced,
            "request_keys": [reply.key for stage, reply in chain.replies if stage == "answer"],
        }
        return {**own, "answer": {**made, "before": own["answer"]} if "answer" in own else made}


def rendered(messages: Sequence[Message]) -> str:
    """A conversation as a text for a judge."""
    return "\n\n".join(f"<{one['role']}>\n{one['content']}" for one in messages)


def verdict(text: str, count: int) -> int | None:
    """The number from 1 to `count` that a judge's reply names, or None where it names none or several."""
    found = {int(number) for number in _NUMBER.findall(text)}
    named = {number for number in found if 1 <= number <= count}
    return named.pop() if len(named) == 1 else None
