"""Tasks (instruction, input, output): how they stand in a prompt, and how they are read from a reply."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_LABELS = {
    "en": ("Instruction", "Input", "Output", "<none>"),
    "zh": ("指令", "输入", "输出", "<无>"),
}
_NAMES = {
    "instruction": "instruction", "task": "instruction", "指令": "instruction", "任务": "instruction",
    "input": "input", "输入": "input", "output": "output", "输出": "output",
}  # fmt: skip
_NUMBER = r"[(（]?\d{1,3}\s*[.):：、．）]"
_LABEL = re.compile(
    rf"^[\s>#*_-]*(?:{_NUMBER}\s*)?[*_]*"
    r"(instruction|task|input|output|指令|任务|输入|输出)[*_]*\s*[:：][*_]*[ \t]*(.*)$",
    re.IGNORECASE | re.DOTALL,
)
_SEPARATOR = re.compile(
    rf"^[\s#*_=-]*(?:(?:task|example|任务|例子|示例)?\s*(?:{_NUMBER}|\d{{1,3}}))?[\s#*_=:：-]*$", re.IGNORECASE
)
_FENCE = re.compile(r"\A\s*```[\w-]*\n(.*?)\n?```\s*\Z", re.DOTALL)
_NOTHING = re.compile(r"\A\W*(?:no\s?input|none|n/?a|not applicable|empty|无|无输入|没有|空)?\W*\Z", re.IGNORECASE)


@dataclass(frozen=True)
class Task:
    """An instruction, the material that it works on (may be empty), and a reply."""

    instruction: str
    input: str = ""
    output: str = ""


def render(tasks: Sequence[Task], language: str) -> str:
    """Tasks as numbered examples."""
    instruction, given, output, nothing = _LABELS[language]
    colon = "：" if language == "zh" else ": "
    blocks = (
        f"### {number}\n{instruction}{colon}{task.instruction}\n{given}{colon}{task.input or nothing}\n"
        f"{output}{colon}{task.output}"
        for number, task in enumerate(tasks, 1)
    )
    return "\n\n".join(blocks)


def parse(text: str) -> list[Task]:
    """Read the tasks of a reply.

    Labels may be numbered, bold, in English or Chinese, with a full-width colon; blocks may be parted by
    headings, rules or numbers, and the whole may stand in a code fence. What stands before the first
    instruction is left out. Inside an output only the next instruction ends it, so that an output may speak
    of inputs and outputs.
    """
    fenced = _FENCE.match(text)
    lines = (fenced[1] if fenced else text).replace("\r\n", "\n").split("\n")
    blocks: list[dict[str, list[str]]] = []
    field = ""
    for line in lines:
        label = _LABEL.match(line)
        name = _NAMES[label[1].lower()] if label else ""
        if label and name == "instruction":
            _drop_separators(blocks, field)
            blocks.append({"instruction": [label[2]]})
            field = name
        elif label and blocks and field != "output" and name not in blocks[-1]:
            blocks[-1][name] = [label[2]]
            field = name
        elif blocks:
            blocks[-1][field].append(line)
    _drop_separators(blocks, field)
    return [_task(block) for block in blocks]


def _drop_separators(blocks: list[dict[str, list[str]]], field: str) -> None:
    """Take the blank lines, numbers and rules that part two blocks off the end of the first."""
    lines = blocks[-1][field] if blocks else []
    kept = len(lines)
    while kept > 1 and _SEPARATOR.match(lines[kept - 1]) and not lines[kept - 1].strip().isdigit():
        kept -= 1
    del lines[kept:]


def _task(block: dict[str, list[str]]) -> Task:
    values = {name: "\n".join(lines).strip() for name, lines in block.items()}
    given = values.get("input", "")
    return Task(values["instruction"], "" if _NOTHING.match(given) else given, values.get("output", ""))
