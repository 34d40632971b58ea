"""Language identification, and that it does not depend on numpy."""

from pathlib import Path

import numpy as np
import pytest

from corpus.core.errors import ZeroToOneError
from corpus.text.language import identify, known_languages, model_path

SENTENCES = {
    "en": "The library opens at nine on weekdays, and children may borrow up to six books at a time.",
    "zh": "图书馆工作日九点开门，孩子们一次最多可以借六本书，请按时归还。",
    "fr": "La bibliothèque ouvre à neuf heures en semaine et les enfants peuvent emprunter six livres à la fois.",
    "de": "Die Bücherei öffnet werktags um neun Uhr, und Kinder dürfen bis zu sechs Bücher auf einmal ausleihen.",
    "ja": "図書館は平日九時に開館します。子どもは一度に六冊まで本を借りることができます。",
}


def test_languages_of_sentences() -> None:
    languages, scores = identify(list(SENTENCES.values()))
    assert languages == list(SENTENCES)
    assert all(0.65 < score <= 1 for score in scores)


def test_runs_beside_numpy_2() -> None:
    assert int(np.__version__.split(".")[0]) >= 2
    assert identify(["这是一个很短的句子。"])[0] == ["zh"]


def test_empty_texts_have_no_language() -> None:
    assert identify(["", " \n\t", "\0"]) == (["", "", ""], [0.0, 0.0, 0.0])
    assert identify([]) == ([], [])


def test_the_whole_text_counts_not_its_first_line() -> None:
    text = SENTENCES["en"][:20] + "\n" + "\n".join([SENTENCES["de"]] * 5)
    assert identify([text])[0] == ["de"]


def test_odd_characters() -> None:
    odd = SENTENCES["de"].replace(" ", "\0 ").replace("ö", "ö\ud800")
    assert identify([odd])[0] == ["de"]


def test_nothing_is_printed_on_loading(capfd: pytest.CaptureFixture[str]) -> None:
    identify(["text"])
    assert capfd.readouterr() == ("", "")


def test_the_model_knows_176_languages() -> None:
    known = known_languages()
    assert len(known) == 176
    assert {"en", "zh", "de", "yue"} <= known


def test_a_missing_or_wrong_model_is_named(tmp_path: Path) -> None:
    wrong = tmp_path / "model.ftz"
    wrong.write_bytes(b"not a model")
    for path in (tmp_path / "missing.ftz", wrong):
        with pytest.raises(ZeroToOneError, match=path.name):
            identify(["text"], path)
    assert model_path().is_file()
