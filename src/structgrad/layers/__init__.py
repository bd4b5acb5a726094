"""How a prediction becomes differentiable: one smoothed argmax per file."""

from structgrad.layers.adaptive_implicit_mle import AdaptiveImplicitMLE
from structgrad.layers.base import Layer
from structgrad.layers.expectation import PerturbedExpectation
from structgrad.layers.finite_difference import finite_difference
from structgrad.layers.frank_wolfe import FrankWolfe
from structgrad.layers.gumbel_sinkhorn import GumbelSinkhorn
from structgrad.layers.implicit_mle import ImplicitMLE
from structgrad.layers.l2x import L2X
from structgrad.layers.multiplicative import PerturbedMultiplicative
from structgrad.layers.neural_sort import NeuralSort
from structgrad.layers.perturbed import Perturbed
from structgrad.layers.relaxed import Relaxed
from structgrad.layers.soft_sub import SoftSub
from structgrad.layers.stochastic_softmax import StochasticSoftmax

__all__ = [
    "L2X",
    "AdaptiveImplicitMLE",
    "FrankWolfe",
    "GumbelSinkhorn",
    "ImplicitMLE",
    "Layer",
    "NeuralSort",
    "Perturbed",
    "PerturbedExpectation",
    "PerturbedMultiplicative",
    "Relaxed",
    "SoftSub",
    "StochasticSoftmax",
    "finite_difference",
]
