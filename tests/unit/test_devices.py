"""Scores on the CPU while another device is torch's default: what is worked with lies where the scores do."""

import pytest
import torch

from structgrad.functional import soft_rank, soft_sort, soft_top_k
from structgrad.layers import (
    AdaptiveImplicitMLE,
    FrankWolfe,
    GumbelSinkhorn,
    ImplicitMLE,
    NeuralSort,
    Perturbed,
    PerturbedExpectation,
    PerturbedMultiplicative,
    Relaxed,
    SoftSub,
    StochasticSoftmax,
)
from structgrad.losses import Blackbox, DirectLoss, FenchelYoung, SPOPlus, normalised_regret, regret
from structgrad.noise import Gumbel, Logistic, NegativeExponential, Normal, SumOfGamma
from structgrad.polytopes import (
    Arborescence,
    BlackBox,
    CorrelatedSubset,
    ExponentialFamily,
    GridPath,
    Hypercube,
    Matching,
    Permutahedron,
    Simplex,
    SpanningTree,
    Subset,
    k_best,
)
from structgrad.regularizers import (
    BinaryEntropy,
    CategoricalEntropy,
    Euclidean,
    ExponentialEntropy,
    SinkhornEntropy,
    TransportEntropy,
)

MAKE = {
    "Simplex": lambda: Simplex(4),
    "Hypercube": lambda: Hypercube(4),
    "Subset": lambda: Subset(4, 2),
    "CorrelatedSubset": lambda: CorrelatedSubset(4, 2),
    "Matching": lambda: Matching(3),
    "Matching of more rows": lambda: Matching(4, 2),
    "Permutahedron": lambda: Permutahedron(4),
    "SpanningTree": lambda: SpanningTree(4),
    "Arborescence": lambda: Arborescence(3),
    "Arborescence, single root": lambda: Arborescence(4, 1, single_root=True),
    "GridPath": lambda: GridPath(3, 3),
    "BlackBox": lambda: BlackBox(lambda scores: (scores > 0).astype(float), (4,)),
}
PAIRS = [
    (lambda: Simplex(4), CategoricalEntropy),
    (lambda: Subset(4, 2), BinaryEntropy),
    (lambda: Subset(4, 2), Euclidean),
    (lambda: Permutahedron(4), Euclidean),
    (lambda: SpanningTree(4), ExponentialEntropy),
    (lambda: Arborescence(3), ExponentialEntropy),
    (lambda: CorrelatedSubset(4, 2), ExponentialEntropy),
    (lambda: Matching(3), SinkhornEntropy),
    (lambda: Matching(2, 3), TransportEntropy),
]


def scores(polytope):
    draw = torch.Generator().manual_seed(0)
    return -torch.rand((5, *polytope.event_shape), generator=draw, device="cpu").requires_grad_()


def elsewhere(function):
    """The result while torch makes tensors on a device without memory, which is the result as ever."""
    here = function()
    with torch.device("meta"):
        there = function()
    assert there.device.type == "cpu"
    assert torch.equal(here, there)
    return here


@pytest.mark.parametrize("polytope", MAKE)
def test_maximisers_and_vertices(polytope):
    make = MAKE[polytope]
    theta = scores(make())
    elsewhere(lambda: make().argmax(theta))
    elsewhere(lambda: make().argmax(theta.detach().double()))
    if polytope != "BlackBox":
        elsewhere(lambda: make().vertices())


@pytest.mark.parametrize("polytope", [name for name, make in MAKE.items() if isinstance(make(), ExponentialFamily)])
def test_draws_and_what_is_known_of_them(polytope):
    make = MAKE[polytope]
    theta = scores(make())
    y = elsewhere(lambda: make().sample(theta, 3, torch.Generator().manual_seed(0)))
    elsewhere(lambda: make().log_prob(theta, y))
    elsewhere(lambda: torch.autograd.grad(make().entropy(theta).sum(), theta)[0])
    elsewhere(lambda: make().kl(theta, theta.detach().flip(0)))
    elsewhere(lambda: make()._plain_log_partition(theta.double(), None))


@pytest.mark.parametrize("polytope", [name for name in MAKE if name not in ("Permutahedron", "GridPath", "BlackBox")])
def test_the_best_structures(polytope):
    make = MAKE[polytope]
    elsewhere(lambda: k_best(make(), scores(make()), 3)[0])


