"""`instruct template --templates`: conversations from the rows of tables, in FLAN's way.

Method: FLAN (Wei et al. 2021, "Finetuned Language Models Are Zero-Shot Learners", sections 2 and 2.1): at most
30,000 rows of a data set; data sets are mixed in proportion to their rows, of which at most 3,000 count.

Units of rows are read into the stage in parallel, each with the rows of the smallest hashes of its data set. Then
each data set is capped, split and phrased as a whole. All choices are hashes of what a row says.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from corpus.core.conversations import Conversation, write_conversations
from corpus.core.engine import Parameters, Step, UnitOutput, first_set_aside, process_units
from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import stable_fraction, text_hash, write_json_lines
from corpus.core.inputs import Unit
from corpus.core.output import Manifest, remove_stages, unit_claim
from instruct.tables.phrase import Forms, Phrased, Pool, phrase
from instruct.tables.reading import data_set_of, file_stem, plan_tables, read_table
from instruct.tables.super_ni import is_task_row, task_examples, task_row
from instruct.tables.templates import ANSWER, TableTemplate, TemplateSet, check_languages
from instruct.tables.values import MISSING, LeftOutError, Row, read_row

CAP = 30_000  # FLAN: rows of a data set
MIXING_CAP = 3_000  # FLAN: rows of a data set that count for its weight
LONGEST = 8_000
OVER_CAP, REPEATED, TOO_LONG, NO_TEMPLATE = "over_cap", "repeated_row", "too_long", "no_template_fits"
EVALUATED = "also_held_out"
_ROWS, _LEFT_OUT, _EVALUATED = ".state/rows", ".state/left_out", ".state/evaluated"
_STAGES = ("rows", "left_out", "evaluated")
_BATCH = 1000


@dataclass(frozen=True)
class TableOptions:
    """What is made of the rows; see the command's help. `languages` without one are all of the templates'."""

    languages: tuple[str, ...] = ()
    cap: int = CAP
    few_shot: float = 0.0
    shots: int = 3
    rationales: float = 0.5
    longest: int = LONGEST
    held_out: float = 0.05
    seed: int = 0

    def check(self) -> None:
        """Raise UsageError for a value out of range."""
        for name in ("few_shot", "rationales"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name.replace('_', ' ')} {getattr(self, name)}: must be from 0 to 1")
        if not 0 <= self.held_out < 1:
            raise UsageError(f"held out {self.held_out}: must be 0 or more and less than 1")
        for name in ("cap", "shots", "longest"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} {getattr(self, name)}: must be 1 or more")
        if self.seed < 0:
            raise UsageError(f"seed {self.seed}: must be 0 or more")


@dataclass
class _Account:
    """Rows that are left out after reading."""

    left_out: list[dict[str, str]] = field(default_factory=list)

    def leave_out(self, row: Row, reason: str, detail: str = "") -> None:
        """Record a row that is in no conversation."""
        entry = {"place": row.place, "id": row.own_id, "dataset": row.dataset, "reason": reason, "detail": detail}
        self.left_out.append({**entry, "row": json.dumps(dict(row.fields), ensure_ascii=False)[:1000]})


def build_from_tables(
    inputs: Sequence[str],
    output: Path,
    templates: TemplateSet,
    options: TableOptions,
    *,
    workers: int | None = None,
    engine: str = "local",
    strict: bool = False,
    overwrite: bool = False,
) -> Manifest:
    """Make conversations of tables' rows and return the manifest.

    Writes conversations.jsonl, held_out.jsonl, removed.jsonl (rows left out, with reason), set_aside/ (broken
    rows) and manifest.json; rows over the cap are only counted. The cap is for training rows, and again for those
    of splits for evaluation (see `plan_tables`), which are held out. `held_out` is a share of the groups of rows
    that `split_by` makes. Exemplars are training rows always. Raises UsageError for options out of range,
    ZeroToOneError where a column that templates need is in no row, and where nothing is left.
    """
    options.check()
    check_languages(templates, options.languages)
    units, evaluation = plan_tables(inputs)
    parameters: dict[str, Any] = json.loads(json.dumps({**asdict(options), "templates": asdict(templates)}))
    parameters["evaluation"] = evaluation
    step = Step("instruct template", parameters, _collect)
    claim = unit_claim(step.command, parameters, inputs, units, output)
    earlier = claim.finished(overwrite)
    if earlier is not None:
        remove_stages(output, *_STAGES)
        return earlier
    counts, reasons = process_units(step, units, output, workers=workers, engine=engine, strict=strict)
    named = ", ".join(map(str, inputs))
    rows_in = {
        name.removeprefix("rows of "): counts.pop(name) for name in list(counts) if name.startswith("rows of")
    }
    if not counts.get("rows_in"):
        raise ZeroToOneError(f"{named}: no rows to read{first_set_aside(output)}")
    _check_columns(output, units, named, counts["rows_in"], reasons)
    account = _Account()
    parts = _build(output, units, templates, options, account)
    if not parts["conversations"]:
        raise ZeroToOneError(f"{named}: no conversation came of these; {_why(account, reasons, parts)}")
    for part, found in parts.items():
        write_conversations(output / f"{part}.jsonl", [_conversation(item) for item in found])
        counts[part] = len(found)
    write_json_lines(output / "removed.jsonl", [*_staged(output, units, _LEFT_OUT), *account.left_out])
    totals = Counter(reasons) + Counter(item["reason"] for item in account.left_out)
    counts["removed"] = sum(totals.values())
    totals[OVER_CAP] = counts["rows_in"] - counts["removed"] - sum(map(len, parts.values()))
    manifest = claim.write_manifest(
        counts=counts,
        datasets=_data_sets(parts, rows_in),
        templates=dict(sorted(Counter(item.template.id for item in _all(parts)).items())),
        forms=dict(sorted(Counter(item.form for item in _all(parts)).items())),
        reasons={reason: number for reason, number in sorted(totals.items()) if number},
    )
    remove_stages(output, *_STAGES)
    return manifest


def _collect(unit: Unit, parameters: Parameters, output: UnitOutput) -> None:
    """Read a unit's rows into the stage: of each data set at most the cap, those with the smallest hashes."""
    templates, seed = _template_set(parameters["templates"]), parameters["seed"]
    pools: dict[str, _Smallest] = {}
    left_out: list[dict[str, str]] = []
    groups: set[str] = set()
    evaluation = unit.name in parameters["evaluation"]
    for dataset, place, record in _records(unit, seed, output):
        output.count("rows_in")
        output.counts[f"rows of {dataset}"] += 1
        try:
            row = read_row(record, templates, dataset, place, evaluation)
            pool = pools.setdefault(dataset, _Smallest(parameters["cap"], seed))
            if evaluation:
                groups.add(row.group)
            if not pool.add(row):
                raise LeftOutError(REPEATED, "the same as an earlier row")
        except LeftOutError as why:
            output.reason(why.reason)
            left_out.append(_left_out(dataset, place, record, why))
        if len(left_out) == _BATCH:
            output.write(_LEFT_OUT, pl.DataFrame(left_out))
            left_out = []
    if left_out:
        output.write(_LEFT_OUT, pl.DataFrame(left_out))
    if groups:
        output.write(_EVALUATED, pl.DataFrame({"group": sorted(groups)}))
    kept = [row for pool in pools.values() for row in pool.best()]
    for first in range(0, len(kept), _BATCH):
        output.write(_ROWS, pl.DataFrame([_stored(row) for row in kept[first : first + _BATCH]], schema=_STAGE))


