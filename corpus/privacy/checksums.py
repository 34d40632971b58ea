"""Checksums and validity of numbers that identify persons and cards. All take strings of ASCII digits."""

from __future__ import annotations

from datetime import date

# GB/T 2260: the first two digits of the codes of provinces, municipalities, regions; Taiwan, Hong Kong, Macao,
# and 91 for foreign permanent residents.
_PROVINCES = frozenset(
    str(code)
    for codes in (range(11, 16), range(21, 24), range(31, 38), range(41, 47), range(50, 55), range(61, 66))
    for code in (*codes, 71, 81, 82, 83, 91)
)
_CN_ID_WEIGHTS = tuple(2**power % 11 for power in range(17, 0, -1))
_CN_ID_CHECKS = "10X98765432"
# Lengths of card numbers by the first digits of the issuer (ISO/IEC 7812), from and to, inclusive.
_ISSUERS: tuple[tuple[str, str, tuple[int, ...]], ...] = (
    ("4", "4", (13, 16, 19)),  # Visa
    ("51", "55", (16,)),  # Mastercard
    ("2221", "2720", (16,)),
    ("34", "34", (15,)),  # American Express
    ("37", "37", (15,)),
    ("6011", "6011", (16, 17, 18, 19)),  # Discover
    ("644", "659", (16, 17, 18, 19)),
    ("3528", "3589", (16, 17, 18, 19)),  # JCB
    ("300", "305", (14, 16, 17, 18, 19)),  # Diners Club
    ("36", "36", (14, 15, 16, 17, 18, 19)),
    ("38", "39", (14, 16, 17, 18, 19)),
)


def passes_luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others (ISO/IEC 7812-1, annex B: Luhn's formula)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def is_credit_card(digits: str) -> bool:
    """Whether issuer, length and check digit fit: Visa, Mastercard, American Express, Discover, JCB, Diners."""
    known = any(low <= digits[: len(low)] <= high and len(digits) in lengths for low, high, lengths in _ISSUERS)
    return known and len(set(digits)) > 1 and passes_luhn(digits)


def is_cn_bank_card(digits: str) -> bool:
    """Whether it is a card number of China UnionPay: 62 in front, 16 to 19 digits, check digit."""
    return digits.startswith("62") and 16 <= len(digits) <= 19 and passes_luhn(digits)


def is_cn_id(number: str) -> bool:
    """Whether it is a resident identity number: 18 characters by GB 11643-1999.

    Six digits of a region (the province is checked), a date of birth of 1900 to 2099 that the calendar has, three
    digits of order, and the check character of ISO 7064 MOD 11-2 (`X` for ten, `x` is taken too).
    """
    body, check = number[:17], number[17:].upper()
    if len(number) != 18 or not (body.isascii() and body.isdecimal()) or body[:2] not in _PROVINCES:
        return False
    if body[6:8] not in ("19", "20") or not is_date(int(body[6:10]), int(body[10:12]), int(body[12:14])):
        return False
    total = sum(weight * int(digit) for weight, digit in zip(_CN_ID_WEIGHTS, body, strict=True))
    return _CN_ID_CHECKS[total % 11] == check


def is_date(year: int, month: int, day: int) -> bool:
    """Whether the calendar has the day."""
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True
