"""Templates over the columns of a table, from a YAML file: a built-in kind of task or the user's own.

A file has `templates`, by language a list of `input`, `target` and (where it asks the task the other way round)
`turned`. `{{field}}` is a column of the table; `columns` gives a field another column. Two fields are made:
`options` (what there is to choose from) and, of Super-NaturalInstructions, `examples`. A file is data: nothing in
it is run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import text_hash

FIELD = re.compile(r"\{\{ {0,9}([^{}\n]{1,100}?) {0,9}\}\}")
OPTIONS, EXAMPLES, ANSWER, CHOICES, RATIONALE = "options", "examples", "answer", "choices", "rationale"
MADE = (OPTIONS, EXAMPLES)
STYLES = ("dashes", "letters", "either")
_KEYS = ("kind", "columns", "labels", "values", "joined", "optional", "split_by", "options", "templates")
_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class TableTemplate:
    """One phrasing: `input` is asked, `target` answered."""

    id: str
    language: str
    input: str
    target: str
    turned: bool = False

    @property
    def hash(self) -> str:
        """Eight digits that change when the wording does."""
        return text_hash(f"{self.input}\x00{self.target}")[:8]

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that it sets in, in order."""
        return tuple(dict.fromkeys(FIELD.findall(f"{self.input}\n{self.target}")))


@dataclass(frozen=True)
class TemplateSet:
    """The templates of a kind of task, and how a row's columns become their fields.

    `columns` are those of fields with other names, `labels` the words of an answer's values by language (`""` for
    any), `values` texts that are the same in all rows, by language; lists and tables in the fields of `joined`
    become one text, of others a list's first text is taken; rows that are equal in the fields of `split_by` stand
    on the same side of the split.
    """

    kind: str
    templates: tuple[TableTemplate, ...]
    columns: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    joined: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    split_by: tuple[str, ...] = ()
    options: str = "either"

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages of the prompts."""
        return tuple(dict.fromkeys(template.language for template in self.templates))

    def column(self, name: str) -> str:
        """The column that a field is read from."""
        return self.columns.get(name, name)

    def read_fields(self) -> tuple[str, ...]:
        """The fields that are read from a row: those of the templates, and the choices where some are mapped."""
        named = [name for template in self.templates for name in template.fields]
        chosen = [CHOICES] if CHOICES in self.columns else []
        made = (*MADE, *self.values)
        return tuple(name for name in dict.fromkeys([*named, *chosen]) if name not in made)

    def users_of(self, name: str) -> str:
        """The id of the first template that has a field, for messages."""
        return next((item.id for item in self.templates if name in item.fields), f"{self.kind}, `columns`")


def built_in_kinds() -> list[str]:
    """The kinds of tasks that the package has templates for."""
    names = [entry.name for entry in (resources.files("instruct") / "tables" / "kinds").iterdir()]
    return sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml"))


def load_templates(name: str) -> TemplateSet:
    """The templates of a built-in kind, or of a YAML file. Raises UsageError where there is neither,
    ZeroToOneError that names file and place for a broken file."""
    if name in built_in_kinds():
        text = (resources.files("instruct") / "tables" / "kinds" / f"{name}.yaml").read_text(encoding="utf-8")
        return parse_templates(text, f"{name}.yaml")
    path = Path(name)
    if path.suffix not in _SUFFIXES:
        raise UsageError(f"--templates {name}: neither a .yaml file nor one of {', '.join(built_in_kinds())}")
    try:
        return parse_templates(path.read_text(encoding="utf-8"), name)
    except FileNotFoundError:
        raise ZeroToOneError(f"{name}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ZeroToOneError(f"{name}: cannot be read: {error}") from None


def parse_templates(text: str, place: str) -> TemplateSet:
    """The templates that a YAML text holds; `place` names it in errors (ZeroToOneError)."""
    try:
        record = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise ZeroToOneError(
            f"{place}{line}: not valid YAML: {getattr(error, 'problem', None) or error}"
        ) from None
    if not isinstance(record, dict):
        raise ZeroToOneError(f"{place}: not a file of templates: it has no key `templates`")
    for key in record:
        if key not in _KEYS:
            raise ZeroToOneError(f"{place}: unknown key `{key}`; there are {', '.join(_KEYS)}")
    kind = str(record.get("kind", Path(place).stem))
    style = record.get("options", "either")
    if style not in STYLES:
        raise ZeroToOneError(f"{place}: options `{style}`: choose one of {', '.join(STYLES)}")
    return TemplateSet(
        kind,
        tuple(_templates(record.get("templates"), kind, place)),
        columns=_texts(record, "columns", place),
        labels=_by_language(record, "labels", place),
        values=_by_language(record, "values", place),
        joined=_names(record, "joined", place),
        optional=_names(record, "optional", place),
        split_by=_names(record, "split_by", place),
        options=style,
    )


def with_mappings(
    templates: TemplateSet, columns: Mapping[str, str], labels: Mapping[str, str], values: Mapping[str, str]
) -> TemplateSet:
    """The templates with a user's columns and values in place of the file's, and the user's labels if any."""
    known = {*templates.columns, *templates.read_fields(), CHOICES, *templates.values}
    for name in [*columns, *values]:
        if name not in known:
            raise UsageError(f"{name}: no field of {templates.kind}; there are {', '.join(sorted(known))}")
    return replace(
        templates,
        columns={**templates.columns, **columns},
        labels={raw: {"": word} for raw, word in labels.items()} or templates.labels,
        values={**templates.values, **{name: {"": word} for name, word in values.items()}},
    )