def _records(unit: Unit, seed: int, output: UnitOutput) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """The (data set, place, row) of a unit; an instance of a task file has its task's examples."""
    examples = ""
    for place, record in read_table(unit, output):
        if not is_task_row(record):
            yield data_set_of(unit), place, record
            continue
        if "Positive Examples" in record or "Negative Examples" in record:  # of a task's first instance only
            examples = json.dumps(task_examples(record), ensure_ascii=False)
        yield file_stem(unit.name), place, {**task_row(record, seed), "examples": examples}


def _left_out(dataset: str, place: str, record: Mapping[str, Any], why: LeftOutError) -> dict[str, str]:
    shown = json.dumps(record, ensure_ascii=False, default=str)[:1000]
    entry = {"place": place, "id": str(record.get("id") or ""), "dataset": dataset}
    return {**entry, "reason": why.reason, "detail": why.detail, "row": shown}


class _Smallest:
    """The different rows of a data set with the smallest hashes; of equal ones the first."""

    def __init__(self, size: int, seed: int) -> None:
        self._size, self._seed = size, seed
        self._kept: dict[str, Row] = {}

    def add(self, row: Row) -> bool:
        """Take a row; False where an equal one is there."""
        key = row.key
        if key in self._kept:
            return False
        self._kept[key] = row
        if len(self._kept) > 2 * self._size:
            self._kept = dict(self._best())
        return True

    def best(self) -> list[Row]:
        """The rows, smallest hash first."""
        return [row for _, row in self._best()]

    def _best(self) -> list[tuple[str, Row]]:
        def rank(item: tuple[str, Row]) -> tuple[float, str]:
            return stable_fraction(item[0], self._seed), item[0]

        return heapq.nsmallest(self._size, self._kept.items(), key=rank)


