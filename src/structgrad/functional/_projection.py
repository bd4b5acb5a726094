r"""Projections onto the permutahedron of any vector, of sorted arguments (Blondel et al. 2020, Propositions 2 to 4).

For z and w sorted descending, ``P(w)`` the convex hull of w's permutations, and the blocks of the isotonic problem,

    P_Q(z, w) = argmax_{y in P(w)} <z, y> - |y|^2 / 2             =  z - mean_B(z) + mean_B(w)
    P_E(z, w) = log argmax_{y in P(e^w)} <z, y> - <y, log y - 1>  =  z - lse_B(z) + lse_B(w)

on every block B of places, ``lse`` the logarithm of the sum of exponentials. Blocks do not move with z and w but at
kinks, so the derivatives of these formulas at fixed blocks are the derivatives, of any order. A block of one yields w
itself, to the bit.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import Tensor

from structgrad.autograd import constant
from structgrad.finite import all_finite, largest
from structgrad.layers.base import Scale, fitted
from structgrad.parallel import run_kernel
from structgrad.polytopes._range import FACTOR, HUGE
from structgrad.polytopes.permutahedron import Permutahedron
from structgrad.regularizers import _isotonic_blocks

Name = Literal["l2", "kl"]


def over_temperature(values: Tensor, temperature: Scale, regularizer: str, x: Tensor, what: str) -> Tensor:
    """Float64 ``values`` over the temperature of each item of ``x`` ``(..., n)``; what is wrong names ``x``.

    Raises:
        TypeError: a temperature that is no number.
        ValueError: a temperature that is not positive or does not fit; an unknown regularizer; a quotient beyond
            float64: ``what`` it is of.
    """
    if regularizer not in ("l2", "kl"):
        raise ValueError(f"regularizer must be 'l2' or 'kl', not {regularizer!r}")
    tempered = values / fitted(temperature, "temperature", x, 1)
    if not all_finite(tempered):
        raise ValueError(f"x of shape {tuple(x.shape)} has {what} over the temperature beyond float64")
    return tempered


def wide_scores(x: Tensor) -> Tensor:
    """``x`` ``(..., n)`` in float64.

    Raises:
        TypeError: it is no tensor.
        ValueError: it has no last dimension or an empty one, or is not floating point or not finite.
    """
    if isinstance(x, Tensor) and (x.dim() < 1 or not x.shape[-1]):
        raise ValueError(f"x of shape {tuple(x.shape)} must have a last dimension that is not empty")
    Permutahedron(x.shape[-1] if isinstance(x, Tensor) else 1)._check(x, "x")
    return x.double()


def project(z: Tensor, w: Tensor, regularizer: Name) -> Tensor:
    """The projection of ``z`` ``(..., n)`` onto the permutahedron of ``w``, both float64 and sorted descending."""
    if regularizer == "kl":
        first = constant(partial(_blocks, _isotonic_blocks.entropic), z, w.expand(z.shape), rank=1)
        return (z - _log_sum_exp(z, first)) + _log_sum_exp(w, first)
    scale = torch.ones_like(z[..., :1])
    if max(largest(z), largest(w)) > HUGE:  # sums and differences stay finite; a power of two rounds nothing
        size = torch.maximum(z.abs(), w.abs()).amax(-1, keepdim=True).detach()
        scale = torch.where(size > HUGE, FACTOR, scale)
        z, w = z * scale, w * scale
    first = constant(partial(_blocks, _isotonic_blocks.quadratic), z, w.expand(z.shape), rank=1)
    return ((z - _mean(z, first)) + _mean(w, first)) / scale


def _blocks(kernel, z: Tensor, w: Tensor) -> Tensor:
    """Where the block of each place begins, int64."""
    n = z.shape[-1]
    rows = [value.detach().expand(z.shape).reshape(-1, n).cpu().contiguous().numpy() for value in (z, w)]
    first = torch.empty(rows[0].shape, dtype=torch.int64, device="cpu")
    run_kernel(kernel, *rows, first.numpy())
    return first.view(z.shape).to(z.device)


def _mean(x: Tensor, first: Tensor) -> Tensor:
    """The mean over each place's block; from differences to its first, so that no digits are lost."""
    origin = x.gather(-1, first)
    size = torch.zeros_like(x).scatter_add(-1, first, torch.ones_like(x))
    total = torch.zeros_like(x).scatter_add(-1, first, x - origin)
    return origin + (total / size.clamp(min=1.0)).gather(-1, first)


def _log_sum_exp(x: Tensor, first: Tensor) -> Tensor:
    """The logarithm of the sum of exponentials over each place's block, whose first entry is its largest."""
    origin = x.gather(-1, first).detach()
    total = torch.zeros_like(x).scatter_add(-1, first, torch.exp(x - origin)).gather(-1, first)
    return origin + torch.log(total)
