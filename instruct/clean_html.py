"""Replies that were copied as HTML from a chat's page, back to the Markdown that they were written in.

A text is taken for HTML only where it is rendered Markdown from its first character to its last; what merely
speaks of tags, or shows some in a fence, stays as it is. The tree is libxml2's, the writing our own: converters
for pages escape `*` and `_`, know neither the chats' code blocks (the language stands in a header beside a button)
nor their formulas (KaTeX keeps the source in an annotation), and fail on deep nesting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lxml import html
from lxml.html import HtmlElement

from corpus.pages.markdown import code_language
from corpus.pages.markup import too_complex, without_hidden

HTML_MODES = ("auto", "always", "never")
TOO_COMPLEX = "html_too_complex"
_MOST_DEPTH = 150  # elements within elements; a chat's reply has some 30

_RENDERED = re.compile(
    r"\s*<(?:p|div|ol|ul|pre|h[1-6]|table|blockquote|hr)(?:\s[^<>]*)?>.*(?:</[a-z][a-z0-9]*\s*>|<[hb]r\s*/?>)\s*",
    re.DOTALL | re.IGNORECASE,
)
_WRAPPER = re.compile(
    r"\s*<(?:div|p)\s[^<>]*class=[\"'][^\"'<>]*\b(?:markdown|whitespace-pre-wrap)\b", re.IGNORECASE
)
_TAG = re.compile(r"</?([a-z][a-z0-9-]*)", re.IGNORECASE)
_FORMULA = (
    "math semantics annotation mrow mi mo mn msup msub msubsup mfrac msqrt mroot mtext mspace mover munder "
    "munderover mtable mtr mtd mstyle mpadded mphantom menclose"
)
_DRAWING = "svg path polyline line rect circle g"
_PROSE = (
    "p div span br hr h1 h2 h3 h4 h5 h6 ol ul li pre code strong b em i del s u a img sup sub blockquote table "
    "thead tbody tr th td button input"
)
_TAGS = frozenset(" ".join((_PROSE, _FORMULA, _DRAWING)).split())  # that chats render Markdown to
_DROPPED = frozenset(("button", "svg", "style", "script", "textarea", "noscript", "template", "head"))
_CONTAINERS = (
    "p div h1 h2 h3 h4 h5 h6 ol ul li pre blockquote table hr section article header footer main aside figure "
    "figcaption details summary dl dt dd html body"
)
_BLOCKS = frozenset(_CONTAINERS.split())
_MARKS = {"strong": "**", "b": "**", "em": "*", "i": "*", "del": "~~", "s": "~~"}
_SPACE = re.compile(r"[ \t\r\n\f]+")


class HtmlError(ValueError):
    """A text that is too complex to be read as HTML."""


def is_rendered(text: str) -> bool:
    """Whether a text is rendered Markdown as a whole: HTML of the tags that chats make, around all of it."""
    if not _RENDERED.fullmatch(text):
        return False
    if _WRAPPER.match(text):
        return True
    return "```" not in text and all(name.lower() in _TAGS for name in _TAG.findall(text))


def html_turns(turns: Sequence[tuple[str, str]], mode: str, error: re.Pattern[str]) -> list[bool]:
    """Which turns (role, text) of a conversation are HTML, as `mode` says; `error` matches replies that are none.

    `auto`: replies, where all of the conversation are rendered; questions only within a chat's own element, since
    people ask about HTML.
    """
    if mode != "auto":
        return [mode == "always" and role != "system" for role, _ in turns]
    replies = [text for role, text in turns if role == "assistant" and text.strip() and not error.fullmatch(text)]
    rendered = bool(replies) and all(map(is_rendered, replies))
    return [
        (rendered and role == "assistant" and is_rendered(text))
        or (role == "user" and bool(_WRAPPER.match(text)) and is_rendered(text))
        for role, text in turns
    ]


def to_markdown(text: str) -> str:
    """HTML as Markdown: headings, lists, tables, quotes, code with its language, formulas, emphasis, links.

    Nothing is escaped. Buttons and drawings go. Raises HtmlError for a text that nests too deeply.
    """
    if too_complex(without_hidden(text.encode("utf-8", "replace"))):
        raise HtmlError(TOO_COMPLEX)
    parser = html.HTMLParser(huge_tree=True, encoding="utf-8", remove_comments=True, remove_pis=True)
    tree = html.document_fromstring(f"<div>{text}</div>".encode("utf-8", "replace"), parser=parser)
    return "\n\n".join(_blocks(tree, 0)).strip("\n")


def _blocks(element: HtmlElement, depth: int, keep_space: bool = False) -> list[str]:
    """The blocks of Markdown that an element's content makes."""
    if depth > _MOST_DEPTH:
        raise HtmlError(TOO_COMPLEX)
    keep_space = keep_space or "whitespace-pre-wrap" in element.get("class", "")
    blocks: list[str] = []
    line = [_text(element.text, keep_space)]
    for child in element:
        if _is_block(child):
            blocks += [_line(line, keep_space), *_block(child, depth + 1, keep_space)]
            line = []
        else:
            line.append(_inline(child, depth + 1, keep_space))
        line.append(_text(child.tail, keep_space))
    return [block for block in [*blocks, _line(line, keep_space)] if block.strip()]


