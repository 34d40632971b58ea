"""Evol-Instruct's eliminations (Xu et al. 2023, section 3): which evolutions have failed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from instruct.language import length, rules, units

_LABEL = re.compile(
    r"\A\W*(?:(?:new|harder|rewritten|evolved)?\s*(?:task|instruction|version)"
    r"|(?:新的?|改写后的)?(?:任务|指令|版本))\W*[:：][\s*_]*",
    re.IGNORECASE,
)
_VERDICTS = {"equal": True, "different": False, "相同": True, "不同": False}
_VERDICT = re.compile(r"not equal|equal|different|不相同|相同|不同", re.IGNORECASE)

_REFUSAL = re.compile(
    r"\A\W*(?:I['’]?m (?:very )?sorry|I am (?:very )?sorry|sorry\b|I apologi[sz]e|I can(?:no|['’])t\b"
    r"|(?:很|非常)?抱歉|对不起|我无法|我不能)",
    re.IGNORECASE,
)


def without_label(text: str) -> str:
    """An evolved instruction without a label such as `New task:` that a model puts before it."""
    return _LABEL.sub("", text, count=1).strip()


def leaks_prompt(instruction: str, parent: str, leaks: Sequence[str]) -> bool:
    """Whether an evolved instruction speaks with the prompt's own words (`leaks`) and its parent does not."""
    lower, known = instruction.lower(), parent.lower()
    return any(leak in lower and leak not in known for leak in leaks)


def refuses(instruction: str, parent: str) -> bool:
    """Whether what should be an instruction begins as a refusal, and its parent does not."""
    return bool(_REFUSAL.match(instruction)) and not _REFUSAL.match(parent)


def is_equal(verdict: str) -> bool | None:
    """What a judge's reply says: equal, different, or None where it says neither or both."""
    found = set()
    for word in _VERDICT.findall(verdict):
        negated = {"not equal": "different", "不相同": "不同"}
        found.add(_VERDICTS[negated.get(word.lower(), word.lower())])
    return found.pop() if len(found) == 1 else None


def answer_fault(answer: str, language: str) -> str:
    """Why an answer shows that the instruction is no good, or an empty text."""
    known = rules(language)
    if known.apology.search(answer) and length(answer, language) < known.apology_length:
        return "sorry_answer"
    if all(word in known.stop_words for word in units(answer)):
        return "answer_without_content"
    return ""
