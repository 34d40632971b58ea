"""Rules on a page's URL, by lists that the user brings: blocked domains and URLs, and words.

The levels are RefinedWeb's (Penedo et al. 2023, appendix G.1): a domain or URL that is listed, a strict
sub-string anywhere, one hard word, two different soft words. No list comes with the program.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import polars as pl

from corpus.core.errors import ZeroToOneError
from corpus.core.files import file_hash

DOMAIN, ADDRESS = "url:blocked_domain", "url:blocked_url"
SUBSTRING, HARD_WORD, SOFT_WORDS = "url:strict_substring", "url:hard_word", "url:soft_words"
URL_REASONS = (DOMAIN, ADDRESS, SUBSTRING, HARD_WORD, SOFT_WORDS)
_LEAST_SOFT_WORDS = 2
# The lists of a folder by the names of their files; those without a suffix may lie in folders by category.
_FILES = {
    "domains": ("domains.txt", "domains", "*/domains"),
    "urls": ("urls.txt", "urls", "*/urls"),
    "substrings": ("substrings.txt",),
    "hard_words": ("hard_words.txt",),
    "soft_words": ("soft_words.txt",),
}
_SCHEME = r"(?i)^(?:[a-z][a-z0-9+.-]*:)?//(?:[^/?#]*@)?"
_NO_WORD = r"[^\p{L}\p{N}]+"


@dataclass(frozen=True)
class UrlLists:
    """The entries of the lists, in the form in which URLs are compared with them; the first two sorted."""

    domains: pl.Series
    urls: pl.Series
    substrings: tuple[str, ...] = ()
    hard_words: tuple[str, ...] = ()
    soft_words: tuple[str, ...] = ()


def list_hashes(folder: str | Path) -> dict[str, str]:
    """SHA-256 of each list of a folder, by its name there. Raises ZeroToOneError where it has none."""
    hashes = {path.relative_to(folder).as_posix(): file_hash(path) for _, path in _list_files(Path(folder))}
    read_lists(str(folder))  # tells of empty ones before anything is written
    return hashes


def list_parameters(folder: str | None) -> dict[str, Any]:
    """A step's parameters for its URL lists: their folder and what they hold, so that a change is another run."""
    return {"url_lists": folder, "url_lists_sha256": list_hashes(folder)} if folder else {}


