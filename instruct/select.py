"""`instruct select`: the best rows, as long as they differ from the better ones that are taken already.

After Deita (Liu et al. 2024, algorithm 1): rows are taken in the order of their score, each only if its distance
to the nearest one taken is above a threshold, until there are enough.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.core.console import Progress, progress
from corpus.core.conversations import Conversation
from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import file_hash
from corpus.core.output import Manifest
from instruct.convert import ConvertResult, read_rows
from instruct.rows import list_row_files
from instruct.runs import Run, RunResult, total_size
from instruct.select_nearest import HashSpace, Nearest, Space, VectorSpace, WordSpace
from instruct.select_quotas import Quota, Quotas

DIVERSITIES = ("tfidf", "minhash", "embedding", "none")


@dataclass(frozen=True)
class SelectOptions:
    """Which rows: scores to multiply, how many, how far apart and in which space, quotas."""

    by: tuple[str, ...]
    count: int | None = None
    diversity: str = "tfidf"
    distance: float = 0.1
    embedding_model: Path | None = None
    quotas: tuple[Quota, ...] = ()

    def __post_init__(self) -> None:
        if not self.by:
            raise UsageError("--by: name at least one score")
        if self.count is not None and self.count < 1:
            raise UsageError("--count must be at least 1")
        if self.diversity not in DIVERSITIES:
            raise UsageError(f"--diversity {self.diversity}: choose one of {', '.join(DIVERSITIES)}")
        if not 0 <= self.distance <= 1:
            raise UsageError("--distance must be from 0 to 1")
        if (self.diversity == "embedding") != (self.embedding_model is not None):
            raise UsageError("--diversity embedding and --embedding-model PATH go together")


@dataclass(frozen=True)
class Choice:
    """What became of a row: its score, the reason why it is not taken, the nearest taken row if there is one."""

    score: float | None
    reason: str = ""
    detail: str = ""
    nearest: Nearest | None = None
    rank: int = 0


def select(
    inputs: Sequence[str],
    output: Path,
    options: SelectOptions,
    *,
    overwrite: bool = False,
    strict: bool = False,
) -> Manifest:
    """Select rows by their `scores`; returns the manifest.

    Writes conversations.jsonl (in the input's order, rank and nearest row in the lineage), removed.jsonl (all
    others, with reason and nearest taken row), set_aside.jsonl and manifest.json. Raises UsageError, and
    ZeroToOneError for unreadable input or where no row has the scores.
    """
    read = ConvertResult()
    files = list_row_files(inputs)
    prints = [file_hash(Path(path)) for path in files if Path(path).is_file()]
    run = Run("instruct select", _parameters(options), inputs, prints, total_size(files), output)
    earlier = run.finished(overwrite)
    if earlier is not None:
        return earlier
    rows = [row for _, _, row in read_rows(inputs, None, strict, read)]
    scores = [row_score(row, options.by) for row in rows]
    _check_scores(rows, scores, options.by, inputs)
    with progress("select", len(rows), "rows") as bar:
        choices = choose(rows, scores, _space(rows, options), options, bar)
    result = RunResult(set_aside=read.set_aside)
    for row, choice in zip(rows, choices, strict=True):
        (result.removed if choice.reason else result.kept).append(_row(row, choice, rows))
    result.counts = {"rows_in": read.rows_in, "rows_set_aside": len(read.set_aside)}
    result.details = {"scores": _summary(choices)}
    return run.write(result)


def row_score(row: Conversation, by: Sequence[str]) -> float | None:
    """The product of a row's scores; None where one is missing or no number."""
    scores = row.get("scores")
    values = [scores.get(name) if isinstance(scores, dict) else None for name in by]
    numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if len(numbers) < len(values) or not all(map(math.isfinite, numbers)):
        return None
    return math.prod(map(float, numbers))


