"""The hot operations of the library, each with what a user would otherwise take and the ratio it must reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from oracles import tree_marginals
from peers import matchings, paths, subsets, trees
from torch import Tensor

from structgrad.layers.perturbed import Perturbed
from structgrad.layers.relaxed import Relaxed
from structgrad.noise import Gumbel, Normal
from structgrad.polytopes.arborescence import Arborescence
from structgrad.polytopes.base import Polytope
from structgrad.polytopes.correlated_subset import CorrelatedSubset
from structgrad.polytopes.exponential import ExponentialFamily
from structgrad.polytopes.grid_path import GridPath
from structgrad.polytopes.matching import Matching
from structgrad.polytopes.permutahedron import Permutahedron
from structgrad.polytopes.spanning_tree import SpanningTree
from structgrad.polytopes.subset import Subset
from structgrad.regularizers.euclidean import Euclidean
from structgrad.regularizers.sinkhorn import SinkhornEntropy


class Pair(NamedTuple):
    """The two candidates on the same inputs.

    ``peer`` takes the number of threads that it may use; ``agree`` raises where the two differ by more than rounding
    and says by how much they do; the peer's time counts ``peer_times`` (it may work on a part of the batch).
    """

    ours: Callable[[], Any]
    peer: Callable[[int], Any]
    agree: Callable[[], str]
    peer_times: float = 1.0


@dataclass(frozen=True)
class Case:
    """An operation: its name on the command line, its title, its peer, and the ratios to reach by threads."""

    name: str
    title: str
    peer: str
    batch: int
    build: Callable[[int, str], Pair]
    targets: dict[int, float] = field(default_factory=dict)


def normal(*shape: int, device: str = "cpu", dtype: torch.dtype = torch.float64) -> Tensor:
    """Standard normal scores, always the same for one shape."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(device, dtype)


def same(ours: Tensor, peer: Tensor, tolerance: float = 0.0) -> str:
    """The largest difference, which must not pass ``tolerance``."""
    gap = float((ours.double() - peer.double()).abs().max())
    assert gap <= tolerance, f"ours and the peer differ by {gap:.2g}, more than {tolerance:.2g}"
    return "equal" if gap == 0 else f"max difference {gap:.0e}"


def with_gradient(soften: Callable[[Tensor], Tensor], theta: Tensor, direction: Tensor) -> tuple[Tensor, Tensor]:
    """A soft structure and the product of its Jacobian with ``direction``."""
    scores = theta.detach().requires_grad_()
    y = soften(scores)
    return y.detach(), torch.autograd.grad(y, scores, direction)[0]


def both_same(ours: tuple[Tensor, Tensor], peer: tuple[Tensor, Tensor], tolerance: float) -> str:
    return f"{same(ours[0], peer[0], tolerance)}; VJP: {same(ours[1], peer[1], tolerance)}"


def argmax_case(polytope: Polytope, theta: Tensor, peer: Callable[[int], Tensor]) -> Pair:
    return Pair(lambda: polytope.argmax(theta), peer, lambda: same(polytope.argmax(theta), peer(1)))


def lap(n: int) -> Callable[[int, str], Pair]:
    def build(batch: int, device: str) -> Pair:
        gumbel = Gumbel().sample((batch, n, n), torch.Generator().manual_seed(1), torch.float64)
        theta = normal(batch, n, n, device=device) + gumbel.to(device)
        return argmax_case(Matching(n), theta, lambda threads: matchings.assignment(theta, threads))

    return build


def sinkhorn(batch: int, device: str) -> Pair:
    theta, g = (normal(batch, width, 25, device=device, dtype=torch.float32) for width in (25, 26))
    g = g[:, 1:].contiguous()
    layer = Relaxed(Matching(25), SinkhornEntropy(20))

    def peer(threads: int) -> tuple[Tensor, Tensor]:
        return with_gradient(lambda scores: matchings.log_sinkhorn(scores, 20), theta, g)

    return Pair(
        lambda: with_gradient(layer, theta, g),
        peer,
        lambda: both_same(with_gradient(layer, theta, g), peer(1), 1e-4),
    )


