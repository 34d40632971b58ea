"""Main text and declared metadata of pages, good and bad."""

import json
import re
import signal
import threading

import lxml.html
import pytest
import trafilatura
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.core.errors import UsageError
from corpus.pages import extraction
from corpus.pages.extraction import EXTRACTORS, Extracted, extract_page
from tests.corpus.web import WORDS, html

BOTH = pytest.mark.parametrize("extractor", sorted(EXTRACTORS))
NAVIGATION = (
    "<nav><ul>" + "".join(f'<li><a href="/{n}">Menu entry {n}</a></li>' for n in range(12)) + "</ul></nav>"
)


@BOTH
def test_main_text_without_navigation(extractor: str) -> None:
    page = html("Harvest").replace("<body>", f"<body>{NAVIGATION}")
    result = extract_page(page, extractor)
    assert isinstance(result, Extracted)
    assert WORDS.strip() in result.text
    assert "Menu entry" not in result.text


@BOTH
def test_metadata_that_the_head_declares(extractor: str) -> None:
    head = (
        '<meta property="og:title" content="The  Harvest"><meta name="author" content="Ada Example">'
        '<meta property="article:published_time" content="2021-03-04T05:06:07Z">'
    )
    result = extract_page(html("Harvest | Example News", head=head), extractor)
    assert isinstance(result, Extracted)
    assert (result.title, result.author, result.date, result.language) == (
        "The Harvest",
        "Ada Example",
        "2021-03-04",
        "en",
    )


@BOTH
@pytest.mark.parametrize(
    "meta",
    [
        "<META NAME=' Author ' CONTENT=Ada>",
        "<meta property=DC.Creator content=Ada>",
        "<meta name='' itemprop=author content=Ada>",
        "<meta name=author content=' '><meta name=AUTHOR content=Ada><meta name=author content=Bo>",
        "<meta name=keywords itemprop=author content=Bo><meta property=author content=Ada>",
    ],
)
def test_names_of_metas_in_any_case_and_attribute(extractor: str, meta: str) -> None:
    result = extract_page(html("Harvest", head=meta), extractor)
    assert isinstance(result, Extracted)
    assert result.author == "Ada"


@BOTH
@pytest.mark.parametrize(
    ("head", "day"),
    [
        ('<meta name="date" content="2020/02/29">', "2020-02-29"),
        ('<meta name="date" content="2021-02-29">', ""),
        ('<meta name="date" content="yesterday">', ""),
        ('<script type="application/ld+json">{"datePublished": "2019-08-07T10:00"}</script>', "2019-08-07"),
    ],
)
def test_dates(extractor: str, head: str, day: str) -> None:
    result = extract_page(html("Harvest", head=head), extractor)
    assert isinstance(result, Extracted)
    assert result.date == day


@BOTH
def test_an_author_that_is_a_link_is_none(extractor: str) -> None:
    result = extract_page(
        html("x", head='<meta property="article:author" content="https://example.org/ada">'), extractor
    )
    assert isinstance(result, Extracted)
    assert result.author == ""


@BOTH
@pytest.mark.parametrize(
    "page", ["", " \n", "<!-- nothing -->", "<html><body></body></html>", "<script>var x = 1;</script>"]
)
def test_pages_without_text(extractor: str, page: str) -> None:
    assert extract_page(page, extractor) == "no_text"


@BOTH
@pytest.mark.parametrize(
    "page",
    [
        "<?xml version='1.0' encoding='gb2312'?>\n" + html("Harvest"),
        re.sub("</?(html|head|body|article)[^>]*>", "", html("Harvest")),
        html("Harvest").replace("harvest", "har\0vest\x0b\ud800"),
        html("Harvest").replace("</p>", "").replace("</article></body></html>", ""),
    ],
)
def test_odd_pages_keep_their_text(extractor: str, page: str) -> None:
    result = extract_page(page, extractor)
    assert isinstance(result, Extracted)
    assert "everybody agreed" in result.text
    result.text.encode("utf-8")
    assert "\0" not in result.text


@BOTH
def test_chinese(extractor: str) -> None:
    sentence = "委员会星期二开会讨论收成，大家都认为今年的雨水很好。"
    result = extract_page(html("收成", sentence * 5), extractor)
    assert isinstance(result, Extracted)
    assert sentence in result.text


