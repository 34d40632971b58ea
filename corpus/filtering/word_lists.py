"""Lists of words that a user names: how often their words stand in texts (C4's bad words, ChineseWebText's)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import polars as pl

from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import file_hash

PREFIX = "words."  # of the signals of lists
_PER_LINE = "_per_line"
_NAME = re.compile(r"[a-z][a-z0-9_]*")
# Scripts without spaces: there a word may stand inside other characters.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U000323af]"
)


def parse_word_lists(settings: Sequence[str]) -> dict[str, dict[str, str]]:
    """`NAME=FILE` settings as parameters of a step: name → path and SHA-256 of the file.

    Raises UsageError for another form, ZeroToOneError for a file that is no list of words.
    """
    lists: dict[str, dict[str, str]] = {}
    for setting in settings:
        name, _, path = setting.partition("=")
        if not _NAME.fullmatch(name) or not path or name.endswith(_PER_LINE):
            raise UsageError(f"--words {setting}: write NAME=FILE, the name in small letters")
        if name in lists:
            raise UsageError(f"--words {setting}: a second list `{name}`")
        if not Path(path).is_file():
            raise ZeroToOneError(f"{path}: no such file (--words)")
        lists[name] = {"path": path, "sha256": file_hash(Path(path))}
        read_word_list(**lists[name])
    return lists


@lru_cache(maxsize=16)
def read_word_list(path: str, sha256: str) -> tuple[str, ...]:
    """The words of a file in lower case: one a line, after the last tab where there are tabs; sorted, each once.

    Read once in a process. Raises ZeroToOneError for a file that cannot be read, has another SHA-256, is not UTF-8
    or has no words.
    """
    try:
        if file_hash(Path(path)) != sha256:
            raise ZeroToOneError(f"{path}: changed since the command began")
        text = Path(path).read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ZeroToOneError(f"{path}: not UTF-8 at byte {error.start}") from None
    except OSError as error:
        raise ZeroToOneError(f"{path}: {error.strerror or error}") from None
    words = {line.rpartition("\t")[2].strip().lower() for line in text.splitlines()} - {""}
    if not words:
        raise ZeroToOneError(f"{path}: no words in it")
    return tuple(sorted(words))


def list_of(signal: str) -> str | None:
    """The name of the list that a signal counts, None for other signals."""
    return signal.removeprefix(PREFIX).removesuffix(_PER_LINE) if signal.startswith(PREFIX) else None


def count_listed(texts: Sequence[str], lists: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """For every list two columns, a row a text.

    `words.NAME`: how often its words stand in the text, in any case and, in scripts with spaces, as whole words.
    `words.NAME_per_line`: how many of its words do, to the number of lines (ChineseWebText's measure).
    """
    lower = [text.lower() for text in texts]
    column = pl.Series([text.encode("utf-8", "replace").decode() for text in lower], dtype=pl.String)
    columns = []
    for name, words in lists.items():
        found = column.str.extract_many(list(words), overlapping=True).list.unique()
        counts = [
            [n for n in (_occurrences(text, word) for word in some or ()) if n]
            for text, some in zip(lower, found.to_list(), strict=True)
        ]
        per_line = [len(n) / (text.count("\n") + 1) for n, text in zip(counts, texts, strict=True)]
        columns.append(pl.Series(PREFIX + name, [sum(n) for n in counts], dtype=pl.Int64))
        columns.append(pl.Series(PREFIX + name + _PER_LINE, per_line, dtype=pl.Float64))
    return pl.DataFrame(columns)


def _occurrences(text: str, word: str) -> int:
    before = "" if _UNSPACED.match(word[0]) else r"(?<!\w)"
    after = "" if _UNSPACED.match(word[-1]) else r"(?!\w)"
    return len(re.findall(before + re.escape(word) + after, text))
