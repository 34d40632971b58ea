import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.core.errors import ZeroToOneError
from train.mixture import Mixture

NAMES = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=8)
SIZES = st.dictionaries(NAMES, st.floats(0, 1e12), min_size=1, max_size=12).filter(lambda s: max(s.values()) > 1)


@given(SIZES)
def test_file_gives_back_the_same_bits(tmp_path_factory: pytest.TempPathFactory, sizes: dict[str, float]) -> None:
    mixture = Mixture.proportional(sizes, unit="bytes", name="mine")
    path = tmp_path_factory.mktemp("mixture") / "m.yaml"
    mixture.save(path)
    assert Mixture.load(path) == mixture
    assert list(mixture.weights) == sorted(sizes)
    assert math.isclose(math.fsum(mixture.weights.values()), 1, abs_tol=1e-12)


def test_source_survives_and_name_comes_from_the_file(tmp_path: Path) -> None:
    Mixture({"a": 1.0}, source={"method": "doremi", "steps": 10}).save(tmp_path / "best.yaml")
    loaded = Mixture.load(tmp_path / "best.yaml")
    assert loaded.source == {"method": "doremi", "steps": 10}
    assert loaded.name == "best"


def test_rounded_weights_are_brought_to_one() -> None:
    assert Mixture({"a": 0.333, "b": 0.333, "c": 0.3335}).weights["a"] == pytest.approx(0.333 / 0.9995, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("weights: {a: 0.5, b: -0.5, c: 1.0}", "domain `b`"),
        ("weights: {a: 0.5, b: half}", "domain `b`"),
        ("weights: {a: .nan, b: 1.0}", "domain `a`"),
        ("weights: {a: true}", "domain `a`"),
        ("weights: {a: 0.5, b: 0.4}", "sum to 0.9"),
        ("weights: {}", "sum to 0"),
        ("a: 1.0", "weights:"),
        ("weights: {a: 1.0}\nunit: words", "'words'"),
        ("weights: {a: 1.0}\nwieghts: {}", "`wieghts`"),
        ("weights: [", "not valid YAML"),
        ("weights: !!python/object/apply:os.getcwd []", "not valid YAML"),
    ],
)
def test_faults_name_the_file_and_the_domain(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ZeroToOneError) as error:
        Mixture.load(path)
    assert "bad.yaml" in str(error.value)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_file() -> None:
    with pytest.raises(ZeroToOneError, match=r"nowhere\.yaml: no such file"):
        Mixture.load("nowhere.yaml")


def test_weights_of_bytes_in_tokens() -> None:
    # Half of the bytes each, and b needs twice as many tokens for a byte: one third and two thirds.
    mixture = Mixture({"a": 0.5, "b": 0.5}, unit="bytes").in_tokens({"a": 0.25, "b": 0.5})
    assert mixture.unit == "tokens"
    assert mixture.weights == pytest.approx({"a": 1 / 3, "b": 2 / 3})


def test_a_domain_without_weight_needs_no_size() -> None:
    mixture = Mixture({"a": 1.0, "b": 0.0}, unit="documents").in_tokens({"a": 120.0})
    assert mixture.weights == {"a": 1.0, "b": 0.0}


def test_uniform() -> None:
    assert Mixture.uniform(["y", "x"]).weights == {"x": 0.5, "y": 0.5}
