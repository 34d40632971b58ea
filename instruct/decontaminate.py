"""`instruct decontaminate`: conversations that hold evaluation items go, and all that was made from one.

A hit is a run of words that an evaluation item has too (`corpus/contamination`: 13 words, 20 Chinese characters).
A model that is asked to evolve, translate or imitate a test question writes one that no n-gram finds; the lineage
of its row names the question.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from corpus.contamination.decontaminate import evaluation_files, load_pieces
from corpus.contamination.items import strings_in
from corpus.contamination.ngrams import find_hits
from corpus.core.conversations import Conversation, write_conversations
from corpus.core.engine import Parameters, Step, UnitOutput, process_units
from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import write_json_lines
from corpus.core.inputs import Unit
from corpus.core.output import Manifest, unit_claim
from instruct.forms import OTHER_BRANCHES, FormError, to_conversation
from instruct.lineage import EXAMPLES, MADE_FROM
from instruct.rows import CONVERSATIONS, plan_rows, read_unit
from instruct.stages import (
    ROWS,
    SET_ASIDE,
    check_form,
    check_rounds,
    end_stages,
    read_conversations,
    read_stage,
    set_aside,
)

CONTAMINATED, DESCENDANT = "contaminated", "descends_from_contaminated"
ANCESTORS = (*MADE_FROM, *EXAMPLES)
_BATCH = 500
_SHOWN = 200  # characters of a hit


@dataclass(frozen=True)
class _Read:
    """A row as the stage holds it; one of the ancestors' files has no conversation and is not written."""

    place: str
    id: str
    conversation: str
    rounds: int
    ancestors: list[str]
    texts: list[str]


def decontaminate_conversations(
    inputs: Sequence[str],
    output: Path,
    against: Sequence[str | Path],
    *,
    ngram: int = 13,
    fields: Sequence[str] = (),
    ancestors: Sequence[str] = (),
    source_form: str | None = None,
    workers: int | None = None,
    engine: str = "local",
    overwrite: bool = False,
    strict: bool = False,
) -> Manifest:
    """Remove conversations that share a run of words with evaluation files, and their descendants.

    `ancestors` are files of rows that the input was made from (seeds, earlier rounds): they are looked at, but not
    written. Ids must mean the same row in all files. Writes conversations.jsonl, removed.jsonl (reason, the hits
    with file, item and overlap, or the ancestor and its hits), set_aside.jsonl and manifest.json.
    """
    if ngram < 1:
        raise UsageError("--ngram must be at least 1")
    check_form(source_form)
    own = plan_rows(inputs)
    others = plan_rows(ancestors) if ancestors else []
    units = own + [replace(unit, index=len(own) + unit.index) for unit in others]
    parameters = {
        "against": evaluation_files(against, fields, ngram),
        "ngram": ngram,
        "fields": [*fields],
        "form": source_form,
        "input_units": len(own),
        "ancestors": [unit.name for unit in others],
    }
    step = Step("instruct decontaminate", parameters, _read_and_find)
    claim = unit_claim(step.command, parameters, [*inputs, *ancestors], units, output)
    earlier = claim.finished(overwrite)
    if earlier is not None:
        end_stages(output)
        return earlier
    counts, _ = process_units(step, units, output, workers=workers, engine=engine, strict=strict)
    if not counts.get("rows_in"):
        raise ZeroToOneError(f"{', '.join(inputs)}: no rows to decontaminate")
    written = _write(output, units)
    aside = next(_rows(output, units, SET_ASIDE, ("place", "reason")), None)
    _check(counts, written, inputs, f" (the first: {aside['place']}: {aside['reason']})" if aside else "")
    counts |= {name: value for name, value in sorted(written.items()) if not name.startswith("reason:")}
    reasons = {
        name.removeprefix("reason:"): n for name, n in sorted(written.items()) if name.startswith("reason:")
    }
    manifest = claim.write_manifest(counts=counts, reasons=reasons)
    end_stages(output)
    return manifest


def ancestors_of(lineage: Any) -> list[str]:
    """The ids that a lineage names as what its row was made from, however deep it is nested."""
    found: list[str] = []
    waiting = [lineage]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            for name in value:
                if name in ANCESTORS:
                    named = value[name] if isinstance(value[name], list) else [value[name]]
                    found += [str(item) for item in named if isinstance(item, str | int)]
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return list(dict.fromkeys(found))


def descendants(ids: Sequence[str], ancestors: Sequence[Sequence[str]], hit: Sequence[bool]) -> dict[int, str]:
    """The rows without a hit of their own that stem from one with a hit, and the ancestor that says so.

    A row stems from an id that its lineage names, and from all that the row of this id stems from.
    """
    children: defaultdict[str, list[int]] = defaultdict(list)
    for row, named in enumerate(ancestors):
        for name in named:
            if name != ids[row]:
                children[name].append(row)
    found: dict[int, str] = {}
    waiting = [row for row in range(len(ids)) if hit[row]]
    spread: set[str] = set()
    for row in waiting:  # grows while it is read
        if ids[row] in spread:
            continue
        spread.add(ids[row])
        for child in children.get(ids[row], ()):
            if not hit[child] and child not in found:
                found[child] = ids[row]
                waiting.append(child)
    return found


def _read_and_find(unit: Unit, parameters: Parameters, output: UnitOutput) -> None:
    """Read a unit's rows and find their hits: the step's function."""
    is_input = unit.index < parameters["input_units"]
    waiting: list[_Read] = []
    for row in _read_input(unit, parameters["form"], output) if is_input else _read_ancestors(unit, output):
        waiting.append(row)
        if len(waiting) == _BATCH:
            output.write(ROWS, _with_hits(waiting, parameters, output))
            waiting = []
    output.write(ROWS, _with_hits(waiting, parameters, output))


