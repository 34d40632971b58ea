"""Task files of Super-NaturalInstructions (Wang et al. 2022, "Super-NaturalInstructions", section 3).

A task has a definition, positive and negative examples with explanations, and instances.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from corpus.core.files import stable_fraction

_WORDS = {
    "en": ("Positive example", "Negative example", "Input", "Output", "Explanation"),
    "zh": ("正例", "反例", "输入", "输出", "说明"),
}
Example = dict[str, str]  # kind, input, output, explanation


def is_task_row(record: Any) -> bool:
    """Whether a row is an instance of a task file, as `rows.py` reads it."""
    return isinstance(record, dict) and "Instance" in record and "Definition" in record


def task_row(record: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """An instance as a row of a table: definition, input, output (one of several, by hash), id."""
    instance = record["Instance"] if isinstance(record["Instance"], dict) else {}
    outputs = instance.get("output")
    if isinstance(outputs, list) and outputs:
        draw = stable_fraction(f"{instance.get('input')}\x00output", seed)
        outputs = outputs[int(draw * len(outputs))]
    row = {"definition": record["Definition"], "input": instance.get("input"), "output": outputs}
    return {**row, "id": instance.get("id")}


def task_examples(record: Mapping[str, Any]) -> list[Example]:
    """The examples of a task, positive ones first; those without input or output are left out."""
    found = []
    for kind in ("Positive", "Negative"):
        entries = record.get(f"{kind} Examples")
        for item in entries if isinstance(entries, list) else ():
            if isinstance(item, dict):
                example = {name: str(item.get(name) or "").strip() for name in ("input", "output", "explanation")}
                found.append({"kind": kind.lower(), **example})
    return [example for example in found if example["input"] and example["output"]]


def show_examples(
    examples: str, own_input: str, language: str, key: str, shots: int, seed: int
) -> tuple[str, list[str]]:
    """Some of a task's examples as text, and their names; "" where none is left.

    At most `shots` of a kind, never one with the row's own input. By hash: positive ones alone or with negative
    ones, with or without explanations.
    """
    positive, negative, *words = _WORDS.get(language, _WORDS["en"])
    known = json.loads(examples) if examples else []
    with_negative, explained = (
        stable_fraction(f"{key}\x00{name}", seed) < 0.5 for name in ("negative", "explained")
    )
    blocks, names = [], []
    for kind, title in (("positive", positive), ("negative", negative)):
        of_kind = [item for item in known if item["kind"] == kind]
        fitting = [item for item in of_kind if item["input"] != own_input]
        for number, item in enumerate(fitting[:shots] if kind == "positive" or with_negative else (), 1):
            shown = (
                ("input", "output", "explanation") if explained and item["explanation"] else ("input", "output")
            )
            lines = [f"{words[place]}: {item[name]}" for place, name in enumerate(shown)]
            blocks.append("\n".join([f"{title} {number}", *lines]))
            names.append(f"{kind} {of_kind.index(item) + 1}")
    return "\n\n".join(blocks), names