def fill(pattern: str, fields: Mapping[str, str]) -> str:
    """The pattern with the fields set in, in one pass: braces in a field's text stay as they are."""
    return FIELD.sub(lambda match: fields[match[1]], pattern)


def _templates(record: Any, kind: str, place: str) -> list[TableTemplate]:
    if not isinstance(record, dict) or not record:
        raise ZeroToOneError(f"{place}: no `templates` by language, as `templates: {{en: [...]}}`")
    found = []
    for language, items in record.items():
        if not isinstance(items, list) or not items:
            raise ZeroToOneError(f"{place}: templates: {language}: not a list of templates")
        for number, item in enumerate(items, 1):
            found.append(_template(item, f"{kind}-{language}-{number:02d}", str(language), place))
    return found


def _template(item: Any, name: str, language: str, place: str) -> TableTemplate:
    if not isinstance(item, dict) or not {"input", "target"} <= set(item) <= {"input", "target", "turned"}:
        raise ZeroToOneError(f"{place}: template {name}: needs `input` and `target`, and may have `turned`")
    if not all(isinstance(item[part], str) and item[part].strip() for part in ("input", "target")):
        raise ZeroToOneError(f"{place}: template {name}: `input` and `target` must be texts")
    if not isinstance(item.get("turned", False), bool):
        raise ZeroToOneError(f"{place}: template {name}: `turned` must be true or false")
    template = TableTemplate(name, language, item["input"], item["target"], item.get("turned", False))
    for part in ("input", "target"):
        rest = FIELD.sub("", item[part])
        if "{{" in rest or "}}" in rest:
            raise ZeroToOneError(f"{place}: template {name}: `{part}` has braces that hold no field")
    if not FIELD.search(template.target):
        raise ZeroToOneError(f"{place}: template {name}: `target` has no field: every row would have the same")
    return template


def _texts(record: dict[str, Any], key: str, place: str) -> dict[str, str]:
    value = record.get(key, {})
    if not isinstance(value, dict) or any(isinstance(item, dict | list) for item in value.values()):
        raise ZeroToOneError(f"{place}: {key}: not names with their values, as `{key}: {{name: value}}`")
    return {_word(name): _word(item) for name, item in value.items()}


def _by_language(record: dict[str, Any], key: str, place: str) -> dict[str, dict[str, str]]:
    value = record.get(key, {})
    if not isinstance(value, dict):
        raise ZeroToOneError(f"{place}: {key}: not values with their words, as `{key}: {{0: no, 1: yes}}`")
    nested = {name: item if isinstance(item, dict) else {"": item} for name, item in value.items()}
    return {_word(name): _texts({key: words}, key, place) for name, words in nested.items()}


def _names(record: dict[str, Any], key: str, place: str) -> tuple[str, ...]:
    value = record.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ZeroToOneError(f"{place}: {key}: not a list of names")
    return tuple(value)


def _word(value: Any) -> str:
    """A scalar as JSON spells it: YAML makes `true` and `yes` of one kind."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def check_languages(templates: TemplateSet, languages: Sequence[str]) -> None:
    """Raise UsageError for a language that no template has."""
    for name in languages:
        if name not in templates.languages:
            raise UsageError(f"--lang {name}: {templates.kind} has templates in {', '.join(templates.languages)}")
