"""From verdicts in both orders to one outcome for each question: a win only where both orders agree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Judged:
    """A readable verdict: systems in the order shown, and for each a value that is higher for a better answer."""

    question: str
    systems: tuple[str, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Outcomes:
    """A system against the reference on n questions that were judged in both orders; arrays are [n].

    `own` and `reference` are the mean values of both orders; `preference` is 1 for a win (better in both orders),
    0 for a loss (worse in both), else 0.5; `consistent` says whether both orders gave the same verdict (better,
    worse, equal); `longer` is the answer's length less the reference's, in characters (NaN: not known).
    """

    questions: tuple[str, ...]
    own: np.ndarray
    reference: np.ndarray
    preference: np.ndarray
    consistent: np.ndarray
    longer: np.ndarray

    def of(self, chosen: np.ndarray) -> Outcomes:
        """Those of some questions (bool [n])."""
        questions = tuple(question for question, wanted in zip(self.questions, chosen, strict=True) if wanted)
        arrays = (self.own, self.reference, self.preference, self.consistent, self.longer)
        return Outcomes(questions, *(array[chosen] for array in arrays))


def outcomes_of(
    verdicts: Sequence[Judged],
    system: str,
    reference: str,
    order: Sequence[str],
    lengths: Mapping[str, Mapping[str, int]],
) -> Outcomes:
    """The outcomes of a system, by question in the order of `order`; one order alone counts for nothing.

    `lengths`: characters of the answers by system and question. A verdict on several systems is one on the two
    that stand in it.
    """
    pairs: defaultdict[str, dict[bool, tuple[float, float]]] = defaultdict(dict)
    for verdict in verdicts:
        if system in verdict.systems and reference in verdict.systems:
            at, other = verdict.systems.index(system), verdict.systems.index(reference)
            pairs[verdict.question].setdefault(at < other, (verdict.values[at], verdict.values[other]))
    questions = tuple(question for question in order if len(pairs.get(question, {})) == 2)
    values = np.array([[pairs[question][first] for first in (True, False)] for question in questions])
    values = values.reshape(len(questions), 2, 2)  # question, order, (own, reference)
    signs = np.sign(values[:, :, 0] - values[:, :, 1])
    same = signs[:, 0] == signs[:, 1]
    mine, theirs = lengths.get(system, {}), lengths.get(reference, {})
    longer = [
        mine[question] - theirs[question] if question in mine and question in theirs else np.nan
        for question in questions
    ]
    return Outcomes(
        questions,
        values[:, :, 0].mean(axis=1),
        values[:, :, 1].mean(axis=1),
        np.where(same, (signs[:, 0] + 1) / 2, 0.5),
        same,
        np.array(longer, np.float64),
    )
