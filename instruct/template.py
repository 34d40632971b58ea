"""Instruction data without another model: templates over cleaned documents.

Method: FLAN (Wei et al. 2021, "Finetuned Language Models Are Zero-Shot Learners", section 2.1): ten phrasings a
task, some turned round, an OPTIONS suffix for classification, a cap on each task. Which candidates are taken and
how they are phrased depends on hashes alone, so that neither the order of documents nor the number of workers
changes the result.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from corpus.core.conversations import Conversation, write_conversations
from corpus.core.engine import Parameters, Step, UnitOutput, process_units
from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import stable_fraction, text_hash
from corpus.core.inputs import Unit, plan_units, read_documents
from corpus.core.output import unit_claim
from instruct.candidates import LANGUAGES, MAKERS, Candidate, Drops, read_document
from instruct.phrasings import Template, load_phrasings

CAP_PER_TASK = 3000  # FLAN's mixing cap
MAXIMUM_CHARACTERS = 1000
LONGEST_ANSWER = 400
SMALLEST_MAXIMUM = 700
_POOL = 4  # candidates kept a task, in caps, before repeated answers are cut
_OWN_LANGUAGE = 0.75  # share of prompts in the language of their document, where either will do
_MOST_OPTIONS = 8
_COLUMNS = ("id", "text", "url", "domain", "lang", "metadata")


@dataclass(frozen=True)
class _Example:
    candidate: Candidate
    template: Template
    prompt: str
    answer: str

    @property
    def key(self) -> str:
        return text_hash(f"{self.candidate.task}\x00{self.prompt}\x00{self.answer}")


def make_conversations(
    inputs: Sequence[str | Path],
    output: Path,
    *,
    tasks: Sequence[str] | None = None,
    languages: Sequence[str] = LANGUAGES,
    cap_per_task: int = CAP_PER_TASK,
    maximum_characters: int = MAXIMUM_CHARACTERS,
    seed: int = 0,
    held_out: float = 0.05,
    workers: int | None = None,
    engine: str = "local",
    strict: bool = False,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Make conversations from documents: conversations.jsonl, held_out.jsonl and manifest.json in `output`.

    `held_out` is the share of documents whose conversations go to held_out.jsonl; what is asked there is asked
    of no other document either. `languages` are those of the prompts. `maximum_characters` bounds prompt and
    answer together; of Chinese documents it is half as much, since a character there is nearly a word. Returns
    the manifest. Raises UsageError for an unknown task or language or a value out of range, and ZeroToOneError
    where the inputs give no conversation.
    """
    parameters: dict[str, Any] = {
        "tasks": sorted(set(MAKERS if tasks is None else tasks)),
        "languages": sorted(set(languages)),
        "cap_per_task": cap_per_task,
        "maximum_characters": maximum_characters,
        "seed": seed,
        "held_out": held_out,
    }
    _check(parameters)
    phrasings = [load_phrasings(task) for task in parameters["tasks"]]
    parameters["templates"] = text_hash("".join(item.hash for found in phrasings for item in found.templates))
    units = plan_units(inputs)
    step = Step("instruct template", parameters, _collect)
    claim = unit_claim(step.command, parameters, inputs, units, output)
    earlier = claim.finished(overwrite)
    if earlier is not None:
        return earlier
    counts, reasons = process_units(step, units, output, workers=workers, engine=engine, strict=strict)
    drops = _drops(reasons)
    examples = _choose(_candidates(output, units), parameters, drops)
    parts = _split(examples, seed, held_out, drops)
    if not parts["conversations"]:
        named = ", ".join(map(str, inputs))
        raise ZeroToOneError(f"{named}: no conversation came of these; dropped most for: {_main_reasons(drops)}")
    for part, rows in parts.items():
        write_conversations(output / f"{part}.jsonl", [_conversation(row) for row in rows])
        counts[part] = len(rows)
    return claim.write_manifest(
        counts=counts,
        tasks={part: _by_task(rows) for part, rows in parts.items()},
        reasons={f"{task}: {reason}": number for (task, reason), number in sorted(drops.items()) if number},
    )


def _check(parameters: dict[str, Any]) -> None:
    for name, known in (("tasks", tuple(MAKERS)), ("languages", LANGUAGES)):
        for value in parameters[name]:
            if value not in known:
                raise UsageError(f"{value}: unknown among {name}; there are {', '.join(known)}")
        if not parameters[name]:
            raise UsageError(f"no {name} given; there are {', '.join(known)}")
    if parameters["cap_per_task"] < 1:
        raise UsageError(f"cap per task {parameters['cap_per_task']}: must be 1 or more")
    characters = parameters["maximum_characters"]
    if characters < SMALLEST_MAXIMUM:
        raise UsageError(f"maximum characters {characters}: must be {SMALLEST_MAXIMUM} or more")
    if not 0 <= parameters["held_out"] < 1:
        raise UsageError(f"held out {parameters['held_out']}: must be 0 or more and less than 1")


