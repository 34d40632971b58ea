"""HTML text to a page's main text and what it declares about itself.

trafilatura runs without its fallbacks, comments and date search (`fast=True`), on a tree from which scripts,
styles and drawings were taken. Where it finds a text without structure, it runs again with its fallbacks; where
it finds little of a page (a forum, a listing, a shop), resiliparse's text is taken if it is much longer. What each
way gives on 1,092 annotated pages stands in tests/benchmarks/RESULTS.md.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from types import FrameType

import lxml.html
import trafilatura
from lxml.etree import ElementDefaultClassLookup, ParserError, XPath, strip_elements
from lxml.html import HtmlElement
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree
from trafilatura.settings import Extractor

from corpus.core.errors import UsageError
from corpus.core.files import storable
from corpus.pages.declared import META_KEYS, META_NAMES, Declared, declared
from corpus.pages.markdown import mark_code, unmark_code, write_blocks

PAGE_SECONDS = 60.0  # of processor time; a thousand times what a page takes
OUTPUT_FORMATS = ("text", "markdown")
# Less of a page's visible text than this is little; so many times as long must another text be to be taken for it.
# Chosen on the annotated pages, so fitted to them.
LITTLE = 0.15
LONGER = 1.3
_MOST_ELEMENTS = 50_000  # for trafilatura, whose time grows with their square
_DEEPEST = 250  # libxml2 reads 256 levels, and trafilatura calls itself for each

_CONTROL = bytes([*range(0x09), 0x0B, *range(0x0E, 0x20)])  # NUL cuts texts in C libraries
_JSON_LD = "application/ld+json"
_TOO_DEEP = XPath("boolean(" + "/*" * _DEEPEST + ")")
_ELEMENTS = XPath("count(//*)")
_TEXT = XPath("string()", smart_strings=False)
# resiliparse makes an element slowly (0.1 ms), so that it is asked for no other `<meta>`; `i` is for any case
_READ_METAS = ",".join(f'meta[{key}~="{name}" i]' for key in META_KEYS for name in META_NAMES)

for _name in ("trafilatura", "htmldate", "courlan", "justext"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Extracted:
    """A page's main text; `title`, `author`, `date` (YYYY-MM-DD) and `language` as it declares them, or "".

    `extractor` is the one whose text it is.
    """

    text: str
    title: str = ""
    author: str = ""
    date: str = ""
    language: str = ""
    extractor: str = ""


class _PageTimeout(BaseException):
    """Not an Exception, so that no parser's own handler swallows it."""


def extract_page(
    html: str, extractor: str = "trafilatura", output_format: str = "text", seconds: float = PAGE_SECONDS
) -> Extracted | str:
    """Extract the main text of a page, or say why there is none. Never raises for anything in the page.

    Reasons: `no_text`, `extraction_failed` (the parser raised), `extraction_timeout` (over `seconds` of processor
    time; only in a main thread, and not inside one call into C, which is why `screening.screen` comes first).
    `extractor` is one of `EXTRACTORS`, `output_format` of `OUTPUT_FORMATS`: `markdown` keeps headings, lists,
    tables and code blocks.
    """
    if extractor not in EXTRACTORS:
        raise UsageError(f"unknown extractor `{extractor}`; choose {' or '.join(EXTRACTORS)}")
    if output_format not in OUTPUT_FORMATS:
        raise UsageError(f"unknown format `{output_format}`; choose {' or '.join(OUTPUT_FORMATS)}")
    try:
        with _processor_time(seconds):
            extracted = EXTRACTORS[extractor](_parseable(html), output_format == "markdown")
    except _PageTimeout:
        return "extraction_timeout"
    except Exception:  # noqa: BLE001 - whatever a page does to a parser is a property of the page
        return "extraction_failed"
    clean = {name: _storable(value) for name, value in vars(extracted).items()}
    extracted = replace(extracted, **clean)
    return extracted if extracted.text else "no_text"


def _with_trafilatura(page: bytes, markdown: bool) -> Extracted:
    # The parser is our own: trafilatura's refuses a page without the word html in its first line. It gets bytes,
    # because lxml takes no text with an XML declaration.
    try:
        tree = lxml.html.document_fromstring(page, parser=_parser())
    except ParserError:  # nothing but comments or white space
        return Extracted("")
    if _TOO_DEEP(tree) or _has_too_many_elements(page, tree):
        return _with_resiliparse(page, markdown)
    about = _declared_in(tree)
    _strip_unread(tree)
    shown, hidden = _body_text(tree)
    if markdown:
        mark_code(tree)
    text, is_structured = _main_text(tree, markdown, fast=True)
    if not is_structured:
        text = _main_text(tree, markdown, fast=False)[0] or text
    if _is_little(text, shown, hidden):
        other = _text_by_resiliparse(HTMLTree.parse(page.decode("utf-8")), markdown)
        if other and _letters(other) >= LONGER * _letters(text):
            return Extracted(other, extractor="resiliparse", **vars(about))
    return Extracted(unmark_code(text) if markdown else text, extractor="trafilatura", **vars(about))


