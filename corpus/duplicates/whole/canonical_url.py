"""URLs in a form in which those of one page are equal.

RFC 3986 (section 6.2) says which spellings of a URL mean the same; the rest are habits of the web, chosen so that
different pages stay different: what a parameter that is no tracker says, and the case of a path, count.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from urllib.parse import SplitResult, quote, unquote_to_bytes, urlsplit

# Most URLs: nothing in them but host and path that has to be looked at; what is not is done in one step.
_PLAIN = re.compile(r"https?://(?:www\.)?((?:[a-z0-9-]+\.)+[a-z][a-z0-9-]*)((?:/[A-Za-z0-9_~.-]*)*)")
_WEB = re.compile(r"https?:", re.IGNORECASE)
_PORTS = (None, 80, 443)
_ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_UNRESERVED = frozenset((string.ascii_letters + string.digits + "-._~").encode())
_WRITTEN = ":/?#[]@!$&'()*+,;=%"  # what has a meaning in URLs; a % begins an escape, or is wrong anyway
_SESSION_IN_PATH = re.compile(r";jsessionid=[^/?#;]*", re.IGNORECASE)
# Parameters that say where a reader came from or which visit it is, not which page: their names in lower case.
_TRACKING = re.compile(
    r"(?:utm_|mtm_|matomo_|pk_|piwik_|hsa_|vero_|oly_|__hs|_hs|aspsessionid).*"
    r"|gclid|gclsrc|dclid|gbraid|wbraid|srsltid|_ga|_gl|fbclid|msclkid|yclid|ysclid|_openstat|ttclid|twclid|li_fat_id"
    r"|igsh|igshid|mc_cid|mc_eid|mkt_tok|_branch_match_id|spm|nsukey|isappinstalled"
    r"|jsessionid|phpsessid|cfid|cftoken"
)


def canonical_url(url: str) -> str:
    """The canonical form of a web page's URL: `host/path?query`, "" for what is blank.

    - `http` and `https` are the same; user names, the ports 80 and 443, a leading `www.` and a dot behind the host
      go; the host is in lower case, an international name as `xn--`.
    - Escapes (`%7E`) are written where they must be, in capitals; `.` and `..` are resolved; slashes at the end of
      the path go.
    - The fragment goes, but for one that begins with `!` or `/`, which is a page of its own.
    - Parameters are sorted by name; those that track (`utm_…`, `gclid`, `fbclid`, `spm` …) or name a session
      (`jsessionid`, `phpsessid` …) and empty ones go. `+` is a space.

    Other schemes, and what is no URL, stay as they are, without white space around them.
    """
    plain = _PLAIN.fullmatch(url)
    if plain and "/." not in plain[2]:
        return plain[1] + plain[2].rstrip("/")
    url = url.strip().translate(_NO_BREAKS)
    if not _WEB.match(url):
        return url
    try:
        parts = urlsplit(url)
        host, port = _host(parts), parts.port
    except ValueError:  # a port or an address in brackets that is none
        return url
    if not host:
        return url
    place = host if port in _PORTS else f"{host}:{port}"
    query = _query(parts.query)
    fragment = f"#{_escaped(parts.fragment)}" if parts.fragment[:1] in ("!", "/") else ""
    return place + _path(parts.path) + (f"?{query}" if query else "") + fragment


def canonical_urls(urls: Sequence[str | None]) -> list[str]:
    """The canonical form of each URL, "" where there is none."""
    return [canonical_url(url) if url else "" for url in urls]


_NO_BREAKS = {ord(character): None for character in "\t\r\n"}  # as browsers do


def _host(parts: SplitResult) -> str:
    host = (parts.hostname or "").rstrip(".")
    if not host.isascii():
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:  # no name of the international kind: it stays itself
            host = host.casefold()
    if ":" in host:
        return f"[{host}]"
    bare = host.removeprefix("www.")
    return bare if "." in bare else host


def _path(path: str) -> str:
    path = _escaped(_SESSION_IN_PATH.sub("", path))
    if "/." in path:
        path = _without_dots(path)
    return path.rstrip("/")


def _without_dots(path: str) -> str:
    """RFC 3986, section 5.2.4."""
    found: list[str] = []
    for segment in path.split("/")[1:]:
        if segment == "..":
            del found[-1:]
        elif segment != ".":
            found.append(segment)
    return "/" + "/".join(found)


def _query(query: str) -> str:
    pairs = []
    for pair in query.split("&"):
        written = _escaped(pair.replace("+", "%20"))
        name, _, value = written.partition("=")
        if written.strip("=") and not _TRACKING.fullmatch(name.lower()) and not _is_session(name, value):
            pairs.append((name, written))
    return "&".join(written for _, written in sorted(pairs, key=lambda pair: pair[0]))


def _is_session(name: str, value: str) -> bool:
    """`sid` names many things; a session's has 32 hexadecimal digits."""
    return name.lower() in ("sid", "sessionid") and re.fullmatch(r"[0-9a-fA-F]{32}", value) is not None


def _escaped(part: str) -> str:
    """A part of a URL with escapes only where they must be, in capitals."""
    if "%" in part:
        part = _ESCAPES.sub(lambda escapes: _decoded(escapes[0]), part)
    return part if part.isascii() and part.isalnum() else quote(part, safe=_WRITTEN, errors="surrogatepass")


def _decoded(escapes: str) -> str:
    data = unquote_to_bytes(escapes)
    return "".join(chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in data)