def _is_block(element: HtmlElement) -> bool:
    if element.tag in _BLOCKS or "katex-display" in element.get("class", "").split():
        return True
    return element.tag == "span" and any(
        inner.tag in ("p", "pre", "ul", "ol", "table") for inner in element.iter()
    )


def _block(element: HtmlElement, depth: int, keep_space: bool) -> list[str]:
    tag = str(element.tag)
    if "katex-display" in element.get("class", "").split():
        return [f"$$\n{_formula(element)}\n$$"]
    if tag == "pre":
        return _code_block(element)
    if tag == "table":
        return _table(element, depth)
    if tag == "hr":
        return ["---"]
    if tag in ("ul", "ol"):
        return _list(element, depth)
    blocks = _blocks(element, depth, keep_space)
    if tag == "blockquote":
        lines = "\n\n".join(blocks).split("\n")
        return ["\n".join(f"> {line}".rstrip() for line in lines)] if blocks else []
    if len(tag) == 2 and tag[0] == "h" and tag[1].isdigit():
        return [f"{'#' * int(tag[1])} {' '.join(blocks)}"] if blocks else []
    return blocks


def _text(text: str | None, keep_space: bool) -> str:
    return (text or "") if keep_space else _SPACE.sub(" ", text or "")


def _line(parts: Sequence[str], keep_space: bool) -> str:
    joined = "".join(parts)
    if keep_space:
        return joined.strip("\n")
    return re.sub(r" *\n *", "\n", re.sub(r" {2,}", " ", joined)).strip() if "`" not in joined else joined.strip()


def _inline(element: HtmlElement, depth: int, keep_space: bool) -> str:
    if depth > _MOST_DEPTH:
        raise HtmlError(TOO_COMPLEX)
    tag = element.tag
    if tag in _DROPPED:
        return _script(element) if tag == "script" else ""
    if tag == "br":
        return "\n"
    if tag == "code":
        return _code(_raw(element))
    if tag == "img":
        return f"![{element.get('alt', '')}]({element.get('src', '')})"
    if tag == "input":
        return (
            "" if element.get("type") != "checkbox" else "[x] " if element.get("checked") is not None else "[ ] "
        )
    if tag == "math" or "katex" in element.get("class", "").split():
        return f"${_formula(element)}$"
    inner = _text(element.text, keep_space) + "".join(
        _inline(child, depth + 1, keep_space) + _text(child.tail, keep_space) for child in element
    )
    if tag in _MARKS:
        return _marked(inner, _MARKS[tag])
    if tag in ("sup", "sub"):
        return f"<{tag}>{inner}</{tag}>"
    if tag == "a":
        return _link(inner, element.get("href", ""))
    return inner


def _marked(inner: str, mark: str) -> str:
    """Text between marks; white space stays outside of them, where Markdown wants it."""
    bare = inner.strip()
    if not bare:
        return inner
    before, _, after = inner.partition(bare)
    return f"{before}{mark}{bare}{mark}{after}"


def _link(inner: str, address: str) -> str:
    if not address or address.startswith(("#", "javascript:")) or inner.strip() in ("", address):
        return inner
    return f"[{inner}]({address})"


