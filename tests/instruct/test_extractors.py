import ast
import heapq
import inspect
import shutil
import statistics
import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instruct.extractors import (
    Entry,
    docstrings,
    module_name,
    page_entries,
    parse_source,
    reason_to_drop,
    source_entries,
)
from instruct.passages import document_title, guess_language, is_prose, join_passage, prose_sentences, sentences

SOURCE = '''"""Tools for tea."""

class Pot:
    """A pot that keeps water warm for an hour.

    It holds a litre. More than that overflows.
    """

    def __init__(self, size=1):
        """Initialize self.  See help(type(self)) for accurate signature."""

    def pour(self, cups: int, *, slowly=True):
        """pour(cups) -> int
        Fill so many cups and return
        how much is left."""

async def boil(water, /, degrees=100):
    """Heat water until it bubbles"""

def _private(x):
    """Count leaves in the strainer."""

def get_name():
    """Get the name."""

def undocumented(x): ...
'''

PYDOC_LINES = """Help on module tea:

FUNCTIONS

steep(leaf, minutes=3)
    Leave tea leaves in hot water for some minutes.

    Longer steeping makes the tea bitter.

    class Cup(builtins.object)

drink(cup, *, sugar=None) -> float
    Empty a cup and return the time that it took
"""

PYDOC_ONE_LINE = (
    "| class Cup(builtins.object) | | |\n"
    "| | Cup(size=2) A small vessel for hot drinks. Methods defined here: __repr__(self, /) Return repr(self). "
    "fill(self, amount) Pour this amount of tea into the cup. It may spill. empty(self) Drink all that is left. "
    "Data descriptors defined here: __dict__ dictionary for instance variables | "
)


def by_name(entries: list[Entry]) -> dict[str, Entry]:
    return {entry.name: entry for entry in entries}


def test_source_gives_signatures_and_first_sentences():
    tree = parse_source(SOURCE)
    assert tree is not None
    found = by_name(source_entries(tree))
    assert found["Pot"].signature == "Pot(size=1)"
    assert found["Pot"].description == "A pot that keeps water warm for an hour."
    assert found["Pot"].rest == "It holds a litre. More than that overflows."
    assert found["Pot.pour"].signature == "Pot.pour(cups: int, *, slowly=True)"
    assert found["Pot.pour"].description == "Fill so many cups and return how much is left."
    assert found["boil"].signature == "boil(water, /, degrees=100)"
    assert found["boil"].description == "Heat water until it bubbles"
    assert "undocumented" not in found


def test_source_reasons_to_drop():
    tree = parse_source(SOURCE)
    assert tree is not None
    reasons = {entry.name: reason_to_drop(entry) for entry in source_entries(tree)}
    assert reasons == {
        "Pot": None,
        "Pot.__init__": "dunder",
        "Pot.pour": None,
        "boil": None,
        "_private": "private",
        "get_name": "trivial",
    }


def test_docstrings_of_a_source():
    tree = parse_source(SOURCE)
    assert tree is not None
    assert docstrings(tree).startswith("Tools for tea.\n\n")
    assert "Count leaves" in docstrings(tree)


@pytest.mark.parametrize("module", [textwrap, heapq, shutil, statistics])
def test_source_entries_agree_with_inspect(module):
    tree = parse_source(Path(module.__file__).read_text(encoding="utf-8"))
    assert tree is not None
    checked = 0
    for entry in source_entries(tree):
        thing = getattr(module, entry.name, None)
        if not callable(thing):
            continue
        documentation = " ".join((inspect.getdoc(thing) or "").split())
        if inspect.getmodule(thing) is module and not isinstance(thing, type):
            assert entry.description in documentation
            arguments = ast.parse(f"def f{entry.signature[len(entry.name) :]}: ...").body[0].args
            names = [argument.arg for argument in (*arguments.posonlyargs, *arguments.args)]
            assert names == list(inspect.getfullargspec(inspect.unwrap(thing)).args)
            checked += 1
    assert checked >= 3


@pytest.mark.parametrize(
    "text", ["def f(:\n", "def f():\n\x00", "class is a word\n def", "def f():\n" + "(" * 3000]
)
def test_broken_source_is_no_source(text):
    assert parse_source(text) is None


def test_prose_about_code_is_no_source():
    assert parse_source("x = 1\n") is None


def test_pydoc_lines():
    found = by_name(page_entries(PYDOC_LINES, "tea"))
    assert found["tea.steep"].signature == "tea.steep(leaf, minutes=3)"
    assert found["tea.steep"].description == "Leave tea leaves in hot water for some minutes."
    assert found["tea.drink"].description == "Empty a cup and return the time that it took"


def test_pydoc_table_that_became_one_line():
    found = by_name(page_entries(PYDOC_ONE_LINE, "tea"))
    assert found["tea.Cup"].description == "A small vessel for hot drinks."
    assert found["Cup.fill"].signature == "Cup.fill(amount)"
    assert found["Cup.fill"].description == "Pour this amount of tea into the cup."
    assert found["Cup.empty"].description == "Drink all that is left."


