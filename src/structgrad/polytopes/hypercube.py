"""Independent subsets: all binary tensors of a shape."""

from __future__ import annotations

from itertools import product
from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F

from structgrad.arguments import count
from structgrad.polytopes.exponential import ExponentialFamily

LANES = 16  # rows are padded to whole vectors, so that sigmoid takes the same path wherever a row lies in a batch


class Hypercube(ExponentialFamily):
    """Binary tensors of any shape, each coordinate by itself (paulus, section 6, subset selection, "Indep. S").

    The maximiser is ``theta > 0`` (0 at a tie), ``log_partition`` is ``sum log(1 + exp theta)`` and ``marginals`` its
    gradient, the sigmoid. Coordinates out of a mask are 0; any mask is allowed.

    Args:
        shape: the event's, each size at least 1: ``Hypercube(5)``, ``Hypercube(n, n)``.

    Raises:
        ValueError: no size, or one below 1.
    """

    takes_mask = nested = True
    closed = True

    def __init__(self, *shape: int) -> None:
        if not shape:
            raise ValueError("shape must hold sizes of at least 1, not ()")
        self.event_shape = tuple(count(size, "shape") for size in shape)
        self._shape = self.event_shape
        self._size = prod(shape)

    def _argmax(self, theta: Tensor, mask: Tensor | None) -> Tensor:
        chosen = theta > 0
        return (chosen if mask is None else chosen & mask).to(theta.dtype)

    def _argmax_forced(self, theta: Tensor, allowed: Tensor, forced: Tensor) -> Tensor:
        return self._argmax(theta.masked_fill(forced, 1.0), allowed)

    def vertices(self) -> Tensor:
        corners = list(product((0.0, 1.0), repeat=self._size))
        return torch.tensor(corners, dtype=torch.float64, device="cpu").view(-1, *self.event_shape)

    def _plain_log_partition(self, theta: Tensor, mask: Tensor | None) -> Tensor:
        terms = -F.logsigmoid(-theta)  # torch's softplus has no second derivative from 20 on
        return (terms if mask is None else terms.masked_fill(~mask, 0.0)).flatten(1).sum(1)

    def _kernel_marginals(self, theta: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        rows = self._rows(theta, mask)
        return -F.logsigmoid(-rows).sum(1), self._events(torch.sigmoid(rows))

    def _kernel_product(self, theta: Tensor, mask: Tensor | None, direction: Tensor) -> Tensor:
        rows = self._rows(theta, mask)
        return self._events(torch.sigmoid(rows) * torch.sigmoid(-rows)) * direction

    def _kernel_entropy(self, theta: Tensor, mask: Tensor | None) -> Tensor:
        less = -self._rows(theta, mask).abs()  # a coin's entropy is that of its lesser side
        return (torch.where(less > -torch.inf, -less, 0.0) * torch.sigmoid(less) - F.logsigmoid(-less)).sum(1)

    def _kernel_sample(self, theta: Tensor, mask: Tensor | None, uniforms: Tensor) -> Tensor:
        chances = self._events(torch.sigmoid(self._rows(theta, mask))).flatten(1)
        return (uniforms < chances.unsqueeze(1)).unflatten(-1, self.event_shape)

    def _uniforms(self) -> int:
        return self._size

    def _rows(self, theta: Tensor, mask: Tensor | None) -> Tensor:
        scores = theta if mask is None else theta.masked_fill(~mask, -torch.inf)
        return F.pad(scores.flatten(1), (0, -self._size % LANES), value=-torch.inf)

    def _events(self, rows: Tensor) -> Tensor:
        return rows[:, : self._size].reshape(-1, *self.event_shape).data
