"""`corpus tokenize`: documents to token shards, per domain and split.

Units are encoded in parallel into parts below `.state/encoded/<domain>/`; then each domain's parts are split
and joined, one domain at a time. Which documents are held out depends on their ids alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from tokenizers import Tokenizer

from corpus.core.engine import Parameters, Step, UnitOutput, first_set_aside, process_units
from corpus.core.errors import UsageError, ZeroToOneError
from corpus.core.files import file_hash, read_json, slug, stable_fraction, write_atomically, write_json
from corpus.core.inputs import Quarantine, Unit, plan_units, read_documents
from corpus.core.output import unit_claim
from corpus.core.quarantine import Skipped
from corpus.core.shards import DOCUMENT_COLUMNS, SPLITS, token_type, write_domain, write_shards_manifest
from corpus.core.workers import run_units
from corpus.tokens.tokenizer import end_of_text_id, load_tokenizer, tokenizer_hash

DEFAULT_DOMAIN = "default"
_READ_COLUMNS = ["id", "text", "url", "domain", "origin"]
_REPEAT = "repeat"
_MOST_REPEATS = 1000
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "tokenizer.model",
)


@dataclass(frozen=True)
class _JoinTask:
    shards: Path
    directory: str
    held_out: float
    seed: int


def tokenize_documents(
    inputs: Sequence[str | Path],
    output: Path,
    tokenizer: Path,
    *,
    held_out: float = 0.02,
    seed: int = 0,
    repeat: str | None = None,
    workers: int | None = None,
    engine: str = "local",
    overwrite: bool = False,
    strict: bool = False,
) -> dict[str, Any]:
    """Encode documents with the tokenizer of a folder into a token shard directory and return its manifest.

    `held_out` is the share of documents, drawn by the hash of their id, in the split of that name; a domain
    with two or more ids gets at least one in each split (`split_ids`), unless `held_out` is 0. Special tokens
    that stand in a text are encoded as ordinary text. Documents without text are set aside; documents without
    a domain belong to `default`. `repeat` names a column of whole numbers from 1 on: so often stands a document in
    the training split, its copies apart from each other and with the same id (null: once).

    Raises ZeroToOneError when no document has text.
    """
    if not 0 <= held_out < 1:
        raise UsageError("--held-out is a share of documents: at least 0, below 1")
    end_of_text_id(tokenizer)  # a broken tokenizer should not claim the output
    units = plan_units(inputs)
    parameters: Parameters = {"held_out": held_out, "seed": seed, "tokenizer_hash": tokenizer_hash(tokenizer)}
    if repeat is not None:
        parameters["repeat"] = repeat
        next(_read_repeated(units[0], Skipped(strict), repeat), None)  # a wrong column should not claim it either
    step = Step("corpus tokenize", parameters, _encode_unit)
    claim = unit_claim(step.command, parameters, inputs, units, output)
    earlier = claim.finished(overwrite)
    if earlier is not None:
        _remove_parts(output)
        return earlier
    _copy_tokenizer(tokenizer, output / "tokenizer")
    counts, _ = process_units(step, units, output, workers=workers, engine=engine, strict=strict)
    domains = sorted(path.name for path in _parts(output).glob("*"))
    if not domains:
        names = ", ".join(map(str, inputs))
        raise ZeroToOneError(f"{names}: no documents with text to tokenize{first_set_aside(output)}")
    tasks = [_JoinTask(output, name, held_out, seed) for name in domains]
    joined = run_units(
        _join_domain, tasks, workers=workers, engine=engine, description="corpus tokenize: joining domains"
    )
    manifest = claim.manifest(counts=counts, **_shards_entries(output, joined))
    write_shards_manifest(output, manifest)
    _remove_parts(output)
    return manifest


def encode_texts(tokenizer: Tokenizer, texts: Sequence[str], end_id: int) -> list[np.ndarray]:
    """Token ids of each text with the end-of-text id behind, uint32."""
    encoded = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    return [np.array([*encoding.ids, end_id], dtype=np.uint32) for encoding in encoded]


def split_ids(ids: Sequence[str], held_out: float, seed: int) -> np.ndarray:
    """Which of a domain's documents are held out: bool, by the hash of the id, whatever the order.

    Where the draw leaves a split empty although there are two different ids, the id of the lowest hash is
    held out, or that of the highest is not.
    """
    if not held_out or not len(ids):
        return np.zeros(len(ids), dtype=bool)
    names = np.array(ids, dtype=object)
    fractions = np.array([stable_fraction(name, seed) for name in ids])
    chosen = fractions < held_out
    lowest, highest = fractions.min(), fractions.max()
    if lowest != highest:
        chosen |= fractions == lowest
        chosen &= fractions != highest
    elif len(set(names)) == 1:
        chosen[:] = False
    return np.asarray(chosen)


def _encode_unit(unit: Unit, parameters: Parameters, output: UnitOutput) -> None:
    for frame in _read_repeated(unit, output, parameters.get("repeat")):
        _encode_frame(frame, output, output.directory / "tokenizer")


def _read_repeated(unit: Unit, quarantine: Quarantine, column: str | None) -> Iterator[pl.DataFrame]:
    """A unit's documents with how often each is to be seen as `repeat`: what the column says, else once."""
    for frame in read_documents(unit, quarantine, [*_READ_COLUMNS, *([column] if column else [])]):
        if column is None:
            yield frame.select(*_READ_COLUMNS, pl.lit(1, pl.Int64).alias(_REPEAT))
            continue
        if column not in frame.columns:
            raise ZeroToOneError(f"{unit.path}: no column `{column}`; it has {', '.join(frame.columns)}")
        given = frame[column]
        whole = given.dtype.is_integer() or given.dtype == pl.Null
        counts = given.cast(pl.Int64).fill_null(1) if whole else pl.Series([0], dtype=pl.Int64)
        if counts.len() and not (int(counts.min()) >= 1 and int(counts.max()) <= _MOST_REPEATS):  # type: ignore[arg-type]
            raise ZeroToOneError(
                f"{unit.path}: column `{column}` must hold whole numbers from 1 to {_MOST_REPEATS:,}"
            )
        yield frame.select(*_READ_COLUMNS, counts.alias(_REPEAT))


