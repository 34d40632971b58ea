"""A row in the words of a template: which template, which options, which other rows as exemplars.

Method: FLAN (Wei et al. 2021, "Finetuned Language Models Are Zero-Shot Learners", section 2: an OPTIONS suffix, at
most three templates of ten that turn the task round; section 4.4: exemplars in front of a few-shot prompt). Every
choice is a hash of what the row says, so that neither the order of rows nor the number of workers changes it.
"""

from __future__ import annotations

import string
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml

from corpus.core.files import stable_fraction
from instruct.tables.super_ni import show_examples
from instruct.tables.templates import (
    ANSWER,
    EXAMPLES,
    OPTIONS,
    RATIONALE,
    TableTemplate,
    TemplateSet,
    fill,
)
from instruct.tables.values import Row

MOST_TURNED = 0.3  # FLAN: up to three templates of ten
_MOST_OPTIONS = len(string.ascii_uppercase)
_TRIES = 8  # rows looked at for each exemplar wanted


@dataclass(frozen=True)
class Forms:
    """What forms the prompts take: shares of few-shot prompts and, where there is a rationale, of reasoning."""

    languages: tuple[str, ...]
    few_shot: float
    shots: int
    rationales: float
    longest: int  # characters of prompt and answer; of Chinese rows half as many
    seed: int

    def limit(self, row: Row) -> int:
        """The most characters of a row's prompt and answer."""
        return self.longest // (2 if row.language == "zh" else 1)


@dataclass(frozen=True)
class Phrased:
    """A row as prompt and answer; `exemplars` are the places of the rows shown, `form` is how they are shown."""

    row: Row
    template: TableTemplate
    prompt: str
    answer: str
    form: str
    exemplars: tuple[str, ...] = ()


class Pool:
    """The training rows of a data set, from which exemplars are taken, and the different answers of its rows."""

    def __init__(self, rows: Sequence[Row], answers: Sequence[str], seed: int) -> None:
        ranked = sorted(((stable_fraction(row.key, seed), row) for row in rows), key=lambda item: item[0])
        self._places, self._rows = [place for place, _ in ranked], [row for _, row in ranked]
        different = sorted(set(answers))
        self.answers = different if 2 <= len(different) <= _MOST_OPTIONS else []
        self._seed = seed

    def others(self, row: Row, count: int, fits: Callable[[Row], bool]) -> list[Row]:
        """At most `count` rows of other groups that fit; a new row in the pool changes few of the choices."""
        found: list[Row] = []
        taken = {row.group}
        for attempt in range(_TRIES * count if self._rows else 0):
            place = stable_fraction(f"{row.key}\x00exemplar {attempt}", self._seed)
            other = self._rows[bisect_left(self._places, place) % len(self._rows)]
            if other.group not in taken and fits(other):
                found.append(other)
                taken.add(other.group)
            if len(found) == count:
                break
        return found


def phrase(row: Row, templates: TemplateSet, pool: Pool, forms: Forms) -> Phrased | None:
    """The row in one of the templates; None where no template fits it."""

    def draw(name: str) -> float:
        return stable_fraction(f"{row.key}\x00{name}", forms.seed)

    few = draw("few-shot") < forms.few_shot
    template = _choose(list(_fitting(row, templates, pool, forms.languages)), few, forms, draw)
    if template is None:
        return None
    style = (
        templates.options if templates.options != "either" else ("letters" if draw("style") < 0.5 else "dashes")
    )
    shown = ""
    names: list[str] = []
    if EXAMPLES in template.fields:
        shown, names = show_examples(
            row.examples, row.fields.get("input", ""), template.language, row.key, forms.shots, forms.seed
        )
    prompt, answer = _render(row, template, templates, pool, style, shown)
    if names:
        return Phrased(row, template, prompt, answer, "task_examples", tuple(names))
    if few and not row.examples:
        others = pool.others(row, forms.shots, lambda other: _fits(other, template, templates, pool))
        pairs = [(other, _render(other, template, templates, pool, style, "")) for other in others]
        return _with_exemplars(Phrased(row, template, prompt, answer, "zero_shot"), pairs, forms)
    return Phrased(row, template, prompt, answer, "zero_shot")


def _fitting(row: Row, templates: TemplateSet, pool: Pool, languages: Sequence[str]) -> Iterator[TableTemplate]:
    """The templates that a row has all fields for: in its own language, or where there are none in others."""
    own = [item for item in templates.templates if item.language == row.language and item.language in languages]
    for template in own or [item for item in templates.templates if item.language in languages]:
        if _fits(row, template, templates, pool):
            yield template