def choose(
    rows: Sequence[Conversation],
    scores: Sequence[float | None],
    space: Space | None,
    options: SelectOptions,
    bar: Progress,
) -> list[Choice]:
    """What becomes of each row. Equal scores are taken in the rows' order."""
    choices = [Choice(score, "no_score") for score in scores]
    quotas, taken, later = Quotas(options.quotas), 0, []
    for row in _by_score(scores):
        full = quotas.full(rows[row])
        enough = options.count is not None and taken >= options.count
        if full or enough:
            reason = ("below_count", "") if enough else ("quota_reached", full)
            choices[row] = Choice(scores[row], *reason)
            later.append(row)
            continue
        near = space.nearest(row) if space else None
        if near is not None and near.distance <= options.distance:
            choices[row] = Choice(scores[row], "too_near", nearest=near)
        else:
            taken += 1
            choices[row] = Choice(scores[row], nearest=near, rank=taken)
            quotas.take(rows[row])
            if space:
                space.take(row)
        bar.advance()
    for row in later + [row for row, score in enumerate(scores) if score is None]:
        found = choices[row]
        near = space.nearest(row) if space else None
        choices[row] = Choice(found.score, found.reason, found.detail, near)
        bar.advance()
    return choices


def _by_score(scores: Sequence[float | None]) -> Iterator[int]:
    known = [(-score, row) for row, score in enumerate(scores) if score is not None]
    yield from (row for _, row in sorted(known))


def _space(rows: Sequence[Conversation], options: SelectOptions) -> Space | None:
    if options.diversity == "none":
        return None
    texts = ["\n".join(message["content"] for message in row["messages"]) for row in rows]
    if options.diversity == "tfidf":
        return WordSpace(texts)
    if options.diversity == "minhash":
        return HashSpace(texts)
    from instruct.embeddings import Encoder  # transformers takes seconds to import

    assert options.embedding_model is not None
    with progress("embed", len(texts), "rows") as bar:
        return VectorSpace(Encoder(options.embedding_model).embed(texts, bar.advance))


def _parameters(options: SelectOptions) -> dict[str, Any]:
    found: dict[str, Any] = {
        "by": list(options.by),
        "count": options.count,
        "diversity": options.diversity,
        "distance": options.distance,
        "quotas": [f"{quota.field}={quota.value}:{quota.count}" for quota in options.quotas],
    }
    if options.embedding_model is not None:
        from instruct.local_models import model_fingerprint

        path = options.embedding_model
        found["embedding_model"] = {"model": path.name, "files": model_fingerprint(path)}
    return found


def _check_scores(
    rows: Sequence[Conversation], scores: Sequence[float | None], by: Sequence[str], inputs: Sequence[str]
) -> None:
    where = ", ".join(inputs)
    if not rows:
        raise ZeroToOneError(f"{where}: no rows to select from")
    if all(score is None for score in scores):
        known = sorted({name for row in rows if isinstance(row.get("scores"), dict) for name in row["scores"]})
        has = f"its rows have {', '.join(known)}" if known else "run `instruct score` first"
        raise ZeroToOneError(f"{where}: no row has a number for {' and '.join(by)}; {has}")
    if len(by) > 1:
        below = (row["id"] for row in rows if any(_number(row, name) < 0 for name in by))
        if (first := next(below, None)) is not None:
            raise ZeroToOneError(f"{where}: row {first} has a score below 0, of which no product is an order")


def _number(row: Conversation, name: str) -> float:
    return row_score(row, [name]) or 0.0


def _row(row: Conversation, choice: Choice, rows: Sequence[Conversation]) -> dict[str, Any]:
    about: dict[str, Any] = {"score": choice.score}
    if choice.nearest:
        near = choice.nearest
        about["nearest"] = {"id": rows[near.row]["id"], "distance": near.distance}
    if choice.reason:
        return {**row, "reason": choice.reason, "detail": choice.detail, **about}
    return {**row, "lineage": {**row["lineage"], "select": {"rank": choice.rank, **about}}}


def _summary(choices: Sequence[Choice]) -> dict[str, dict[str, float]]:
    """Numbers and mean scores of what is taken and of what is not, by reason."""
    groups: dict[str, list[float]] = {}
    for choice in choices:
        if choice.score is not None:
            groups.setdefault(choice.reason or "taken", []).append(choice.score)
    counts = Counter({name: len(values) for name, values in groups.items()})
    return {
        name: {"rows": counts[name], "mean": sum(values) / len(values), "low": min(values), "high": max(values)}
        for name, values in sorted(groups.items())
    }