def _collect(unit: Unit, parameters: Parameters, output: UnitOutput) -> None:
    """Write the candidates of a unit's documents: at most a pool a task, those with the smallest hashes."""
    drops: Drops = Counter()
    pools: dict[str, _Pool] = {task: _Pool(parameters) for task in parameters["tasks"]}
    for frame in read_documents(unit, output, list(_COLUMNS)):
        output.count("documents_in", frame.height)
        for row in frame.select(_COLUMNS).iter_rows(named=True):
            document = read_document(row)
            if document is None:
                drops["all", "other language"] += 1
                continue
            for task, pool in pools.items():
                limit = _limit(document.language, parameters)
                pool.add(MAKERS[task](document, parameters["seed"], limit, drops))
    for (task, reason), number in drops.items():
        output.reason(f"{task}\t{reason}", number)
    rows = [_row(candidate) for pool in pools.values() for candidate in pool.best()]
    output.write("candidates", pl.DataFrame(rows, schema=_CANDIDATES))


_CANDIDATES = pl.Schema(
    {
        "task": pl.String(),
        "document": pl.String(),
        "url": pl.String(),
        "language": pl.String(),
        "names": pl.List(pl.String()),
        "values": pl.List(pl.String()),
        "evidence": pl.String(),
        "index": pl.Int64(),
    }
)


def _row(candidate: Candidate) -> dict[str, Any]:
    fields = {"names": list(candidate.fields), "values": list(candidate.fields.values())}
    plain = ("task", "document", "url", "language", "evidence", "index")
    return {**{name: getattr(candidate, name) for name in plain}, **fields}


