"""Telephone, card and identity numbers within a candidate: forms, then checksums and numbering plans.

Every form is a pattern without nested repetition, tried on a candidate of digits and separators alone, so that
the time is linear in the text. A number is never part of a longer run of digits, letters or decimals.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

import phonenumbers

from corpus.privacy.candidates import fold
from corpus.privacy.checksums import is_cn_bank_card, is_cn_id, is_credit_card, is_date

_BEFORE, _SHORTEST = 48, 7
_NOT_INSIDE = r"(?<![0-9A-Za-z_.+#])(?<![0-9A-Za-z][-/])"
_NO_MORE = r"(?![0-9A-Za-z_])(?![-.]\d)"
_OPENING = r"(?:\((?=\+?\d{1,6}\)))?"  # a parenthesis that the number closes; one around all of it is not its own
_URL = re.compile(r"(?:://|\bwww\.|[?&？]\w+=)[!-~]*$")

_CARD = re.compile(
    _NOT_INSIDE
    + r"(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{1,4}(?:\1\d{1,3})?|\d{4}([ -])\d{6}\2\d{4,5}|\d{6}[ -]\d{10,13})"
    + _NO_MORE,
    re.ASCII,
)
_CN_ID = re.compile(_NOT_INSIDE + r"[1-9]\d{5}([ -]?)[12]\d{7}\1\d{3}[0-9Xx]" + _NO_MORE, re.ASCII)
_CN_MOBILE = re.compile(
    r"(?<![0-9A-Za-z_.#])(?<![0-9A-Za-z][-/+])(?:"
    + _OPENING
    + r"(?:\+|00)?86\)?[ -]?)?(1[3-9]\d)([ -]?)(\d{4})\2(\d{4})"
    + _NO_MORE,
    re.ASCII,
)
_INTERNATIONAL = re.compile(r"(?<![\w+])\+\(?[1-9](?:[ ().-]{0,3}\d){6,14}(?![A-Za-z_])", re.ASCII)
_NANP = re.compile(_NOT_INSIDE + r"(?:\+?1[-. ])?(?:\(\d{3}\)[ -]?|\d{3}[-.])\d{3}[-.]\d{4}" + _NO_MORE, re.ASCII)
_CN_LANDLINE = re.compile(
    _NOT_INSIDE + _OPENING + r"0(?:10|2[0-57-9]|[3-9]\d\d)(?:\)[ -]?|[ -])[2-8]\d{6,7}(?:-\d{1,6})?" + _NO_MORE,
    re.ASCII,
)
# Not behind another number of the candidate: the word for telephone stands in front of the first.
_FIRST = "".join(rf"(?<!\d[ ()./-]{{{gap}}})" for gap in range(4))
_NAMED = re.compile(_NOT_INSIDE + _FIRST + _OPENING + r"\d(?:[ ().-]{0,2}\d){6,14}" + _NO_MORE, re.ASCII)
_NAME = re.compile(
    r"\b(?:tel|telephone|phone|fax|mobile|cellphone|whatsapp|hotline|telefon|téléphone|"
    r"tél|teléfono|telefono|telefone|telefoon|telefax|tlf|puh|faks|faksas)\b"
    r"|电话|電話|手机|手機|传真|傳真|热线|熱線|座机|座機",
    re.IGNORECASE,
)
_NAMES = re.compile(
    f"(?:{_NAME.pattern})号?(?: ?(?:number|no|nr|num|is|号码?|號碼?|是|为))?[\\s.:：=(\"'“]{{0,4}}$", re.IGNORECASE
)
_CARD_NAME = re.compile(r"card|visa|卡", re.IGNORECASE)
_LONGEST_BARE = 16  # digits without separators; longer ones are mostly identifiers of posts and users
_DATE = re.compile(r"(?:19|20)\d\d[-. ]?(\d{1,2})[-. ]?(\d{1,2})")

FEWEST_DIGITS = {"cn_id_card": 17, "cn_bank_card": 16, "credit_card": 13, "cn_mobile": 11, "phone": 7}


def find_numbers(kinds: Sequence[str], text: str, first: int, end: int, digits: int) -> list[tuple[str, int, int]]:
    """The numbers of some kinds that begin within text[first:end], a candidate: each its kind, first and end.

    `digits` is how many the candidate has.
    """
    fitting = [kind for kind in kinds if digits >= FEWEST_DIGITS[kind]]
    if not fitting:
        return []
    start = max(0, first - _BEFORE)
    window = fold(text[start : end + 8])
    at, stop = first - start, end - start
    while at > 0 and window[at - 1] in "+(":
        at -= 1
    if _URL.search(window, 0, at):
        return []
    return [
        (kind, start + a, start + b)
        for kind in fitting
        for pattern, length in _FORMS[kind]
        for a, b in _search(pattern, length, window, at, stop)
    ]


def _search(
    pattern: re.Pattern[str], length: Callable[[re.Match[str]], int], window: str, first: int, end: int
) -> Iterator[tuple[int, int]]:
    """The places in window[first:end] where a form begins that `length` accepts: that much of it is the number."""
    at = first
    while (match := pattern.search(window, at)) and match.start() < end:
        accepted = length(match)
        if accepted:
            yield match.start(), match.start() + accepted
        at = match.start() + (accepted or 1)


def _credit_card(match: re.Match[str]) -> int:
    length = _card(match, is_credit_card)
    bare = match.group()[:length].isdecimal() and length > _LONGEST_BARE
    return 0 if bare and not _CARD_NAME.search(_before(match)) else length


def _bank_card(match: re.Match[str]) -> int:
    return _card(match, is_cn_bank_card)


def _card(match: re.Match[str], check: Callable[[str], bool]) -> int:
    """The length of the card number; a last group that does not belong to it (a security code) is left out."""
    whole = match.group()
    forms = (whole, whole.rpartition(match.group(1) or "\0")[0])
    return next((len(form) for form in forms if check(form.replace(" ", "").replace("-", ""))), 0)


def _cn_id(match: re.Match[str]) -> int:
    return len(match.group()) if is_cn_id(match.group().replace(" ", "").replace("-", "")) else 0


def _cn_mobile(match: re.Match[str]) -> int:
    number = "".join(match.group(1, 3, 4))
    round_figure = number.endswith("0" * 8)
    return len(match.group()) if not round_figure and _is_valid(number, "CN") else 0


def _national(region: str) -> Callable[[re.Match[str]], int]:
    return lambda match: len(match.group()) if _is_valid(match.group(), region) else 0


def _named(match: re.Match[str]) -> int:
    """A number behind a word for telephone; of no known plan, so that only dates are told apart."""
    named = _NAMES.search(_before(match)) and not _is_date(match.group())
    return len(match.group()) if named else 0


def _before(match: re.Match[str]) -> str:
    return match.string[max(0, match.start() - _BEFORE) : match.start()]


def _international(match: re.Match[str]) -> int:
    return _valid_length(match.group())


def _valid_length(number: str) -> int:
    """How much of `number`, from its plus sign on, is a number that its country's plan has; 0 if nothing."""
    end = len(number)
    while end > _SHORTEST:
        if _is_valid(number[:end], None):
            return end
        shorter = max(number.rfind(separator, 0, end) for separator in " .-(")
        end = len(number[: max(shorter, 0)].rstrip(" .-("))
    return 0


def _is_valid(number: str, region: str | None) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number, region))
    except phonenumbers.NumberParseException:
        return False


def _is_date(number: str) -> bool:
    match = _DATE.match(number)
    return match is not None and is_date(2000, int(match.group(1)) or 99, int(match.group(2)) or 99)


# Of every kind: the forms that it is written in, and how much of a match is a number of the kind.
_FORMS: dict[str, list[tuple[re.Pattern[str], Callable[[re.Match[str]], int]]]] = {
    "cn_id_card": [(_CN_ID, _cn_id)],
    "cn_bank_card": [(_CARD, _bank_card)],
    "credit_card": [(_CARD, _credit_card)],
    "cn_mobile": [(_CN_MOBILE, _cn_mobile)],
    "phone": [
        (_INTERNATIONAL, _international),
        (_NANP, _national("US")),
        (_CN_LANDLINE, _national("CN")),
        (_NAMED, _named),
    ],
}
