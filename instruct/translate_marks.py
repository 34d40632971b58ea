"""What a translation must not touch, behind marks: code, formulas, addresses, placeholders, tags and numbers.

All but numbers are taken out of the text (`⟦#1⟧`); numbers stay readable, since grammar may hang on them (`⟦3⟧`).
After the translation every mark must be there once, and every number.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

_FENCE = r"^[ \t]*(?P<fence>`{3,}|~{3,})[\s\S]*?(?:^[ \t]*(?P=fence)[ \t]*$|\Z)"
_MARK_AS_WRITTEN = r"(?:⟦|\[\[?|【|〚)\s{0,5}#\s{0,5}(\d{1,6})\s{0,5}(?:⟧|\]\]?|】|〛)"
_KEPT = re.compile(
    "|".join(
        (
            _FENCE,
            r"`[^`\n]+`",
            r"\$\$[^$]{1,2000}\$\$|\\\([^\n]{1,500}?\\\)|\\\[[\s\S]{1,500}?\\\]",
            r"\$(?=[^$\n]{0,200}[\\^_=])[^\s$](?:[^$\n]{0,200}[^\s$])?\$(?!\d)",
            r"(?:https?|ftp)://[^\s<>\"'`⟦⟧，。；）】」]+|www\.[^\s<>\"'`⟦⟧，。；）】」]+",
            r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}",
            r"</?[A-Za-z][^<>\n]{0,200}>|<!--.{0,500}?-->",
            r"\{\{[^{}\n]{1,60}\}\}|\$?\{[\w.:]{0,60}\}|%\(\w{1,60}\)[sdfr]|%[sdfr]\b|\[[A-Z][A-Z0-9_]{1,40}\]",
            rf"{_MARK_AS_WRITTEN}|[⟦⟧]",
        )
    ),
    re.MULTILINE,
)
# Code without a fence begins with a line that hardly stands in prose, and goes on with lines that look like code.
_CODE_START = re.compile(
    r"\s*(?:(?:async )?def \w+\s*\(|class \w+\s*(?:\([^()]*\))?\s*[:{]|import [\w.]+(?: as \w+)?;?\s*$"
    r"|from [\w.]+ import [\w*]|#include\s*[<\"]|(?:public|private|protected|static) [^.!?]{1,100}[({;]"
    r"|function\s*\w*\s*\(|(?:const|let|var) \w+\s*=|SELECT\b[^.!?]{1,200}\bFROM\b|<!DOCTYPE|<html"
    r"|print\(.*\)\s*$)"
)
_CODE_MORE = re.compile(
    r"\s*$|[ \t]+\S|[})\]]|#|//|--|.*[;{}]\s*$|(?:return|else|elif|if|for|while|try)\b.*[:{]"
    r"|[\w.\[\]]+\s*[-+*/]?=\s*\S"
)
_NUMBER = re.compile(r"(?<!⟦#)(?<![A-Za-z_\d.,])\d+(?:[.,:/–-]\d+)*(?![A-Za-z_\d])")
_LIST_ITEM = re.compile(r"[ \t]*\d{1,3}[.)、．）](?!\d)")
_MARK = re.compile(_MARK_AS_WRITTEN)
_WRAPPED = re.compile(r"⟦([^⟦⟧#\n]+)⟧")
_THOUSANDS = re.compile(r"\d{1,3}(?:[.,]\d{3})+")


@dataclass(frozen=True)
class Protected:
    """A text with marks, the pieces that they stand for (the first is `⟦#1⟧`), and its marked numbers."""

    text: str
    pieces: tuple[str, ...]
    numbers: tuple[str, ...]

    @property
    def words(self) -> str:
        """What is left to translate, without the marks."""
        return without_marks(self.text)


@dataclass(frozen=True)
class Restored:
    """A translation with its pieces back, and which marks and numbers are missing, new or doubled in it."""

    text: str
    faults: tuple[str, ...]


def protect(text: str) -> Protected:
    """Put marks around and in place of what a translation must leave as it is."""
    pieces: list[str] = []

    def take(piece: str) -> str:
        pieces.append(piece)
        return f"⟦#{len(pieces)}⟧"

    marked: list[str] = []
    for part, is_code in _code_parts(text):
        marked.append(take(part) if is_code else _KEPT.sub(lambda found: take(found[0]), part))
    numbers: list[str] = []
    shown = "\n".join(_wrap_numbers(line, numbers) for line in "".join(marked).split("\n"))
    return Protected(shown, tuple(pieces), tuple(numbers))


def _code_parts(text: str) -> Iterable[tuple[str, bool]]:
    """The text in parts, each with whether it is code without a fence; fenced code is not looked into."""
    place = 0
    for fence in re.finditer(_FENCE, text, re.MULTILINE):
        yield from _code_lines(text[place : fence.start()])
        yield fence[0], False
        place = fence.end()
    yield from _code_lines(text[place:])


def _code_lines(text: str) -> Iterable[tuple[str, bool]]:
    part: list[str] = []
    in_code = False
    for line in text.splitlines(keepends=True):
        code = bool(_CODE_START.match(line) or (in_code and _CODE_MORE.match(line)))
        if code != in_code and part:
            yield from _ended("".join(part), in_code)
            part = []
        in_code = code
        part.append(line)
    yield from _ended("".join(part), in_code)


def _ended(part: str, is_code: bool) -> Iterable[tuple[str, bool]]:
    """A part; the white space around code stays in the text."""
    inner = part.strip()
    if not is_code or not inner:
        yield part, False
        return
    start = part.index(inner)
    yield from ((part[:start], False), (inner, True), (part[start + len(inner) :], False))


def _wrap_numbers(line: str, numbers: list[str]) -> str:
    item = _LIST_ITEM.match(line)
    start = item.end() if item else 0

    def wrap(found: re.Match[str]) -> str:
        numbers.append(found[0])
        return f"⟦{found[0]}⟧"

    return line[:start] + _NUMBER.sub(wrap, line[start:])


def without_marks(text: str) -> str:
    """A text without marks and what they hold."""
    return _WRAPPED.sub(" ", _MARK.sub(" ", text))


def restore(translation: str, protected: Protected) -> Restored:
    """Put the pieces back into a translation and check that nothing is missing, new or doubled."""
    wanted = Counter(range(1, len(protected.pieces) + 1))
    found = Counter(int(number) for number in _MARK.findall(translation))
    faults = [f"⟦#{number}⟧" for number in sorted((wanted - found) + (found - wanted))]
    outside = _unwrapped(_MARK.sub(" ", translation))
    missing = Counter(map(value, protected.numbers)) - Counter(map(value, numbers_in(outside)))
    faults += [f"⟦{number}⟧" for number in dict.fromkeys(protected.numbers) if missing[value(number)]]
    faults += list(dict.fromkeys(re.findall("[⟦⟧]", outside)))

    def piece(mark: re.Match[str]) -> str:
        number = int(mark[1])
        return protected.pieces[number - 1] if 1 <= number <= len(protected.pieces) else mark[0]

    text = _MARK.sub(piece, _unwrapped(translation))
    return Restored(text, tuple(faults))


def _unwrapped(text: str) -> str:
    return _WRAPPED.sub(lambda found: found[1].strip(), text)


def numbers_in(text: str) -> list[str]:
    """The numbers of a text in ASCII digits, whatever its script's digits are."""
    plain = "".join(_ascii_digit(character) for character in text)
    return re.findall(r"\d+(?:[.,:/–-]\d+)*", plain, re.ASCII)


def _ascii_digit(character: str) -> str:
    return str(unicodedata.decimal(character, character))


def value(number: str) -> tuple[str, ...]:
    """A number for comparison: its groups of digits, of which thousands are one."""
    plain = "".join(_ascii_digit(character) for character in number)
    if _THOUSANDS.fullmatch(plain):
        return (re.sub(r"\D", "", plain),)
    return tuple(re.findall(r"\d+", plain))
