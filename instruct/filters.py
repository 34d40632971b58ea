"""Which tasks that a model wrote are dropped, and why (Self-Instruct, section 2.2; Alpaca's longer blacklist)."""

from __future__ import annotations

from collections.abc import Sequence

from instruct.language import has_chinese, length, rules
from instruct.tasks import Task

MOST_INSTANCES = 5


def task_fault(task: Task, language: str) -> str:
    """The reason to drop a whole task, or an empty text."""
    return instruction_fault(task.instruction, language) or output_fault(task)


def instruction_fault(instruction: str, language: str) -> str:
    """The reason to drop a task for its instruction, or an empty text."""
    known = rules(language)
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
    return ""


def output_fault(task: Task) -> str:
    """The reason to drop a task for its output, or an empty text."""
    output = task.output.strip()
    if not output:
        return "no_output"
    if output == task.input.strip():
        return "output_equals_input"
    if output.endswith((":", "：")):
        return "output_ends_in_colon"
    return ""


def instance_faults(instances: Sequence[Task], cut: bool) -> list[str]:
    """The reasons to drop instances of one instruction, empty for those that stay: at most five.

    `cut` says that the reply ended before the last one did. Instances with one input and two outputs are
    dropped, all of them; of equal ones the first stays.
    """
    outputs: dict[str, set[str]] = {}
    for instance in instances[: len(instances) - cut]:
        outputs.setdefault(instance.input, set()).add(instance.output)
    seen: set[Task] = set()
    faults, kept = [], 0
    for place, instance in enumerate(instances):
        fault = output_fault(instance)
        if cut and place == len(instances) - 1:
            fault = "cut_by_length"
        elif not fault and instance in seen:
            fault = "equal_instance"
        elif not fault and instance.input and len(outputs[instance.input]) > 1:
            fault = "one_input_two_outputs"
        elif not fault and kept == MOST_INSTANCES:
            fault = "beyond_five"
        seen.add(instance)
        kept += not fault
        faults.append(fault)
    return faults
