"""How a row came to be: seed, operation, prompt, model, filters and cost, through all rounds and directories."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from corpus.core.errors import ZeroToOneError
from corpus.core.files import read_json
from corpus.core.output import input_paths
from corpus.reporting.steps import step_directory, steps_behind
from instruct.cache import RequestCache, StoredReply
from instruct.forms import FormError, detect, to_conversation
from instruct.known_prompts import known_prompts
from instruct.lineage import EXAMPLES, MADE_FROM, Asked, named_ids, requests_of
from instruct.prices import Price
from instruct.prompt import LANGUAGES
from instruct.rows import CONVERSATIONS, list_row_files, read_records
from instruct.seed_tasks import BUILTIN, read_seed_tasks

_TABLES = ((CONVERSATIONS, True), ("removed.jsonl", False))
_FILES = (".jsonl", ".json", ".ndjson", ".parquet", ".gz", ".zst")
_NEAR_ROWS = 2000
_UNSHOWN = ("messages", "lineage", "id", "text", "instruction", "input", "output", "answer", "translated")


@dataclass
class SentRequest:
    """A request that a row rests on.

    `prompt` is the prompt's file and entry and `prompt_text` its text, empty where no prompt of that hash is there
    (any more). `sent` (the messages) and `reply` are the cache's, None where it does not have them; so are the
    tokens. `cost` is in `currency`, None without a price of the model.
    """

    stage: str
    key: str
    model: str
    prompt_hash: str
    prompt: str = ""
    prompt_text: str = ""
    sent: list[dict[str, str]] | None = None
    reply: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None
    currency: str = ""


@dataclass
class RowFinding:
    """A row in one step's directory or input file.

    `role` is `itself`, `made_from` or `example` (it stood in a prompt). `row` has the row's own fields, its texts
    and lineage among them. `requests` are those that no earlier finding has.
    """

    place: str
    command: str
    kept: bool
    role: str
    id: str
    row: dict[str, Any]
    requests: list[SentRequest] = field(default_factory=list)

    @property
    def lineage(self) -> dict[str, Any]:
        """The row's lineage."""
        found = self.row.get("lineage")
        return found if isinstance(found, dict) else {}

    def texts(self) -> dict[str, str]:
        """What the row says: its messages by role, or the parts of a removed task."""
        messages = self.row.get("messages")
        if isinstance(messages, list):
            turns = [turn for turn in messages if isinstance(turn, dict)]
            return {
                f"{number}. {turn.get('role')}": str(turn.get("content")) for number, turn in enumerate(turns, 1)
            }
        names = ("instruction", "input", "output", "answer", "text")
        return {name: self.row[name] for name in names if isinstance(self.row.get(name), str) and self.row[name]}

    def about(self) -> dict[str, Any]:
        """The row's other fields."""
        return {name: value for name, value in self.row.items() if name not in _UNSHOWN}

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class _Source:
    """A file of rows; `step` counts its directory in the order of the steps, files before all of them."""

    path: str
    command: str
    kept: bool
    step: int


def explain_row(
    identifier: str,
    places: Sequence[str | Path],
    *,
    cache_path: Path | None = None,
    prices: Mapping[str, Price] | None = None,
) -> list[RowFinding]:
    """Find a row by its id in directories and files, and all that it was made from, the earliest first.

    A directory stands for its whole way: the steps and files that its manifest names as inputs are searched, too,
    and the program's own seeds. `cache_path` is a file of completed requests, looked into where it exists. Raises
    ZeroToOneError for an id that is not there and for places without rows.
    """
    sources = _sources(places)
    roles = {identifier: "itself"}
    found: dict[tuple[str, str], RowFinding] = {}
    asked = -1
    while asked < len(roles):  # a row may stand before what names it
        asked = len(roles)
        for source in sources:
            for finding in _find(source, roles):
                found.setdefault((finding.place, finding.id), finding)
                _follow(finding, roles)
    steps = {(finding.place, finding.id): _step(finding, sources) for finding in found.values()}
    if not any(finding.role == "itself" for finding in found.values()):
        near = _near(identifier, sources)
        hint = f"; near it: {', '.join(near)}" if near else ""
        raise ZeroToOneError(f"{identifier}: no row of this id in {', '.join(map(str, places))}{hint}")
    known = {finding.id for finding in found.values()}
    findings = [*_builtin_seeds({name: role for name, role in roles.items() if name not in known})]
    parents = {name: named_ids(one.lineage, MADE_FROM) for (_, name), one in found.items()}
    depths: dict[str, int] = {}
    order = sorted(found, key=lambda key: (steps[key], _depth(key[1], parents, depths)))
    findings += [found[key] for key in order]
    _add_requests(findings, cache_path, prices or {})
    return findings


def total_cost(findings: Sequence[RowFinding]) -> dict[str, Any]:
    """Requests, tokens and money of all findings; `requests_not_in_cache` have no tokens here."""
    requests = [request for finding in findings for request in finding.requests]
    told = [one for one in requests if one.prompt_tokens is not None or one.completion_tokens is not None]
    total: dict[str, Any] = {
        "requests": len(requests),
        "requests_not_in_cache": len(requests) - len(told),
        "tokens": sum((one.prompt_tokens or 0) + (one.completion_tokens or 0) for one in told),
    }
    for currency in sorted({one.currency for one in requests if one.currency}):
        amounts = (Decimal(str(one.cost)) for one in requests if one.currency == currency)
        total[f"cost_{currency}"] = float(sum(amounts, Decimal(0)))
    return total


