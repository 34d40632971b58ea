"""`corpus dedup` as a whole: against brute force, its invariants, bad input, and the same bytes always."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import corpus.duplicates.whole.dedup as dedup_module
import corpus.duplicates.whole.group as group_module
import corpus.duplicates.whole.sign as sign_module
from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.output import Claim
from corpus.duplicates.whole.dedup import dedup_documents
from tests.corpus.test_minhash import brute_jaccard, brute_shingles


def write(path: Path, texts: list[str], **columns: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    ids = columns.pop("id", [f"{path.stem}-{row}" for row in range(len(texts))])
    pl.DataFrame({"id": ids, "text": texts, **columns}).write_parquet(path)
    return path


def table(output: Path, name: str) -> pl.DataFrame:
    return pl.read_parquet(output / name / "*.parquet") if (output / name).exists() else pl.DataFrame()


def files(directory: Path) -> dict[str, bytes]:
    found = {str(path.relative_to(directory)): path for path in sorted(directory.rglob("*")) if path.is_file()}
    return {
        name: path.read_bytes()
        for name, path in found.items()
        if name != "manifest.json" and not name.startswith(".state")
    }


def sentence(draw: random.Random, words: int = 60) -> list[str]:
    return [f"w{draw.randrange(5000)}" for _ in range(words)]


def family_corpus(seed: int, families: int = 120) -> list[str]:
    """Texts in families of 1 to 4 whose members differ by a few words."""
    draw = random.Random(seed)
    texts = []
    for _ in range(families):
        base = sentence(draw)
        texts.append(" ".join(base))
        for _ in range(draw.randrange(4)):
            copy = list(base)
            for _ in range(draw.randrange(4)):
                copy[draw.randrange(len(copy))] = "changed"
            texts.append(" ".join(copy))
    draw.shuffle(texts)
    return texts


def brute_clusters(texts: list[str], threshold: float) -> set[frozenset[int]]:
    sets = [brute_shingles(text, 5) for text in texts]
    groups = {row: {row} for row in range(len(texts))}
    for left, right in combinations(range(len(texts)), 2):
        if groups[left] is not groups[right] and brute_jaccard(sets[left], sets[right]) >= threshold:
            groups[left] |= groups[right]
            for row in groups[right]:
                groups[row] = groups[left]
    return {frozenset(group) for group in groups.values()}


def found_clusters(output: Path, ids: list[str]) -> set[frozenset[int]]:
    rows = {key: row for row, key in enumerate(ids)}
    members: dict[str, set[int]] = {}
    for key, cluster in table(output, "clusters").select("id", "cluster").iter_rows():
        members.setdefault(cluster, set()).add(rows[key])
    single = set(rows.values()).difference(*members.values())
    return {frozenset(group) for group in members.values()} | {frozenset([row]) for row in single}


def pairs(clusters: set[frozenset[int]]) -> set[tuple[int, ...]]:
    return {pair for cluster in clusters for pair in combinations(sorted(cluster), 2)}


def test_finds_planted_near_duplicates_like_brute_force(tmp_path: Path) -> None:
    texts = family_corpus(1)
    ids = [f"a-{row}" for row in range(len(texts))]
    path = write(tmp_path / "a.parquet", texts)
    dedup_documents([path], tmp_path / "out", linkage="single", workers=1)
    expected, found = pairs(brute_clusters(texts, 0.8)), pairs(found_clusters(tmp_path / "out", ids))
    assert len(expected) > 50
    assert found <= expected, "every joined pair is verified"
    assert len(found) >= 0.92 * len(expected)
    lower = pairs(brute_clusters(texts, 0.5))
    assert len(lower) > len(expected), "the corpus has pairs on both sides of the threshold"


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.text(st.sampled_from("ab 中文!"), max_size=12),
            st.sampled_from(
                ["one two three four five six seven eight", "one two three four five six seven", "", "x"]
            ),
        ),
        min_size=1,
        max_size=25,
    ),
    st.sampled_from(["exact", "minhash"]),
    st.sampled_from(["first", "longest"]),
    st.sampled_from([("jaccard", "star"), ("jaccard", "single"), ("signature", "star"), ("none", "single")]),
)
def test_invariants(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], method: str, keep: str, how: tuple[str, str]
) -> None:
    tmp_path = tmp_path_factory.mktemp("run")
    path = write(tmp_path / "in.parquet", texts)
    options = {"method": method, "keep": keep, "verify": how[0], "linkage": how[1], "workers": 1, "threshold": 0.6}
    manifest = dedup_documents([path], tmp_path / "out", **options)
    kept, removed, clusters = (table(tmp_path / "out", name) for name in ("documents", "removed", "clusters"))
    ids = pl.read_parquet(path)["id"].to_list()
    gone = removed["id"].to_list() if removed.width else []
    assert sorted(kept["id"].to_list() + gone) == sorted(ids), "each document once, kept or removed"
    assert manifest["counts"]["documents_kept"] == kept.height
    assert kept["cluster_size"].sum() == len(ids)
    if not clusters.width:
        assert not gone
        return
    assert clusters["id"].is_unique().all(), "no document in two clusters"
    length = dict(zip(ids, map(len, texts), strict=True))
    for (_,), members in clusters.group_by("cluster"):
        assert members["kept"].sum() == 1
        assert members.height >= 2
        keeper = members.filter("kept")["id"].item()
        assert set(members["kept_id"]) == {keeper}
        assert set(members.filter(~pl.col("kept"))["id"]) <= set(gone)
        if keep == "longest":
            assert length[keeper] == max(length[key] for key in members["id"])
        else:
            assert keeper == min(members["id"], key=ids.index)
        assert kept.filter(id=keeper)["cluster_size"].item() == members.height
    assert set(gone) == set(clusters.filter(~pl.col("kept"))["id"])


def test_clusters_do_not_depend_on_the_order_of_the_input(tmp_path: Path) -> None:
    texts = family_corpus(2, 60) + ["same words here"] * 100 + ["!!!", "!!!", ""]
    ids = [f"d{row}" for row in range(len(texts))]
    order = random.Random(0).sample(range(len(texts)), len(texts))
    write(tmp_path / "one" / "a.parquet", texts, id=ids)
    for part in range(3):
        rows = order[part::3]
        write(tmp_path / "two" / f"{part}.parquet", [texts[r] for r in rows], id=[ids[r] for r in rows])
    for name in ("one", "two"):
        dedup_documents([tmp_path / name], tmp_path / f"out-{name}", linkage="single", workers=1)
    assert found_clusters(tmp_path / "out-one", ids) == found_clusters(tmp_path / "out-two", ids)
    first, second = (
        table(tmp_path / f"out-{name}", "edges")["jaccard"].sort().to_list() for name in ("one", "two")
    )
    assert first == second


def test_evidence_is_the_true_similarity(tmp_path: Path) -> None:
    texts = family_corpus(3, 60)
    path = write(tmp_path / "a.parquet", texts)
    dedup_documents([path], tmp_path / "out", workers=1)
    text = dict(pl.read_parquet(path).select("id", "text").iter_rows())
    for name, other in (("clusters", "kept_id"), ("edges", "other_id")):
        rows = table(tmp_path / "out", name)
        assert rows.height > 10
        for row in rows.to_dicts():
            expected = brute_jaccard(*(brute_shingles(text[row[side]], 5) for side in ("id", other)))
            assert row["jaccard"] == pytest.approx(expected)
    assert table(tmp_path / "out", "edges")["jaccard"].min() >= 0.8
    removed = table(tmp_path / "out", "removed")
    for row in removed.to_dicts():
        assert (row["reason"] == "exact_duplicate") == (text[row["id"]] == text[row["kept_id"]])


def test_ten_thousand_copies(tmp_path: Path) -> None:
    base = sentence(random.Random(5), 200)
    texts = [" ".join([*base[: i % 7], f"v{i % 50}", *base[i % 7 :]]) for i in range(10_000)]
    manifest = dedup_documents([write(tmp_path / "a.parquet", texts)], tmp_path / "out", workers=1)
    assert manifest["counts"]["documents_kept"] == 1
    assert manifest["counts"]["largest_cluster"] == 10_000
    assert table(tmp_path / "out", "documents")["cluster_size"].to_list() == [10_000]


def test_short_empty_and_wordless_documents(tmp_path: Path) -> None:
    texts = ["word", "Word!", "other", "", " \n", "!!!", "! ! !", "!!!", "one two three four", "one two three"]
    dedup_documents([write(tmp_path / "a.parquet", texts)], tmp_path / "out", workers=1)
    expected = {frozenset(group) for group in ([0, 1], [2], [3, 4], [5, 7], [6], [8], [9])}
    assert found_clusters(tmp_path / "out", [f"a-{row}" for row in range(10)]) == expected


def test_duplicate_and_missing_ids_stay_apart(tmp_path: Path) -> None:
    texts = ["a b c d e f", "a b c d e f", "g h i j k l", "g h i j k l", "lonely text with words"]
    path = write(tmp_path / "a.parquet", texts, id=["x", "x", "x", "y", None])
    manifest = dedup_documents([path], tmp_path / "out", workers=1)
    assert manifest["counts"]["duplicate_ids"] == 2
    assert table(tmp_path / "out", "documents")["text"].to_list() == [texts[0], texts[2], texts[4]]
    clusters = table(tmp_path / "out", "clusters")
    assert clusters["cluster"].to_list() == ["x#0", "x#0", "x#2", "x#2"]
    assert table(tmp_path / "out", "documents")["id"].null_count() == 0


def test_scope(tmp_path: Path) -> None:
    texts = ["one two three four five six"] * 4
    path = write(tmp_path / "a.parquet", texts, crawl=["1", "2", "1", None])
    for method in ("exact", "minhash"):
        dedup_documents([path], tmp_path / method, method=method, scope="crawl", workers=1)
        assert table(tmp_path / method, "documents")["id"].to_list() == ["a-0", "a-1", "a-3"]
    with pytest.raises(ZeroToOneError, match="no column `nothing`"):
        dedup_documents([path], tmp_path / "out", scope="nothing", workers=1)
    assert not (tmp_path / "out").exists()


def test_exact_leaves_near_duplicates(tmp_path: Path) -> None:
    texts = ["one two three four five six", "One  two three four five six", "one, two three four five six"]
    path = write(tmp_path / "a.parquet", texts)
    manifest = dedup_documents([path], tmp_path / "exact", method="exact", workers=1)
    assert manifest["reasons"] == {"exact_duplicate": 1}
    manifest = dedup_documents([tmp_path / "exact"], tmp_path / "near", workers=1)
    assert manifest["reasons"] == {"near_duplicate": 1}
    assert table(tmp_path / "near", "documents")["cluster_size"].to_list() == [3], "sizes add up over two steps"


def test_extra_columns_and_broken_records(tmp_path: Path) -> None:
    lines = [json.dumps({"id": str(i), "text": f"text number {i % 2}", "stars": i}) for i in range(4)]
    (tmp_path / "in.jsonl").write_text("\n".join([lines[0], "{broken", *lines[1:]]) + "\n")
    manifest = dedup_documents([tmp_path / "in.jsonl"], tmp_path / "out", workers=1)
    assert manifest["counts"]["set_aside"] == 1
    kept = table(tmp_path / "out", "documents")
    assert kept.select("id", "stars").rows() == [("0", 0), ("1", 1)]
    with pytest.raises(ZeroToOneError, match=r"in\.jsonl:2"):
        dedup_documents([tmp_path / "in.jsonl"], tmp_path / "strict", workers=1, strict=True)


def test_no_documents(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("{broken\n")
    with pytest.raises(ZeroToOneError, match="no documents to read"):
        dedup_documents([tmp_path / "in.jsonl"], tmp_path / "out", workers=1)


def test_same_bytes_for_any_workers_and_after_interruptions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = family_corpus(4, 60)
    for part in range(4):
        write(tmp_path / "in" / f"{part}.parquet", texts[part::4])
    dedup_documents([tmp_path / "in"], tmp_path / "one", workers=1)
    dedup_documents([tmp_path / "in"], tmp_path / "two", workers=2)
    expected = files(tmp_path / "one")
    assert Counter(name.split("/")[0] for name in expected) == {
        "documents": 4, "removed": 4, "clusters": 4, "edges": 1
    }  # fmt: skip
    assert files(tmp_path / "two") == expected
    places = [
        (sign_module, "sign_documents", 4),
        (group_module, "decide", 1),
        (group_module, "_write_edges", 1),
        (dedup_module, "_write_frame", 3),
        (Claim, "write_manifest", 1),
        (dedup_module, "remove_stages", 1),
    ]
    run = partial(dedup_documents, [tmp_path / "in"], workers=1)
    check_interruptions(tmp_path, monkeypatch, places, run, run, expected, "signed")


def check_interruptions(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    places: Sequence[tuple[Any, str, int]],
    run: Callable[[Path], Any],
    run_again: Callable[[Path], Any],
    expected: dict[str, bytes],
    stage: str,
) -> None:
    """Interrupt a run in each place (a function of a module, at a call) and run again: the files are the same."""
    for module, name, number in places:
        output = folder / name
        with monkeypatch.context() as patch:
            fail_on_call(patch, module, name, number)
            with pytest.raises(KeyboardInterrupt):
                run(output)
        run_again(output)
        assert files(output) == expected, name
        assert not (output / ".state" / stage).exists()


def fail_on_call(patch: pytest.MonkeyPatch, module: Any, name: str, call: int) -> None:
    original = getattr(module, name)
    calls = iter(range(1, 1000))

    def failing(*arguments: Any, **named: Any) -> Any:
        if next(calls) == call:
            raise KeyboardInterrupt
        return original(*arguments, **named)

    patch.setattr(module, name, failing)


def test_finished_output_is_not_touched_and_other_parameters_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", ["some text", "some text", "other"])
    manifest = dedup_documents([path], tmp_path / "out", workers=1)
    assert dedup_documents([path], tmp_path / "out", workers=1) == manifest
    with pytest.raises(ZeroToOneError, match=r"threshold was 0\.8, is 0\.9"):
        dedup_documents([path], tmp_path / "out", workers=1, threshold=0.9)
    fresh = dedup_documents([path], tmp_path / "out", workers=1, threshold=0.9, overwrite=True)
    assert fresh["parameters"]["rows"] == 13


@pytest.mark.parametrize("wrong", [{"method": "fuzzy"}, {"keep": "best"}, {"ngram": 0}, {"threshold": 1.5}])
def test_wrong_arguments(tmp_path: Path, wrong: dict[str, Any]) -> None:
    path = write(tmp_path / "a.parquet", ["some text"])
    with pytest.raises(UsageError, match=next(iter(wrong))):
        dedup_documents([path], tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()
