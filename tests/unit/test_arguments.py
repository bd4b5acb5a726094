"""Arguments of the public classes: the wrong kind is a TypeError, the wrong range a ValueError, and both name it."""

import numpy as np
import pytest
import torch
from torch import nn

from structgrad.functional import soft_rank, soft_sort, soft_top_k
from structgrad.layers import (
    L2X,
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
from structgrad.losses import (
    NVIL,
    Blackbox,
    DirectLoss,
    FenchelYoung,
    ScoreFunction,
    SPOPlus,
    SquaredError,
    normalised_regret,
    regret,
)
from structgrad.noise import Gumbel, Normal, SumOfGamma
from structgrad.polytopes import (
    Arborescence,
    BlackBox,
    CorrelatedSubset,
    GridPath,
    Hypercube,
    Matching,
    Permutahedron,
    Simplex,
    SpanningTree,
    Subset,
    k_best,
)
from structgrad.pool import SolverPool
from structgrad.regularizers import CategoricalEntropy, ExponentialEntropy, SinkhornEntropy, TransportEntropy

CUBE = Hypercube(3)
SOFT = Relaxed(Simplex(3), CategoricalEntropy())
SCORES = torch.zeros(2, 3)


def direct(**wrong):
    """Direct loss of two replicas of three items, with one argument replaced."""
    given = {
        "mu": torch.zeros(2, 3, 3),
        "cost": torch.ones(3),
        "epsilon": -torch.ones(2),
        "task_loss": lambda y, rows, items: y.double().flatten(2).mean(-1),
        "sigma": torch.ones(2, 3),
        "generators": [torch.Generator(), torch.Generator()],
    }
    return DirectLoss(CUBE, Gumbel())(**(given | wrong))


# A call with one argument, the argument's name, and the least whole number that it takes.
COUNTS = {
    "Simplex n": (Simplex, "n", 1),
    "Hypercube shape": (Hypercube, "shape", 1),
    "Subset n": (lambda n: Subset(n, 0), "n", 1),
    "Subset k": (lambda k: Subset(3, k), "k", 0),
    "CorrelatedSubset n": (lambda n: CorrelatedSubset(n, 0), "n", 1),
    "CorrelatedSubset k": (lambda k: CorrelatedSubset(3, k), "k", 0),
    "Matching n": (Matching, "n", 1),
    "Matching m": (lambda m: Matching(2, m), "m", 1),
    "Permutahedron n": (Permutahedron, "n", 1),
    "SpanningTree n": (SpanningTree, "n", 1),
    "Arborescence n": (Arborescence, "n", 1),
    "Arborescence root": (lambda root: Arborescence(3, root), "root", 0),
    "GridPath h": (lambda h: GridPath(h, 2), "h", 1),
    "GridPath w": (lambda w: GridPath(2, w), "w", 1),
    "BlackBox event_shape": (lambda size: BlackBox(np.sign, (size,)), "event_shape", 1),
    "sample samples": (lambda m: CUBE.sample(SCORES, m, torch.Generator()), "samples", 1),
    "k_best k": (lambda k: k_best(CUBE, SCORES, k), "k", 1),
    "SinkhornEntropy rounds": (SinkhornEntropy, "rounds", 1),
    "TransportEntropy max_rounds": (lambda rounds: TransportEntropy(max_rounds=rounds), "max_rounds", 1),
    "Perturbed samples": (lambda m: Perturbed(CUBE, Normal(), 1.0, m), "samples", 1),
    "PerturbedMultiplicative samples": (lambda m: PerturbedMultiplicative(CUBE, 1.0, m), "samples", 1),
    "FrankWolfe iterations": (lambda rounds: FrankWolfe(CUBE, 1.0, rounds), "iterations", 1),
    "StochasticSoftmax samples": (lambda m: StochasticSoftmax(SOFT, samples=m), "samples", 1),
    "ImplicitMLE samples": (lambda m: ImplicitMLE(CUBE, samples=m), "samples", 1),
    "AdaptiveImplicitMLE samples": (lambda m: AdaptiveImplicitMLE(CUBE, samples=m), "samples", 1),
    "AdaptiveImplicitMLE replicas": (lambda r: AdaptiveImplicitMLE(CUBE, replicas=r), "replicas", 1),
    "SumOfGamma k": (SumOfGamma, "k", 1),
    "SumOfGamma rounds": (lambda rounds: SumOfGamma(2, rounds), "rounds", 1),
    "soft_top_k k": (lambda k: soft_top_k(SCORES, k), "k", 0),
    "GumbelSinkhorn n": (GumbelSinkhorn, "n", 1),
    "GumbelSinkhorn rounds": (lambda rounds: GumbelSinkhorn(3, rounds=rounds), "rounds", 1),
    "GumbelSinkhorn samples": (lambda m: GumbelSinkhorn(3, samples=m), "samples", 1),
    "NeuralSort top": (lambda top: NeuralSort(top=top), "top", 1),
    "NeuralSort samples": (lambda m: NeuralSort(noise=Gumbel(), samples=m), "samples", 1),
    "SoftSub k": (SoftSub, "k", 1),
    "L2X k": (L2X, "k", 1),
    "SolverPool processes": (lambda count: SolverPool(np.sign, count), "processes", 1),
    "DirectLoss samples": (lambda m: DirectLoss(CUBE, Gumbel(), m), "samples", 1),
}

# A call with one positive number.
SCALES = {
    "Perturbed sigma": (lambda s: Perturbed(CUBE, Normal(), s), "sigma"),
    "Perturbed sigma of a call": (lambda s: Perturbed(CUBE)(SCORES, torch.Generator(), sigma=s), "sigma"),
    "PerturbedMultiplicative sigma": (lambda s: PerturbedMultiplicative(CUBE, s), "sigma"),
    "FrankWolfe temperature": (lambda t: FrankWolfe(CUBE, t), "temperature"),
    "Relaxed temperature": (lambda t: Relaxed(Simplex(3), CategoricalEntropy(), t), "temperature"),
    "ImplicitMLE step": (lambda step: ImplicitMLE(CUBE, step=step), "step"),
    "ImplicitMLE temperature": (lambda t: ImplicitMLE(CUBE, temperature=t), "temperature"),
    "AdaptiveImplicitMLE temperature": (lambda t: AdaptiveImplicitMLE(CUBE, temperature=t), "temperature"),
    "soft_sort temperature": (lambda t: soft_sort(SCORES, t), "temperature"),
    "soft_rank temperature": (lambda t: soft_rank(SCORES, t), "temperature"),
    "soft_top_k temperature": (lambda t: soft_top_k(SCORES, 2, t), "temperature"),
    "GumbelSinkhorn temperature": (lambda t: GumbelSinkhorn(3, t), "temperature"),
    "NeuralSort temperature": (NeuralSort, "temperature"),
    "SoftSub temperature": (lambda t: SoftSub(2, t), "temperature"),
    "L2X temperature": (lambda t: L2X(2, t), "temperature"),
    "Blackbox interpolation": (lambda step: Blackbox(CUBE, step), "interpolation"),
}

# Things of the wrong kind, and the argument that the message names.
KINDS = {
    "scores as an array": (lambda: CUBE.argmax(np.zeros(3)), "theta"),  # pyright: ignore[reportArgumentType]
    "scores as a list": (lambda: Matching(2).argmax([[1.0, 0.0], [0.0, 1.0]]), "theta"),  # pyright: ignore[reportArgumentType]
    "a seed in place of a generator": (lambda: Perturbed(CUBE)(SCORES, 0), "generator"),
    "seeds in place of generators": (lambda: Perturbed(CUBE)(SCORES, [0, 1]), "generator"),
    "a seed for a draw": (lambda: CUBE.sample(SCORES, 2, 0), "generator"),  # pyright: ignore[reportArgumentType]
    "a number in place of a choice": (lambda: Arborescence(3, 0, 1), "single_root"),  # pyright: ignore[reportArgumentType]
    "the k best of a layer": (lambda: k_best(Perturbed(CUBE), SCORES, 2), "polytope"),  # pyright: ignore[reportArgumentType]
    "a seed for direct loss": (
        lambda: DirectLoss(CUBE, Gumbel())(SCORES[None], SCORES[None], torch.ones(1), None, SCORES[None, :, 0], 3),  # pyright: ignore[reportArgumentType]
        "generators",
    ),
    "a size in place of a shape": (lambda: BlackBox(np.sign, 5), "event_shape"),  # pyright: ignore[reportArgumentType]
    "no function": (lambda: BlackBox(3, (5,)), "solver"),  # pyright: ignore[reportArgumentType]
    "no function for a pool": (lambda: SolverPool(3), "solver"),  # pyright: ignore[reportArgumentType]
    "a number in place of an offset": (lambda: BlackBox(np.sign, (5,), offset=1.0), "offset"),  # pyright: ignore[reportArgumentType]
    "one context for all": (lambda: BlackBox(np.sign, (5,)).given(3), "contexts"),  # pyright: ignore[reportArgumentType]
    "a layer over a solver": (lambda: Perturbed(CUBE).over(np.sign), "polytope"),  # pyright: ignore[reportArgumentType]
    "SPO+ around a layer": (lambda: SPOPlus(Perturbed(CUBE)), "polytope"),  # pyright: ignore[reportArgumentType]
    "no choice of sides": (lambda: ImplicitMLE(CUBE, two_sided="no"), "two_sided"),  # pyright: ignore[reportArgumentType]
    "no choice of signs": (lambda: SPOPlus(CUBE, "no"), "minimise"),  # pyright: ignore[reportArgumentType]
    "no choice of signs of a regret": (lambda: regret(CUBE, SCORES, SCORES, "no"), "minimise"),  # pyright: ignore[reportArgumentType]
    "no choice of an order": (lambda: soft_sort(SCORES, descending="no"), "descending"),  # pyright: ignore[reportArgumentType]
    "no choice of ranks": (lambda: soft_rank(SCORES, descending="no"), "descending"),  # pyright: ignore[reportArgumentType]
    "no decay": (lambda: AdaptiveImplicitMLE(CUBE, decay=None), "decay"),  # pyright: ignore[reportArgumentType]
    "a start per item": (lambda: AdaptiveImplicitMLE(CUBE, alpha=torch.ones(2)), "alpha"),  # pyright: ignore[reportArgumentType]
    "a solution as a list": (lambda: SPOPlus(CUBE)(SCORES, SCORES, [1.0, 0.0, 0.0]), "solution"),
    "a vertex as a list": (lambda: CUBE.log_prob(SCORES, [1.0, 0.0, 0.0]), "y"),  # pyright: ignore[reportArgumentType]
    "scores of a vertex as a list": (lambda: CUBE.log_prob([0.0] * 3, SCORES), "theta"),  # pyright: ignore[reportArgumentType]
    "scores of draws as a list": (lambda: CUBE.sample([0.0] * 3, 2, torch.Generator()), "theta"),  # pyright: ignore[reportArgumentType]
    "a divergence of lists": (lambda: CUBE.kl([0.0] * 3, SCORES), "theta"),  # pyright: ignore[reportArgumentType]
    "a divergence from a list": (lambda: CUBE.kl(SCORES, [0.0] * 3), "other"),  # pyright: ignore[reportArgumentType]
    "a combination for a list": (lambda: FrankWolfe(CUBE).decompose([0.0] * 3), "theta"),  # pyright: ignore[reportArgumentType]
    "one number as contexts": (lambda: BlackBox(np.sign, (5,)).given(np.array(3.0)), "contexts"),
    "a list for a pool": (lambda: SolverPool(np.sign)([[1.0]]), "scores"),  # pyright: ignore[reportArgumentType]
    "a number as a pool's contexts": (lambda: SolverPool(np.sign)(np.ones((2, 3)), 3), "contexts"),  # pyright: ignore[reportArgumentType]
    "predictions as a list": (lambda: SPOPlus(CUBE)([1.0, 2.0, 3.0], SCORES), "theta_hat"),
    "a truth as a list": (lambda: regret(CUBE, SCORES, [1.0, 2.0, 3.0]), "truth"),  # pyright: ignore[reportArgumentType]
    "regret of a layer": (lambda: regret(Perturbed(CUBE), SCORES, SCORES), "polytope"),  # pyright: ignore[reportArgumentType]
    "a set's regret of a layer": (lambda: normalised_regret(Perturbed(CUBE), SCORES, SCORES), "polytope"),  # pyright: ignore[reportArgumentType]
    "swapped arguments": (lambda: Relaxed(CategoricalEntropy(), Simplex(3)), "polytope"),  # pyright: ignore[reportArgumentType]
    "no regularizer": (lambda: Relaxed(Simplex(3), Simplex(3)), "regularizer"),  # pyright: ignore[reportArgumentType]
    "no noise": (lambda: Perturbed(CUBE, 0.5), "noise"),  # pyright: ignore[reportArgumentType]
    "no noise for implicit MLE": (lambda: ImplicitMLE(CUBE, 0.5), "noise"),  # pyright: ignore[reportArgumentType]
    "implicit MLE around a layer": (lambda: AdaptiveImplicitMLE(Perturbed(CUBE)), "polytope"),  # pyright: ignore[reportArgumentType]
    "a list to sort": (lambda: soft_sort([1.0, 2.0]), "x"),  # pyright: ignore[reportArgumentType]
    "a tolerance that is no number": (lambda: FrankWolfe(CUBE, tolerance=None), "tolerance"),  # pyright: ignore[reportArgumentType]
    "noise in place of a magnitude": (lambda: PerturbedMultiplicative(CUBE, Normal()), "sigma"),  # pyright: ignore[reportArgumentType]
    "the mean of a function over a relaxation": (lambda: PerturbedExpectation(SOFT, torch.sum), "layer"),  # pyright: ignore[reportArgumentType]
    "no function of solutions": (lambda: PerturbedExpectation(Perturbed(CUBE), 3), "function"),  # pyright: ignore[reportArgumentType]
    "a polytope in place of a relaxation": (lambda: StochasticSoftmax(Simplex(3)), "relaxed"),  # pyright: ignore[reportArgumentType]
    "a Fenchel-Young loss around a polytope": (lambda: FenchelYoung(CUBE), "layer"),  # pyright: ignore[reportArgumentType]
    "a squared error around a polytope": (lambda: SquaredError(CUBE), "layer"),  # pyright: ignore[reportArgumentType]
    "direct loss around a layer": (lambda: DirectLoss(Perturbed(CUBE)), "polytope"),  # pyright: ignore[reportArgumentType]
    "blackbox around a layer": (lambda: Blackbox(Perturbed(CUBE), 1.0), "polytope"),  # pyright: ignore[reportArgumentType]
    "a blackbox of nothing": (lambda: Blackbox(CUBE, 1.0, True)(None), "theta"),
    "ranks of nothing": (lambda: Permutahedron(3).argmax(None), "theta"),  # pyright: ignore[reportArgumentType]
    "a mask as a list": (lambda: Subset(3, 1).argmax(SCORES, [True]), "mask"),  # pyright: ignore[reportArgumentType]
    "a mask where none is taken": (lambda: Matching(2).argmax(torch.eye(2), [True]), "mask"),  # pyright: ignore[reportArgumentType]
    "noisy as a list": (lambda: Perturbed(CUBE, noisy=[True] * 3), "noisy"),  # pyright: ignore[reportArgumentType]
    "a target as an array": (lambda: FenchelYoung(SOFT)(SCORES, np.zeros((2, 3))), "y"),
    "no target": (lambda: SquaredError(SOFT)(SCORES, None), "y"),
    "a soft point as an array": (lambda: SinkhornEntropy().value(Matching(2), np.eye(2)), "y"),  # pyright: ignore[reportArgumentType]
    "a vertex as an array": (lambda: ExponentialEntropy().value(CUBE, np.zeros(3)), "y"),  # pyright: ignore[reportArgumentType]
    "a number as cost": (lambda: direct(cost=1.0), "cost"),
    "a number as epsilon": (lambda: direct(epsilon=-1.0), "epsilon"),
    "a number as sigma": (lambda: direct(sigma=1.0), "sigma"),
    "no task loss": (lambda: direct(task_loss=None), "task_loss"),
    "a task loss of numbers": (lambda: direct(task_loss=lambda y, rows, items: 1.0), "task_loss"),
    "a noise's scale": (lambda: Normal("1"), "scale"),  # pyright: ignore[reportArgumentType]
    "growth": (lambda: DirectLoss(CUBE, growth=None), "growth"),  # pyright: ignore[reportArgumentType]
    "cap": (lambda: DirectLoss(CUBE, cap="1"), "cap"),  # pyright: ignore[reportArgumentType]
    "a range": (lambda: ExponentialEntropy("1"), "max_range"),  # pyright: ignore[reportArgumentType]
    "no choice of a mean": (lambda: Gumbel(1.0, "no"), "centred"),  # pyright: ignore[reportArgumentType]
    "no choice of a conjugate": (lambda: FenchelYoung(SOFT, "no"), "conjugate"),  # pyright: ignore[reportArgumentType]
    "no choice of draws": (lambda: SquaredError(SOFT, "no"), "independent"),  # pyright: ignore[reportArgumentType]
    "costs or scores": (lambda: Blackbox(CUBE, 1.0, "no"), "minimise"),  # pyright: ignore[reportArgumentType]
    "a temperature for a polytope": (lambda: Blackbox(10.0, CUBE), "polytope"),  # pyright: ignore[reportArgumentType]
    "one side or two": (lambda: DirectLoss(CUBE, two_sided="no"), "two_sided"),  # pyright: ignore[reportArgumentType]
    "samples for noise": (lambda: DirectLoss(CUBE, 5), "noise"),  # pyright: ignore[reportArgumentType]
    "straight through or not": (lambda: StochasticSoftmax(SOFT, straight_through="no"), "straight_through"),  # pyright: ignore[reportArgumentType]
    "a solver for batches or not": (lambda: BlackBox(np.sign, (5,), "yes"), "batched"),  # pyright: ignore[reportArgumentType]
    "a shape for a solver": (lambda: BlackBox((5,), np.sign), "solver"),  # pyright: ignore[reportArgumentType]
    "vertices as an array": (lambda: BlackBox(np.sign, (5,), vertices=np.zeros((1, 5))), "vertices"),  # pyright: ignore[reportArgumentType]
    "a shape for a size": (lambda: Matching((2, 3)), "n"),  # pyright: ignore[reportArgumentType]
    "a class for a polytope": (lambda: Perturbed(Hypercube), "polytope"),  # pyright: ignore[reportArgumentType]
    "a class for a regulariser": (lambda: Relaxed(CUBE, CategoricalEntropy), "regularizer"),  # pyright: ignore[reportArgumentType]
    "noise first": (lambda: Perturbed(Gumbel(), CUBE), "polytope"),  # pyright: ignore[reportArgumentType]
    "a loss around a loss": (lambda: FenchelYoung(FenchelYoung(SOFT)), "layer"),  # pyright: ignore[reportArgumentType]
    "scores for k": (lambda: k_best(CUBE, 2, torch.zeros(20, 3)), "k"),  # pyright: ignore[reportArgumentType]
    "a network that is none": (lambda: NVIL(3), "network"),  # pyright: ignore[reportArgumentType]
    "a moving average's decay": (lambda: ScoreFunction(decay="slow"), "decay"),  # pyright: ignore[reportArgumentType]
    **{
        f"an array for {name}": (lambda call=call: call(np.zeros((2, 3))), argument)  # pyright: ignore[reportArgumentType]
        for name, call, argument in (
            ("a relaxation", SOFT, "theta"),
            ("a perturbed layer", lambda a: Perturbed(CUBE)(a, torch.Generator()), "theta"),
            ("implicit MLE", lambda a: ImplicitMLE(CUBE)(a, torch.Generator()), "theta"),
            ("Frank-Wolfe", FrankWolfe(CUBE), "theta"),
            ("NeuralSort", NeuralSort(), "scores"),
            ("SoftSub", lambda a: SoftSub(2)(a, torch.Generator()), "theta"),
            ("L2X", lambda a: L2X(2)(a, torch.Generator()), "theta"),
            ("a Fenchel-Young loss", lambda a: FenchelYoung(SOFT)(a, SCORES), "theta"),
            ("a squared error", lambda a: SquaredError(SOFT)(a, SCORES), "theta"),
            ("REINFORCE", lambda a: ScoreFunction()(a, SCORES), "loss"),
            ("a log-probability", lambda a: ScoreFunction()(SCORES, a), "log_prob"),
            ("NVIL", lambda a: NVIL(nn.Linear(3, 1))(SCORES, SCORES, a), "features"),
            ("marginals", CUBE.marginals, "theta"),
            ("a truth", lambda a: SPOPlus(CUBE)(SCORES, a), "truth"),
        )
    },
    "a difference": (lambda: Relaxed(CUBE, CategoricalEntropy(), 1.0, True), "difference"),
}


@pytest.mark.parametrize("call", COUNTS)
def test_whole_numbers(call):
    make, name, least = COUNTS[call]
    for wrong in (1.5, 2.0, "2", None, True):
        if wrong is None and name in ("samples", "top", "replicas", "processes", "m"):
            continue  # None is a choice there
        with pytest.raises(TypeError, match=rf"^{name} must be a whole number, not {wrong!r}$"):
            make(wrong)
    for wrong in (least - 1, -7):
        with pytest.raises(ValueError, match=rf"^{name} must be at least {least}, not {wrong}$"):
            make(wrong)
    make(np.int64(max(least, 1)))


@pytest.mark.parametrize("call", SCALES)
def test_scales(call):
    make, name = SCALES[call]
    for wrong in ("1", True, [1.0], torch.ones(1, dtype=torch.int64)):
        with pytest.raises(TypeError, match=rf"^{name} (of shape \(1,\) )?must be "):
            make(wrong)
    for wrong in (0, -1.0, float("nan"), float("inf"), torch.tensor(-1.0), torch.tensor([1.0, float("nan")])):
        with pytest.raises(ValueError, match=rf"^{name} "):
            make(wrong)
    make(np.float64(0.5))


@pytest.mark.parametrize("call", KINDS)
def test_things_of_the_wrong_kind(call):
    make, name = KINDS[call]
    with pytest.raises(TypeError, match=rf"^{name} must be ") as told:
        make()
    assert "\n" not in str(told.value)


ITEMS = {
    "Relaxed": lambda t: Relaxed(Simplex(3), CategoricalEntropy(), t)(SCORES),
    "potential": lambda t: Relaxed(Simplex(3), CategoricalEntropy(), t).potential(SCORES),
    "SoftSub": lambda t: SoftSub(2, t)(SCORES, torch.Generator()),
    "NeuralSort": lambda t: NeuralSort(t)(SCORES),
    "FrankWolfe": lambda t: FrankWolfe(CUBE, t)(SCORES),
    "Perturbed": lambda s: Perturbed(CUBE, sigma=s)(SCORES, torch.Generator()),
    "ImplicitMLE step": lambda step: ImplicitMLE(CUBE, step=step)(SCORES, torch.Generator()),
    "ImplicitMLE": lambda t: ImplicitMLE(CUBE, temperature=t)(SCORES, torch.Generator()),
    "soft_sort": lambda t: soft_sort(SCORES, t),
    "soft_rank": lambda t: soft_rank(SCORES, t, "kl"),
    "soft_top_k": lambda t: soft_top_k(SCORES, 1, t),
    "PerturbedMultiplicative": lambda s: PerturbedMultiplicative(CUBE, s)(SCORES, torch.Generator()),
    "PerturbedExpectation": lambda s: PerturbedExpectation(Perturbed(CUBE, sigma=s), lambda y: y)(
        SCORES, torch.Generator()
    ),
    "Blackbox": lambda step: Blackbox(CUBE, step)(SCORES.clone().requires_grad_()),
}


@pytest.mark.parametrize("layer", ITEMS)
def test_a_scale_per_item(layer):
    """One number for all, or one per item; what would make more items of the scores is refused, and types stay."""
    for fits in (torch.tensor(0.5), torch.full((1,), 0.5), torch.full((2,), 0.5), torch.full((2,), 0.5).double()):
        assert ITEMS[layer](fits).dtype == torch.float32
        assert ITEMS[layer](fits).shape[:1] == (2,)
    for wrong in (torch.ones(4), torch.ones(3), torch.ones(5, 2), torch.ones(2, 1)):
        with pytest.raises(ValueError, match=r"of shape .* does not fit theta of shape \(2, 3\)"):
            ITEMS[layer](wrong)


def test_a_scale_that_learns_is_found_by_optimisers_or_refused():
    learns = nn.Parameter(torch.tensor(1.0))
    for layer in (Perturbed(CUBE, sigma=learns), Relaxed(Simplex(3), CategoricalEntropy(), learns), SoftSub(2, learns)):
        assert list(layer.parameters()) == [learns]
        assert len(layer.state_dict()) == 1
    stands = Perturbed(CUBE, sigma=torch.ones(2))
    assert not list(stands.parameters())
    assert list(stands.state_dict()) == ["sigma"]
    sigma = stands.double().sigma
    assert isinstance(sigma, torch.Tensor)
    assert sigma.dtype == torch.float64
    with pytest.raises(ValueError, match=r"sigma requires a gradient but is no parameter: wrap it in"):
        Perturbed(CUBE, sigma=torch.tensor(1.0, requires_grad=True))
    computed = Perturbed(CUBE, sigma=2 * learns)  # by another module, which holds the parameter
    computed.potential(torch.ones(3), torch.Generator()).backward()
    assert learns.grad is not None


@pytest.mark.parametrize("shape", [(0, 4, 3), (2, 0, 3)])
def test_direct_loss_needs_an_item(shape):
    mu = torch.zeros(shape)
    with pytest.raises(ValueError, match="holds no scores: it needs a replica and an item"):
        DirectLoss(CUBE)(mu, mu, torch.ones(shape[0]), lambda y, rows, items: y)


OTHER = [torch.zeros(2, 3).to(torch.float8_e5m2), torch.zeros(2, 3).to_sparse(), torch.zeros(2, 3, device="meta")]
CALLS = {
    "maximiser": CUBE.argmax,
    "ranks": Permutahedron(3).argmax,
    "relaxed": SOFT,
    "blackbox": Blackbox(CUBE, 1.0, minimise=True),
    "perturbed": lambda theta: Perturbed(CUBE)(theta, torch.Generator()),
}


@pytest.mark.parametrize("theta", OTHER, ids=["float8", "sparse", "meta"])
@pytest.mark.parametrize("call", CALLS)
def test_tensors_that_no_solver_reads(call, theta):
    with pytest.raises(
        ValueError, match=r"theta of shape \(2, 3\) must hold dense 16-bit floats or wider, not torch.float"
    ):
        CALLS[call](theta)


@pytest.mark.parametrize("wrong", [torch.ones(2, device="meta"), torch.ones(2).to_sparse()], ids=["meta", "sparse"])
def test_scales_that_nobody_reads(wrong):
    with pytest.raises(ValueError, match=r"^sigma of shape \(2,\) must hold dense numbers, not torch\.s"):
        Perturbed(CUBE, sigma=wrong)


NUMBERS = {
    "y": (lambda y: CUBE.log_prob(SCORES, y), [1j, float("nan"), float("inf")]),
    "truth": (lambda y: SPOPlus(CUBE)(SCORES, y), [1j]),
    "solution": (lambda y: SPOPlus(CUBE)(SCORES, SCORES, y), [1j, float("nan")]),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_are_real(name):
    call, wrong = NUMBERS[name]
    for value in wrong:
        with pytest.raises(
            ValueError, match=rf"^{name} of shape \(2, 3\) must hold (finite|dense) real numbers, not torch"
        ):
            call(torch.full((2, 3), value))


@pytest.mark.parametrize("call", [CUBE.log_prob, CUBE.kl])
def test_whole_numbers_are_no_scores(call):
    with pytest.raises(ValueError, match=r"^theta of shape \(2, 3\) must be floating point, not torch.int64"):
        call(torch.ones(2, 3, dtype=torch.int64), SCORES)


def test_a_mask_of_another_device():
    with pytest.raises(ValueError, match=r"mask of shape \(3,\) lies on meta, the scores on cpu"):
        Subset(3, 1).argmax(SCORES, torch.ones(3, dtype=torch.bool, device="meta"))


@pytest.mark.parametrize("loss", [FenchelYoung, SquaredError])
@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), 1j])
def test_targets_are_finite_real_numbers(loss, wrong):
    with pytest.raises(ValueError, match=r"y of shape \(2, 3\) must hold finite real numbers"):
        loss(SOFT)(SCORES, torch.full((2, 3), wrong))
    for dtype in (torch.bool, torch.int64, torch.float64):
        assert loss(SOFT)(SCORES, torch.eye(3)[:2].to(dtype)).shape == (2,)