@pytest.mark.parametrize(("make", "regularizer"), PAIRS)
def test_relaxations_and_their_gradients(make, regularizer):
    theta = scores(make())

    def gradient():
        soft = Relaxed(make(), regularizer())(theta)
        return torch.autograd.grad(soft, theta, theta.detach())[0]

    elsewhere(gradient)


@pytest.mark.parametrize("polytope", MAKE)
def test_projections_by_the_maximiser_and_their_gradients(polytope):
    theta = scores(MAKE[polytope]())

    def gradient():
        return torch.autograd.grad(FrankWolfe(MAKE[polytope]())(theta), theta, theta.detach())[0]

    elsewhere(gradient)
    elsewhere(lambda: FrankWolfe(MAKE[polytope]()).decompose(theta).weights)
    elsewhere(lambda: FrankWolfe(MAKE[polytope]()).potential(theta[:0]))


@pytest.mark.parametrize("noise", [Gumbel(), Normal(), Logistic(), NegativeExponential(), SumOfGamma(3)], ids=str)
def test_draws(noise):
    elsewhere(lambda: noise.sample((7, 3), torch.Generator().manual_seed(1)))


def test_layers_and_losses():
    theta, square = scores(Subset(4, 2)), scores(Matching(3))

    def draws():
        return torch.Generator().manual_seed(2)

    target = Subset(4, 2).argmax(theta)
    elsewhere(lambda: torch.autograd.grad(Perturbed(Subset(4, 2), samples=3)(theta, draws())[:, 0].sum(), theta)[0])
    layer = PerturbedMultiplicative(Subset(4, 2), samples=3)
    elsewhere(lambda: torch.autograd.grad(layer(theta, draws())[:, 0].sum(), theta)[0])
    elsewhere(lambda: torch.autograd.grad(FenchelYoung(layer)(theta, target, draws()).sum(), theta)[0])
    mean = PerturbedExpectation(Perturbed(Subset(4, 2), samples=3), lambda y: y[..., 0] * y[..., 1])
    elsewhere(lambda: torch.autograd.grad(mean(theta, draws()).sum(), theta)[0])
    elsewhere(lambda: FenchelYoung(Perturbed(Subset(4, 2)))(theta, target, draws()))
    elsewhere(lambda: StochasticSoftmax(Relaxed(Simplex(4), CategoricalEntropy()))(theta, draws()))
    elsewhere(lambda: GumbelSinkhorn(3)(square, draws()))
    elsewhere(lambda: NeuralSort()(theta))
    elsewhere(lambda: SoftSub(2)(theta, draws()))
    elsewhere(lambda: torch.autograd.grad(Blackbox(Subset(4, 2), 1.0)(theta)[:, 0].sum(), theta)[0])
    for implicit in (ImplicitMLE, AdaptiveImplicitMLE):
        elsewhere(lambda make=implicit: torch.autograd.grad(make(Subset(4, 2))(theta, draws())[:, 0].sum(), theta)[0])
    for function in (soft_sort, soft_rank):
        for name in ("l2", "kl"):
            elsewhere(lambda f=function, name=name: torch.autograd.grad(f(theta, 0.5, name)[:, 0].sum(), theta)[0])
    elsewhere(lambda: torch.autograd.grad(soft_top_k(theta, 2)[:, 0].sum(), theta)[0])
    elsewhere(lambda: torch.autograd.grad(SPOPlus(Subset(4, 2))(theta, -theta.flip(0)).sum(), theta)[0])
    elsewhere(lambda: regret(Subset(4, 2), theta, -theta, worst_ties=True))
    elsewhere(lambda: normalised_regret(Subset(4, 2), theta, -theta))
    box = BlackBox(lambda scores, bound: (scores > bound).astype(float), (4,), offset=lambda y, bound: bound * y.sum())
    box = box.given([-0.1, -0.2, -0.3, -0.4, -0.5])
    elsewhere(lambda: torch.autograd.grad(Perturbed(box, samples=3).potential(theta, draws()).sum(), theta)[0])
    elsewhere(lambda: regret(box, theta, -theta, worst_ties=True))
    step = torch.full((5,), -1.0)

    def task_loss(y, rows, items):
        return y.double().flatten(2).mean(-1)

    items = square.unsqueeze(1)
    elsewhere(lambda: DirectLoss(Matching(3))(items, items.detach(), step, task_loss).loss)
