"""The forms in which instruction data goes round, to and from the conversation contract.

Pure functions on one row. What a form cannot hold is a reason or a count, never a silent loss; keys that are
not part of a form are carried along.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from corpus.core.conversations import Conversation, conversation_error
from instruct.forms_chat import (
    TURN_START,
    chatml_rounds,
    other_fields,
    read_chatml,
    read_moss,
    read_tree,
    read_turns,
    role,
    tree_rounds,
    write_chatml,
    write_sharegpt,
)

READABLE = ("alpaca", "sharegpt", "messages", "chatml", "dolly", "oasst", "super-ni", "moss")
WRITABLE = ("alpaca", "sharegpt", "messages", "chatml")
OTHER_BRANCHES = "rounds_of_other_branches"  # in what is lost: rounds that stand in no conversation
_CONTRACT = ("id", "lang", "source", "lineage")
_OWN_KEYS = {
    "alpaca": ("instruction", "input", "output", "system", "history"),
    "sharegpt": ("conversations",),
    "messages": ("messages",),
    "chatml": ("text",),
    "dolly": ("instruction", "context", "response"),
    "oasst": ("message_tree_id", "prompt"),
    "super-ni": ("Definition", "Instance", "Positive Examples", "Negative Examples"),
    "moss": ("conversation_id", "meta_instruction", "num_turns", "chat"),
}
_IDS = ("id", "conversation_id", "message_tree_id")
HELD_INPUT = "alpaca_input"  # in lineage: where an Alpaca row's input ends up, so that it can be parted again


class FormError(ValueError):
    """A row that cannot be read or held; its text is the reason in a word."""


def detect(row: Any) -> str | None:
    """The form of a row, by its keys, or None."""
    if not isinstance(row, dict):
        return None
    if "messages" in row:
        return "messages"
    if "conversations" in row:
        return "sharegpt"
    if "chat" in row and "meta_instruction" in row:
        return "moss"
    if "Definition" in row and "Instance" in row:
        return "super-ni"
    if isinstance(row.get("prompt"), dict) and "text" in row["prompt"]:
        return "oasst"
    if "instruction" in row:
        return "dolly" if "response" in row and "output" not in row else "alpaca"
    text = row.get("text")
    return "chatml" if isinstance(text, str) and text.lstrip().startswith(TURN_START) else None


def rounds_in(row: Any, form: str | None) -> int:
    """Turns of the user in a row of a form, as far as it can be read."""
    if form is None:
        return 0
    if form in ("dolly", "super-ni"):
        return 1
    if form == "alpaca":
        history = row.get("history")
        return 1 + (len(history) if isinstance(history, list) else 0)
    if form == "oasst":
        return tree_rounds(row["prompt"])
    if form == "chatml":
        return chatml_rounds(row["text"])
    if form == "moss":
        return len(row["chat"]) if isinstance(row["chat"], dict) else 0
    turns, speaker = (row["messages"], "role") if form == "messages" else (row["conversations"], "from")
    speakers = [turn.get(speaker) for turn in turns if isinstance(turn, dict)] if isinstance(turns, list) else []
    return sum(role(name) == "user" for name in speakers)


def read_row(row: Any, form: str, default_id: str, lost: Counter[str]) -> Conversation:
    """Read a row of a form, whatever the order of its turns; `lost` counts what a conversation cannot hold.

    Raises FormError for a row that is not of the form.
    """
    if not isinstance(row, dict):
        raise FormError("not_an_object")
    if detect(row) != form:
        raise FormError("other_form")
    messages, held = _messages(row, form, lost)
    lineage = row.get("lineage") or {}
    if not isinstance(lineage, dict):
        raise FormError("lineage_not_an_object")
    own_id = next((row[name] for name in _IDS if row.get(name) is not None), default_id)
    return {
        "id": str(own_id),
        "messages": messages,
        "lang": str(row.get("lang") or ""),
        "source": str(row.get("source") or ""),
        "lineage": {**lineage, **held},
        **_extras(row, form),
    }


def to_conversation(row: Any, form: str, default_id: str, lost: Counter[str]) -> Conversation:
    """Read a row of a form. Raises FormError; counts in `lost` what a conversation cannot hold."""
    found: Counter[str] = Counter()
    conversation = read_row(row, form, default_id, found)
    fault = conversation_error(conversation)
    if fault:
        raise FormError(fault)
    lost.update(+found)
    return conversation


def from_conversation(conversation: Conversation, form: str, lost: Counter[str] | None = None) -> dict[str, Any]:
    """Write a conversation in a form; `lost` counts fields of its messages that the form has no place for.

    Raises FormError where the form cannot hold the conversation.
    """
    if form == "messages":
        return conversation
    messages, lineage = conversation["messages"], dict(conversation["lineage"])
    own: dict[str, Any]
    if form == "sharegpt":
        own = {"conversations": write_sharegpt(messages)}
    elif form == "chatml":
        text = write_chatml(messages)
        if text is None:
            raise FormError("chatml_mark_in_content")
        own = {"text": text}
    else:
        own = _to_alpaca(messages, lineage)
    if lost is not None and form != "sharegpt" and (fields := other_fields(messages)):
        lost["message_fields"] += fields
    about = {**{name: conversation[name] for name in ("lang", "source")}, "lineage": lineage}
    extras = {name: value for name, value in _extras(conversation, "messages").items() if name not in own}
    kept = {name: value for name, value in about.items() if value}
    return {"id": conversation["id"], **own, **kept, **extras}


def alpaca_messages(instruction: str, given: str, output: str) -> tuple[list[dict[str, str]], dict[str, str]]:
    """A task as one round: the input follows the instruction after a blank line.

    Returns the messages and what lineage must hold so that the two can be parted again.
    """
    question = f"{instruction}\n\n{given}" if given else instruction
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": output}]
    return messages, {HELD_INPUT: given} if given else {}


def _extras(row: Mapping[str, Any], form: str) -> dict[str, Any]:
    return {name: row[name] for name in row if name not in _CONTRACT and name not in _OWN_KEYS[form]}


def _messages(row: dict[str, Any], form: str, lost: Counter[str]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The messages of a row, and what its lineage is to hold."""
    if form == "sharegpt":
        return read_turns(row["conversations"], "from", "value"), {}
    if form == "messages":
        return read_turns(row["messages"], "role", "content"), {}
    if form == "moss":
        return read_moss(row, lost), {}
    if form == "oasst":
        return read_tree(row["prompt"], lost), {}
    if form == "chatml":
        messages = read_chatml(row["text"])
        if messages is None:
            raise FormError("broken_chatml")
        return messages, {}
    if form == "dolly":
        return _task(row.get("instruction"), row.get("context"), row.get("response"))
    return _from_super_ni(row, lost) if form == "super-ni" else _from_alpaca(row)


