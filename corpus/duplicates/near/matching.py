"""What counts as a near duplicate: shingles, bands, threshold, verification, linkage; and what that will find."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from corpus.core.errors import UsageError
from corpus.duplicates.near.minhash import Banding, choose_banding
from corpus.duplicates.near.recall import verified_by_signature

DEFAULT_THRESHOLD, DEFAULT_NGRAM = 0.8, 5
VERIFY, LINKAGE = ("jaccard", "signature", "none"), ("star", "single")
_MOST_HASHES = 1 << 14


class Preset(NamedTuple):
    """A published recipe: its bands, words a shingle, and the similarity that it aims at."""

    banding: Banding
    ngram: int
    threshold: float


PRESETS = {
    "fineweb": Preset(Banding(14, 8), 5, 0.75),  # Penedo et al. 2024, section 3.4
    "refinedweb": Preset(Banding(450, 20), 5, 0.8),  # Penedo et al. 2023, appendix G.3.1, after Lee et al. 2022
    "redpajama": Preset(Banding(9, 13), 13, 0.8),  # RedPajama-v2 (Weber et al. 2024), its signatures for 0.8
}


@dataclass(frozen=True)
class Matching:
    """Sets of `ngram` words, compared where a band agrees, near duplicates from `threshold` on.

    `verify`: a candidate pair counts by its Jaccard similarity, by the share of equal hashes in its signatures,
    or as it is. `linkage`: who is a duplicate of a kept document, those that resemble it (star) or all that are
    joined with it by a chain of pairs (single).
    """

    banding: Banding
    ngram: int
    threshold: float
    verify: str = "jaccard"
    linkage: str = "star"

    @property
    def hashes(self) -> int:
        """How many hashes a signature has."""
        return self.banding.bands * self.banding.rows

    @property
    def stored_hashes(self) -> int | None:
        """How many hashes are stored to compare documents by; None where it is their sets."""
        return self.hashes if self.verify == "signature" else None

    @property
    def least(self) -> float:
        """The similarity from which on a candidate pair is joined."""
        return 0.0 if self.verify == "none" else self.threshold

    def parameters(self) -> dict[str, Any]:
        """What the output depends on, by the names that the manifest has."""
        threshold = {} if self.verify == "none" else {"threshold": self.threshold}
        bands = {"bands": self.banding.bands, "rows": self.banding.rows}
        return {**threshold, "ngram": self.ngram, **bands, "verify": self.verify, "linkage": self.linkage}

    def predicted(self, similarity: float) -> tuple[float, float]:
        """How likely a pair of this Jaccard similarity is to become a candidate, and to be joined."""
        candidate = self.banding.probability(similarity)
        if self.verify == "signature":
            return candidate, verified_by_signature(self.banding, similarity, self.threshold)
        return candidate, candidate if similarity >= self.least else 0.0


def choose_matching(
    threshold: float | None = None,
    ngram: int | None = None,
    preset: str | None = None,
    bands: int | None = None,
    rows: int | None = None,
    verify: str = "jaccard",
    linkage: str | None = None,
) -> Matching:
    """The matching that a user's options ask for; None is what was not given.

    Bands are a preset's, those given by `bands` and `rows`, or those chosen for the threshold (`choose_banding`).
    Linkage is `star`, and `single` for pairs that nothing verifies: they say nothing about resemblance.
    Raises UsageError for values out of range and for options that contradict each other.
    """
    _check_recipe(preset, {"--bands": bands, "--rows": rows, "--ngram": ngram})
    _check_numbers(bands, rows, ngram)
    for option, value, choices in (("--verify", verify, VERIFY), ("--linkage", linkage, (*LINKAGE, None))):
        if value not in choices:
            raise UsageError(f"unknown {option} `{value}`; choose {', '.join(filter(None, choices))}")
    if (verify, linkage) == ("none", "star"):
        raise UsageError("--linkage star needs a similarity; --verify none has none")
    chosen = PRESETS.get(preset or "")
    limit = threshold if threshold is not None else chosen.threshold if chosen else DEFAULT_THRESHOLD
    suggested = choose_banding(limit)  # checks the threshold, too
    banding = chosen.banding if chosen else Banding(bands, rows) if bands and rows else suggested
    words = chosen.ngram if chosen else ngram or DEFAULT_NGRAM
    return Matching(banding, words, limit, verify, linkage or ("single" if verify == "none" else "star"))


def _check_recipe(preset: str | None, others: dict[str, int | None]) -> None:
    """Raise UsageError where a preset is unknown, or where an option is given that it sets itself."""
    if preset is None:
        return
    if preset not in PRESETS:
        raise UsageError(f"unknown --preset `{preset}`; choose {', '.join(PRESETS)}")
    for option, value in others.items():
        if value is not None:
            raise UsageError(f"--preset {preset} sets {option}; give one of them")


def _check_numbers(bands: int | None, rows: int | None, ngram: int | None) -> None:
    if (bands is None) != (rows is None):
        raise UsageError("--bands and --rows belong together; give both or none")
    for option, value in (("--ngram", ngram), ("--bands", bands), ("--rows", rows)):
        if value is not None and value < 1:
            raise UsageError(f"{option} must be at least 1")
    if (bands or 1) * (rows or 1) > _MOST_HASHES:
        raise UsageError(f"--bands times --rows must be at most {_MOST_HASHES:,}")