@BOTH
@given(st.text(alphabet=st.sampled_from("<>/=\"'!-& abpdivtablehtmlscript\0\x01é中\ud800"), max_size=200))
@settings(max_examples=60, deadline=None)
def test_no_page_raises(extractor: str, page: str) -> None:
    result = extract_page("<html>" + page, extractor)
    assert result in ("no_text", "extraction_failed") or isinstance(result, Extracted)


MARKUP = (
    "<h2>Second</h2><p>Some <code>inline</code> words and <a href='x'>a link</a>.</p>"
    "<pre><code class='language-python'>def f(x):\n    if x:\n\n        return 1 | 2\n</code></pre>"
    "<div class='highlight-c notranslate'><div class='highlight'>"
    "<pre><span>int</span> main;\n  x = 1;</pre></div></div>"
    "<table><tr><th>key</th><th>value</th></tr><tr><td>1|2</td><td>3<br>4</td></tr></table>"
    f"<p>{WORDS * 3}</p>"
)


@BOTH
def test_markdown_keeps_headings_code_and_tables(extractor: str) -> None:
    page = html("Harvest").replace("</article>", MARKUP + "</article>")
    result = extract_page(page, extractor, "markdown")
    assert isinstance(result, Extracted)
    assert "# Harvest" in result.text.splitlines()
    assert "## Second" in result.text.splitlines()
    assert "```python\ndef f(x):\n    if x:\n\n        return 1 | 2\n```\n" in result.text
    assert "```c\nint main;\n  x = 1;\n```\n" in result.text
    lines = [line.strip() for line in result.text.splitlines()]
    at = lines.index("| key | value |")
    assert lines[at + 1 : at + 3] == ["|---|---|", "| 1\\|2 | 3 4 |"]
    assert "a link" in result.text
    assert "](" not in result.text


def test_markdown_keeps_nested_lists_and_code_within() -> None:
    items = "<ul><li>outer item<ul><li>inner <i>item</i></li></ul></li><li>last item</li></ul>"
    steps = "<ol><li>first</li><li>second<pre>a\n  b</pre></li></ol>"
    page = html("Harvest").replace("</article>", f"{items}<p>{WORDS}</p>{steps}<p>{WORDS}</p></article>")
    result = extract_page(page, "trafilatura", "markdown")
    assert isinstance(result, Extracted)
    assert "- outer item\n  - inner *item*\n- last item\n" in result.text
    assert "1. first\n2. second\n```\na\n  b\n```" in result.text


@BOTH
def test_an_unknown_format_is_wrong_usage(extractor: str) -> None:
    with pytest.raises(UsageError, match="markdown"):
        extract_page("x", extractor, "rst")


@BOTH
def test_json_ld_names_authors_and_dates(extractor: str) -> None:
    graph = {
        "@graph": [{"headline": "H", "author": [{"name": "Ada"}, {"name": "Bo"}], "datePublished": "2020-02-03T1"}]
    }
    head = f'<script type="application/ld+json">{json.dumps(graph)}</script>'
    result = extract_page(html("Harvest", head=head), extractor)
    assert isinstance(result, Extracted)
    assert (result.title, result.author, result.date) == ("H", "Ada, Bo", "2020-02-03")


def _discussion(posts: int, more: str = "", sentences: int = 3) -> str:
    """A short article over posts that trafilatura takes for comments."""
    listed = "".join(f'<div class="commentpost"><div>Post {n}: {WORDS}</div></div>' for n in range(posts))
    article = f"<article><p>{WORDS * sentences}</p><p>Short.</p></article>"
    return f"<html><body>{article}<div>{listed}</div>{more}</body></html>"


def test_where_trafilatura_finds_little_resiliparse_reads() -> None:
    result = extract_page(_discussion(30))
    assert isinstance(result, Extracted)
    assert result.extractor == "resiliparse"
    assert extract_page(html("Harvest")).extractor == "trafilatura"  # type: ignore[union-attr]


@pytest.mark.parametrize(("posts", "extractor"), [(1, "trafilatura"), (4, "resiliparse")])
def test_a_text_that_is_little_is_replaced_by_a_much_longer_one_only(posts: int, extractor: str) -> None:
    result = extract_page(_discussion(posts, NAVIGATION * 60, sentences=8))
    assert isinstance(result, Extracted)
    assert (result.extractor, "Post 0" in result.text) == (extractor, extractor == "resiliparse")