def _task(instruction: Any, given: Any, output: Any) -> tuple[list[dict[str, Any]], dict[str, str]]:
    texts = [instruction, given or "", output]
    if not all(isinstance(text, str) for text in texts):
        raise FormError("no_final_reply" if output is None else "content_not_text")
    return alpaca_messages(*texts)


def _from_alpaca(row: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    messages, held = _task(row.get("instruction"), row.get("input"), row.get("output"))
    before: list[dict[str, Any]] = []
    if row.get("system"):
        before.append({"role": "system", "content": row["system"]})
    for turn in row.get("history") or []:
        if not isinstance(turn, (list, tuple)) or len(turn) != 2:
            raise FormError("history_not_pairs")
        before += [{"role": "user", "content": turn[0]}, {"role": "assistant", "content": turn[1]}]
    return before + messages, held


def _from_super_ni(row: dict[str, Any], lost: Counter[str]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """One instance of a Super-NaturalInstructions task, with the task's definition before it."""
    definition, instance = row["Definition"], row["Instance"]
    if not isinstance(instance, dict):
        raise FormError("instance_not_an_object")
    instruction = "\n".join(map(str, definition)) if isinstance(definition, list) else definition
    outputs = instance.get("output")
    outputs = outputs if isinstance(outputs, list) else [outputs]
    found = _task(instruction, instance.get("input"), outputs[0] if outputs else None)
    lost["other_outputs"] += max(0, len(outputs) - 1)
    for name in ("Positive Examples", "Negative Examples"):
        examples = row.get(name)
        lost[name.lower().replace(" ", "_")] += len(examples) if isinstance(examples, list) else 0
    return found


def _to_alpaca(messages: list[dict[str, Any]], lineage: dict[str, Any]) -> dict[str, str]:
    if messages[0]["role"] == "system":
        raise FormError("system_turn_not_held")
    if len(messages) > 2:
        raise FormError("more_than_one_round")
    question, given = messages[0]["content"], lineage.pop(HELD_INPUT, "")
    if isinstance(given, str) and given and question.endswith(f"\n\n{given}"):
        return {
            "instruction": question.removesuffix(f"\n\n{given}"),
            "input": given,
            "output": messages[1]["content"],
        }
    return {"instruction": question, "input": "", "output": messages[1]["content"]}
