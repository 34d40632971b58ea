"""What a page's source shows before it is parsed: its bare text, and how much work it will make.

Parsers and extractors take time that grows with the square of some things that pages contain: elements within
elements (resiliparse), attributes of one element (libxml2), formatting that is opened and never closed (every
parser that reopens it in each paragraph, as HTML's rules want). A page over a limit is not parsed. The limits are
counts, not seconds, so that a slow machine loses the same pages as a fast one. They lie far above what the
annotated pages of the benchmarks have (20,000 tags, 5,000 attributes).
"""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator

MAX_DEPTH = 2_000  # elements open at once; browsers stop at 512
MAX_TAGS = 500_000
MAX_NESTING = 3_000_000  # the depths of all elements, added
MAX_ATTRIBUTES = 20_000  # of one element
MAX_REOPENED = 500_000  # formatting elements that paragraphs open again
MAX_BARE_TEXT = 20_000  # characters that tell a language
_FEW_ELEMENTS = 1_400  # under every limit however they nest: half formatting, half paragraphs reopen 700 * 700
_PIECE = 8192  # bytes

_HIDDEN = re.compile(rb"<(?:!--|(?:script|style)(?=[\s/>]))")
_ANY_TAG = re.compile(rb"<[/!?a-z][^<>]*>?")
_TAG = re.compile(rb"<(/?[a-z][^\s/>]*)")
_SPACE = re.compile(r"\s+")
_SLASH = ord("/")
# Void elements, and those whose end tag may be left out: what follows closes them.
_NOT_COUNTED = frozenset(
    b"area base br col embed hr img input link meta param source track wbr "
    b"html head body p li dt dd option optgroup tr td th tbody thead tfoot rp rt".split()
)
_FORMATTING = frozenset(b"a b big code em font i nobr s small strike strong tt u".split())
_REOPENS = frozenset(b"p li dt dd td th div h1 h2 h3 h4 h5 h6 blockquote pre ul ol table".split())


def without_hidden(page: bytes) -> bytes:
    """A page (UTF-8) in ASCII lower case, without comments and what stands inside scripts and styles."""
    page = page.lower()
    shown, at = [], 0
    while hidden := _HIDDEN.search(page, at):
        name = hidden[0][1:]
        start = hidden.start() if name == b"!--" else page.find(b">", hidden.end()) + 1
        end = page.find(b"-->" if name == b"!--" else b"</" + name, hidden.end())
        shown.append(page[at : start or len(page)])
        if end < 0:  # what is not closed hides the rest
            return b" ".join(shown)
        at = end + 3 if name == b"!--" else end
    return b" ".join([*shown, page[at:]])


def bare_text(shown: bytes, characters: int = MAX_BARE_TEXT) -> str:
    """The beginning of the text of `without_hidden(page)`, in lower case, white space collapsed.

    Reads no more of the page than it needs.
    """
    texts: list[str] = []
    length = 0
    for piece in _pieces(shown):
        text = _SPACE.sub(" ", html.unescape(_ANY_TAG.sub(b" ", piece).decode("utf-8", "ignore")))
        texts.append(text)
        length += len(text.strip())
        if length >= characters:
            break
    return _SPACE.sub(" ", "".join(texts)).strip()[:characters]


def _pieces(shown: bytes) -> Iterator[bytes]:
    """A page in pieces that end where a tag may begin, so that none is cut."""
    start = 0
    while start < len(shown):
        end = shown.find(b"<", start + _PIECE)
        yield shown[start : end if end > 0 else len(shown)]
        start = end if end > 0 else len(shown)


def too_complex(shown: bytes) -> str:
    """Which limit a page is over, as `depth over 2000`; "" where it is over none.

    `shown` is `without_hidden(page)`. Depth is an estimate: tags are counted by name, an end tag closes the last
    open element of its name only, and elements whose end tag may be left out do not count.
    """
    if _most_attributes(shown) > MAX_ATTRIBUTES:
        return f"attributes over {MAX_ATTRIBUTES}"
    tags_at_most = shown.count(b"<")
    if tags_at_most <= MAX_TAGS and tags_at_most - shown.count(b"</") <= _FEW_ELEMENTS:
        return ""
    tags = _TAG.findall(shown)
    if len(tags) > MAX_TAGS:
        return f"tags over {MAX_TAGS}"
    return _over_nesting(tags)


def _over_nesting(tags: list[bytes]) -> str:
    opened: Counter[bytes] = Counter()
    depth = nesting = formatting = reopened = 0
    for tag in tags:
        if tag[0] != _SLASH:
            nesting += depth
            if tag in _REOPENS:
                reopened += formatting
            if tag not in _NOT_COUNTED:
                opened[tag] += 1
                depth += 1
                formatting += tag in _FORMATTING
                if depth > MAX_DEPTH:
                    return f"depth over {MAX_DEPTH}"
        elif opened[name := tag[1:]]:
            opened[name] -= 1
            depth -= 1
            formatting -= name in _FORMATTING
    if reopened > MAX_REOPENED:
        return f"reopened formatting over {MAX_REOPENED}"
    return f"nesting over {MAX_NESTING}" if nesting > MAX_NESTING else ""


def _most_attributes(shown: bytes) -> int:
    """An upper bound of the attributes of the element that has most, exact enough for a limit of thousands."""
    most = 0
    for piece in _longer_than(2 * MAX_ATTRIBUTES, shown):  # `<a` and as many attributes of one letter
        start = re.search(rb"<[a-z]", piece)
        tag = piece[start.start() :] if start else b""
        most = max(most, len(tag.split()), tag.count(b"="), tag.count(b'"') // 2, tag.count(b"'") // 2)
    return most


def _longer_than(length: int, shown: bytes) -> Iterator[bytes]:
    """What stands between two `>`, where it is longer; the others are leapt over, many at a time."""
    start = 0
    while len(shown) - start > length:
        end = shown.rfind(b">", start, start + length + 1)
        if end < 0:
            end = shown.find(b">", start + length)
            end = len(shown) if end < 0 else end
            yield shown[start:end]
        start = end + 1
