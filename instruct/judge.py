"""`instruct judge`: systems compared by a model on a set of questions, in both orders, or from saved replies.

Pairwise: each system against the reference, two scores from 1 to 10, as in Vicuna's evaluation. Ranking: all
systems in one call, best first, as in LLMZoo's. Every comparison is shown in one order and in the opposite one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from corpus.core.console import progress
from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import file_hash, stable_fraction, text_hash, write_json_lines
from corpus.core.output import Manifest
from instruct.cache import RequestCache, canonical_json, default_cache_path
from instruct.client import ChatClient, Endpoint, Reply, Request, Tally, map_in_order
from instruct.costs import Usage, costs
from instruct.estimate import Estimate, Unit, pilot_places, run_pilot
from instruct.judge_inputs import Aside, Fields, Question, SavedReply, read_answers, read_questions, read_replies
from instruct.judge_outcomes import Judged, outcomes_of
from instruct.judge_replies import LETTERS, parse_ranking, parse_scores
from instruct.judge_statistics import Bootstrap, first_place_advantage, result_rows
from instruct.prompt import LANGUAGES, load_prompts
from instruct.runs import Run, total_size
from instruct.structured import UNREADABLE, Unreadable, read

MODES = ("pairwise", "ranking")
PROMPTS = "judge"


@dataclass(frozen=True)
class JudgeOptions:
    """What changes verdicts and figures. `reference` None: the first system; `language` None: each question's."""

    mode: str = "pairwise"
    reference: str | None = None
    language: str | None = None
    temperature: float = 0.0
    max_tokens: int = 1024
    resamples: int = 1000
    seed: int = 0
    fields: Fields = field(default_factory=Fields)

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise UsageError(f"--mode {self.mode}: choose one of {', '.join(MODES)}")
        if self.language not in (None, *LANGUAGES):
            raise UsageError(f"--lang {self.language}: choose one of {', '.join(LANGUAGES)}")
        if self.max_tokens < 1:
            raise UsageError("--max-tokens must be at least 1")
        if self.resamples < 0:
            raise UsageError("--resamples must be at least 0")


@dataclass(frozen=True)
class Comparison:
    """Answers to a question in the order in which they are shown."""

    question: Question
    systems: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """A judge's reply to a comparison: scores or ranks in the order shown, or the reason why there are none."""

    comparison: Comparison
    reply: Reply
    values: tuple[float, ...] | None

    def row(self, options: JudgeOptions, model: str | None) -> dict[str, Any]:
        """The line of `verdicts.jsonl`; `--replies` can read it again."""
        question, reply = self.comparison.question, self.reply
        lineage = {
            "model": model,
            "prompt_hash": _prompt_hash(question.language, options.mode),
            "request_key": reply.key,
        }
        return {
            "question_id": question.id,
            "category": question.category,
            "systems": list(self.comparison.systems),
            "scores" if options.mode == "pairwise" else "ranks": self.values and list(self.values),
            "reason": reply.reason,
            "detail": reply.detail,
            "text": reply.text,
            "lineage": lineage if model else {},
        }


@dataclass(frozen=True)
class Case:
    """What was read: questions, answers by system, the systems in their order, the one to compare with."""

    questions: Mapping[str, Question]
    answers: Mapping[str, Mapping[str, str]]
    systems: tuple[str, ...]
    reference: str


def judge(
    questions: str,
    answers: Mapping[str, str],
    output: Path,
    options: JudgeOptions,
    *,
    endpoint: Endpoint | None = None,
    cache_path: Path | None = None,
    replies: str | None = None,
    overwrite: bool = False,
    strict: bool = False,
) -> tuple[Manifest, Tally | None]:
    """Compare the systems whose `answers` (file by system) are given, by an endpoint or by saved replies.

    Writes verdicts.jsonl (every verdict with its text), removed.jsonl (comparisons that could not be made),
    set_aside.jsonl and manifest.json with the figures by system and category (`results`). Returns the manifest and
    what was sent. Raises UsageError, ZeroToOneError for unreadable input, EndpointError.
    """
    if (endpoint is None) == (replies is None):
        raise UsageError("give --model to ask a judge, or --replies FILE for replies that were saved")
    aside = Aside(strict)
    case, saved = _read_case(questions, answers, options, replies, aside)
    files = [questions, *answers.values(), *([replies] if replies else [])]
    parameters = _parameters(case, answers, endpoint, options)
    prints = [file_hash(Path(path)) for path in files if Path(path).is_file()]
    run = Run("instruct judge", parameters, files, prints, total_size(files), output)
    earlier = run.finished(overwrite)
    if earlier is not None:
        return earlier, None
    removed: list[dict[str, Any]] = []
    tally = None
    if endpoint is None:
        verdicts = [_saved_verdict(reply, case, options) for reply in saved]
    else:
        comparisons, removed = _comparisons(case, options)
        with (
            RequestCache(cache_path or default_cache_path()) as cache,
            progress("judge", len(comparisons), "comparisons") as bar,
        ):
            verdicts, tally = asyncio.run(_ask_all(comparisons, case, endpoint, cache, options, bar))
    model = endpoint.model if endpoint else None
    write_json_lines(output / "verdicts.jsonl", (verdict.row(options, model) for verdict in verdicts))
    write_json_lines(output / "removed.jsonl", removed)
    write_json_lines(output / "set_aside.jsonl", map(asdict, aside.records))
    entries = _entries(verdicts, removed, case, options, endpoint)
    entries["counts"]["records_set_aside"] = len(aside.records)
    return run.write_manifest(**entries), tally


