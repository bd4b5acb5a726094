"""Arborescences: directed spanning trees in which every vertex but the root has one parent."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

from structgrad.arguments import count, kind
from structgrad.polytopes._arborescence import maximum_arborescences
from structgrad.polytopes._graph import lead
from structgrad.polytopes._range import HUGE
from structgrad.polytopes._tensors import on_cpu, run_tensors
from structgrad.polytopes.matrix_tree import MatrixTree


class Arborescence(MatrixTree):
    r"""Matrices ``y`` of shape ``(n, n)`` with ``y[i, j] = 1`` where i is the parent of j (paulus, section 6).

    All paths lead away from ``root``, which may have any number of children. The diagonal and the column of the root
    are zero in every arborescence, and scores there are ignored. The maximiser is Chu-Liu-Edmonds', compiled, on the
    CPU (scores on other devices make the way there and back); exact ties are broken by the order of its search,
    always alike for the same scores. The partition function is Tutte's determinant (Koo et al. 2007, section 3.3),
    exact for scores of any finite range.

    A mask says which edges may be used. A vertex without any (the diagonal and the root's column do not count) is
    absent, as padding is; the others must be within reach of the root.

    Args:
        n: how many vertices there are, the root included.
        root: the vertex from which all paths lead away.
        single_root: exactly one edge leaves the root (none where it is alone), as in dependency trees (Koo et al. 2007,
            section 3.2; Stanojevic and Cohen 2021 for the maximiser). A mask must then leave the root a child from
            which all others can be reached.

    Raises:
        TypeError, ValueError: an argument of the wrong kind or out of range.

    >>> theta = torch.tensor([[0.0, 4.0, 3.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    >>> Arborescence(3).argmax(theta)[0].tolist(), Arborescence(3, single_root=True).argmax(theta)[0].tolist()
    ([0.0, 1.0, 1.0], [0.0, 1.0, 0.0])
    """

    adds = True

    def __init__(self, n: int, root: int = 0, single_root: bool = False) -> None:
        super().__init__(n)
        self.single_root = kind(single_root, "single_root", bool, "True or False")
        root = count(root, "root", 0)
        if root >= n:
            raise ValueError(f"root must be a vertex from 0 to {n - 1}, not {root}")
        self.root = root
        self.event_shape = (n, n)
        order = torch.tensor([root, *(v for v in range(n) if v != root)], device="cpu")
        self._index = order.unsqueeze(-1) * n + order
        self._index.fill_diagonal_(n * n)
        self._index[:, 0] = n * n

    def lengths_mask(self, lengths: Tensor) -> Tensor:
        """The edges ``(..., n, n)`` that arborescences on the first ``lengths`` ``(...)`` vertices may have.

        Raises:
            ValueError: a length that leaves the root out, or above n.
        """
        inside = self._first(lengths, least=self.root + 1)
        return self._edges(lengths.device) & inside.unsqueeze(-1) & inside.unsqueeze(-2)

    def capped(self, theta: Tensor, max_range: float, mask: Tensor | None = None) -> Tensor:
        """``max(theta_ij, max_i theta_ij - max_range)``: the guard for each child j, over the parents that it may have.

        A child's best parent is what matters to it: adding a number to a column changes nothing.
        """
        edges = self._edges(theta.device) if mask is None else self._edges(theta.device) & mask
        best = theta.masked_fill(~edges, -torch.inf).amax(-2, keepdim=True)
        return theta.maximum(best - max_range)

    def vertices(self) -> Tensor:
        others = [v for v in range(self.n) if v != self.root]
        choices = list(product(range(self.n), repeat=len(others)))
        parents = torch.full((len(choices), self.n), self.root, device="cpu")
        parents[:, others] = torch.tensor(choices, dtype=torch.int64, device="cpu")
        ancestors = parents
        for _ in others:
            ancestors = parents.gather(-1, ancestors)
        parents = parents[(ancestors == self.root).all(-1)]
        y = torch.zeros(len(parents), self.n, self.n, dtype=torch.float64, device="cpu")
        y.scatter_(1, parents.unsqueeze(1), 1.0)
        y[:, :, self.root] = 0.0
        return y[y[:, self.root].sum(-1) == 1] if self.single_root and self.n > 1 else y

    def _argmax(self, theta: Tensor, mask: Tensor | None) -> Tensor:
        return on_cpu(self._used, theta, mask).view(theta.shape).to(theta.dtype)

    def _used(self, theta: Tensor, mask: Tensor | None) -> Tensor:
        graphs = self._graphs(theta, mask)
        used = torch.empty(len(graphs[0]), self.n**2, dtype=torch.bool, device="cpu")
        self._run(maximum_arborescences, *graphs, self.single_root, used)
        return used

    def _within(self, theta: Tensor, size: float, mask: Tensor | None = None) -> Tensor:
        if size > HUGE:  # of the edges alone: the other scores do not count
            edges = self._edges(theta.device).expand(theta.shape)
            mask = edges if mask is None else edges & mask
        return super()._within(theta, size, mask)

    def _feasible(self, mask: Tensor) -> Tensor:
        if not self.single_root:
            return super()._feasible(mask)
        here = mask.cpu()
        return self._led(super()._graphs(here.double(), here))[1].view(self._leading(mask))

    def _forcing(self, allowed: Tensor, forced: Tensor) -> tuple[Tensor, Tensor]:
        """A forced edge is the only one into its child, and a forced single edge the only one out of the root."""
        may = allowed & (forced | ~forced.any(-2, keepdim=True))
        if self.single_root:
            first = forced[:, self.root]
            may[:, self.root] &= first | ~first.any(-1, keepdim=True)
        return may, forced

    def _argmax_forced(self, theta: Tensor, allowed: Tensor, forced: Tensor) -> Tensor:
        return self._argmax(theta, allowed)

    def _graphs(self, theta: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        graphs = super()._graphs(theta, mask)
        return self._led(graphs)[0] if self.single_root else graphs

    def _led(self, graphs: tuple[Tensor, Tensor, Tensor]) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
        """The graphs, a possible child of the root first among the others, and which of them have one."""
        led = torch.empty(len(graphs[0]), dtype=torch.bool, device="cpu")
        run_tensors(lead, *graphs, led)
        return graphs, led

    def _structure(self) -> str:
        return f"arborescence from vertex {self.root}" + (" by a single edge" if self.single_root else "")

    def _edges(self, device: torch.device) -> Tensor:
        """The edges that an arborescence may have, ``(n, n)`` boolean."""
        vertex = torch.arange(self.n, device=device)
        return (vertex.unsqueeze(-1) != vertex) & (vertex != self.root)
