"""Personal identifiers in texts: e-mail and IP addresses, telephone, card and identity numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from corpus.privacy.addresses import find_email, find_ipv4, find_ipv6
from corpus.privacy.candidates import AT, IPV4, NUMBER, find_candidates
from corpus.privacy.numbers import FEWEST_DIGITS, find_numbers

# Kinds and their placeholders; of two that overlap the one that stands first here is taken. The names are
# Presidio's, which most tools of the field use, and its style for the Chinese ones.
PLACEHOLDERS = {
    "email": "<EMAIL_ADDRESS>",
    "ip": "<IP_ADDRESS>",
    "cn_id_card": "<CN_ID_CARD>",
    "cn_bank_card": "<CN_BANK_CARD>",
    "credit_card": "<CREDIT_CARD>",
    "cn_mobile": "<CN_MOBILE>",
    "phone": "<PHONE_NUMBER>",
}


class Identifier(NamedTuple):
    """An identifier: its text's number, its kind, first and end in characters."""

    text: int
    kind: str
    first: int
    end: int


def find_identifiers(texts: Sequence[str], kinds: Iterable[str] = tuple(PLACEHOLDERS)) -> list[Identifier]:
    """The identifiers of some kinds (names of PLACEHOLDERS) in the texts, in order, without overlap."""
    wanted = set(kinds)
    numbers = [kind for kind in FEWEST_DIGITS if kind in wanted]
    found: list[Identifier] = []
    for number, what, first, end, digits in find_candidates(texts).tolist():
        text = texts[number]
        if what == NUMBER:
            found += [Identifier(number, *one) for one in find_numbers(numbers, text, first, end, digits)]
        elif what == AT:
            if "email" in wanted and (span := find_email(text, first)):
                found.append(Identifier(number, "email", *span))
        elif "ip" in wanted:
            spans = find_ipv4(text, first, end) if what == IPV4 else find_ipv6(text, first)
            found += [Identifier(number, "ip", *span) for span in spans]
    return _without_overlap(found)


def redact(text: str, identifiers: Sequence[Identifier]) -> str:
    """The text with a placeholder for each of its identifiers, which are in order."""
    pieces, at = [], 0
    for identifier in identifiers:
        pieces += [text[at : identifier.first], PLACEHOLDERS[identifier.kind]]
        at = identifier.end
    return "".join([*pieces, text[at:]])


def _without_overlap(found: Sequence[Identifier]) -> list[Identifier]:
    """Of identifiers that overlap, those of the kind that goes first, then those that begin first."""
    ranks = {kind: rank for rank, kind in enumerate(PLACEHOLDERS)}
    kept: list[Identifier] = []
    for identifier in sorted(found, key=lambda item: (item.text, item.first, item.end)):
        while kept and kept[-1].text == identifier.text and kept[-1].end > identifier.first:
            if ranks[kept[-1].kind] <= ranks[identifier.kind]:
                break
            kept.pop()
        else:
            kept.append(identifier)
    return kept
