"""Noise that perturbs scores, one distribution per file. Every draw takes an explicit generator."""

from structgrad.generators import Generators
from structgrad.noise.base import Density, Noise, draw, sample_replicas
from structgrad.noise.exponential import NegativeExponential
from structgrad.noise.gumbel import EULER_GAMMA, Gumbel
from structgrad.noise.logistic import Logistic
from structgrad.noise.normal import Normal
from structgrad.noise.sum_of_gamma import SumOfGamma

__all__ = [
    "EULER_GAMMA",
    "Density",
    "Generators",
    "Gumbel",
    "Logistic",
    "NegativeExponential",
    "Noise",
    "Normal",
    "SumOfGamma",
    "draw",
    "sample_replicas",
]
