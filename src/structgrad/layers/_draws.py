"""What layers that draw have in common: the noise for some scores, and the dimension of samples."""

from __future__ import annotations

import torch
from torch import Tensor

from structgrad.arguments import kind
from structgrad.autograd import constant
from structgrad.finite import all_finite, largest
from structgrad.generators import checked_generators
from structgrad.noise import Generators, Noise, draw
from structgrad.polytopes.base import Polytope
from structgrad.portable import wide
from structgrad.transforms import check_draws, concrete


def noise_for(noise: Noise, theta: Tensor, rank: int, samples: int | None, generator: Generators | None) -> Tensor:
    """Draws for scores ``(..., *event)`` with an event of ``rank`` dimensions: ``(..., samples, *event)``.

    Without ``samples``, one draw for each score and no such dimension. On the device of ``theta``, in its dtype, or in
    float64 where that is narrower than float32.

    Raises:
        ValueError: no generator; a sequence of them that does not fit the first dimension of ``theta``.
        RuntimeError: within ``torch.func.vmap`` without ``randomness="same"``.
    """
    leading = theta.dim() - rank
    generator = checked_generators(generator, theta.shape, leading, "this layer")
    check_draws()
    shape = theta.shape if samples is None else (*theta.shape[:leading], samples, *theta.shape[leading:])
    dtype = wide(theta[:0]).dtype
    return constant(lambda: draw(noise, shape, generator, dtype).to(theta.device))


def drowned(noise: Noise, theta: Tensor, rank: int, sigma: Tensor | float = 1.0) -> Tensor | None:
    """The items ``(...)`` whose largest score is so large that its dtype keeps nothing of ``sigma`` times the noise.

    None where there are none, as there should be, or where no type is wider. Each item is judged by itself: what a call
    yields for one does not depend on the others.
    """
    if theta.dtype == torch.float64 or not theta.numel():
        return None
    reach = noise.reach(theta.dtype)
    if largest(theta) <= reach * float(
        concrete(sigma).min() if isinstance(sigma, Tensor) else sigma
    ):  # one pass, no copy
        return None
    size = theta.detach().abs()
    lost = (size.flatten(-rank).amax(-1) if rank else size) > reach * sigma
    return lost if bool(concrete(lost).any()) else None


def checked_noisy(noisy: Tensor | None, polytope: Polytope) -> Tensor | None:
    """The mask of the coordinates that get noise, or None where all of them do."""
    if noisy is None:
        return None
    kind(noisy, "noisy", Tensor, "a tensor of booleans, or None")
    if noisy.dtype != torch.bool or tuple(noisy.shape) != polytope.event_shape:
        given = f"{tuple(noisy.shape)}, {noisy.dtype}"
        raise ValueError(f"noisy of shape {given} must be boolean and of the event's shape {polytope.event_shape}")
    return None if bool(noisy.all()) else noisy


def checked_scores(value: Tensor, name: str) -> Tensor:
    """The scores ``(..., n)`` themselves, if they are finite floating-point numbers."""
    kind(value, name, Tensor, "a tensor (torch.as_tensor makes one)")
    if value.dim() < 1 or not value.is_floating_point() or not all_finite(value):
        raise ValueError(f"{name} of shape {tuple(value.shape)} must hold finite floating-point scores")
    return value
