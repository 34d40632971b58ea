"""Tasks (role, instruction, input, output): how they stand in a prompt, and how they are read from a reply."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

WHOLE = ("instruction", "input", "output")
INSTRUCTION = ("instruction",)
WITH_ROLE = ("role", "instruction", "input")
INPUT_FIRST = ("input", "output")
OUTPUT_FIRST = ("label", "input")

_LABELS = {
    "en": {
        "role": "Role",
        "instruction": "Instruction",
        "input": "Input",
        "output": "Output",
        "label": "Class label",
    },
    "zh": {"role": "角色", "instruction": "指令", "input": "输入", "output": "输出", "label": "类别"},
}
_NOTHING_IN = {"en": "<none>", "zh": "<无>"}
_NAMES = {
    "role": "role", "角色": "role", "instruction": "instruction", "task": "instruction", "指令": "instruction",
    "任务": "instruction", "input": "input", "输入": "input", "output": "output", "输出": "output",
    "class label": "label", "label": "label", "类别": "label", "标签": "label",
}  # fmt: skip
_NUMBER = r"[(（]?\d{1,3}\s*[.):：、．）]"
_LABEL = re.compile(
    rf"^[\s>#*_-]*(?:{_NUMBER}\s*)?[*_]*({'|'.join(_NAMES)})[*_]*\s*[:：][*_]*[ \t]*(.*)$",
    re.IGNORECASE | re.DOTALL,
)
_SEPARATOR = re.compile(
    rf"^[\s#*_=-]*(?:(?:task|example|任务|例子|示例)?\s*(?:{_NUMBER}|\d{{1,3}}))?[\s#*_=:：-]*$", re.IGNORECASE
)
_ITEM = re.compile(rf"^\s*(?:{_NUMBER}|[-*•])\s*(\S.*)$")
_FENCE = re.compile(r"\A\s*```[\w-]*\n(.*?)\n?```\s*\Z", re.DOTALL)
_NOTHING = re.compile(r"\A\W*(?:no\s?input|none|n/?a|not applicable|empty|无|无输入|没有|空)?\W*\Z", re.IGNORECASE)


@dataclass(frozen=True)
class Task:
    """An instruction, the material that it works on (may be empty), a reply, and who asks (may be empty)."""

    instruction: str
    input: str = ""
    output: str = ""
    role: str = ""

    def prompt(self) -> str:
        """What a user would type: the instruction, and the input below it where there is one."""
        return f"{self.instruction}\n\n{self.input}" if self.input else self.instruction

    def fields(self) -> dict[str, Any]:
        """The task as a row has it: the role only where there is one."""
        return {name: value for name, value in asdict(self).items() if value or name != "role"}


def render(tasks: Sequence[Task], language: str, parts: Sequence[str] = WHOLE) -> str:
    """Tasks as numbered examples of these parts; a classification's label is its output."""
    colon = "：" if language == "zh" else ": "
    blocks = []
    for number, task in enumerate(tasks, 1):
        values = {**asdict(task), "label": task.output}
        lines = [f"{_LABELS[language][part]}{colon}{values[part] or _NOTHING_IN[language]}" for part in parts]
        blocks.append("\n".join([f"### {number}", *lines]))
    return "\n\n".join(blocks)


def parse(text: str, parts: Sequence[str] = WHOLE) -> list[Task]:
    """Read the tasks of a reply.

    Labels may be numbered, bold, in English or Chinese, with a full-width colon; blocks may be parted by
    headings, rules or numbers, and the whole may stand in a code fence. What stands before the first
    instruction is left out. Inside the last part only the next task ends it, so that an output may speak
    of inputs and outputs.
    """
    return [_task(block) for block in _blocks(text, parts, "instruction")]


def parse_instances(instruction: str, text: str, parts: Sequence[str]) -> list[Task]:
    """Read the instances of an instruction, with parts `INPUT_FIRST` or `OUTPUT_FIRST`."""
    blocks = _blocks(text, parts, "label" if "label" in parts else "output")
    return [_task({"output": block.get("label", ""), **block, "instruction": instruction}) for block in blocks]


def parse_list(text: str) -> list[str]:
    """The items of a numbered or bulleted list, one a line."""
    items = (_ITEM.match(line) for line in _unfenced(text).split("\n"))
    return [item[1].strip().strip("*_").strip() for item in items if item]


def _unfenced(text: str) -> str:
    fenced = _FENCE.match(text)
    return (fenced[1] if fenced else text).replace("\r\n", "\n")


def _blocks(text: str, parts: Sequence[str], needed: str) -> list[dict[str, str]]:
    """Blocks of labelled parts; one begins at the first part, or at a second `needed` one."""
    blocks: list[dict[str, list[str]]] = []
    field = ""
    for line in _unfenced(text).split("\n"):
        label = _LABEL.match(line)
        name = _NAMES[label[1].lower()] if label else ""
        begins = name == parts[0] or (name == needed and (not blocks or needed in blocks[-1]))
        if label and begins:
            _drop_separators(blocks, field)
            blocks.append({name: [label[2]]})
            field = name
        elif label and blocks and field != parts[-1] and name in parts and name not in blocks[-1]:
            blocks[-1][name] = [label[2]]
            field = name
        elif blocks:
            blocks[-1][field].append(line)
    _drop_separators(blocks, field)
    return [{name: "\n".join(lines).strip() for name, lines in block.items()} for block in blocks]


def _drop_separators(blocks: list[dict[str, list[str]]], field: str) -> None:
    """Take the blank lines, numbers and rules that part two blocks off the end of the first."""
    lines = blocks[-1][field] if blocks else []
    kept = len(lines)
    while kept > 1 and _SEPARATOR.match(lines[kept - 1]) and not lines[kept - 1].strip().isdigit():
        kept -= 1
    del lines[kept:]


def _task(block: dict[str, str]) -> Task:
    given, role = (_NOTHING.sub("", block.get(name, ""), count=1) for name in ("input", "role"))
    return Task(block.get("instruction", ""), given, block.get("output", ""), role)
