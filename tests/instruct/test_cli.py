"""The program `instruct`: help, statuses, one-line errors."""

import json
from pathlib import Path

import pytest

from instruct.cli import main
from tests.instruct.chat_server import KEY, chat_server


def call(*arguments: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.argv", ["instruct", *arguments])
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


@pytest.fixture
def seeds(tmp_path: Path) -> str:
    path = tmp_path / "seeds.jsonl"
    path.write_text('{"id": "a", "instruction": "Name three large rivers.", "output": "Nile, Congo, Amazon"}\n')
    return str(path)


@pytest.mark.parametrize("verb", ["template", "clean", "convert", "generate", "evolve", "decontaminate"])
def test_help_has_an_example(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(verb, "--help", monkeypatch=monkeypatch) == 0
    assert f"Example: instruct {verb} " in " ".join(capsys.readouterr().out.split())


def test_generate_then_evolve_then_convert(
    seeds: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks, evolved = tmp_path / "tasks", tmp_path / "evolved"
    with chat_server(key=KEY) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        more = ["--model", "m", "--json"]
        generated = ["generate", "--seeds", seeds, "--count", "5", "-o", str(tasks), *more]
        assert call(*generated, monkeypatch=monkeypatch) == 0
        summary = json.loads(capsys.readouterr().out)
        assert summary["rows_kept"] == 5
        assert summary["requests_sent"] >= 1
        assert call(*generated, monkeypatch=monkeypatch) == 0
        assert json.loads(capsys.readouterr().out)["requests_sent"] == 0
        source = str(tasks / "conversations.jsonl")
        status = call("evolve", source, "--rounds", "1", "-o", str(evolved), *more, monkeypatch=monkeypatch)
        assert status == 0
        assert json.loads(capsys.readouterr().out)["evolutions"] == 5
    assert (tmp_path / "cache" / "zero-to-one" / "requests.sqlite").exists()
    alpaca = str(tmp_path / "alpaca.json")
    arguments = ["convert", source, str(evolved / "conversations.jsonl"), "-o", alpaca, "--to", "alpaca"]
    assert call(*arguments, monkeypatch=monkeypatch) == 0
    assert len(json.loads(Path(alpaca).read_text())) >= 5


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(lines) == 1
    return lines[0]


def test_errors_are_one_line_with_a_status(
    seeds: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    common = ["--count", "1", "--model", "m", "-o", str(tmp_path / "out")]
    with chat_server(key="other") as server:
        arguments = ["generate", "--seeds", seeds, *common, "--base-url", server.url]
        assert call(*arguments, monkeypatch=monkeypatch) == 1
        message = one_line(capfd)
        assert "refuses the key" in message
        assert KEY not in message
        assert server.requests() == 1
    missing = ["generate", "--seeds", "none.jsonl", *common]
    assert call(*missing, monkeypatch=monkeypatch) == 1
    assert one_line(capfd) == "error: none.jsonl: no such file"
    assert call("generate", "--seeds", seeds, *common, "--base-url", "ftp://h", monkeypatch=monkeypatch) == 2
    one_line(capfd)
    monkeypatch.delenv("OPENAI_API_KEY")
    assert call("generate", "--seeds", seeds, *common, monkeypatch=monkeypatch) == 2
    assert "OPENAI_API_KEY" in one_line(capfd)
    assert call("convert", seeds, "-o", "x", "--to", "nothing", monkeypatch=monkeypatch) == 2
    assert call("generate", monkeypatch=monkeypatch) == 2


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_builtin_seeds(
    lang: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with chat_server(reply=lambda _: "nothing of use") as server:
        more = ["--lang", lang, "--base-url", server.url, "--model", "m", "--json"]
        arguments = ["generate", "--count", "1", "-o", str(tmp_path / "tasks"), *more]
        assert call(*arguments, monkeypatch=monkeypatch) == 0
        summary = json.loads(capsys.readouterr().out)
        assert summary["seeds_in"] >= {"en": 175, "zh": 60}[lang]
        assert summary["stopped"] == "no_new_tasks"
        assert (
            call(
                "evolve",
                "builtin",
                "--rounds",
                "1",
                "-o",
                str(tmp_path / "evolved"),
                *more,
                monkeypatch=monkeypatch,
            )
            == 0
        )
        assert json.loads(capsys.readouterr().out)["rows_in"] == summary["seeds_in"]


def test_failed_requests_are_told(
    seeds: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fault(_: str, __: int) -> dict[str, int] | None:
        return {"status": 400} if server.requests() == 2 else None

    with chat_server(fault=fault) as server:
        arguments = ["generate", "--seeds", seeds, "--count", "20", "--model", "m", "-o", str(tmp_path / "out")]
        assert call(*arguments, "--base-url", server.url, monkeypatch=monkeypatch) == 0
    assert "1 requests failed; the same command asks them again" in capfd.readouterr().err
