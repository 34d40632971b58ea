"""Reading a judge's scores and rankings, and what must not be taken for one."""

import pytest

from instruct.judge_replies import parse_ranking, parse_scores
from instruct.structured import Unreadable


@pytest.mark.parametrize(
    ("text", "scores"),
    [
        ("8 9\nThe second one is clearer.", (8, 9)),
        ("8, 9", (8, 9)),
        ("7.5 6.5\n", (7.5, 6.5)),
        ("10 1", (10, 1)),
        ("8/10 9/10", (8, 9)),
        ("8 / 10, 9 / 10", (8, 9)),
        ("8 out of 10 and 9 out of 10", (8, 9)),
        ("**8 9**\n\nBoth are fine, but 3 of the 5 points are missing.", (8, 9)),
        ("```\n8 9\n```", (8, 9)),
        ("Answer 1: 8, Answer 2: 9", (8, 9)),
        ("Assistant A: 8\nAssistant B: 9\nThe rest.", (8, 9)),
        ("First answer: 6\nSecond answer: 4", (6, 4)),
        ("Scores:\n6 4", (6, 4)),
        ("８ ９", (8, 9)),
        ("8分，9分\n第二份更清楚。", (8, 9)),
        ("第一份回答：8\n第二份回答：9", (8, 9)),
        ("回答1：8分；回答2：9分", (8, 9)),
        ("8 和 9", (8, 9)),
    ],
)
def test_scores(text: str, scores: tuple[float, float]) -> None:
    assert parse_scores(text) == scores


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Both answers are good.",
        "8",
        "8 9 10",
        "11 9",
        "0 5",
        "-3 5",
        "100 90",
        "The first one makes 3 of the 5 points.",
        "In 2020 the answer was 8, now it is 9.",
        "8\nThe second one gets 9",
        "I would give 8 9",
        "\n".join(["Well."] * 9) + "\n8 9",
    ],
)
def test_what_is_no_pair_of_scores(text: str) -> None:
    with pytest.raises(Unreadable):
        parse_scores(text)


@pytest.mark.parametrize(
    ("text", "ranks"),
    [
        ("B > A > C\nB is right.", [2, 1, 3]),
        ("Ranking: C > B > A", [3, 2, 1]),
        ("B > A = C", [2.5, 1, 2.5]),
        ("A=B=C", [2, 2, 2]),
        ("B, A, C", [2, 1, 3]),
        ("**B A C**", [2, 1, 3]),
        ("排序：Ｂ ＞ Ａ ＝ Ｃ", [2.5, 1, 2.5]),
        ("B、A、C", [2, 1, 3]),
        ("Here is my order.\nC > A > B.", [2, 3, 1]),
    ],
)
def test_ranking(text: str, ranks: list[float]) -> None:
    assert parse_ranking(text, 3) == ranks
    assert sum(ranks) == 6


@pytest.mark.parametrize("text", ["", "A > B", "A > B > B", "A > B > D", "A is best, then B and C", "a > b > c"])
def test_what_is_no_ranking(text: str) -> None:
    with pytest.raises(Unreadable):
        parse_ranking(text, 3)
