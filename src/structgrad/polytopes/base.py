"""What every polytope offers: its maximiser, and for small sizes all its vertices."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import inf
from typing import Any

import torch
from torch import Tensor

from structgrad.arguments import kind
from structgrad.autograd import constant
from structgrad.described import Described
from structgrad.finite import largest
from structgrad.polytopes._range import HUGE, bounded
from structgrad.portable import wide
from structgrad.transforms import concrete, opaque


class Polytope(Described, ABC):
    """The convex hull of a set of structures, each an indicator tensor of shape ``event_shape``.

    Where structures are ragged (trees of different sizes, subsets of lists of different lengths) a ``mask`` of
    booleans, broadcastable to the scores, says which coordinates may be used; the others are zero in every structure,
    whatever their (finite) scores. Polytopes that take one say so by ``takes_mask``.
    """

    event_shape: tuple[int, ...]
    takes_mask: bool = False
    adds: bool = False  # whether the maximiser adds scores, which must then not overflow
    nonpositive: bool = False  # whether scores above zero count as zero
    has_offset: bool = False  # whether there is an h, so that <theta, y> + h(y) is maximised
    nested: bool = False  # whether a structure may hold another one
    telling: int | None = None  # how many coordinates, the first ones, tell structures apart; None: all of them

    @opaque
    def argmax(self, theta: Tensor, mask: Tensor | None = None) -> Tensor:
        """``argmax_y <theta, y>`` over the vertices, for any leading dimensions.

        Args:
            theta: scores, ``(..., *event_shape)``, finite.
            mask: the coordinates that may be used, boolean, broadcastable to ``theta``; None: all.

        Returns:
            The maximising vertex of each score, same shape, dtype and device, without gradient. Ties are broken
            alike every time.

        Raises:
            ValueError: scores of another shape, NaN or infinite; a mask under which there is no structure.
        """
        size = self._check(theta)
        mask = self._check_mask(theta, mask)

        def solve(theta: Tensor, mask: Tensor | None) -> Tensor:
            return self._argmax(self._within(theta, size, mask), mask).to(theta.dtype)

        return constant(solve, theta, mask, rank=len(self.event_shape))

    @abstractmethod
    def _argmax(self, theta: Tensor, mask: Tensor | None) -> Tensor:
        """:meth:`argmax` of scores and a mask of the same shape (or None) that have been checked.

        The scores are float32 or float64, and where ``adds`` says so none is above 1e290.
        """

    @abstractmethod
    def vertices(self) -> Tensor:
        """All vertices, ``(count, *event_shape)``, float64. For small sizes only: it is what tests compare with."""

    def argmax_pair(self, theta: Tensor, other: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The maximisers at two scores that lie near each other, as finite differences need them.

        The same as two calls of :meth:`argmax`; polytopes whose solver can start the second search from the
        first one's solution override it.
        """
        return self.argmax(theta, mask), self.argmax(other, mask)

    def argmax_perturbed(self, theta: Tensor, sigma: Tensor, z: Tensor, mask: Tensor | None = None) -> Tensor:
        """The maximisers at ``theta + sigma z`` for B items with M draws each, as perturbed layers need them.

        The same as one call of :meth:`argmax`; polytopes that need not write the perturbed scores down override it.

        Args:
            theta: ``(B, *event)``, checked.
            sigma: ``(B,)``.
            z: ``(B, M, *event)``.
            mask: broadcastable to ``z``, or None.
        """
        magnitude = sigma.view(-1, *(1,) * (z.dim() - 1))
        return self.argmax(theta.unsqueeze(1) + magnitude * z, mask)

    def offset(self, y: Tensor) -> Tensor | None:
        """``h(y)`` of structures ``(..., *event_shape)``, ``(...)`` float64, where ``<theta, y> + h(y)`` is maximised.

        None where there is no h, as in all polytopes but some of :class:`~.blackbox.BlackBox`. Whoever computes the
        value of a structure, rather than the structure, adds it.
        """
        return None

    def of_items(self, index: Any, leading: Sequence[int]) -> Polytope:
        """The polytope of some of the items of scores ``(*leading, *event_shape)``, flattened in row-major order.

        Itself, unless items differ (:meth:`.blackbox.BlackBox.given`). Whoever flattens leading dimensions, or solves
        for some of the items, asks it for the polytope of those.

        Args:
            index: as of an array of shape ``leading``: ``...`` for all items, slices, whole numbers, booleans.
            leading: the scores' leading dimensions, of which the contexts are.
        """
        return self

    def _forcing(self, allowed: Tensor, forced: Tensor) -> tuple[Tensor, Tensor]:
        """Allowed coordinates ``(M, *event_shape)`` beside forced ones, and the forced ones that no mask expresses."""
        return allowed, forced

    def _argmax_forced(self, theta: Tensor, allowed: Tensor, forced: Tensor) -> Tensor:
        """The maximisers that use forced coordinates and else allowed ones only, all ``(M, *event_shape)``, on the CPU.

        The scores are float64, none above 1e290. Where there is no maximiser, the result lacks a forced coordinate.
        """
        raise ValueError(f"{type(self).__name__} cannot search with forced coordinates, which k_best needs")

    def _within(self, theta: Tensor, size: float, mask: Tensor | None = None) -> Tensor:
        """The checked scores, the largest of which is ``size``, as maximisers take them."""
        scores = wide(theta.detach())
        return bounded(scores, len(self.event_shape), mask) if self.adds and size > HUGE else scores

    def _check_shape(self, theta: Tensor, name: str = "theta") -> None:
        rank = len(self.event_shape)
        kind(theta, name, Tensor, "a tensor (torch.as_tensor makes one)")
        if theta.dim() < rank or tuple(theta.shape[theta.dim() - rank :]) != self.event_shape:
            raise ValueError(f"{name} must end in {self.event_shape}, not {tuple(theta.shape)}")
        if not theta.is_floating_point():
            raise ValueError(f"{name} of shape {tuple(theta.shape)} must be floating point, not {theta.dtype}")
        if theta.dtype.itemsize < 2 or theta.layout != torch.strided or theta.is_meta:
            held = f"{theta.dtype}, {theta.layout}, {theta.device}"
            raise ValueError(f"{name} of shape {tuple(theta.shape)} must hold dense 16-bit floats or wider, not {held}")

    def _check(self, theta: Tensor, name: str = "theta") -> float:
        """The largest magnitude of the scores, which must be finite, floating point and of the event's shape."""
        self._check_shape(theta, name)
        size = largest(theta)
        if size == inf:
            remedy = (
                "mask= forbids coordinates" if self.takes_mask else "there is no mask: a large finite score forbids"
            )
            raise ValueError(f"{name} of shape {tuple(theta.shape)} holds NaN or infinite scores ({remedy})")
        return size

    def _check_mask(self, theta: Tensor, mask: Tensor | None) -> Tensor | None:
        """The mask expanded to the shape of ``theta``."""
        if mask is None:
            return None
        kind(mask, "mask", Tensor, "a tensor of booleans, or None")
        if not self.takes_mask:
            raise ValueError(f"{type(self).__name__} takes no mask, and one of shape {tuple(mask.shape)} was given")
        if mask.dtype != torch.bool:
            raise ValueError(f"mask of shape {tuple(mask.shape)} must be boolean, not {mask.dtype}")
        if mask.device != theta.device:
            raise ValueError(f"mask of shape {tuple(mask.shape)} lies on {mask.device}, the scores on {theta.device}")
        try:
            expanded = mask.expand(theta.shape)
        except RuntimeError:
            raise ValueError(f"mask of shape {tuple(mask.shape)} does not fit scores {tuple(theta.shape)}") from None
        if not bool(self._feasible(concrete(expanded)).all()):
            raise ValueError(f"mask of shape {tuple(mask.shape)} leaves no {self._structure()} for some scores")
        return expanded

    def _feasible(self, mask: Tensor) -> Tensor:
        """Whether there is a structure under each mask ``(..., *event_shape)``: ``(...)`` boolean."""
        return mask.new_ones(mask.shape[: mask.dim() - len(self.event_shape)])

    def _structure(self) -> str:
        """What a vertex is called in an error message."""
        return "structure"
