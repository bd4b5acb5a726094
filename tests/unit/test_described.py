"""What every public class says of itself: the arguments that it holds, without those that are as by default."""

import numpy as np
import pytest
import torch
from torch import nn

from structgrad import layers, losses, noise, polytopes, regularizers
from structgrad.described import Described
from structgrad.layers import *  # noqa: F403
from structgrad.losses import *  # noqa: F403
from structgrad.noise import *  # noqa: F403
from structgrad.polytopes import *  # noqa: F403
from structgrad.pool import SolverPool
from structgrad.regularizers import *  # noqa: F403

# As one may write them down again.
WRITTEN = [
    "Simplex(3)",
    "Hypercube(2, 3)",
    "Subset(3, 1)",
    "CorrelatedSubset(4, 2)",
    "Matching(3)",
    "Matching(2, m=3)",
    "Permutahedron(3)",
    "SpanningTree(4)",
    "Arborescence(3, root=1, single_root=True)",
    "GridPath(2, 3)",
    "GridPath(2, 3, neighbours=4)",
    "Euclidean()",
    "CategoricalEntropy()",
    "BinaryEntropy()",
    "ExponentialEntropy(max_range=30.0)",
    "SinkhornEntropy(rounds=5)",
    "TransportEntropy()",
    "Gumbel(scale=2.0, centred=False)",
    "NegativeExponential()",
    "SumOfGamma(k=3, rounds=10, scale=1.0)",
    "Perturbed(Hypercube(3), noise=Normal(scale=2.0), sigma=0.5, samples=10)",
    "PerturbedMultiplicative(Hypercube(3), sigma=0.5, samples=2)",
    "Relaxed(Simplex(3), CategoricalEntropy(), temperature=0.5, difference=0.1)",
    "FrankWolfe(Hypercube(3), temperature=0.5, iterations=9)",
    "StochasticSoftmax(Relaxed(Simplex(3), CategoricalEntropy()), samples=2)",
    "ImplicitMLE(Hypercube(3), step=0.5)",
    "GumbelSinkhorn(3, temperature=0.5, rounds=7)",
    "NeuralSort(temperature=2.0, top=1)",
    "SoftSub(2)",
    "L2X(2, temperature=0.3)",
    "FenchelYoung(Relaxed(Simplex(3), CategoricalEntropy()), conjugate=False)",
    "DirectLoss(Hypercube(3), two_sided=True)",
    "SquaredError(Relaxed(Simplex(3), CategoricalEntropy()))",
    "Blackbox(Hypercube(3), 10.0, minimise=True)",
    "SPOPlus(Hypercube(3), minimise=True)",
    "ScoreFunction(baseline='batch')",
    "ScoreFunction(decay=0.5)",
]


@pytest.mark.parametrize("text", WRITTEN)
def test_it_can_be_written_down_again(text):
    assert repr(eval(text)) == text


def test_what_is_no_number_is_named():
    cube = Hypercube(3)  # noqa: F405
    learns = Perturbed(cube, sigma=nn.Parameter(torch.tensor(0.5)), samples=2)  # noqa: F405
    assert repr(learns) == "Perturbed(Hypercube(3), sigma=0.5 that learns, samples=2)"
    each = Relaxed(cube, Euclidean(), torch.ones(2, 1))  # noqa: F405
    assert repr(each) == "Relaxed(Hypercube(3), Euclidean(), temperature=tensor of shape (2, 1))"
    box = BlackBox(np.argsort, (5,), batched=True)  # noqa: F405
    assert repr(box) == "BlackBox(argsort, (5,), batched=True)"
    expected = PerturbedExpectation(learns, torch.sum)  # noqa: F405
    assert repr(expected) == f"PerturbedExpectation({learns!r}, sum)"
    assert repr(NVIL(nn.Linear(2, 1))).startswith("NVIL(Linear(")  # noqa: F405
    assert repr(nn.Sequential(SoftSub(2))) == "Sequential(\n  (0): SoftSub(2)\n)"  # noqa: F405
    assert repr(AdaptiveImplicitMLE(cube, samples=3)).startswith("AdaptiveImplicitMLE(Hypercube(3), samples=3")  # noqa: F405
    with SolverPool(np.sign, 1) as pool:
        assert repr(pool) == "SolverPool(sign, processes=1)"


def test_every_public_class_does():
    public = [getattr(room, name) for room in (layers, losses, noise, polytopes, regularizers) for name in room.__all__]
    classes = [each for each in public if isinstance(each, type) and not issubclass(each, tuple)]
    assert len(classes) > 40
    assert [each for each in classes if not issubclass(each, Described)] == [losses.DirectStep]  # a dataclass