def _fits(row: Row, template: TableTemplate, templates: TemplateSet, pool: Pool) -> bool:
    known = {*row.fields, *templates.values}
    if _choices(row, template.language, templates, pool):
        known.add(OPTIONS)
    if row.examples:
        known.add(EXAMPLES)
    return known.issuperset(template.fields)


def _choose(
    fitting: list[TableTemplate], few: bool, forms: Forms, draw: Callable[[str], float]
) -> TableTemplate | None:
    with_examples = [item for item in fitting if EXAMPLES in item.fields]
    if with_examples:
        fitting = with_examples if few else [item for item in fitting if EXAMPLES not in item.fields] or fitting
    reasoning = [item for item in fitting if RATIONALE in item.fields]
    plain = [item for item in fitting if RATIONALE not in item.fields]
    fitting = reasoning if reasoning and (not plain or draw("reasoning") < forms.rationales) else plain
    turned = [item for item in fitting if item.turned]
    straight = [item for item in fitting if not item.turned]
    share = min(MOST_TURNED, len(turned) / max(1, len(fitting)))
    chosen = turned if turned and (not straight or draw("turned") < share) else straight
    return chosen[int(draw("template") * len(chosen))] if chosen else None


def _render(
    row: Row, template: TableTemplate, templates: TemplateSet, pool: Pool, style: str, examples: str
) -> tuple[str, str]:
    language = template.language
    fields = {name: _word(words, language) for name, words in templates.values.items()}
    fields |= {**row.fields, EXAMPLES: examples}
    if ANSWER in fields:
        fields[ANSWER] = _word(templates.labels.get(fields[ANSWER], {"": fields[ANSWER]}), language)
    target = dict(fields)
    if OPTIONS in template.fields:
        choices = _choices(row, language, templates, pool)
        fields[OPTIONS] = target[OPTIONS] = _show_options(choices, style, language)
        if style == "letters" and ANSWER in fields and not template.turned:
            target[ANSWER] = f"({string.ascii_uppercase[choices.index(fields[ANSWER])]})"
    return fill(template.input, fields).strip(), fill(template.target, target).strip()


def _word(words: Mapping[str, str], language: str) -> str:
    return words.get(language) or words.get("") or next(iter(words.values()), "")


def _choices(row: Row, language: str, templates: TemplateSet, pool: Pool) -> list[str]:
    """The choices of a row: its own in their order; else all labels, or all answers of the data set, shuffled."""
    if row.choices:
        return list(row.choices) if len(row.choices) <= _MOST_OPTIONS else []
    words = [_word(item, language) for item in templates.labels.values()] or pool.answers
    different = list(dict.fromkeys(words))
    if not 2 <= len(different) <= _MOST_OPTIONS:
        return []
    return sorted(different, key=lambda word: stable_fraction(f"{row.key}\x00option\x00{word}"))


def _show_options(choices: Sequence[str], style: str, language: str) -> str:
    marks = [f"({letter})" for letter in string.ascii_uppercase] if style == "letters" else ["-"] * len(choices)
    lines = [f"{mark} {choice}" for mark, choice in zip(marks, choices, strict=False)]
    return "\n".join(["选项：" if language == "zh" else "OPTIONS:", *lines])


@dataclass(frozen=True)
class _Layout:
    example: str
    query: str
    between: str


@cache
def exemplar_layouts(language: str) -> tuple[_Layout, ...]:
    """The ways to set exemplars in front of a prompt, in a language (English for one that has none)."""
    text = (resources.files("instruct") / "tables" / "exemplars.yaml").read_text(encoding="utf-8")
    record = yaml.safe_load(text)
    return tuple(_Layout(**item) for item in record.get(language, record["en"]))


def _with_exemplars(plain: Phrased, pairs: Sequence[tuple[Row, tuple[str, str]]], forms: Forms) -> Phrased:
    """The prompt behind as many exemplars as fit; as it is where none does."""
    layouts = exemplar_layouts(plain.template.language)
    layout = layouts[int(stable_fraction(f"{plain.row.key}\x00layout", forms.seed) * len(layouts))]
    query = fill(layout.query, {"input": plain.prompt}).rstrip()
    blocks: list[str] = []
    room = forms.limit(plain.row) - len(query) - len(plain.answer)
    for _, (shown_input, target) in pairs:
        block = fill(layout.example, {"input": shown_input, "target": target}).strip()
        room -= len(block) + len(layout.between)
        if room < 0:
            break
        blocks.append(block)
    if not blocks:
        return plain
    places = tuple(other.place for other, _ in pairs[: len(blocks)])
    prompt = layout.between.join([*blocks, query])
    return Phrased(plain.row, plain.template, prompt, plain.answer, "few_shot", places)
