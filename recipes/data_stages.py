"""The data half of the main job: pages to documents, shards and instruction data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from corpus.core.console import log
from corpus.core.conversations import read_conversations, write_conversations
from corpus.core.engine import Parameters, Step, UnitOutput, run_step
from corpus.core.errors import UsageError
from corpus.core.inputs import Unit, read_documents
from corpus.core.locations import file_format, list_files
from corpus.duplicates.whole.dedup import dedup_documents
from corpus.filtering.filter import filter_documents
from corpus.pages.extract import AUTO_DOMAIN, ExtractOptions, extract
from corpus.tokens.tokenize import tokenize_documents
from corpus.tokens.tokenizer_training import build_tokenizer
from instruct.seeds import seeds_as_conversations
from instruct.template import make_conversations
from recipes.environment import collect_environment
from recipes.job import Job

LANGUAGES = ("en", "zh")
RULES = Path(__file__).with_name("rules")


def collect(job: Job) -> dict[str, list[str]]:
    """The inputs by domain: the user's own, or this environment's documentation."""
    if job.inputs:
        return inputs_by_domain(job.inputs)
    collect_environment(job.at("input"), pages=job.pages, workers=job.workers)
    places = {"standard_library": "standard_library", "packages": "packages"}
    files = {"guides": "guides.parquet", "code": "code.parquet"}
    return {name: [str(job.at("input", place))] for name, place in (places | files).items()}


def inputs_by_domain(inputs: Sequence[str]) -> dict[str, list[str]]:
    """`DOMAIN=PATH` or `PATH` arguments → domain → paths; without a name the domain is `auto`."""
    found: dict[str, list[str]] = {}
    for item in inputs:
        name, separator, path = item.partition("=")
        if not separator or "/" in name or Path(item).exists():
            name, path = AUTO_DOMAIN, item
        if not name or not path:
            raise UsageError(f"--input {item}: give a path, or DOMAIN=PATH")
        found.setdefault(name, []).append(path)
    return found


def extract_pages(job: Job, inputs: dict[str, list[str]]) -> dict[str, Path]:
    """Documents of each domain as a dataset directory: extracted from pages, or read as they are."""
    documents: dict[str, Path] = {}
    for domain, paths in inputs.items():
        kinds = {file_format(path) for path, _ in list_files(paths)}
        pages = {"warc", "html"} & kinds
        if pages and kinds - pages:
            raise UsageError(f"--input {domain}: pages and documents under one name; give them names of their own")
        output = job.at("extract", domain)
        if pages:
            # pydoc lays pages out in tables; trafilatura keeps half of their text and no function's description.
            extractor = "trafilatura" if job.inputs else "resiliparse"
            extract(paths, output, ExtractOptions(domain=domain, extractor=extractor), workers=job.workers)
        else:
            run_step(Step("recipe read", {"domain": domain}, _read_documents), paths, output, workers=job.workers)
        documents[domain] = output
    return documents


def _read_documents(unit: Unit, parameters: Parameters, output: UnitOutput) -> None:
    domain = parameters["domain"]
    for frame in read_documents(unit, output):
        if domain != AUTO_DOMAIN:
            frame = frame.with_columns(pl.lit(domain).alias("domain"))
        else:
            stem = Path(unit.name).name.split(".")[0]
            frame = frame.with_columns(pl.col("domain").fill_null(stem))
        output.count("documents_in", frame.height)
        output.count("documents_kept", frame.height)
        output.write("documents", frame)


def filter_all(job: Job, documents: dict[str, Path]) -> list[Path]:
    """Apply the rules and keep a ledger; code has its own, since those for prose would drop nearly all of it."""
    if job.inputs:
        groups = {"all": (job.rules or "auto", list(documents.values()))}
    else:
        prose = [path for domain, path in documents.items() if domain != "code"]
        rules = job.rules or str(RULES / "documentation.yaml")
        groups = {"prose": (rules, prose), "code": (str(RULES / "code.yaml"), [documents["code"]])}
    outputs = []
    for name, (rules, paths) in groups.items():
        output = job.at("filter", name)
        languages = LANGUAGES if name == "prose" else ()
        filter_documents(paths, output, rules=[rules], languages=languages, workers=job.workers)
        outputs.append(output)
    return outputs


def dedup_exact(job: Job, filtered: Sequence[Path]) -> Path:
    """One document of each set of equal ones."""
    dedup_documents(filtered, job.at("dedup_exact"), method="exact", workers=job.workers)
    return job.at("dedup_exact")


def dedup_near(job: Job, documents: Path) -> Path:
    """One document of each cluster of near duplicates."""
    dedup_documents([documents], job.at("dedup_near"), method="minhash", workers=job.workers)
    return job.at("dedup_near")


def train_tokenizer(job: Job, documents: Path) -> Path:
    """A byte-level BPE on a sample balanced over the domains."""
    size = job.vocabulary_size
    build_tokenizer([documents], job.at("tokenizer"), vocabulary_size=size, sample_bytes=8_000_000, seed=job.seed)
    return job.at("tokenizer")


def tokenize(job: Job, documents: Path, tokenizer: Path) -> Path:
    """Token shards by domain, with held-out documents."""
    tokenize_documents([documents], job.at("shards"), tokenizer, held_out=0.05, seed=job.seed, workers=job.workers)
    return job.at("shards")


def instruct(job: Job, documents: Path) -> tuple[list[Path], Path]:
    """Instruction data: templates over the documents, hand-written seeds and conversations, and with an endpoint
    generated and evolved tasks. Returns the files to tune on and the held-out template conversations."""
    templates = job.at("instruct", "template")
    make_conversations(
        [documents],
        templates,
        cap_per_task=job.conversations_per_task,
        seed=job.seed,
        workers=job.workers,
    )
    seeds = job.at("instruct", "seeds.jsonl")
    if not seeds.exists():
        write_conversations(seeds, (row for lang in LANGUAGES for row in seeds_as_conversations(lang)))
    files = [templates / "conversations.jsonl", seeds]
    if job.base_url is None:
        log(
            "no endpoint: `instruct generate` and `instruct evolve` are skipped; to have them, give "
            "--base-url URL --endpoint-model NAME, and OPENAI_API_KEY where the endpoint wants a key"
        )
    else:
        files.extend(_generate_and_evolve(job, seeds))
    return files, templates / "held_out.jsonl"


def _generate_and_evolve(job: Job, seeds: Path) -> list[Path]:
    from instruct.cache import default_cache_path
    from instruct.client import endpoint_from_environment
    from instruct.evolve import evolve
    from instruct.evolve_rounds import EvolveOptions
    from instruct.generate import GenerateOptions, generate

    endpoint = endpoint_from_environment(str(job.base_url), str(job.endpoint_model))
    files = []
    for language in LANGUAGES:
        output = job.at("instruct", f"generate_{language}")
        options = GenerateOptions(language, job.generate_count, seed=job.seed)
        generate("builtin", output, endpoint, options, cache_path=default_cache_path())
        files.append(output / "conversations.jsonl")
    evolved = job.at("instruct", "evolve")
    evolve(
        [str(file) for file in files],
        evolved,
        endpoint,
        EvolveOptions(rounds=1, seed=job.seed),
        cache_path=default_cache_path(),
    )
    return [*files, evolved / "conversations.jsonl"]


def count_conversations(files: Sequence[Path]) -> dict[str, Any]:
    """How many conversations of each source, over files."""
    counts: dict[str, Any] = {}
    for row in read_conversations(files):
        counts[row["source"]] = counts.get(row["source"], 0) + 1
    return dict(sorted(counts.items()))
