"""Structured replies: a JSON schema for the endpoint, and tolerant reading where it does not hold to one.

Readers take a reply's text and give a value, or raise `Unreadable` with the reason. `read` applies one to a reply,
so that one that cannot be read keeps its text under the reason `unreadable_reply`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from instruct.completions import Reply

UNREADABLE = "unreadable_reply"
Value = TypeVar("Value")

# A fence opens at the start of a line; a reply that was cut may not close it.
_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^\n`]*\n", re.MULTILINE)
_ITEM = re.compile(
    r"^[ \t>]*(?:[*_]{1,3})?(?:[(（\[【]\s*)?"
    r"(?:(?:第|no\.?\s?|task\s|step\s)?(\d{1,4})(?:\s?[.):、．）\]】：](?!\d)|\s?[条项])"
    r"|([一二三四五六七八九十]{1,3})[、.．）)：]|([①-⑳]))"
    r"(?:[*_]{1,3})?[ \t]*",
    re.IGNORECASE | re.MULTILINE,
)
_DIGITS = "零一二三四五六七八九"
# Full-width marks that stand for JSON's own outside of its strings.
_FULL_WIDTH = {"：": ":", "，": ",", "｛": "{", "｝": "}", "［": "[", "］": "]", "【": "[", "】": "]"}
_QUOTES = {'"': '"', "“": "”", "”": "”", "＂": "＂", "„": "“"}
_WORDS = {"True": "true", "False": "false", "None": "null"}  # Python's
_WORD = re.compile("|".join(_WORDS))
_AFTER_STRING = ":：,，}｝]］】"
_START = re.compile(r"[{\[｛［]")
_STARTS = 20  # places at which JSON may begin; each costs a walk through the rest
_LONGEST = 1_000_000  # characters of a reply that are read


class Unreadable(ValueError):  # noqa: N818 - what a reply is
    """A reply does not hold what was asked for; the text says what is missing."""


def response_format(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """What to send as a request's `schema`, so that the endpoint holds the reply to a JSON schema."""
    return {"type": "json_schema", "json_schema": {"name": name, "schema": dict(schema), "strict": True}}


def read(reply: Reply, reader: Callable[[str], Value]) -> tuple[Value | None, Reply]:
    """The value in a reply and the reply; an unreadable one gives None and the reason, its text kept.

    A reply that has a reason already is left as it is.
    """
    if reply.reason:
        return None, reply
    try:
        return reader(reply.text), reply
    except Unreadable as error:
        return None, replace(reply, reason=UNREADABLE, detail=str(error))


def json_value(text: str) -> Any:
    """The first JSON object or array in a reply: bare, in a code fence, or with text before and after.

    Full-width marks outside of strings, typographic quotation marks, line breaks inside of strings, trailing
    commas and Python's True, False and None are taken for what they mean. Raises Unreadable.
    """
    text = text[:_LONGEST]
    for part in (*fenced(text), text):
        place = 0
        for _ in range(_STARTS):
            start = _START.search(part, place)
            if not start:
                break
            try:
                return _decode(part, start.start())
            except ValueError:
                place = start.end()
    raise Unreadable("no JSON object or array")


def json_object(text: str, *fields: str) -> dict[str, Any]:
    """The first JSON object in a reply, which must have the fields. Raises Unreadable."""
    value = json_value(text)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        raise Unreadable("a JSON array, not an object")
    if missing := [field for field in fields if field not in value]:
        raise Unreadable(f"the JSON object has no `{missing[0]}`")
    return value


def fenced(text: str) -> list[str]:
    """What stands in the code fences of a reply; the last one need not be closed."""
    found, place = [], 0
    while start := _FENCE.search(text, place):
        end = re.compile(rf"^[ \t]*{re.escape(start[1])}[ \t]*$", re.MULTILINE).search(text, start.end())
        found.append(text[start.end() : end.start() if end else len(text)].rstrip("\n"))
        place = end.end() if end else len(text)
    return found


def numbered_items(text: str) -> list[str]:
    """The items of a numbered list, by their numbers: `1.`, `2)`, `（3）`, `4、`, `第五条`, `⑥`, in bold or not.

    Numbers must begin with 1 and go up by one, so that numbers inside an item do not end it; text before the first
    item is left out. Raises Unreadable where there is no such list.
    """
    text = text[:_LONGEST]
    marks: list[re.Match[str]] = []
    for mark in _ITEM.finditer(text):
        if _number(mark) == len(marks) + 1:
            marks.append(mark)
    if not marks:
        raise Unreadable("no numbered list")
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    return [text[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=True)]


def _number(mark: re.Match[str]) -> int:
    if mark[1]:
        return int(mark[1])
    if mark[3]:
        return ord(mark[3]) - ord("①") + 1
    tens, ten, ones = mark[2].rpartition("十")
    if not ten:
        return _DIGITS.find(ones) if len(ones) == 1 else 0
    return 10 * (_DIGITS.find(tens) if tens else 1) + (_DIGITS.find(ones) if ones else 0)


def _decode(text: str, start: int) -> Any:
    """The JSON value that begins at a place, strict or after repair. Raises ValueError."""
    try:
        return json.JSONDecoder(strict=False).raw_decode(text, start)[0]
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValueError:
        repaired = _repair(text, start)
    try:
        return json.loads(repaired, strict=False)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _repair(text: str, start: int) -> str:
    """The value from `start` to its closing bracket in JSON's own marks. Raises ValueError if it never closes."""
    out: list[str] = []
    depth, place = 0, start
    while place < len(text):
        mark = text[place]
        if mark in _QUOTES:
            string, place = _string(text, place)
            out.append(string)
            continue
        mark = _FULL_WIDTH.get(mark, mark)
        word = _WORD.match(text, place)
        if mark in "}]":
            while out and (out[-1].isspace() or out[-1] == ","):
                out.pop()
            depth -= 1
        depth += mark in "{["
        out.append(_WORDS[word[0]] if word else mark)
        place += len(word[0]) if word else 1
        if not depth:
            return "".join(out)
    raise ValueError("no closing bracket")


def _string(text: str, start: int) -> tuple[str, int]:
    """A string as JSON and the place after it; it ends at the quotation mark after which JSON can go on."""
    closing = {_QUOTES[text[start]], '"'} if text[start] != '"' else {'"'}
    place = start + 1
    while place < len(text):
        if text[place] == "\\":
            place += 2
            continue
        if text[place] in closing and _goes_on(text, place + 1):
            return _quoted(text[start + 1 : place]), place + 1
        place += 1
    raise ValueError("a string without an end")


def _goes_on(text: str, place: int) -> bool:
    while place < len(text) and text[place].isspace():
        place += 1
    return place >= len(text) or text[place] in _AFTER_STRING


def _quoted(inner: str) -> str:
    """The inside of a string, its escapes kept and bare quotation marks escaped."""
    return '"' + re.sub(r'(\\.)|"', lambda found: found[1] or '\\"', inner, flags=re.DOTALL) + '"'
