"""Whether all numbers are finite: one that is not shows, wherever it is."""

import numpy as np
import pytest
import torch

from structgrad.finite import all_finite


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("shape", [(1,), (3, 50), (2, 1, 700)])
def test_one_bad_entry_anywhere_shows(dtype, bad, shape):
    value = torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype)
    assert all_finite(value)
    for place in np.random.default_rng(2).integers(value.numel(), size=20):
        spoilt = value.clone().requires_grad_()
        spoilt.data.view(-1)[place] = bad
        assert not all_finite(spoilt)


def test_nothing_and_the_largest_numbers_are_finite():
    assert all_finite(torch.empty(0, 4))
    assert all_finite(torch.tensor([torch.finfo(torch.float32).max] * 3))  # whose sum is not
