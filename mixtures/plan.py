"""The verb `plan`: domain sizes and weights to tokens, epochs and caps of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from corpus.core.errors import UsageError, ZeroToOneError
from mixtures.heuristics import proportional, temperature, unimax
from mixtures.planning import Plan, chinchilla_tokens, convert_weights, make_plan, training_flops
from mixtures.sizes import DomainSizes, read_sizes
from train.mixture import Mixture


@dataclass(frozen=True)
class RunPlan:
    """A plan, the mixture that it is for (weights of tokens), and the same weights in the other known units."""

    plan: Plan
    mixture: Mixture
    weights_by_unit: dict[str, dict[str, float]]
    parameters: float | None

    def domain_rows(self) -> list[dict[str, Any]]:
        """One row per domain: shares by unit, tokens wanted and available, epochs, value of a token, cap."""
        rows = []
        for domain in self.plan.domains:
            row: dict[str, Any] = {"domain": domain.name}
            for unit, weights in self.weights_by_unit.items():
                row["weight" if unit == "tokens" else f"weight_{unit}"] = weights[domain.name]
            row |= {"tokens": domain.tokens, "available": domain.available, "epochs": domain.epochs}
            rows.append(row | {"value": domain.value, "cap": domain.cap, "over_cap": domain.over_cap})
        return rows

    def summary(self) -> dict[str, Any]:
        """What concerns the run as a whole; sizes in tokens, `compute` in floating-point operations."""
        plan = self.plan
        rows: dict[str, Any] = {
            "mixture": self.mixture.name,
            "tokens": plan.tokens,
            "worth_in_fresh_tokens": plan.effective_tokens,
            "max_epochs": plan.max_epochs,
            "feasible": plan.feasible,
            "largest_run_for_these_weights": plan.largest_for_weights,
            "largest_run_for_any_weights": plan.largest_for_any,
        }
        if self.parameters is not None:
            rows["parameters"] = self.parameters
            rows["tokens_per_parameter"] = plan.tokens / self.parameters
            rows["chinchilla_tokens"] = chinchilla_tokens(self.parameters)
            rows["compute"] = training_flops(self.parameters, plan.tokens)
        return rows

    def complaint(self) -> str:
        """What is wrong with the plan and the largest run that would be right; empty where nothing is."""
        plan = self.plan
        if not plan.feasible:
            return (
                f"infeasible: {plan.tokens:,.0f} tokens need more than {plan.max_epochs:g} epochs of everything; "
                f"the largest run is {plan.largest_for_any:,.0f} tokens"
            )
        over = [domain for domain in plan.domains if domain.over_cap]
        if not over:
            return ""
        names = ", ".join(f"{domain.name} ({domain.epochs:.3g} epochs)" for domain in over)
        return (
            f"over the cap of {plan.max_epochs:g} epochs: {names}; "
            f"the largest run for these weights is {plan.largest_for_weights:,.0f} tokens"
        )


def plan_run(
    source: Path,
    weights: str = "proportional",
    *,
    tokens: float | None = None,
    parameters: float | None = None,
    max_epochs: float = 4.0,
) -> RunPlan:
    """Plan a run over the domains of token shards or of a file of sizes.

    `weights` is a mixture file, `proportional`, `temperature:T` or `unimax:E`; without `tokens` the run has 20 per
    parameter. Raises UsageError when neither is given or a number is not positive.
    """
    if tokens is None and parameters is None:
        raise UsageError("say how long the run is: --tokens 300B, or --params 7B for 20 tokens per parameter")
    if not 0 < max_epochs < float("inf"):
        raise UsageError(f"--max-epochs {max_epochs:g}: needs a number above 0")
    budget = tokens if tokens is not None else chinchilla_tokens(parameters or 0)
    sizes = read_sizes(source)
    mixture = resolve_weights(weights, sizes, budget, source)
    by_unit = {"tokens": mixture.weights}
    for unit in ("bytes", "documents"):
        known = sizes.by_unit(unit)
        if known is not None:
            by_unit[unit] = convert_weights(mixture.weights, sizes.tokens, known)
    return RunPlan(make_plan(mixture.weights, sizes.tokens, budget, max_epochs), mixture, by_unit, parameters)


def resolve_weights(weights: str, sizes: DomainSizes, budget: float, source: Path) -> Mixture:
    """The mixture of tokens, over all domains of `sizes`, that a `--weights` argument names.

    `budget` (tokens of the run) matters to `unimax:E` only; `source` is where the sizes come from, for messages.
    """
    method, _, argument = weights.partition(":")
    values = np.array([sizes.tokens[name] for name in sizes.tokens])
    if not values.any():
        raise ZeroToOneError(f"{source}: no domain has any tokens")
    if weights == "proportional":
        shares = proportional(values)
    elif method == "temperature" and argument:
        shares = temperature(values, _positive(weights, argument))
    elif method == "unimax" and argument:
        shares = unimax(values, budget, _positive(weights, argument))
    else:
        return _from_file(Path(weights), sizes, source)
    named = {name: float(share) for name, share in zip(sizes.tokens, shares, strict=True)}
    return Mixture(named, name=weights, source={"method": weights, "sizes": sizes.tokens, "tokens": budget})


def _positive(weights: str, argument: str) -> float:
    try:
        value = float(argument)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise UsageError(f"--weights {weights}: {argument!r} is not a number above 0")
    return value


def _from_file(path: Path, sizes: DomainSizes, source: Path) -> Mixture:
    if not path.exists():
        forms = "proportional, temperature:T, unimax:E or a mixture file"
        raise UsageError(f"--weights {path}: no such file; weights are {forms}")
    mixture = Mixture.load(path)
    unknown = [name for name in mixture.weights if name not in sizes.tokens]
    if unknown:
        raise ZeroToOneError(f"{path}: domain `{unknown[0]}` is not in {source}; it has {', '.join(sizes.tokens)}")
    known = sizes.by_unit(mixture.unit)
    if known is None:
        raise ZeroToOneError(f"{source}: the weights of {path} are by {mixture.unit}, which not all domains give")
    weights = {name: mixture.weights.get(name, 0.0) for name in sizes.tokens}
    try:
        weights = convert_weights(weights, known, sizes.tokens)
    except ValueError as error:
        raise ZeroToOneError(f"{path}: {error} in {source}") from None
    return Mixture(weights, name=mixture.name, source=mixture.source)


def save_plan(run: RunPlan, output: Path, overwrite: bool) -> None:
    """Write the plan's mixture for `train pretrain --weights`, with the plan in its `source`.

    Raises ZeroToOneError when the file is there with other content and `overwrite` is not set.
    """
    source = {**run.mixture.source, "plan": {**run.summary(), "domains": run.domain_rows()}}
    mixture = Mixture(run.mixture.weights, name=run.mixture.name, source=source)
    if output.exists() and not overwrite and Mixture.load(output) != mixture:
        raise ZeroToOneError(f"{output}: is there with another plan; use --overwrite or another name")
    mixture.save(output)
