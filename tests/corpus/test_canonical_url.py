"""Which URLs are those of one page."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.duplicates.whole.canonical_url import canonical_url

SAME = {
    "scheme and host": ["http://example.com/a", "HTTPS://EXAMPLE.com/a", "https://www.example.com./a"],
    "ports": ["http://example.com:80/a", "https://example.com:443/a", "http://example.com:/a", "https://example.com/a"],
    "user": ["https://user:secret@example.com/a", "https://example.com/a"],
    "slash": ["https://example.com", "https://example.com/", "https://example.com//", "https://example.com/?"],
    "dots": ["https://example.com/a/./b/../c", "https://example.com/a/c/", "https://example.com/../a/c"],
    "escapes": ["https://example.com/%7euser/%e4%bd%a0", "https://example.com/~user/%E4%BD%A0", "https://example.com/~user/你"],
    "fragment": ["https://example.com/a#part", "https://example.com/a#", "https://example.com/a"],
    "trackers": [
        "https://example.com/a?id=1&utm_source=x&UTM_Medium=y",
        "https://example.com/a?fbclid=q&id=1&&gclid=",
        "https://example.com/a?id=1&spm=a.b.c",
    ],
    "sessions": [
        "https://example.com/a.jsp;jsessionid=0A1B?x=1",
        "https://example.com/a.jsp?x=1&PHPSESSID=1",
        "https://example.com/a.jsp?sid=0123456789abcdef0123456789abcdef&x=1",
    ],
    "order": ["https://example.com/?b=2&a=1", "https://example.com?a=1&b=2"],
    "space": ["https://example.com/?q=a+b", "https://example.com/?q=a%20b", "https://example.com/?q=a b"],
    "international": ["http://bücher.example/", "http://xn--bcher-kva.example"],
    "blanks": [" https://example.com/a\n", "https://exam\tple.com/a"],
}  # fmt: skip

DIFFERENT = [
    ("https://example.com/a", "https://example.com/A"),
    ("https://example.com/a", "https://example.com:8080/a"),
    ("https://example.com/a", "https://blog.example.com/a"),
    ("https://example.com/?a=1&a=2", "https://example.com/?a=2&a=1"),
    ("https://example.com/?keyword=a", "https://example.com/?keyword=b"),
    ("https://example.com/?source=a", "https://example.com/"),
    ("https://example.com/?sid=12", "https://example.com/?sid=13"),
    ("https://example.com/thread?123", "https://example.com/thread?124"),
    ("https://example.com/#!/one", "https://example.com/#!/two"),
    ("https://example.com/a%2Fb", "https://example.com/a/b"),
    ("https://example.com/?a=b%26c=d", "https://example.com/?a=b&c=d"),
    ("https://www.com/", "https://com/"),
    ("ftp://example.com/a", "https://example.com/a"),
]


@pytest.mark.parametrize("name", SAME)
def test_one_page(name: str) -> None:
    assert len({canonical_url(url) for url in SAME[name]}) == 1


@pytest.mark.parametrize(("left", "right"), DIFFERENT)
def test_different_pages(left: str, right: str) -> None:
    assert canonical_url(left) != canonical_url(right)


@pytest.mark.parametrize(
    "odd",
    ["", "  ", "none", "javascript:void(0)", "http://", "http://[::1", "http://a:port/", "https:///a", "//a/b"],
)
def test_what_is_no_url_stays_as_it_is(odd: str) -> None:
    assert canonical_url(odd) == odd.strip()


ODD = st.text(st.sampled_from("aA0%2fFé中 /?#&=;:@.[]!+\ud800\t~"), max_size=30)


@settings(deadline=None)
@given(ODD)
def test_a_canonical_url_is_its_own(rest: str) -> None:
    once = canonical_url("http://example.com/" + rest)
    if once.startswith("example.com"):
        assert canonical_url("http://" + once) == once
        assert once.isascii()


HOST = st.lists(st.sampled_from(["www", "a", "com", "b-1", "42", "x--y"]), min_size=1, max_size=4).map(".".join)
PATH = st.text(st.sampled_from("/aA0._~-"), max_size=12)


@settings(deadline=None)
@given(st.sampled_from(["http", "https"]), HOST, PATH)
def test_plain_urls_are_like_any_other(scheme: str, host: str, path: str) -> None:
    plain = f"{scheme}://{host}/{path}"
    assert canonical_url(plain) == canonical_url(f"{plain}?utm_source=x")


@settings(deadline=None)
@given(ODD, st.permutations(["a=1", "b=2", "c", "utm_source=x"]))
def test_the_order_of_parameters_does_not_count(path: str, parameters: list[str]) -> None:
    start = "http://example.com/" + path.translate(str.maketrans("", "", "?#[]")) + "?"
    assert canonical_url(start + "&".join(parameters)) == canonical_url(start + "a=1&b=2&c")
