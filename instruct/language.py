"""What the filters know about each language: lengths, blacklists, starts, apologies, stop words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from corpus.core.errors import ZeroToOneError

_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_WORD = re.compile(r"[^\W_]+")

# Self-Instruct's and Alpaca's lists: what a model that works with text alone cannot do.
_EN_BLACKLIST = (
    "image", "images", "graph", "graphs", "picture", "pictures", "file", "files", "map", "maps", "draw", "plot",
    "go to", "video", "videos", "audio", "music", "flowchart", "flowcharts", "diagram", "diagrams",
)  # fmt: skip
_ZH_BLACKLIST = (
    "图片", "图像", "照片", "截图", "绘制", "画一", "画出", "画张", "流程图", "示意图", "视频", "音频", "录音",
    "播放", "附件", "打开文件", "上传", "下载", "点击", "扫描", "二维码", "闹钟",
)  # fmt: skip
_EN_STOP_WORDS = """
a about above after again all also am an and any are as at be because been before being below between
both but by can could did do does doing down during each few for from further had has have having he her
here hers him his how i if in into is it its itself just me more most my no nor not now of off on once
only or other our out over own same she should so some such than that the their them then there these
they this those through to too under until up us very was we were what when where which while who whom
why will with would you your yours
"""
_ZH_STOP_WORDS = "的了是在和也就都而及与着或之其于以又这那个们我你他她它把被让给对从到为因所但且则啊吗呢吧呀嘛哦"


@dataclass(frozen=True)
class LanguageRules:
    """The thresholds of a language; lengths are words, and for Chinese characters (see `length`)."""

    shortest: int
    longest: int
    blacklist: re.Pattern[str]
    forbidden_start: re.Pattern[str]
    allowed_start: re.Pattern[str]
    apology: re.Pattern[str]
    apology_length: int
    stop_words: frozenset[str]


@cache
def rules(language: str) -> LanguageRules:
    """The rules of a language. Raises ZeroToOneError for one that has none."""
    if language == "en":
        return _english()
    if language == "zh":
        return _chinese()
    raise ZeroToOneError(f"no filters for the language `{language}`; there are en, zh")


def _english() -> LanguageRules:
    words = "|".join(map(re.escape, _EN_BLACKLIST))
    return LanguageRules(
        shortest=4,
        longest=150,
        blacklist=re.compile(rf"\b(?:{words})\b", re.IGNORECASE),
        forbidden_start=re.compile(r"write a program\b", re.IGNORECASE),
        allowed_start=re.compile(r"[A-Za-z0-9\"'(\[]"),
        apology=re.compile(r"\bsorry\b", re.IGNORECASE),
        apology_length=80,
        stop_words=frozenset(_EN_STOP_WORDS.split()),
    )


def _chinese() -> LanguageRules:
    return LanguageRules(
        shortest=4,
        longest=300,
        blacklist=re.compile("|".join(map(re.escape, _ZH_BLACKLIST))),
        forbidden_start=re.compile(r"(?:请|帮我|请帮我)?(?:写|编写)一个程序"),
        allowed_start=re.compile(r"[^\W_]|[“‘《「『（(\"']"),
        apology=re.compile("抱歉|对不起|很遗憾"),
        apology_length=130,
        stop_words=frozenset(_ZH_STOP_WORDS) | frozenset(_EN_STOP_WORDS.split()),
    )


def units(text: str) -> list[str]:
    """Words in lower case; each Chinese character is one by itself."""
    return _WORD.findall(_HAN.sub(lambda character: f" {character[0]} ", text).lower())


def length(text: str, language: str) -> int:
    """Words between spaces, and for `zh` Chinese characters plus other words."""
    return len(units(text)) if language == "zh" else len(text.split())


def has_chinese(text: str) -> bool:
    """Whether a Chinese character occurs."""
    return _HAN.search(text) is not None