@pytest.mark.parametrize(
    ("text", "signature", "description"),
    [
        (
            ".. function:: stir(pot, times=1)\n   :noindex:\n\n   Move the spoon in circles several times.\n",
            "stir(pot, times=1)",
            "Move the spoon in circles several times.",
        ),
        (
            "### `stir(pot, times=1)`\n\nMove the spoon in\ncircles. Then stop.\n",
            "stir(pot, times=1)",
            "Move the spoon in circles.",
        ),
        (
            "- tea.stir(pot, times=(1, 2))[source]¶\n- Move the spoon in circles, not squares.\n",
            "tea.stir(pot, times=(1, 2))",
            "Move the spoon in circles, not squares.",
        ),
    ],
)
def test_other_documentation(text, signature, description):
    [entry] = page_entries(text)
    assert (entry.signature, entry.description) == (signature, description)
    assert reason_to_drop(entry) is None


@pytest.mark.parametrize(
    "description",
    [
        "Initialize self.  See help(type(self)) for accurate signature.",
        "Helper for pickle.",
        "Return repr(self).",
        "Return self==value.",
        "Return value*self.",
        "Implement setattr(self, name, value).",
        "Create and return a new object.  See help(type) for accurate signature.",
        "Default object formatter.",
        "Size of object in memory, in bytes.",
    ],
)
def test_boilerplate_is_dropped(description):
    assert reason_to_drop(Entry("thing", "thing()", description, "")) == "boilerplate"


@pytest.mark.parametrize(
    "description",
    ["Return self as a flattened array.", "Return a new date object.", "Implement a bounded counter."],
)
def test_descriptions_like_boilerplate_stay(description):
    assert reason_to_drop(Entry("thing", "thing()", description, "")) is None


def test_prose_in_parentheses_is_no_signature():
    assert page_entries("We asked people (all of them) Whether they like tea (or not) and why.") == []
    assert page_entries("Call it as shuffle(['a', 'b']) To mix a list of names is easy.") == []


@pytest.mark.parametrize(
    ("title", "text", "module"),
    [
        ("Python: module csv", "", "csv"),
        ("Python: package os.path", "", "os.path"),
        ("", "| json (version 2.0.9) | index /usr/lib | ", "json"),
        ("A page about tea", "Nothing here.", None),
    ],
)
def test_module_names(title, text, module):
    assert module_name(title, text) == module


def test_english_sentences():
    text = 'Tea is hot, e.g. Assam. Mr. Lu likes it! "Really?" he asked. Version 2.0 is out.'
    assert sentences(text, "en") == [
        "Tea is hot, e.g. Assam.",
        "Mr. Lu likes it!",
        '"Really?" he asked.',
        "Version 2.0 is out.",
    ]


def test_chinese_sentences():
    assert sentences("茶很热。他问：“真的吗？”我点头！好", "zh") == [
        "茶很热。",
        "他问：“真的吗？”",
        "我点头！",
        "好",
    ]


@pytest.mark.parametrize("language", ["en", "zh"])
@given(text=st.text(alphabet="Aa b。！？.!?“”\"'()1\n我茶", max_size=80))
def test_sentences_lose_no_characters(language, text):
    parts = sentences(text, language)
    assert "".join("".join(parts).split()) == "".join(text.split())


def test_prose_of_a_document():
    text = (
        "# Tea\n\n- a list item that is long enough to be a sentence.\n\n"
        "Tea comes from the leaves of a\nshrub that grows in hills. See [the map](http://x.example/map).\n\n"
        "```\nThis is code and must not be taken for prose.\n```\n\n"
        "| a | table row with several words in it. |\n"
    )
    assert prose_sentences(text, "en") == [["Tea comes from the leaves of a shrub that grows in hills."]]


def test_indented_lines_are_code_unless_all_are():
    prose = "This indented line has six words or more."
    assert prose_sentences(f"Plain text.\n\nMore plain text.\n\n    {prose}", "en") == []
    assert prose_sentences(f"NAME\n\n    {prose}\n\n    {prose}", "en") == [[prose], [prose]]


def test_whole_sentences_fit_a_passage():
    assert join_passage(["One two.", "Three four.", "Five."], "en", 20) == "One two. Three four."
    assert join_passage(["一二。", "三四。"], "zh", 5) == "一二。"


@pytest.mark.parametrize(
    ("text", "metadata", "title"),
    [
        ("# Ways of tea\n\ntext", None, "Ways of tea"),
        ("# Ways of tea\n\ntext", '{"title": " Another \\n title "}', "Another title"),
        ("Ways of tea\n===========\n\ntext", "{broken", "Ways of tea"),
        (" = Ways of tea = \n \n text", None, "Ways of tea"),
        ("PEP: 1\nTitle: Ways of tea\nAuthor: X", "[]", "Ways of tea"),
        ("Just text.", '{"title": 3}', None),
    ],
)
def test_titles(text, metadata, title):
    assert document_title(text, metadata) == title


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The leaves of the tea are picked in the spring and dried for a day.", "en"),
        ("春天采下的茶叶要晾上一天，再放进铁锅里炒。", "zh"),
        ("お茶の葉は春に摘まれ、一日干される。", "other"),
        ("Die Blätter werden im Frühling gepflückt und einen Tag getrocknet.", "other"),
        ("12345 67890", "other"),
    ],
)
def test_guessed_languages(text, language):
    assert guess_language(text) == language


@settings(max_examples=60, deadline=None)
@given(text=st.text(alphabet="ab_f.,()[]:=*/->'\" \n|#`A1茶。\xa0\x00", max_size=200))
def test_any_text_is_read_without_failure(text):
    for entry in page_entries(text):
        assert entry.signature.startswith(entry.name + "(")
        reason_to_drop(entry)
    tree = parse_source(text)
    assert tree is None or isinstance(source_entries(tree), list)
    assert all(is_prose(sentence, "en") for part in prose_sentences(text, "en") for sentence in part)
