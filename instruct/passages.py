"""Prose in a document: its language, its sentences in English and Chinese, its title and passages of it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

_TAGS = "a|abbr|br?|code|dd|div|dl|dt|em|h[1-6]|hr|i|img|kbd|li|ol|p|pre|span|strong|su[bp]|table|t[dhr]|ul?"
_MARKUP = (
    (re.compile(r"<!--(?:(?!<!--).)*?-->", re.DOTALL), " "),
    (re.compile(r"^(```|~~~).*?^\1[^\n]*$", re.DOTALL | re.MULTILINE), ""),
    (re.compile(r"!\[[^\]\n]{0,500}\]\([^)\n]{0,500}\)"), ""),
    (re.compile(r"\[([^\]\n]{1,500})\]\([^)\n]{0,500}\)"), r"\1"),
    (re.compile(r":(?:\w+:)+`~?([^`<\n]{1,200}?)(?: <[^>\n]{0,200}>)?`"), r"`\1`"),
    (re.compile(r"\*\*([^*\n]+)\*\*"), r"\1"),
    (re.compile(rf"</?(?:{_TAGS})\b[^<>\n]*>", re.IGNORECASE), ""),
)
_NOT_PROSE_LINE = re.compile(
    r"\s*(?:#|[|>+]|[-*•] |\d+[.)] |\.\. |>>>|:\w+:|=+\s*$|-+\s*$|~+\s*$|={1,6} )|\t| {4}"
)
_ENDS_PARAGRAPH = re.compile(r"[.!?:。！？：…][\"'”’」）)]*$")
_ENGLISH_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[`]?[A-Z0-9`])")
_CHINESE_END = re.compile(r"(?<=[。！？])(?![”’」』）])|(?<=[。！？][”’」』）])")
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|etc|vs|cf|a\.k\.a|Dr|Mr|Mrs|Ms|St|No|Fig|al|approx)|\b[A-Z])\.$")
_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]")
_KANA_HANGUL = re.compile(r"[\u3040-\u30ff\uac00-\ud7af]")
_LETTER = re.compile(r"[^\W\d_]")
_WORD = re.compile(r"[A-Za-z][A-Za-z'’-]*")
_NOISE = re.compile(r"https?://|www\.|>>>|<unk>|@[-.,]@|[|{}\\^~=<>]|\[\d+\]|\bself\.|\.\.\.|__")
_COMMON = frozenset(
    re.findall(r"\w+", """the of and to is a in that for it with as are be this on by or an from not""")
)
_TITLES = (
    re.compile(r"\A\s*#\s+(?P<title>[^\n]{2,100}?)\s*#*\s*$", re.MULTILINE),
    re.compile(r"\A\s*=\s(?P<title>[^=\n]{2,100}?)\s=\s*$", re.MULTILINE),
    re.compile(r"\A\s*(?:[=*#~-]{3,}\n)?(?P<title>[^\n]{2,100})\n[=*#~-]{3,}\s*$", re.MULTILINE),
    re.compile(r"^Title:\s*(?P<title>[^\n]{2,100})$", re.MULTILINE),
)
_HEAD_CHARACTERS = 3000
_LARGEST_CHARACTERS = 400_000


def guess_language(text: str) -> str:
    """`zh`, `en` or `other`, from the script of the first 3,000 characters and common English words."""
    head = text[:_HEAD_CHARACTERS]
    letters = _LETTER.findall(head)
    if not letters:
        return "other"
    if len(_HAN.findall(head)) / len(letters) >= 0.2:
        return "other" if len(_KANA_HANGUL.findall(head)) / len(letters) > 0.05 else "zh"
    words = [word.lower() for word in _WORD.findall(head)]
    if sum(letter.isascii() for letter in letters) / len(letters) < 0.9 or not words:
        return "other"
    return "en" if sum(word in _COMMON for word in words) / len(words) >= 0.1 else "other"


def plain(text: str) -> str:
    """The text without code fences, HTML tags and Markdown or reStructuredText links and emphasis."""
    text = text.replace("\xa0", " ")
    for pattern, replacement in _MARKUP:
        text = pattern.sub(replacement, text)
    return text


def paragraphs(text: str, language: str) -> list[str]:
    """Prose paragraphs of a document; headings, tables, lists and code are left out, wrapped lines joined.

    Indented lines are code, unless most of the document is indented, as pydoc's text is.
    """
    glue = "" if language == "zh" else " "
    found: list[list[str]] = [[]]
    lines = plain(text[:_LARGEST_CHARACTERS]).split("\n")
    if 2 * sum(line.startswith(("    ", "\t")) for line in lines) > sum(bool(line.strip()) for line in lines):
        lines = [line.strip() for line in lines]
    for line in lines:
        if not line.strip() or _NOT_PROSE_LINE.match(line):
            found.append([])
            continue
        found[-1].append(line.strip())
        if _ENDS_PARAGRAPH.search(line.strip()):
            found.append([])
    return [glue.join(lines) for lines in found if lines]


def sentences(paragraph: str, language: str) -> list[str]:
    """Split a paragraph into its sentences (English: stop, space, capital; Chinese: 。！？)."""
    if language == "zh":
        return [part.strip() for part in _CHINESE_END.split(paragraph) if part.strip()]
    parts: list[str] = []
    start = 0
    for match in _ENGLISH_END.finditer(paragraph):
        if _ABBREVIATION.search(paragraph, max(start, match.start() - 12), match.start()):
            continue
        parts.append(paragraph[start : match.end()].strip())
        start = match.end()
    return [part for part in [*parts, paragraph[start:].strip()] if part]


def is_prose(sentence: str, language: str) -> bool:
    """Whether a sentence is whole, of ordinary length and made of words rather than code or markup."""
    if not sentence or _NOISE.search(sentence):
        return False
    han = len(_HAN.findall(sentence))
    if language == "zh":
        return han >= 10 and len(sentence) <= 200 and sentence[-1] in "。！？" and han / len(sentence) >= 0.5
    words = _WORD.findall(sentence)
    letters = sum(len(word) for word in words)
    whole = sentence[0].isupper() and sentence[-1] in ".!?" and _ABBREVIATION.search(sentence) is None
    return whole and len(words) >= 6 and len(sentence) <= 300 and letters / len(sentence) >= 0.65 and not han


def prose_sentences(text: str, language: str) -> list[list[str]]:
    """The prose sentences of a document, paragraph by paragraph; paragraphs without any are left out."""
    found = (
        [sentence for sentence in sentences(paragraph, language) if is_prose(sentence, language)]
        for paragraph in paragraphs(text, language)
    )
    return [paragraph for paragraph in found if paragraph]


def join_passage(parts: Sequence[str], language: str, maximum_characters: int) -> str:
    """Whole sentences from the beginning of `parts`, joined, as many as fit."""
    glue = "" if language == "zh" else " "
    passage = ""
    for part in parts:
        longer = f"{passage}{glue}{part}" if passage else part
        if len(longer) > maximum_characters:
            break
        passage = longer
    return passage


def document_title(text: str, metadata: str | None) -> str | None:
    """The title in the metadata's JSON (`title`), else the document's first heading, else None."""
    try:
        record = json.loads(metadata) if metadata else None
    except ValueError:
        record = None
    title = record.get("title") if isinstance(record, dict) else None
    if isinstance(title, str) and title.strip():
        return " ".join(title.split())
    for pattern in _TITLES:
        if match := pattern.search(text[:_HEAD_CHARACTERS]):
            return " ".join(plain(match["title"]).strip("*`# ").split()) or None
    return None
