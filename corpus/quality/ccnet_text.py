"""Text as CCNet's language models were trained on it (Wenzek et al. 2020; `text_normalizer` of its code)."""

from __future__ import annotations

import unicodedata

# As ASCII: what stands on the left, for each of the characters on the right.
_PUNCTUATION = {
    '"': "„”“«»「」《》",
    "'": "´’",
    ",": "，、",
    ".": "。",
    ". ": "．",
    "...": "…",
    ":": "∶：",
    ";": "；",
    "?": "？",
    "!": "！",
    "(": "（",
    ")": "）",
    "[": "【",
    "]": "】",
    "<": "〈",
    ">": "〉",
    "-": "–━►",
    " - ": "—",
    "~": "～",
    "%": "％",
}


class _Replacements(dict[int, str | None]):
    """Code point → what it becomes (None: nothing), filled as characters are met."""

    def __missing__(self, code: int) -> str | None:
        character = chr(code)
        category = unicodedata.category(character)
        if category == "Nd":
            found: str | None = "0"
        elif category in ("Mn", "Cc"):
            found = None
        else:
            found = next((ascii for ascii, many in _PUNCTUATION.items() if character in many), character)
        self[code] = found
        return found


_REPLACEMENTS = _Replacements()


def normalize(text: str) -> str:
    """The text in lower case, without accents and control characters, digits as 0, punctuation as ASCII.

    CCNet's rule, to the letter: outer white space goes; letters are decomposed (NFD) and combining marks (Mn) go,
    so that kana lose their voicing, Thai its vowel signs, and Hangul stands as jamo; each decimal digit of any
    script becomes `0`; 33 marks become ASCII, a dash ` - `, but `‘` and `·` stay; control characters go without a
    blank in their place, tabs and line ends too.
    """
    return unicodedata.normalize("NFD", text.strip().lower()).translate(_REPLACEMENTS)
