"""`instruct clean`: conversations as they were copied from a chat's pages, made fit for training.

Units of rows are cleaned by themselves (`clean_conversation.py`); then duplicates are found among all, long
conversations cut, and the rows written in the input's order. Rounds in are rounds out, removed and set aside:
every run checks it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from corpus.core.conversations import Conversation, write_conversations
from corpus.core.engine import Parameters, Step, UnitOutput, process_units
from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import write_json_lines
from corpus.core.inputs import Unit
from corpus.core.output import Manifest, unit_claim
from corpus.text.language import among, identify, known_languages
from corpus.tokens.tokenizer import tokenizer_hash
from instruct.clean_conversation import Cleaned, CleanOptions, clean_messages, language_text
from instruct.clean_duplicates import Duplicate, mark_near, mark_repeats, text_key
from instruct.clean_output import Account, kept_rows, removed_rows, set_aside_rows
from instruct.clean_rounds import Round, messages_of
from instruct.clean_split import counter, turn_tokens
from instruct.forms import OTHER_BRANCHES, read_row
from instruct.language import has_chinese
from instruct.rows import CONVERSATIONS, plan_rows
from instruct.stages import ROWS, check_form, end_stages, read_conversations, read_stage

_BATCH = 500  # rows whose languages are told at once
_KANA = re.compile("[\u3040-\u30ff]")
_LEAST_CERTAIN = 0.5  # of a language, for a conversation to go because of it


def clean_conversations(
    inputs: Sequence[str],
    output: Path,
    options: CleanOptions,
    *,
    source_form: str | None = None,
    workers: int | None = None,
    engine: str = "local",
    overwrite: bool = False,
    strict: bool = False,
) -> Manifest:
    """Clean conversations of any readable form and return the manifest.

    Writes conversations.jsonl, removed.jsonl (a row for each stretch of turns that goes: reason, detail, numbers
    of its rounds, messages, lineage), set_aside.jsonl (what cannot be read) and manifest.json. Raises UsageError
    for an unknown language or form, ZeroToOneError for unreadable input or where nothing is left.
    """
    check_form(source_form)
    _check_languages(options.languages)
    parameters = {**_json(asdict(options)), "form": source_form}
    if options.tokenizer is not None:
        parameters["tokenizer_hash"] = tokenizer_hash(Path(options.tokenizer))
    units = plan_rows(inputs)
    step = Step("instruct clean", parameters, _clean_unit)
    claim = unit_claim(step.command, parameters, inputs, units, output)
    earlier = claim.finished(overwrite)
    if earlier is not None:
        end_stages(output)
        return earlier
    counts, _ = process_units(step, units, output, workers=workers, engine=engine, strict=strict)
    if not counts.get("rows_in"):
        raise ZeroToOneError(f"{', '.join(inputs)}: no rows to clean")
    found = _duplicates(output, units, options, workers, engine)
    account = Account(options)
    write_conversations(output / CONVERSATIONS, kept_rows(output, units, found, account))
    write_json_lines(output / "removed.jsonl", removed_rows(output, units, found, account))
    write_json_lines(output / "set_aside.jsonl", set_aside_rows(output, units, account))
    account.check(counts["rounds_in"] - counts.get(OTHER_BRANCHES, 0), inputs)
    manifest = claim.write_manifest(**account.manifest(counts))
    end_stages(output)
    return manifest


def _json(value: Any) -> Any:
    return json.loads(json.dumps(value))


def _check_languages(languages: Sequence[str]) -> None:
    if not languages:
        return
    known = known_languages()
    for name in languages:
        if name.lower() not in known:
            raise UsageError(f"--lang {name}: not a language that the model knows; codes are as `en`, `zh`")


def _clean_unit(unit: Unit, parameters: Parameters, output: UnitOutput) -> None:
    """Clean the rows of a unit into the stage: the step's function."""
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in parameters.items()
        if name not in ("form", "tokenizer_hash")
    }
    options = CleanOptions(**given)
    waiting: list[tuple[str, Conversation, Cleaned]] = []
    for place, conversation, _ in read_conversations(unit, parameters["form"], read_row, output):
        waiting.append((place, conversation, clean_messages(conversation["messages"], options)))
        if len(waiting) == _BATCH:
            output.write(ROWS, _stage(waiting, options, output))
            waiting = []
    output.write(ROWS, _stage(waiting, options, output))


