import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from corpus.core.errors import UsageError, ZeroToOneError
from mixtures.cli import app
from mixtures.sizes import format_size, parse_size, read_sizes
from tests.mixtures.sources import on_disk
from train.mixture import Mixture

SIZES = "web: 2000B\nbooks: 100B\nwiki: 20B\npoems: 5B\n"


def plan(tmp_path: Path, *arguments: str, sizes: str = SIZES):
    (tmp_path / "sizes.yaml").write_text(sizes)
    return CliRunner().invoke(app(), ["plan", str(tmp_path / "sizes.yaml"), *arguments])


@pytest.mark.parametrize(
    ("text", "value"),
    [("300B", 3e11), ("1.5M", 1.5e6), ("5000", 5000), ("2e9", 2e9), ("7b", 7e9), (" 1 T ", 1e12), ("12k", 12000)],
)
def test_sizes_are_parsed(text, value):
    assert parse_size(text) == value


@pytest.mark.parametrize("text", ["", "B", "-3B", "0", "1.5.2M", "3G", "nan", "inf", "1e999", "3BB"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)


@pytest.mark.parametrize("text", ["300B", "1.5M", "17", "1T", "999K"])
def test_sizes_are_printed_as_they_are_written(text):
    assert format_size(parse_size(text)) == text


def test_plan_as_json(tmp_path):
    result = plan(tmp_path, "--tokens", "1T", "--weights", "unimax:4", "--params", "10B", "--json")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    by_name = {row["domain"]: row for row in answer["domains"]}
    assert {name: row["weight"] for name, row in by_name.items()} == pytest.approx(
        {"web": 0.5, "books": 0.4, "wiki": 0.08, "poems": 0.02}
    )
    assert by_name["books"]["epochs"] == pytest.approx(4)
    assert answer["chinchilla_tokens"] == 2e11
    assert answer["compute"] == pytest.approx(6e22)
    assert answer["feasible"] is True
    assert answer["complaint"] == ""


def test_plan_shows_a_table_and_warns_of_weights_over_the_cap(tmp_path):
    result = plan(tmp_path, "--tokens", "1T", "--weights", "temperature:3.33")
    assert result.exit_code == 0
    assert "poems" in result.stdout
    assert "over the cap of 4 epochs: poems (18.1 epochs), wiki (6.88 epochs)" in result.stderr


def test_an_infeasible_plan_names_the_largest_run(tmp_path):
    result = plan(tmp_path, "--tokens", "9T")
    assert isinstance(result.exception, ZeroToOneError)
    assert "the largest run is 8,500,000,000,000 tokens" in str(result.exception)


def test_without_tokens_the_run_has_twenty_per_parameter(tmp_path):
    assert json.loads(plan(tmp_path, "--params", "1B", "--json").stdout)["tokens"] == 2e10
    assert isinstance(plan(tmp_path).exception, UsageError)


def test_the_plan_is_a_mixture_that_is_not_overwritten_unasked(tmp_path):
    output = tmp_path / "plan.yaml"
    assert plan(tmp_path, "--tokens", "1T", "-o", str(output)).exit_code == 0
    first = output.read_bytes()
    assert Mixture.load(output).weights["web"] == pytest.approx(2000 / 2125)
    assert plan(tmp_path, "--tokens", "1T", "-o", str(output)).exit_code == 0
    assert output.read_bytes() == first
    other = plan(tmp_path, "--tokens", "2T", "-o", str(output))
    assert "use --overwrite" in str(other.exception)
    assert output.read_bytes() == first
    assert plan(tmp_path, "--tokens", "2T", "-o", str(output), "--overwrite").exit_code == 0
    assert output.read_bytes() != first


def test_weights_of_bytes_are_converted_and_all_units_shown(tmp_path):
    sizes = "zh: {tokens: 100M, bytes: 200M, documents: 1000}\nen: {tokens: 100M, bytes: 400M, documents: 3000}\n"
    weights = tmp_path / "weights.yaml"
    Mixture({"zh": 0.5, "en": 0.5}, unit="bytes").save(weights)
    result = plan(tmp_path, "--tokens", "150M", "--weights", str(weights), "--json", sizes=sizes)
    rows = {row["domain"]: row for row in json.loads(result.stdout)["domains"]}
    assert rows["zh"]["weight"] == pytest.approx(2 / 3)
    assert rows["zh"]["weight_bytes"] == pytest.approx(0.5)
    assert rows["zh"]["weight_documents"] == pytest.approx((2 / 3 * 1e-5) / (2 / 3 * 1e-5 + 1 / 3 * 3e-5))
    assert rows["zh"]["epochs"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--weights", "nowhere.yaml"], "no such file"),
        (["--weights", "temperature:hot"], "'hot' is not a number above 0"),
        (["--weights", "unimax:-1"], "'-1' is not a number above 0"),
        (["--tokens", "many"], "--tokens: 'many' is not a size"),
        (["--max-epochs", "0"], "--max-epochs 0"),
        (["--max-epochs", "inf"], "--max-epochs inf"),
    ],
)
def test_wrong_usage_is_named(tmp_path, arguments, complaint):
    result = plan(tmp_path, "--tokens", "1T", *arguments)
    assert isinstance(result.exception, UsageError)
    assert complaint in str(result.exception)


def test_weights_of_an_unknown_domain_are_named(tmp_path):
    Mixture({"web": 0.5, "code": 0.5}).save(tmp_path / "weights.yaml")
    result = plan(tmp_path, "--tokens", "1T", "--weights", str(tmp_path / "weights.yaml"))
    assert "weights.yaml: domain `code` is not in" in str(result.exception)


def test_shards_without_tokens_are_named(tmp_path):
    empty = on_disk(tmp_path / "shards", {"web": np.zeros(0, dtype=int)}, {"web": 1})
    result = CliRunner().invoke(app(), ["plan", str(empty), "--tokens", "1B", "--weights", "temperature:2"])
    assert "shards: no domain has any tokens" in str(result.exception)


def test_shards_give_tokens_bytes_and_documents(tmp_path):
    shards = on_disk(tmp_path / "shards", {"a": np.arange(30), "b": np.arange(10)}, {"a": 1, "b": 3})
    sizes = read_sizes(shards)
    assert sizes.tokens == {"a": 30, "b": 10}
    assert sizes.bytes == {"a": 30, "b": 30}
    assert sizes.documents == {"a": 1, "b": 1}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("web: lots\n", "domain `web`: 'lots' is not a size"),
        ("web: {tokens: 1B, pages: 3}\n", "unknown field `pages`"),
        ("web: 1B\nwiki: {bytes: 1B}\n", "domain `wiki` has no `tokens`"),
        ("- web\n", "needs a line"),
        ("web: [\n", "not valid YAML"),
        ("", "needs a line"),
    ],
)
def test_a_broken_file_of_sizes_is_named(tmp_path, text, complaint):
    path = tmp_path / "sizes.yaml"
    path.write_text(text)
    with pytest.raises(ZeroToOneError) as caught:
        read_sizes(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert complaint in str(caught.value)
