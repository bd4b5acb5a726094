"""Draws from exponential families and lists of the k best structures, each with what a user would otherwise take."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import torch
from cases import Case, Pair, normal, same
from peers import trees
from torch import Tensor

from structgrad.polytopes.exponential import ExponentialFamily
from structgrad.polytopes.hypercube import Hypercube
from structgrad.polytopes.k_best import k_best
from structgrad.polytopes.simplex import Simplex
from structgrad.polytopes.spanning_tree import SpanningTree

SAMPLES = 100


def fair(family: ExponentialFamily, theta: Tensor, y: Tensor) -> str:
    """How far the means of draws ``(B, samples, *event)`` lie from the marginals, in standard errors."""
    mu = family.marginals(theta)
    z = (y.double().mean(1) - mu) / ((mu * (1 - mu)).clamp_min(1e-3).sqrt() / sqrt(y.shape[1]))
    worst = float(z.abs().max())
    assert worst < 8, f"draws are {worst:.1f} standard errors from the marginals"
    return f"{worst:.1f}"


def draws(family: ExponentialFamily, theta: Tensor, peer: Callable[[int], Tensor], part: int) -> Pair:
    """Ours for the whole batch; the peer may make ``part`` of its draws."""

    def ours() -> Tensor:
        return family.sample(theta, SAMPLES, torch.Generator().manual_seed(0))

    def agree() -> str:
        both = fair(family, theta, ours()), fair(family, theta[:1], peer(1)[:1])
        return f"means of draws off the marginals by at most {both[0]} and {both[1]} standard errors"

    return Pair(ours, peer, agree, len(theta) * SAMPLES / part)


def one_hot(batch: int, device: str) -> Pair:
    theta = normal(batch, 50, device=device)

    def peer(threads: int) -> Tensor:
        return torch.distributions.OneHotCategorical(logits=theta).sample((SAMPLES,)).transpose(0, 1)

    return draws(Simplex(50), theta, peer, batch * SAMPLES)


def coins(batch: int, device: str) -> Pair:
    theta = normal(batch, 50, device=device)

    def peer(threads: int) -> Tensor:
        return torch.distributions.Bernoulli(logits=theta).sample((SAMPLES,)).transpose(0, 1)

    return draws(Hypercube(50), theta, peer, batch * SAMPLES)


def spanning_trees(batch: int, device: str) -> Pair:
    theta, few = normal(batch, 45, device=device), 3
    return draws(SpanningTree(10), theta, lambda threads: trees.random_trees(theta[0], 10, few).unsqueeze(0), few)


def best_trees(batch: int, device: str) -> Pair:
    theta, polytope = normal(batch, 45, device=device), SpanningTree(10)

    def peer(threads: int) -> Tensor:
        return trees.best_trees(theta[:1], 10, SAMPLES)

    return Pair(
        lambda: k_best(polytope, theta, SAMPLES)[1],
        peer,
        lambda: same(k_best(polytope, theta[:1], SAMPLES)[1], peer(1), 1e-12),
        batch,
    )


DRAWS = [
    Case("draws-simplex", "Simplex(50) draws, B = 100 x 100", "torch OneHotCategorical", 100, one_hot),
    Case("draws-hypercube", "Hypercube(50) draws, B = 100 x 100", "torch Bernoulli", 100, coins),
    Case("draws-trees", "SpanningTree(10) draws, B = 100 x 100", "networkx (3 trees, scaled)", 100, spanning_trees),
    Case("k-best-trees", "100 best of SpanningTree(10), B = 3", "networkx (1 graph, x3)", 3, best_trees),
]
