"""What an instruction asks for in two words: its root verb and that verb's object, without a parser.

Self-Instruct (Wang et al. 2023, figure 3) takes them from a parse. Here an English instruction must begin, after
words of courtesy, with a verb of a list; its object is the head of the noun phrase behind it. Chinese is told by
jieba's parts of speech: the first verb and the noun behind it.
"""

from __future__ import annotations

import logging
import re

from instruct.language import has_chinese

_VERBS_TEXT = """
add analyze analyse answer argue arrange ask assess brainstorm build calculate change check choose classify
combine come compare complete compose compute construct convert correct count create critique debate decide
define derive describe design detect determine develop devise discuss divide draft edit elaborate estimate
evaluate examine expand explain express extract figure fill find fix format formulate generate give group
guess help identify illustrate imagine implement improve infer insert interpret introduce invent join judge
label list make match modify multiply name offer optimize organize outline paraphrase pick plan predict
prepare present produce propose prove provide put rank rate read recommend reformulate remove rephrase
replace respond restate reverse review revise rewrite select sequence share show simplify solve sort specify split
state suggest sum summarize summarise synthesize take tell transform translate turn use validate verify visualize
write
"""
_COURTESY_TEXT = "please kindly now then first next can could would will you i want need to like just"
_BEFORE_NOUN_TEXT = """
a an the this that these those some any all each every both my your his her its our their me us him them it
one two three four five six seven eight nine ten several many few more most another other
"""
_ENDS_TEXT = """
about above after against along among and around as at based because before behind below between but by
called containing down during explaining for from given how if in including inside into is are like of off on
or out over per regarding related so than that through to toward towards under until up using what when where
which while who whose why with within without
"""
_VERBS, _COURTESY = frozenset(_VERBS_TEXT.split()), frozenset(_COURTESY_TEXT.split())
_BEFORE_NOUN, _ENDS = frozenset(_BEFORE_NOUN_TEXT.split()), frozenset(_ENDS_TEXT.split())
_WORD = re.compile(r"[A-Za-z]+(?:['’-][A-Za-z]+)*|\d+|[^\w\s]")
_SEEN = 400  # characters of an instruction that are looked at
_NEAR = 12  # words


def verb_and_noun(instruction: str) -> tuple[str, str] | None:
    """The root verb and its object, the noun empty where none follows; None where no verb begins the text."""
    text = instruction[:_SEEN]
    return _chinese(text) if has_chinese(text) else _english(text)


def _english(text: str) -> tuple[str, str] | None:
    words = _WORD.findall(text.lower())[: 3 * _NEAR]
    place = next((number for number, word in enumerate(words) if word not in (*_COURTESY, ",")), len(words))
    if place == len(words) or words[place] not in _VERBS:
        return None
    phrase: list[str] = []
    for word in words[place + 1 : place + 1 + _NEAR]:
        if word in _BEFORE_NOUN or word.isdigit():
            if phrase:
                break
        elif not word[0].isalpha() or word in _ENDS:
            break
        else:
            phrase.append(word)
    return words[place], _singular(phrase[-1]) if phrase else ""


def _singular(noun: str) -> str:
    if noun.endswith("ies") and len(noun) > 4:
        return f"{noun[:-3]}y"
    if noun.endswith(("sses", "shes", "ches", "xes")):
        return noun[:-2]
    return noun[:-1] if noun.endswith("s") and not noun.endswith(("ss", "us", "is")) else noun


def _chinese(text: str) -> tuple[str, str] | None:
    import jieba
    import jieba.posseg

    jieba.setLogLevel(logging.ERROR)
    verb = ""
    for word, flag in jieba.posseg.cut(text):
        if not verb and flag in ("v", "vn") and word not in ("请", "帮", "需要", "想", "能", "可以", "是", "有"):
            verb = word
        elif verb and flag.startswith("n"):
            return verb, word
        elif verb and flag == "x" and word in "。！？\n":
            break
    return (verb, "") if verb else None