def ranks(n: int) -> Callable[[int, str], Pair]:
    def build(batch: int, device: str) -> Pair:
        theta = normal(batch, n, device=device, dtype=torch.float32)
        polytope = Permutahedron(n)

        def peer(threads: int) -> Tensor:
            return theta.argsort(-1).argsort(-1).to(theta.dtype)

        def agree() -> str:  # where no two scores are equal: the peer breaks ties as it happens
            strict = (theta.sort(-1).values.diff(dim=-1) > 0).all(-1)
            return same(polytope.argmax(theta)[strict], peer(1)[strict])

        return Pair(lambda: polytope.argmax(theta), peer, agree)

    return build


def spanning_tree(batch: int, device: str) -> Pair:
    theta = normal(batch, 45, device=device)
    return argmax_case(SpanningTree(10), theta, lambda threads: trees.spanning_trees(theta, 10))


def arborescence(batch: int, device: str) -> Pair:
    theta, part = normal(batch, 50, 50, device=device), min(batch, 2)
    polytope = Arborescence(50, 0)

    def peer(threads: int) -> Tensor:
        return trees.arborescences(theta[:part], 0)

    return Pair(
        lambda: polytope.argmax(theta), peer, lambda: same(polytope.argmax(theta[:part]), peer(1)), batch / part
    )