class _Pool:
    """The candidates of one task with the smallest hashes; of equal ones that of the smallest document id."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        self.size, self.seed = _POOL * parameters["cap_per_task"], parameters["seed"]
        self._kept: dict[str, Candidate] = {}

    def add(self, candidates: Iterable[Candidate]) -> None:
        for candidate in candidates:
            known = self._kept.get(candidate.key)
            if known is None or candidate.document < known.document:
                self._kept[candidate.key] = candidate
        if 2 * len(self._kept) > 3 * self.size:
            self._kept = {candidate.key: candidate for candidate in self.best()}

    def best(self) -> list[Candidate]:
        """The candidates, smallest hash first."""
        return heapq.nsmallest(self.size, self._kept.values(), key=self._rank)

    def _rank(self, candidate: Candidate) -> tuple[float, str]:
        return stable_fraction(candidate.key, self.seed), candidate.key


def _drops(reasons: dict[str, int]) -> Drops:
    drops: Drops = Counter()
    for name, number in reasons.items():
        task, reason = name.split("\t")
        drops[task, reason] += number
    return drops


def _candidates(output: Path, units: Sequence[Unit]) -> Iterator[Candidate]:
    for unit in units:
        part = output / "candidates" / f"part-{unit.index:05d}.parquet"
        rows = pl.read_parquet(part).iter_rows(named=True) if part.exists() else ()
        for row in rows:
            fields = dict(zip(row.pop("names"), row.pop("values"), strict=True))
            yield Candidate(**row, fields=fields)


def _choose(candidates: Iterable[Candidate], parameters: dict[str, Any], drops: Drops) -> list[_Example]:
    """Phrase the best candidates of each task; different answers take turns until the cap is full."""
    by_task: dict[str, _Pool] = {task: _Pool(parameters) for task in parameters["tasks"]}
    for candidate in candidates:
        by_task[candidate.task].add([candidate])
    chosen: list[_Example] = []
    for task, pool in by_task.items():
        best = pool.best()
        domains = sorted({candidate.fields["domain"] for candidate in best if task == "classify"})
        if task == "classify" and len(domains) < 2:
            drops[task, "fewer than two domains"] += len(best)
            continue
        taken: Counter[str] = Counter()
        ranked: list[tuple[int, int, _Example]] = []
        for example in _phrased(best, domains, parameters, drops):
            repeats = load_phrasings(task).repeats
            if repeats is not None and taken[example.answer] >= repeats:
                drops[task, "repeated answer"] += 1
                continue
            ranked.append((taken[example.answer], len(ranked), example))
            taken[example.answer] += 1
        ranked.sort(key=lambda item: item[:2])
        chosen.extend(example for _, _, example in ranked[: parameters["cap_per_task"]])
        drops[task, "over the cap"] += max(0, len(ranked) - parameters["cap_per_task"])
    return chosen


def _phrased(
    candidates: Iterable[Candidate], domains: Sequence[str], parameters: dict[str, Any], drops: Drops
) -> Iterator[_Example]:
    seen: set[str] = set()
    for candidate in candidates:
        key = f"{candidate.document}\x00{candidate.task}\x00{candidate.index}"
        template = _template(candidate, key, parameters)
        if template is None:
            drops[candidate.task, "no phrasing in these languages"] += 1
            continue
        fields = dict(candidate.fields)
        if candidate.task == "classify":
            fields["options"] = _options(fields["domain"], domains, key, template.language, parameters["seed"])
        example = _Example(candidate, template, *(part.strip() for part in template.fill(fields)))
        reason = "twice the same" if example.key in seen else _fault(example, parameters)
        if reason is None:
            seen.add(example.key)
            yield example
        else:
            drops[candidate.task, reason] += 1


def _template(candidate: Candidate, key: str, parameters: dict[str, Any]) -> Template | None:
    languages = parameters["languages"]
    known = [
        template
        for template in load_phrasings(candidate.task).templates
        if candidate.language in template.documents and template.language in languages
    ]
    own = [template for template in known if template.language == candidate.language]
    other = [template for template in known if template.language != candidate.language]
    use_own = not other or stable_fraction(f"{key}\x00language", parameters["seed"]) < _OWN_LANGUAGE
    fitting = own if own and use_own else other
    draw = stable_fraction(f"{key}\x00template", parameters["seed"])
    return fitting[int(draw * len(fitting))] if fitting else None


def _options(domain: str, domains: Sequence[str], key: str, language: str, seed: int) -> str:
    def draw(name: str) -> float:
        return stable_fraction(f"{key}\x00{name}", seed)

    wrong = sorted((name for name in domains if name != domain), key=draw)[: _MOST_OPTIONS - 1]
    shown = sorted([domain, *wrong], key=lambda name: draw(f"{name}\x00order"))
    return "\n".join(["选项：" if language == "zh" else "OPTIONS:", *(f"- {name}" for name in shown)])


def _limit(language: str, parameters: dict[str, Any]) -> int:
    return int(parameters["maximum_characters"]) // (2 if language == "zh" else 1)


def _fault(example: _Example, parameters: dict[str, Any]) -> str | None:
    if not example.answer:
        return "no answer"
    characters = len(example.prompt) + len(example.answer)
    if len(example.answer) > LONGEST_ANSWER or characters > _limit(example.candidate.language, parameters):
        return "too long"
    shown = example.template.prompt
    answer_is_offered = any(f"{{{name}}}" in shown for name in ("options", "choices"))
    if not answer_is_offered and example.answer.lower() in example.prompt.lower():
        return "leak"
    return None


def _split(examples: Sequence[_Example], seed: int, held_out: float, drops: Drops) -> dict[str, list[_Example]]:
    """Part by document; what is asked about in tuning is not asked about again among the held-out ones."""
    parts: dict[str, list[_Example]] = {"conversations": [], "held_out": []}
    for example in examples:
        aside = stable_fraction(example.candidate.document, seed) < held_out
        parts["held_out" if aside else "conversations"].append(example)
    seen = {example.candidate.evidence for example in parts["conversations"]}
    fresh = [example for example in parts["held_out"] if example.candidate.evidence not in seen]
    drops["held_out", "asked about in tuning"] += len(parts["held_out"]) - len(fresh)
    parts["held_out"] = fresh
    for rows in parts.values():
        rows.sort(key=lambda example: (stable_fraction(example.key, seed), example.key))
    return parts


def _conversation(example: _Example) -> Conversation:
    candidate, template = example.candidate, example.template
    return {
        "id": example.key[:32],
        "messages": [
            {"role": "user", "content": example.prompt},
            {"role": "assistant", "content": example.answer},
        ],
        "lang": template.language,
        "source": f"template:{candidate.task}",
        "lineage": {
            "document": candidate.document,
            "url": candidate.url,
            "document_lang": candidate.language,
            "task": candidate.task,
            "template": template.id,
            "template_hash": template.hash,
            "turned": template.turned,
        },
    }


def _by_task(examples: Iterable[_Example]) -> dict[str, dict[str, int]]:
    counts = Counter((example.candidate.task, example.template.language) for example in examples)
    return {
        task: {language: counts[task, language] for language in LANGUAGES if counts[task, language]}
        for task in sorted({task for task, _ in counts})
    }


def _main_reasons(drops: Drops) -> str:
    most = sorted(drops.items(), key=lambda item: (-item[1], item[0]))[:3]
    return ", ".join(f"{task}: {reason} ({number})" for (task, reason), number in most if number) or "nothing"
