"""How well scores tell two classes apart, and whether they mean what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]

THRESHOLDS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
_BINS = 10


def roc_auc(positive: Scores, negative: Scores) -> float | None:
    """The probability that a positive document has a higher score than a negative one, a tie counted half.

    None where a class is empty. (The area under the ROC curve, by the Mann-Whitney statistic.)
    """
    if not positive.size or not negative.size:
        return None
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left")
    not_above = np.searchsorted(ordered, positive, "right")
    return float((below + not_above).sum(dtype=np.float64) / 2 / positive.size / negative.size)


def at_thresholds(positive: Scores, negative: Scores) -> list[dict[str, Any]]:
    """Precision, recall and the share of all documents kept, for documents with at least each threshold."""
    rows = []
    for threshold in THRESHOLDS:
        right, wrong = int((positive >= threshold).sum()), int((negative >= threshold).sum())
        rows.append(
            {
                "threshold": threshold,
                "precision": _ratio(right, right + wrong),
                "recall": _ratio(right, positive.size),
                "kept": _ratio(right + wrong, positive.size + negative.size),
            }
        )
    return rows


def calibration(positive: Scores, negative: Scores) -> list[dict[str, Any]]:
    """Ten groups of as many documents by their scores: mean score against the share of positive ones."""
    scores = np.concatenate([positive, negative])
    truth = np.repeat([1.0, 0.0], [positive.size, negative.size])
    order = np.lexsort((truth, scores))
    groups = [group for group in np.array_split(order, _BINS) if group.size]
    return [
        {
            "from": float(scores[group[0]]),
            "to": float(scores[group[-1]]),
            "documents": int(group.size),
            "mean_score": float(scores[group].mean()),
            "positive": float(truth[group].mean()),
        }
        for group in groups
    ]


def calibration_error(groups: list[dict[str, Any]]) -> float | None:
    """The mean distance between mean score and share of positive documents, weighted by documents."""
    total = sum(group["documents"] for group in groups)
    distances = [group["documents"] * abs(group["mean_score"] - group["positive"]) for group in groups]
    return sum(distances) / total if total else None


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
