"""Distributions over edges: stochastic softmax tricks on the graph or digraph of an expression's symbols."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from structgrad.experiments.paulus.listops.batches import Batch
from structgrad.layers.relaxed import Relaxed
from structgrad.layers.stochastic_softmax import StochasticSoftmax
from structgrad.noise import Gumbel, Logistic, NegativeExponential, Noise, Normal
from structgrad.polytopes.arborescence import Arborescence
from structgrad.polytopes.base import Polytope
from structgrad.polytopes.hypercube import Hypercube
from structgrad.polytopes.spanning_tree import SpanningTree
from structgrad.regularizers.binary import BinaryEntropy
from structgrad.regularizers.exponential import ExponentialEntropy
from structgrad.training.trial import finite

NOISES: dict[str, Noise] = {
    "gumbel": Gumbel(centred=False),
    "gaussian": Normal(),
    "negative_exponential": NegativeExponential(),
    "logistic": Logistic(),
}


class Sampler:
    """Samples edges at scores ``(B, n, n)``: relaxed at a temperature in training, hard at evaluation.

    ``structure``: ``arborescence`` from the first symbol (which may have many children), ``spanning_tree``, or any
    set of ``directed`` or ``undirected`` edges between different symbols. An undirected edge has one utility, whose
    score is the mean of the pair's two, and stands in both places of a symmetric matrix.
    """

    def __init__(self, structure: str, noise: str, temperature: float) -> None:
        self.structure, self.noise, self.temperature = structure, noise, temperature

    def __call__(self, scores: Tensor, batch: Batch, generator: torch.Generator, soft: bool) -> Tensor:
        """Edges ``(B, n, n)``, zero where there is padding.

        Raises:
            DivergedError: a score is infinite or NaN.
        """
        n = scores.shape[-1]
        layer = _layer(self.structure, self.noise, self.temperature, n).train(soft)
        finite(scores, "a score of an edge")
        if self.structure == "directed":
            return layer(scores, generator, batch.inside & ~torch.eye(n, dtype=torch.bool, device=scores.device))
        if self.structure == "arborescence":
            return layer(scores, generator, Arborescence(n).lengths_mask(batch.lengths))
        graph = SpanningTree(n)
        theta = graph.vector(0.5 * (scores + scores.mT))
        return graph.matrix(layer(theta, generator, graph.lengths_mask(batch.lengths)))


@lru_cache(maxsize=256)
def _layer(structure: str, noise: str, temperature: float, n: int) -> StochasticSoftmax:
    polytope: Polytope
    match structure:
        case "arborescence":
            polytope, regularizer = Arborescence(n), ExponentialEntropy()
        case "spanning_tree":
            polytope, regularizer = SpanningTree(n), ExponentialEntropy()
        case "directed":
            polytope, regularizer = Hypercube(n, n), BinaryEntropy()
        case _:
            polytope, regularizer = Hypercube(n * (n - 1) // 2), BinaryEntropy()
    return StochasticSoftmax(Relaxed(polytope, regularizer, temperature), NOISES[noise])
