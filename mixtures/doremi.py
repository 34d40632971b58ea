"""The verb `doremi`: domain weights by DoReMi (Xie et al. 2023), from token shards.

<output>/round-1/reference/     run of the reference model on the baseline weights: metrics.jsonl, checkpoints/
<output>/round-1/proxy/         run of the proxy; its metrics hold excess, weight and average of every domain
<output>/weights_history.jsonl  round, step, and weights, average and excess by domain
<output>/mixture.yaml           the averaged weights, as shares of tokens; mixture_bytes.yaml as shares of bytes
<output>/manifest.json          parameters and result: the last thing to appear
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from transformers import PreTrainedModel

from corpus.core.console import log
from corpus.core.errors import UsageError
from corpus.core.files import file_hash, read_json, write_atomically
from corpus.core.output import Claim
from corpus.core.shards import Shards, open_shards
from mixtures.certainty import bootstrap_intervals, drift
from mixtures.plan import resolve_weights
from mixtures.planning import convert_weights
from mixtures.proxy import History, ProxyObjective
from mixtures.sizes import shard_sizes
from train.causal import Batch, CausalObjective, token_losses
from train.loop import LoopConfig, default_device, fit, resolve_precision
from train.mixture import Mixture
from train.models import PRESETS, model_for_shards
from train.run_directory import set_threads
from train.sampler import Sampler

_CONVERGED = 1e-3
_HISTORY_ENTRIES = 400
_CHECKPOINTS = 20


@dataclass(frozen=True)
class DoReMiConfig:
    """How the search is run. `batch_rows` is rounded up to a multiple of the number of domains."""

    baseline: str = "proportional"
    model: str = "tiny"
    steps: int = 1000
    rounds: int = 1
    eta: float = 1.0
    smoothing: float = 1e-3
    row_length: int = 256
    batch_rows: int = 32
    seed: int = 0
    precision: str = "auto"
    threads: int | None = None

    def __post_init__(self) -> None:
        for name in ("steps", "rounds", "row_length", "batch_rows"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name.replace('_', '-')} must be at least 1")
        if not 0 < self.eta < float("inf"):
            raise UsageError("--eta must be above 0")
        if not 0 <= self.smoothing <= 1:
            raise UsageError("--smoothing must be between 0 and 1")
        if self.model not in PRESETS and Path(self.model).is_dir():
            raise UsageError(
                f"--model {self.model}: reference and proxy start anew; give a preset or a config.json"
            )


@dataclass(frozen=True)
class _Search:
    """What all rounds share."""

    shards: Shards
    config: DoReMiConfig
    domains: list[str]
    rows_per_step: int
    loop: LoopConfig
    interval: int


@dataclass(frozen=True)
class _Found:
    """What a round found: the averaged weights [domains] and how they came about."""

    average: np.ndarray
    history: History


def doremi(shards_path: Path, output: Path, config: DoReMiConfig, *, overwrite: bool = False) -> dict[str, Any]:
    """Find domain weights with small models; returns the result that manifest.json holds under `result`.

    The domains are those that the baseline gives weight. A search that has begun goes on, a finished one returns
    at once. Raises ZeroToOneError where the baseline does not fit the shards or `output` holds another search.
    """
    shards = open_shards(shards_path, "train")
    budget = float(config.steps * config.batch_rows * config.row_length)
    baseline = resolve_weights(config.baseline, shard_sizes(shards), budget, shards_path)
    recorded = {} if overwrite else _recorded(output)
    parameters = _parameters(config, baseline, recorded)
    size = sum(shard.tokens.nbytes for shard in shards.domains.values())
    claim = Claim("mixtures doremi", parameters, [shards_path], [shards.hash], size, output)
    search = _prepare(shards, config, baseline, parameters["precision"])
    _model(search)  # a model that cannot be used should not claim the output
    earlier = claim.finished(overwrite)
    if earlier is not None:
        log(f"{output}: finished before")
        return dict(earlier["result"])
    found: list[_Found] = []
    reference = baseline
    for number in range(1, config.rounds + 1):
        found.append(_round(search, reference, output / f"round-{number}"))
        average = _mixture(search.domains, found[-1].average)
        change = max(abs(average.weights[name] - reference.weights[name]) for name in search.domains)
        reference = average
        if change < _CONVERGED:
            break
    result = _result(search, baseline, found[-1])
    _write(search, output, parameters, baseline, found, result)
    counts = {"rounds": len(found), "steps": config.steps, "tokens": _tokens(search, len(found))}
    claim.write_manifest(counts=counts, result=result)
    return result


def _recorded(output: Path) -> dict[str, Any]:
    """The parameters of the search in `output`: a resume keeps the threads and precision of the first start."""
    claim = output / ".state" / "claim.json"
    return dict(read_json(claim)["parameters"]) if claim.exists() else {}


def _parameters(config: DoReMiConfig, baseline: Mixture, recorded: dict[str, Any]) -> dict[str, Any]:
    precision = recorded.get("precision", "auto") if config.precision == "auto" else config.precision
    model = config.model
    if model not in PRESETS and Path(model).exists():
        model = f"{Path(model).name}-{file_hash(Path(model))[:16]}"
    return {
        **asdict(config),
        "baseline": baseline.weights,
        "model": model,
        "precision": resolve_precision(precision, default_device()),
        "threads": set_threads(config.threads, recorded),
    }


def _prepare(shards: Shards, config: DoReMiConfig, baseline: Mixture, precision: str) -> _Search:
    domains = [name for name, weight in baseline.weights.items() if weight > 0]
    rows_per_step = -(-config.batch_rows // len(domains)) * len(domains)
    if rows_per_step < 2 * len(domains):
        log(f"warning: {rows_per_step} rows a step are one per domain; the excess losses will be noisy")
    interval = max(1, config.steps // _HISTORY_ENTRIES)
    loop = LoopConfig(  # the paper's, section 3.1, but for the decay, which is exponential there
        steps=config.steps,
        learning_rate=1e-3,
        minimum_learning_rate=1e-4,
        warmup_steps=round(0.06 * config.steps),
        weight_decay=0.01,
        gradient_clip=1.0,
        precision=precision,
        checkpoint_every=max(1, config.steps // _CHECKPOINTS),
        log_every=interval,
        seed=config.seed,
    )
    return _Search(shards, config, domains, rows_per_step, loop, interval)


def _round(search: _Search, baseline: Mixture, directory: Path) -> _Found:
    """Train the reference on `baseline`, then the proxy."""
    config = search.config
    reference = _model(search)
    sampler = _sampler(search, baseline)
    fit(reference, CausalObjective(sampler), search.loop, directory / "reference", description="reference")
    reference.train(False)

    def reference_losses(batch: Batch) -> Any:
        return token_losses(reference, batch["inputs"], batch["positions"], batch["targets"])

    objective = ProxyObjective(
        _sampler(search, Mixture.uniform(search.domains)),
        reference_losses,
        eta=config.eta,
        smoothing=config.smoothing,
        interval=search.interval,
    )
    fit(_model(search), objective, search.loop, directory / "proxy", description="proxy")
    return _Found(objective.search.average, objective.history)


def _model(search: _Search) -> PreTrainedModel:
    config = search.config
    return model_for_shards(config.model, search.shards, row_length=config.row_length, seed=config.seed)


def _sampler(search: _Search, mixture: Mixture) -> Sampler:
    config = search.config
    return Sampler(search.shards, [(0, mixture)], config.row_length, search.rows_per_step, config.seed)


def _mixture(domains: Sequence[str], weights: np.ndarray) -> Mixture:
    return Mixture(dict(zip(domains, map(float, weights), strict=True)), name="doremi")


def _tokens(search: _Search, rounds: int) -> int:
    """Tokens trained on, by reference and proxy together."""
    return 2 * rounds * search.config.steps * search.rows_per_step * search.config.row_length


def _result(search: _Search, baseline: Mixture, found: _Found) -> dict[str, Any]:
    """A row per domain, the drift and the verdict."""
    config, average, history = search.config, found.average, found.history
    intervals = bootstrap_intervals(
        history.excess,
        average,
        eta=config.eta,
        smoothing=config.smoothing,
        repeats=search.interval,
        seed=config.seed,
    )
    before = np.array([baseline.weights[name] for name in search.domains])
    by_bytes = _by_bytes(search, _mixture(search.domains, average))
    columns = {
        "baseline": before,
        "weight": average,
        "low": intervals.low,
        "high": intervals.high,
        "weight_bytes": np.array([by_bytes[name] for name in search.domains]),
        "excess": history.excess[-max(1, len(history.excess) // 4) :].mean(axis=0),
    }
    rows = [
        {"domain": name, **{column: float(values[i]) for column, values in columns.items()}}
        for i, name in enumerate(search.domains)
    ]
    moved = drift(history.averages)
    differ = (
        int(intervals.outside(before).sum()),
        int(intervals.outside(np.full(len(before), 1 / len(before))).sum()),
    )
    return {"verdict": verdict(len(before), *differ, moved), "drift": moved, "domains": rows}


def verdict(domains: int, from_baseline: int, from_uniform: int, moved: float) -> str:
    """What can be said of the weights, in one line."""

    def says(count: int, other: str) -> str:
        return f"{count} of {domains} differ from {other}" if count else f"not distinguishable from {other}"

    return (
        f"weights: {says(from_baseline, 'the baseline')}, {says(from_uniform, 'uniform')} "
        f"(95 %, noise of the rows drawn, one seed); "
        f"largest change of the average over the last quarter {moved:.4f}"
    )


def _by_bytes(search: _Search, mixture: Mixture) -> dict[str, float]:
    sizes = shard_sizes(search.shards)
    return convert_weights(mixture.weights, sizes.tokens, sizes.bytes or {})


def _write(
    search: _Search,
    output: Path,
    parameters: dict[str, Any],
    baseline: Mixture,
    found: Sequence[_Found],
    result: dict[str, Any],
) -> None:
    """Write history and mixtures."""
    with (
        write_atomically(output / "weights_history.jsonl") as temporary,
        temporary.open("w", encoding="utf-8") as file,
    ):
        for number, part in enumerate(found, 1):
            for entry in _entries(search.domains, part.history):
                file.write(json.dumps({"round": number, **entry}, ensure_ascii=False) + "\n")
    source = {
        "method": "doremi",
        "parameters": parameters,
        "shards": search.shards.hash,
        "baseline": baseline.name,
        "reference": f"round-{len(found)}/reference",
        "proxy": f"round-{len(found)}/proxy",
        "verdict": result["verdict"],
    }
    weights = _mixture(search.domains, found[-1].average)
    Mixture(weights.weights, name="doremi", source=source).save(output / "mixture.yaml")
    Mixture(_by_bytes(search, weights), "bytes", "doremi", source).save(output / "mixture_bytes.yaml")


def _entries(domains: Sequence[str], history: History) -> list[dict[str, Any]]:
    tables = {"weights": history.weights, "average": history.averages, "excess": history.excess}
    return [
        {
            "step": int(step),
            **{name: dict(zip(domains, map(float, table[i]), strict=True)) for name, table in tables.items()},
        }
        for i, step in enumerate(history.steps)
    ]