def _stage(
    rows: Sequence[tuple[str, Conversation, Cleaned]], options: CleanOptions, output: UnitOutput
) -> pl.DataFrame:
    """The stage's table: a row for each conversation, with what duplicates and splitting need to know."""
    if not rows:
        return pl.DataFrame()
    texts = [language_text(cleaned.parts.kept) for _, _, cleaned in rows]
    languages, scores = identify(texts)
    languages = [_settled(language, text) for language, text in zip(languages, texts, strict=True)]
    columns: dict[str, list[Any]] = {}
    for (place, conversation, cleaned), language, score in zip(rows, languages, scores, strict=True):
        certain = score >= _LEAST_CERTAIN
        conversation["lang"] = conversation["lang"] or (language if certain else "")
        _drop_language(conversation, cleaned, f"{language} {score:.2f}", options)
        for name, number in (+cleaned.edits).items():
            output.count(f"turns edited: {name}", number)
        for name, value in _staged(place, conversation, cleaned, options).items():
            columns.setdefault(name, []).append(value)
    return pl.DataFrame(columns, schema_overrides={"numbers": pl.List(pl.Int64), "tokens": pl.List(pl.Int64)})


def _settled(language: str, text: str) -> str:
    """The language: the model takes short Chinese texts for Wu, or for Japanese, though they have no kana."""
    chinese = language in ("ja", "wuu") and has_chinese(text) and not _KANA.search(text)
    return "zh" if chinese else language


def _drop_language(conversation: Conversation, cleaned: Cleaned, found: str, options: CleanOptions) -> None:
    """Take all rounds out of a conversation in another language; one whose language is not certain stays."""
    parts, language = cleaned.parts, conversation["lang"]
    if not options.languages or not language or not parts.kept:
        return
    if not among([language_text(parts.kept)], [language], options.languages)[0]:
        for round_ in parts.kept:
            parts.remove("other_language", [round_.question, round_.reply], round_.number, found)
        parts.kept = []


def _staged(place: str, conversation: Conversation, cleaned: Cleaned, options: CleanOptions) -> dict[str, Any]:
    parts = cleaned.parts
    texts = [_texts(round_) for round_ in parts.kept]
    system = parts.system["content"] if parts.system else ""
    count = counter(options.tokenizer) if options.max_tokens else None
    tokens: list[int] = []
    if count is not None:
        tokens = [turn_tokens("system", system, count) if parts.system else 0]
        tokens += [
            turn_tokens("user", question, count) + turn_tokens("assistant", reply, count)
            for question, reply in texts
        ]
    conversation["messages"] = messages_of(parts.system, parts.kept)
    removed = [asdict(item) for item in parts.removed]
    return {
        "place": place,
        "conversation": json.dumps(conversation, ensure_ascii=False),
        "removed": json.dumps(removed, ensure_ascii=False),
        "edits": json.dumps(dict(+cleaned.edits)),
        "numbers": [round_.number for round_ in parts.kept],
        "tokens": tokens,
        "exact": text_key([system, *(text for pair in texts for text in pair)]) if texts else "",
        "first_turns": text_key(texts[0]) if texts else "",
        "id": f"{place.rpartition(':')[0]}\x00{conversation['id']}" if texts else "",
    }


def _texts(round_: Round) -> tuple[str, str]:
    return str(round_.question["content"]), str(round_.reply["content"])


def _duplicates(
    output: Path, units: Sequence[Unit], options: CleanOptions, workers: int | None, engine: str
) -> dict[int, Duplicate]:
    """The rows of the stage (by number) that repeat another."""
    found: dict[int, Duplicate] = {}
    keyed = [kind for kind in ("exact", "id", "first_turns") if kind in options.duplicates]
    frames = [frame.select("numbers", "exact", "id", "first_turns") for frame in read_stage(output, units)]
    if not frames:
        return found
    table = pl.concat(frames)
    rounds = table["numbers"].list.len().to_list()
    for kind in keyed:
        mark_repeats(table[kind].to_list(), rounds, kind, found)
    if "near" in options.duplicates:
        texts = _remaining_texts(output, units, found)
        if texts.height > 1:
            mark_near(texts, options.threshold, output / ".state" / "near", workers, engine, found)
    return found


def _remaining_texts(output: Path, units: Sequence[Unit], found: dict[int, Duplicate]) -> pl.DataFrame:
    rows: list[tuple[str, str, int]] = []
    number = 0
    for frame in read_stage(output, units):
        for text, numbers in frame.select("conversation", "numbers").iter_rows():
            if numbers and number not in found:
                messages = json.loads(text)["messages"]
                shown = [message["content"] for message in messages if message["role"] != "system"]
                rows.append((str(number), "\n".join(shown), len(numbers)))
            number += 1
    return pl.DataFrame(rows, schema={"id": pl.String, "text": pl.String, "rounds": pl.Int64}, orient="row")
