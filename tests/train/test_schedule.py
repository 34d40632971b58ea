import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from train.schedule import SCHEDULES, learning_rate


def test_cosine_is_that_of_torch() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=3e-3)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=90, eta_min=3e-4)
    for step in range(91):
        rate = learning_rate(step + 10, 101, 3e-3, 3e-4, 10, "cosine")
        assert rate == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)
        optimizer.step()
        reference.step()


@given(st.sampled_from(SCHEDULES), st.integers(1, 500), st.integers(0, 100))
def test_rises_in_the_warm_up_and_never_after(schedule: str, steps: int, warmup: int) -> None:
    rates = [learning_rate(step, steps, 1.0, 0.1, warmup, schedule) for step in range(steps)]
    assert rates[:warmup] == pytest.approx([(step + 1) / warmup for step in range(min(warmup, steps))])
    after = rates[warmup:]
    assert after == sorted(after, reverse=True)
    assert all(0 < rate <= 1 for rate in rates)
    if steps > warmup + 1:
        assert after[0] == 1
        assert after[-1] == pytest.approx(0.1)


def test_linear_and_stable_parts() -> None:
    assert learning_rate(50, 101, 1.0, 0.0, 0, "linear") == pytest.approx(0.5)
    rates = [learning_rate(step, 101, 1.0, 0.0, 5, "wsd") for step in range(101)]
    assert set(rates[5:79]) == {1.0}
    assert rates[90] == pytest.approx(10 / 20.2)
