"""Where randomness comes from: one generator, or one for each index of the first dimension."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from structgrad.arguments import kind

Generators = torch.Generator | Sequence[torch.Generator]


def checked_generators(generator: Generators | None, shape: Sequence[int], leading: int, who: str) -> Generators:
    """``generator`` itself, if it fits scores of ``shape`` with that many ``leading`` dimensions; ``who`` asks for it.

    Raises:
        TypeError: neither a generator nor a sequence of them.
        ValueError: no generator; a sequence where there is no first dimension.
    """
    if generator is None:
        raise ValueError(f"generator must be given: {who} draws")
    for one in (generator,) if not isinstance(generator, Sequence) else generator:
        kind(one, "generator", torch.Generator, "a torch.Generator, or a sequence of them")
    if isinstance(generator, Sequence) and leading == 0:
        raise ValueError(f"theta of shape {tuple(shape)} has no first dimension for {len(generator)} generators")
    return generator


def draw_each(
    sample: Callable[[Sequence[int], torch.Generator], Tensor],
    shape: Sequence[int],
    generator: Generators,
    dtype: torch.dtype,
) -> Tensor:
    """``sample(shape, generator)``, or for each index of the first dimension that of its own generator, stacked.

    What an index draws depends on its generator alone, not on which others there are.

    Raises:
        ValueError: a sequence of generators whose length is not the first dimension.
    """
    if isinstance(generator, torch.Generator):
        return sample(shape, generator)
    if not shape or len(generator) != shape[0]:
        raise ValueError(f"{len(generator)} generators do not fit the first dimension of shape {tuple(shape)}")
    return draw_replicas(sample, shape[1:], generator) if generator else torch.empty(tuple(shape), dtype=dtype)


def draw_replicas(
    sample: Callable[[Sequence[int], torch.Generator], Tensor],
    shape: Sequence[int],
    generators: Sequence[torch.Generator],
) -> Tensor:
    """A draw of ``shape`` from each of the generators, at least one, stacked: ``(len(generators), *shape)``."""
    draws = [sample(shape, one) for one in generators]
    return draws[0].unsqueeze(0) if len(draws) == 1 else torch.stack(draws)