def matrix_tree(n: int) -> Callable[[int, str], Pair]:
    def build(batch: int, device: str) -> Pair:
        theta, g = normal(2, batch, n * (n - 1) // 2, device=device)
        polytope = SpanningTree(n)

        def ours(scores: Tensor = theta) -> tuple[Tensor, Tensor]:
            return with_gradient(polytope.marginals, scores, g)

        def peer(threads: int, scores: Tensor = theta) -> tuple[Tensor, Tensor]:
            return with_gradient(lambda s: trees.marginals(s, n, create_graph=True), scores, g)

        def agree() -> str:
            errors = []
            for scale in (1, 5, 20) if n < 20 else (20,):
                truth = tree_marginals(scale * theta[0], n)
                found = ours(scale * theta)[0][0], peer(1, scale * theta)[0][0]
                one, other = (float((marginals - truth).abs().max()) for marginals in found)
                assert one < 1e-11, f"ours is {one:.2g} off at scale {scale}"
                errors.append(f"{scale} N(0,1): {one:.0e}, {other:.0e}")
            text = "error of one graph's marginals against 200 digits, ours and peer, at scores"
            return f"{both_same(ours(), peer(1), 1e-10)}; {text} {'; '.join(errors)}"

        return Pair(ours, peer, agree)

    return build


def marginals(
    family: ExponentialFamily, width: int, log_partition: Callable[[Tensor], Tensor]
) -> Callable[[int, str], Pair]:
    """Marginals and their VJP, the peer's by differentiating its ``log_partition`` twice."""

    def build(batch: int, device: str) -> Pair:
        theta, g = normal(2, batch, width, device=device)

        def ours() -> tuple[Tensor, Tensor]:
            return with_gradient(family.marginals, theta, g)

        def peer(threads: int) -> tuple[Tensor, Tensor]:
            def soften(scores: Tensor) -> Tensor:
                return torch.autograd.grad(log_partition(scores).sum(), scores, create_graph=True)[0]

            return with_gradient(soften, theta, g)

        return Pair(ours, peer, lambda: both_same(ours(), peer(1), 1e-9))

    return build


def grid_path(batch: int, device: str) -> Pair:
    theta = -torch.rand(batch, 12, 12, generator=torch.Generator().manual_seed(0)).to(device)
    polytope = GridPath(12, 12, 8)
    starts, columns = paths.pattern(12, 12)

    def peer(threads: int) -> Tensor:
        return paths.grid_paths(theta, starts, columns)

    return argmax_case(polytope, theta, peer)


def projection(batch: int, device: str) -> Pair:
    theta, g = normal(2, batch, 350, device=device)
    layer = Relaxed(Subset(350, 10), Euclidean())

    def ours() -> tuple[Tensor, Tensor]:
        return with_gradient(layer, theta, g)

    def peer(threads: int) -> tuple[Tensor, Tensor]:
        return with_gradient(lambda scores: subsets.project(scores, 10), theta, g)

    return Pair(ours, peer, lambda: both_same(ours(), peer(1), 1e-12))


CASES = [
    Case("lap-25", "LAP, d = 25, B = 1000", "scipy linear_sum_assignment, loop", 1000, lap(25), {1: 1.3, 2: 2}),
    Case("lap-5", "LAP, d = 5, B = 1000", "scipy linear_sum_assignment, loop", 1000, lap(5), {1: 4}),
    Case("sinkhorn", "Sinkhorn, d = 25, B = 500, 20 rounds, VJP", "torch, log space, float32", 500, sinkhorn, {1: 2.2}),
    Case(
        "spanning-tree",
        "SpanningTree argmax, n = 10, B = 128",
        "scipy minimum_spanning_tree, loop",
        128,
        spanning_tree,
        {1: 25},
    ),
    Case(
        "arborescence", "Arborescence argmax, n = 50, B = 100", "networkx (2 graphs, x50)", 100, arborescence, {1: 1000}
    ),
    Case("marginals-10", "Tree marginals, n = 10, B = 128, VJP", "torch slogdet, autograd twice", 128, matrix_tree(10)),
    Case("marginals-50", "Tree marginals, n = 50, B = 100, VJP", "torch slogdet, autograd twice", 100, matrix_tree(50)),
    Case(
        "subset",
        "Subset(350, 10) marginals, B = 100, VJP",
        "torch DP, log space, float64",
        100,
        marginals(Subset(350, 10), 350, lambda theta: subsets.subset_log_partition(theta, 10)),
        {1: 10},
    ),
    Case(
        "correlated-subset",
        "CorrelatedSubset(350, 10) marginals, B = 100, VJP",
        "torch chain DP, log space, float64",
        100,
        marginals(CorrelatedSubset(350, 10), 699, lambda theta: subsets.chain_log_partition(theta, 350, 10)),
        {1: 3},
    ),
    Case("grid-path", "GridPath 12 x 12, 8 neighbours, B = 70", "scipy dijkstra, loop", 70, grid_path, {1: 5}),
    Case("ranks-11", "Permutahedron ranks, 81920 x 11", "torch argsort twice", 81920, ranks(11), {1: 10}),
    Case("ranks-100", "Permutahedron ranks, 8192 x 100", "torch argsort twice", 8192, ranks(100)),
    Case("euclidean", "Euclidean top-k, n = 350, k = 10, B = 100, VJP", "torch, by sorting", 100, projection),
]


class Sweep(NamedTuple):
    """A layer whose cost per sample must not grow with the number of samples."""

    name: str
    title: str
    polytope: Polytope
    samples: tuple[int, ...] = (1, 10, 100, 1000)
    batch: int = 32

    def call(self, samples: int, device: str) -> Callable[[], Any]:
        """Forward and backward pass of ``Perturbed`` with that many samples per item."""
        theta, g = normal(2, self.batch, *self.polytope.event_shape, device=device, dtype=torch.float32)
        layer = Perturbed(self.polytope, Normal(), 1.0, samples)
        generator = torch.Generator(device).manual_seed(0)
        return lambda: with_gradient(lambda scores: layer(scores, generator), theta, g)


SWEEPS = [
    Sweep("perturbed-ranks", "Perturbed(Permutahedron(11)), B = 32, VJP", Permutahedron(11)),
    Sweep("perturbed-subset", "Perturbed(Subset(50, 5)), B = 32, VJP", Subset(50, 5)),
]
