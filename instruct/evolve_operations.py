"""Sets of operations by which `instruct evolve` changes instructions: read from YAML, checked, drawn by weight.

`general` and `code` come with the program (`prompts/operations/*.yaml`); a user's file has the same form.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import stable_fraction, text_hash
from instruct.cache import canonical_json
from instruct.prompt import LANGUAGES, Prompt, make_prompt, read_yaml

DEPTH, BREADTH = "depth", "breadth"
BUILTIN_SETS = ("general", "code")
_DIRECTORY = Path(__file__).parent / "prompts" / "operations"
_FIELDS = ("kind", "weight", "choices", "prompts")


@dataclass(frozen=True)
class Operation:
    """One way to evolve an instruction.

    `chance` is its share of the draws, `choices` what places of its prompt draw from.
    """

    name: str
    kind: str
    chance: float
    prompts: Mapping[str, Prompt]
    choices: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class OperationSet:
    """Operations, and by language the words of their prompts that an evolved instruction must not use."""

    name: str
    operations: Sequence[Operation]
    leaks: Mapping[str, Sequence[str]]

    @property
    def hash(self) -> str:
        """SHA-256 of all that decides what is drawn, sent and dropped."""
        operations = [
            [
                one.name,
                one.kind,
                one.chance,
                {code: prompt.hash for code, prompt in one.prompts.items()},
                one.choices,
            ]
            for one in self.operations
        ]
        return text_hash(canonical_json([operations, self.leaks]))

    def check_languages(self, languages: Collection[str]) -> None:
        """Raise ZeroToOneError where an operation has no prompt in one of the languages."""
        for operation in self.operations:
            for language in sorted(set(languages) - set(operation.prompts)):
                raise ZeroToOneError(
                    f"{self.name}: `{operation.name}` has no prompt in `{language}`, which rows need"
                )

    def draw(self, key: str, seed: int) -> tuple[Operation, dict[str, str]]:
        """The operation and the values of its choices that a key draws; the same key draws the same."""
        point = stable_fraction(f"operation\x00{key}", seed)
        drawn = self.operations[-1]
        for operation in self.operations:
            point -= operation.chance
            if point < 0:
                drawn = operation
                break
        values = {}
        for name, choices in drawn.choices.items():
            values[name] = choices[int(stable_fraction(f"{name}\x00{key}", seed) * len(choices))]
        return drawn, values


def load_operations(source: str, breadth: float | None = None) -> OperationSet:
    """A set by its name, or from a YAML file; operations for breadth have the share `breadth` (None: by weight).

    Raises UsageError for an unknown name or a share that the set cannot have, ZeroToOneError for a broken file.
    """
    path = _DIRECTORY / f"{source}.yaml" if source in BUILTIN_SETS else Path(source)
    if not path.is_file():
        raise UsageError(f"--operations {source}: no such file; the program has {', '.join(BUILTIN_SETS)}")
    name = source if source in BUILTIN_SETS else path.name
    entries = read_yaml(path)
    if unknown := set(entries) - {"leaks", "operations"}:
        raise ZeroToOneError(f"{path}: unknown key `{min(map(str, unknown))}`")
    found = entries.get("operations")
    if not isinstance(found, dict) or not found:
        raise ZeroToOneError(f"{path}: no `operations`")
    read = [_operation(f"{path}: `{key}`", str(key), entry) for key, entry in found.items()]
    return OperationSet(name, _by_share(read, breadth, name), _leaks(path, entries.get("leaks") or {}))


def _operation(place: str, name: str, entry: Any) -> Operation:
    if not isinstance(entry, dict):
        raise ZeroToOneError(f"{place} is no operation: kind, weight, choices, prompts")
    if unknown := set(entry) - set(_FIELDS):
        raise ZeroToOneError(
            f"{place} has an unknown key `{min(map(str, unknown))}`; there are {', '.join(_FIELDS)}"
        )
    kind, weight = entry.get("kind"), entry.get("weight", 1)
    if kind not in (DEPTH, BREADTH):
        raise ZeroToOneError(f"{place}: kind must be depth or breadth")
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < float("inf"):
        raise ZeroToOneError(f"{place}: weight must be a number above 0")
    choices, prompts = entry.get("choices") or {}, entry.get("prompts")
    if not isinstance(choices, dict) or not all(_texts(values) for values in choices.values()):
        raise ZeroToOneError(f"{place}: choices must be lists of texts by name")
    if not isinstance(prompts, dict) or not prompts or not set(prompts) <= set(LANGUAGES):
        raise ZeroToOneError(f"{place}: prompts must be by language: {', '.join(LANGUAGES)}")
    made = {code: make_prompt(f"{place} in `{code}`", name, text) for code, text in prompts.items()}
    for code, prompt in made.items():
        _check_places(f"{place} in `{code}`", prompt, choices)
    return Operation(name, kind, float(weight), made, choices)


def _check_places(place: str, prompt: Prompt, choices: Mapping[str, Any]) -> None:
    if "instruction" not in prompt.places:
        raise ZeroToOneError(f"{place} has no place {{{{instruction}}}}")
    if unknown := prompt.places - {"instruction", *choices}:
        raise ZeroToOneError(f"{place} has a place {{{{{min(unknown)}}}}} without choices")


def _texts(values: Any) -> bool:
    return isinstance(values, list) and bool(values) and all(isinstance(value, str) for value in values)


def _leaks(path: Path, entry: Any) -> dict[str, list[str]]:
    if not isinstance(entry, dict) or not all(
        code in LANGUAGES and _texts(words) for code, words in entry.items()
    ):
        raise ZeroToOneError(f"{path}: leaks must be lists of texts by language")
    return {code: [word.lower() for word in words] for code, words in entry.items()}


def _by_share(operations: Sequence[Operation], breadth: float | None, name: str) -> list[Operation]:
    """The operations with their weights made chances that sum to 1."""
    totals = {kind: sum(one.chance for one in operations if one.kind == kind) for kind in (DEPTH, BREADTH)}
    whole = sum(totals.values())
    shares = {kind: total / whole for kind, total in totals.items()}
    if breadth is not None:
        shares = {DEPTH: 1 - breadth, BREADTH: breadth}
    for kind, share in shares.items():
        if share and not totals[kind]:
            raise UsageError(f"--breadth {breadth:g}: the operations `{name}` have none for {kind}")
    chances = (shares[one.kind] * one.chance / totals[one.kind] for one in operations)
    return [
        Operation(one.name, one.kind, chance, one.prompts, one.choices)
        for one, chance in zip(operations, chances, strict=True)
        if chance
    ]
