"""Scores so large that their sums or differences leave float64, brought back without changing what is best.

Where a problem holds a score above 1e290, its scores above 1e270 are multiplied by ``2^-64``, which rounds nothing. The
others stay as they are: if none of them is above 1e200, sums of the large ones still outweigh all of them together, in
the same order as before, so that the best structure, and what is tied for the rest, is the same. Only where a problem
holds scores between 1e200 and 1e270 too are all of them multiplied, and those below 1e-289 then lose digits.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from structgrad.autograd import Itemwise

HUGE = 1e290  # up to here sums of as many scores as fit into memory are finite
LARGE, SMALL = 1e270, 1e200
FACTOR = 2.0**-64


def bounded(scores: Tensor, rank: int, mask: Tensor | None = None) -> Tensor:
    """Scores ``(..., *event)`` of ``rank`` event dimensions with the same order of structures, none above 1e290.

    Masked ones do not count. Each problem is treated by itself.
    """
    event = tuple(range(-rank, 0))
    size = scores.abs() if mask is None else scores.abs().masked_fill(~mask, 0.0)
    huge = size.amax(event, keepdim=True) > HUGE
    between = ((size > SMALL) & (size <= LARGE)).any(event, keepdim=True)
    return torch.where(huge & (between | (size > LARGE)), scores * FACTOR, scores)


class Bounded(Itemwise):
    """Scores ``(B, *event)`` within range, with the derivatives of the scores: structures keep their differences."""

    @staticmethod
    def forward(scores: Tensor, mask: Tensor | None) -> Tensor:
        return bounded(scores, scores.dim() - 1, mask)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        return grad_outputs[0], None

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Tensor:
        return grad_inputs[0]