_STAGE = pl.Schema(
    {
        **dict.fromkeys(("dataset", "place", "own_id", "language"), pl.String()),
        "fields": pl.String(),
        "choices": pl.List(pl.String()),
        "examples": pl.String(),
        "group": pl.String(),
        "evaluation": pl.Boolean(),
    }
)


def _stored(row: Row) -> dict[str, Any]:
    return {
        **asdict(row),
        "fields": json.dumps(dict(row.fields), ensure_ascii=False),
        "choices": list(row.choices),
    }


def _staged(output: Path, units: Sequence[Unit], table: str) -> Iterator[dict[str, Any]]:
    for unit in units:
        part = output / table / f"part-{unit.index:05d}.parquet"
        if part.exists():
            yield from pl.read_parquet(part).iter_rows(named=True)


def _template_set(record: Mapping[str, Any]) -> TemplateSet:
    templates = tuple(TableTemplate(**item) for item in record["templates"])
    named = {name: tuple(record[name]) for name in ("joined", "optional", "split_by")}
    return TemplateSet(**{**record, **named, "templates": templates})


def _check_columns(
    output: Path, units: Sequence[Unit], named: str, rows_in: int, reasons: Mapping[str, int]
) -> None:
    """Raise ZeroToOneError for a column that is in no row."""
    if reasons.get(MISSING) == rows_in:
        first = next(_staged(output, units, _LEFT_OUT))
        raise ZeroToOneError(f"{named}: no column {first['detail']}")


def _build(
    output: Path, units: Sequence[Unit], templates: TemplateSet, options: TableOptions, account: _Account
) -> dict[str, list[Phrased]]:
    pools: dict[tuple[str, bool], _Smallest] = {}
    for record in _staged(output, units, _ROWS):
        fields, choices = json.loads(record["fields"]), tuple(record["choices"])
        row = Row(**{**record, "fields": fields, "choices": choices})
        if not pools.setdefault((row.dataset, row.evaluation), _Smallest(options.cap, options.seed)).add(row):
            account.leave_out(row, REPEATED, "the same as an earlier row")
    forms = Forms(
        options.languages or templates.languages,
        options.few_shot,
        options.shots,
        options.rationales,
        options.longest,
        options.seed,
    )
    chosen: dict[str, list[Row]] = {}
    for (dataset, _), pool in sorted(pools.items()):
        chosen.setdefault(dataset, []).extend(pool.best())
    evaluated = {record["group"] for record in _staged(output, units, _EVALUATED)}
    parts: dict[str, list[Phrased]] = {"conversations": [], "held_out": []}
    for rows in chosen.values():
        for part, phrased in _phrase_all(rows, templates, options, forms, evaluated, account):
            parts[part].append(phrased)
    for found in parts.values():
        found.sort(key=lambda item: (stable_fraction(item.row.key, options.seed), item.row.key))
    return parts


