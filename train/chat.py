"""`train chat`: talk to a model in the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from corpus.core.errors import ZeroToOneError
from corpus.tokens.scoring import context_length
from corpus.tokens.tokenizer import TURN_END, TURN_START
from train.chat_encoding import ChatEncoder, EncodingError, Messages, PlainText, TemplateEncoder, chat_encoder
from train.generation import Sampling, TextStream, generate

_ROOM_FOR_REPLY = 4  # the prompt may fill the context but for a fourth


@dataclass
class Reply:
    """How a reply went, filled in while it is written."""

    text: str = ""
    tokens: int = 0
    stopped: bool = False


def is_tuned(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a model answers in turns: it has a chat template, and with ChatML it ends at the end of a turn."""
    if tokenizer.chat_template is None:
        return False
    vocabulary = tokenizer.get_vocab()
    if TURN_START in vocabulary and TURN_END in vocabulary:
        return vocabulary[TURN_END] in _configured_ends(model)
    return True


def stop_ids(model: PreTrainedModel, encoder: ChatEncoder) -> tuple[int, ...]:
    """The tokens that end a reply."""
    return tuple(dict.fromkeys([*encoder.stop_ids, *_configured_ends(model)]))


def prompt_ids(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, messages: Messages
) -> tuple[list[int], tuple[int, ...]]:
    """What a model is given for a conversation, and the tokens that end what it writes.

    A tuned model gets the conversation, without its oldest rounds where it is too long for the context; a base
    model gets the text of the last message, to go on with. Raises ZeroToOneError where the last message alone is
    too long or cannot be encoded.
    """
    try:
        return _prompt_ids(model, tokenizer, messages)
    except EncodingError as error:
        raise ZeroToOneError(f"this text cannot be given to the model ({error})") from None


def stream_reply(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    messages: Messages,
    sampling: Sampling,
    reply: Reply,
) -> Iterator[str]:
    """Yield a reply's text piece by piece, whole characters only; `reply` is filled in on the way."""
    ids, stops = prompt_ids(model, tokenizer, messages)
    stream = TextStream(tokenizer)
    for token in generate(model, ids, stops, sampling, PlainText(tokenizer).control):
        reply.tokens += 1
        if token in stops:
            reply.stopped = True
            break
        reply.text += (piece := stream.add(token))
        yield printable(piece)
    reply.text += (piece := stream.end())
    yield printable(piece)


def printable(text: str) -> str:
    """Text without the control characters that a terminal would obey."""
    return "".join(c for c in text if c in "\n\t" or not (ord(c) < 32 or 127 <= ord(c) < 160))


def valid_text(text: str) -> str:
    """Text as typed: bytes that were no UTF-8 become replacement characters."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def converse(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    system: str | None,
    sampling: Sampling,
    read: Callable[[], str],
    write: Callable[[str], None],
) -> None:
    """Talk until `read` raises EOFError or KeyboardInterrupt; Ctrl-C within a reply ends the reply only.

    Each turn draws with a seed of its own. What does not fit the context any more is forgotten, oldest first.
    """
    tuned = is_tuned(model, tokenizer)
    first = [{"role": "system", "content": system}] if system else []
    messages: list[dict[str, str]] = list(first)
    turn = 0
    while True:
        try:
            text = valid_text(read())
        except (EOFError, KeyboardInterrupt):
            write("\n")
            return
        if not text.strip():
            continue
        messages = [*(messages if tuned else first), {"role": "user", "content": text}]
        reply = Reply()
        try:
            for piece in stream_reply(
                model, tokenizer, messages, replace(sampling, seed=sampling.seed + turn), reply
            ):
                write(piece)
        except ZeroToOneError as error:
            write(str(error))
        except KeyboardInterrupt:
            write(" …")
        write("\n")
        turn += 1
        if reply.tokens:
            messages.append({"role": "assistant", "content": reply.text})
        else:
            messages.pop()


def _prompt_ids(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, messages: Messages
) -> tuple[list[int], tuple[int, ...]]:
    limit = context_length(model) - context_length(model) // _ROOM_FOR_REPLY
    if not is_tuned(model, tokenizer):
        ids = [int(tokenizer.eos_token_id), *PlainText(tokenizer).encode(messages[-1]["content"])]
        return ids[-limit:], (int(tokenizer.eos_token_id),)
    encoder = _prompt_encoder(tokenizer)
    kept = list(messages)
    first = 1 if kept[0]["role"] == "system" else 0
    ids = encoder.prompt(kept)
    while len(ids) > limit:
        if len(kept) <= first + 1:
            raise ZeroToOneError(f"the message has {len(ids)} tokens with its frame, the model takes {limit}")
        del kept[first : first + 2]
        ids = encoder.prompt(kept)
    return ids, stop_ids(model, encoder)


def _configured_ends(model: PreTrainedModel) -> Sequence[int]:
    ends: Any = model.generation_config.eos_token_id if model.generation_config else None
    if ends is None:
        return []
    return list(ends) if isinstance(ends, (list, tuple)) else [int(ends)]


def _prompt_encoder(tokenizer: PreTrainedTokenizerBase) -> ChatEncoder:
    """To answer, a template need not mark replies."""
    try:
        return chat_encoder(tokenizer)
    except ZeroToOneError:
        return TemplateEncoder(tokenizer)
