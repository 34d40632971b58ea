"""E-mail and IP addresses around a candidate's place."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

from tld import is_tld

from corpus.privacy.candidates import ACCENTED, fold

_LOCAL = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_%+-.'" + ACCENTED)
_LONGEST_LOCAL, _LONGEST_DOMAIN, _LONGEST_TLD = 64, 253, 24
_DOMAIN = re.compile(r"(?:[^\W_](?:[^\W_]|-){0,62}+\.)+[^\W_](?:[^\W_]|-){0,62}+")
_SHELL = re.compile(r":[~/]")
_USER_INFORMATION = re.compile(r"(?:\b(?:ssh|sftp)://|://[^\s/@:]*:)[^\s/@]*$")
_LONGEST_USER_INFORMATION = 96
# Top-level domains that the Public Suffix List has only names beneath of, so that `tld` does not know them.
_WITH_SECOND_LEVEL = frozenset(("er", "fk", "jm", "mm", "np", "pg", "za"))
_LATIN = re.compile(r"[A-Za-z]+")

_IPV4 = re.compile(
    r"(?<![\w.])(?<![A-Za-z0-9][-_/])(\d{1,3}(?:\.\d{1,3}){3})(?![\w]|-[A-Za-z]|\.\w)(?:/(\d{1,2})\b|(:\d{2,5})\b)?",
    re.ASCII,
)
_IPV6 = re.compile(r"[0-9A-Fa-f]{4}(?::[0-9A-Fa-f]{0,4}){1,7}(?![\w:])", re.ASCII)
# Words before a number of four parts that is a version, a section or an object identifier.
_NUMBERED = re.compile(
    r"(?:\b(?:version|ver|v|release|build|firmware|update|upgrade|section|sec|chapter|clause|appendix|annex|"
    r"table|figure|fig|item|paragraph|rule|oid|identifier|revision|rev|patch)s?|"
    r"§|版本|版|章|节|節|条|條|图|表|升级到?|更新到?)[\s.:：#=(\"'`]{0,4}(?:号|是|为)?$",
    re.IGNORECASE,
)
_IS_VERSION = re.compile(r"[”’\"'`）)\s]{0,2}(?:版本|版|version\b)", re.IGNORECASE)
_ADDRESSED = re.compile(
    r"(?:\b(?:ip|ips|ipv4|address|addr|host|server|dns|gateway|router|client|peer|ping|ssh|telnet|inet|proxy|from|"
    r"nameserver|resolver|connect\w*)|地址|服务器|主机|网关|代理|解析)[^\n]{0,24}$|//$|@$",
    re.IGNORECASE,
)
_LONGEST_WORD, _LONGEST_ADDRESSED = 24, 40  # characters in front of an address that _NUMBERED and _ADDRESSED read
_SMALL = 64  # numbers of which versions, sections and object identifiers are made


def find_email(text: str, at: int) -> tuple[int, int] | None:
    """First and end of the e-mail address around the at sign at `at`, or None.

    The local part is ASCII or accented Latin letters, 64 characters at most; the domain may be internationalised,
    and ends in a top-level domain of IANA's list or `.example`. Text that goes on without a space behind it
    (Chinese, or a sentence with a capital letter) is left out. An address within a URL is one. Not an address:
    `name at host`, `git@host`, by which forges name their servers, a shell's prompt or remote path
    (`user@host.org:~/`, `user@host.org:/srv`), and a URL's password or login (`https://user:password@host.org`,
    `ssh://user@host.org`).
    """
    first = _local_part(fold(text[max(0, at - _LONGEST_LOCAL - 1) : at]), at)
    if first is None:
        return None
    behind = fold(text[at + 1 : at + 2 + _LONGEST_DOMAIN])
    length = _domain(behind)
    if not length or _SHELL.match(behind, length) or fold(text[first:at]).lower() == "git":
        return None
    if _USER_INFORMATION.search(text[max(0, first - _LONGEST_USER_INFORMATION) : first]):
        return None
    return first, at + 1 + length


def _local_part(before: str, at: int) -> int | None:
    """Where the local part that ends at `at` begins; `before` is the text in front of it."""
    length = 0
    while length < len(before) and before[-1 - length] in _LOCAL:
        length += 1
    local = before[len(before) - length :]
    if length > _LONGEST_LOCAL or local.endswith("."):
        return None
    local = local.rpartition("..")[2].lstrip("-.'%+")
    return at - len(local) if local else None


def _domain(text: str) -> int:
    """The length of the domain name that the text begins with; 0 where there is none."""
    match = _DOMAIN.match(text)
    if match is None:
        return 0
    labels = match.group().split(".")
    for count in range(len(labels), 1, -1):
        last = labels[count - 1]
        sentence = last.istitle() and count > 2 and _top_level(labels[count - 2])
        if (length := _top_level(last)) and not sentence:
            return sum(len(label) + 1 for label in labels[: count - 1]) + length
        if last[0].isascii() and not last[0].isupper():
            return 0
    return 0


def _top_level(label: str) -> int:
    """How many characters at the label's beginning are a top-level domain; what follows is other text."""
    latin = _LATIN.match(label)
    if label[:4].lower() == "xn--":
        try:
            return len(label) if _is_tld(label.encode("ascii").decode("idna")) else 0
        except UnicodeError:
            return 0
    if latin is not None:
        end = latin.end()
        whole = end == len(label) or not label[end].isascii()
        return end if whole and _is_tld(latin.group()) else 0
    lengths = range(min(len(label), _LONGEST_TLD), 1, -1)
    return next((length for length in lengths if _is_tld(label[:length])), 0)


