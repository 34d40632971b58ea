"""CCNet's normalisation of text, on examples worked out by hand and against its definition, mark by mark."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.quality.ccnet_text import normalize

EXAMPLES = {
    "  Le Café coûte 3,50 €…\t": "le cafe coute 0,00 €...",
    "Ünïcödé ÀÉÎÕÜ ß ø ł": "unicode aeiou ß ø ł",  # ø and ł do not decompose
    "“Quoted” „low“ «guillemets» ‘single’ it’s ´": '"quoted" "low" "guillemets" ‘single\' it\'s \'',
    "1999–2005 — a dash": "0000-0000  -  a dash",
    "你好，世界！（2020年）：、。？；《书》「引」【注】〈甲〉": '你好,世界!(0000年):,.?;"书""引"[注]<甲>',
    "１２３％～．": "000%~. ",
    "٣ ३ ३३": "0 0 00",  # decimal digits of other scripts
    "²½Ⅷ": "²½ⅷ",  # numbers that are no decimal digits
    "one\ttwo\nthree\x00\x85four": "onetwothreefour",
    "が ペ": "か ヘ",
    "━►∶": "--:",
    "İstanbul": "istanbul",
    " \n ": "",
    "a b": "a b",  # a no-break space inside stays
}


@pytest.mark.parametrize("text", EXAMPLES)
def test_worked_examples(text: str) -> None:
    assert normalize(text) == EXAMPLES[text]


def test_hangul_stands_as_jamo() -> None:
    assert normalize("한") == "\u1112\u1161\u11ab"


def test_lone_surrogates_pass() -> None:
    assert normalize("a\ud800b") == "a\ud800b"


@given(
    st.text(
        st.characters(
            exclude_categories=["Cs"], exclude_characters="„”“«»」「《》´’，、。．…∶：；？！（）【】〈〉–━►—～％"
        )
    )
)
def test_the_rule_one_step_after_the_other(text: str) -> None:
    """Marks apart: lower case, accents, digits (Python's \\d, which CCNet uses), control characters."""
    line = unicodedata.normalize("NFD", text.strip().lower())
    line = "".join(character for character in line if unicodedata.category(character) != "Mn")
    line = re.sub(r"\d", "0", line)
    assert normalize(text) == re.sub(r"[\x00-\x1f\x7f-\x9f]", "", line)
