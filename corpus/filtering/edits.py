"""Edits: what C4 and RefinedWeb take out of a page before they judge it, as functions on columns of texts.

Raffel et al. 2020, "Exploring the Limits of Transfer Learning", section 2.2, with the thresholds of the released
code; Penedo et al. 2023, "The RefinedWeb Dataset", appendix G.2, with the patterns that it describes in words, and
Chinese counterparts. Chinese sentence ends count as ends of lines; words of lines with ideographs are counted by
segmentation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import NamedTuple

import numpy as np
import polars as pl

from corpus.filtering.signals import POLICY_PHRASES
from corpus.text.words import chunks, count_words

_CITATION = r"\[\d*\]|\[edit\]|\[citation needed\]"
_END = r"""(?:[.?!"'。！？．｡”’」』]|[。！？][）】》〉]+)$"""
_HAN = "[\u4e00-\u9fd5]"
_EAST_ASIAN = r"\x{2e80}-\x{9fff}\x{ac00}-\x{d7af}\x{f900}-\x{faff}\x{ff00}-\x{ffef}"
_URL = rf"(?i)(?:https?://|(?-u:\b)www\.)[^\s<>\"{_EAST_ASIAN}]*[^\s<>\"{_EAST_ASIAN}.,;:!?'()\[\]{{}}]"
_COUNT = r"\d[\d.,]*\s*"
_COUNTER = (
    rf"(?i)^\W*{_COUNT}[kmb]?\s*(?:like|share|comment|retweet|repost|quote|bookmark|upvote|downvote|download|view|"
    r"follower|subscriber|reply|replies|vote|point|read)s?\W*$"
)
_PROMPT = r"(?i)^\W*sign[ -]in\b[\s:|,.-]*|\s*\bread more\s*(?:\.{3}|…|»|>+)?$|\bitems? in cart\b"
# What buttons and counters of Chinese pages say, alone on a line or one beside the other.
_CHINESE_BUTTON = (
    "点赞|赞|评论|发表评论|写评论|查看评论|收藏|分享|分享到|转发|举报|打赏|关注|已关注|取消关注|回复|浏览|阅读|阅读数|阅读量|播放|下载|"
    "点击量|人气|展开|收起|展开全文|阅读全文|查看全文|查看更多|加载更多|更多|登录|登陆|注册|立即登录|立即注册|免费注册|忘记密码|"
    "登录后查看更多|首页|上一页|下一页|上一篇|下一篇|返回顶部|回到顶部|返回首页|微信|微博|朋友圈|扫一扫|打印|字号|大|中|小"
)
_CHINESE_COUNT = rf"[(（]?{_COUNT}[万亿千kKwW]?\+?\s*(?:次|个|人|条|篇)?[)）]?"
_CHINESE_LINE = rf"^(?:\W*(?:(?:{_CHINESE_COUNT})?\s*(?:{_CHINESE_BUTTON})(?:\W*{_CHINESE_COUNT})?))+\W*$"
_CHINESE_ENDING = (
    r"(?:\.{3}|…+)?\s*[\[(（【]?(?:展开|点击|继续)?(?:展开|阅读|查看)(?:全文|更多|原文)[\])）】]?[\s>»]*$"
)
EDITED_OUT = "edited_out"
_EDITED_OUT_CHARACTERS = 500  # of the dropped lines, kept as evidence for each document
_PIECE_CHARACTERS = 2_000_000  # longer texts are edited piece by piece, which bounds the memory
# Scripts written without spaces have no words of a thousand characters, only lines.
_SPACED = r"[^\s\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]"


@dataclass(frozen=True)
class Edit:
    """An edit of a rule set: its name in EDITS and its threshold (0 for those that need none)."""

    name: str
    threshold: int = 0


class EditKind(NamedTuple):
    """What an edit does, and the threshold that it has unless a rule set says otherwise.

    One of three: `keeps` says which lines stay, `cuts` takes pieces out of lines and counts them, `rewrites` does
    that with whole texts. All take a column and the threshold.
    """

    description: str
    threshold: int
    keeps: Callable[[pl.Series, int], pl.Series] | None = None
    cuts: Callable[[pl.Series, int], tuple[pl.Series, pl.Series]] | None = None
    rewrites: Callable[[pl.Series, int], tuple[pl.Series, pl.Series]] | None = None


def apply_edits(texts: Sequence[str], edits: Sequence[Edit]) -> tuple[list[str], pl.DataFrame]:
    """Apply the edits in their order to every text.

    Returns the texts (where lines are edited, they are stripped; where lines are dropped, blank ones too) and what
    was removed: one row a text, one Int64 column an edit (lines dropped, or pieces cut), and where lines may drop
    the String column EDITED_OUT with the first 500 characters of those that did.
    """
    current, columns, dropped = list(texts), [], [""] * len(texts)
    for whole, group in groupby(edits, key=lambda edit: EDITS[edit.name].rewrites is not None):
        if whole:
            current, counts = _edit_texts(current, list(group))
        else:
            current, counts, gone = _edit_all_lines(current, list(group))
            dropped = ["\n".join(filter(None, pair)) for pair in zip(dropped, gone, strict=True)]
        columns += [pl.Series(name, values) for name, values in counts.items()]
    if any(EDITS[edit.name].keeps for edit in edits):
        columns.append(
            pl.Series(EDITED_OUT, [lines[:_EDITED_OUT_CHARACTERS] for lines in dropped], dtype=pl.String)
        )
    return current, pl.DataFrame(columns)


def _edit_texts(texts: Sequence[str], edits: Sequence[Edit]) -> tuple[list[str], dict[str, np.ndarray]]:
    column, removed = pl.Series("text", texts, dtype=pl.String), {}
    for edit in edits:
        rewrites = EDITS[edit.name].rewrites
        assert rewrites is not None
        column, counts = rewrites(column, edit.threshold)
        removed[edit.name] = counts.to_numpy().astype(np.int64)
    return column.to_list(), removed


def _edit_all_lines(
    texts: Sequence[str], edits: Sequence[Edit]
) -> tuple[list[str], dict[str, np.ndarray], list[str]]:
    """The texts with their lines edited, what each edit removed, and the beginning of what was dropped."""
    parts: list[list[str]] = [[] for _ in texts]
    dropped = [""] * len(texts)
    removed = {edit.name: np.zeros(len(texts), dtype=np.int64) for edit in edits}
    for owners, pieces in _batches(texts):
        edited, counts, gone = _edit_lines(pieces, edits)
        for owner, piece in zip(owners, edited, strict=True):
            if piece is not None:
                parts[owner].append(piece)
        for name, values in counts.items():
            np.add.at(removed[name], owners, values.astype(np.int64))
        for place, line in gone:
            owner = owners[place]
            if len(dropped[owner]) < _EDITED_OUT_CHARACTERS:
                dropped[owner] += ("\n" if dropped[owner] else "") + line
    return ["\n".join(part).strip() for part in parts], removed, dropped


def _batches(texts: Sequence[str]) -> Iterator[tuple[list[int], list[str]]]:
    """Pieces of texts, cut after a line's end, and the text of each: some million characters at a time."""
    pieces = [(owner, piece) for owner, text in enumerate(texts) for piece in _pieces(text)]
    at = 0
    for batch in chunks([piece for _, piece in pieces]):
        yield [owner for owner, _ in pieces[at : at + len(batch)]], list(batch)
        at += len(batch)


def _pieces(text: str) -> Iterator[str]:
    start = 0
    while len(text) - start > _PIECE_CHARACTERS:
        stop = text.find("\n", start + _PIECE_CHARACTERS) + 1
        if not stop:
            break
        yield text[start:stop]
        start = stop
    yield text[start:] if start else text


def _edit_lines(
    texts: Sequence[str], edits: Sequence[Edit]
) -> tuple[list[str | None], dict[str, np.ndarray], list[tuple[int, str]]]:
    """The texts with edited lines, None where none is left; what each edit removed; dropped lines, by text."""
    split = [text.splitlines() for text in texts]
    owner = np.repeat(np.arange(len(texts)), [len(lines) for lines in split])
    lines = pl.Series("line", [line.strip() for lines in split for line in lines], dtype=pl.String)
    if any(EDITS[edit.name].keeps for edit in edits):
        lines, owner = _filter(lines, owner, lines != "")
    removed: dict[str, np.ndarray] = {}
    dropped: list[tuple[int, str]] = []
    for edit in edits:
        kind = EDITS[edit.name]
        if kind.keeps is not None:
            kept = kind.keeps(lines, edit.threshold)
            gone, whose = _filter(lines, owner, ~kept)
            removed[edit.name] = np.bincount(whose, minlength=len(texts))
            dropped += zip(whose.tolist(), gone.str.head(_EDITED_OUT_CHARACTERS).to_list(), strict=True)
            lines, owner = _filter(lines, owner, kept)
        elif kind.cuts is not None:
            lines, pieces = kind.cuts(lines, edit.threshold)
            removed[edit.name] = np.bincount(owner, weights=pieces.to_numpy(), minlength=len(texts))
    return _join(lines, owner, len(texts)), removed, dropped


def _filter(lines: pl.Series, owner: np.ndarray, kept: pl.Series) -> tuple[pl.Series, np.ndarray]:
    return lines.filter(kept), owner[kept.to_numpy()]


def _join(lines: pl.Series, owner: np.ndarray, count: int) -> list[str | None]:
    bounds = np.searchsorted(owner, np.arange(count + 1))
    every = lines.to_list()
    return ["\n".join(every[a:b]) if b > a else None for a, b in pairwise(bounds)]


def _short_enough_words(lines: pl.Series, longest: int) -> pl.Series:
    kept = pl.Series(lines.str.len_bytes() <= longest)
    doubtful = lines.filter(~kept)
    if doubtful.len():
        # Counted repetitions make slow patterns; the longest unbroken piece is found by splitting.
        pieces = doubtful.str.extract_all(f"{_SPACED}+").list.eval(pl.element().str.len_chars()).list.max()
        kept = kept.scatter(np.flatnonzero(~kept.to_numpy()), pieces.fill_null(0) <= longest)
    return kept


def _ends_a_sentence(lines: pl.Series, _: int) -> pl.Series:
    return lines.str.contains(_END) & ~lines.str.ends_with("...")


def _enough_words(lines: pl.Series, least: int) -> pl.Series:
    kept = lines.str.contains(rf"\S(?:\S*\s+\S){{{least - 1}}}") if least > 1 else lines != ""
    wide = np.flatnonzero((lines.str.len_bytes() > lines.str.len_chars()).to_numpy())
    chinese = wide[lines.gather(wide).str.contains(_HAN).to_numpy()]
    return kept.scatter(chinese, count_words(lines.gather(chinese).to_list()) >= least)


def _no_javascript(lines: pl.Series, _: int) -> pl.Series:
    return ~lines.str.contains_any(["javascript"], ascii_case_insensitive=True)


def _no_policy(lines: pl.Series, _: int) -> pl.Series:
    return ~lines.str.contains_any(list(POLICY_PHRASES), ascii_case_insensitive=True)


def _without_citations(lines: pl.Series, _: int) -> tuple[pl.Series, pl.Series]:
    counts = pl.repeat(0, lines.len(), dtype=pl.UInt32, eager=True)
    marked = lines.str.contains("[", literal=True).arg_true()
    cut = lines.gather(marked)
    uncited = cut.str.replace_all(_CITATION, "").str.strip_chars_end()
    return lines.scatter(marked, uncited), counts.scatter(marked, cut.str.count_matches(_CITATION))


def _not_upper_case(lines: pl.Series, percent: int) -> pl.Series:
    return pl.Series(lines.str.count_matches(r"\p{Uppercase}") * 100 <= lines.str.len_chars() * percent)


def _not_numeric(lines: pl.Series, _: int) -> pl.Series:
    return ~lines.str.contains(r"^[\p{N}\s]+$")


def _no_counter(lines: pl.Series, _: int) -> pl.Series:
    return ~lines.str.contains(_COUNTER)


def _no_chinese_buttons(lines: pl.Series, _: int) -> pl.Series:
    return ~lines.str.contains(_CHINESE_LINE)


def _without_prompts(lines: pl.Series, words: int) -> tuple[pl.Series, pl.Series]:
    short = lines.str.count_matches(r"\S+") <= words
    found = (lines.str.count_matches(_PROMPT) * short).cast(pl.Int64)
    cut = lines.str.replace_all(_PROMPT, "").str.strip_chars()
    return cut.zip_with(found > 0, lines), found


def _without_chinese_endings(lines: pl.Series, _: int) -> tuple[pl.Series, pl.Series]:
    return lines.str.replace(_CHINESE_ENDING, ""), lines.str.count_matches(_CHINESE_ENDING)


def _without_urls(texts: pl.Series, _: int) -> tuple[pl.Series, pl.Series]:
    return texts.str.replace_all(_URL, ""), texts.str.count_matches(_URL)


def _fewer_newlines(texts: pl.Series, most: int) -> tuple[pl.Series, pl.Series]:
    run = r"\n" * most + r"\n+"
    return texts.str.replace_all(run, "\n" * most), texts.str.count_matches(run)


EDITS: dict[str, EditKind] = {
    "remove_citations": EditKind("cuts `[1]`, `[edit]` and `[citation needed]`", 0, cuts=_without_citations),
    "drop_lines_with_long_words": EditKind(
        "drops lines with a word of more characters", 1000, _short_enough_words
    ),
    "drop_lines_without_end_punctuation": EditKind(
        "drops lines that end in none of `. ? ! \" '` and `。！？`, or in `...`", 0, _ends_a_sentence
    ),
    "drop_lines_with_few_words": EditKind("drops lines of fewer words", 3, _enough_words),
    "drop_javascript_lines": EditKind("drops lines with `javascript`", 0, _no_javascript),
    "drop_policy_lines": EditKind("drops lines with one of C4's policy phrases", 0, _no_policy),
    "drop_uppercase_lines": EditKind(
        "drops lines of which upper-case letters take more per cent", 50, _not_upper_case
    ),
    "drop_numeric_lines": EditKind("drops lines of digits alone", 0, _not_numeric),
    "drop_counter_lines": EditKind("drops lines such as `3 likes`", 0, _no_counter),
    "cut_prompts": EditKind(
        "in lines of at most so many words cuts a leading `sign-in`, a trailing `read more...`, `items in cart`",
        10,
        cuts=_without_prompts,
    ),
    "drop_chinese_button_lines": EditKind(
        "drops lines of buttons and counters alone, such as `点赞 12 评论`", 0, _no_chinese_buttons
    ),
    "cut_chinese_endings": EditKind("cuts a trailing `展开全文` and its like", 0, cuts=_without_chinese_endings),
    "strip_urls": EditKind("cuts URLs", 0, rewrites=_without_urls),
    "limit_newlines": EditKind("leaves at most so many line breaks in a row", 2, rewrites=_fewer_newlines),
}
