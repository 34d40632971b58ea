"""What the templates ask: candidates for each task, taken from one document."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from corpus.core.files import stable_fraction, text_hash
from instruct.extractors import (
    Entry,
    docstrings,
    module_name,
    page_entries,
    parse_source,
    reason_to_drop,
    source_entries,
)
from instruct.passages import document_title, guess_language, join_passage, prose_sentences

LANGUAGES = ("en", "zh")
BLANK = "____"
_ENTRIES_PER_DOCUMENT = 16
_BLANKS_PER_DOCUMENT = 4
_CHOICES = 4
_SHORTEST_REST = {"en": 150, "zh": 60}
_COMMON_WORDS = frozenset(
    re.findall(
        r"\w+",
        """that this with from have will when which there their then than they been were into also only such some
        more most other these those each would could should about after before where what while because does must
        same very being both between them just like over many much even however here your""",
    )
)
_LEANS_ON_WHAT_WENT_BEFORE = re.compile(
    r"(?:However|But|And|Also|Then|Thus|Therefore|This|That|These|Those|It|They|He|She|Here|Note|See)\b"
    r"|(?:但|而且|然而|因此|所以|此外|另外|这|那|其|它|他|她|并且|不过|同时|例如|比如)"
)
_GENERIC_TITLE = re.compile(
    r"(?:python: )?(?:built-in )?(?:module|package) |python: |index of "
    r"|(?:untitled|index|home|readme|contents|table of contents|introduction|overview|404.*"
    r"|目录|首页|简介|概述|前言)\s*$",
    re.IGNORECASE,
)
T = TypeVar("T")


@dataclass(frozen=True)
class Document:
    """What a task needs to know of a document, read once."""

    id: str
    text: str
    url: str
    domain: str
    language: str
    title: str | None
    entries: list[Entry]
    prose: list[list[str]]
    is_source: bool

    def sentences(self) -> list[str]:
        """The prose sentences in their order."""
        return [sentence for paragraph in self.prose for sentence in paragraph]


@dataclass(frozen=True)
class Candidate:
    """One example before a template is chosen: `fields` fill a template; `evidence` is the text asked about."""

    task: str
    document: str
    url: str
    language: str
    fields: dict[str, str]
    evidence: str
    index: int = 0
    key: str = field(init=False)

    def __post_init__(self) -> None:
        content = "\x00".join([self.task, *(f"{name}={self.fields[name]}" for name in sorted(self.fields))])
        object.__setattr__(self, "key", text_hash(content))


Drops = Counter[tuple[str, str]]
Maker = Callable[[Document, int, int, Drops], Iterator[Candidate]]


def read_document(row: dict[str, str | None]) -> Document | None:
    """Read a row of the document contract; None where its language is neither English nor Chinese."""
    text = row["text"] or ""
    tree = parse_source(text)
    language = "en" if tree is not None else _language(row.get("lang"), text)
    if language not in LANGUAGES:
        return None
    title = document_title(text, row.get("metadata"))
    if tree is not None:
        entries, prose = source_entries(tree), docstrings(tree)
    else:
        entries, prose = page_entries(text, module_name(title, text)), text
    return Document(
        id=row["id"] or "",
        text=text,
        url=row.get("url") or "",
        domain=row.get("domain") or "",
        language=language,
        title=title,
        entries=entries,
        prose=prose_sentences(prose, language),
        is_source=tree is not None,
    )


def _language(lang: str | None, text: str) -> str:
    known = re.split(r"[-_]", lang or "")[0].lower()
    if known in ("zh", "cmn", "yue"):
        return "zh"
    return {"en": "en", "eng": "en", "": guess_language(text)}.get(known, "other")


def describe(document: Document, seed: int, maximum_characters: int, drops: Drops) -> Iterator[Candidate]:
    """Signature → first sentence of its description."""
    for index, entry in enumerate(_drawn_entries(document, "describe", seed, drops)):
        fields = {"signature": entry.signature, "description": entry.description}
        yield _candidate("describe", document, fields, entry.description, index)


def name(document: Document, seed: int, maximum_characters: int, drops: Drops) -> Iterator[Candidate]:
    """Description → name or signature; dropped where the description tells the name."""
    for index, entry in enumerate(_drawn_entries(document, "name", seed, drops)):
        last = entry.name.rsplit(".", 1)[-1]
        if _letters(last) in _letters(entry.description):
            drops["name", "leak"] += 1
            continue
        fields = {"name": entry.name, "signature": entry.signature, "description": entry.description}
        yield _candidate("name", document, fields, entry.description, index)


def summarise(document: Document, seed: int, maximum_characters: int, drops: Drops) -> Iterator[Candidate]:
    """What follows → the summary that stands first: of a docstring, and of the document as a whole."""
    language = document.language
    pairs = [
        (entry.description, [sentence for part in prose_sentences(entry.rest, "en") for sentence in part])
        for entry in document.entries
        if reason_to_drop(entry) is None
    ]
    pairs = _drawn(pairs, f"{document.id}\x00summarise", seed, _ENTRIES_PER_DOCUMENT // 2)
    if document.prose and not _LEANS_ON_WHAT_WENT_BEFORE.match(document.prose[0][0]):
        lead, *following = document.sentences()
        pairs.insert(0, (lead, following))
    for index, (summary, rest) in enumerate(pairs):
        text = join_passage(rest, language, maximum_characters * 3 // 4 - len(summary))
        if len(text) < max(_SHORTEST_REST[language], 1.5 * len(summary)):
            drops["summarise", "too little text"] += 1
        elif _letters(summary) in _letters(text):
            drops["summarise", "leak"] += 1
        else:
            fields = {"text": text, "summary": summary, "next": rest[0]}
            yield _candidate("summarise", document, fields, summary, index)


def title(document: Document, seed: int, maximum_characters: int, drops: Drops) -> Iterator[Candidate]:
    """Beginning of a document → its title; turned round: title → first sentence."""
    title = re.split(r"\s+[|—–·]\s+", document.title or "")[0]
    sentences = document.sentences()
    text = join_passage(sentences, document.language, maximum_characters * 3 // 4 - len(title))
    enough = len(title) >= 4 if document.language == "zh" else len(title.split()) >= 2
    if not title or not enough or _GENERIC_TITLE.match(title) or len(title) > 100:
        drops["title", "no telling title"] += 1
    elif len(text) < _SHORTEST_REST[document.language]:
        drops["title", "too little text"] += 1
    elif _letters(title) in _letters(text):
        drops["title", "leak"] += 1
    else:
        yield _candidate("title", document, {"text": text, "title": title, "lead": sentences[0]}, title)


def classify(document: Document, seed: int, maximum_characters: int, drops: Drops) -> Iterator[Candidate]:
    """Passage → the domain that it is from."""
    if not document.domain:
        drops["classify", "no domain"] += 1
        return
    limit = maximum_characters // 2
    text = _code_passage(document, seed, limit) if document.is_source else _prose_passage(document, seed, limit)
    if len(text) < _SHORTEST_REST[document.language] / 2:
        drops["classify", "too little text"] += 1
        return
    yield _candidate("classify", document, {"text": text, "domain": document.domain}, text)


def fill_in(document: Document, seed: int, maximum_characters: int, drops: Drops) -> Iterator[Candidate]:
    """A sentence with a word blanked out → the word; the sentence before it stands with it."""
    pairs = [
        (part[place - 1] if place else "", sentence)
        for part in document.prose
        for place, sentence in enumerate(part)
    ]
    if not pairs:
        drops["fill_in", "no sentence"] += 1
        return
    language, key = document.language, f"{document.id}\x00fill_in"
    for index, (before, sentence) in enumerate(_drawn(pairs, key, seed, _BLANKS_PER_DOCUMENT)):
        words = [word for word in _words(sentence, language) if _blankable(word, sentence, before)]
        others = [word for _, other in _drawn(pairs, f"{key}{index}", seed, 8) for word in _words(other, language)]
        others = [word for word in dict.fromkeys(others) if word not in sentence and word not in before]
        if not words or len(others) < _CHOICES - 1:
            drops["fill_in", "no word to blank out"] += 1
            continue
        word = _drawn(words, f"{key}{index}word", seed, 1)[0]
        wrong = _drawn(others, f"{key}{index}choices", seed, _CHOICES - 1)
        choices = _drawn([word, *wrong], f"{key}{index}order", seed, _CHOICES)
        blanked = sentence.replace(word, BLANK)
        fields = {
            "blanked": blanked,
            "context": before + ("" if language == "zh" or not before else " ") + blanked,
            "word": word,
            "choices": ("、" if language == "zh" else ", ").join(choices),
            "sentence": sentence,
        }
        yield _candidate("fill_in", document, fields, sentence, index)


MAKERS: dict[str, Maker] = {
    "describe": describe,
    "name": name,
    "summarise": summarise,
    "title": title,
    "classify": classify,
    "fill_in": fill_in,
}


def _candidate(task: str, document: Document, fields: dict[str, str], evidence: str, index: int = 0) -> Candidate:
    return Candidate(task, document.id, document.url, document.language, fields, evidence, index)


def _drawn_entries(document: Document, task: str, seed: int, drops: Drops) -> list[Entry]:
    kept = []
    for entry in document.entries:
        reason = reason_to_drop(entry)
        if reason is None:
            kept.append(entry)
        else:
            drops[task, reason] += 1
    return _drawn(kept, f"{document.id}\x00entries", seed, _ENTRIES_PER_DOCUMENT)


def _drawn(items: Sequence[T], key: str, seed: int, count: int) -> list[T]:
    order = sorted(range(len(items)), key=lambda place: stable_fraction(f"{key}\x00{place}", seed))
    return [items[place] for place in order[:count]]


def _letters(text: str) -> str:
    return "".join(character for character in text.lower() if character.isalnum())


def _prose_passage(document: Document, seed: int, limit: int) -> str:
    sentences = document.sentences()
    start = int(stable_fraction(f"{document.id}\x00classify", seed) * max(len(sentences) - 3, 1))
    return join_passage(sentences[start:], document.language, limit)


def _code_passage(document: Document, seed: int, limit: int) -> str:
    starts = [match.start() for match in re.finditer(r"^(?:async def|def|class) ", document.text, re.MULTILINE)]
    start = _drawn(starts, f"{document.id}\x00classify", seed, 1)[0] if starts else 0
    return document.text[start : start + limit].rsplit("\n", 1)[0].strip("\n")


def _words(sentence: str, language: str) -> list[str]:
    if language == "en":
        found = re.findall(r"(?<![\w-])[a-z][A-Za-z_]{3,}(?![\w-])", sentence)
        return [word for word in found if word.lower() not in _COMMON_WORDS]
    import jieba

    jieba.setLogLevel(logging.ERROR)
    return [word for word in jieba.lcut(sentence) if re.fullmatch(r"[\u4e00-\u9fff]{2,}", word)]


def _blankable(word: str, sentence: str, before: str) -> bool:
    return sentence.lower().count(word.lower()) == 1 and word.lower() not in before.lower()
