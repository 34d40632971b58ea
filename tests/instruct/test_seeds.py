import re
from collections import Counter
from itertools import combinations

import pytest

from corpus.core.conversations import conversation_error
from corpus.core.errors import UsageError
from instruct.seeds import USE_CASE_SHARES, Seed, load_conversations, load_seeds, seeds_as_conversations

HAN = re.compile(r"[\u4e00-\u9fff]")
LETTER = re.compile(r"[^\W\d_]")


@pytest.fixture(scope="module", params=["en", "zh"])
def seeds(request: pytest.FixtureRequest) -> list[Seed]:
    return load_seeds(request.param)


def units(text: str) -> list[str]:
    """Words of Latin script, single characters of Chinese."""
    return re.findall(r"[\u4e00-\u9fff]|[a-z0-9]+", text.lower())


def rouge_l(left: list[str], right: list[str]) -> float:
    """F1 of the longest common subsequence (Lin 2004), by the textbook table."""
    row = [0] * (len(right) + 1)
    for item in left:
        previous = 0
        for place, other in enumerate(right, 1):
            previous, row[place] = row[place], previous + 1 if item == other else max(row[place], row[place - 1])
    return 2 * row[-1] / (len(left) + len(right))


def test_numbers_of_seeds():
    assert len(load_seeds("en")) >= 175
    assert len(load_seeds("zh")) >= 60
    assert len(load_conversations("en")) >= 15
    assert len(load_conversations("zh")) >= 10


def test_instructions_are_unique_and_texts_not_empty(seeds):
    assert len({seed.instruction for seed in seeds}) == len(seeds)
    assert len({seed.output for seed in seeds}) == len(seeds)
    for seed in seeds:
        assert seed.instruction == seed.instruction.strip()
        assert seed.output == seed.output.strip()
        assert seed.input != seed.output


def test_shares_are_those_of_instructgpt(seeds):
    counts = Counter(seed.use_case for seed in seeds)
    for use_case, share in USE_CASE_SHARES.items():
        assert counts[use_case] / len(seeds) == pytest.approx(share, abs=0.02), use_case


def test_published_shares_sum_to_one():
    assert sum(USE_CASE_SHARES.values()) == pytest.approx(1, abs=0.002)


def test_no_two_instructions_are_near_duplicates(seeds):
    tokens = {seed.id: units(seed.instruction) for seed in seeds}
    closest = max(combinations(tokens, 2), key=lambda pair: rouge_l(tokens[pair[0]], tokens[pair[1]]))
    assert rouge_l(tokens[closest[0]], tokens[closest[1]]) < 0.7, closest


def test_instructions_pass_the_length_filter_of_self_instruct(seeds):
    for seed in seeds:
        assert 4 <= len(units(seed.instruction)) <= 150, seed.id


def test_scripts_match_the_language(seeds):
    for seed in seeds:
        text = seed.instruction + seed.output
        if seed.lang == "zh":
            assert len(HAN.findall(seed.instruction)) >= 6, seed.id
        else:
            assert not HAN.findall(text), seed.id
    if seeds[0].lang == "zh":
        prose = "".join(seed.instruction + seed.output for seed in seeds if "```" not in seed.output)
        assert len(HAN.findall(prose)) / len(LETTER.findall(prose)) > 0.95


def test_classification_is_marked(seeds):
    for seed in seeds:
        assert seed.is_classification == (seed.use_case == "classification"), seed.id


def test_conversations_follow_the_contract(seeds):
    rows = seeds_as_conversations(seeds[0].lang)
    assert len({row["id"] for row in rows}) == len(rows) > len(seeds)
    for row in rows:
        assert conversation_error(row) is None
        assert row["lang"] == seeds[0].lang
    several = [row for row in rows if sum(message["role"] == "user" for message in row["messages"]) >= 2]
    assert len(several) == len(load_conversations(seeds[0].lang))


def test_input_stands_below_the_instruction():
    seed = Seed("x", "other", "en", "Do it.", "this", "done")
    assert seed.prompt() == "Do it.\n\nthis"


# The formats that instructions ask for, counted.
@pytest.mark.parametrize(
    ("seed_id", "fewest", "most"),
    [
        ("en-001", 1, 49),
        ("en-010", 1, 30),
        ("en-058", 1, 8),
        ("en-087", 1, 44),
        ("en-095", 60, 82),
        ("en-157", 1, 60),
    ],
)
def test_lengths_that_instructions_ask_for(seed_id, fewest, most):
    seed = next(seed for seed in load_seeds("en") if seed.id == seed_id)
    assert fewest <= len(seed.output.split()) <= most


@pytest.mark.parametrize(("seed_id", "most"), [("zh-011", 40), ("zh-028", 200), ("zh-054", 30), ("zh-057", 200)])
def test_lengths_that_chinese_instructions_ask_for(seed_id, most):
    seed = next(seed for seed in load_seeds("zh") if seed.id == seed_id)
    assert len(seed.output) <= most


def test_unknown_language_is_wrong_usage():
    with pytest.raises(UsageError, match="tlh"):
        load_seeds("tlh")