def _phrase_all(
    rows: Sequence[Row],
    templates: TemplateSet,
    options: TableOptions,
    forms: Forms,
    evaluated: set[str],
    account: _Account,
) -> Iterator[tuple[str, Phrased]]:
    """The rows of a data set in words, with their parts."""
    parts = [_part(row, options, evaluated) for row in rows]
    training = [row for row, part in zip(rows, parts, strict=True) if part == "conversations"]
    answers = [row.fields[ANSWER] for row in rows if ANSWER in row.fields]
    pool = Pool(training, answers, options.seed)
    for row, part in zip(rows, parts, strict=True):
        phrased = phrase(row, templates, pool, forms) if part else None
        if part is None:
            account.leave_out(row, EVALUATED, "a row for evaluation is about the same")
        elif phrased is None:
            account.leave_out(row, NO_TEMPLATE, f"in {', '.join(forms.languages)}")
        elif len(phrased.prompt) + len(phrased.answer) > forms.limit(row):
            account.leave_out(row, TOO_LONG, f"{len(phrased.prompt) + len(phrased.answer)} characters")
        else:
            yield part, phrased


def _part(row: Row, options: TableOptions, evaluated: set[str]) -> str | None:
    """Where a row goes; None for a training row that has the same as one for evaluation."""
    if row.evaluation or stable_fraction(f"{row.group}\x00held out", options.seed) < options.held_out:
        return "held_out"
    return None if row.group in evaluated else "conversations"


def _conversation(item: Phrased) -> Conversation:
    row, template = item.row, item.template
    name = text_hash(f"{row.key}\x00{template.id}\x00{item.prompt}\x00{item.answer}")
    return {
        "id": name[:32],
        "messages": [
            {"role": "user", "content": item.prompt},
            {"role": "assistant", "content": item.answer},
        ],
        "lang": template.language,
        "source": f"template:{row.dataset}",
        "lineage": {
            "dataset": row.dataset,
            "row": row.place,
            "row_id": row.own_id,
            "template": template.id,
            "template_hash": template.hash,
            "turned": template.turned,
            "form": item.form,
            "exemplars": list(item.exemplars),
        },
    }


def _all(parts: Mapping[str, Iterable[Phrased]]) -> list[Phrased]:
    return [item for found in parts.values() for item in found]


def _data_sets(parts: Mapping[str, Sequence[Phrased]], rows_in: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """What each data set gave, and its weight in a mixture by its rows, capped (FLAN, section 2.1)."""
    found = {part: Counter(item.row.dataset for item in rows) for part, rows in parts.items()}
    counted = {name: min(found["conversations"][name], MIXING_CAP) for name in rows_in}
    total = sum(counted.values())
    return {
        name: {
            "rows_in": number,
            **{part: found[part][name] for part in parts},
            "weight": round(counted[name] / total, 6),
        }
        for name, number in sorted(rows_in.items())
    }


def _why(account: _Account, reasons: Mapping[str, int], parts: Mapping[str, Sequence[Phrased]]) -> str:
    totals = Counter(reasons) + Counter(item["reason"] for item in account.left_out)
    most = [f"{reason} took {number}" for reason, number in totals.most_common(3)]
    return ", ".join([*most, *([f"{len(parts['held_out'])} are held out"] if parts["held_out"] else [])])
