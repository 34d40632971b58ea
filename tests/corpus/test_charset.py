"""Decoding against the examples of the Encoding standard and of real pages."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.pages.charset import charset_in_head, codec_for_label, decode_page, decode_text

CHINESE = "朱镕基与陶喆：中文网页的编码，往往说是国标。" * 3
JAPANESE = "これは日本語の文章です。文字コードの判定を試験するために、十分な長さの文を書いておきます。" * 3


def page(meta: str, text: str, encoding: str) -> bytes:
    return f"<html><head>{meta}<title>t</title></head><body>{text}</body></html>".encode(encoding)


@pytest.mark.parametrize(
    ("label", "decoder"),
    [
        ("GB2312", "gb18030"),
        ("gbk", "gb18030"),
        ("x-gbk", "gb18030"),
        ("latin1", "cp1252"),
        ("us-ascii", "cp1252"),
        (" ISO-8859-1\n", "cp1252"),
        ("iso-8859-9", "cp1254"),
        ("x-sjis", "cp932"),
        ("ks_c_5601-1987", "cp949"),
        ("big5", "big5hkscs"),
        ("tis-620", "cp874"),
        ("unicode", "utf-16-le"),
        ("x-mac-ukrainian", "mac_cyrillic"),
        ("no-such-label", None),
    ],
)
def test_labels_mean_what_the_standard_says(label: str, decoder: str | None) -> None:
    assert codec_for_label(label) == decoder


def test_gb2312_in_the_header_decodes_characters_that_only_gbk_has() -> None:
    data = CHINESE.encode("gbk")
    with pytest.raises(UnicodeDecodeError):
        data.decode("gb2312")
    decoded = decode_page(data, "gb2312")
    assert (decoded.text, decoded.encoding, decoded.replaced, decoded.evidence) == (CHINESE, "gb18030", 0, "http")


@pytest.mark.parametrize(
    "meta",
    [
        '<meta charset="gb2312">',
        "<meta charset=gb2312 />",
        '<META HTTP-EQUIV="Content-Type" CONTENT="text/html; charset=gb2312">',
        "<meta content='text/html;charset=\"gb2312\"' http-equiv=content-type>",
        '<!-- <meta charset="utf-8"> --><meta charset="gb2312">',
        '<meta name="description" content="charset=big5"><meta charset="gb2312">',
        '<meta charset="no-such-label"><meta charset="gb2312">',
        "<script>" + " " * 2000 + '</script><meta charset="gb2312">',
    ],
)
def test_meta_is_read_as_by_browsers(meta: str) -> None:
    decoded = decode_page(page(meta, CHINESE, "gb18030"))
    assert CHINESE in decoded.text
    assert decoded.evidence == "meta"


def test_meta_in_the_body_does_not_count() -> None:
    assert charset_in_head(b"<head>" + b" " * 2000 + b"</head><body><meta charset=gbk>") is None


def test_xml_declaration_and_meta_utf16() -> None:
    assert charset_in_head(b'<?xml version="1.0" encoding="GBK"?><html>') == "gb18030"
    assert charset_in_head(b"<meta charset=utf-16>") == "utf-8"


def test_big5_and_hong_kong_characters() -> None:
    text = "這是一個繁體中文的網頁，喺香港寫嘅。€"
    data = text[:-1].encode("big5hkscs") + b"\xa3\xe1"
    decoded = decode_page(data, "big5")
    assert (decoded.text, decoded.replaced) == (text, 0)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (JAPANESE, "shift_jis"),
        (JAPANESE, "euc_jp"),
        (CHINESE, "gb18030"),
        ("Это страница без объявления. " * 5, "cp1251"),
    ],
)
def test_detection_without_any_label(text: str, encoding: str) -> None:
    decoded = decode_page(page("", text, encoding))
    assert text in decoded.text
    assert decoded.evidence == "detected"


def test_euc_jp_row_13_as_in_the_standard() -> None:
    assert decode_page(b"\xad\xa1\xa4\xa2", "euc-jp").text == "①あ"


def test_utf16_by_its_byte_order_mark() -> None:
    for encoding, mark in (("utf-16-le", b"\xff\xfe"), ("utf-16-be", b"\xfe\xff")):
        decoded = decode_page(mark + CHINESE.encode(encoding), "gbk")
        assert (decoded.text, decoded.evidence) == (CHINESE, "bom")


def test_windows_1252_has_all_256_bytes() -> None:
    decoded = decode_page(bytes(range(256)), "latin1")
    assert decoded.replaced == 0
    assert len(decoded.text) == 256
    assert decoded.text[0x80] == "€"
    assert decoded.text[0x81] == "\x81"


def test_gbk_euro_byte() -> None:
    assert decode_page("价格".encode("gbk") + b"\x80", "gbk").text == "价格€"


def test_utf8_under_a_wrong_label() -> None:
    decoded = decode_page(CHINESE.encode(), "iso-8859-1")
    assert (decoded.text, decoded.encoding, decoded.evidence) == (CHINESE, "utf-8", "utf-8")


def test_gbk_under_a_utf8_label_falls_to_the_meta_or_the_bytes() -> None:
    decoded = decode_page(page("<meta charset=gbk>", CHINESE, "gbk"), "utf-8")
    assert CHINESE in decoded.text
    assert decoded.evidence == "meta"
    assert CHINESE in decode_page(page("", CHINESE, "gbk"), "utf-8").text


def test_invalid_utf8_is_counted_and_the_rest_kept() -> None:
    data = "Grüße aus Köln ".encode() + b"\xff\xe4\xb8" + " und Zürich. Tschüß!".encode()
    decoded = decode_page(data, "utf-8")
    # One for the byte that is never valid, one for the cut sequence (as WHATWG and Unicode 3.9 prescribe).
    assert decoded.replaced == 2
    assert decoded.text == "Grüße aus Köln \ufffd\ufffd und Zürich. Tschüß!"


def test_a_replacement_character_in_the_source_is_not_counted() -> None:
    assert decode_page("a\ufffdb".encode() + b"\xff", "utf-8").replaced == 1


def test_a_broken_byte_does_not_swallow_the_tag_behind_it() -> None:
    assert decode_page(CHINESE.encode("gbk") + b"\x81<p>", "gbk").text.endswith("<p>")


def test_plain_text_is_utf8() -> None:
    assert decode_text(b"\xef\xbb\xbfabc\xff") == decode_text(b"abc\xff")
    assert decode_text(b"abc\xff").replaced == 1


@settings(deadline=None)
@given(st.text(min_size=1).filter(lambda text: not text.startswith("\ufeff")))
def test_any_text_survives_utf8_and_gb18030(text: str) -> None:
    assert decode_page(text.encode("utf-8"), "utf-8").text == text
    decoded = decode_page(text.encode("gb18030"), "gb2312")
    assert decoded.text == text or decoded.evidence == "utf-8"


@settings(deadline=None)
@given(
    st.binary(max_size=200),
    st.sampled_from([None, "utf-8", "gbk", "big5", "shift_jis", "euc-jp", "utf-16", "euc-kr"]),
)
def test_no_bytes_raise(data: bytes, label: str | None) -> None:
    decoded = decode_page(data, label)
    decoded.text.encode("utf-8")
    assert decoded.replaced <= decoded.text.count("\ufffd")
