"""`instruct score`: rows get scores, which `instruct select` and others can use; nothing else of them changes.

`length` counts, `complexity` and `quality` ask a judge, `ifd` and `reward` come from local models.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from corpus.core.console import Progress, progress
from corpus.core.conversations import Conversation, write_conversations
from corpus.core.errors import UsageError
from corpus.core.files import file_hash, read_json, text_hash, write_json, write_json_lines
from corpus.core.output import Manifest, remove_stages
from instruct.cache import RequestCache, canonical_json, default_cache_path
from instruct.client import ChatClient, Endpoint, Tally
from instruct.convert import ConvertResult, read_rows
from instruct.costs import Usage, costs
from instruct.estimate import Estimate, Unit, pilot_places, run_pilot
from instruct.language import has_chinese, length
from instruct.prompt import LANGUAGES, load_prompts
from instruct.rows import CONVERSATIONS, list_row_files
from instruct.runs import Run, total_size
from instruct.score_judge import JUDGED, PROMPTS, SetJudge, SetScores, TextSet, text_sets

LOCAL = ("ifd", "reward")
MEASURES = ("length", *JUDGED, *LOCAL)
_CHUNK = 64  # rows whose scores by a local model are kept together, for a run that goes on
_DIGITS = 6


@dataclass(frozen=True)
class ScoreOptions:
    """Which scores, by which local models, and how a judge is asked; `language` None: each row's own."""

    measures: tuple[str, ...]
    causal_model: Path | None = None
    reward_model: Path | None = None
    language: str | None = None
    temperature: float = 0.0
    max_tokens: int = 512

    def __post_init__(self) -> None:
        if not self.measures:
            raise UsageError(f"--measure: give at least one of {', '.join(MEASURES)}")
        for name in self.measures:
            if name not in MEASURES:
                raise UsageError(f"--measure {name}: choose from {', '.join(MEASURES)}")
        if "ifd" in self.measures and self.causal_model is None:
            raise UsageError("--measure ifd needs --causal-model PATH")
        if "reward" in self.measures and self.reward_model is None:
            raise UsageError("--measure reward needs --reward-model PATH")
        if self.language not in (None, *LANGUAGES):
            raise UsageError(f"--lang {self.language}: choose one of {', '.join(LANGUAGES)}")
        if self.max_tokens < 1:
            raise UsageError("--max-tokens must be at least 1")

    @property
    def judged(self) -> tuple[str, ...]:
        """The measures that ask a judge."""
        return tuple(name for name in self.measures if name in JUDGED)


@dataclass
class Scores:
    """Scores by measure and row, where each came from, and what could not be scored."""

    values: dict[str, list[float | None]] = field(default_factory=dict)
    lineage: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    unscored: list[dict[str, Any]] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)


def score(
    inputs: Sequence[str],
    output: Path,
    options: ScoreOptions,
    *,
    endpoint: Endpoint | None = None,
    cache_path: Path | None = None,
    overwrite: bool = False,
    strict: bool = False,
) -> tuple[Manifest, Tally | None]:
    """Score the rows of files of any readable form; returns the manifest and what was sent.

    Writes conversations.jsonl (all rows, with `scores`; None where there is none), unscored.jsonl (which score of
    which row is missing, the reason, a judge's reply), set_aside.jsonl and manifest.json. Raises UsageError,
    ZeroToOneError for unreadable input or models, EndpointError.
    """
    if options.judged and endpoint is None:
        raise UsageError(f"--measure {options.judged[0]} asks a judge: name it with --model")
    read, rows = _read_rows(inputs, strict)
    files = list_row_files(inputs)
    prints = [file_hash(Path(path)) for path in files if Path(path).is_file()]
    parameters = _parameters(options, endpoint, rows)
    run = Run("instruct score", parameters, inputs, prints, total_size(files), output)
    earlier = run.finished(overwrite)
    if earlier is not None:
        return earlier, None
    scores, tally = Scores(), None
    if "length" in options.measures:
        _add(scores, "length", rows, [(float(_length(row)), "") for row in rows], {})
    for name in options.measures:
        if name in LOCAL:
            _score_locally(name, rows, options, output, scores)
    if endpoint and options.judged:
        tally = _score_by_judge(rows, options, endpoint, cache_path or default_cache_path(), scores)
    write_conversations(output / CONVERSATIONS, _scored_rows(rows, scores))
    write_json_lines(output / "unscored.jsonl", scores.unscored)
    write_json_lines(output / "set_aside.jsonl", map(asdict, read.set_aside))
    manifest = run.write_manifest(**_entries(rows, read, scores, endpoint))
    remove_stages(output, *LOCAL)
    return manifest, tally


