"""What is worked with lies where the scores do: on the CPU while another device is torch's default, and on a GPU.

A GPU has no bits to agree with, so its results are those of the CPU up to rounding, from the same draws.
"""

import pytest
import torch
from scipy.stats import kstest

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


def on(device, polytope):
    """Scores of five items, the same on every device."""
    drawn = -torch.rand((5, *polytope.event_shape), generator=torch.Generator().manual_seed(0), device="cpu")
    return drawn.to(device).requires_grad_()


def draws(theta):
    """A generator where the scores are."""
    return torch.Generator(theta.device).manual_seed(2)


def gradient(function):
    """The case whose result is the derivative, by the scores, of a sum over what the function makes of them."""
    return lambda theta: torch.autograd.grad(function(theta).sum(), theta)[0]


def of_every(make):
    """What every polytope can do: name to a function of the scores."""
    return {
        "argmax": lambda theta: make().argmax(theta),
        "argmax of doubles": lambda theta: make().argmax(theta.detach().double()),
        "projection": gradient(lambda theta: FrankWolfe(make())(theta) * theta.detach()),
        "decomposition": lambda theta: FrankWolfe(make()).decompose(theta).weights,
        "potential of nothing": lambda theta: FrankWolfe(make()).potential(theta[:0]),
    }


def of_a_family(make):
    """What an exponential family can do besides."""
    return {
        "sample": lambda theta: make().sample(theta, 3, draws(theta)),
        "log probability": lambda theta: make().log_prob(theta, make().argmax(theta)),
        "entropy": gradient(lambda theta: make().entropy(theta)),
        "divergence": lambda theta: make().kl(theta, theta.detach().flip(0)),
        "log partition": lambda theta: make()._plain_log_partition(theta.double(), None),
    }


def direct_loss(theta):
    def task_loss(y, rows, items):
        return y.double().flatten(2).mean(-1)

    items, step = theta.unsqueeze(1), torch.full((5,), -1.0, device=theta.device)
    return DirectLoss(Matching(3))(items, items.detach(), step, task_loss).loss


PAIR, MATCHING = Subset(4, 2), Matching(3)
MULTIPLICATIVE = PerturbedMultiplicative(PAIR, samples=3)
PRODUCT = PerturbedExpectation(Perturbed(PAIR, samples=3), lambda y: y[..., 0] * y[..., 1])
BOX = BlackBox(
    lambda scores, bound: (scores > bound).astype(float), (4,), offset=lambda y, bound: bound * y.sum()
).given([-0.1, -0.2, -0.3, -0.4, -0.5])
SOME = torch.tensor([True, True, False, True])
SOFT = StochasticSoftmax(Relaxed(PAIR, BinaryEntropy()), noisy=SOME)
OF_PAIRS = {
    "Perturbed": gradient(lambda theta: Perturbed(PAIR, samples=3)(theta, draws(theta))[:, 0]),
    "PerturbedMultiplicative": gradient(lambda theta: MULTIPLICATIVE(theta, draws(theta))[:, 0]),
    "PerturbedExpectation": gradient(lambda theta: PRODUCT(theta, draws(theta))),
    "FenchelYoung": lambda theta: FenchelYoung(Perturbed(PAIR))(theta, PAIR.argmax(theta), draws(theta)),
    "FenchelYoung, multiplicative": gradient(
        lambda theta: FenchelYoung(MULTIPLICATIVE)(theta, PAIR.argmax(theta), draws(theta))
    ),
    "StochasticSoftmax": lambda theta: StochasticSoftmax(Relaxed(Simplex(4), CategoricalEntropy()))(
        theta, draws(theta)
    ),
    "StochasticSoftmax with noise for some": gradient(lambda theta: SOFT(theta, draws(theta))[:, 0]),
    "Perturbed with noise for some": lambda theta: Perturbed(PAIR, samples=3, noisy=SOME)(theta, draws(theta)),
    "NeuralSort": lambda theta: NeuralSort()(theta),
    "SoftSub": lambda theta: SoftSub(2)(theta, draws(theta)),
    "Blackbox": gradient(lambda theta: Blackbox(PAIR, 1.0)(theta)[:, 0]),
    "ImplicitMLE": gradient(lambda theta: ImplicitMLE(PAIR)(theta, draws(theta))[:, 0]),
    "AdaptiveImplicitMLE": gradient(lambda theta: AdaptiveImplicitMLE(PAIR)(theta, draws(theta))[:, 0]),
    **{
        f"{function.__name__}, {name}": gradient(lambda theta, f=function, name=name: f(theta, 0.5, name)[:, 0])
        for function in (soft_sort, soft_rank)
        for name in ("l2", "kl")
    },
    "soft_top_k": gradient(lambda theta: soft_top_k(theta, 2)[:, 0]),
    "SPOPlus": gradient(lambda theta: SPOPlus(PAIR)(theta, -theta.flip(0))),
    "regret": lambda theta: regret(PAIR, theta, -theta, worst_ties=True),
    "normalised regret": lambda theta: normalised_regret(PAIR, theta, -theta),
    "offset": gradient(lambda theta: Perturbed(BOX, samples=3).potential(theta, draws(theta))),
    "regret with an offset": lambda theta: regret(BOX, theta, -theta, worst_ties=True),
}
OF_MATCHINGS = {"GumbelSinkhorn": lambda theta: GumbelSinkhorn(3)(theta, draws(theta)), "DirectLoss": direct_loss}

