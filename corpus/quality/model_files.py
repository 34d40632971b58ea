"""The files that `corpus quality perplexity` is given: language models and tokenizers, by language."""

from __future__ import annotations

import re
import shutil
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from gzip import BadGzipFile
from gzip import open as open_gzip
from pathlib import Path

from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import file_hash, write_atomically
from corpus.quality.language_model import LanguageModel, load_language_model, load_tokenizer

ANY = "any"  # stands for every language without a model of its own
_LANGUAGE = re.compile(r"([a-z]{2,3})=(.*)", re.DOTALL)
_GZIP = b"\x1f\x8b"


def open_language_models(
    models: Sequence[str], tokenizers: Sequence[str], *, normalized: bool, by_line: bool
) -> dict[str, LanguageModel]:
    """Language models by language, from settings `LANG=FILE`, or `FILE` for every other language (`any`).

    Each file is loaded once, to see whether it is a model; a gzipped one when it is unpacked. Raises UsageError
    for a language that is named twice and for a tokenizer without a model, ZeroToOneError for what is no model.
    """
    if not models:
        raise UsageError("--model names a language model: LANG=FILE, or FILE for all languages")
    places, pieces = _by_language(models, "--model"), _by_language(tokenizers, "--tokenizer")
    for language in pieces:
        if language not in places:
            raise UsageError(f"--tokenizer {language}={pieces[language]}: no --model for this language")
    opened = {}
    for language, path in sorted(places.items()):
        tokenizer = pieces.get(language)
        _check(path, tokenizer)
        digest = file_hash(Path(tokenizer)) if tokenizer else None
        opened[language] = LanguageModel(path, file_hash(Path(path)), tokenizer, digest, normalized, by_line)
    return opened


def unpack(models: Mapping[str, LanguageModel], folder: Path) -> dict[str, LanguageModel]:
    """The models with those that are gzipped unpacked into a folder: KenLM reads none of these everywhere."""
    return {language: _unpacked(model, folder) for language, model in models.items()}


def _unpacked(model: LanguageModel, folder: Path) -> LanguageModel:
    if not _is_gzip(model.path):
        return model
    place = folder / f"{model.sha256}.arpa"
    if not place.exists():
        try:
            with (
                write_atomically(place) as temporary,
                open_gzip(model.path) as packed,
                temporary.open("wb") as target,
            ):
                shutil.copyfileobj(packed, target, 2**20)
        except (EOFError, BadGzipFile, zlib.error) as error:
            raise ZeroToOneError(f"{model.path}: truncated or damaged gzip: {error}") from None
    return replace(model, path=str(place))


def _by_language(settings: Sequence[str], option: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for setting in settings:
        match = _LANGUAGE.fullmatch(setting)
        language, path = (match[1], match[2]) if match else (ANY, setting)
        if not path:
            raise UsageError(f"{option} {setting}: write LANG=FILE, or FILE for all languages")
        if language in found:
            raise UsageError(f"{option} {setting}: a second file for {language}")
        found[language] = path
    return found


def _check(path: str, tokenizer: str | None) -> None:
    for place in (path, tokenizer):
        if place is not None and not Path(place).is_file():
            raise ZeroToOneError(f"{place}: no such file")
        if place is not None and not Path(place).stat().st_size:
            raise ZeroToOneError(f"{place}: empty file")
    if tokenizer is not None:
        load_tokenizer(tokenizer)
    if not _is_gzip(path):
        load_language_model.__wrapped__(path)  # not kept here: workers load their own


def _is_gzip(path: str) -> bool:
    with Path(path).open("rb") as handle:
        return handle.read(2) == _GZIP