@lru_cache(maxsize=4096)
def _is_tld(label: str) -> bool:
    lower = label.lower()
    return lower == "example" or lower in _WITH_SECOND_LEVEL or bool(is_tld(lower))


def find_ipv4(text: str, first: int, end: int) -> list[tuple[int, int]]:
    """The public IPv4 addresses within a candidate, each as first and end.

    Private, loopback, documentation, multicast and reserved ones are not public. A number of four parts beside a
    word such as `version` or `section`, behind `Name/` or in a longer name is none, and one of small parts only
    (below 64 each, as sections, versions and object identifiers are) needs a word such as `host` or `address`
    before it or a port behind it. A network (`182.61.0.0/18`) is not an address.
    """
    start = max(0, first - 64)
    window = fold(text[start : end + 12])
    found = []
    for match in _IPV4.finditer(window, first - start, end - start + 6):
        if _is_public(match.group(1)) and not _is_version(match) and _is_address(match):
            found.append((start + match.start(), start + match.end(1)))
    return found


def _is_version(match: re.Match[str]) -> bool:
    before = _before(match, _LONGEST_WORD)
    return bool(_NUMBERED.search(before) or _IS_VERSION.match(match.string, match.end()))


def _before(match: re.Match[str], length: int) -> str:
    return match.string[max(0, match.start() - length) : match.start()]


def _is_address(match: re.Match[str]) -> bool:
    address, length, port = match.groups()
    if length and int(length) < 32 and _is_network(f"{address}/{length}"):
        return False
    small = all(int(part) < _SMALL for part in address.split("."))
    return not small or bool(port) or _ADDRESSED.search(_before(match, _LONGEST_ADDRESSED)) is not None


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def find_ipv6(text: str, first: int) -> list[tuple[int, int]]:
    """The public IPv6 address that begins at `first`, as first and end, if there is one.

    It has two groups before any `::`, so that a slice such as `[2000::2]` is none.
    """
    match = _IPV6.match(fold(text[first : first + 48]))
    if match is None or match.group()[5:6] == ":" or not _is_public(match.group()):
        return []
    return [(first, first + match.end())]


def _is_public(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return parsed.is_global and not parsed.is_multicast and not parsed.is_reserved