def test_a_squared_error_of_several_samples_an_item_is_refused():
    """As many samples as items would broadcast to nonsense without a word."""
    layer = StochasticSoftmax(SOFT, samples=2)
    with pytest.raises(ValueError, match=r"layer makes structures \(2, 2, 3\) of scores \(2, 3\)"):
        SquaredError(layer)(SCORES, SCORES, torch.Generator())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"mu": torch.zeros(3, 3)}, r"mu must be \(replicas, items, \*\(3,\)\), not \(3, 3\)"),
        ({"mu": torch.zeros(2, 3, 4)}, r"mu must end in \(3,\), not \(1, 1, 4\)"),
        ({"mu": torch.zeros(2, 3, 3, device="meta")}, r"mu of shape \(1, 1, 3\) must hold dense"),
        ({"cost": torch.zeros(9)}, r"cost of shape \(9,\) does not fit mu of shape \(2, 3, 3\)"),
        ({"cost": torch.zeros(1, 2, 3, 3)}, r"cost of shape \(1, 2, 3, 3\) does not fit mu"),
        ({"cost": torch.zeros(3, dtype=torch.complex64)}, r"cost of shape \(3,\) must hold real numbers"),
        ({"sigma": torch.ones(1, 3)}, r"sigma of shape \(1, 3\) must hold one per item, \(2, 3\)"),
        ({"sigma": torch.ones(2, 3, 1)}, r"sigma of shape \(2, 3, 1\) must hold one per item"),
        ({"task_loss": lambda y, rows, items: y.sum()}, r"task_loss must return losses \(2, 3\), not \(\)"),
    ],
)
def test_direct_loss_names_what_does_not_fit(wrong, message):
    with pytest.raises(ValueError, match=message):
        direct(**wrong)


def test_a_cap_is_positive():
    with pytest.raises(ValueError, match="cap must be positive, not 0"):
        DirectLoss(CUBE, cap=0)
