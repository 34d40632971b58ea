"""KenLM language models, and the perplexity of texts under them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any

from corpus.core.errors import ZeroToOneError
from corpus.quality.ccnet_text import normalize
from corpus.quality.normalisation import words_apart
from corpus.text.words import chunks

LONGEST_TEXT = 1_000_000  # characters: bounds the memory that one document takes
_LARGEST_EXPONENT = 300.0  # a model may give a word no probability at all
_EXTRA = "`corpus quality perplexity` needs the extra: pip install 'zero-to-one[kenlm]'"
_KENLM_CAUSE = re.compile(r" threw [\w:]+(?: because `.*?')?\. (.*?)(?: in file .*)?\)?$", re.DOTALL)


@dataclass(frozen=True)
class LanguageModel:
    """A KenLM model's file and how texts become what it was trained on.

    `tokenizer` is a SentencePiece model's file; without one, tokens are words and punctuation (`find_words`).
    `normalized` texts are as CCNet's (`ccnet_text.normalize`). `by_line`: each line is a sentence; otherwise all
    lines are one, run together, as CCNet's code has it.
    """

    path: str
    sha256: str
    tokenizer: str | None = None
    tokenizer_sha256: str | None = None
    normalized: bool = True
    by_line: bool = True

    def identity(self) -> dict[str, Any]:
        """All that the perplexities depend on: not where the files lie."""
        return {
            "sha256": self.sha256,
            "tokenizer_sha256": self.tokenizer_sha256,
            "normalized": self.normalized,
            "by_line": self.by_line,
        }

    def perplexities(self, texts: Sequence[str]) -> list[float | None]:
        """The perplexity of every text, at least 0; None for one without tokens.

        10 ** -(log10 probability of all its sentences / number of their tokens, each sentence's end counted as
        one), as in CCNet's `DocLM`; sentences without tokens are left out. The first million characters count.
        """
        return [value for part in chunks([text[:LONGEST_TEXT] for text in texts]) for value in self._part(part)]

    def _part(self, texts: Sequence[str]) -> Iterator[float | None]:
        sentences = [self._sentences(text) for text in texts]
        firsts = accumulate((len(found) for found in sentences), initial=0)
        lines = self.token_lines([sentence for found in sentences for sentence in found])
        model = load_language_model(self.path)
        for first, last in pairwise(firsts):
            yield _perplexity(model, lines[first:last])

    def _sentences(self, text: str) -> list[str]:
        parts = text.split("\n") if self.by_line else [text]
        return [normalize(part) for part in parts] if self.normalized else parts

    def token_lines(self, sentences: Sequence[str]) -> list[str]:
        """Normalised sentences as lines of tokens with a blank between: what the model is trained on."""
        if self.tokenizer is None:
            return [line for part in chunks(sentences) for line in words_apart(part)]
        tokenizer = load_tokenizer(self.tokenizer)
        return [" ".join(pieces) for pieces in tokenizer.encode(list(sentences), out_type=str, num_threads=1)]


def _perplexity(model: Any, lines: Sequence[str]) -> float | None:
    score, count = 0.0, 0
    for line in lines:
        data = line.encode("utf-8", "replace")
        tokens = len(data.split())  # KenLM splits bytes: not at no-break spaces
        if tokens:
            score += model.score(data)
            count += tokens + 1
    return 10.0 ** min(-score / count, _LARGEST_EXPONENT) if count else None


@lru_cache(maxsize=64)
def load_language_model(path: str) -> Any:
    """KenLM's model in a file, once in a process.

    A binary one is mapped into memory, so that all processes share it; ARPA text is read. Raises ZeroToOneError
    for what KenLM cannot load.
    """
    try:
        import kenlm
    except ImportError:
        raise ZeroToOneError(_EXTRA) from None
    configuration = kenlm.Config()
    configuration.load_method = kenlm.LoadMethod.POPULATE_OR_LAZY
    configuration.show_progress = False
    configuration.arpa_complain = kenlm.ARPALoadComplain.NONE
    try:
        return kenlm.Model(path, configuration)
    except UnicodeDecodeError:  # of KenLM's message, which quotes the file
        raise ZeroToOneError(f"{path}: not a KenLM model, binary or ARPA") from None
    except (OSError, RuntimeError) as error:
        found = _KENLM_CAUSE.search(str(error))
        cause = " ".join((found[1] if found else str(error)).split())
        raise ZeroToOneError(f"{path}: not a readable KenLM model: {cause[:200]}") from None


@lru_cache(maxsize=64)
def load_tokenizer(path: str) -> Any:
    """A SentencePiece model, once in a process. Raises ZeroToOneError for what is none."""
    try:
        import sentencepiece
    except ImportError:
        raise ZeroToOneError(_EXTRA) from None
    try:
        return sentencepiece.SentencePieceProcessor(model_file=path)
    except (OSError, RuntimeError, ValueError):
        raise ZeroToOneError(f"{path}: not a SentencePiece model") from None
