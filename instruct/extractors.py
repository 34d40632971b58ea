"""Signatures and their descriptions in Python sources, pydoc pages, reStructuredText and Markdown."""

from __future__ import annotations

import ast
import inspect
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest

from instruct.passages import is_prose, plain, sentences

_ARGUMENTS = r"\((?P<arguments>[^()\n]{0,300}(?:\([^()\n]{0,80}\)[^()\n]{0,200}){0,4})\)"
_RETURNS = r"(?:\s*->\s*(?P<returns>[\w.\[\], |'\"]{1,60}?))?"
_NAME = r"(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)"
_HEADING = re.compile(
    r"\s*(?:\.\. (?:py:)?(?P<directive>function|method|class|classmethod|staticmethod)::\s*)?(?:#{1,6}\s+|[-*] )?"
    rf"(?:\*\*|`{{1,2}})?(?P<class>class )?{_NAME}{_ARGUMENTS}{_RETURNS}\s*(?:\*\*|`{{1,2}})?"
    r"\s*:?\s*(?:\[source\]|\[源代码\]|¶|#)*\s*"
)
_INLINE = re.compile(
    rf"(?:(?<=\s)|(?<=^)){_NAME}{_ARGUMENTS}{_RETURNS}\s+(?=[A-Z`][\w`]*[ (])"
    r"(?!(?:The|To|If|For|This|These|When|In|It|As|Note|But|And|You|We|That) )"
)
_NEXT_MEMBER = re.compile(
    r"(?<=[.!?])\s+(?=[a-z_]\w*\()|\s+(?=(?:Data|Static|Class)? ?(?:[mM]ethods|descriptors|and other) )"
)
_CLASS = re.compile(r"\bclass (?P<name>[A-Za-z_]\w*)\(")
_MODULE = re.compile(
    r"\A(?:Python: )?(?:built-in )?(?:module|package) (?P<module>[A-Za-z_][\w.]*)"
    r"|\A\W{0,4}(?P<page>[A-Za-z_][\w.]*)(?: \(version [^)]*\))?\s*\|?\s*index\b"
)
_BOILERPLATE = re.compile(
    r"see help\(|helper for pickle|for accurate signature|return (?:repr|str|hash|len|iter|getattr|next|key in)\b"
    r"|return [-~+]?(?:self|value)(?:\W{0,3}[=+<>*/%|&^@\[-]|\.|$)|implement (?:set|del|get)attr"
    r"|implement \w+\(self|default (?:object formatter|dir\(\))|size of object in memory"
    r"|list of weak references|create and return a new|abstract classes can override"
    r"|called when a class is subclassed|dictionary for instance|set self\.__traceback"
    r"|^(?:undocumented|todo|fixme|deprecated|see (?:also|the|base|super|parent)|same as|alias (?:for|of))\b",
    re.IGNORECASE,
)
_STOP_WORDS = frozenset(
    re.findall(r"\w+", """a an the of to for from in on with and or is this that it its return returns get set""")
)
_LONGEST_SIGNATURE = 160
_LONGEST_DESCRIPTION = 300
_LONGEST_LINE = 100_000


@dataclass(frozen=True)
class Entry:
    """One documented function or class: `name` qualified as far as known, first sentence and what follows."""

    name: str
    signature: str
    description: str
    rest: str


def module_name(title: str | None, text: str) -> str | None:
    """The Python module that a pydoc page documents, by its title or its first line; None where unknown."""
    for place in (title or "", text[:200]):
        if match := _MODULE.match(place):
            return match["module"] or match["page"]
    return None