def estimate_score(
    inputs: Sequence[str], endpoint: Endpoint, options: ScoreOptions, *, cache_path: Path, strict: bool = False
) -> Estimate:
    """What the judge's scores would take, from a pilot of some sets; writes only the cache."""
    if not options.judged:
        raise UsageError(f"--estimate: none of the measures asks a judge ({', '.join(JUDGED)} do)")
    _, rows = _read_rows(inputs, strict)
    sets = [item for name in options.judged for item in text_sets(rows, name, options.language)]

    async def work(client: ChatClient, texts: TextSet) -> Unit:
        found = await SetJudge(client, options.temperature, options.max_tokens).score(texts)
        usage = Usage()
        usage.add(found.reply, texts.measure)
        return Unit(usage, len(texts.texts) if found.scores else 0)

    places = pilot_places([sum(map(len, texts.texts)) for texts in sets])
    return run_pilot([sets[place] for place in places], work, endpoint, cache_path, total=len(sets))


def _read_rows(inputs: Sequence[str], strict: bool) -> tuple[ConvertResult, list[Conversation]]:
    read = ConvertResult()
    rows = [row for _, _, row in read_rows(inputs, None, strict, read)]
    if not rows:
        raise read.nothing_left(inputs, "rows to score")
    return read, rows


def _parameters(options: ScoreOptions, endpoint: Endpoint | None, rows: Sequence[Conversation]) -> dict[str, Any]:
    found: dict[str, Any] = {"measures": list(options.measures)}
    if set(LOCAL) & set(options.measures):
        from instruct.local_models import model_fingerprint  # transformers takes seconds to import

        for name, path in (("ifd", options.causal_model), ("reward", options.reward_model)):
            if name in options.measures and path is not None:
                found[name] = {"model": path.name, "files": model_fingerprint(path)}
    if endpoint and options.judged:
        prompts = {name: load_prompts(name, PROMPTS) for name in LANGUAGES}
        hashes = {name: {key: prompt.hash for key, prompt in of.items()} for name, of in prompts.items()}
        found |= {
            "model": endpoint.model,
            "base_url": endpoint.public_url,
            "language": options.language,
            "temperature": options.temperature,
            "max_tokens": options.max_tokens,
            "prompts": text_hash(canonical_json(hashes)),
        }
    return found


def _length(row: Conversation) -> int:
    """Words of all replies, Chinese characters where there are some."""
    replies = [message["content"] for message in row["messages"] if message["role"] == "assistant"]
    return sum(length(text, "zh" if has_chinese(text) else "en") for text in replies)


def _add(
    scores: Scores,
    name: str,
    rows: Sequence[Conversation],
    found: Sequence[tuple[float | None, str]],
    lineage: dict[str, Any],
) -> None:
    scores.values[name] = [value for value, _ in found]
    scores.lineage[name] = [lineage] * len(rows)
    scores.unscored += [
        {"id": row["id"], "score": name, "reason": reason}
        for row, (value, reason) in zip(rows, found, strict=True)
        if value is None
    ]


def _score_locally(
    name: str, rows: Sequence[Conversation], options: ScoreOptions, output: Path, scores: Scores
) -> None:
    """Score by a local model, chunk by chunk; a chunk that an earlier run has scored is read."""
    path = options.causal_model if name == "ifd" else options.reward_model
    assert path is not None
    found: list[tuple[float | None, str]] = []
    compute: Callable[[Sequence[Conversation]], list[tuple[float | None, str]]] | None = None
    with progress(name, len(rows), "rows") as bar:
        for start in range(0, len(rows), _CHUNK):
            chunk = rows[start : start + _CHUNK]
            kept = output / ".state" / name / f"part-{start // _CHUNK:06d}.json"
            if not kept.exists():
                compute = compute or _local_scorer(name, path)
                write_json(kept, compute(chunk))
            found += [(value, reason) for value, reason in read_json(kept)]
            bar.advance(len(chunk))
    _add(scores, name, rows, found, {"model": path.name})


