"""Which tasks that a model wrote are dropped, and why (Self-Instruct, section 2.2; Alpaca's longer blacklist)."""

from __future__ import annotations

from instruct.language import has_chinese, length, rules
from instruct.tasks import Task


def task_fault(task: Task, language: str) -> str:
    """The reason to drop a task, or an empty text."""
    known = rules(language)
    instruction = task.instruction
    size = length(instruction, language)
    if size < known.shortest:
        return "too_short"
    if size > known.longest:
        return "too_long"
    if known.blacklist.search(instruction):
        return "blacklisted"
    if known.forbidden_start.match(instruction):
        return "forbidden_start"
    if not known.allowed_start.match(instruction):
        return "bad_first_character"
    if language == "zh" and not has_chinese(instruction):
        return "wrong_language"
    return _output_fault(task)


def _output_fault(task: Task) -> str:
    output = task.output.strip()
    if not output:
        return "no_output"
    if output == task.input.strip():
        return "output_equals_input"
    if output.endswith((":", "：")):
        return "output_ends_in_colon"
    return ""
