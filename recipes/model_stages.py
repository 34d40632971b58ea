"""The model half of the main job: mixture, pre-training, tuning, evaluation."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from corpus.core.console import log
from corpus.core.conversations import read_conversations
from corpus.core.files import write_atomically
from mixtures.doremi import DoReMiConfig, doremi
from mixtures.plan import plan_run, save_plan
from recipes.job import Job
from train.evaluate import EvaluationConfig, evaluate, read_prompts
from train.mixture import Mixture
from train.pretrain import PretrainConfig, pretrain
from train.sft import SftConfig, fine_tune

ROW_LENGTH = 256
HELD_OUT_TOKENS = 20_000  # of each domain: enough to tell models apart, seconds to score


def optimise_mixture(job: Job, shards: Path) -> Path:
    """DoReMi: a small reference and a small proxy find the weights of the domains."""
    config = DoReMiConfig(
        model="tiny",
        steps=job.proxy_steps,
        row_length=ROW_LENGTH,
        batch_rows=16,
        seed=job.seed,
        threads=job.threads,
    )
    doremi(shards, job.at("doremi"), config)
    return job.at("doremi", "mixture.yaml")


def plan_mixture(job: Job, shards: Path, weights: Path) -> Path:
    """What the weights mean for the run, in tokens and epochs; a warning where a domain is repeated too often."""
    run = plan_run(shards, str(weights), tokens=float(job.tokens))
    if run.complaint():
        log(f"warning: {run.complaint()}")
    save_plan(run, job.at("plan.yaml"), overwrite=True)
    return job.at("plan.yaml")


def pretrain_model(job: Job, shards: Path, mixture: Path) -> Path:
    """A model of a few million parameters on the mixture."""
    config = PretrainConfig(
        model=job.model,
        tokens=job.tokens,
        row_length=ROW_LENGTH,
        batch_rows=4,  # of a budget this small many small steps make more than few large ones
        seed=job.seed,
        threads=job.threads,
    )
    pretrain(shards, job.at("pretrain"), config, mixture=Mixture.load(mixture))
    return job.at("pretrain", "model")


def tune(job: Job, base: Path, conversations: Sequence[Path]) -> Path:
    """The same model, tuned on the replies of conversations."""
    config = SftConfig(
        epochs=job.epochs,
        learning_rate=1e-3,
        batch_tokens=2048,
        row_length=512,
        seed=job.seed,
        threads=job.threads,
    )
    fine_tune(conversations, base, job.at("sft"), config)
    return job.at("sft", "model")


def evaluate_models(job: Job, base: Path, tuned: Path, shards: Path, held_out: Path) -> dict[str, Any]:
    """Base against tuned: bits per byte by domain, loss of held-out replies, answers to fixed and new prompts."""
    prompts = job.at("evaluation_prompts.jsonl")
    if not prompts.exists():
        rows = [*read_prompts(None), *_held_out_prompts(held_out)]
        with write_atomically(prompts) as temporary:
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            temporary.write_text(text, encoding="utf-8")
    config = EvaluationConfig(
        shards=shards,
        conversations=tuple(
            str(path) for path in (held_out, job.at("sft", "held_out.jsonl")) if path.stat().st_size
        ),
        prompts=prompts,
        maximum_tokens=HELD_OUT_TOKENS,
        maximum_new_tokens=96,
    )
    return evaluate({"base": base, "tuned": tuned}, config, job.at("evaluation"))


def _held_out_prompts(held_out: Path) -> list[dict[str, str]]:
    """The first held-out conversation of each template task and language."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in read_conversations([held_out]):
        prompt, reply = row["messages"][0]["content"], row["messages"][1]["content"]
        key = (row["source"], row["lang"])
        found.setdefault(key, {"id": row["id"], "lang": row["lang"], "prompt": prompt, "reference": reply})
    return [found[key] for key in sorted(found)]
