"""One conversation cleaned: roles, HTML, widgets, error replies, identity. Pure functions on its messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from corpus.core.errors import UsageError
from instruct.clean_html import HTML_MODES, HtmlError, html_turns, to_markdown
from instruct.clean_identity import identity_statement, without_code
from instruct.clean_rounds import Round, Rounds, take_apart, take_out
from instruct.clean_text import ERROR, reply_fault, without_moderation_note, without_widgets
from instruct.forms_chat import Message

DUPLICATES = ("exact", "first_turns", "near", "id")
TOO_LONG = ("remove", "keep")


@dataclass(frozen=True)
class CleanOptions:
    """What changes the rows; the options of `instruct clean`."""

    html: str = "auto"
    languages: tuple[str, ...] = ()
    duplicates: tuple[str, ...] = ("exact", "first_turns", "near")
    threshold: float = 0.8
    keep_identity: bool = False
    keep_rest: bool = False
    max_tokens: int | None = None
    tokenizer: str | None = None
    too_long: str = "remove"

    def __post_init__(self) -> None:
        if self.html not in HTML_MODES:
            raise UsageError(f"--html {self.html}: choose one of {', '.join(HTML_MODES)}")
        for name in self.duplicates:
            if name not in DUPLICATES:
                raise UsageError(f"--duplicates {name}: choose of {', '.join(DUPLICATES)}, or none")
        if not 0 < self.threshold <= 1:
            raise UsageError("--threshold must be above 0, at most 1")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise UsageError("--max-tokens must be at least 1")
        if self.tokenizer is not None and self.max_tokens is None:
            raise UsageError("--tokenizer counts for --max-tokens; give that too")
        if self.too_long not in TOO_LONG:
            raise UsageError(f"--too-long {self.too_long}: choose one of {', '.join(TOO_LONG)}")


@dataclass(frozen=True)
class Cleaned:
    """A conversation's rounds, kept and removed, and how many turns were edited, by kind."""

    parts: Rounds
    edits: Counter[str]


def clean_messages(messages: Sequence[Message], options: CleanOptions) -> Cleaned:
    """Clean a conversation's messages, whatever the order of their roles."""
    parts, edits = take_apart(messages), Counter[str]()
    broken = _edit_texts(parts, options.html, edits)
    system = str(parts.system["content"]) if parts.system else ""

    def fault(round_: Round) -> tuple[str, str]:
        if round_.number in broken:
            return broken[round_.number], ""
        if not round_.question["content"].strip():
            return "empty_question", ""
        reason, detail = reply_fault(round_.reply["content"])
        if not reason and not options.keep_identity:
            detail = identity_statement(round_.reply["content"], system)
            reason = "identity" if detail else ""
        return reason, detail

    take_out(parts, fault, options.keep_rest)
    return Cleaned(parts, edits)


def _edit_texts(parts: Rounds, html_mode: str, edits: Counter[str]) -> dict[int, str]:
    """Write HTML as Markdown and cut widgets in the kept rounds; the rounds where that fails, with reasons.

    A system turn is the work of a person, and is left as it is.
    """
    turns = [(str(turn["role"]), str(turn["content"])) for round_ in parts.kept for turn in _turns(round_)]
    flags = html_turns(turns, html_mode, ERROR)
    broken: dict[int, str] = {}
    for place, round_ in enumerate(parts.kept):
        texts = []
        for (role, text), is_html in zip(turns[2 * place : 2 * place + 2], flags[2 * place :], strict=False):
            try:
                texts.append(_edited(role, text, is_html, edits))
            except HtmlError as error:
                broken[round_.number] = str(error)
                texts.append(text)
        question, reply = ({**turn, "content": text} for turn, text in zip(_turns(round_), texts, strict=True))
        parts.kept[place] = replace(round_, question=question, reply=reply)
    return broken


def _turns(round_: Round) -> tuple[Message, Message]:
    return round_.question, round_.reply


def _edited(role: str, text: str, is_html: bool, edits: Counter[str]) -> str:
    if is_html:
        text = to_markdown(text)
        edits["html"] += 1
    bare = without_widgets(text, role)
    if role == "assistant":
        bare = without_moderation_note(bare)
    edits["widgets"] += bare != text
    return bare


def language_text(rounds: Sequence[Round]) -> str:
    """What tells the language of rounds: their texts without code, or with it where there is nothing else."""
    texts = [str(turn["content"]) for round_ in rounds for turn in _turns(round_)]
    return "\n".join(map(without_code, texts)).strip() or "\n".join(texts)
