"""How an argmax is softened: one convex function per file, each with its maximiser on the polytopes it is for."""

from structgrad.regularizers.base import Regularizer
from structgrad.regularizers.binary import BinaryEntropy
from structgrad.regularizers.categorical import CategoricalEntropy
from structgrad.regularizers.euclidean import Euclidean
from structgrad.regularizers.exponential import ExponentialEntropy
from structgrad.regularizers.sinkhorn import SinkhornEntropy
from structgrad.regularizers.transport import TransportEntropy

__all__ = [
    "BinaryEntropy",
    "CategoricalEntropy",
    "Euclidean",
    "ExponentialEntropy",
    "Regularizer",
    "SinkhornEntropy",
    "TransportEntropy",
]
