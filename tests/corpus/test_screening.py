"""Cheap tests of pages: hostile ones are named by a measure, plain ones pass."""

import html as html_module
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.pages.markup import MAX_ATTRIBUTES, MAX_DEPTH, bare_text, without_hidden
from corpus.pages.screening import screen
from tests.corpus.web import WORDS, html

GERMAN = "Der Ausschuss traf sich am Dienstag, um über die Ernte zu sprechen, und alle waren sich einig. " * 6
HOSTILE = {
    "depth": "<div>" * 100_000,
    "attributes": "<div " + " ".join(f"a{n}=1" for n in range(1_000_000)) + ">",
    "tags": "<p>x</p>" * 300_000,
    "nesting": "<div>" * 1_500 + "<p>x" * 5_000,
    "tags over": "<p>x" + "</p>" * 600_000,
    "reopened": "".join(f"<p><font size={n}>x" for n in range(1_900)) + "<p>x" * 5_000,
}


@pytest.mark.parametrize("measure", HOSTILE)
def test_hostile_pages_are_too_complex(measure: str) -> None:
    found = screen("<html><body>" + HOSTILE[measure] + WORDS)
    assert found.reason == "too_complex"
    assert found.detail.startswith(measure)


@pytest.mark.parametrize(
    "body",
    [
        "<" * 1_000_000 + WORDS,
        "<!--" * 250_000 + "-->" + WORDS,
        WORDS * 100_000,
        f"<script>{'<div>' * 50_000}</script>{WORDS}",
        f"<p>{WORDS}" * 20_000,
        f"<b><p>{WORDS}</p></b>" * 20_000,
        f"<img src='data:image/png;base64,{'QUJD/+' * 200_000}'>{WORDS}",
    ],
    ids=["less-than signs", "comments", "one long line", "tags in a script", "open paragraphs", "bold", "image"],
)
def test_large_pages_pass(body: str) -> None:
    assert screen(f"<html><body>{body}</body></html>").reason == ""


def test_limits_are_exact() -> None:
    close = "</div>" * MAX_DEPTH
    assert screen("<div>" * MAX_DEPTH + WORDS + close).reason == ""
    assert screen("<div>" * (MAX_DEPTH + 1) + WORDS + close).detail == f"depth over {MAX_DEPTH}"
    attributes = " ".join(f"a{n}" for n in range(MAX_ATTRIBUTES + 1))
    assert screen(f"<p {attributes}>{WORDS}").detail == f"attributes over {MAX_ATTRIBUTES}"


@pytest.mark.parametrize(
    "page", ["", "<html><head></head><body> &nbsp; </body></html>", "<script>var x = 1;</script>"]
)
def test_pages_without_text_are_empty(page: str) -> None:
    assert screen(page).reason == "empty"


def test_texts_that_only_extractors_find_are_not_empty() -> None:
    assert screen('<script type="application/ld+json">{"articleBody": "x"}</script>').reason == ""


def test_only_what_is_plainly_in_another_language_is_refused() -> None:
    german = html("Ernte", GERMAN)
    found = screen(german, ["en", "zh"])
    assert (found.reason, found.language) == ("other_language", "de")
    assert found.score >= 0.9
    for languages in ([], ["de"], ["en", "de"]):
        assert screen(german, languages).reason == ""
    assert screen(html("Harvest"), ["zh-Hans", "en"]).reason == ""
    assert screen("<p>ok</p>", ["zh"]).reason == ""  # too little to be sure


def test_bare_text_has_no_tags_scripts_or_entities() -> None:
    page = "<P>One&amp;<b>two</b><!-- three --><script>four</script><style>five</style> six"
    assert bare_text(without_hidden(page.encode())) == "one& two six"


@given(st.text(alphabet=st.sampled_from("<>/=\"'!-& abpdivscriptstyle\0\x01é中\ud800"), max_size=300))
@settings(max_examples=100, deadline=None)
def test_no_source_raises(page: str) -> None:
    assert screen(page, ["en"]).reason in ("", "empty", "other_language")


@given(
    st.lists(
        st.sampled_from(["<p>", "</p>", "<", " ", "\n", "&amp", ";", "&#20013;", "word", "中", "x" * 9000]),
        max_size=60,
    ),
    st.integers(1, 12_000),
)
def test_bare_text_is_the_beginning_of_all_text(parts: list[str], characters: int) -> None:
    page = "".join(parts)
    plain = html_module.unescape(re.sub(r"<[/!?a-z][^<>]*>?", " ", page))
    assert bare_text(page.encode(), characters) == " ".join(plain.split())[:characters]
