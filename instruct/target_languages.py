"""Languages to translate into: names and numbers of speakers (`prompts/languages.yaml`), draws, checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from corpus.core.errors import UsageError
from corpus.core.files import stable_fraction
from corpus.text.language import CHINESE, identify
from instruct.language import has_chinese
from instruct.prompt import read_yaml

SPEAKERS = "speakers"
_FILE = Path(__file__).parent / "prompts" / "languages.yaml"
_ENOUGH = 40  # bytes of letters, for a language to be told: 40 Latin letters, 13 Chinese characters
_LEAST_CERTAIN = 0.5


@dataclass(frozen=True)
class TargetLanguage:
    """A language: code, names in English and Chinese, millions of speakers, codes that it is taken for."""

    code: str
    name: str
    name_zh: str
    speakers: float
    alike: tuple[str, ...] = ()

    def named(self, language: str) -> str:
        """Its name in prompts of a language."""
        return self.name_zh if language == "zh" else self.name


@cache
def target_languages() -> dict[str, TargetLanguage]:
    """All languages by code."""
    return {
        code: TargetLanguage(code, **{**entry, "alike": tuple(entry.get("alike", ()))})
        for code, entry in read_yaml(_FILE).items()
    }


def chosen_languages(to: str) -> list[TargetLanguage]:
    """The languages that `--to` names: one code, several with commas, or `speakers` for all. Raises UsageError."""
    known = target_languages()
    if to == SPEAKERS:
        return list(known.values())
    codes = list(dict.fromkeys(code.strip().lower() for code in to.split(",")))
    for code in codes:
        if code not in known:
            raise UsageError(f"--to {code or to}: choose of {', '.join(known)}, or {SPEAKERS}")
    return [known[code] for code in codes]


def draw_language(
    languages: Sequence[TargetLanguage], key: str, seed: int, besides: str = ""
) -> TargetLanguage | None:
    """One of the languages by their numbers of speakers, but not `besides`; None where no other is left."""
    others = [language for language in languages if language.code != besides]
    point = stable_fraction(f"language\x00{key}", seed) * sum(language.speakers for language in others)
    for language in others:
        point -= language.speakers
        if point < 0:
            return language
    return others[-1] if others else None


def language_of(text: str, stated: str = "") -> str:
    """The code of a text's language: as stated, else told from the text, by its script where that is short."""
    if stated:
        return stated.replace("_", "-").partition("-")[0].lower()
    code = _identified(text)
    if code:
        return "zh" if code in CHINESE else code
    return "zh" if has_chinese(text) else "en"


def other_language(text: str, target: TargetLanguage) -> str:
    """The language of a text where it is certainly not the target, else ""."""
    code = _identified(text)
    return "" if code in ("", target.code, *target.alike) else code


def _identified(text: str) -> str:
    """The language of a text, or "" where there is too little of it, or it is not certain."""
    if sum(len(letter.encode()) for letter in text if letter.isalpha()) < _ENOUGH:
        return ""
    (code,), (score,) = identify([text])
    return code if score >= _LEAST_CERTAIN else ""