def _encode_frame(frame: pl.DataFrame, output: UnitOutput, folder: Path) -> None:
    tokenizer, end_id, vocabulary_size = _open_tokenizer(folder)
    output.count("documents_in", frame.height)
    frame = frame.with_columns(pl.col("domain").fill_null(DEFAULT_DOMAIN))
    blank = pl.col("text").str.strip_chars() == ""
    for place in frame.filter(blank)["origin"]:
        output.set_aside(place or "", "empty_text")
    frame = frame.filter(~blank)
    ids = encode_texts(tokenizer, frame["text"].to_list(), end_id)
    dtype = np.dtype(token_type(vocabulary_size)).newbyteorder("<")
    frame = frame.with_columns(
        pl.Series("tokens", [len(row) for row in ids], dtype=pl.Int64),
        pl.col("text").str.len_bytes().cast(pl.Int64).alias("bytes"),
        pl.Series("token_bytes", [row.astype(dtype).tobytes() for row in ids], dtype=pl.Binary),
    ).drop("text")
    output.count("documents_kept", frame.height)
    for (domain,), rows in frame.partition_by("domain", as_dict=True, maintain_order=True).items():
        output.write(f".state/encoded/{slug(str(domain))}", rows)


@cache
def _open_tokenizer(folder: Path) -> tuple[Tokenizer, int, int]:
    tokenizer = load_tokenizer(folder)
    return tokenizer, end_of_text_id(folder), tokenizer.get_vocab_size()


def _join_domain(task: _JoinTask) -> tuple[str, dict[str, dict[str, Any]]]:
    """Split and join one domain; a result that an earlier run left is taken."""
    done = task.shards / ".state" / f"joined-{task.directory}.json"
    if done.exists():
        stored = read_json(done)
        return stored["domain"], stored["splits"]
    paths = sorted((_parts(task.shards) / task.directory).glob("part-*.parquet"))
    keys = [pl.read_parquet(path, columns=["id", "domain"]) for path in paths]
    domain = str(keys[0]["domain"][0])
    chosen = split_ids(pl.concat(keys)["id"].to_list(), task.held_out, task.seed)
    masks = np.split(chosen, np.cumsum([frame.height for frame in keys])[:-1])
    vocabulary_size = _open_tokenizer(task.shards / "tokenizer")[2]
    entries: dict[str, dict[str, Any]] = {}
    for split in SPLITS:
        wanted = [mask if split == "held_out" else ~mask for mask in masks]
        if any(mask.any() for mask in wanted):
            parts = _read_parts(paths, wanted, vocabulary_size, repeated=split != "held_out")
            entries[split] = write_domain(task.shards, split, domain, vocabulary_size, parts)
    write_json(done, {"domain": domain, "splits": entries})
    return domain, entries


def _read_parts(
    paths: Sequence[Path], masks: Sequence[np.ndarray], vocabulary_size: int, *, repeated: bool
) -> Iterator[tuple[np.ndarray, pl.DataFrame]]:
    """Tokens and documents part by part; with `repeated` each part's copies behind it, round by round."""
    dtype = np.dtype(token_type(vocabulary_size)).newbyteorder("<")
    for path, mask in zip(paths, masks, strict=True):
        if mask.any():
            rows = pl.read_parquet(path).filter(pl.Series(mask))
            seen = 0
            while rows.height:
                tokens = np.frombuffer(b"".join(rows["token_bytes"]), dtype=dtype)
                yield tokens, rows.select(DOCUMENT_COLUMNS)
                seen += 1
                rows = rows.filter(pl.col(_REPEAT) > seen) if repeated else rows.clear()


def _copy_tokenizer(source: Path, target: Path) -> None:
    for name in _TOKENIZER_FILES:
        if (source / name).is_file():
            with write_atomically(target / name) as temporary:
                shutil.copyfile(source / name, temporary)


def _shards_entries(shards: Path, joined: Sequence[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    _, end_id, vocabulary_size = _open_tokenizer(shards / "tokenizer")
    splits = {split: {name: found[split] for name, found in joined if split in found} for split in SPLITS}
    return {
        "tokenizer": {
            "hash": file_hash(shards / "tokenizer" / "tokenizer.json"),
            "vocabulary_size": vocabulary_size,
            "end_of_text_id": end_id,
        },
        "dtype": token_type(vocabulary_size),
        "splits": splits,
    }


def _parts(shards: Path) -> Path:
    return shards / ".state" / "encoded"


def _remove_parts(shards: Path) -> None:
    if _parts(shards).exists():
        shutil.rmtree(_parts(shards))
