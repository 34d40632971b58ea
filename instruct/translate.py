"""Conversations in other languages, as Phoenix made them (Chen et al. 2023, section 3).

Post-translation: questions and replies are translated. Post-answer: only the questions are, and a model answers
them in the target language. The language is given, or drawn by numbers of speakers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from corpus.core.errors import UsageError
from corpus.core.files import text_hash
from instruct.cache import canonical_json
from instruct.client import ChatClient, Endpoint, Reply, Request
from instruct.forms import HELD_INPUT
from instruct.prompt import LANGUAGES, Prompt, load_prompts
from instruct.row_runs import Outcome, RowCommand, Source
from instruct.target_languages import (
    TargetLanguage,
    chosen_languages,
    draw_language,
    language_of,
    other_language,
    target_languages,
)
from instruct.translate_marks import Protected, protect, restore, without_marks
from instruct.translate_tasks import hinges_on_language, says_yes

TRANSLATION, ANSWER = "translation", "answer"
_VERDICT_TOKENS = 256  # a model that reasons aloud needs more than one word
Message = dict[str, Any]


@dataclass(frozen=True)
class TranslateOptions:
    """What changes the rows: the way, target languages, whether a model is asked if a task can be translated.

    `to` is a code, codes with commas, or `speakers`; where there are several, one is drawn for each row. The
    temperature is that of answers; translations are asked at 0.
    """

    mode: str
    to: str
    question: bool = True
    temperature: float = 1.0
    max_tokens: int = 2048
    seed: int = 0

    def __post_init__(self) -> None:
        if self.mode not in (TRANSLATION, ANSWER):
            raise UsageError(f"--mode {self.mode}: choose one of {TRANSLATION}, {ANSWER}")
        if self.max_tokens < 1:
            raise UsageError("--max-tokens must be at least 1")
        chosen_languages(self.to)


def translate_command(endpoint: Endpoint, options: TranslateOptions) -> RowCommand:
    """The verb `translate`."""
    languages = chosen_languages(options.to)

    async def work(client: ChatClient, _: ChatClient, row: Source) -> Outcome:
        conversation = row.conversation
        questions = "\n".join(one["content"] for one in conversation["messages"] if one["role"] == "user")
        source = language_of(questions, conversation["lang"])
        target = draw_language(languages, conversation["id"], options.seed, besides=source)
        if target is None:
            return Translator(client, options, row, source, languages[0]).removed("already_in_target_language")
        return await Translator(client, options, row, source, target).outcome()

    hashes = [
        {name: prompt.hash for name, prompt in load_prompts(code, "translate").items()} for code in LANGUAGES
    ]
    speakers = [asdict(language) for language in target_languages().values()]
    parameters = {**asdict(options), "prompts": text_hash(canonical_json([hashes, speakers]))}
    return RowCommand("translate", parameters, endpoint, work)


class RowFailed(Exception):  # noqa: N818 - what became of the row
    """A row cannot be translated; its reason and its evidence."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason, self.detail = reason, detail


@dataclass
class _Made:
    """What a translation rests on."""

    replies: list[tuple[str, Reply]] = field(default_factory=list)
    prompts: dict[str, str] = field(default_factory=dict)
    checks: list[str] = field(default_factory=list)
    repeated: int = 0


