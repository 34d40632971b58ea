"""What every character is, as bits in one table that the array code looks up by code point."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.uint32]
Positions = npt.NDArray[np.int64]
Table = npt.NDArray[np.uint16]

SPACE = 1
WORD = 2  # goes on a word: letters, marks, numbers, connectors; not ideographs
ALPHABETIC = 4  # str.isalpha
DIGIT = 8
HAN = 16  # what jieba's dictionary covers: U+4E00 to U+9FD5
IDEOGRAPH = 32  # other ideographs: each is a word
LINE_BREAK = 64  # where str.splitlines splits
TERMINAL = 128  # ends a sentence: Unicode's property Sentence_Terminal
QUOTE = 256  # closing quotes and brackets, which may follow the end of a sentence
LOWER = 512
CONTENT = 1024  # a letter, mark or number: what makes a word of a token
UPPER = 2048  # str.isupper
NUMERIC = 4096  # str.isnumeric
PUNCTUATION = 8192  # Unicode's categories P, and the ASCII symbols
NORMAL = 16384  # neither ASCII punctuation nor with another lower case: what normalizing leaves as it is
COUNTS = 32768  # makes a word count: neither white space nor in what datatrove takes for punctuation

_HAN_RANGE = (0x4E00, 0x9FD5)
_IDEOGRAPHS = ((0x3400, 0x4DBF), (0x9FD6, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x323AF))
_JOINERS = "\u00ad\u200c\u200d"
_LINE_BREAKS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
# ASCII quotes open and close alike; the rest closes only.
_QUOTES = "\"'”’»）)]】」』》〉＂＇"
# datatrove's punctuation is the control characters, all ASCII signs, these (a full-width digit is among them), and
# what ends sentences, as an older Unicode has it.
_OTHER_PUNCTUATION = "´«»–—’“”„…∶━►、。〈〉《》「」【】！％（），．１：；？～\u17d6\u17d9\u17da"
_LAST_ASSIGNED = 0x32000  # beyond it there are only unassigned ones, private ones, tags and selectors
_LAST_CASED = 0x1F000
_BITS_OF_CATEGORY = {"L": WORD | CONTENT, "M": WORD | CONTENT, "N": WORD | CONTENT, "Z": SPACE}
# Code points of Unicode's property Sentence_Terminal (PropList.txt), first and last of each range.
_TERMINALS = (
    "21 2E 3F 589 61D-61F 6D4 700-702 7F9 837 839 83D-83E 964-965 104A-104B 1362 1367-1368 166E 1735-1736 "
    "17D4-17D5 1803 1809 1944-1945 1AA8-1AAB 1B4E-1B4F 1B5A-1B5B 1B5E-1B5F 1B7D-1B7F 1C3B-1C3C 1C7E-1C7F 2024 "
    "203C-203D 2047-2049 2CF9-2CFB 2E2E 2E3C 2E53-2E54 2E60-2E61 3002 A4FF A60E-A60F A6F3 A6F7 A876-A877 "
    "A8CE-A8CF A92F A9C8-A9C9 AA5D-AA5F AAF0-AAF1 ABEB FE12 FE15-FE16 FE52 FE56-FE57 FF01 FF0E FF1F FF61 "
    "10A56-10A57 10F55-10F59 10F86-10F89 11047-11048 110BE-110C1 11141-11143 111C5-111C6 111CD 111DE-111DF "
    "11238-11239 1123B-1123C 112A9 113D4-113D5 1144B-1144C 115C2-115C3 115C9-115D7 11641-11642 1173C-1173E "
    "11944 11946 11A42-11A43 11A9B-11A9C 11C41-11C42 11EF7-11EF8 11F43-11F44 16A6E-16A6F 16AF5 16B37-16B38 "
    "16B44 16D6E-16D6F 16E98 1BC9F 1DA88 "
)


@lru_cache(maxsize=1)
def character_table() -> npt.NDArray[np.uint16]:
    """The bits of every code point, shape [0x110000]."""
    table = np.full(0x110000, COUNTS, dtype=np.uint16)
    table[:_LAST_ASSIGNED] = [_bits(chr(code)) for code in range(_LAST_ASSIGNED)]
    table[0xE0100:0xE01F0] = WORD | COUNTS
    for first, last in _IDEOGRAPHS:
        table[first : last + 1] = IDEOGRAPH | ALPHABETIC | CONTENT | COUNTS
    table[_HAN_RANGE[0] : _HAN_RANGE[1] + 1] = HAN | ALPHABETIC | CONTENT | COUNTS
    for first, last in (*_IDEOGRAPHS, _HAN_RANGE):
        table[[code for code in range(first, last + 1) if chr(code).isnumeric()]] |= NUMERIC
    for item in _TERMINALS.split():
        low, _, high = item.partition("-")
        table[int(low, 16) : int(high or low, 16) + 1] |= TERMINAL
        table[int(low, 16) : int(high or low, 16) + 1] &= ~np.uint16(COUNTS)
    for characters, bit in ((_LINE_BREAKS, LINE_BREAK), (_QUOTES, QUOTE)):
        table[[ord(character) for character in characters]] |= bit
    table[lower_table() == np.arange(table.size)] |= NORMAL
    plain_ascii = table[:128]
    plain_ascii[plain_ascii & CONTENT == 0] &= ~np.uint16(NORMAL)
    return table


@lru_cache(maxsize=1)
def lower_table() -> npt.NDArray[np.uint32]:
    """The lower case of every code point, where it is one; shape [0x110000]."""
    table = np.arange(0x110000, dtype=np.uint32)
    for code in range(_LAST_CASED):
        lower = chr(code).lower()
        if len(lower) == 1:
            table[code] = ord(lower)
    return table


def _bits(character: str) -> int:
    category = unicodedata.category(character)
    bits = _BITS_OF_CATEGORY.get(category[0], 0)
    if character.isspace():
        bits = SPACE
    elif character in _JOINERS or category == "Pc":
        bits = WORD
    elif category == "Cf":
        bits = SPACE
    if character.isalpha():
        bits |= ALPHABETIC
    if category == "Nd":
        bits |= DIGIT
    if category == "Ll":
        bits |= LOWER
    if character.isupper():
        bits |= UPPER
    if character.isnumeric():
        bits |= NUMERIC
    if category[0] == "P" or (category[0] == "S" and character.isascii()):
        bits |= PUNCTUATION
    sign = character in _OTHER_PUNCTUATION or (character.isascii() and not character.isalnum())
    if not (sign or character.isspace() or category == "Cc"):
        bits |= COUNTS
    return bits
