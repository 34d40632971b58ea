"""What tests of all packages share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.instruct.chat_server import chat_server
from tests.programs import make_all


@pytest.fixture(scope="session")
def good(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Good input and output of every verb (see `make_all`), and a server's address; read it only."""
    folder = make_all(tmp_path_factory.mktemp("good"))
    with chat_server() as server:
        (folder / "endpoint").write_text(server.url)
        yield folder
