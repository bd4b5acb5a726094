"""Compiled kernels on tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from structgrad.parallel import run_kernel


def run_tensors(kernel: Callable[..., None], *arguments: Any) -> None:
    """:func:`run_kernel` on the memory of tensors that lie on the CPU; other arguments go to each call as they are."""
    run_kernel(kernel, *(x.detach().numpy() if isinstance(x, Tensor) else x for x in arguments))
