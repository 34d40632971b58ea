"""What a judge's reply says: two scores, or an order of several answers. Pure; anything else is `Unreadable`.

Only the lines in front count, and only lines of nothing but scores (or letters): a number inside of an explanation
is never taken for a score.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterator

from instruct.structured import Unreadable

LETTERS = string.ascii_uppercase
LOWEST, HIGHEST = 1.0, 10.0
_LINES = 6  # in front, that may hold the verdict
_NUMBER = re.compile(r"(?<![\w.-])\d{1,3}(?:\.\d{1,3})?(?![\w.]?\d)")
_OF_TEN = re.compile(r"\s*(?:/\s*10(?:\.0)?\b|\bout of (?:10|ten)\b)", re.IGNORECASE)
# "Answer 1:", "Assistant B's score:", "第一份回答：", "回答2得分："
_LABEL = re.compile(
    r"(?:the\s+)?(?:first|second)\s+(?:answer|assistant|response)(?:'s)?(?:\s+score)?"
    r"|\b(?:answer|assistant|response|model)\s*#?[12ab]\b(?:'s)?(?:\s+score)?"
    r"|第?[一二1-2]份?个?(?:回答|答案|助手)(?:的?(?:得分|分数|评分))?"
    r"|(?:回答|答案|助手)\s*[12AB一二](?:的?(?:得分|分数|评分))?"
    r"|\b(?:scores?|ratings?)\b|得分|分数|评分|分",
    re.IGNORECASE,
)
_NOTHING = re.compile(r"[\s,;:|/、。.()\[\]*_`#=\-–—]*(?:\band\b|和|与)?[\s,;:|/、。.()\[\]*_`#=\-–—]*")
_ORDER_LABEL = re.compile(r"\A(?:the\s+)?(?:ranking|order|rank|排序|排名)(?:结果)?\s*:", re.IGNORECASE)
_ORDER = re.compile(r"[A-Z](?:\s*(?:[>=,、≥]|\s)\s*[A-Z])*")


def parse_scores(text: str) -> tuple[float, float]:
    """The scores of the first and the second answer, from 1 to 10, on one line or on two. Raises Unreadable."""
    found: list[float] = []
    for line in _lines(text):
        bare = _LABEL.sub(" ", _OF_TEN.sub(" ", line))
        numbers = [float(number) for number in _NUMBER.findall(bare)]
        if not numbers:
            if found:
                break
            continue
        if not _NOTHING.fullmatch(_NUMBER.sub(" ", bare)):
            break
        found += numbers
        if len(found) >= 2:
            break
    if len(found) != 2:
        raise Unreadable("no line with two scores in front")
    if not all(LOWEST <= score <= HIGHEST for score in found):
        raise Unreadable("a score that is not from 1 to 10")
    return found[0], found[1]


def parse_ranking(text: str, count: int) -> list[float]:
    """The rank of each of `count` answers (1 is best; equally good ones share the mean). Raises Unreadable.

    The line in front is an order of letters as `B > A = C`; commas or spaces stand for `>`.
    """
    for line in _lines(text):
        order = _ORDER_LABEL.sub("", line).strip(" .`*_[]()")
        if not _ORDER.fullmatch(order):
            continue
        groups = [re.findall("[A-Z]", group) for group in re.split(r"[>,、≥]|(?<=[A-Z])\s+(?=[A-Z])", order)]
        letters = [letter for group in groups for letter in group]
        if sorted(letters) != list(LETTERS[:count]):
            raise Unreadable(f"the order has not each of {count} letters once")
        return _ranks(groups)
    raise Unreadable("no line with an order of letters in front")


def _ranks(groups: list[list[str]]) -> list[float]:
    ranks: dict[str, float] = {}
    for group in groups:
        before = len(ranks)
        for letter in group:
            ranks[letter] = before + (len(group) + 1) / 2
    return [ranks[letter] for letter in sorted(ranks)]


def _lines(text: str) -> Iterator[str]:
    lines = unicodedata.normalize("NFKC", text[:4000]).splitlines()
    return iter([line.strip() for line in lines if line.strip()][:_LINES])
