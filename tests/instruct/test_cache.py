"""The cache of requests: limits on length, versions, several processes, nothing secret."""

import multiprocessing
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.core.errors import ZeroToOneError
from instruct.cache import RequestCache, StoredReply, public_url, request_key


def test_a_reply_is_found_again_after_closing(tmp_path: Path) -> None:
    reply = StoredReply("hello 世界", "stop", "", 3, 4)
    with RequestCache(tmp_path / "c.sqlite") as cache:
        assert cache.get("k", 10) is None
        cache.put("k", 10, {"model": "m"}, reply)
    with RequestCache(tmp_path / "c.sqlite") as cache:
        assert cache.get("k", 10) == reply
        assert cache.request("k") == {"model": "m"}
        assert cache.get("other", 10) is None


def test_a_higher_limit_asks_again_only_what_was_cut(tmp_path: Path) -> None:
    whole, cut = StoredReply("whole", "stop"), StoredReply("cu", "length")
    with RequestCache(tmp_path / "c.sqlite") as cache:
        cache.put("whole", 10, {}, whole)
        cache.put("cut", 10, {}, cut)
        assert cache.get("whole", 20) == whole
        assert cache.get("cut", 20) is None
        assert cache.get("cut", 10) == cut
        assert cache.get("whole", 5) is None
        cache.put("cut", 20, {}, whole)
        assert cache.get("cut", 30) == whole
        assert cache.get("cut", 10) == cut


def test_the_first_reply_stays(tmp_path: Path) -> None:
    with RequestCache(tmp_path / "c.sqlite") as cache:
        cache.put("k", 1, {}, StoredReply("first", "stop"))
        cache.put("k", 1, {}, StoredReply("second", "stop"))
        found = cache.get("k", 1)
        assert found is not None
        assert found.text == "first"
        assert len(cache) == 1


def _fill(path: str, worker: int) -> None:
    with RequestCache(Path(path)) as cache:
        for place in range(100):
            cache.put(f"{worker}-{place}", 1, {"worker": worker}, StoredReply(str(place), "stop"))
            cache.put(f"shared-{place}", 1, {}, StoredReply(str(place), "stop"))


def test_several_processes_write_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_fill, args=(str(path), worker)) for worker in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    with RequestCache(path) as cache:
        assert len(cache) == 500


def test_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    RequestCache(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 7")
    database.close()
    with pytest.raises(ZeroToOneError, match=r"c\.sqlite: a cache of another version \(format 7"):
        RequestCache(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.sqlite"
    text.write_text("not a database, but long enough to look at" * 10)
    with pytest.raises(ZeroToOneError, match="not a readable cache"):
        RequestCache(text)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE mine (x)")
    database.close()
    with pytest.raises(ZeroToOneError, match="not a cache of requests"):
        RequestCache(other)
    with pytest.raises(ZeroToOneError, match="its directory is a file"):
        RequestCache(text / "below.sqlite")


def test_addresses_lose_their_credentials() -> None:
    assert public_url("https://user:pass@host:8/v1/?api-key=abc#x") == "https://host:8/v1"


@given(
    st.dictionaries(
        st.text(), st.one_of(st.text(), st.integers(), st.floats(allow_nan=False, allow_infinity=False))
    )
)
def test_keys_do_not_depend_on_the_order_of_fields(request: dict) -> None:
    backwards = dict(reversed(list(request.items())))
    assert request_key(request) == request_key(backwards)
    assert request_key({**request, "sample": 1}) != request_key({**request, "sample": 2})


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    with RequestCache(tmp_path / "c.sqlite") as cache:
        cache._database.execute("PRAGMA max_page_count = 8")  # SQLite's way to have a small disk
        with pytest.raises(ZeroToOneError, match=r"c\.sqlite: disk full"):
            cache.put("large", 1, {}, StoredReply("x" * 100_000, "stop"))
        cache.put("small", 1, {}, StoredReply("x", "stop"))
        assert cache.get("small", 1) is not None
        assert cache.get("large", 1) is None
