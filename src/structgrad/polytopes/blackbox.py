"""Anyone's solver as a polytope."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from structgrad.arguments import count, kind
from structgrad.finite import all_finite
from structgrad.parallel import map_blocks
from structgrad.polytopes.base import Polytope


class BlackBox(Polytope):
    """The convex hull of all that a solver may answer; the solver is ``argmax_y <theta, y>``.

    It is called on the CPU (scores of other devices make the round trip), on the threads of
    :func:`structgrad.parallel.set_threads`: solvers that release the GIL run side by side, and must then be safe to
    call from several threads. Ties are the solver's.

    Args:
        solver: maps scores, a float64 numpy array of ``event_shape`` that it may overwrite, to a structure of the same
            shape, an array or a tensor of finite numbers.
        event_shape: the shape of a structure.
        batched: the solver takes and gives ``(B, *event_shape)`` for any ``B > 0``, each problem by itself.
        vertices: all structures ``(count, *event_shape)``, if :meth:`vertices` is wanted.
    """

    def __init__(
        self,
        solver: Callable[[np.ndarray], Any],
        event_shape: Sequence[int],
        batched: bool = False,
        vertices: Tensor | None = None,
    ) -> None:
        self.solver, self.batched = solver, batched
        kind(solver, "solver", Callable, "a function of scores")  # type: ignore[type-abstract]
        kind(event_shape, "event_shape", Sequence, "a sequence of sizes, such as (5,)")  # type: ignore[type-abstract]
        self.event_shape = tuple(count(size, "event_shape") for size in event_shape)
        if vertices is not None and tuple(vertices.shape[1:]) != self.event_shape:
            raise ValueError(f"vertices must be (count, *{self.event_shape}), not {tuple(vertices.shape)}")
        self._vertices = vertices

    def _argmax(self, theta: Tensor, mask: Tensor | None) -> Tensor:
        count = prod(theta.shape[: theta.dim() - len(self.event_shape)])
        # a copy: the solver may overwrite it
        scores = theta.to("cpu", torch.float64, copy=True).reshape(count, *self.event_shape).contiguous()
        answers = torch.empty_like(scores)

        def solve(rows: slice) -> None:
            if self.batched:
                answers[rows] = self._checked(self.solver(scores[rows].numpy()), (rows.stop - rows.start,))
            else:
                for row in range(rows.start, rows.stop):
                    answers[row] = self._checked(self.solver(scores[row].numpy()), ())

        map_blocks(solve, count, max(1, count))
        return answers.view(theta.shape).to(theta.device, theta.dtype)

    def _checked(self, answer: Any, leading: tuple[int, ...]) -> Tensor:
        try:
            if not isinstance(answer, Tensor):
                answer = torch.from_numpy(np.array(answer, dtype=np.float64))
            answer = answer.detach().to("cpu", torch.float64)
        except (TypeError, ValueError):
            raise ValueError(f"the solver's output must be numbers, not {type(answer).__name__}") from None
        wanted, shape = (*leading, *self.event_shape), tuple(answer.shape)
        if shape != wanted:
            raise ValueError(f"the solver's output must be of shape {wanted}, not {shape}")
        if not all_finite(answer):
            raise ValueError(f"the solver's output of shape {shape} holds NaN or infinite entries")
        return answer

    def vertices(self) -> Tensor:
        """The vertices that were given.

        Raises:
            ValueError: none were given.
        """
        if self._vertices is None:
            raise ValueError("vertices of this BlackBox are not known: none were given")
        return self._vertices.to("cpu", torch.float64)