def _sources(places: Sequence[str | Path]) -> list[_Source]:
    directories = [place for place in places if Path(place).is_dir() and step_directory(str(place)) == Path(place)]
    loose = [str(place) for place in places if place not in directories]
    steps = steps_behind(directories) if directories else []
    files = dict.fromkeys(list_row_files(loose) if loose else [])
    sources: list[_Source] = []
    for number, step in enumerate(steps):
        command = str(read_json(step / "manifest.json").get("command", ""))
        tables = [(step / name, kept) for name, kept in _TABLES if (step / name).is_file()]
        sources += [_Source(str(path), command, kept, number) for path, kept in tables]
        inside = (path for path in input_paths(step) if path.endswith(_FILES) and Path(path).is_file())
        files |= {path: None for path in inside if step_directory(path) is None}
    if not sources and not files:
        raise ZeroToOneError(f"{', '.join(map(str, places))}: no rows of instruct here")
    return [_Source(path, "input", True, -1) for path in files] + sources


def _find(source: _Source, roles: Mapping[str, str]) -> Iterator[RowFinding]:
    for place, value, _ in read_records(source.path):
        row = _row(value, place, source)
        name = str(row.get("id", place)) if row else ""
        if row and name in roles:
            where = source.path if source.step < 0 else str(Path(source.path).parent)
            yield RowFinding(where, source.command, source.kept, roles[name], name, row)


def _row(value: Any, place: str, source: _Source) -> dict[str, Any] | None:
    """A row as it is in a directory; of an input file as the conversation that it stands for."""
    if not isinstance(value, dict) or source.step >= 0:
        return value if isinstance(value, dict) else None
    form = detect(value)
    try:
        return to_conversation(value, form, place, Counter()) if form else value
    except FormError:
        return value


def _follow(finding: RowFinding, roles: dict[str, str]) -> None:
    """Ask for what a row was made from; of an example only the row itself is wanted."""
    if finding.role == "example":
        return
    for name in named_ids(finding.lineage, MADE_FROM):
        if roles.setdefault(name, "made_from") == "example":
            roles[name] = "made_from"
    for name in named_ids(finding.lineage, EXAMPLES):
        roles.setdefault(name, "example")


def _step(finding: RowFinding, sources: Sequence[_Source]) -> int:
    named = (one.step for one in sources if finding.place in (one.path, str(Path(one.path).parent)))
    return -1 if finding.command == "input" else max(named)


def _depth(name: str, parents: Mapping[str, Sequence[str]], depths: dict[str, int]) -> int:
    """How many generations a row has behind it."""
    if name not in depths:
        depths[name] = 0  # rows that name each other in a circle end here
        depths[name] = max((_depth(one, parents, depths) + 1 for one in parents.get(name, ())), default=0)
    return depths[name]


def _builtin_seeds(roles: Mapping[str, str]) -> Iterator[RowFinding]:
    for language in LANGUAGES if roles else ():
        for seed in read_seed_tasks(BUILTIN, language)[0]:
            if seed.id in roles:
                parts = {
                    "instruction": seed.task.instruction,
                    "input": seed.task.input,
                    "output": seed.task.output,
                }
                row = {"id": seed.id, **parts, "lang": language, "use_case": seed.use_case}
                yield RowFinding(BUILTIN, "seed", True, roles[seed.id], seed.id, row)


def _add_requests(findings: Sequence[RowFinding], cache_path: Path | None, prices: Mapping[str, Price]) -> None:
    cache = RequestCache(cache_path) if cache_path is not None and cache_path.is_file() else None
    seen: set[str] = set()
    try:
        for finding in findings:
            if finding.role == "example":
                continue
            for asked in requests_of(finding.lineage):
                if asked.key not in seen:
                    seen.add(asked.key)
                    finding.requests.append(_sent(asked, cache, prices))
    finally:
        if cache is not None:
            cache.close()


def _sent(asked: Asked, cache: RequestCache | None, prices: Mapping[str, Price]) -> SentRequest:
    request = SentRequest(asked.stage, asked.key, asked.model, asked.prompt_hash)
    if asked.prompt_hash in known_prompts():
        request.prompt, prompt = known_prompts()[asked.prompt_hash]
        request.prompt_text = "\n\n".join(filter(None, (prompt.system, prompt.user)))
    found = cache.exchange(asked.key) if cache else None
    if found:
        content, reply = found
        request.sent = [dict(message) for message in content.get("messages", [])]
        request.model = str(content.get("model", asked.model))
        _add_reply(request, reply, prices.get(request.model))
    return request


def _add_reply(request: SentRequest, reply: StoredReply, price: Price | None) -> None:
    request.reply = reply.text or reply.refusal
    request.prompt_tokens, request.completion_tokens = reply.prompt_tokens, reply.completion_tokens
    if price:
        cost = price.cost(reply.prompt_tokens or 0, reply.completion_tokens or 0, reply.cached_tokens)
        request.cost, request.currency = float(cost), price.currency


def _near(identifier: str, sources: Sequence[_Source]) -> list[str]:
    """Ids that are almost `identifier`, three at most: candidates share its first half or its last."""
    half = (len(identifier) + 1) // 2
    if half < 2:
        return []
    found: dict[str, None] = {}
    for source in sources:
        for place, value, _ in read_records(source.path):
            name = str(value.get("id", place)) if isinstance(value, dict) else ""
            if name.startswith(identifier[:half]) or name.endswith(identifier[-half:]):
                found[name] = None
                if len(found) >= _NEAR_ROWS:
                    break
    return difflib.get_close_matches(identifier, list(found), n=3, cutoff=0.8)
