"""Conversations as token ids and a mask of the tokens that the loss counts.

Control tokens are inserted here; the content of a message is always encoded as ordinary text, so a message that
spells `<|im_end|>` stays text. The form is ChatML, equal to what the tokenizer's own chat template gives for
content that spells no control token (`check_template`). A tokenizer without these control tokens goes through
its own template, which must mark the replies with `{% generation %}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

from transformers import PreTrainedTokenizerBase

from corpus.core.errors import ZeroToOneError
from corpus.tokens.tokenizer import END_OF_TEXT, TURN_END, TURN_START, chat_template

Messages = Sequence[Mapping[str, str]]


@dataclass(frozen=True)
class Encoded:
    """Token ids, and for each whether the loss counts it: replies and the token that ends each of them."""

    ids: list[int]
    targets: list[bool]


class EncodingError(ValueError):
    """A conversation that cannot be encoded; its text is the reason under which it is set aside."""


class ChatEncoder(Protocol):
    """How one tokenizer writes conversations. Both methods raise EncodingError."""

    stop_ids: tuple[int, ...]

    def encode(self, messages: Messages) -> Encoded:
        """A whole conversation, ending with the token that ends its last reply."""

    def prompt(self, messages: Messages) -> list[int]:
        """What stands before the next reply: `messages` end with a user's turn."""


def chat_encoder(tokenizer: PreTrainedTokenizerBase, name: str = "tokenizer") -> ChatEncoder:
    """The encoder for a tokenizer; `name` stands in errors. A missing template is filled in where ours fits.

    Raises ZeroToOneError when replies cannot be told apart from the rest.
    """
    vocabulary = tokenizer.get_vocab()
    if TURN_START in vocabulary and TURN_END in vocabulary:
        encoder = ControlTokenEncoder(tokenizer)
        if tokenizer.chat_template is None:
            tokenizer.chat_template = chat_template()
        difference = check_template(encoder, tokenizer)
        if difference is None:
            return encoder
    else:
        difference = f"it has no {TURN_START} and {TURN_END}"
    if not re.search(r"\{%-?\s*generation\b", str(tokenizer.chat_template)):
        raise ZeroToOneError(
            f"{name}: cannot tell replies from the rest: {difference}, and its chat template does not mark them "
            "with {% generation %}"
        )
    return TemplateEncoder(tokenizer)


class PlainText:
    """Encodes text so that no control token results, whatever the text spells."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        added = tokenizer.added_tokens_decoder
        self.control = {i for i, token in added.items() if token.special} | set(tokenizer.all_special_ids)
        self.control.discard(tokenizer.unk_token_id)
        spelled = sorted(
            {added[i].content for i in self.control if i in added}, key=lambda text: (-len(text), text)
        )
        self._spelled = re.compile("|".join(map(re.escape, spelled)) or r"(?!)")

    def encode(self, text: str) -> list[int]:
        """Ids of `text`. Raises EncodingError where the text is no valid Unicode or spells control ids only."""
        ids = self._ids(text)
        if self.control.isdisjoint(ids):
            return ids
        # Unigram and word-level vocabularies hold the control tokens as ordinary pieces: cut inside each.
        ids = list(chain.from_iterable(self._ids(piece) for piece in self._cut(text)))
        if not self.control.isdisjoint(ids):
            raise EncodingError("control_token_in_text")
        return ids

    def spells_control(self, text: str) -> bool:
        """Whether the text contains the spelling of a control token."""
        return self._spelled.search(text) is not None

    def _ids(self, text: str) -> list[int]:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise EncodingError("lone_surrogate") from None
        encoded = self._tokenizer(text, add_special_tokens=False, split_special_tokens=True, verbose=False)
        return list(encoded["input_ids"])

    def _cut(self, text: str) -> Iterator[str]:
        last = 0
        for match in self._spelled.finditer(text):
            yield text[last : match.start() + 1]
            last = match.start() + 1
        yield text[last:]


class ControlTokenEncoder:
    """ChatML with the tokenizer's own control tokens.

    A reply is encoded on its own, as the model will write it: after the fixed prompt `<|im_start|>assistant\\n`.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        vocabulary = tokenizer.get_vocab()
        self._text = PlainText(tokenizer)
        self._start, self._end = vocabulary[TURN_START], vocabulary[TURN_END]
        self._line_break = self._text.encode("\n")
        self._reply_prompt = [self._start, *self._text.encode("assistant\n")]
        ends = [self._end, tokenizer.eos_token_id, vocabulary.get(END_OF_TEXT)]
        self.stop_ids = tuple(dict.fromkeys(i for i in ends if i is not None))

    def encode(self, messages: Messages) -> Encoded:
        """See ChatEncoder."""
        ids: list[int] = []
        targets: list[bool] = []
        for message in messages:
            fixed, reply = self._turn(message)
            ids += [*(self._line_break if ids else []), *fixed, *reply]
            targets += [False] * (len(ids) - len(targets) - len(reply)) + [True] * len(reply)
        return Encoded(ids, targets)

    def prompt(self, messages: Messages) -> list[int]:
        """See ChatEncoder."""
        return [*self.encode(messages).ids, *(self._line_break if messages else []), *self._reply_prompt]

    def _turn(self, message: Mapping[str, str]) -> tuple[list[int], list[int]]:
        """Ids before the loss and in it."""
        role, content = message["role"], message["content"]
        if role == "assistant":
            return self._reply_prompt, [*self._text.encode(content), self._end]
        return [self._start, *self._text.encode(f"{role}\n{content}"), self._end], []


