"""The signals once more in plain Python, from their definitions: slow, and shares no code with the array form."""

from __future__ import annotations

import math
import re
import string
import unicodedata
from collections import Counter

from corpus.filtering.signals import FUNCTION_WORDS_EN

ENDS = ".!?。！？．"
GOPHER = {"the", "be", "to", "of", "and", "that", "have", "with"}
CHINESE_STOP_WORDS = set("的年在月是和日了於·為有被人中为他與後也而由")
FUNCTION_WORDS = {*FUNCTION_WORDS_EN, *CHINESE_STOP_WORDS}
# ASCII that is neither a letter, a digit nor white space.
UNWRITTEN = {chr(code) for code in range(128) if not chr(code).isalnum() and not chr(code).isspace()}
# What datatrove takes for punctuation, but for the ends of sentences of scripts that no test has.
PUNCTUATION = {*UNWRITTEN, *map(chr, range(9)), *map(chr, range(11, 32)), *map(chr, range(127, 160))}
PUNCTUATION |= {*"´«»–—’“”„…∶━►、。〈〉《》「」【】！％（），．１：；？～‼‽⁇⁈⁉।॥؟۔։።"}


def plain_signals(text: str, words: list[str]) -> dict[str, float]:
    """Every signal that does not need a language; `words` are the text's words, punctuation included."""
    size, count = len(text), len(words)
    plain = [word for word in words if not PUNCTUATION.issuperset(word)]
    result = {
        "characters": size,
        "word_count": len(plain),
        "token_count": count,
        "mean_word_length": share(sum(map(len, plain)), len(plain)),
        "max_word_length": max(map(len, plain), default=0),
        "alphabetic_word_fraction": share(sum(any(c.isalpha() for c in word) for word in words), count),
        "stop_words_en": len(GOPHER & set(words)),
        "stop_words_zh": len(CHINESE_STOP_WORDS & set(words)),
        "hash_per_word": share(text.count("#"), count),
        "ellipsis_per_word": share(text.count("...") + text.count("…"), count),
        "newlines_per_word": share(text.count("\n"), count),
        "curly_brackets": text.count("{"),
        "han_character_fraction": share(len(re.findall("[一-龥]", text)), size),
        "lorem_ipsum": text.lower().count("lorem ipsum"),
        "javascript_lines": sum("javascript" in line.lower() for line in text.splitlines()),
    }
    result |= normalized(words) | characters(text) | text_lines(text, len(plain)) | every_occurrence(text)
    symbols = text.count("#") + text.count("...") + text.count("…")
    result["symbol_per_word"] = share(symbols, count)
    return result | lines(text) | repetition(text, words)


def letters(word: str) -> str:
    """The word as RedPajama-V2 normalizes it: lower case, ASCII punctuation left out."""
    return "".join(c for c in word if c not in UNWRITTEN).lower()


def normalized(words: list[str]) -> dict[str, float]:
    plain = [letters(word) for word in words if any(unicodedata.category(c)[0] in "LMN" for c in word)]
    total = sum(map(len, plain))
    numbers = Counter(plain)
    found: dict[str, float] = {
        "all_caps_word_fraction": share(sum(word.isupper() for word in words), len(words)),
        "unique_word_fraction": share(len(numbers), len(plain)),
        "word_entropy": entropy(numbers),
        "stop_word_occurrences_en": sum(word in GOPHER for word in plain),
        "stop_word_fraction": share(sum(word in FUNCTION_WORDS for word in plain), len(words)),
    }
    for n in range(2, 11):
        grams = [tuple(plain[at : at + n]) for at in range(len(plain) - n + 1)]
        counts = Counter(grams)
        if n < 5:
            gram, times = counts.most_common(1)[0] if counts else ((), 0)
            taken = sum(map(len, gram)) * times if times > 1 else 0
            found[f"normalized_top_{n}_gram_fraction"] = share(taken, total)
        else:
            covered = {at + k for at, gram in enumerate(grams) if counts[gram] > 1 for k in range(n)}
            taken = sum(len(plain[at]) for at in covered)
            found[f"normalized_duplicate_{n}_gram_fraction"] = share(taken, total)
    return found


def entropy(counts: Counter[str]) -> float:
    total = sum(counts.values())
    return sum(-count / total * math.log(count / total) for count in counts.values())


