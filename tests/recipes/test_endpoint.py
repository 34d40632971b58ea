"""With an endpoint the main job also generates and evolves, and pays for nothing twice."""

from pathlib import Path

import polars as pl
import pytest

from corpus.core.conversations import read_conversations
from recipes.data_stages import count_conversations, instruct
from recipes.job import Job
from tests.instruct.chat_server import answer, chat_server, digest

CHARACTERS = "山水花鸟风云春秋灯书桥路城海星月米茶门窗"


def reply(messages: list[dict[str, str]]) -> str:
    prompt = messages[-1]["content"]
    if "指令：" not in prompt:
        return answer(messages)

    def text(place: int) -> str:
        return "".join(CHARACTERS[digest(f"{prompt}{place}{n}") % len(CHARACTERS)] for n in range(14))

    return "\n\n".join(f"### {n}\n指令：请说说{text(n)}\n输入：<无>\n输出：{text(n + 50)}。" for n in range(1, 11))


def test_generated_and_evolved_rows_join_and_are_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-never-written")
    documents = tmp_path / "documents.parquet"
    sentences = ["The lantern shows the way to the old harbour.", "A garden has many paths and one gate."]
    sentences += ["We walk along the river with a friend every day.", "Nobody knows who built the stone bridge."]
    texts = [f"Part {n} begins here and ends with a song. {' '.join(sentences * 3)}" for n in range(40)]
    pl.DataFrame({"text": texts, "domain": ["a", "b"] * 20}).write_parquet(documents)
    with chat_server(reply=reply) as server:
        asked = []
        for name in ("first", "again"):
            job = Job(tmp_path / name, base_url=server.url, endpoint_model="m", generate_count=4, workers=1)
            files, _ = instruct(job, documents)
            asked.append(server.requests())
        assert asked[0] == asked[1] > 0
    assert [file.parent.name for file in files[2:]] == ["generate_en", "generate_zh", "evolve"]
    assert [sum(1 for _ in read_conversations([file])) for file in files[2:4]] == [4, 4]
    assert "hand-written" in count_conversations(files)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in written if b"sk-never-written" in path.read_bytes()]