def _read_input(unit: Unit, form: str | None, output: UnitOutput) -> Iterator[_Read]:
    for place, conversation, rounds in read_conversations(unit, form, to_conversation, output):
        texts = [message["content"] for message in conversation["messages"]]
        written = json.dumps(conversation, ensure_ascii=False)
        yield _Read(place, conversation["id"], written, rounds, ancestors_of(conversation["lineage"]), texts)


def _read_ancestors(unit: Unit, output: UnitOutput) -> Iterator[_Read]:
    """Rows of any form, as their ids and their strings."""
    for place, row, text in read_unit(unit):
        output.count("ancestor_rows_in")
        if not isinstance(row, dict):
            set_aside(output, place, str(row) if isinstance(row, FormError) else "not_an_object", text, 0)
            continue
        texts = [text for name, value in row.items() if name != "lineage" for text in strings_in(value)]
        yield _Read(place, str(row.get("id", place)), "", 0, ancestors_of(row.get("lineage")), texts)


def _with_hits(rows: Sequence[_Read], parameters: Parameters, output: UnitOutput) -> pl.DataFrame:
    """The stage's table of rows, with their hits as JSON."""
    files = tuple((file["path"], file["name"], file["sha256"]) for file in parameters["against"])
    pieces, index = load_pieces(files, tuple(parameters["fields"]), parameters["ngram"])
    texts = [text for row in rows for text in row.texts]
    owners = [(number, message) for number, row in enumerate(rows) for message in range(len(row.texts))]
    hits: list[list[dict[str, Any]]] = [[] for _ in rows]
    for hit in find_hits(texts, index):
        number, message = owners[hit.text]
        piece = pieces[hit.piece]
        hits[number].append(
            {
                "file": piece.file,
                "item": piece.item,
                "field": piece.field,
                "overlap": round(hit.share, 4),
                "message": message,
                "offset": hit.first,
                "text": texts[hit.text][hit.first : hit.end][:_SHOWN],
            }
        )
        output.count(f"hits: {piece.file}")
    return pl.DataFrame(
        {
            "place": [row.place for row in rows],
            "id": [row.id for row in rows],
            "conversation": [row.conversation for row in rows],
            "rounds": [row.rounds for row in rows],
            "ancestors": [row.ancestors for row in rows],
            "hits": [json.dumps(found, ensure_ascii=False) if found else "" for found in hits],
        },
        schema_overrides={"ancestors": pl.List(pl.String)},
    )


def _rows(output: Path, units: Sequence[Unit], table: str, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    for frame in read_stage(output, units, table, columns):
        yield from frame.iter_rows(named=True)


def _write(output: Path, units: Sequence[Unit]) -> Counter[str]:
    """Write the rows, kept and removed; returns how many rows and rounds went where."""
    known = list(_rows(output, units, ROWS, ("id", "ancestors", "hits")))
    ids = [row["id"] for row in known]
    stems = descendants(ids, [row["ancestors"] for row in known], [bool(row["hits"]) for row in known])
    evidence = {row["id"]: row["hits"] for row in known if row["hits"]}
    # In the order in which they were found: an ancestor before its children.
    for number, ancestor in stems.items():
        evidence.setdefault(ids[number], evidence[ancestor])
    written: Counter[str] = Counter(rows_out=0, rounds_out=0, rows_removed=0, rounds_removed=0)

    def rows(removed: bool) -> Iterator[tuple[int, dict[str, Any]]]:
        columns = ("place", "id", "conversation", "rounds", "hits")
        for number, row in enumerate(_rows(output, units, ROWS, columns)):
            if row["conversation"] and (bool(row["hits"]) or number in stems) == removed:
                name = "removed" if removed else "out"
                written[f"rows_{name}"] += 1
                written[f"rounds_{name}"] += row["rounds"]
                yield number, row

    def kept_rows() -> Iterator[Conversation]:
        return (json.loads(row["conversation"]) for _, row in rows(removed=False))

    def removed_rows() -> Iterator[dict[str, Any]]:
        for number, row in rows(removed=True):
            conversation = json.loads(row["conversation"])
            reason = CONTAMINATED if row["hits"] else DESCENDANT
            written[f"reason:{reason}"] += 1
            why = {"ancestor": stems[number]} if number in stems else {}
            yield {
                "id": row["id"],
                "reason": reason,
                **why,
                "hits": json.loads(row["hits"] or evidence[stems[number]]),
                "place": row["place"],
                "messages": conversation["messages"],
                "lineage": conversation["lineage"],
            }

    write_conversations(output / CONVERSATIONS, kept_rows())
    write_json_lines(output / "removed.jsonl", removed_rows())
    aside = list(_rows(output, units, SET_ASIDE, ("place", "reason", "record", "rounds")))
    write_json_lines(output / "set_aside.jsonl", aside)
    written["rows_set_aside"] = len(aside)
    written["rounds_set_aside"] = sum(row["rounds"] for row in aside)
    return written


def _check(counts: dict[str, int], written: Counter[str], inputs: Sequence[str], first: str) -> None:
    """Raise ZeroToOneError where rounds do not add up, and where nothing is left; `first` was set aside first."""
    rounds = [written[f"rounds_{where}"] for where in ("out", "removed", "set_aside")]
    check_rounds(inputs, counts["rounds_in"] - counts.get(OTHER_BRANCHES, 0), *rounds)
    if not written["rows_out"]:
        raise ZeroToOneError(
            f"{', '.join(inputs)}: no conversation is left; {written['rows_removed']} removed, "
            f"{written['rows_set_aside']} set aside{first}"
        )