@lru_cache(maxsize=1)
def read_lists(folder: str) -> UrlLists:
    """Read the lists of a folder: `domains.txt`, `urls.txt`, `substrings.txt`, `hard_words.txt`, `soft_words.txt`.

    Also `domains` and `urls`, in the folder or in folders by category below, as the UT1 lists have them. An
    entry stands on a line of its own; empty lines and those with `#` are passed over.
    """
    lines: dict[str, list[str]] = {name: [] for name in _FILES}
    for name, path in _list_files(Path(folder)):
        text = path.read_bytes().decode("utf-8-sig", "replace")
        lines[name] += [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not any(lines.values()):
        raise ZeroToOneError(f"{folder}: its lists are empty")
    words = {name: tuple(sorted({*_words(lines[name])})) for name in ("hard_words", "soft_words")}
    substrings = tuple(sorted({word.replace(" ", "") for word in _words(lines["substrings"])}))
    domains = _address(pl.Series(lines["domains"], dtype=pl.String)).str.strip_suffix("/")
    urls = _address(pl.Series(lines["urls"], dtype=pl.String))
    return UrlLists(domains.unique().sort(), urls.unique().sort(), substrings, **words)


def url_reasons(urls: pl.Series, lists: UrlLists) -> pl.Series:
    """The reasons of `URL_REASONS` for which a page is not wanted, a list for each URL; empty for a null one.

    A domain blocks its sub-domains, a URL what lies below its path; what is no URL has no host, and is looked
    at for words alone.
    """
    whole = urls.fill_null("").str.strip_chars().str.replace_all(r"[\t\r\n]", "").str.replace_all(r"\\", "/")
    words = _spaced(whole.str.replace(_SCHEME, ""))
    joined = words.str.replace_all(" ", "", literal=True)
    failed = {
        DOMAIN: _listed(_host(whole), r"^[^.]*\.", lists.domains),
        ADDRESS: _listed(_address(whole), r"\?[^?]*$|/[^/?]+/?$|/$", lists.urls, least="/"),
        SUBSTRING: _contains(joined, lists.substrings),
        HARD_WORD: _contains(words, [f" {word} " for word in lists.hard_words]),
        SOFT_WORDS: _different(words, lists.soft_words) >= _LEAST_SOFT_WORDS,
    }
    columns = [pl.when(pl.lit(found)).then(pl.lit(reason)) for reason, found in failed.items()]
    return pl.select(pl.concat_list(columns).list.drop_nulls()).to_series().alias("reasons")


def _list_files(folder: Path) -> list[tuple[str, Path]]:
    if not folder.is_dir():
        raise ZeroToOneError(f"{folder}: no such directory of URL lists")
    found = [
        (name, path)
        for name, patterns in _FILES.items()
        for pattern in patterns
        for path in sorted(folder.glob(pattern))
        if path.is_file()
    ]
    if not found:
        names = ", ".join(patterns[0] for patterns in _FILES.values())
        raise ZeroToOneError(
            f"{folder}: no URL lists; it should have {names}, or CATEGORY/domains and CATEGORY/urls"
        )
    return found


def _words(lines: Sequence[str]) -> list[str]:
    spaced = _spaced(pl.Series(lines, dtype=pl.String)).str.strip_chars()
    return [word for word in spaced.to_list() if word]


def _spaced(texts: pl.Series) -> pl.Series:
    """Letters and digits in lower case, a space for whatever stands between, before and behind them."""
    decoded = pl.Series([unquote(text) if "%" in text else text for text in texts], dtype=pl.String)
    spaced = decoded.str.to_lowercase().str.replace_all(_NO_WORD, " ").str.strip_chars()
    return pl.select(pl.concat_str(pl.lit(" "), pl.lit(spaced), pl.lit(" "))).to_series()


def _host(urls: pl.Series) -> pl.Series:
    return urls.str.extract(_SCHEME + r"(\[[^\]]*\]|[^/?#:]*)", 1).str.to_lowercase().str.strip_chars_end(".")


def _address(urls: pl.Series) -> pl.Series:
    """URLs without scheme, user, `www.`, port and fragment, the host in lower case; a host alone ends in `/`."""
    bare = urls.str.replace(_SCHEME, "").str.replace("#.*$", "").str.replace(r"(?i)^www\.", "")
    host = bare.str.extract(r"^(\[[^\]]*\]|[^/?:]*)", 1).str.to_lowercase().str.strip_chars_end(".")
    rest = bare.str.replace(r"^(\[[^\]]*\]|[^/?:]*)(:\d*)?", "").str.replace(r"^\?", "/?").str.replace("^$", "/")
    return pl.select(pl.concat_str(pl.lit(host), pl.lit(rest))).to_series()


def _listed(values: pl.Series, step: str, listed: pl.Series, least: str = "") -> pl.Series:
    """Which values, or what is left of them after removing `step` again and again, are in a sorted list.

    What ends in `least` after a step is too much.
    """
    different = values.drop_nulls().unique()
    hits: list[str] = []
    waiting = pl.DataFrame({"value": different, "rest": different})
    while listed.len() and waiting.height:
        rest = waiting["rest"]
        at = pl.Series(listed.search_sorted(rest)).clip(0, listed.len() - 1)
        hit = listed.gather(at) == rest
        hits += waiting["value"].filter(hit).to_list()
        shorter = waiting.filter(~hit).with_columns(rest=pl.col("rest").str.replace(step, ""))
        changed = shorter["rest"] != rest.filter(~hit)
        waiting = shorter.filter(
            changed & (shorter["rest"] != "") & (not least or shorter["rest"].str.contains(least))
        )
    return values.is_in(pl.Series(hits, dtype=pl.String).implode()).fill_null(False)


def _contains(texts: pl.Series, patterns: Sequence[str]) -> pl.Series:
    if not patterns:
        return pl.repeat(False, texts.len(), eager=True)
    return texts.to_frame("text").select(pl.col("text").str.contains_any(list(patterns))).to_series()


def _different(texts: pl.Series, words: Sequence[str]) -> pl.Series:
    """How many different words of a list each text has."""
    if not words:
        return pl.repeat(0, texts.len(), eager=True)
    found = pl.col("text").str.extract_many([f" {word} " for word in words], overlapping=True)
    return texts.to_frame("text").select(found.list.n_unique()).to_series()
