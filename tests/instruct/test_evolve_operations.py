"""Sets of operations: those of the program, files of users, draws by weight and by the share of breadth."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from corpus.core.errors import UsageError, ZeroToOneError
from instruct.elimination import leaks_prompt
from instruct.evolve_operations import load_operations

OWN = {
    "leaks": {"en": ["Given Text"]},
    "operations": {
        "longer": {"kind": "depth", "weight": 3, "prompts": {"en": "Longer: {{instruction}}"}},
        "other": {
            "kind": "breadth",
            "choices": {"field": ["law", "music"]},
            "prompts": {"en": {"system": "Be brief.", "user": "Of {{field}}: {{instruction}}"}},
        },
    },
}


def write(path: Path, content: Any) -> str:
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, allow_unicode=True))
    return str(path)


@pytest.mark.parametrize("name", ["general", "code"])
def test_the_programs_sets_are_whole_in_both_languages(name: str) -> None:
    found = load_operations(name)
    assert sum(operation.chance for operation in found.operations) == pytest.approx(1)
    hashes = set()
    for operation in found.operations:
        assert set(operation.prompts) == {"en", "zh"}
        for code, prompt in operation.prompts.items():
            values = {"instruction": "{{format}} stays", **{key: one[0] for key, one in operation.choices.items()}}
            content = prompt.messages(**values)[-1]["content"]
            assert content.endswith("{{format}} stays")
            assert any("一" <= letter <= "鿿" for letter in content) is (code == "zh")
            hashes.add(prompt.hash)
    assert len(hashes) == 2 * len(found.operations)
    found.check_languages(["en", "zh"])
    for text in ("Here is the Rewritten Prompt for you", "Given prompt: sing"):
        assert leaks_prompt(text, "Say hi", found.leaks["en"])
    assert not leaks_prompt("Shorten the given prompt.", "Improve the given prompt.", found.leaks["en"])
    assert not leaks_prompt("Write about the sea.", "Write.", found.leaks["en"])
    assert leaks_prompt("这是更难的版本：写诗", "写诗", found.leaks["zh"])


def test_the_papers_operations() -> None:
    general, code = load_operations("general"), load_operations("code")
    assert Counter(operation.kind for operation in general.operations) == {"depth": 5, "breadth": 1}
    assert [operation.chance for operation in general.operations] == pytest.approx([1 / 6] * 6)
    assert general.operations[4].choices["format"] == ["XML", "SQL", "Python", "HTML", "shell", "JSON"]
    assert Counter(operation.kind for operation in code.operations) == {"depth": 5}


def test_draws_follow_weights_and_the_share_of_breadth(tmp_path: Path) -> None:
    path = write(tmp_path / "own.yaml", OWN)
    for breadth, share in ((None, 0.25), (0.6, 0.6), (0.0, 0.0), (1.0, 1.0)):
        found = load_operations(path, breadth)
        drawn = [found.draw(f"row {number}", 7) for number in range(2000)]
        assert drawn == [found.draw(f"row {number}", 7) for number in range(2000)]
        broad = [values for operation, values in drawn if operation.kind == "breadth"]
        # standard deviation of a share from 2,000 draws: at most 0.011
        assert len(broad) / 2000 == pytest.approx(share, abs=0.045)
        if broad:
            laws = sum(values == {"field": "law"} for values in broad) / len(broad)
            assert laws == pytest.approx(0.5, abs=0.09)
    assert load_operations(path).leaks == {"en": ["given text"]}
    assert load_operations(path).name == "own.yaml"
    with pytest.raises(ZeroToOneError, match=r"own.yaml: `longer` has no prompt in `zh`"):
        load_operations(path).check_languages(["en", "zh"])


def test_the_hash_is_of_all_that_matters(tmp_path: Path) -> None:
    path = write(tmp_path / "own.yaml", OWN)
    hashes = {load_operations(path).hash, load_operations(path, 0.5).hash}
    for old, new in (
        ("Longer", "Much longer"),
        ("music", "art"),
        ("Be brief", "Be short"),
        ("Given", "Rewritten"),
    ):
        hashes.add(load_operations(write(tmp_path / "new.yaml", Path(path).read_text().replace(old, new))).hash)
    assert len(hashes) == 6
    assert load_operations(write(tmp_path / "copy.yaml", OWN)).hash in hashes


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: [", "not valid YAML"),
        ("- a", "not a mapping"),
        ({}, "no `operations`"),
        ({"operations": {}}, "no `operations`"),
        ({"operations": {"a": "b"}}, "`a` is no operation"),
        ({"operation": {}}, "unknown key `operation`"),
        ({"operations": {"a": {"kind": "wide"}}}, "`a`: kind must be depth or breadth"),
        ({"operations": {"a": {"kind": "depth", "weight": 0}}}, "`a`: weight must be a number above 0"),
        ({"operations": {"a": {"kind": "depth", "wieght": 1}}}, "unknown key `wieght`"),
        ({"operations": {"a": {"kind": "depth"}}}, "`a`: prompts must be by language"),
        ({"operations": {"a": {"kind": "depth", "prompts": {"fr": "x"}}}}, "`a`: prompts must be by language"),
        ({"operations": {"a": {"kind": "depth", "prompts": {"en": 3}}}}, "`a` in `en` is neither a text"),
        ({"operations": {"a": {"kind": "depth", "prompts": {"en": "Hm"}}}}, "no place {{instruction}}"),
        (
            {"operations": {"a": {"kind": "depth", "prompts": {"en": "{{instruction}} {{x}}"}}}},
            "a place {{x}} without choices",
        ),
        ({"operations": {"a": {"kind": "depth", "choices": {"x": []}}}}, "choices must be lists"),
        ({**OWN, "leaks": {"en": "word"}}, "leaks must be lists"),
    ],
)
def test_broken_files_are_named_with_the_place(content: Any, message: str, tmp_path: Path) -> None:
    path = write(tmp_path / "own.yaml", content)
    with pytest.raises(ZeroToOneError) as caught:
        load_operations(path)
    assert str(caught.value).startswith(path)
    assert message in str(caught.value)


def test_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--operations poetry: no such file; the program has general, code"):
        load_operations("poetry")
    with pytest.raises(UsageError, match=r"--breadth 0.2: the operations `code` have none for breadth"):
        load_operations("code", 0.2)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ZeroToOneError, match=r"binary.yaml: not valid"):
        load_operations(str(binary))