def estimate_judge(
    questions: str,
    answers: Mapping[str, str],
    endpoint: Endpoint,
    options: JudgeOptions,
    *,
    cache_path: Path,
    strict: bool = False,
) -> Estimate:
    """What `judge` would take, from a pilot of some questions; writes only the cache."""
    case, _ = _read_case(questions, answers, options, None, Aside(strict))
    by_question: dict[str, list[Comparison]] = {}
    for comparison in _comparisons(case, options)[0]:
        by_question.setdefault(comparison.question.id, []).append(comparison)
    units = list(by_question.values())
    sizes = [sum(len(case.answers[name][unit[0].question.id]) for name in unit[0].systems) for unit in units]

    async def work(client: ChatClient, unit: list[Comparison]) -> Unit:
        verdicts = [await _ask(client, comparison, case, options) for comparison in unit]
        return Unit(_usage(verdicts), sum(verdict.values is not None for verdict in verdicts))

    pilot = [units[place] for place in pilot_places(sizes)]
    return run_pilot(pilot, work, endpoint, cache_path, total=len(units))


def _read_case(
    questions: str, answers: Mapping[str, str], options: JudgeOptions, replies: str | None, aside: Aside
) -> tuple[Case, list[SavedReply]]:
    asked = read_questions(questions, options.fields, options.language, aside)
    given = {name: read_answers(path, options.fields, asked, aside) for name, path in answers.items()}
    saved = read_replies(replies, options.fields, asked, aside) if replies else []
    shown = dict.fromkeys(name for reply in saved for name in reply.systems)
    systems = tuple(dict.fromkeys([*given, *shown]))
    if len(systems) < 2:
        raise UsageError("a judge compares at least two systems: give --answers NAME=FILE for each")
    if options.mode == "ranking" and len(systems) > len(LETTERS):
        raise UsageError(f"--mode ranking: at most {len(LETTERS)} systems")
    reference = options.reference or systems[0]
    if reference not in systems:
        raise UsageError(f"--reference {reference}: not a system; there are {', '.join(systems)}")
    return Case(asked, given, systems, reference), saved


def _parameters(
    case: Case, answers: Mapping[str, str], endpoint: Endpoint | None, options: JudgeOptions
) -> dict[str, Any]:
    languages = sorted({question.language for question in case.questions.values()})
    hashes = {name: _prompt_hash(name, options.mode) for name in languages}
    return {
        **asdict(options),
        "reference": case.reference,
        "systems": list(case.systems),
        "answers": {name: Path(path).name for name, path in answers.items()},
        "model": endpoint.model if endpoint else None,
        "base_url": endpoint.public_url if endpoint else None,
        "prompts": text_hash(canonical_json(hashes)) if endpoint else None,
    }


def _prompt_hash(language: str, mode: str) -> str:
    prompts = load_prompts(language, PROMPTS)
    if mode == "pairwise":
        return prompts["pair"].hash
    return text_hash(prompts["ranking"].hash + prompts["answer"].hash)


def _comparisons(case: Case, options: JudgeOptions) -> tuple[list[Comparison], list[dict[str, Any]]]:
    """What to ask, each order after the other, and what cannot be asked for want of an answer.

    Raises ZeroToOneError where nothing can be asked.
    """
    comparisons, removed = [], []
    for question in case.questions.values():
        for systems in _together(question, case, options):
            missing = [name for name in systems if question.id not in case.answers.get(name, {})]
            if missing:
                row = {"question_id": question.id, "systems": list(systems), "reason": "no_answer"}
                removed.append({**row, "detail": ", ".join(missing)})
                continue
            comparisons += [Comparison(question, systems), Comparison(question, systems[::-1])]
    if not comparisons:
        raise ZeroToOneError("nothing to judge: no question has an answer of each system that is compared")
    return comparisons, removed


def _together(question: Question, case: Case, options: JudgeOptions) -> Iterator[tuple[str, ...]]:
    """The systems that are shown together; a ranking's order is drawn for each question."""
    if options.mode == "ranking":
        drawn = sorted(case.systems, key=lambda name: stable_fraction(f"{question.id}\x00{name}", options.seed))
        yield tuple(drawn)
        return
    for name in case.systems:
        if name != case.reference:
            yield name, case.reference