def _code(code: str) -> str:
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", code)), default=0))
    space = " " if code.startswith("`") or code.endswith("`") else ""
    return f"{ticks}{space}{code}{space}{ticks}"


def _raw(element: HtmlElement) -> str:
    """The text of an element with all its white space, `<br>` as a line's end, without buttons."""
    return "".join(_raw_parts(element))


def _raw_parts(element: HtmlElement) -> Iterator[str]:
    hidden: HtmlElement | None = None
    for event, node in html.etree.iterwalk(element, events=("start", "end")):
        if event == "start":
            if hidden is None and node.tag in _DROPPED:
                hidden = node
            elif hidden is None:
                yield "\n" if node.tag == "br" else node.text or ""
        else:
            hidden = None if hidden is node else hidden
            if hidden is None and node is not element:
                yield node.tail or ""


def _code_block(pre: HtmlElement) -> list[str]:
    """A fenced block. Chats put a header with the language before the code, in `<pre>` too."""
    codes = pre.findall(".//code")
    classes = [code.get("class", "") for code in codes] + [pre.get("class", "")]
    language = code_language(classes) or (_header(pre, codes[0]) if codes else "")
    code = "".join(map(_raw, codes)) if codes else _raw(pre)
    code = _without_blank_ends(code)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`{3,}", code)), default=0))
    return [f"{fence}{language}\n{code}\n{fence}"] if code.strip() else []


def _without_blank_ends(code: str) -> str:
    lines = code.splitlines()
    full = [number for number, line in enumerate(lines) if line.strip()]
    return "\n".join(lines[full[0] : full[-1] + 1]) if full else ""


def _header(pre: HtmlElement, code: HtmlElement) -> str:
    """The language that stands alone before the code, as `python` in a header with a button."""
    before = _raw(pre).partition(_raw(code))[0].strip() if _raw(code) else ""
    return before if re.fullmatch(r"[a-z][a-z0-9+#-]{0,14}", before) else ""


def _formula(element: HtmlElement) -> str:
    """The source that KaTeX and MathJax keep beside what they draw."""
    found = element.xpath(".//*[local-name()='annotation'][@encoding='application/x-tex']")
    return " ".join((_raw(found[0]) if found else element.get("alttext") or _raw(element)).split())


def _script(element: HtmlElement) -> str:
    """MathJax keeps a formula's source in a script."""
    kind = element.get("type", "")
    if not kind.startswith("math/tex"):
        return ""
    source = " ".join((element.text or "").split())
    return f"\n$$\n{source}\n$$\n" if "mode=display" in kind else f"${source}$"


def _list(element: HtmlElement, depth: int) -> list[str]:
    """A list; its items stand apart where they are paragraphs, as in the source."""
    items: list[str] = []
    start = element.get("start", "1")
    number = int(start) if start.isascii() and start.isdigit() and len(start) < 9 else 1
    apart = any(child.find("p") is not None for child in element)
    for child in element:
        blocks = _block(child, depth + 1, False) if child.tag in ("ul", "ol") else _blocks(child, depth + 1)
        marker = f"{number}. " if element.tag == "ol" else "- "
        number += 1
        text = ("\n\n" if apart else "\n").join(blocks)
        items.append(marker + text.replace("\n", "\n" + " " * len(marker)))
    lines = ("\n\n" if apart else "\n").join(items)
    return [re.sub(r"(?m)^ +$", "", lines)] if items else []


def _table(element: HtmlElement, depth: int) -> list[str]:
    rows = []
    for row in element.iter("tr"):
        cells = [cell for cell in row if cell.tag in ("td", "th")]
        rows.append([_cell(cell, depth) for cell in cells])
    width = max(map(len, rows), default=0)
    if not width:
        return []
    lines = ["| " + " | ".join(row + [""] * (width - len(row))) + " |" for row in rows]
    return ["\n".join([lines[0], "|" + " --- |" * width, *lines[1:]])]


def _cell(cell: HtmlElement, depth: int) -> str:
    text = "\n".join(_blocks(cell, depth + 1))
    return "<br>".join(line.strip() for line in text.split("\n") if line.strip()).replace("|", "\\|")
