r"""Any solver as a polytope.

    y(theta) = argmax_y <theta, g(y)> + h(y)

over whatever the solver searches: ``g(y)`` is what it returns, the structure in the coordinates of the scores. The
offset ``h``, where there is one, is written as a function of ``g(y)``. That loses nothing: of all ``y`` with one
``g(y)`` a maximiser takes one with the largest ``h``, whatever the scores (Dalle et al. 2022 call such a solver a
generalised maximiser).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from itertools import accumulate
from math import prod
from operator import mul
from typing import Any

import numpy as np
import torch
from torch import Tensor

from structgrad.arguments import choice, count, kind
from structgrad.finite import all_finite
from structgrad.parallel import map_blocks
from structgrad.polytopes.base import Polytope


class BlackBox(Polytope):
    """The convex hull of all that a solver may answer; the solver is ``argmax_y <theta, y>``.

    It is called on the CPU (scores of other devices make the round trip), on the threads of
    :func:`structgrad.parallel.set_threads`: solvers that release the GIL run side by side, and must then be safe to
    call from several threads; :class:`structgrad.pool.SolverPool` runs those that do not in processes. Ties are the
    solver's. A solver that needs more than the scores takes it as a context: :meth:`given`.

    Args:
        solver: maps scores, a float64 numpy array of ``event_shape`` that it may overwrite, to a structure of the same
            shape, an array or a tensor of finite numbers. With contexts it is called as ``solver(scores, context)``.
        event_shape: the shape of a structure.
        batched: the solver takes and gives ``(B, *event_shape)`` for any ``B > 0``, each problem by itself; with
            contexts it is called as ``solver(scores, contexts)``, a list of B.
        vertices: all structures ``(count, *event_shape)``, if :meth:`vertices` is wanted.
        offset: h, where the solver is ``argmax_y <theta, y> + h(y)``: maps a structure as the solver returns it, in
            float64 (``batched``: B of them), to a number (B numbers); called as ``offset(y, context)`` with contexts.
            The values of potentials, losses and regrets hold it; targets must then be structures that h knows.

    >>> def knapsack(values, sizes):  # the best one thing of those that fit
    ...     y = np.zeros(3)
    ...     y[np.where(sizes <= 2, values, -np.inf).argmax()] = 1
    ...     return y
    >>> box = BlackBox(knapsack, (3,))
    >>> values = torch.tensor([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
    >>> box.given([np.array([1, 1, 1]), np.array([9, 1, 1])]).argmax(values)
    tensor([[1., 0., 0.],
            [0., 1., 0.]])
    """

    def __init__(
        self,
        solver: Callable[..., Any],
        event_shape: Sequence[int],
        batched: bool = False,
        vertices: Tensor | None = None,
        offset: Callable[..., Any] | None = None,
    ) -> None:
        self.solver, self.batched = solver, choice(batched, "batched")
        kind(solver, "solver", Callable, "a function of scores")  # type: ignore[type-abstract]
        kind(event_shape, "event_shape", Sequence, "a sequence of sizes, such as (5,)")  # type: ignore[type-abstract]
        self.event_shape = tuple(count(size, "event_shape") for size in event_shape)
        if vertices is not None:
            kind(vertices, "vertices", Tensor, "a tensor, (count, *event_shape)")
        if vertices is not None and tuple(vertices.shape[1:]) != self.event_shape:
            raise ValueError(f"vertices must be (count, *{self.event_shape}), not {tuple(vertices.shape)}")
        self._vertices = vertices
        if offset is not None:
            kind(offset, "offset", Callable, "a function of structures")  # type: ignore[type-abstract]
        self._offset, self.has_offset = offset, offset is not None
        self.contexts: list[Any] | None = None

    def given(self, contexts: Sequence[Any] | np.ndarray | Tensor) -> BlackBox:
        """The same solver, called with a context for every item: its graph, capacities, sizes.

        There is one for each index of the first dimension of the scores, as of a sequence of generators, or for each of
        the first few dimensions, row by row: scores ``(R, n, *event)`` take R contexts or R n. What comes after, such
        as samples of a layer, shares the context of its item.

        Layers and losses are cheap to make for every batch: ``Perturbed(box.given(graphs), sigma=sigma)``.

        Raises:
            TypeError: no sequence.
            ValueError: when solved, scores of another number of items than there are contexts.
        """
        kind(contexts, "contexts", (Sequence, np.ndarray, Tensor), "a sequence with one per item")
        if isinstance(contexts, np.ndarray | Tensor) and not contexts.ndim:
            raise TypeError("contexts must be a sequence with one per item, not one number")
        bound = copy(self)
        bound.contexts = list(contexts)
        return bound

    def of_items(self, index: Any, leading: Sequence[int]) -> BlackBox:
        contexts = self._served(leading)
        if contexts is None:
            return self
        index = index.cpu().numpy() if isinstance(index, Tensor) else index
        return self.given([contexts[i] for i in np.arange(len(contexts)).reshape(leading)[index].flat])

    def offset(self, y: Tensor) -> Tensor | None:
        if self._offset is None:
            return None
        leading = y.shape[: y.dim() - len(self.event_shape)]
        offsets = self._map(self._offset, y, (), "offset")
        return offsets.view(leading).to(y.device)

    def _argmax(self, theta: Tensor, mask: Tensor | None) -> Tensor:
        answers = self._map(self.solver, theta, self.event_shape, "solver")
        return answers.view(theta.shape).to(theta.device, theta.dtype)

    def _map(self, function: Callable[..., Any], x: Tensor, shape: tuple[int, ...], name: str) -> Tensor:
        """The function's answers, each of that shape, to all items of ``x`` ``(..., *event_shape)``, in a row."""
        leading = x.shape[: x.dim() - len(self.event_shape)]
        contexts, count = self._served(leading), prod(leading)
        # a copy: the solver may overwrite it
        items = x.detach().to("cpu", torch.float64, copy=True).reshape(count, *self.event_shape).contiguous()
        answers = items.new_empty(count, *shape)

        def solve(rows: slice) -> None:
            if self.batched:
                given = () if contexts is None else (contexts[rows],)
                answer = function(items[rows].numpy(), *given)
                answers[rows] = self._checked(answer, (rows.stop - rows.start, *shape), name)
            else:
                for row in range(rows.start, rows.stop):
                    given = () if contexts is None else (contexts[row],)
                    answers[row] = self._checked(function(items[row].numpy(), *given), shape, name)

        map_blocks(solve, count, max(1, count))
        return answers

    def _check(self, theta: Tensor, name: str = "theta") -> float:
        size = super()._check(theta, name)
        self._served(theta.shape[: theta.dim() - len(self.event_shape)])
        return size

    def _served(self, leading: Sequence[int]) -> list[Any] | None:
        """The context of every item in row-major order; None where there are no contexts."""
        if self.contexts is None:
            return None
        given = len(self.contexts)
        if given not in accumulate(leading, mul):
            wanted = f"{leading[0]} items" if leading else "scores without a first dimension"
            raise ValueError(f"{given} contexts do not fit {wanted}, of leading dimensions {tuple(leading)}")
        repeats = prod(leading) // max(1, given)
        return [context for context in self.contexts for _ in range(repeats)]

    def _checked(self, answer: Any, wanted: tuple[int, ...], name: str) -> Tensor:
        try:
            if answer.is_complex() if isinstance(answer, Tensor) else np.iscomplexobj(answer):
                raise TypeError
            if not isinstance(answer, Tensor):
                answer = torch.from_numpy(np.array(answer, dtype=np.float64))
            answer = answer.detach().to("cpu", torch.float64)
        except (TypeError, ValueError):
            raise ValueError(f"the {name}'s output must be numbers, not {type(answer).__name__}") from None
        shape = tuple(answer.shape)
        if shape != wanted:
            raise ValueError(f"the {name}'s output must be of shape {wanted}, not {shape}")
        if not all_finite(answer):
            raise ValueError(f"the {name}'s output of shape {shape} holds NaN or infinite entries")
        return answer

    def vertices(self) -> Tensor:
        """The vertices that were given.

        Raises:
            ValueError: none were given.
        """
        if self._vertices is None:
            raise ValueError("vertices of this BlackBox are not known: none were given")
        return self._vertices.to("cpu", torch.float64)
