r"""What spanning trees and arborescences share: their exponential family, by the matrix-tree theorem."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod

import torch
from torch import Tensor

from structgrad.arguments import count
from structgrad.polytopes import _graph, _matrix_tree, _matrix_tree_log
from structgrad.polytopes._tensors import run_tensors
from structgrad.polytopes._tree_draws import tree_draws
from structgrad.polytopes.exponential import ExponentialFamily

ABSENT = -1e300  # the log-weight of an edge that is not there: finite, so that derivatives are


class MatrixTree(ExponentialFamily):
    """Trees on n vertices, whose events list the edges that they may have (paulus, section 6).

    A vertex without an edge that may be used is absent, and trees span the others. Subclasses set ``_index``
    ``(n, n)``: the place in the (flat) event of the edge from i to j, the root first, or the event's length where no
    tree has such an edge. An undirected edge stands at ``(i, j)`` and at ``(j, i)``.
    """

    takes_mask = adds_weights = True
    single_root: bool = False  # whether one edge alone leaves the root
    _index: Tensor

    def __init__(self, n: int) -> None:
        self.n = count(n, "n")

    def _feasible(self, mask: Tensor) -> Tensor:
        allowed = self._flat(mask).cpu()
        spanned = allowed.new_empty(len(allowed))
        self._run(_graph.connected, allowed, spanned)
        return spanned.view(self._leading(mask))

    def _plain_log_partition(self, theta: Tensor, mask: Tensor | None) -> Tensor:
        scores = self._flat(theta)
        return log_partition(self._matrix(scores), self._matrix(self._allowed(scores, mask)), self.single_root)

    def _kernel_marginals(self, theta: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        graphs, flat = self._graphs(theta, mask), self._flat(theta.detach())
        log_z, out, fits = (
            flat.new_empty(len(flat)),
            torch.empty_like(flat),
            torch.empty(len(flat), dtype=torch.bool, device="cpu"),
        )
        self._run(_matrix_tree.marginals, *graphs, self.single_root, fits, log_z, out)
        beyond = ~fits
        if bool(beyond.any()):
            log_z[beyond], out[beyond], _ = self._beyond(graphs, torch.zeros_like(flat), beyond)
        return log_z, out.clamp_(0.0, 1.0).view(theta.shape)  # rounding may leave -1e-17

    def _kernel_product(self, theta: Tensor, mask: Tensor | None, direction: Tensor) -> Tensor:
        graphs, along = self._graphs(theta, mask), self._flat(direction.detach())
        out, fits = torch.empty_like(along), torch.empty(len(along), dtype=torch.bool, device="cpu")
        self._run(_matrix_tree.product, *graphs, self.single_root, along, fits, out)
        beyond = ~fits
        if bool(beyond.any()):
            out[beyond] = self._beyond(graphs, along, beyond)[2]
        return out.view(theta.shape)

    def _kernel_entropy(self, theta: Tensor, mask: Tensor | None) -> Tensor:
        into, _, counts = self._graphs(theta, mask)
        entropy = into.new_empty(len(into))
        run_tensors(_matrix_tree_log.entropies, into, counts, self.single_root, entropy)
        return entropy.clamp_min_(0.0)  # rounding may leave -1e-16

    def _kernel_sample(self, theta: Tensor, mask: Tensor | None, uniforms: Tensor) -> Tensor:
        into, vertices, counts = self._graphs(theta, mask)
        own, own_low, w, low = torch.zeros(4, *into.shape, dtype=torch.float64, device="cpu").unbind()
        fits = torch.empty(len(into), dtype=torch.bool, device="cpu")
        run_tensors(_matrix_tree.eliminations, into, counts, self.single_root, fits, own, w)
        beyond = ~fits
        if bool(beyond.any()):
            parts = [torch.zeros_like(into[beyond]) for _ in range(4)]
            run_tensors(_matrix_tree_log.eliminations, into[beyond], counts[beyond], self.single_root, *parts)
            own[beyond], own_low[beyond], w[beyond], low[beyond] = parts
        y = torch.zeros(*uniforms.shape[:2], prod(self.event_shape), dtype=torch.bool, device="cpu")
        self._run(tree_draws, vertices, counts, fits, own, own_low, w, low, self.single_root, uniforms, y)
        return y.unflatten(-1, self.event_shape)

    def _uniforms(self) -> int:
        return (self.n - 1) * (self.n + 2) // 2

    def _beyond(self, graphs: tuple[Tensor, ...], direction: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``log Z``, marginals and the product with ``direction`` of the rows that floats do not hold."""
        along = direction[rows]
        results = along.new_empty(len(along)), torch.empty_like(along), torch.empty_like(along)
        self._run(_matrix_tree_log.products, *(x[rows] for x in graphs), self.single_root, along, *results)
        return results

    def _graphs(self, theta: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Scores of in-edges, the vertices that take part, and their number, of each graph in CPU memory."""
        scores = self._flat(theta.detach()).double()
        into = scores.new_empty(len(scores), self.n, self.n)
        vertices = torch.empty(len(scores), self.n, dtype=torch.int64, device="cpu")
        counts = torch.empty(len(scores), dtype=torch.int64, device="cpu")
        self._run(_graph.gather, scores, self._allowed(scores, mask), into, vertices, counts)
        return into, vertices, counts

    def _run(self, kernel: Callable[..., None], *arguments: Tensor | bool) -> None:
        run_tensors(partial(kernel, self._index.numpy()), *arguments)

    def _flat(self, y: Tensor) -> Tensor:
        """``(..., *event_shape)`` as ``(B, events)``."""
        return y.reshape(prod(self._leading(y)), prod(self.event_shape)).contiguous()

    def _allowed(self, flat: Tensor, mask: Tensor | None) -> Tensor:
        return torch.ones_like(flat, dtype=torch.bool) if mask is None else self._flat(mask)

    def _matrix(self, flat: Tensor) -> Tensor:
        """What belongs to the edges of a flat event, ``(..., n, n)``; zero (or False) where there is none."""
        padded = torch.cat([flat, flat.new_zeros(*flat.shape[:-1], 1)], -1)
        return padded.index_select(-1, self._index.to(flat.device).flatten()).unflatten(-1, (self.n, self.n))

    def _first(self, lengths: Tensor, least: int) -> Tensor:
        """Which vertices are among the first ``lengths``, ``(..., n)`` boolean."""
        if lengths.numel() and not least <= int(lengths.min()) <= int(lengths.max()) <= self.n:
            raise ValueError(f"lengths of shape {tuple(lengths.shape)} must lie between {least} and {self.n}")
        return torch.arange(self.n, device=lengths.device) < lengths.unsqueeze(-1)


def log_partition(scores: Tensor, edges: Tensor, single: bool = False) -> Tensor:
    """``log Z`` ``(B,)`` of graphs ``(B, n, n)`` by torch operations in the log domain, for scores of any range.

    The elimination of ``_matrix_tree``, each entry put together when it is needed, by one logsumexp over the vertices
    taken out before (of two numbers at a time, torch's ``logaddexp`` has no second derivative). Vertices without an
    edge hang on the first one that has any, by an edge of weight one, so that vertex 0 may be the root of all. Where a
    ``single`` edge leaves it, they hang on vertex 1, which has a way to all others.
    """
    n = scores.shape[-1]
    if n == 1:
        return 0.0 * scores.sin().sum((-2, -1))  # zero, and so are its derivatives of any order
    present = edges.any(-1) | edges.any(-2)
    first = torch.zeros_like(present).scatter_(-1, present.to(torch.int8).argmax(-1, keepdim=True), True)
    if single:
        scores, edges, present = _led(scores, edges, present)
    edges = edges & ~first.unsqueeze(-2)  # nothing leads into the root
    hanging = first.unsqueeze(-1) & ~present.unsqueeze(-2)
    hanging = hanging | hanging.mT
    if single:
        vertex = torch.arange(n, device=scores.device)
        hanging = ~present.unsqueeze(-2) & (vertex.unsqueeze(-1) == vertex.sign().where(vertex > 1, 0))
    shift = scores.detach().masked_fill(~edges, -torch.inf).amax(-2)
    shift = shift.masked_fill(shift == -torch.inf, 0.0)
    absent = scores.new_full((), ABSENT).masked_fill(hanging, 0.0)
    log_w = torch.where(edges, scores - shift.unsqueeze(-2), absent)

    total = shift.sum(-1)
    shares, rows = log_w[..., :0], log_w[..., :0, :]  # log p_i of each vertex taken out, and its log w_kj
    for k in range(n - 1, 0, -1):
        into = torch.cat([log_w[:, :k, k, None], shares[:, :k] + rows[:, None, :, k]], -1).logsumexp(-1)
        out_of = torch.cat([log_w[:, k, None, :k], shares[:, k, :, None] + rows[:, :, :k]], -2).logsumexp(-2)
        log_s = (into[:, 1:] if single and k > 1 else into).logsumexp(-1)
        total = total + log_s
        shares = torch.cat([shares[:, :k], (into - log_s.unsqueeze(-1)).unsqueeze(-1)], -1)
        rows = torch.cat([rows[:, :, :k], out_of.unsqueeze(-2)], -2)
    return total


def _led(scores: Tensor, edges: Tensor, present: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The graphs with their vertices in an order as ``_graph.lead`` makes it, by squaring the reachability matrix."""
    n = edges.shape[-1]
    inner = edges.clone()
    inner[:, 0] = False
    reach = inner | torch.eye(n, dtype=torch.bool, device=edges.device)
    for _ in range((n - 1).bit_length()):
        reach = (reach.float() @ reach.float()) > 0
    leads = edges[:, 0] & (reach | ~present.unsqueeze(-2))[..., 1:].all(-1)
    lead = leads.to(torch.int8).argmax(-1, keepdim=True).clamp_min(1)
    order = torch.arange(n, device=edges.device).repeat(len(edges), 1)
    order = order.scatter(-1, lead, 1)
    order[:, 1] = lead.squeeze(-1)
    rows, columns = order.unsqueeze(-1).expand(-1, -1, n), order.unsqueeze(-2).expand(-1, n, -1)
    scores, edges = (x.gather(-2, rows).gather(-1, columns) for x in (scores, edges))
    return scores, edges, present.gather(-1, order)
