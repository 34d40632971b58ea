"""Output directories: who may write into one, and the manifest that says what made it from what."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import corpus
from corpus.core.binary_files import file_size, fingerprint
from corpus.core.errors import ZeroToOneError
from corpus.core.files import read_json, write_json
from corpus.core.hub_datasets import DATA_SET, is_data_set, is_local_data_set, shard_fingerprint
from corpus.core.inputs import Unit
from corpus.core.listings import EXPLICIT

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Claim:
    """A command on its way to an output directory's manifest: all that the output depends on."""

    command: str
    parameters: dict[str, Any]
    inputs: Sequence[str | Path]
    fingerprints: Sequence[str]
    input_bytes: int
    output: Path
    started: float = field(default_factory=time.monotonic)

    def finished(self, overwrite: bool) -> Manifest | None:
        """Take the directory (`claim_output`); the manifest where the command has finished before, else None."""
        state = claim_output(self.output, self.command, self.parameters, self.fingerprints, overwrite)
        return dict(read_json(self.output / "manifest.json")) if state == "done" else None

    def manifest(self, **entries: Any) -> Manifest:
        """What the output was made with and from, how long that took, and `entries`."""
        return {
            "command": self.command,
            "version": corpus.__version__,
            "parameters": self.parameters,
            "inputs": input_entries(self.inputs, self.output, self.input_bytes),
            **entries,
            "seconds": round(time.monotonic() - self.started, 3),
        }

    def write_manifest(self, **entries: Any) -> Manifest:
        """Write `manifest.json`, which says that the output is whole, and return it."""
        manifest = self.manifest(**entries)
        write_json(self.output / "manifest.json", manifest)
        return manifest


def unit_claim(
    command: str, parameters: dict[str, Any], inputs: Sequence[str | Path], units: Sequence[Unit], output: Path
) -> Claim:
    """The claim of a command that reads the files of some units, which `inputs` gave."""
    files = sorted({path for unit in units for path in unit.files()})
    prints = [shard_fingerprint(path) if is_data_set(path) else fingerprint(path) for path in files]
    size = sum(file_size(path) for path in files if not is_data_set(path))  # a shard's bytes are not known
    return Claim(command, parameters, inputs, prints, size, output)


def claim_output(
    output: Path,
    command: str,
    parameters: dict[str, Any],
    inputs_fingerprint: Sequence[str],
    overwrite: bool,
) -> Literal["new", "resume", "done"]:
    """Take an output directory for a command.

    Returns "new" for a fresh one, "resume" for one that the same command with the same parameters and inputs
    has begun (files that a killed run left half-written are removed), "done" where it has finished
    (`manifest.json` is there). Raises ZeroToOneError that names what differs for any other; `overwrite`
    empties a directory that one of our commands made.
    """
    claim_file = output / ".state" / "claim.json"
    claim = {"command": command, "parameters": parameters, "inputs": list(inputs_fingerprint)}
    if output.exists() and not output.is_dir():
        raise ZeroToOneError(f"{output}: is a file; the output needs a directory")
    if not claim_file.exists():
        if output.exists() and any(entry.name != ".state" for entry in output.iterdir()):
            raise ZeroToOneError(f"{output}: not empty, and not made by this program; choose another directory")
        write_json(claim_file, claim)
        return "new"
    if overwrite:
        empty_directory(output, ".state")
        write_json(claim_file, claim)
        return "new"
    different = _difference(read_json(claim_file), claim)
    if different and _only_claimed(output):  # by a run that failed before it wrote anything
        write_json(claim_file, claim)
        return "new"
    if different:
        raise ZeroToOneError(f"{output}: holds other output ({different}); use --overwrite or another directory")
    if (output / "manifest.json").exists():
        return "done"
    for leftover in output.rglob(".*.tmp"):
        leftover.unlink(missing_ok=True)
    return "resume"


def input_entries(inputs: Sequence[str | Path], output: Path, total_bytes: int) -> list[dict[str, Any]]:
    """The manifest's list of inputs: local paths relative to the output, so that both can move together."""
    entries: list[dict[str, Any]] = []
    for item in inputs:
        prefix, path = _without_prefix(str(item))
        local = is_local_data_set(path) if prefix == DATA_SET else "://" not in path
        entries.append({"path": prefix + (_relative(path, output, prefix) if local else path)})
    if entries:
        entries[0] = {**entries[0], "bytes_of_all": total_bytes}
    return entries


def input_paths(directory: Path) -> list[str]:
    """The inputs that a directory's manifest names, as paths from here or URLs."""
    file = directory / "manifest.json"
    try:
        paths = [str(entry["path"]) for entry in read_json(file).get("inputs", [])]
    except (AttributeError, KeyError, TypeError):
        raise ZeroToOneError(f"{file}: not the manifest of a step") from None
    parts = [_without_prefix(path) for path in paths]
    return [
        start + (os.path.normpath(directory / path) if _is_path(start, path) else path) for start, path in parts
    ]


def _without_prefix(item: str) -> tuple[str, str]:
    prefix = next((start for start in (EXPLICIT, DATA_SET) if item.startswith(start)), "")
    return prefix, item.removeprefix(prefix)


def _relative(path: str, output: Path, prefix: str) -> str:
    """A path from the output; a data set's begins with a dot, which no name of the hub does."""
    found = os.path.relpath(path, output)
    return f"./{found}" if prefix == DATA_SET and not found.startswith(".") else found


def _is_path(prefix: str, path: str) -> bool:
    return path.startswith(".") if prefix == DATA_SET else "://" not in path


def _only_claimed(output: Path) -> bool:
    return all(path.name in (".state", "claim.json") for path in output.rglob("*"))


def _difference(old: Any, new: dict[str, Any]) -> str:
    if old.get("command") != new["command"]:
        return f"of `{old.get('command')}`"
    changed = changed_parameter(old["parameters"], new["parameters"])
    return changed or ("its input has changed" if old["inputs"] != new["inputs"] else "")


def changed_parameter(old: dict[str, Any], new: dict[str, Any]) -> str:
    """In words the first parameter that differs, in the order of the new ones; "" where none does."""
    for name in dict.fromkeys([*new, *old]):
        if old.get(name) != new.get(name):
            return _first_difference(name, old.get(name), new.get(name))
    return ""


def _first_difference(name: str, before: Any, after: Any) -> str:
    """What differs first inside a parameter, named down to the part (`rules[gopher].threshold`)."""
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (old, new) in enumerate(zip(before, after, strict=True)):
            if old != new:
                label = new.get("name", number) if isinstance(new, dict) else number
                return _first_difference(f"{name}[{label}]", old, new)
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(set(before) | set(after)):
            if before.get(key) != after.get(key):
                return _first_difference(f"{name}.{key}", before.get(key), after.get(key))
    return f"{name} was {_short(before)}, is {_short(after)}"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def remove_stages(output: Path, *names: str) -> None:
    """Remove what stages left in folders of `.state/` for the stages after them."""
    for name in names:
        if (output / ".state" / name).exists():
            shutil.rmtree(output / ".state" / name)


def empty_directory(directory: Path, last: str) -> None:
    """Remove all that a directory holds; `last`, which says whose it is, last: a removal can be repeated."""
    for entry in sorted(directory.iterdir(), key=lambda entry: entry.name == last):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