def characters(text: str) -> dict[str, float]:
    size = len(text)
    written = [c for c in text if c.isspace() or unicodedata.category(c)[0] in "LMN"]
    compact = "".join(c for c in text if not c.isspace()).lower()
    runs = Counter(compact[at : at + 13] for at in range(len(compact) - 12))
    twice = sum(count for count in runs.values() if count > 1)
    return {
        "curly_bracket_fraction": share(text.count("{") + text.count("}"), size),
        "uppercase_fraction": share(sum(c.isupper() for c in text), size),
        "digit_fraction": share(sum(c.isdecimal() for c in text), len(written)),
        "punctuation_fraction": share(sum(is_punctuation(c) for c in text), size),
        "bracketed_fraction": share(sum(map(len, re.findall("【(.*?)】", text))), size),
        "unique_character_fraction": share(len(set(text)), size),
        "character_entropy": entropy(Counter(text)),
        "repeated_13_character_fraction": share(twice, sum(runs.values())),
    }


def is_punctuation(character: str) -> bool:
    return unicodedata.category(character)[0] == "P" or character in string.punctuation


def text_lines(text: str, words: int) -> dict[str, float]:
    solid = [line.strip() for line in text.split("\n") if line.strip()]
    unpunctuated = ["".join(c for c in line if c not in UNWRITTEN) for line in solid]
    count = len(solid)
    numbers = [share(sum(c.isnumeric() for c in line), len(line)) for line in unpunctuated]
    teasers = ("展开", "更多", "。。。", "readmore", "read more")
    return {
        "text_line_count": count,
        "terminal_mark_line_fraction": share(sum(line.endswith((".", "!", "?", "”")) for line in solid), count),
        "bullet_point_line_fraction": share(sum(line[0] in "•‣▶◀◦■□▪▫–" for line in solid), count),
        "list_marker_line_fraction": share(sum(line[0] in "●•*-" for line in solid), count),
        "teaser_line_fraction": share(sum(line.lower().endswith(teasers) for line in solid), count),
        "mean_line_uppercase_fraction": share(
            sum(sum(c.isupper() for c in line) / len(line) for line in solid), count
        ),
        "mean_line_number_fraction": share(sum(numbers), count),
        "mean_line_length": len(text) / (text.count("\n") + 1),
        "mean_line_words": share(words, count),
    }


def every_occurrence(text: str) -> dict[str, float]:
    found = {}
    for kind, separator in (("line", "\n"), ("paragraph", "\n\n")):
        parts = [part for part in text.split(separator) if part.strip()]
        counts = Counter(parts)
        again = [part for part in parts if counts[part] > 1]
        found[f"repeated_{kind}_fraction"] = share(len(again), len(parts))
        found[f"repeated_{kind}_character_fraction"] = share(sum(map(len, again)), sum(map(len, parts)))
    return found


def share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def lines(text: str) -> dict[str, float]:
    every = [line.strip() for line in text.splitlines()]
    solid = [line for line in text.split("\n") if line.strip()]
    return {
        "line_count": len(every),
        "bullet_line_fraction": share(sum(line.startswith(("-", "•")) for line in every), len(every)),
        "ellipsis_line_fraction": share(sum(line.endswith(("...", "…")) for line in every), len(every)),
        "terminal_line_fraction": share(sum(line.endswith(tuple(ENDS)) for line in solid), len(solid)),
        "short_line_fraction": share(sum(len(line) <= 30 for line in solid), len(solid)),
        "characters_in_duplicate_lines": share(repeats(solid)[1], len(text.replace("\n", ""))),
    }


def repetition(text: str, words: list[str]) -> dict[str, float]:
    found = {}
    for kind, parts in (("line", re.split("\n+", text)), ("paragraph", re.split("\n{2,}", text.strip()))):
        number, characters = repeats(parts)
        found[f"duplicate_{kind}_fraction"] = share(number, len(parts))
        found[f"duplicate_{kind}_character_fraction"] = share(characters, len(text))
    for n in (2, 3, 4):
        grams = Counter(tuple(words[at : at + n]) for at in range(len(words) - n + 1))
        top = grams.most_common(1)
        found[f"top_{n}_gram_fraction"] = share(len(" ".join(top[0][0])) * top[0][1], len(text)) if top else 0.0
    for n in range(5, 11):
        found[f"duplicate_{n}_gram_fraction"] = share(repeated_grams(words, n), len(text))
    return found


def repeats(parts: list[str]) -> tuple[int, int]:
    """How many parts stood before, and their characters."""
    seen: set[str] = set()
    number = characters = 0
    for part in parts:
        if part in seen:
            number, characters = number + 1, characters + len(part)
        seen.add(part)
    return number, characters


def repeated_grams(words: list[str], n: int) -> int:
    seen: set[tuple[str, ...]] = set()
    characters = at = 0
    while at + n <= len(words):
        gram = tuple(words[at : at + n])
        if gram in seen:
            characters += sum(map(len, gram))
            at += n
        else:
            seen.add(gram)
            at += 1
    return characters