class Translator:
    """Translates one conversation."""

    def __init__(
        self, client: ChatClient, options: TranslateOptions, row: Source, source: str, target: TargetLanguage
    ) -> None:
        self._client = client
        self._options = options
        self._row = row
        self._source = source
        self._target = target
        language = "zh" if source == "zh" else "en"
        self._prompts = load_prompts(language, "translate")
        self._name = target.named(language)
        self._made = _Made()

    async def outcome(self) -> Outcome:
        """The translated row, or the row removed with its reason."""
        conversation = self._row.conversation
        messages: list[Message] = []
        held: dict[str, str] = {}
        try:
            await self._check_task()
            for message in conversation["messages"]:
                if message["role"] == "assistant" and self._options.mode == ANSWER:
                    content = await self._answer(messages)
                elif message["role"] == "user" and not messages and conversation["lineage"].get(HELD_INPUT):
                    content, held = await self._task(message["content"], conversation["lineage"][HELD_INPUT])
                else:
                    content = await self._translated(message["content"])
                messages.append({**message, "content": content})
        except RowFailed as failed:
            return self.removed(failed.reason, failed.detail, messages)
        row = {
            **conversation,
            "id": f"{conversation['id']}-{self._target.code}",
            "messages": messages,
            "lang": self._target.code,
            "source": "instruct translate",
            "lineage": {**self._lineage(), **held},
        }
        return Outcome(kept=[row], replies=self._made.replies)

    def removed(self, reason: str, detail: str = "", made: Sequence[Message] = ()) -> Outcome:
        """The row as it came in, with the reason and what was translated of it before it failed."""
        row = {
            **self._row.conversation,
            "reason": reason,
            "detail": detail,
            "translated": list(made),
            "lineage": self._lineage(),
        }
        return Outcome(removed=[row], replies=self._made.replies)

    async def _check_task(self) -> None:
        """Fail where the conversation hangs on the words of its language."""
        conversation = self._row.conversation
        questions = [one["content"] for one in conversation["messages"] if one["role"] == "user"]
        given = conversation["lineage"].get(HELD_INPUT)
        if isinstance(given, str) and given:
            questions[0] = questions[0].removesuffix(given)
        words = next(filter(None, map(hinges_on_language, questions)), "")
        if words:
            raise RowFailed("hinges_on_language", words)
        self._made.checks.append("rules")
        if not self._options.question:
            return
        messages = self._filled("question", instruction="\n\n".join(questions))
        reply = await self._ask("question", messages, _VERDICT_TOKENS)
        yes = says_yes(reply.text)
        if yes is None:
            raise RowFailed("question_unreadable", reply.text[:200])
        if yes:
            raise RowFailed("hinges_on_language", reply.text[:200])
        self._made.checks.append("question")

    async def _task(self, question: str, given: str) -> tuple[str, dict[str, str]]:
        """An instruction and its input translated by themselves, so that they can still be parted."""
        instruction = question.removesuffix(f"\n\n{given}")
        if instruction == question:
            return await self._translated(question), {}
        new_given = await self._translated(given)
        return f"{await self._translated(instruction)}\n\n{new_given}", {HELD_INPUT: new_given}

    async def _translated(self, text: str) -> str:
        protected = protect(text)
        if not any(letter.isalpha() for letter in protected.words):
            return text
        messages = self._filled("translate", language=self._name, text=protected.text)
        text = await self._asked_twice("translate", messages, lambda reply: self._fault(reply, protected), 0.0)
        return restore(text, protected).text

    def _fault(self, reply: str, protected: Protected) -> tuple[str, str, str]:
        """Reason, evidence and prompt to ask again of a bad translation, or empty texts."""
        faults = restore(reply, protected).faults
        if faults:
            return "marks_not_kept", ", ".join(faults), "again_marks"
        other = other_language(without_marks(reply), self._target)
        return ("wrong_language", other, "again_language") if other else ("", "", "")

    async def _answer(self, before: Sequence[Message]) -> str:
        turns = [{"role": one["role"], "content": one["content"]} for one in before]
        if turns[0]["role"] == "system":
            note = self._filled("in_language", language=self._name)[0]["content"]
            turns[0]["content"] += f"\n\n{note}"
        else:
            turns = [*self._filled("answer", language=self._name, instruction=turns[0]["content"]), *turns[1:]]

        def fault(reply: str) -> tuple[str, str, str]:
            other = other_language(protect(reply).words, self._target)
            return ("wrong_language", other, "answer_again") if other else ("", "", "")

        return await self._asked_twice("answer", turns, fault, self._options.temperature)

    async def _asked_twice(
        self,
        stage: str,
        messages: Sequence[Mapping[str, str]],
        fault: Callable[[str], tuple[str, str, str]],
        temperature: float,
    ) -> str:
        """A reply without fault; the model is told of the first one's fault and asked once more."""
        text = (await self._ask(stage, messages, self._options.max_tokens, temperature)).text.strip()
        reason, detail, again = fault(text)
        if reason:
            self._made.repeated += 1
            told = self._filled(again, language=self._name, marks=detail)
            turns = [*messages, {"role": "assistant", "content": text}, *told]
            text = (await self._ask(stage, turns, self._options.max_tokens, temperature)).text.strip()
            reason, detail, _ = fault(text)
        if reason:
            raise RowFailed(f"{stage}_{reason}", detail)
        return text

    def _filled(self, name: str, **values: str) -> list[dict[str, str]]:
        prompt: Prompt = self._prompts[name]
        self._made.prompts[name] = prompt.hash
        return list(prompt.messages(**values))

    async def _ask(
        self, stage: str, messages: Sequence[Mapping[str, str]], max_tokens: int, temperature: float = 0.0
    ) -> Reply:
        turns = tuple(dict(message) for message in messages)
        reply = await self._client.ask(Request(turns, max_tokens, {"temperature": temperature}))
        self._made.replies.append((stage, reply))
        if reply.reason:
            raise RowFailed(f"{stage}_{reply.reason}", reply.detail)
        return reply

    def _lineage(self) -> dict[str, Any]:
        own = {name: value for name, value in self._row.conversation["lineage"].items() if name != HELD_INPUT}
        keys: dict[str, list[str]] = {}
        for stage, reply in self._made.replies:
            keys.setdefault(stage, []).append(reply.key)
        found = {
            "operation": "translate",
            "mode": self._options.mode,
            "parent": self._row.conversation["id"],
            "origin": self._row.place,
            "from": self._source,
            "to": self._target.code,
            "model": self._client.endpoint.model,
            "prompt_hashes": self._made.prompts,
            "request_keys": keys,
            "checks_passed": self._made.checks,
            "asked_again": self._made.repeated,
        }
        return {**found, "parent_lineage": own} if own else found
