"""Language identification, and that it does not depend on numpy."""

from pathlib import Path

import numpy as np
import pytest

from corpus.core.errors import ZeroToOneError
from corpus.core.files import file_hash
from corpus.text.language import among, identify, identify_labels, known_languages, model_path, scripts
from corpus.text.language_codes import split_label

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
    assert len(known) == 176 + 2
    assert {"en", "zh", "de", "yue", "zh-hans", "zh-hant"} <= known


def test_a_missing_or_wrong_model_is_named(tmp_path: Path) -> None:
    wrong = tmp_path / "model.ftz"
    wrong.write_bytes(b"not a model")
    for path in (tmp_path / "missing.ftz", wrong):
        with pytest.raises(ZeroToOneError, match=path.name):
            identify(["text"], path)
    assert model_path().is_file()


@pytest.mark.parametrize(
    ("label", "parts"),
    [
        ("eng_Latn", ("en", "Latn")),
        ("cmn_Hani", ("zh", "Hani")),
        ("zho_Hant", ("zh", "Hant")),
        ("nob_Latn", ("no", "Latn")),
        ("als_Latn", ("sq", "Latn")),
        ("als", ("als", "")),  # Alemannic to lid.176
        ("ceb_Latn", ("ceb", "Latn")),
        ("en", ("en", "")),
        ("", ("", "")),
    ],
)
def test_labels_of_models(label: str, parts: tuple[str, str]) -> None:
    assert split_label(label) == parts


def test_every_code_of_two_letters_has_a_label_of_three() -> None:
    """lid.176 is the witness for the table of codes; `bh` stands for a group of languages."""
    from corpus.text.language_codes import _short_codes

    codes = {code for code in known_languages() if len(code) == 2}
    assert codes - set(_short_codes().values()) == {"bh"}
    assert all(len(long) == 3 and len(short) == 2 for long, short in _short_codes().items())


def test_a_model_with_other_labels_and_its_hash(other_labels: Path) -> None:
    texts = [SENTENCES["en"], SENTENCES["de"], ""]
    assert identify(texts, other_labels)[0] == ["en", "de", ""]
    assert identify_labels(texts, other_labels)[0] == ["eng_Latn", "deu_Latn", ""]
    assert known_languages(other_labels) == {"en", "de"}
    digest = file_hash(other_labels)
    assert identify(texts, f"{other_labels}#sha256={digest.upper()}")[0] == ["en", "de", ""]
    with pytest.raises(ZeroToOneError, match=f"SHA-256 is {digest}"):
        identify(texts, f"{other_labels}#sha256={'0' * 64}")


@pytest.fixture
def other_labels(tmp_path: Path) -> Path:
    """A small model with labels as GlotLID has them."""
    from corpus.quality.fasttext_training import TrainingParameters, train_classifier

    lines = [
        f"__label__{label} {word}"
        for label, language in (("eng_Latn", "en"), ("deu_Latn", "de"))
        for word in SENTENCES[language].split() * 20
    ]
    (tmp_path / "lines.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    parameters = TrainingParameters(dimensions=8, buckets=100, epochs=5)
    train_classifier(tmp_path / "lines.txt", tmp_path / "model.bin", parameters)
    return tmp_path / "model.bin"


SIMPLIFIED = "这条河发源于城北的山中，向南流去，一路转了许多弯。"
TRADITIONAL = "這條河發源於城北的山中，向南流去，一路轉了許多彎。"


def test_simplified_and_traditional_chinese() -> None:
    texts = [SIMPLIFIED, TRADITIONAL, "天地人", SENTENCES["ja"], SIMPLIFIED * 3 + TRADITIONAL, ""]
    languages = ["zh", "zh", "zh", "ja", "zh_CN", ""]
    assert scripts(texts, languages) == ["Hans", "Hant", "", "", "Hans", ""]


def test_pairs_of_characters() -> None:
    for simplified, traditional in zip("国学书龙发门贝见车长东汉", "國學書龍發門貝見車長東漢", strict=True):
        assert scripts([simplified, traditional], ["zh", "zh"]) == ["Hans", "Hant"]


def test_languages_that_are_wanted() -> None:
    texts = [SIMPLIFIED, TRADITIONAL, "天地人", SENTENCES["en"]]
    languages = ["zh", "zh-TW", "zh", "en"]
    assert among(texts, languages, ["zh"]) == [True, True, True, False]
    assert among(texts, languages, ["zh-hans", "EN"]) == [True, False, False, True]
    assert among(texts, languages, ["zh-Hant"]) == [False, True, False, False]
    assert among([], [], ["zh"]) == []
