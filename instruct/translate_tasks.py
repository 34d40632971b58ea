"""Tasks that hang on the words of a language, so that no translation means the same: spelling, rhymes, grammar.

Rules find those that say so; what they let through a model can be asked about.
"""

from __future__ import annotations

import re
from functools import cache

from instruct.target_languages import target_languages

_EN = (
    r"spell(?:ing|ed|s|check)?|mis-?spell(?:ed|ing|ings)?|typos?|rhym(?:e|es|ed|ing)|alliterations?|anagrams?"
    r"|acrostics?|puns?|tongue[- ]twisters?|wordplay|word games?|play on words|limericks?|haikus?"
    r"|syllables?|homophones?|homonyms?|synonyms?|antonyms?|prefix(?:es)?|suffix(?:es)?|acronyms?|etymology"
    r"|grammar|grammatical(?:ly)?|punctuat(?:e|ion)|capitali[sz](?:e|ed|ation)"
    r"|parts? of speech|nouns?|verbs?|adjectives?|adverbs?|pronouns?|prepositions?|conjunctions?"
    r"|conjugat(?:e|ion)|(?:past|present|future) (?:tense|participle)|plural forms?|(?:active|passive) voice"
    r"|translat(?:e|es|ed|ing|ions?)|pronounc(?:e|ed)|pronunciation|idioms?|crosswords?|hangman|word ladders?"
    r"|alphabeti[sz]e|alphabetical(?:ly)?(?: order)?"
    r"|(?:starts?|begins?|ends?|starting|beginning|ending) with the letter"
    r"|(?:how many|count(?: of)?(?: the)?|number of) (?:letters|vowels|consonants|characters|words)"
    r"|(?:edit|correct|fix|proofread)\b[^.?!\n]{0,40}\b(?:sentences?|errors?)"
)
_ZH = (
    "押韵|押.{0,4}韵|韵脚|平仄|对仗|对联|上联|下联|绝句|律诗|藏头诗|绕口令|谐音|双关|歇后语|成语|俗语|谚语|字谜|灯谜|猜字"
    "|错别字|错字|拼音|读音|声调|多音字|偏旁|部首|笔画|笔顺|繁体|简体|(?<!每)组词|造句|量词|词性|同义词|近义词|反义词|主语|谓语|宾语|定语"
    "|状语|语法|病句|标点|断句|文言文|白话文|方言|翻译|译成|译为|润色|校对|首字母|大小写"
)
_LONGEST = 2000  # characters of an instruction that are looked at


@cache
def _rules() -> re.Pattern[str]:
    names = "|".join(language.name for language in target_languages().values())
    names_zh = "|".join(language.name_zh for language in target_languages().values())
    return re.compile(
        rf"\b(?:{_EN}|(?:in|into|from|to) (?:{names})|(?:{names}) (?:words?|phrases?|sentences?|vocabulary))\b"
        rf"|{_ZH}|用(?:{names_zh}|英文|中文|汉语|外语)",
        re.IGNORECASE,
    )


def hinges_on_language(instruction: str) -> str:
    """The words by which an instruction shows that it is about its language, or ""."""
    found = _rules().search(instruction[:_LONGEST])
    return found[0] if found else ""


_ANSWERS = re.compile(r"\b(yes|no)\b|(不是|否)|(是)", re.IGNORECASE)


def says_yes(verdict: str) -> bool | None:
    """What a reply to a question of yes or no says, or None where it says neither or both."""
    found = {(match[1] or match[0]).lower() in ("yes", "是") for match in _ANSWERS.finditer(verdict)}
    return found.pop() if len(found) == 1 else None