def parse_source(text: str) -> ast.Module | None:
    """The syntax tree of a text that is Python source with definitions in it; None for any other text."""
    if not re.search(r"^[ \t]*(?:async def|def|class) ", text, re.MULTILINE):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def docstrings(tree: ast.Module) -> str:
    """The docstrings of a module, its classes and functions, a blank line between them."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    found = [ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds)]
    return "\n\n".join(docstring for docstring in found if docstring)


def source_entries(tree: ast.Module) -> list[Entry]:
    """The documented functions and classes of a Python source, in its order, each name once."""
    return _unique(_documented(tree, ""))


def page_entries(text: str, module: str | None = None) -> list[Entry]:
    """The functions and classes that a documentation page describes, in its order, each name once.

    A signature is a line of its own (a pydoc, Markdown or reStructuredText heading) with a paragraph below it,
    or stands before a sentence (pydoc's tables, of which an extractor made one line).
    """
    text = text.replace("\xa0", " ")
    return _unique([*_heading_entries(text, module), *_inline_entries(text, module)])


def _unique(entries: Iterable[Entry]) -> list[Entry]:
    unique: dict[str, Entry] = {}
    for entry in entries:
        unique.setdefault(entry.name, entry)
    return list(unique.values())


def reason_to_drop(entry: Entry) -> str | None:
    """Why an entry teaches nothing (`dunder`, `private`, `boilerplate`, `trivial`, `not prose`), else None."""
    last = entry.name.rsplit(".", 1)[-1]
    if last.startswith("__"):
        return "dunder"
    if last.startswith("_"):
        return "private"
    if not entry.description:
        return "no description"
    if _BOILERPLATE.search(entry.description):
        return "boilerplate"
    if len(entry.signature) > _LONGEST_SIGNATURE or len(entry.description) > _LONGEST_DESCRIPTION:
        return "too long"
    if not is_description(entry.description):
        return "not prose"
    name_words = set(re.findall(r"[a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", entry.name).lower()))
    words = {word.lower() for word in re.findall(r"[A-Za-z]+", entry.description)}
    stems = {word.rstrip("s") for word in name_words}
    if len({word for word in words if word.rstrip("s") not in stems} - _STOP_WORDS) < 2:
        return "trivial"
    return None


def is_description(description: str) -> bool:
    """Whether a text reads as a description: a capital, three words or more, mostly letters, no code."""
    if re.search(r">>>|\||::|\.\.\.|->|<|https?:|__|\s\w+:\s|[\ufffd\x00-\x08]", description):
        return False
    if is_prose(description, "en") or is_prose(description, "zh"):
        return True
    words = re.findall(r"[A-Za-z]{2,}", description)
    letters = sum(character.isalpha() or character == " " for character in description)
    shaped = re.match(r"[A-Z].*[\w.!)`'\"]\Z", description, re.DOTALL) is not None
    return shaped and len(words) >= 3 and letters / len(description) >= 0.8


def _documented(node: ast.AST, prefix: str) -> Iterator[Entry]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            continue
        docstring = ast.get_docstring(child)
        name = f"{prefix}{child.name}"
        if docstring:
            yield _entry(name, _source_arguments(child), docstring)
        if isinstance(child, ast.ClassDef):
            yield from _documented(child, f"{name}.")


def _source_arguments(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> str:
    if isinstance(node, ast.ClassDef):
        functions = [item for item in node.body if isinstance(item, ast.FunctionDef)]
        initialiser = next((item for item in functions if item.name == "__init__"), None)
        return _source_arguments(initialiser) if initialiser else ""
    return _without_self(ast.unparse(node.args))


def _heading_entries(text: str, module: str | None) -> Iterator[Entry]:
    lines = plain(text).split("\n")
    owner = ""
    for number, line in enumerate(lines):
        match = _HEADING.fullmatch(line) if "(" in line and len(line) < 600 else None
        if match is None or not _is_signature(match):
            continue
        if match["class"] or match["directive"] == "class":
            owner = match["name"]
        description = _paragraph_below(lines, number + 1)
        if description:
            yield _from_match(match, owner, module, description)


def _paragraph_below(lines: list[str], start: int) -> str:
    while start < len(lines) and start and (not lines[start].strip() or re.match(r"\s+:\w+:", lines[start])):
        start += 1
    below: list[str] = []
    for line in lines[start : start + 40]:
        if not line.strip() or (_HEADING.fullmatch(line) if "(" in line and len(line) < 600 else False):
            break
        below.append(re.sub(r"\A\s*(?:[-*:] )?", "", line).rstrip())
    return "\n".join(below)


def _inline_entries(text: str, module: str | None) -> Iterator[Entry]:
    owner = ""
    for line in text.split("\n"):
        line = line[:_LONGEST_LINE]
        classes = [(match.start(), match["name"]) for match in _CLASS.finditer(line)]
        matches = [match for match in _INLINE.finditer(line) if _is_signature(match) and "." not in match["name"]]
        for match, following in zip_longest(matches, matches[1:]):
            known = [name for place, name in classes if place < match.start()]
            documentation = line[match.end() : following.start() if following else len(line)]
            documentation = _NEXT_MEMBER.split(documentation, maxsplit=1)[0].replace("|", " ")
            entry = _from_match(match, known[-1] if known else owner, module, documentation)
            if entry.description.endswith((".", "!")):
                yield entry
        owner = classes[-1][1] if classes else owner


def _is_signature(match: re.Match[str]) -> bool:
    arguments = match["arguments"]
    plain_names = r"[/*]{1,2}|\.\.\.|\*{0,2}[A-Za-z_]\w*(?:\s*[:=].*)?|\[[^'\"\d]*|[^'\"\d]*\]"
    return all(re.fullmatch(plain_names, part.strip(), re.DOTALL) for part in _split_arguments(arguments))


def _split_arguments(arguments: str) -> list[str]:
    parts, depth, part = [], 0, ""
    for character in arguments:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts.append(part)
            part = ""
        else:
            part += character
    return [item for item in [*parts, part] if item.strip()]


def _from_match(match: re.Match[str], owner: str, module: str | None, description: str) -> Entry:
    name, arguments = match["name"], match["arguments"]
    is_method = re.match(r"(?:self|cls)\b", arguments) is not None
    if is_method and owner and "." not in name:
        name = f"{owner}.{name}"
    if module and not name.startswith(f"{module}.") and not is_method:
        name = f"{module}.{name}"
    return _entry(name, _without_self(arguments), description)


def _entry(name: str, arguments: str, documentation: str) -> Entry:
    """The first sentence of the first paragraph is the description; lines that end a sentence are not joined."""
    last = re.escape(name.rsplit(".", 1)[-1])
    repeated = rf"\A\s*(?:\w+\.)?{last}\([^\n]*?\)(?:\s*->\s*\S+)?:?\s+(?=\S)"
    documentation = re.sub(repeated, "", documentation).strip()
    first = re.match(r"[^\n]*(?:(?<![.!?。！？])\n[^\n]*\S[^\n]*)*", documentation)
    paragraph = first[0] if first else ""
    parts = sentences(_one_line(paragraph), "en")
    description = parts[0] if parts else ""
    rest = " ".join(parts[1:]) + "\n\n" + documentation[len(paragraph) :]
    return Entry(name, f"{name}({_one_line(arguments)})", description, rest.strip())


def _without_self(arguments: str) -> str:
    return re.sub(r"\A(?:self|cls)\b(?:, /)?(?:, )?", "", arguments)


def _one_line(text: str) -> str:
    return " ".join(inspect.cleandoc(text).split())
