"""Compiled kernels, which know the memory of the CPU alone, on tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor
from torch.utils._pytree import tree_map_only  # of tensors, or pairs of them

from structgrad.parallel import run_kernel

Found = TypeVar("Found", Tensor, tuple[Tensor, Tensor])


def run_tensors(kernel: Callable[..., None], *arguments: Any) -> None:
    """:func:`run_kernel` on the memory of tensors that lie on the CPU; other arguments go to each call as they are."""
    run_kernel(kernel, *(x.detach().numpy() if isinstance(x, Tensor) else x for x in arguments))


def on_cpu(function: Callable[..., Found], theta: Tensor, *arguments: Any) -> Found:
    """What ``function`` makes of the scores and the other arguments on the CPU, brought back to the scores' device.

    So do structures that are found step by step: a GPU launches a kernel or more for each step, and takes 3 to 90 times
    as long as the compiled kernel does on the CPU, the way here and back left aside (docs/performance.md).
    """
    if theta.device.type == "cpu":
        return function(theta, *arguments)
    results = function(theta.cpu(), *(x.cpu() if isinstance(x, Tensor) else x for x in arguments))
    return tree_map_only(Tensor, lambda x: x.to(theta.device), results)