def _local_scorer(name: str, path: Path) -> Callable[[Sequence[Conversation]], list[tuple[float | None, str]]]:
    from instruct.local_models import open_local
    from instruct.score_models import check_reward_model, difficulty_scores, reward_scores

    model, tokenizer = open_local(path, "causal" if name == "ifd" else "reward")
    if name == "ifd":
        return lambda rows: difficulty_scores(rows, model, tokenizer)
    check_reward_model(model, tokenizer, str(path))
    return lambda rows: reward_scores(rows, model, tokenizer)


def _score_by_judge(
    rows: Sequence[Conversation], options: ScoreOptions, endpoint: Endpoint, cache_path: Path, scores: Scores
) -> Tally:
    sets = [item for name in options.judged for item in text_sets(rows, name, options.language)]
    with RequestCache(cache_path) as cache, progress("score", len(sets), "sets") as bar:
        found, tally = asyncio.run(_ask_all(sets, endpoint, cache, options, bar))
    for name in options.judged:
        scores.values[name] = [None] * len(rows)
        scores.lineage[name] = [{} for _ in rows]
    for item in found:
        scores.usage.add(item.reply, item.of.measure)
        _take(item, rows, endpoint.model, scores)
    return tally


async def _ask_all(
    sets: Sequence[TextSet], endpoint: Endpoint, cache: RequestCache, options: ScoreOptions, bar: Progress
) -> tuple[list[SetScores], Tally]:
    async with ChatClient(endpoint, cache) as client:

        def done() -> None:
            bar.text = client.tally.text()
            bar.advance()

        judge = SetJudge(client, options.temperature, options.max_tokens)
        return await judge.score_all(sets, done), client.tally


def _take(found: SetScores, rows: Sequence[Conversation], model: str, scores: Scores) -> None:
    """Give the scores of a set to its rows."""
    measure = found.of.measure
    lineage = {"model": model, "prompt_hash": found.prompt_hash, "request_key": found.reply.key}
    for place, numbers in enumerate(found.of.rows):
        for number in numbers:
            scores.lineage[measure][number] = lineage
            if found.scores:
                scores.values[measure][number] = found.scores[place]
                continue
            reply = found.reply
            row = {"id": rows[number]["id"], "score": measure, "reason": reply.reason, "detail": reply.detail}
            scores.unscored.append({**row, "text": reply.text})


def _scored_rows(rows: Sequence[Conversation], scores: Scores) -> Iterator[Conversation]:
    for number, row in enumerate(rows):
        new = {name: _rounded(values[number]) for name, values in scores.values.items()}
        about = {name: lineage[number] for name, lineage in scores.lineage.items() if lineage[number]}
        before = row["scores"] if isinstance(row.get("scores"), dict) else {}
        lineage = row["lineage"]
        if about:
            earlier = lineage["scores"] if isinstance(lineage.get("scores"), dict) else {}
            lineage = {**lineage, "scores": {**earlier, **about}}
        yield {**row, "lineage": lineage, "scores": {**before, **new}}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)


def _entries(
    rows: Sequence[Conversation], read: ConvertResult, scores: Scores, endpoint: Endpoint | None
) -> dict[str, Any]:
    measured = {name: [value for value in values if value is not None] for name, values in scores.values.items()}
    return {
        "counts": {"rows_in": read.rows_in, "rows_kept": len(rows), "rows_set_aside": len(read.set_aside)},
        "reasons": dict(sorted(Counter(f"{row['score']}: {row['reason']}" for row in scores.unscored).items())),
        "scores": {
            name: {
                "scored": len(values),
                **({"mean": sum(values) / len(values), "low": min(values), "high": max(values)} if values else {}),
            }
            for name, values in measured.items()
        },
        "usage": scores.usage.numbers(),
        "costs": costs(scores.usage, len(rows), endpoint.effective_price if endpoint else None),
    }
