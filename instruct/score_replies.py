"""What a judge's reply to a set of texts says: a score from 1 to 6 for each. Pure.

Where the endpoint gives log-probabilities, a score is the expectation over the six digits at its place, as Deita's
scorers take it (Liu et al. 2024, section 2.2); else it is the number itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from instruct.structured import Unreadable

LOWEST, HIGHEST = 1, 6
_SCORE = r"(?P<score>[1-6１-６](?:[.．]\d{1,2})?)(?![.．]?\d)"
_LINE = re.compile(
    rf"^[ \t*_>-]*[\[［【(（]?[ \t]*(?P<number>\d{{1,2}})[ \t]*[\]］】)）.．:：、][^\d\n]{{0,40}}{_SCORE}",
    re.MULTILINE,
)
_ALONE = re.compile(rf"\A\s*[^\d\n]{{0,40}}{_SCORE}(?:[ \t]*/[ \t]*6)?[ \t.。分*_`]*(?:\n|\Z)")


def parse_set_scores(
    text: str, count: int, logprobs: Sequence[tuple[str, Mapping[str, float]]] = ()
) -> list[float]:
    """The scores of `count` texts, from lines as `[2] Score: 5`; of one text also from a bare number.

    `logprobs`, as in `StoredReply`, may begin with thoughts that the text has not. Raises Unreadable where a score
    is missing, out of range, or given twice.
    """
    joined = "".join(token for token, _ in logprobs)
    start = joined.rfind(text) if joined.endswith(text) else -1
    found: dict[int, re.Match[str]] = {}
    for line in _LINE.finditer(text):
        number = int(line["number"])
        if number in found:
            raise Unreadable(f"two scores of text {number}")
        found[number] = line
    if count == 1 and not found and (alone := _ALONE.match(text)):
        found[1] = alone
    if sorted(found) != list(range(1, count + 1)):
        raise Unreadable(f"no score from 1 to 6 for each of {count} texts")
    places = _places(logprobs) if start >= 0 else {}
    return [
        _expected(places.get(found[number].start("score") + start), found[number]["score"])
        for number in range(1, count + 1)
    ]


def _places(logprobs: Sequence[tuple[str, Mapping[str, float]]]) -> dict[int, Mapping[str, float]]:
    """The likeliest tokens by the place of a token's one character that is no white space."""
    places, at = {}, 0
    for token, likeliest in logprobs:
        if len(token.strip()) == 1:
            places[at + len(token) - len(token.lstrip())] = likeliest
        at += len(token)
    return places


def _expected(likeliest: Mapping[str, float] | None, written: str) -> float:
    """The expectation over the digits 1 to 6 among the likeliest tokens, else the number that was written."""
    chances = [
        (int(token.strip()), math.exp(value))
        for token, value in (likeliest or {}).items()
        if token.strip() in {"1", "2", "3", "4", "5", "6"}
    ]
    total = sum(chance for _, chance in chances)
    if not total or len(written) > 1:
        return float(written.replace("．", "."))
    return sum(score * chance for score, chance in chances) / total
