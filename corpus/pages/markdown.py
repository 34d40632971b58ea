"""What the extractors cannot write as Markdown themselves is put into the page before they read it.

trafilatura writes headings, lists, tables and inline code, but no language of a code block, loses empty lines in
it and takes one line for inline code. resiliparse writes none of it: headings, tables and code blocks become
text of preformatted elements, which it leaves as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lxml.etree import SubElement
from lxml.html import HtmlElement
from resiliparse.parse.html import HTMLTree

_KEPT_LINE = "\u2424"  # trafilatura turns a line of this symbol into an empty one
_MARK = "⟦code:{}⟧"
_MARKED_FENCE = re.compile(r"(?<!`)(`{3,})\n⟦code:([^\n⟧]*)⟧(?=\n)")
_ANY_MARK = re.compile(r"⟦code:[^\n⟧]*⟧\n?")
_LANGUAGE_CLASS = re.compile(r"(?:^|\s)(?:language|lang|highlight-source|highlight|brush:?)[-\s]([\w+#.]+)")
_PLAIN_CLASS = re.compile(r"(?:^|\s)sourceCode\s+([\w+#]+)")
_NO_LANGUAGE = {"none", "nohighlight", "plaintext", "text", "notranslate", "default", "plain"}
_NAMES = frozenset(  # which a class of its own may be
    ("bash", "c", "cpp", "css", "go", "html", "java", "javascript", "json", "php", "python", "ruby", "rust", "sql")
)
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_MOST_CELLS = 20_000


def mark_code(tree: HtmlElement) -> None:
    """Make every `<pre>` one code element whose first line names the language (for `unmark_code`)."""
    for pre in list(tree.iter("pre")):
        language = code_language(_classes(pre))
        for line_break in pre.iter("br"):
            line_break.tail = "\n" + (line_break.tail or "")
        lines = _code_lines(pre.text_content())
        pre.clear(keep_tail=True)
        if lines:
            code = SubElement(pre, "code")
            code.text = "\n".join([_MARK.format(language), *(line or _KEPT_LINE for line in lines)])


def unmark_code(text: str) -> str:
    """Move the languages of `mark_code` behind their fences."""
    text = _MARKED_FENCE.sub(_fence, text)
    return _ANY_MARK.sub("", text)  # of a block that was flattened into a table's cell, say


def _fence(match: re.Match[str]) -> str:
    # In a list's item trafilatura opens the fence on the line of the text before it.
    on_own_line = match.start() == 0 or match.string[match.start() - 1] == "\n"
    return f"{'' if on_own_line else chr(10)}{match[1]}{match[2]}"


def write_blocks(tree: HTMLTree) -> None:
    """Replace code blocks, tables of data and headings by preformatted Markdown."""
    if tree.body is None:
        return
    for pre in _elements(tree, "pre"):
        lines = _code_lines(pre.text)
        classes = [node.getattr(name) or "" for node in _around(pre) for name in ("class", "data-lang")]
        fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`{3,}", pre.text)), 3)
        _put(tree, pre, "\n".join([fence + code_language(classes), *lines, fence]))
    for table in _elements(tree, "table"):
        rows = _data_rows(tree, table)
        if rows:
            _put(tree, table, _table(rows))
    for name in _HEADINGS:
        for heading in _elements(tree, name):
            if heading.text.strip():
                _prepend(tree, heading, "#" * int(name[1]) + " ")


def _elements(tree: HTMLTree, name: str) -> list[Any]:
    """The page's elements of a name; their type in resiliparse's stubs lacks what elements have.

    `values()` makes them once; a collection that is iterated over makes all of them for each.
    """
    return tree.body.get_elements_by_tag_name(name).values() if tree.body else []


def _code_lines(code: str) -> list[str]:
    lines = [line.rstrip() for line in code.expandtabs(4).splitlines()]
    while lines and not lines[0]:
        del lines[0]
    while lines and not lines[-1]:
        del lines[-1]
    return lines


def _classes(pre: HtmlElement) -> list[str]:
    outer = pre.getparent()
    around = (pre.find(".//code"), pre, outer, outer.getparent() if outer is not None else None)
    nodes = [node for node in around if node is not None]
    return [node.get(name, "") for node in nodes for name in ("class", "data-lang")]


def code_language(classes: list[str]) -> str:
    """The language that classes name (`language-python`, `lang-js`, `highlight-source-c`, `sourceCode r`)."""
    for value in classes:
        found = _LANGUAGE_CLASS.search(value) or _PLAIN_CLASS.search(value)
        name = found[1] if found else value if value in _NAMES else ""
        if name and name.lower() not in _NO_LANGUAGE:
            return name.lower()
    return ""


def _around(pre: Any) -> Iterator[Any]:
    yield from pre.get_elements_by_tag_name("code").values()[:1]
    yield pre
    outer = pre.parent
    if outer is not None:
        yield outer
        if outer.parent is not None:
            yield outer.parent


def _data_rows(tree: HTMLTree, table: Any) -> list[list[str]]:
    """A table's cells; none for one that only lays the page out: nested, or of one row or column."""
    if table.get_elements_by_tag_name("table") or table.get_elements_by_tag_name("pre"):
        return []
    for line_break in table.get_elements_by_tag_name("br").values():
        _put(tree, line_break, " ", "span")
    rows, cells = [], 0
    for row in table.get_elements_by_tag_name("tr").values():
        rows.append([" ".join(cell.text.split()) for cell in row.child_nodes.values() if cell.tag in ("td", "th")])
        cells += len(rows[-1])
        if cells > _MOST_CELLS:
            return []
    width = max(map(len, rows), default=0)
    return [row + [""] * (width - len(row)) for row in rows] if width > 1 and len(rows) > 1 else []


def _table(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def _put(tree: HTMLTree, node: Any, text: str, tag: str = "pre") -> None:
    if node.parent is None:
        return
    element: Any = tree.create_element(tag)
    element.append_child(tree.create_text_node(text))
    node.parent.replace_child(element, node)


def _prepend(tree: HTMLTree, node: Any, text: str) -> None:
    mark: Any = tree.create_text_node(text)
    if node.first_child is None:
        node.append_child(mark)
    else:
        node.insert_before(mark, node.first_child)
