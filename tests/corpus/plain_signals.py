"""The signals once more in plain Python, from their definitions: slow, and shares no code with the array form."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

ENDS = ".!?。！？．"


def plain_signals(text: str, words: list[str]) -> dict[str, float]:
    """Every signal that does not need a language; `words` are the text's words, punctuation included."""
    size, count = len(text), len(words)
    plain = [word for word in words if any(unicodedata.category(c)[0] in "LMN" for c in word)]
    result = {
        "characters": size,
        "word_count": len(plain),
        "token_count": count,
        "mean_word_length": share(sum(map(len, plain)), len(plain)),
        "max_word_length": max(map(len, plain), default=0),
        "alphabetic_word_fraction": share(sum(any(c.isalpha() for c in word) for word in words), count),
        "stop_words_en": len({"the", "be", "to", "of", "and", "that", "have", "with"} & set(words)),
        "stop_words_zh": len(set("的年在月是和日了於·為有被人中为他與後也而由") & set(words)),
        "hash_per_word": share(text.count("#"), count),
        "ellipsis_per_word": share(text.count("...") + text.count("…"), count),
        "newlines_per_word": share(text.count("\n"), count),
        "curly_brackets": text.count("{"),
        "han_character_fraction": share(len(re.findall("[\u4e00-\u9fd5]", text)), size),
        "lorem_ipsum": text.lower().count("lorem ipsum"),
        "javascript_lines": sum("javascript" in line.lower() for line in text.splitlines()),
    }
    return result | lines(text) | repetition(text, words)


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
