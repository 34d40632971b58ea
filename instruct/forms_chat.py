"""Forms that hold whole conversations: ShareGPT, messages, ChatML, MOSS and trees of OpenAssistant.

Readers give messages as they stand, checked by nobody yet: a role that is not known keeps its name, a content that
is no text stays what it is. Keys of a turn beside its role and content are carried along.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Message = dict[str, Any]

SPEAKERS = {
    "human": "user", "user": "user", "prompter": "user",
    "gpt": "assistant", "assistant": "assistant", "chatgpt": "assistant", "bing": "assistant", "bard": "assistant",
    "model": "assistant", "bot": "assistant", "ai": "assistant", "gpt4": "assistant", "gpt-4": "assistant",
    "claude": "assistant", "gemini": "assistant", "moss": "assistant",
    "system": "system", "developer": "system",
}  # fmt: skip
TURN_START, TURN_END = "<|im_start|>", "<|im_end|>"
_CHATML_TURN = re.compile(r"\s*<\|im_start\|>([^\n]*)\n((?:(?!<\|im_start\|>).)*?)<\|im_end\|>", re.DOTALL)
_MARKS = re.compile(r"\A\s*<\|[^|]*\|>:\s?|\s*<eo[a-z]>\s*\Z")
_MOSS_SPEAKERS = (("Human", "user"), ("MOSS", "assistant"))
_SHAREGPT_NAMES = {"user": "human", "assistant": "gpt", "system": "system"}


def role(speaker: Any) -> Any:
    """The contract's role for a speaker's name, whatever its case; an unknown one as it is."""
    return SPEAKERS.get(speaker.strip().lower(), speaker) if isinstance(speaker, str) else speaker


def read_turns(turns: Any, speaker: str, content: str) -> list[Message]:
    """The messages of a list of turns whose keys are called so (`from`, `value`); [] for what is no such list."""
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        return []
    own = (speaker, content, "role", "content")
    return [
        {
            "role": role(turn.get(speaker)),
            "content": _joined_parts(turn.get(content)),
            **{name: value for name, value in turn.items() if name not in own},
        }
        for turn in turns
    ]


def _joined_parts(content: Any) -> Any:
    """The text of OpenAI's content parts, where all of them are text."""
    if not isinstance(content, list) or not content:
        return content
    texts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
    found = [text for text in texts if isinstance(text, str)]
    return "\n".join(found) if len(found) == len(content) else content


def write_sharegpt(messages: Sequence[Message]) -> list[Message]:
    """Messages as ShareGPT's turns."""
    return [
        {"from": _SHAREGPT_NAMES[message["role"]], "value": message["content"], **_others(message)}
        for message in messages
    ]


def _others(message: Message) -> Message:
    return {name: value for name, value in message.items() if name not in ("role", "content", "from", "value")}


def other_fields(messages: Sequence[Message]) -> int:
    """How many fields the messages have beside role and content."""
    return sum(len(_others(message)) for message in messages)


def read_chatml(text: str) -> list[Message] | None:
    """The messages of a text in ChatML, or None where it is none from its beginning to its end."""
    messages, at = [], 0
    while turn := _CHATML_TURN.match(text, at):
        messages.append({"role": role(turn[1]), "content": turn[2]})
        at = turn.end()
    return messages if messages and not text[at:].strip() else None


def write_chatml(messages: Sequence[Message]) -> str | None:
    """Messages as one text in ChatML, or None where one spells a mark of it."""
    if any(mark in message["content"] for message in messages for mark in (TURN_START, TURN_END)):
        return None
    return "".join(f"{TURN_START}{message['role']}\n{message['content']}{TURN_END}\n" for message in messages)


def chatml_rounds(text: str) -> int:
    """Turns of the user in a text in ChatML."""
    return sum(role(name) == "user" for name in re.findall(r"<\|im_start\|>([^\n]*)\n", text))


def read_moss(row: Mapping[str, Any], lost: Counter[str]) -> list[Message]:
    """The messages of MOSS's row; thoughts, commands and results of tools are counted in `lost`."""
    turns = row["chat"]
    if not isinstance(turns, dict) or not all(isinstance(turn, dict) for turn in turns.values()):
        return []
    system = row.get("meta_instruction")
    messages: list[Message] = []
    if isinstance(system, str) and system:
        messages.append({"role": "system", "content": system.strip()})
    for name in sorted(turns, key=lambda name: (len(name), name)):  # turn_2 before turn_10
        turn = turns[name]
        messages += [{"role": role, "content": _unmarked(turn.get(speaker))} for speaker, role in _MOSS_SPEAKERS]
        lost.update(
            key.lower().replace(" ", "_")
            for key, value in turn.items()
            if key not in ("Human", "MOSS") and str(_unmarked(str(value))) not in ("", "None")
        )
    return messages


def _unmarked(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    bare = _MARKS.sub("", text).strip()
    return "" if re.fullmatch(r"<\|[^|]*\|>:", bare) else bare


def read_tree(prompt: Any, lost: Counter[str]) -> list[Message]:
    """The best branch of an OpenAssistant tree, down to its last reply.

    At each step the answer of the lowest `rank` is taken, the first where there is none. The messages of other
    branches and questions at the end that nobody answered are counted in `lost`, and their rounds.
    """
    path: list[Message] = []
    node = prompt
    while isinstance(node, dict):
        path.append({"role": role(node.get("role")), "content": node.get("text")})
        replies = _replies(node)
        node = min(replies, key=_rank, default=None)
    while path and path[-1]["role"] == "user":
        path.pop()
    total = list(_nodes(prompt))
    lost["messages_of_other_branches"] += len(total) - len(path)
    rounds = sum(message["role"] == "user" for message in path)
    lost["rounds_of_other_branches"] += tree_rounds(prompt) - rounds
    return path


def tree_rounds(prompt: Any) -> int:
    """Messages of the user in a tree."""
    return sum(role(node.get("role")) == "user" for node in _nodes(prompt))


def _replies(node: dict[str, Any]) -> list[dict[str, Any]]:
    replies = node.get("replies")
    return [reply for reply in replies if isinstance(reply, dict)] if isinstance(replies, list) else []


def _rank(node: dict[str, Any]) -> float:
    rank = node.get("rank")
    return rank if isinstance(rank, int | float) else float("inf")


def _nodes(prompt: Any) -> Iterator[dict[str, Any]]:
    """All messages of a tree; a stack, as trees may be deeper than Python's calls."""
    waiting = [prompt] if isinstance(prompt, dict) else []
    while waiting:
        node = waiting.pop()
        yield node
        waiting += _replies(node)
