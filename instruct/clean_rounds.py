"""Conversations as rounds, a question and its reply. What is no round is taken out, with a reason.

A conversation is worth as much as its context is whole. So where the turns stop alternating, the rounds before
that place stay and the rest goes: joining two questions would pretend that the first had no reply, and a second
reply in a row answers what is not there. The same holds behind a round that is taken out, unless its question is
asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from corpus.core.conversations import ROLES
from instruct.forms_chat import Message

CONTEXT_LOST = "context_lost"


@dataclass(frozen=True)
class Round:
    """A question and its reply; `number` is that of the question among the conversation's, from 1."""

    number: int
    question: Message
    reply: Message


@dataclass(frozen=True)
class Removed:
    """Turns that were taken out of a conversation: why, and the numbers of their rounds."""

    reason: str
    detail: str
    rounds: tuple[int, ...]
    messages: tuple[Message, ...]


@dataclass
class Rounds:
    """A conversation taken apart: its system turn, the rounds that stay, and what was removed."""

    system: Message | None = None
    kept: list[Round] = field(default_factory=list)
    removed: list[Removed] = field(default_factory=list)

    def remove(self, reason: str, messages: Sequence[Message], first_round: int, detail: str = "") -> None:
        """Take out turns; `first_round` is the number of the first question among them."""
        questions = sum(message["role"] == "user" for message in messages)
        numbers = tuple(range(first_round, first_round + questions))
        self.removed.append(Removed(reason, detail, numbers, tuple(messages)))


def take_apart(messages: Sequence[Message]) -> Rounds:
    """Part the turns of a conversation into rounds.

    Replies before the first question, a turn that repeats the one before it word for word, and a question at the
    end without a reply are removed; so is all from where the turns do not alternate, or one has an unknown role or
    no text.
    """
    parts = Rounds()
    turns = list(messages)
    if turns and _fault(turns[0]) is None and turns[0]["role"] == "system":
        parts.system = turns.pop(0)
    leading = next((place for place, turn in enumerate(turns) if turn["role"] != "assistant"), len(turns))
    if leading:
        parts.remove("leading_reply", turns[:leading], 1)
    place, number = leading, 0
    while place < len(turns):
        turn, after = turns[place], turns[place + 1] if place + 1 < len(turns) else None
        reason = _fault(turn) or ("" if turn["role"] == "user" else _out_of_turn(turn))
        if reason:
            parts.remove(reason, turns[place:], number + 1)
            break
        if after == turn:
            number += 1
            parts.remove("repeated_turn", [turn], number)
            place += 1
            continue
        if after is None or _fault(after) or after["role"] != "assistant":
            reason = "no_reply" if after is None else _fault(after) or _out_of_turn(after)
            parts.remove(reason, turns[place:], number + 1)
            break
        number += 1
        parts.kept.append(Round(number, turn, after))
        place += 2
        while place < len(turns) and turns[place] == after:
            parts.remove("repeated_turn", [turns[place]], number)
            place += 1
    return parts


def _fault(turn: Message) -> str | None:
    if turn["role"] not in ROLES:
        return "unknown_role"
    return None if isinstance(turn["content"], str) else "content_not_text"


def _out_of_turn(turn: Message) -> str:
    return "system_turn_inside" if turn["role"] == "system" else "roles_do_not_alternate"


def take_out(parts: Rounds, fault: Callable[[Round], tuple[str, str]], keep_rest: bool) -> None:
    """Remove the rounds for which `fault` gives a reason and its evidence, and what stands behind them.

    What follows stays where its first question repeats that of the removed round, or with `keep_rest`.
    """
    kept: list[Round] = []
    for place, round_ in enumerate(parts.kept):
        reason, detail = fault(round_)
        if not reason:
            kept.append(round_)
            continue
        parts.remove(reason, [round_.question, round_.reply], round_.number, detail)
        rest = parts.kept[place + 1 :]
        if rest and not keep_rest and not _same(rest[0].question, round_.question):
            for lost in rest:
                why, _ = fault(lost)
                parts.remove(
                    why or CONTEXT_LOST,
                    [lost.question, lost.reply],
                    lost.number,
                    f"behind round {round_.number}: {reason}",
                )
            break
    parts.kept = kept


def _same(first: Message, second: Message) -> bool:
    return " ".join(first["content"].split()) == " ".join(second["content"].split())


def messages_of(system: Message | None, rounds: Sequence[Round]) -> list[dict[str, Any]]:
    """Rounds as messages again, behind the system turn."""
    turns = [message for round_ in rounds for message in (round_.question, round_.reply)]
    return [*([system] if system is not None else []), *turns]
