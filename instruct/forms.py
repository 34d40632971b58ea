"""The forms in which instruction data goes round, to and from the conversation contract.

Pure functions on one row. What a form cannot hold is a reason or a count, never a silent loss; keys that are
not part of a form are carried along.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from corpus.core.conversations import Conversation, conversation_error

READABLE = ("alpaca", "sharegpt", "messages", "moss")
WRITABLE = ("alpaca", "sharegpt", "messages")
_CONTRACT = ("id", "lang", "source", "lineage")
_OWN_KEYS = {
    "alpaca": ("instruction", "input", "output", "system", "history"),
    "sharegpt": ("conversations",),
    "messages": ("messages",),
    "moss": ("conversation_id", "meta_instruction", "num_turns", "chat"),
}
_HELD_INPUT = "alpaca_input"  # in lineage: where an Alpaca row's input ends up, so that it can be parted again
_SPEAKERS = {
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "chatgpt": "assistant",
    "bing": "assistant", "bard": "assistant", "model": "assistant", "system": "system",
}  # fmt: skip
_MARKS = re.compile(r"\A\s*<\|[^|]*\|>:\s?|\s*<eo[a-z]>\s*\Z")


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
    return "alpaca" if "instruction" in row else None


def rounds_in(row: Any, form: str | None) -> int:
    """Turns of the user in a row of a form, as far as it can be read."""
    if form is None:
        return 0
    if form == "alpaca":
        history = row.get("history")
        return 1 + (len(history) if isinstance(history, list) else 0)
    turns = row.get({"messages": "messages", "sharegpt": "conversations", "moss": "chat"}[form])
    if form == "moss":
        return len(turns) if isinstance(turns, dict) else 0
    key = "role" if form == "messages" else "from"
    speakers = [turn.get(key) for turn in turns if isinstance(turn, dict)] if isinstance(turns, list) else []
    return sum(isinstance(speaker, str) and _SPEAKERS.get(speaker) == "user" for speaker in speakers)


def to_conversation(row: Any, form: str, default_id: str, lost: Counter[str]) -> Conversation:
    """Read a row of a form. Raises FormError; counts in `lost` what a conversation cannot hold."""
    if not isinstance(row, dict):
        raise FormError("not_an_object")
    if detect(row) != form:
        raise FormError("other_form")
    held: dict[str, Any] = {}
    if form == "alpaca":
        messages, held = _from_alpaca(row)
    elif form == "sharegpt":
        messages = _from_sharegpt(row["conversations"])
    elif form == "moss":
        messages = _from_moss(row, lost)
    else:
        messages = row["messages"]
    lineage = row.get("lineage") or {}
    if not isinstance(lineage, dict):
        raise FormError("lineage_not_an_object")
    conversation = {
        "id": str(row.get("id", row.get("conversation_id", default_id))),
        "messages": messages,
        "lang": str(row.get("lang") or ""),
        "source": str(row.get("source") or ""),
        "lineage": {**lineage, **held},
        **_extras(row, form),
    }
    fault = conversation_error(conversation)
    if fault:
        raise FormError(fault)
    return conversation


def from_conversation(conversation: Conversation, form: str) -> dict[str, Any]:
    """Write a conversation in a form. Raises FormError where the form cannot hold it."""
    if form == "messages":
        return conversation
    lineage = dict(conversation["lineage"])
    own = (
        _to_alpaca(conversation["messages"], lineage)
        if form == "alpaca"
        else {"conversations": _to_sharegpt(conversation["messages"])}
    )
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
    return messages, {_HELD_INPUT: given} if given else {}


def _extras(row: Mapping[str, Any], form: str) -> dict[str, Any]:
    return {name: row[name] for name in row if name not in _CONTRACT and name not in _OWN_KEYS[form]}


def _from_alpaca(row: dict[str, Any]) -> tuple[list[dict[str, str]], dict[str, str]]:
    texts = [row.get("instruction"), row.get("input") or "", row.get("output")]
    if not all(isinstance(text, str) for text in texts):
        raise FormError("content_not_text" if "output" in row else "no_final_reply")
    messages, held = alpaca_messages(*map(str, texts))
    before: list[dict[str, str]] = []
    if row.get("system"):
        before.append({"role": "system", "content": row["system"]})
    for turn in row.get("history") or []:
        if not isinstance(turn, (list, tuple)) or len(turn) != 2:
            raise FormError("history_not_pairs")
        before += [{"role": "user", "content": turn[0]}, {"role": "assistant", "content": turn[1]}]
    return before + messages, held


def _from_sharegpt(turns: Any) -> list[dict[str, str]]:
    if not isinstance(turns, list) or not turns:
        raise FormError("no_messages")
    messages = []
    for turn in turns:
        speaker = turn.get("from") if isinstance(turn, dict) else None
        if not isinstance(speaker, str) or speaker not in _SPEAKERS:
            raise FormError("unknown_role")
        messages.append({"role": _SPEAKERS[speaker], "content": turn.get("value")})
    return messages


def _from_moss(row: dict[str, Any], lost: Counter[str]) -> list[dict[str, str]]:
    turns = row["chat"]
    if not isinstance(turns, dict) or not all(isinstance(turn, dict) for turn in turns.values()):
        raise FormError("no_messages")
    system = row.get("meta_instruction")
    messages = [{"role": "system", "content": system.strip()}] if isinstance(system, str) and system else []
    missing: Counter[str] = Counter()
    for name in sorted(turns, key=lambda name: (len(name), name)):  # turn_2 before turn_10
        turn = turns[name]
        for speaker, role in (("Human", "user"), ("MOSS", "assistant")):
            if not isinstance(turn.get(speaker), str):
                raise FormError("content_not_text")
            messages.append({"role": role, "content": _unmarked(turn[speaker])})
        missing.update(
            key.lower().replace(" ", "_")
            for key, value in turn.items()
            if key not in ("Human", "MOSS") and _unmarked(str(value)) not in ("", "None")
        )
    lost.update(missing)
    return messages


def _unmarked(text: str) -> str:
    return _MARKS.sub("", text).strip()


def _to_alpaca(messages: list[dict[str, str]], lineage: dict[str, Any]) -> dict[str, str]:
    if messages[0]["role"] == "system":
        raise FormError("system_turn_not_held")
    if len(messages) > 2:
        raise FormError("more_than_one_round")
    question, given = messages[0]["content"], lineage.pop(_HELD_INPUT, "")
    if given and question.endswith(f"\n\n{given}"):
        return {
            "instruction": question.removesuffix(f"\n\n{given}"),
            "input": given,
            "output": messages[1]["content"],
        }
    return {"instruction": question, "input": "", "output": messages[1]["content"]}


def _to_sharegpt(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    names = {"user": "human", "assistant": "gpt", "system": "system"}
    return [{"from": names[message["role"]], "value": message["content"]} for message in messages]