CASES = {
    **{f"{name}: {what}": (make, f) for name, make in MAKE.items() for what, f in of_every(make).items()},
    **{
        f"{name}: {what}": (make, f)
        for name, make in MAKE.items()
        if isinstance(make(), ExponentialFamily)
        for what, f in of_a_family(make).items()
    },
    **{
        f"{name}: k best": (make, lambda theta, make=make: k_best(make(), theta, 3)[0])
        for name, make in MAKE.items()
        if name not in ("Permutahedron", "GridPath", "BlackBox")
    },
    **{
        f"{type(make()).__name__} {make().event_shape}, {entropy.__name__}": (
            make,
            gradient(lambda theta, make=make, entropy=entropy: Relaxed(make(), entropy())(theta) * theta.detach()),
        )
        for make, entropy in PAIRS
    },
    **{name: (lambda: PAIR, f) for name, f in OF_PAIRS.items()},
    **{name: (lambda: MATCHING, f) for name, f in OF_MATCHINGS.items()},
}
NOISES = [Gumbel(), Normal(), Logistic(), NegativeExponential(), SumOfGamma(3)]


def elsewhere(function):
    """The function's result while torch makes tensors on a device without memory is its result as ever."""
    here = function()
    with torch.device("meta"):
        there = function()
    assert there.device.type == "cpu"
    assert torch.equal(here, there)


@pytest.mark.parametrize("case", CASES)
def test_another_default_device(case):
    make, function = CASES[case]
    theta = on("cpu", make())
    elsewhere(lambda: function(theta))


@pytest.mark.parametrize("polytope", [name for name in MAKE if name != "BlackBox"])
def test_vertices_on_another_default_device(polytope):
    elsewhere(lambda: MAKE[polytope]().vertices())


@pytest.mark.parametrize("noise", NOISES, ids=str)
def test_draws_on_another_default_device(noise):
    elsewhere(lambda: noise.sample((7, 3), torch.Generator().manual_seed(1)))


@pytest.fixture
def same_draws(monkeypatch):
    """Generators of every device draw what one of the CPU with their first seed does."""
    twins, rand = {}, torch.rand

    def of(generator):
        return twins.setdefault(generator, torch.Generator().manual_seed(generator.initial_seed()))

    def uniforms(*shape, generator, device=None, **options):
        return rand(*shape, generator=of(generator), device="cpu", **options).to(device)

    def normals(shape, generator, dtype, device):
        return Normal().sample(shape, of(generator), dtype).to(device)

    monkeypatch.setattr(torch, "rand", uniforms)
    monkeypatch.setattr(torch, "randn", normals)


@pytest.mark.cuda
@pytest.mark.parametrize("case", CASES)
def test_on_a_gpu_as_on_the_cpu(case, same_draws):
    make, function = CASES[case]
    here, there = (function(on(device, make())) for device in ("cpu", "cuda"))
    assert there.device.type == "cuda"
    torch.testing.assert_close(there.cpu(), here, rtol=1e-4, atol=1e-5)


@pytest.mark.cuda
@pytest.mark.parametrize("noise", NOISES, ids=str)
def test_draws_on_a_gpu(noise):
    """The empirical distribution against that of the CPU: two samples of Kolmogorov and Smirnov."""
    count = 200_000
    here, there = (noise.sample((count,), torch.Generator(device).manual_seed(1)) for device in ("cpu", "cuda"))
    assert there.device.type == "cuda"
    assert kstest(here.numpy(), there.cpu().numpy()).pvalue > 1e-4
