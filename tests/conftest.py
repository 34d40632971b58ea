"""What tests of all packages share."""

from pathlib import Path

import pytest

from tests.programs import make_all


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good input and output of every verb (see `make_all`); read it only."""
    return make_all(tmp_path_factory.mktemp("good"))
