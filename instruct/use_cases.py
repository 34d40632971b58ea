"""Quotas by use case: how many tasks of each kind are wanted, and the words that ask for a kind."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from corpus.core.errors import ZeroToOneError
from instruct.seeds import USE_CASE_SHARES

INSTRUCTGPT, NONE = "instructgpt", "none"


@dataclass(frozen=True)
class UseCase:
    """A kind of task: its share of all (not normalised), and what a prompt calls it."""

    name: str
    share: float
    text: str


def load_use_cases(source: str, language: str) -> list[UseCase]:
    """The use cases of `instructgpt` (Ouyang et al. 2022, table 1), of a YAML file, or none for `none`.

    A file maps names to shares, or to mappings with `share` and a text by language; without a text a known name
    has InstructGPT's, any other stands for itself. Raises ZeroToOneError that names file and entry.
    """
    if source == NONE:
        return []
    if source == INSTRUCTGPT:
        return [UseCase(name, share, _texts()[name][language]) for name, share in USE_CASE_SHARES.items()]
    entries = _read(Path(source))
    return [_use_case(source, str(name), entry, language) for name, entry in entries.items()]


def quotas(use_cases: list[UseCase], count: int) -> dict[str, int]:
    """How many of `count` tasks each use case gets, by largest remainders; all of them are of kind "" if none."""
    if not use_cases:
        return {"": count}
    total = math.fsum(use_case.share for use_case in use_cases)
    exact = {use_case.name: count * use_case.share / total for use_case in use_cases}
    whole = {name: int(value) for name, value in exact.items()}
    rest = sorted(exact, key=lambda name: whole[name] - exact[name])
    for name in rest[: count - sum(whole.values())]:
        whole[name] += 1
    return whole


@cache
def _texts() -> dict[str, dict[str, str]]:
    text = (resources.files("instruct") / "prompts" / "use_cases.yaml").read_text("utf-8")
    return dict(yaml.safe_load(text))


def _read(path: Path) -> Mapping[Any, Any]:
    try:
        entries = yaml.safe_load(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ZeroToOneError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise ZeroToOneError(f"{path}: a directory, not a file of shares") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ZeroToOneError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(entries, Mapping) or not entries:
        raise ZeroToOneError(f"{path}: must map use cases to shares, such as `summarisation: 10`")
    return entries


def _use_case(source: str, name: str, entry: Any, language: str) -> UseCase:
    known = _texts().get(name, {})
    mapping = entry if isinstance(entry, Mapping) else {"share": entry}
    share = mapping.get("share")
    if not isinstance(share, int | float) or isinstance(share, bool) or not 0 < share < math.inf:
        raise ZeroToOneError(f"{source}: `{name}` has no share above 0")
    return UseCase(name, float(share), str(mapping.get(language) or known.get(language) or name))
