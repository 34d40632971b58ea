"""JSON files: what is written is read, whatever the operating system calls its files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.core.files import read_json, storable, write_json

NAMES = st.binary(max_size=12).map(os.fsdecode)


@given(st.dictionaries(NAMES, st.lists(NAMES, max_size=3), max_size=3))
def test_any_file_name_survives(tmp_path_factory: pytest.TempPathFactory, value: dict[str, list[str]]) -> None:
    path: Path = tmp_path_factory.mktemp("json") / "value.json"
    write_json(path, value)
    assert read_json(path) == value


@given(st.text(st.characters(exclude_categories=())))
def test_storable_changes_lone_surrogates_alone(text: str) -> None:
    kept = storable(text)
    kept.encode("utf-8")
    if not any("\ud800" <= character <= "\udfff" for character in text):
        assert kept == text
    else:
        assert "\ufffd" in kept or len(kept) < len(text)  # two halves in their order make a character
