"""Learning rate by step."""

from __future__ import annotations

import math
from typing import Literal, get_args

Schedule = Literal["cosine", "linear", "wsd"]
SCHEDULES: tuple[str, ...] = get_args(Schedule)

_WSD_DECAY = 0.2


def learning_rate(
    step: int, steps: int, peak: float, minimum: float, warmup_steps: int, schedule: Schedule = "cosine"
) -> float:
    """The learning rate of `step` (from 0) of `steps`.

    It rises in a line over `warmup_steps` to `peak`, and falls to `minimum` at the last step: by half a cosine
    (Loshchilov and Hutter, SGDR, 2017, equation 5), in a line, or, for `wsd`, not before the last fifth
    (warm-up, stable, decay: Hu et al., MiniCPM, 2024, section 4).
    """
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    last = max(steps - 1, warmup_steps + 1)
    begin = max(warmup_steps, last - _WSD_DECAY * steps) if schedule == "wsd" else warmup_steps
    share = min(max((step - begin) / (last - begin), 0.0), 1.0)
    left = 0.5 * (1 + math.cos(math.pi * share)) if schedule == "cosine" else 1 - share
    return minimum + (peak - minimum) * left
