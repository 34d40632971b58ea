"""Rule sets from YAML: those that come with us, the user's own, and single thresholds set anew."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from corpus.core.errors import UsageError, ZeroToOneError
from corpus.filtering.edits import EDITS, Edit
from corpus.filtering.rules import COMPARISONS, OWN_COLUMN, Rule, RuleSet
from corpus.filtering.signals import EDITED_WORDS, SIGNALS
from corpus.filtering.word_lists import list_of

_BUILT_IN = Path(__file__).parent / "rule_sets"
_RULE_KEYS = {"name", "signal", "comparison", "threshold"}
_SET_KEYS = ("name", "definition", "source", "languages", "include", "edits", "rules", "by_language")


def built_in_names() -> list[str]:
    """The names of the rule sets that come with the program."""
    return sorted(path.stem for path in _BUILT_IN.glob("*.yaml"))


def load_rule_sets(
    names: Sequence[str], settings: Sequence[str] = (), lists: Collection[str] = ()
) -> list[RuleSet]:
    """Read rule sets by name or file, with those that they include, in the order in which they apply.

    `NAME@code` and `NAME@paper` choose a definition where there are two. `lists` are the names of the lists
    of words that there are: an optional rule on another one is left out.

    `settings` change thresholds (see `with_settings`). Raises ZeroToOneError for a file that is not a rule set
    (naming the line), UsageError for a name or setting that does not exist.
    """
    sets: list[RuleSet] = []
    for name in names:
        loaded = _load(name, (), lists)
        if any(rule_set.only_for or rule_set.not_for for rule_set in loaded):
            if len(names) > 1:
                raise UsageError(f"`{name}` chooses by language and stands alone")
            sets = loaded
            break
        for rule_set in loaded:
            sets = _appended(sets, rule_set)
    if not sets:
        raise UsageError("no rule set given")
    _check_edited(sets)
    return with_settings(sets, settings)


def with_settings(rule_sets: Sequence[RuleSet], settings: Sequence[str]) -> list[RuleSet]:
    """The rule sets with other thresholds: `RULE=VALUE`, `SET.RULE=VALUE`, or the signal's name for the rule's.

    Raises UsageError for a name that is unknown (with those near it) or stands for more than one rule.
    """
    sets = list(rule_sets)
    for setting in settings:
        sets = _with_setting(sets, setting)
    return sets


def _appended(sets: list[RuleSet], new: RuleSet) -> list[RuleSet]:
    """`new` behind the others, looking at the text as they leave it; once is enough."""
    for old in sets:
        if old.name == new.name and old.definition != new.definition:
            raise UsageError(
                f"`{old.definition}` and `{new.definition}` are two definitions of one set; choose one"
            )
        if old.name == new.name:
            return sets
    edited = [old.name for old in sets if old.edits]
    return [*sets, replace(new, text=new.name if new.edits else edited[-1] if edited else "")]


def _check_edited(sets: Sequence[RuleSet]) -> None:
    """A share of words that edits took out needs edits."""
    for rule_set in sets:
        for rule in rule_set.rules:
            if rule.signal == EDITED_WORDS.name and not rule_set.text:
                raise UsageError(f"{rule_set.label(rule)}: `{rule.signal}` needs edits in this set or before it")


def _load(name: str, including: tuple[str, ...], lists: Collection[str]) -> list[RuleSet]:
    path = _path_of(name)
    if str(path) in including:
        raise ZeroToOneError(f"{path}: includes itself")
    including = (*including, str(path))
    file = _RuleFile(path, lists)
    if "by_language" in file.data:
        return _by_language(file, including, lists)
    sets: list[RuleSet] = []
    for other in file.strings("include"):
        for rule_set in _load(file.beside(other, "include"), including, lists):
            sets = _appended(sets, rule_set)
    return _appended(sets, file.rule_set())


def _by_language(file: _RuleFile, including: tuple[str, ...], lists: Collection[str]) -> list[RuleSet]:
    branches = file.data["by_language"]
    named = isinstance(branches, dict) and all(isinstance(item, str) for item in branches.values())
    if not named or not branches:
        raise file.error("by_language", "needs `language: rule set` lines")
    listed = tuple(str(language) for language in branches if language != "other")
    sets: list[RuleSet] = []
    for language, name in branches.items():
        loaded = _load(file.beside(name, "by_language"), including, lists)
        if any(rule_set.only_for or rule_set.not_for for rule_set in loaded):
            raise file.error("by_language", f"`{name}` chooses by language itself")
        if {rule_set.name for rule_set in loaded} & {rule_set.name for rule_set in sets}:
            raise file.error("by_language", f"`{name}` repeats a rule set of another language")
        only, but = ((), listed) if language == "other" else ((str(language),), ())
        sets += [replace(rule_set, only_for=only, not_for=but) for rule_set in loaded]
    return sets


def _path_of(name: str) -> Path:
    if found := _built_in(name):
        return found
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise ZeroToOneError(f"{name}: no such file")
        return path
    raise UsageError(f"unknown rule set `{name}`; {_near(name, built_in_names())} (or a file that ends in .yaml)")


def _built_in(name: str) -> Path | None:
    """The file of a built-in set; `NAME@DEFINITION` is NAME's where that is its definition."""
    plain = name.partition("@")[0]
    for stem in (name, plain):
        path = _BUILT_IN / f"{stem}.yaml"
        if stem in built_in_names() and (stem == name or f"\ndefinition: {name}\n" in path.read_text("utf-8")):
            return path
    return None


