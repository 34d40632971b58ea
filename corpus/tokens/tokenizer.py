"""Byte-level BPE tokenizers, saved as a Hugging Face folder with special tokens and chat template."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import file_hash, read_json, write_atomically, write_json

END_OF_TEXT = "<|endoftext|>"
PAD = "<|pad|>"
TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"
SPECIAL_TOKENS = (END_OF_TEXT, PAD, TURN_START, TURN_END)
SMALLEST_VOCABULARY = 256 + len(SPECIAL_TOKENS)

_CJK = r"\p{Han}\p{Hiragana}\p{Katakana}"
_PIECES = "|".join(
    (
        r"(?i:'(?:s|t|re|ve|m|ll|d)(?![\p{L}\p{M}]))",
        rf"[{_CJK}]+",
        rf" ?[\p{{L}}\p{{M}}&&[^{_CJK}]]+",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)


def train_bpe(texts: Iterable[str], vocabulary_size: int) -> Tokenizer:
    """Train a byte-level BPE (Sennrich et al. 2016, with the bytes of GPT-2 as the alphabet) on `texts`.

    Pieces are cut before merging: runs of Chinese and Japanese characters, runs of other letters with one
    leading space, digits in groups of at most three, punctuation, white space. The special tokens have the
    ids 0 to 3, the 256 bytes follow; any text decodes to itself. The order of `texts` does not matter. A
    small corpus may give fewer tokens than asked: only pairs that occur at least twice are merged.

    Raises UsageError for a vocabulary too small for the bytes.
    """
    if vocabulary_size < SMALLEST_VOCABULARY:
        raise UsageError(f"--vocabulary-size {vocabulary_size}: at least {SMALLEST_VOCABULARY} (all bytes)")
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(_PIECES), behavior="isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    # It changes nothing; transformers adds the same when it saves, so that the file keeps its hash.
    tokenizer.post_processor = processors.TemplateProcessing(single="$A", pair="$A $B:1", special_tokens=[])
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        min_frequency=2,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, directory: Path) -> None:
    """Write the folder that `transformers.AutoTokenizer` opens, with special tokens and the chat template."""
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END_OF_TEXT,
        "pad_token": PAD,
        "extra_special_tokens": [TURN_START, TURN_END],
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
    }
    for name, text in (
        ("tokenizer.json", tokenizer.to_str(pretty=True)),
        ("chat_template.jinja", chat_template()),
    ):
        with write_atomically(directory / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    write_json(directory / "tokenizer_config.json", config)


def chat_template() -> str:
    """The ChatML template; `{% generation %}` marks the replies and their end tokens."""
    return resources.files("corpus.tokens").joinpath("chat_template.jinja").read_text(encoding="utf-8")


def load_tokenizer(directory: Path) -> Tokenizer:
    """Open a folder's tokenizer.json for plain text: special tokens that stand in a text become ordinary tokens.

    Raises ZeroToOneError when the file is missing or broken.
    """
    path = directory / "tokenizer.json"
    if not path.is_file():
        raise ZeroToOneError(f"{directory}: no tokenizer.json there")
    try:
        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # noqa: BLE001 (tokenizers raises nothing more precise)
        raise ZeroToOneError(f"{path}: not a tokenizer: {error}") from None
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def tokenizer_hash(directory: Path) -> str:
    """SHA-256 of a folder's tokenizer.json, which decides all ids."""
    path = directory / "tokenizer.json"
    if not path.is_file():
        raise ZeroToOneError(f"{directory}: no tokenizer.json there")
    return file_hash(path)


def end_of_text_id(directory: Path) -> int:
    """The id that ends a document: the folder's `eos_token`, else `<|endoftext|>`."""
    config_path = directory / "tokenizer_config.json"
    config: dict[str, Any] = read_json(config_path) if config_path.is_file() else {}
    token = config.get("eos_token") or END_OF_TEXT
    token = token["content"] if isinstance(token, dict) else token
    found = load_tokenizer(directory).token_to_id(token)
    if found is None:
        raise ZeroToOneError(f"{directory}: its end-of-text token {token!r} is not in the vocabulary")
    return int(found)