@pytest.mark.parametrize("name", ["noscript", f'script type="{extraction._JSON_LD}"'])
def test_what_no_reader_sees_does_not_make_a_text_little(name: str) -> None:
    result = extract_page(_discussion(5, f"<{name}>{WORDS * 30}<br>{WORDS}</{name.partition(' ')[0]}>"))
    assert isinstance(result, Extracted)
    assert result.extractor == "trafilatura"


@given(
    st.lists(
        st.sampled_from(["<p>", "</p>", "<b>", "<td>", "<li>", "<title>", "text", "<br", "<!--"]), max_size=40
    )
)
def test_no_page_has_more_elements_than_its_tags_allow(parts: list[str]) -> None:
    page = ("x" + "".join(parts)).encode()
    tree = lxml.html.document_fromstring(page)
    assert sum(1 for _ in tree.iter()) <= extraction._most_elements(page)


def test_pages_too_deep_for_libxml2_keep_their_text() -> None:
    result = extract_page("<html><body>" + "<div>" * 600 + f"<p>{WORDS * 3}</p>", "trafilatura")
    assert isinstance(result, Extracted)
    assert WORDS.strip() in result.text


def test_deep_nesting_does_not_crash() -> None:
    for tag in ("div", "b", "table", "li"):
        extract_page("<html><body>" + f"<{tag}>" * 2_000 + "text", "trafilatura")


def test_a_parser_that_raises_or_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(page: bytes, markdown: bool) -> Extracted:
        raise RecursionError

    def hangs(page: bytes, markdown: bool) -> Extracted:
        while True:
            try:
                sum(range(1000))
            except Exception:  # as parsers do; the time limit must come through it
                continue

    monkeypatch.setitem(extraction.EXTRACTORS, "raises", raises)
    monkeypatch.setitem(extraction.EXTRACTORS, "hangs", hangs)
    before = signal.getsignal(signal.SIGVTALRM)
    assert extract_page("x", "raises") == "extraction_failed"
    assert extract_page("x", "hangs", seconds=0.05) == "extraction_timeout"
    assert signal.getsignal(signal.SIGVTALRM) is before
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)


def test_works_outside_the_main_thread() -> None:
    results: list[Extracted | str] = []
    thread = threading.Thread(target=lambda: results.append(extract_page(html("Harvest"))))
    thread.start()
    thread.join()
    assert isinstance(results[0], Extracted)


def test_an_unknown_extractor_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="trafilatura"):
        extract_page("x", "readability")


def test_a_text_without_structure_is_looked_for_again_with_the_fallbacks() -> None:
    sentence = (
        "The committee met on Tuesday to talk about the harvest, and all agreed that it had been a good year. "
    )
    page = (
        "<html><body><div><span><a href='/'>Home</a> <a href='/n'>News</a></span></div>"
        f"<div>{sentence * 6}<br>{sentence * 5}</div><div><a href=x>Terms</a> <a href=y>Imprint</a></div>"
        "</body></html>"
    )
    found = extract_page(page)
    assert isinstance(found, Extracted)
    assert found.text == trafilatura.extract(page, include_comments=False)
    assert found.text != trafilatura.extract(page, include_comments=False, fast=True)


def _row(*cells: str) -> str:
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def test_tables_that_lay_a_page_out_are_looked_through_again_and_tables_of_data_are_not() -> None:
    links = "".join(_row(f"<a href='/{word}'>{word}</a>") for word in ("Home", "News", "Terms of use"))
    layout = f"<table>{links}</table>" + f"<table>{_row(f'{WORDS * 3}<br>{WORDS * 2}')}</table>" * 3
    fields = [f"<table>{_row(f'field {n}', f'{n} tons', WORDS) * 3}</table>" for n in range(4)]
    data = f"<article>{''.join(fields)}<p>{WORDS * 2}</p></article><p>{WORDS * 4}</p>"
    for body, is_fast in ((layout, False), (data, True)):
        page = f"<html><body>{body}</body></html>"
        texts = {fast: trafilatura.extract(page, include_comments=False, fast=fast) for fast in (False, True)}
        found = extract_page(page)
        assert isinstance(found, Extracted)
        assert found.text == texts[is_fast]
        assert found.text != texts[not is_fast]