async def _ask_all(
    comparisons: Sequence[Comparison],
    case: Case,
    endpoint: Endpoint,
    cache: RequestCache,
    options: JudgeOptions,
    bar: Any,
) -> tuple[list[Verdict], Tally]:
    async with ChatClient(endpoint, cache) as client:

        async def one(comparison: Comparison) -> Verdict:
            verdict = await _ask(client, comparison, case, options)
            bar.text = client.tally.text()
            bar.advance()
            return verdict

        return await map_in_order(one, comparisons, endpoint.concurrency), client.tally


async def _ask(client: ChatClient, comparison: Comparison, case: Case, options: JudgeOptions) -> Verdict:
    texts = [case.answers[name][comparison.question.id] for name in comparison.systems]
    messages = _messages(comparison.question, texts, options.mode)
    request = Request(messages, options.max_tokens, {"temperature": options.temperature})
    return _verdict(comparison, await client.ask(request), options)


def _messages(question: Question, texts: Sequence[str], mode: str) -> tuple[dict[str, str], ...]:
    prompts = load_prompts(question.language, PROMPTS)
    if mode == "pairwise":
        return prompts["pair"].messages(question=question.text, first=texts[0], second=texts[1])
    letters = LETTERS[: len(texts)]
    shown = [
        prompts["answer"].messages(letter=letter, text=text)[0]["content"]
        for letter, text in zip(letters, texts, strict=True)
    ]
    return prompts["ranking"].messages(
        question=question.text,
        count=str(len(texts)),
        answers="\n\n".join(shown),
        example=" > ".join(letters[1:] + letters[:1]),
    )


def _verdict(comparison: Comparison, reply: Reply, options: JudgeOptions) -> Verdict:
    def reader(text: str) -> tuple[float, ...]:
        if options.mode == "ranking":
            return tuple(parse_ranking(text, len(comparison.systems)))
        if len(comparison.systems) != 2:
            raise Unreadable("scores of two answers are read, not of more; see --mode ranking")
        return parse_scores(text)

    values, judged = read(reply, reader)
    return Verdict(comparison, judged, values)


def _saved_verdict(saved: SavedReply, case: Case, options: JudgeOptions) -> Verdict:
    """A saved reply, read again; one that had another fault than being unreadable keeps it."""
    reason = saved.reason if saved.reason != UNREADABLE else ""
    reply = Reply("", saved.text, reason=reason, detail=saved.detail if reason else "")
    return _verdict(Comparison(case.questions[saved.question], saved.systems), reply, options)


def _entries(
    verdicts: Sequence[Verdict],
    removed: Sequence[Mapping[str, Any]],
    case: Case,
    options: JudgeOptions,
    endpoint: Endpoint | None,
) -> dict[str, Any]:
    """The manifest's own entries."""
    sign = 1.0 if options.mode == "pairwise" else -1.0
    judged = [
        Judged(verdict.comparison.question.id, verdict.comparison.systems, tuple(sign * v for v in verdict.values))
        for verdict in verdicts
        if verdict.values is not None
    ]
    lengths = {name: {id: len(text) for id, text in given.items()} for name, given in case.answers.items()}
    order = list(case.questions)
    outcomes = {
        name: outcomes_of(judged, name, case.reference, order, lengths)
        for name in case.systems
        if name != case.reference
    }
    categories = {id: question.category for id, question in case.questions.items()}
    usage = _usage(verdicts) if endpoint else Usage()
    return {
        "counts": {
            "questions": len(case.questions),
            "systems": len(case.systems),
            "verdicts": len(verdicts),
            "verdicts_readable": len(judged),
            "comparisons_removed": len(removed),
            "one_order_alone": _incomplete(judged),
        },
        "reasons": _reasons(verdicts) | dict(Counter(str(row["reason"]) for row in removed)),
        "results": result_rows(
            outcomes, categories, Bootstrap(options.resamples, options.seed), scored=options.mode == "pairwise"
        ),
        "first_place_advantage": first_place_advantage([verdict.values for verdict in judged]),
        "usage": usage.numbers(),
        "costs": costs(usage, len(judged), endpoint.effective_price if endpoint else None),
    }


def _incomplete(judged: Sequence[Judged]) -> int:
    """Comparisons of which only one order can be read."""
    orders = {(verdict.question, verdict.systems) for verdict in judged}
    return sum((question, systems[::-1]) not in orders for question, systems in orders)


def _reasons(verdicts: Sequence[Verdict]) -> dict[str, int]:
    found = Counter(verdict.reply.reason for verdict in verdicts if verdict.values is None)
    return dict(sorted(found.items()))


def _usage(verdicts: Sequence[Verdict]) -> Usage:
    usage = Usage()
    for verdict in verdicts:
        usage.add(verdict.reply, "judge")
    return usage
