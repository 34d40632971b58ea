"""What counts as a near duplicate: shingles, bands, threshold. Chosen by name, by hand or for a threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from corpus.core.errors import UsageError
from corpus.duplicates.minhash import Banding, choose_banding

DEFAULT_THRESHOLD, DEFAULT_NGRAM = 0.8, 5
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
    """Sets of `ngram` words, compared where a band agrees, near duplicates from the Jaccard `threshold` on."""

    banding: Banding
    ngram: int
    threshold: float

    def parameters(self) -> dict[str, Any]:
        """What the output depends on, by the names that the manifest has."""
        bands = {"bands": self.banding.bands, "rows": self.banding.rows}
        return {"threshold": self.threshold, "ngram": self.ngram, **bands}

    def predicted(self, similarity: float) -> tuple[float, float]:
        """How likely a pair of this Jaccard similarity is to become a candidate, and to be joined."""
        candidate = self.banding.probability(similarity)
        return candidate, candidate if similarity >= self.threshold else 0.0


def choose_matching(
    threshold: float | None = None,
    ngram: int | None = None,
    preset: str | None = None,
    bands: int | None = None,
    rows: int | None = None,
) -> Matching:
    """The matching that a user's options ask for; None is what was not given.

    Bands are a preset's, those given by `bands` and `rows`, or those chosen for the threshold (`choose_banding`).
    Raises UsageError for values out of range and for options that contradict each other.
    """
    by_hand = {"--bands": bands, "--rows": rows}
    if preset is not None:
        if preset not in PRESETS:
            raise UsageError(f"unknown --preset `{preset}`; choose {', '.join(PRESETS)}")
        for option, value in {**by_hand, "--ngram": ngram}.items():
            if value is not None:
                raise UsageError(f"--preset {preset} sets {option}; give one of them")
    if (bands is None) != (rows is None):
        raise UsageError("--bands and --rows belong together; give both or none")
    for option, value in {"--ngram": ngram, **by_hand}.items():
        if value is not None and value < 1:
            raise UsageError(f"{option} must be at least 1")
    if (bands or 1) * (rows or 1) > _MOST_HASHES:
        raise UsageError(f"--bands times --rows must be at most {_MOST_HASHES:,}")
    chosen = PRESETS.get(preset or "")
    limit = threshold if threshold is not None else chosen.threshold if chosen else DEFAULT_THRESHOLD
    suggested = choose_banding(limit)  # checks the threshold, too
    banding = chosen.banding if chosen else Banding(bands, rows) if bands and rows else suggested
    return Matching(banding, chosen.ngram if chosen else ngram or DEFAULT_NGRAM, limit)
