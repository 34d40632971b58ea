"""What a page declares about itself: title, author, date, language.

From `<meta>` in the head (Open Graph, Dublin Core, Highwire citation names), from JSON-LD (schema.org, in
`<script type="application/ld+json">`), from `<title>` and `<html lang>`, in this order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

_TITLES = ("og:title", "twitter:title", "dc.title", "citation_title")
_AUTHORS = ("author", "article:author", "dc.creator", "citation_author", "parsely-author")
_DATES = (
    "article:published_time",
    "datepublished",
    "date",
    "dc.date",
    "dcterms.created",
    "dcterms.date",
    "dc.date.issued",
    "pubdate",
    "publishdate",
    "publication_date",
    "citation_publication_date",
    "parsely-pub-date",
)
META_NAMES = (*_TITLES, *_AUTHORS, *_DATES)  # of `<meta>` elements, in lower case; no other is read
META_KEYS = ("name", "property", "itemprop")  # the attributes that may hold it; the first counts
_BROKEN_JSON_DATE = re.compile(r'"datePublished"\s*:\s*"([^"]{1,40})"')
_ISO_DATE = re.compile(r"\s*(\d{4})[-/](\d{2})[-/](\d{2})(?!\d)")
_LONGEST_FIELD = 1000
_MOST_JSON = 2**20  # characters of JSON-LD that are read
_MOST_AUTHORS = 20


@dataclass(frozen=True)
class Declared:
    """A page's own statements; "" where it makes none. `date` is YYYY-MM-DD, `language` in lower case."""

    title: str = ""
    author: str = ""
    date: str = ""
    language: str = ""


def declared(
    metas: Sequence[tuple[str, str]], json_ld: Sequence[str], title: str = "", language: str = ""
) -> Declared:
    """Choose among a page's statements.

    `metas` are the names and contents of its `<meta>` elements, `json_ld` the texts of its JSON-LD scripts,
    `title` and `language` those of `<title>` and `<html lang>`.
    """
    said: dict[str, str] = {}
    for name, content in metas:
        if name and content.strip():
            said.setdefault(name.strip().lower(), content)
    titles, authors, dates = _from_json_ld(json_ld)
    titles = [said[name] for name in _TITLES if name in said] + titles + [title]
    authors = [said[name] for name in _AUTHORS if name in said] + authors
    dates = [said[name] for name in _DATES if name in said] + dates
    return Declared(
        title=next(filter(None, map(_field, titles)), ""),
        author=next((name for name in map(_field, authors) if name and not _is_address(name)), ""),
        date=next(filter(None, map(_day, dates)), ""),
        language=_field(language).lower(),
    )


def _from_json_ld(texts: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    """Headlines, authors and dates of publication, in the order in which they stand."""
    titles: list[str] = []
    authors: list[str] = []
    dates: list[str] = []
    left = _MOST_JSON
    for text in texts:
        left -= len(text)
        if left < 0:
            break
        try:
            value = json.loads(text, strict=False)
        except (ValueError, RecursionError):
            dates += [match[1] for match in _BROKEN_JSON_DATE.finditer(text)][:1]
            continue
        for thing in _things(value):
            titles += _strings(thing.get("headline"))
            authors += filter(None, [", ".join(_names(thing.get("author"))[:_MOST_AUTHORS])])
            dates += _strings(thing.get("datePublished"))
    return titles, authors, dates


def _things(value: Any) -> Iterator[dict[str, Any]]:
    """The objects of a JSON-LD text: the value itself, those of a list, those of `@graph`."""
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            yield item
            graph = item.get("@graph")
            yield from (thing for thing in graph if isinstance(thing, dict)) if isinstance(graph, list) else ()


def _names(author: Any) -> list[str]:
    found: list[str] = []
    for item in author if isinstance(author, list) else [author]:
        found += _strings(item.get("name") if isinstance(item, dict) else item)
    return [name for name in found if not _is_address(name)]


def _strings(value: Any) -> list[str]:
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str) and item]


def _is_address(name: str) -> bool:
    return name.strip().startswith(("http://", "https://"))


def _field(value: str) -> str:
    return " ".join(value.split())[:_LONGEST_FIELD]


def _day(value: str) -> str:
    match = _ISO_DATE.match(value)
    if match is None:
        return ""
    try:
        return date(int(match[1]), int(match[2]), int(match[3])).isoformat()
    except ValueError:
        return ""
