"""Conversations ready for training: encoded, with those that cannot be used set aside by reason."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from corpus.core.console import progress
from corpus.core.conversations import Conversation, read_conversations
from corpus.core.errors import ZeroToOneError
from corpus.core.files import stable_fraction, write_atomically
from train.chat_encoding import ChatEncoder, EncodingError, encode_within

_WITHOUT_TARGETS = 0.5  # more conversations than this without anything to learn: the template or the data is wrong


@dataclass(frozen=True)
class EncodedConversation:
    """A conversation, its `ids` int32 and `targets` bool (both [tokens]), and how many rounds were cut off."""

    conversation: Conversation
    ids: np.ndarray
    targets: np.ndarray
    rounds_cut: int


class SetAside:
    """Records that cannot be used: counted by reason, kept in order; with `strict` the first one is an error."""

    def __init__(self, strict: bool = False) -> None:
        self.strict = strict
        self.entries: list[dict[str, str]] = []

    def __call__(self, place: str, reason: str, record: str = "") -> None:
        """Keep one record."""
        if self.strict:
            raise ZeroToOneError(f"{place}: {reason}")
        self.entries.append({"place": place, "reason": reason, "record": record[:1000]})

    def reasons(self) -> dict[str, int]:
        """How many records each reason took."""
        return dict(sorted(Counter(entry["reason"] for entry in self.entries).items()))

    def write(self, path: Path) -> None:
        """Write them as JSONL."""
        with write_atomically(path) as temporary, temporary.open("w", encoding="utf-8") as handle:
            for entry in self.entries:
                handle.write(json.dumps(entry, ensure_ascii=True) + "\n")


def conversation_files(inputs: Sequence[str | Path]) -> list[str]:
    """Files of conversations; a directory stands for its `conversations.jsonl`. ZeroToOneError where missing."""
    files = []
    for item in inputs:
        path = Path(item) / "conversations.jsonl" if Path(item).is_dir() else Path(item)
        if "://" not in str(item) and not path.is_file():
            raise ZeroToOneError(f"{path}: no such file")
        files.append(str(item) if "://" in str(item) else str(path))
    return files


def encode_conversations(
    files: Sequence[str], encoder: ChatEncoder, limit: int, set_aside: SetAside
) -> list[EncodedConversation]:
    """Read and encode conversations, each cut at whole rounds to `limit` tokens.

    Raises ZeroToOneError when none is left, or when the loss would count nothing in more than half of them.
    """
    with progress("encoding conversations", None, "conversations") as bar:
        kept = []
        for conversation in read_conversations(files, set_aside):
            bar.advance()
            try:
                encoded, cut = encode_within(encoder, conversation["messages"], limit)
            except EncodingError as error:
                record = json.dumps(conversation, ensure_ascii=True)
                set_aside(f"{conversation['source']}: conversation {conversation['id']}", str(error), record)
                continue
            ids = np.array(encoded.ids, np.int32)
            kept.append(EncodedConversation(conversation, ids, np.array(encoded.targets, bool), cut))
    reasons = set_aside.reasons()
    names = ", ".join(files)
    without = reasons.get("no_targets", 0)
    if without > _WITHOUT_TARGETS * (len(kept) + without):
        share = without / (len(kept) + without)
        raise ZeroToOneError(f"{names}: the loss would count no token in {share:.0%} of the conversations")
    if not kept:
        why = ", ".join(f"{reason} {count:,}" for reason, count in reasons.items()) or "the input is empty"
        hint = "; `instruct convert` reads other forms" if "no_messages" in reasons else ""
        raise ZeroToOneError(f"{names}: no conversation to train on ({why}){hint}")
    return kept


def is_held_out(identifier: str, share: float) -> bool:
    """Whether a conversation is kept from training: by its id alone, so the same in every run."""
    return stable_fraction(f"held_out\x00{identifier}") < share
