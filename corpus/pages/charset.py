"""Bytes of a web page to text, as browsers decode them.

The order of evidence is that of the HTML standard (section 13.2.3): byte order mark, HTTP header, `<meta>` in
the head, detection. What a label means is the Encoding standard's (encoding.spec.whatwg.org): `gb2312` and
`gbk` are decoded by gb18030, `iso-8859-1` and `ascii` by windows-1252, a `<meta>` that says UTF-16 means UTF-8.

Two departures, because a corpus has no reader who would notice: bytes that are valid UTF-8 beyond chance are
UTF-8 whatever their label says, and a label under which many bytes are invalid is dropped for better evidence.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from itertools import islice

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

HEAD_BYTES = 65536  # a `<meta>` behind the first 1,024 bytes counts as long as the head goes on (as in Chromium)
_PRESCAN_BYTES = 1024
_CHANCE_SEQUENCES = 4  # so few valid UTF-8 sequences can be an accident of another encoding
_FEW_REPLACED = 10
_REPLACED_SHARE = 0.1  # of the characters beyond ASCII

_BYTE_ORDER_MARKS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
# Labels that resiliparse's table lacks, and Python's decoders nearest to what the standard calls for.
_OTHER_LABELS = {
    "x-mac-cyrillic": "mac_cyrillic",
    "x-mac-ukrainian": "mac_cyrillic",
    "x-user-defined": "cp1252",
}
_DECODERS = {
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "iso8859-11": "cp874",
}
_NAMES = {
    "big5hkscs": "big5",
    "cp932": "shift_jis",
    "cp949": "euc-kr",
    "cp874": "windows-874",
    "euc_jp": "euc-jp",
    "iso2022_jp": "iso-2022-jp",
    "utf-16-le": "utf-16le",
    "utf-16-be": "utf-16be",
    "mac_cyrillic": "x-mac-cyrillic",
    "mac-roman": "macintosh",
}

_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.S)
_META = re.compile(rb"<meta[\s/]([^>]*)>", re.I)
_ATTRIBUTE = re.compile(rb"""([^\s"'>/=]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
_CHARSET_IN_CONTENT = re.compile(rb"""charset\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s;"']+))""", re.I)
_XML_DECLARATION = re.compile(rb"""\A<\?xml[^>]*?encoding\s*=\s*["']([^"'>]+)["']""")
_HEAD_END = re.compile(rb"</head|<body", re.I)
_UTF8_SEQUENCE = re.compile(rb"[\xc2-\xf4][\x80-\xbf]+")


@dataclass(frozen=True)
class Decoded:
    """A page's text, the encoding's WHATWG name, how many characters were replaced by U+FFFD, and the evidence.

    `evidence` is one of `bom`, `http`, `meta`, `utf-8` (the bytes say so themselves), `detected`, `default`.
    """

    text: str
    encoding: str
    replaced: int
    evidence: str


def decode_page(data: bytes, http_charset: str | None = None) -> Decoded:
    """Decode an HTML page; `http_charset` is the parameter of the HTTP header, if any."""
    for mark, codec in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return _decode(data[len(mark) :], codec, "bom")
    declared = _declared(data, http_charset)
    text = _as_utf8(data, beyond_chance=bool(declared))
    if text is not None:
        evidence = next((evidence for codec, evidence in declared if codec == "utf-8"), "utf-8")
        return Decoded(text, "utf-8", 0, evidence)
    tried: list[Decoded] = []
    for codec, evidence in declared:
        tried.append(_decode(data, codec, evidence))
        if not _is_broken(tried[-1]):
            return tried[-1]
    tried.append(_decode(data, *_detected(data)))
    return min(tried, key=lambda decoded: decoded.replaced)


def decode_text(data: bytes) -> Decoded:
    """Decode plain text that should be UTF-8 (a WET record)."""
    return _decode(data.removeprefix(b"\xef\xbb\xbf"), "utf-8", "default")


def codec_for_label(label: str) -> str | None:
    """Python's decoder for an encoding label as the Encoding standard reads it; None for an unknown label."""
    label = label.strip("\t\n\f\r ").strip("\"'").lower()
    codec = _OTHER_LABELS.get(label) or map_encoding_to_html5(label, False)
    return None if codec is None else _DECODERS.get(codec, codec)


def charset_in_head(data: bytes) -> str | None:
    """The decoder that the head declares by `<meta charset>`, `<meta http-equiv>` or the XML declaration."""
    end = _HEAD_END.search(data, _PRESCAN_BYTES, HEAD_BYTES)
    head = _COMMENT.sub(b"", data[: max(_PRESCAN_BYTES, end.start() if end else HEAD_BYTES)])
    labels = [_label_of_meta(match[1]) for match in _META.finditer(head)]
    declaration = _XML_DECLARATION.match(data)
    for label in [*labels, declaration[1] if declaration else None]:
        codec = codec_for_label(label.decode("latin-1")) if label else None
        if codec is not None:
            return "utf-8" if codec.startswith("utf-16") else codec
    return None


def _declared(data: bytes, http_charset: str | None) -> list[tuple[str, str]]:
    """The declared decoders with their evidence, strongest first."""
    found = [
        (codec_for_label(http_charset) if http_charset else None, "http"),
        (charset_in_head(data), "meta"),
    ]
    return [(codec, evidence) for codec, evidence in found if codec is not None]


def _label_of_meta(attributes: bytes) -> bytes | None:
    values: dict[bytes, bytes] = {}
    for match in _ATTRIBUTE.finditer(attributes):
        values.setdefault(match[1].lower(), match[2] or match[3] or match[4] or b"")
    if b"charset" in values:
        return values[b"charset"]
    if values.get(b"http-equiv", b"").strip().lower() != b"content-type":
        return None
    found = _CHARSET_IN_CONTENT.search(values.get(b"content", b""))
    return (found[1] or found[2] or found[3]) if found else None


def _as_utf8(data: bytes, *, beyond_chance: bool) -> str | None:
    """The text of valid UTF-8; with `beyond_chance` only if it has more sequences than an accident would give."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if not beyond_chance:
        return None if b"\x1b" in data else text
    sequences = islice(_UTF8_SEQUENCE.finditer(data), _CHANCE_SEQUENCES + 1)
    return text if sum(1 for _ in sequences) > _CHANCE_SEQUENCES else None


def _detected(data: bytes) -> tuple[str, str]:
    guess = detect_encoding(data, html5_compatible=False)
    codec = codec_for_label(guess) if guess else None
    return (codec, "detected") if codec else ("cp1252", "default")


def _is_broken(decoded: Decoded) -> bool:
    if decoded.replaced < _FEW_REPLACED:
        return False
    beyond_ascii = sum(character > "\x7f" for character in decoded.text)
    return decoded.replaced > _REPLACED_SHARE * beyond_ascii


def _decode(data: bytes, codec: str, evidence: str) -> Decoded:
    name = _NAMES.get(codec) or codec.replace("cp125", "windows-125").replace("iso8859", "iso-8859")
    try:
        return Decoded(data.decode(codec), name, 0, evidence)
    except UnicodeDecodeError:
        text = data.decode(codec, "corpus.whatwg")
    genuine = data.count("\ufffd".encode(codec)) if codec in ("utf-8", "gb18030") else 0
    return Decoded(text, name, max(0, text.count("\ufffd") - genuine), evidence)


def _as_the_standard(error: UnicodeError) -> tuple[str, int]:
    """Decode what the Encoding standard's index has and Python's decoder lacks; else one U+FFFD."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    data, at = error.object, error.start
    codec = error.encoding.lower()
    pair = data[at : at + 2]
    if codec == "gb18030" and data[at] == 0x80:
        return "€", at + 1
    if codec == "big5hkscs":
        return _other_decoder(pair, "cp950", error.end, at)
    if codec == "euc_jp" and len(pair) == 2 and min(pair) >= 0xA1:
        return _other_decoder(_shift_jis(pair), "cp932", error.end, at)
    if codec == "charmap" and 0x80 <= data[at] <= 0x9F:
        return chr(data[at]), at + 1
    return "\ufffd", error.end


def _other_decoder(pair: bytes, codec: str, end: int, at: int) -> tuple[str, int]:
    try:
        return pair.decode(codec), at + len(pair)
    except UnicodeDecodeError:
        return "\ufffd", end


def _shift_jis(pair: bytes) -> bytes:
    """A JIS X 0208 character from EUC-JP to Shift_JIS (with NEC's row 13, which only cp932 knows)."""
    row, cell = pair[0] - 0xA1, pair[1] - 0xA1
    lead = row // 2 + (0x81 if row < 62 else 0xC1)
    trail = cell + 0x9F if row % 2 else cell + (0x40 if cell < 63 else 0x41)
    return bytes((lead, trail))


codecs.register_error("corpus.whatwg", _as_the_standard)