class TemplateEncoder:
    """The tokenizer's own chat template. It cannot hold content that spells a control token: EncodingError."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer, self._text = tokenizer, PlainText(tokenizer)
        sample = self.encode(_SAMPLES[0])
        last = max((place for place, target in enumerate(sample.targets) if target), default=None)
        ends = [sample.ids[last] if last is not None else None, tokenizer.eos_token_id]
        self.stop_ids = tuple(dict.fromkeys(i for i in ends if i in self._text.control))

    def encode(self, messages: Messages) -> Encoded:
        """See ChatEncoder."""
        self._refuse_control(messages)
        encoded: Any = self._tokenizer.apply_chat_template(
            [dict(message) for message in messages], return_dict=True, return_assistant_tokens_mask=True
        )
        targets = [bool(mask) for mask in encoded["assistant_masks"]]
        size = max((place + 1 for place, target in enumerate(targets) if target), default=len(targets))
        return Encoded(list(encoded["input_ids"])[:size], targets[:size])

    def prompt(self, messages: Messages) -> list[int]:
        """See ChatEncoder."""
        self._refuse_control(messages)
        return template_prompt(self._tokenizer, messages)

    def _refuse_control(self, messages: Messages) -> None:
        if any(self._text.spells_control(message["content"]) for message in messages):
            raise EncodingError("control_token_in_text")


def template_prompt(tokenizer: PreTrainedTokenizerBase, messages: Messages) -> list[int]:
    """The ids that the tokenizer's chat template puts before the next reply."""
    rows = [dict(message) for message in messages]
    ids: Any = tokenizer.apply_chat_template(rows, add_generation_prompt=True, return_dict=False)
    return list(ids)


def check_template(encoder: ChatEncoder, tokenizer: PreTrainedTokenizerBase) -> str | None:
    """What differs between an encoder and the tokenizer's chat template on a few conversations, or None.

    Models are served through their template: a model trained on another form answers worse without any error.
    """
    for messages in _SAMPLES:
        try:
            served = template_prompt(tokenizer, messages[:-1])
        except Exception as error:  # noqa: BLE001 - templates are programs and raise what they like
            return f"its chat template fails ({' '.join(str(error).split())[:200]})"
        if encoder.prompt(messages[:-1]) != served:
            return "its chat template gives other tokens than ChatML"
        trained = encoder.encode(messages).ids
        if trained[: len(served)] != served:
            return "training would put other tokens before a reply than its chat template does"
    return None


def encode_within(encoder: ChatEncoder, messages: Messages, limit: int) -> tuple[Encoded, int]:
    """Encode as many whole rounds from the start as fit into `limit` tokens; also says how many were cut off.

    Raises EncodingError: `too_long` when not even the first round fits, `no_targets` when the loss would count
    nothing, and the encoder's own reasons.
    """
    ends = [place + 1 for place, message in enumerate(messages) if message["role"] == "assistant"]
    for cut, end in enumerate(reversed(ends)):
        encoded = encoder.encode(messages[:end])
        if not any(encoded.targets):
            raise EncodingError("no_targets")
        if len(encoded.ids) <= limit:
            return encoded, cut
    raise EncodingError("too_long")


_SAMPLES: tuple[list[dict[str, str]], ...] = (
    [{"role": "user", "content": "Name a colour."}, {"role": "assistant", "content": "Blue."}],
    [
        {"role": "system", "content": "Answer in one word.\nBe kind."},
        {"role": "user", "content": "  1 + 1 = ?\n\n"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": "请用中文再说一遍。"},
        {"role": "assistant", "content": "二"},
    ],
    [
        {"role": "user", "content": "\n\tprint('hi')  # 你好"},
        {"role": "assistant", "content": "It prints `hi`.\n\n```\nhi\n```\n"},
    ],
)
