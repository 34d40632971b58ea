"""Words of English that do not follow the rules of punctuation: contractions, abbreviations, units of measure.

spaCy's English tokenizer has them, and so the word counts behind datatrove's and FineWeb's thresholds. Its
contractions without an apostrophe (`dont`, `id`, which are words of other languages) and all but the plainest
emoticons are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from corpus.text.characters import Codes

LONGEST = 12  # characters
SHORTEST_OF_LETTERS, LONGEST_OF_LETTERS = 5, 6  # cannot, gonna, gotta
PLAIN, UNIT = np.uint64(0xCBF29CE484222325), np.uint64(0x9AE16A3B2F90404F)  # where their keys begin
_PRIME = 0x100000001B3
_SLOTS = 1 << 13
_TYPOGRAPHIC, _APOSTROPHE = 0x2019, 0x27

_HAD = "i you he she it we they who what when where why how there that this these those"
_ENDINGS = {
    "'m": "i",
    "'s": "he she it who what when where why how there that this let",
    "'re": "you we they who what when where why how there these those",
    "'ve": (
        "i you we they who what when where why how there these those could might must not should would i'd "
        "you'd he'd she'd it'd we'd they'd who'd what'd when'd where'd why'd how'd there'd that'd this'd "
        "these'd those'd i'll you'll he'll she'll it'll we'll they'll who'll what'll when'll where'll "
        "why'll how'll there'll that'll this'll these'll those'll can't couldn't didn't doesn't don't "
        "hadn't mayn't mightn't mustn't needn't oughtn't shan't shouldn't won't wouldn't"
    ),
    "'d": _HAD,
    "'ll": _HAD,
    "n't": (
        "ai are ca could dare did do does had has have is may might must need ought sha should was were wo would"
    ),
    "not": "can",
    "na": "gon",
    "ta": "got",
    "on": "c'm",
    "all": "y'",
}
_CUT_TWICE = ("'d've", "'ll've", "n't've")  # he 'd 've
_WHOLE = (
    "'bout 'cause 'cos 'coz 'cuz 'd 'em 'll 'nuff 're 's '' and/or w/o vs. v.s. a.m. p.m. e.g. i.e. co. ma'am "
    "o'clock doin' goin' havin' lovin' nothin' nuthin' somethin' ol' ä. ö. ü. \\n \\t"
)
_NAMES = (
    "Adm. Bros. Co. Corp. D.C. Dr. E.G. Gen. Gov. I.E. Inc. Jr. Ltd. Messrs. Mr. Mrs. Ms. Mt. Ph.D. Prof. "
    "Rep. Rev. Sen. St. C++ Jan. Feb. Mar. Apr. Jun. Jul. Aug. Sep. Sept. Oct. Nov. Dec. Ak. Ala. Ariz. Ark. "
    "Calif. Colo. Conn. Del. Fla. Ga. Ia. Id. Ill. Ind. Kan. Kans. Ky. La. Mass. Md. Mich. Minn. Miss. Mo. "
    "Mont. N.C. N.D. N.H. N.J. N.M. N.Y. Neb. Nebr. Nev. Okla. Ore. Pa. S.C. Tenn. Va. Wash. Wis. :) :( :D :P "
    ":p :/ :-) :-( :-D :-P ;) ;-) <3 ^_^"
)
_UNITS = (
    "km km² km³ m m² m³ dm dm² dm³ cm cm² cm³ mm mm² mm³ ha µm nm yd in ft kg g mg µg t lb oz m/s km/h kmh "
    "mph hPa Pa mbar mb MB kb KB gb GB tb TB T G M K % км км² км³ м м² м³ дм дм² дм³ см см² см³ мм мм² мм³ нм "
    "кг г мг м/с км/ч кПа Па мбар Кб КБ кб Мб МБ мб Гб ГБ гб Тб ТБ тб"
)
LONGEST_UNIT = max(map(len, _UNITS.split()))


Keys = npt.NDArray[np.uint64]


class Exceptions(NamedTuple):
    """A hash table of exceptions: open addressing, 0 = empty slot.

    `keys` [slots] uint64, from `PLAIN` or `UNIT` on. `first` and `second` [slots] uint8: where a word is cut, 0
    for nowhere.
    """

    keys: Keys
    first: npt.NDArray[np.uint8]
    second: npt.NDArray[np.uint8]


@numba.njit(cache=True)
def find_exception(codes: Codes, first: int, last: int, key: np.uint64, keys: Keys) -> int:
    """The slot of codes[first:last] among the exceptions, or -1; `key` is `PLAIN` or `UNIT`."""
    if last - first > LONGEST:
        return -1
    for at in range(first, last):
        code = codes[at]
        if code == _TYPOGRAPHIC:
            code = np.uint32(_APOSTROPHE)
        key = (key ^ np.uint64(code)) * np.uint64(_PRIME)
    slot = np.int64(key & np.uint64(_SLOTS - 1))
    while keys[slot] != 0:
        if keys[slot] == key:
            return int(slot)
        slot = (slot + 1) & (_SLOTS - 1)
    return -1


@numba.njit(cache=True)
def find_letters(codes: Codes, first: int, last: int, keys: Keys) -> int:
    """As `find_exception`, for a word of letters only: most are too short or too long to be one."""
    if not SHORTEST_OF_LETTERS <= last - first <= LONGEST_OF_LETTERS:
        return -1
    return find_exception(codes, first, last, PLAIN, keys)


@lru_cache(maxsize=1)
def english_exceptions() -> Exceptions:
    """The table of all exceptions; words of letters also with a capital."""
    table = Exceptions(
        np.zeros(_SLOTS, dtype=np.uint64),
        np.zeros(_SLOTS, dtype=np.uint8),
        np.zeros(_SLOTS, dtype=np.uint8),
    )
    for word, first, second in _cut_words():
        for form in {word, word[:1].upper() + word[1:], word[:2].upper() + word[2:] if word[0] == "'" else word}:
            slot = _add(table, form, PLAIN)
            table.first[slot], table.second[slot] = first, second
    for word in _NAMES.split():
        _add(table, word, PLAIN)
    for unit in _UNITS.split():
        _add(table, unit, UNIT)
    return table


def _cut_words() -> Iterator[tuple[str, int, int]]:
    """Words in lower case, and where they are cut."""
    for ending, stems in _ENDINGS.items():
        for stem in stems.split():
            word = stem + ending
            twice = next((double for double in _CUT_TWICE if word.endswith(double)), None)
            yield (word, len(word) - len(twice), len(stem)) if twice else (word, len(stem), 0)
    for hour in range(1, 13):
        for half in ("am", "pm", "a.m.", "p.m."):
            yield f"{hour}{half}", len(str(hour)), 0
    for word in [*_WHOLE.split(), *(f"{letter}." for letter in "abcdefghijklmnopqrstuvwxyz")]:
        yield word, 0, 0


def _add(table: Exceptions, word: str, seed: np.uint64) -> int:
    """Put a word into the table and return its slot."""
    key = int(seed)
    for character in word:
        key = ((key ^ ord(character)) * _PRIME) % (1 << 64)
    slot = key & (_SLOTS - 1)
    while table.keys[slot] not in (0, key):
        slot = (slot + 1) & (_SLOTS - 1)
    table.keys[slot] = key
    return slot