def _main_text(tree: HtmlElement, markdown: bool, fast: bool) -> tuple[str, bool]:
    """What trafilatura finds (it works on a copy of the tree), and whether that has the structure of a text."""
    document = trafilatura.bare_extraction(tree, options=_options(markdown, fast))
    text = getattr(document, "text", None) or ""
    body = getattr(document, "body", None)
    return text, not text or body is None or _is_structured(Counter(element.tag for element in body.iter()))


def _is_structured(elements: Counter[str]) -> bool:
    """Whether what trafilatura found, as the number of its elements by name, is more than a page's remains.

    All in one element is the whole page's text, taken where nothing better was found. More tables than paragraphs
    are what trafilatura's own comparison looks at; here they must be layout, with fewer than two cells a row.
    """
    is_layout = elements["table"] > elements["p"] and elements["cell"] < 2 * elements["row"]
    return elements.total() > 2 and not is_layout


def _with_resiliparse(page: bytes, markdown: bool) -> Extracted:
    tree = HTMLTree.parse(page.decode("utf-8"))
    metas = tree.head.query_selector_all(_READ_METAS) if tree.head else []
    scripts = tree.document.get_elements_by_attr("type", _JSON_LD) if tree.document else []
    root = tree.document.query_selector("html") if tree.document else None
    about = declared(
        [_name_and_content(meta.getattr) for meta in metas],
        [script.text or "" for script in scripts if script.tag == "script"],
        tree.title or "",
        (root.getattr("lang") or "") if root else "",
    )
    return Extracted(_text_by_resiliparse(tree, markdown), extractor="resiliparse", **vars(about))


def _text_by_resiliparse(tree: HTMLTree, markdown: bool) -> str:
    if markdown:
        write_blocks(tree)
    return extract_plain_text(tree, main_content=True, comments=False, alt_texts=False)


EXTRACTORS: dict[str, Callable[[bytes, bool], Extracted]] = {
    "trafilatura": _with_trafilatura,
    "resiliparse": _with_resiliparse,
}


@lru_cache(maxsize=1)
def _parser() -> lxml.html.HTMLParser:
    parser = lxml.html.HTMLParser(
        encoding="utf-8", remove_comments=True, remove_pis=True, collect_ids=False, huge_tree=True
    )
    # lxml.html's own look-up calls Python for every element; trafilatura needs none of its special classes.
    parser.set_element_class_lookup(ElementDefaultClassLookup(element=HtmlElement))
    return parser


@lru_cache(maxsize=4)
def _options(markdown: bool, fast: bool) -> Extractor:
    return Extractor(output_format="python", fast=fast, comments=False, formatting=markdown)


def _declared_in(tree: HtmlElement) -> Declared:
    return declared(
        [_name_and_content(meta.get) for meta in tree.iter("meta")],
        [script.text or "" for script in tree.iter("script") if script.get("type") == _JSON_LD],
        tree.findtext(".//title") or "",
        tree.get("lang") or "",
    )


def _name_and_content(attribute: Callable[[str], str | None]) -> tuple[str, str]:
    name = next(filter(None, map(attribute, META_KEYS)), "")
    return name, attribute("content") or ""


def _has_too_many_elements(page: bytes, tree: HtmlElement) -> bool:
    # Counting tags is quicker. libxml2 adds at most one element a tag, and those that every page has.
    return _most_elements(page) > _MOST_ELEMENTS and _ELEMENTS(tree) > _MOST_ELEMENTS


def _most_elements(page: bytes) -> int:
    return 2 * page.count(b"<") + 3


def _body_text(tree: HtmlElement) -> tuple[str, int]:
    """All text of the body, and how many letters of it no reader sees: those within scripts and `<noscript>`."""
    body = next(tree.iter("body"), None)
    if body is None:
        return "", 0
    hidden = (text for element in body.iter("script", "noscript") for text in _own_text(element))
    return _TEXT(body), sum(map(_letters, hidden))


def _own_text(element: HtmlElement) -> Iterator[str]:
    yield element.text or ""
    for child in element:
        yield child.tail or ""


def _is_little(text: str, shown: str, hidden: int) -> bool:
    """Whether a text is a small part of what a body shows."""
    found = _letters(text)
    return found < LITTLE * (len(shown) - hidden) and found < LITTLE * (_letters(shown) - hidden)


def _strip_unread(tree: HtmlElement) -> None:
    """Take out what trafilatura drops itself, after copying and searching it several times."""
    strip_elements(tree, "style", "svg", "link", with_tail=False)
    for script in list(tree.iter("script")):
        if script.get("type") != _JSON_LD:
            script.drop_tree()


def _parseable(html: str) -> bytes:
    """A page in UTF-8, without control characters."""
    try:
        page = html.encode("utf-8")
    except UnicodeEncodeError:
        page = storable(html).encode("utf-8")
    return page.translate(None, _CONTROL).strip()


def _letters(text: str) -> int:
    return sum(map(len, text.split()))


def _storable(text: str) -> str:
    """Without what no UTF-8 column holds (lone surrogates) and what cuts texts in C libraries (NUL)."""
    return storable(text).replace("\0", "").strip()


@contextmanager
def _processor_time(seconds: float) -> Iterator[None]:
    """Raise _PageTimeout after `seconds` of this process's own time, which other load does not shorten."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise _PageTimeout

    before = signal.signal(signal.SIGVTALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, seconds, 1.0)
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
