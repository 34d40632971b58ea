"""The conversation contract: one JSON object a line with id, messages, lang, source and lineage."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from corpus.core.binary_files import DAMAGE, open_binary
from corpus.core.errors import ZeroToOneError
from corpus.core.files import write_json_lines

ROLES = ("system", "user", "assistant")
Conversation = dict[str, Any]
SetAside = Callable[[str, str, str], None]


def conversation_error(record: Any) -> str | None:
    """Why a value is not a conversation, or None: roles, alternation after an optional system turn, contents."""
    if not isinstance(record, dict):
        return "not_an_object"
    messages = record.get("messages")
    if not isinstance(messages, list) or not messages:
        return "no_messages"
    for message in messages:
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            return "unknown_role"
        if not isinstance(message.get("content"), str):
            return "content_not_text"
    turns = [message["role"] for message in messages if message["role"] != "system"]
    if any(message["role"] == "system" for message in messages[1:]):
        return "system_turn_inside"
    if any(role != ("user", "assistant")[place % 2] for place, role in enumerate(turns)):
        return "roles_do_not_alternate"
    if not turns or turns[-1] != "assistant":
        return "no_final_reply"
    return None


def read_conversations(paths: Sequence[str | Path], set_aside: SetAside | None = None) -> Iterator[Conversation]:
    """Read conversations from JSONL files (.gz and .zst too).

    Missing `id` (file and line), `lang`, `source` and `lineage` are filled in. A line that is no conversation,
    or the place where compressed data break off, goes to `set_aside(place, reason, line)`, or without one raises
    ZeroToOneError.
    """
    for path in paths:
        for number, line, reason in _lines(path):
            record: Any = None
            if reason is None:
                record, reason = parse_json_line(line)
            if reason is None:
                reason = conversation_error(record)
            if reason is None:
                yield _completed(record, path, number)
            elif set_aside is None:
                raise ZeroToOneError(f"{path}:{number}: {reason}")
            else:
                set_aside(f"{path}:{number}", reason, line[:1000].decode("utf-8", "replace"))


def write_conversations(path: Path, rows: Iterable[Conversation]) -> int:
    """Write conversations as JSONL, atomically; returns how many."""
    return write_json_lines(path, rows)


def parse_json_line(line: bytes) -> tuple[Any, str | None]:
    """The value of a line of JSON and None, or None and why it has none that could be written again."""
    try:
        value = json.loads(line.decode("utf-8-sig"))
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError:
        return None, "invalid_utf8"
    except UnicodeEncodeError:
        return None, "lone_surrogate"
    except (ValueError, RecursionError):
        return None, "invalid_json"
    return value, None


def _lines(path: str | Path) -> Iterator[tuple[int, bytes, str | None]]:
    """(number, line, None) of the lines that are not blank; ends with `truncated` where the data break off."""
    number = 0
    with open_binary(str(path)) as handle:
        try:
            for number, line in enumerate(handle, 1):
                if line.strip():
                    yield number, line, None
        except DAMAGE as error:
            yield number + 1, str(error).encode(), "truncated"


def _completed(record: Conversation, path: str | Path, number: int) -> Conversation:
    record.setdefault("id", f"{Path(path).name}:{number}")
    record["id"] = str(record["id"])
    for name, value in (("lang", ""), ("source", Path(path).name), ("lineage", {})):
        record.setdefault(name, value)
    return record
