"""Which tensors the kernels take, and how they are handed over."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def compiled(*values: Tensor) -> bool:
    """Whether all lie in the memory of the CPU and hold float32 or float64: others are left to torch."""
    return all(value.device.type == "cpu" and value.dtype in (torch.float32, torch.float64) for value in values)


def wide(value: Tensor) -> Tensor:
    """The tensor itself if it is float32 or float64, else in float64."""
    return value if value.dtype in (torch.float32, torch.float64) else value.double()


def array(value: Tensor) -> np.ndarray:
    """The contiguous numbers behind a tensor, without gradient; a copy only where it is not contiguous."""
    return value.detach().contiguous().numpy()