def _near(name: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"near it: {', '.join(close)}" if close else f"there are {', '.join(known)}"


def _with_setting(sets: list[RuleSet], setting: str) -> list[RuleSet]:
    label, _, text = setting.partition("=")
    try:
        value = float(text)
    except ValueError:
        raise UsageError(f"--set {setting}: write RULE=NUMBER") from None
    names = [
        (rule.name, rule_set.label(rule), rule.signal, f"{rule_set.name}.{rule.signal}")
        for rule_set in sets
        for rule in rule_set.rules
    ]
    matching = [known[1] for known in names if label in known[:2]] or [
        known[1] for known in names if label in known[2:]
    ]
    if not matching:
        known = [name for each in names for name in each]
        raise UsageError(f"--set {setting}: no such rule; {_near(label, list(dict.fromkeys(known)))}")
    if len(matching) > 1:
        raise UsageError(f"--set {setting}: say which: {', '.join(matching)}")
    return [
        replace(
            rule_set,
            rules=tuple(
                replace(rule, threshold=value) if rule_set.label(rule) == matching[0] else rule
                for rule in rule_set.rules
            ),
        )
        for rule_set in sets
    ]


class _RuleFile:
    """A parsed rule file, whose errors name the line."""

    def __init__(self, path: Path, lists: Collection[str]) -> None:
        self.path, self._lists = path, lists
        try:
            self._text = path.read_text("utf-8")
            self.data: dict[str, Any] = yaml.safe_load(self._text)
            self._node = yaml.compose(self._text, yaml.SafeLoader)
        except UnicodeDecodeError as error:
            raise ZeroToOneError(f"{path}: not UTF-8 at byte {error.start}") from None
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            place = f":{mark.line + 1}" if mark else ""
            problem = getattr(error, "problem", None) or str(error).splitlines()[0]
            raise ZeroToOneError(f"{path}{place}: invalid YAML: {problem}") from None
        if not isinstance(self.data, dict):
            raise ZeroToOneError(f"{path}: a rule set is a mapping with `name` and `rules`")
        for key in self.data:
            if key not in _SET_KEYS:
                raise self.error(key, f"unknown key `{key}`; {_near(str(key), _SET_KEYS)}")

    def error(self, key: Any, problem: str, index: int | None = None) -> ZeroToOneError:
        """An error at a key of the file, or at an item of the list there."""
        line = 1
        for key_node, value_node in getattr(self._node, "value", []):
            if key_node.value == str(key):
                inside = index is not None and isinstance(value_node, yaml.SequenceNode)
                line = (value_node.value[index] if inside else key_node).start_mark.line + 1
        return ZeroToOneError(f"{self.path}:{line}: {problem}")

    def beside(self, name: str, key: str) -> str:
        """The rule set that the file names there: a built-in one, or a file beside it."""
        if _built_in(name):
            return name
        if not name.endswith((".yaml", ".yml")):
            raise self.error(key, f"unknown rule set `{name}`; {_near(name, built_in_names())}")
        return str(self.path.parent / name)

    def strings(self, key: str) -> tuple[str, ...]:
        """A list of strings of the file, empty where it is missing."""
        values = self.data.get(key) or []
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise self.error(key, f"`{key}` needs a list of names")
        return tuple(values)

    def rule_set(self) -> RuleSet:
        """The file's own edits and rules."""
        name = self.data.get("name", self.path.stem)
        if not isinstance(name, str) or not name or set(name) & set(".:="):
            raise self.error("name", "`name` needs a word without `.`, `:` and `=`")
        items = self.data.get("rules") or []
        if not isinstance(items, list):
            raise self.error("rules", "`rules` needs a list")
        rules: list[Rule] = []
        for index, item in enumerate(items):
            rule = self._rule(item, index)
            if any(rule.name == other.name for other in rules):
                raise self.error("rules", f"a second rule `{rule.name}`", index)
            if self._has_words(rule, item, index):
                rules.append(rule)
        changes = self.data.get("edits") or []
        if not isinstance(changes, list):
            raise self.error("edits", "`edits` needs a list")
        edits = tuple(self._edit(item, index) for index, item in enumerate(changes))
        definition, source = (str(self.data.get(key, "")) for key in ("definition", "source"))
        return RuleSet(name, definition, source, self.strings("languages"), edits, tuple(rules))

    def _rule(self, item: Any, index: int) -> Rule:
        if not isinstance(item, dict) or set(item) - {"optional"} != _RULE_KEYS:
            raise self.error("rules", "a rule has name, signal, comparison and threshold", index)
        signal = str(item["signal"])
        own = signal.startswith(OWN_COLUMN) and signal != OWN_COLUMN
        if signal not in SIGNALS and not own and not list_of(signal):
            near = f"{_near(signal, list(SIGNALS))} (or `{OWN_COLUMN}NAME`, a column of the documents)"
            raise self.error("rules", f"rule `{item['name']}`: unknown signal `{signal}`; {near}", index)
        if item["comparison"] not in COMPARISONS:
            known = ", ".join(COMPARISONS)
            raise self.error("rules", f"unknown comparison `{item['comparison']}`; there are {known}", index)
        if not isinstance(item["threshold"], (int, float)) or isinstance(item["threshold"], bool):
            raise self.error("rules", f"threshold `{item['threshold']}` is not a number", index)
        return Rule(str(item["name"]), signal, item["comparison"], float(item["threshold"]))

    def _has_words(self, rule: Rule, item: dict[str, Any], index: int) -> bool:
        """Whether the list of words is there that a rule needs; a rule that is not optional must have it."""
        name = list_of(rule.signal)
        if name is None or name in self._lists:
            return True
        if item.get("optional") is True:
            return False
        raise self.error("rules", f"rule `{rule.name}` needs a list of words: --words {name}=FILE", index)

    def _edit(self, item: Any, index: int) -> Edit:
        name, threshold = next(iter(item.items())) if isinstance(item, dict) and len(item) == 1 else (item, None)
        if name not in EDITS:
            raise self.error("edits", f"unknown edit `{name}`; {_near(str(name), list(EDITS))}", index)
        if threshold is None:
            threshold = EDITS[name].threshold
        if not isinstance(threshold, int) or isinstance(threshold, bool):
            raise self.error("edits", f"threshold `{threshold}` is not a whole number", index)
        return Edit(name, threshold)
