"""The table of transforms in docs/library.md, cell by cell, against the plain batched call and its derivatives."""

import warnings
from pathlib import Path

import pytest
import torch
from torch import func
from torch.autograd import forward_ad

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
from structgrad.losses import Blackbox, DirectLoss, FenchelYoung, ScoreFunction, SPOPlus, SquaredError
from structgrad.noise import Gumbel
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
)
from structgrad.polytopes._range import Bounded
from structgrad.regularizers import (
    BinaryEntropy,
    CategoricalEntropy,
    Euclidean,
    ExponentialEntropy,
    SinkhornEntropy,
    TransportEntropy,
)

SUBSET = Subset(4, 2)
MASK = torch.tensor([True, True, False, True])
TARGET = torch.tensor([1.0, 0.0, 1.0, 0.0], dtype=torch.float64)
FAMILIES = [Simplex(4), Hypercube(4), SUBSET, CorrelatedSubset(3, 1), SpanningTree(3), Arborescence(3)]
PAIRS = [
    (Simplex(4), Euclidean()),
    (Hypercube(4), Euclidean()),
    (Permutahedron(4), Euclidean()),
    (SUBSET, Euclidean()),
    (SUBSET, CategoricalEntropy()),
    (SUBSET, BinaryEntropy()),
    (Hypercube(4), BinaryEntropy()),
    (SpanningTree(3), ExponentialEntropy(1.0)),
    (CorrelatedSubset(3, 1), ExponentialEntropy()),
    (Matching(2), TransportEntropy()),
    (Matching(1, 3), TransportEntropy()),
]
OTHERS = [Matching(3), Permutahedron(4), GridPath(3, 3), BlackBox(lambda scores: (scores > 0).astype(float), (4,))]
BINARY = Relaxed(SUBSET, BinaryEntropy(), 0.7)


def draws():
    return torch.Generator().manual_seed(3)


def drawn(layer, *before):
    """The layer with the same draws at every call."""
    return lambda theta: layer(theta, *before, draws())


def direct(mu):
    loss = DirectLoss(Matching(3), Gumbel(), samples=2, two_sided=True)
    cost, one = torch.arange(9.0).view(3, 3).double(), torch.ones(2, 2, dtype=torch.float64)
    return loss(mu, cost, -one[0], lambda y, *_: y.double().flatten(2).mean(-1), one, [draws(), draws()]).surrogate


def scored(baseline):
    return lambda theta: ScoreFunction(baseline)(theta.square(), theta.log_softmax(-1))


def perturbed(**options):
    return [Perturbed(SUBSET, samples=3, sigma=0.5, **options), Perturbed(Permutahedron(4), samples=3, **options)]


def counted(y):
    return torch.stack([y[..., 0] * y[..., 1], y.square().sum(-1) + y[..., 2]], -1)


ON_FOUR = torch.arange(8.0, dtype=torch.float64).view(2, 4) / 4
ROWS = {
    "`Relaxed` and its potential": [
        *((polytope, Relaxed(polytope, how, 0.7)) for polytope, how in PAIRS),
        *((polytope, Relaxed(polytope, how, 0.7).potential) for polytope, how in PAIRS),
        (Matching(2), Relaxed(Matching(2), SinkhornEntropy(2))),
        (SUBSET, lambda theta: BINARY(theta, mask=MASK)),
        (SUBSET, lambda theta: Relaxed(SUBSET, BinaryEntropy(), theta[:, 0].exp())(ON_FOUR)),
    ],
    "`Relaxed` with `difference`": [(SUBSET, Relaxed(SUBSET, BinaryEntropy(), 0.7, difference=1e-3))],
    "`FrankWolfe` and its potential": [
        (SUBSET, FrankWolfe(SUBSET, 0.7)),
        (SUBSET, lambda theta: FrankWolfe(SUBSET, 0.7)(theta, mask=MASK)),
        (Matching(2), FrankWolfe(Matching(2), 0.7)),
        (SpanningTree(3), FrankWolfe(SpanningTree(3), 0.7).potential),
    ],
    "`Perturbed`": [
        *((layer.polytope, drawn(layer)) for layer in perturbed()),
        *((SUBSET, drawn(layer)) for layer in (*perturbed(baseline="maximiser")[:1], *perturbed(baseline=None)[:1])),
        (SUBSET, lambda theta: perturbed()[0](theta, draws(), MASK)),
        (SUBSET, lambda theta: perturbed()[0](ON_FOUR, draws(), sigma=theta[:, 0].exp())),
        (SUBSET, lambda theta: perturbed(noisy=MASK)[0](ON_FOUR, draws(), sigma=theta[:, 0].exp())),
    ],
    "`Perturbed`'s potential": [
        *((layer.polytope, drawn(layer.potential)) for layer in perturbed()),
        (SUBSET, lambda theta: perturbed()[0].potential(theta, draws(), MASK, theta[:, 0].exp())),
    ],
    "`PerturbedMultiplicative`, `PerturbedExpectation`": [
        *((SUBSET, drawn(PerturbedMultiplicative(SUBSET, 0.5, 3, how))) for how in ("leave_one_out", "maximiser")),
        *((SUBSET, drawn(PerturbedExpectation(layer, counted))) for layer in perturbed()[:1]),
        (SUBSET, drawn(PerturbedExpectation(PerturbedMultiplicative(SUBSET, 0.5, 3, "maximiser"), counted))),
    ],
    "`PerturbedMultiplicative`'s potential": [(SUBSET, drawn(PerturbedMultiplicative(SUBSET, 0.5, 3).potential))],
    "`StochasticSoftmax`, `GumbelSinkhorn`": [
        (SUBSET, drawn(StochasticSoftmax(BINARY))),
        (SUBSET, drawn(StochasticSoftmax(BINARY, samples=3, straight_through=True))),
        (SUBSET, drawn(StochasticSoftmax(BINARY, samples=3).eval())),
        (Matching(2), drawn(GumbelSinkhorn(2, rounds=2))),
    ],
    "`ImplicitMLE`, `AdaptiveImplicitMLE`": [
        (SUBSET, drawn(ImplicitMLE(SUBSET, step=0.7))),
        (Matching(3), drawn(ImplicitMLE(Matching(3), samples=2, two_sided=True))),
        (SUBSET, drawn(AdaptiveImplicitMLE(SUBSET).eval())),
    ],
    "`NeuralSort`": [(SUBSET, NeuralSort()), (SUBSET, NeuralSort().eval())],
    "`SoftSub`, `L2X`": [(SUBSET, drawn(SoftSub(2))), (SUBSET, drawn(L2X(2))), (SUBSET, drawn(L2X(2).eval()))],
    "`soft_sort`, `soft_rank`, `soft_top_k`": [
        *((SUBSET, lambda x, f=f, how=how: f(x, 0.7, how)) for f in (soft_sort, soft_rank) for how in ("l2", "kl")),
        (SUBSET, lambda x: soft_top_k(x, 2, 0.7)),
    ],
    "`FenchelYoung`, `SquaredError` of `Relaxed`": [
        (SUBSET, lambda theta, loss=loss: loss(theta, TARGET))
        for loss in (FenchelYoung(BINARY), SquaredError(BINARY), FenchelYoung(Relaxed(SUBSET, ExponentialEntropy())))
    ],
    "`FenchelYoung` of `Perturbed`": [(SUBSET, drawn(FenchelYoung(perturbed()[0]), TARGET))],
    "`SquaredError` of `Perturbed`": [(SUBSET, drawn(SquaredError(perturbed()[0], independent=True), TARGET))],
    "`Blackbox`": [
        (SUBSET, Blackbox(SUBSET, 1.3)),
        (SUBSET, lambda theta: Blackbox(SUBSET, torch.tensor([1.3, 0.7]), minimise=True)(theta, MASK)),
        (Matching(3), Blackbox(Matching(3), 1.3)),
    ],
    "`SPOPlus`": [
        (SUBSET, lambda theta: SPOPlus(SUBSET)(theta, TARGET)),
        (Matching(3), lambda theta: SPOPlus(Matching(3))(theta, -theta)),
    ],
    "`DirectLoss`": [(Matching(3), lambda theta: direct(theta.expand(2, 2, 3, 3)))],
    "`ScoreFunction`": [(SUBSET, scored(baseline)) for baseline in ("ema", "batch", "leave_one_out", None)],
    "`marginals`, `log_partition`": [
        (family, f) for family in FAMILIES for f in (family.marginals, family.log_partition)
    ],
    "`entropy`, `kl`, `log_prob`": [
        *((family, family.entropy) for family in FAMILIES),
        (SUBSET, lambda theta: SUBSET.kl(theta, ON_FOUR.expand(theta.shape))),
        (SUBSET, lambda theta: SUBSET.kl(ON_FOUR.expand(theta.shape), theta)),
        (SUBSET, lambda theta: SUBSET.log_prob(theta, TARGET.expand(theta.shape))),
    ],
    "`argmax` (derivatives are zero)": [(polytope, polytope.argmax) for polytope in (*FAMILIES, *OTHERS)],
}
CASES = [
    pytest.param(row, polytope, function, id=f"{row.replace('`', '')} {number} {type(polytope).__name__}")
    for row, cases in ROWS.items()
    for number, (polytope, function) in enumerate(cases)
]
each_case = pytest.mark.parametrize(("row", "polytope", "function"), CASES)
ONCE = "can be differentiated once|has no forward derivative"


def table():
    """The table of the document: what stands in each column of each row."""
    text = (Path(__file__).parents[2] / "docs" / "library.md").read_text("utf-8").split("## Transforms")[1]
    head, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}


TABLE = table()


@pytest.fixture(autouse=True)
def _torch_warns_of_itself():
    """Forward mode compiles its formulas by a part of torch that torch has deprecated."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.script")
        yield


def scores(polytope, *leading):
    draw = torch.randn(*leading, *polytope.event_shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    return -draw.abs() if isinstance(polytope, GridPath) else draw


def weighted(function, theta):
    """A scalar of everything that the function returns, not linear in it: what comes back depends on the scores."""
    weights = torch.randn(function(theta).shape, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    return lambda theta: (function(theta) * weights).sin().sum()


def derivative(value, theta, create_graph=False):
    if not value.requires_grad:
        return torch.zeros_like(theta)
    return torch.autograd.grad(value, theta, create_graph=create_graph, retain_graph=True)[0]


def jacobian(function, theta):
    theta = theta.clone().requires_grad_()
    value = function(theta)
    return torch.stack([derivative(one, theta) for one in value.flatten()]).view(*value.shape, *theta.shape)


def close(found, expected, tolerance=1e-9):
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, rtol=tolerance, atol=tolerance), (found - expected).abs().max()


def refused(call, cell):
    """What a cell that does not say yes promises."""
    if cell == "same noise":
        with pytest.raises(RuntimeError, match=r"randomness='same'.*another leading dimension"):
            call()
    else:
        with pytest.raises((RuntimeError, NotImplementedError), match=f"{ONCE}|cannot be mapped") as caught:
            call()
        assert "\n" not in str(caught.value)


def check(cell, call, expected, tolerance=1e-9):
    """``call(randomness)`` is what is expected where the cell says so, and refused where it says so."""
    if cell == "yes":
        close(call("error"), expected(), tolerance)
    elif cell == "same noise":
        refused(lambda: call("error"), cell)
        refused(lambda: call("different"), cell)
        close(call("same"), expected(), tolerance)
    else:
        refused(lambda: call("same"), cell)


def test_the_document_has_these_rows():
    assert list(TABLE) == list(ROWS)


@each_case
def test_reverse_derivatives(row, polytope, function):
    theta = scores(polytope, 2)
    assert TABLE[row]["grad"] == TABLE[row]["jacrev, vjp"] == "yes"
    value, leaf = weighted(function, theta), theta.clone().requires_grad_()
    close(func.grad(value)(theta), derivative(value(leaf), leaf))
    close(func.jacrev(function)(theta), jacobian(function, theta), 1e-7 if "difference" in row else 1e-9)
    found, pull = func.vjp(function, theta)[:2]
    assert torch.equal(found, function(theta))
    close(pull(torch.ones_like(found))[0], derivative(function(leaf).sum(), leaf))


@each_case
def test_forward_derivatives(row, polytope, function):
    theta, along = scores(polytope, 2), scores(polytope, 2).flip(0)
    tolerance = 1e-7 if "difference" in row else 1e-9

    def dual(_):
        with forward_ad.dual_level():
            value = forward_ad.unpack_dual(function(forward_ad.make_dual(theta, along)))
            return torch.zeros_like(value.primal) if value.tangent is None else value.tangent

    def moved():
        return torch.tensordot(jacobian(function, theta), along, theta.dim())

    check(TABLE[row]["jvp"], dual, moved, tolerance)
    check(TABLE[row]["jvp"], lambda _: func.jvp(function, (theta,), (along,))[1], moved, tolerance)
    check(
        TABLE[row]["jacfwd"],
        lambda randomness: func.jacfwd(function, randomness=randomness)(theta),
        lambda: jacobian(function, theta),
        tolerance,
    )


@each_case
def test_vmap(row, polytope, function):
    theta = torch.stack([scores(polytope, 2), scores(polytope, 2) * 0.5, scores(polytope, 2).flip(0)])
    one_call = "ScoreFunction" in row  # its moving average takes them as one

    def separate(f, values):
        return torch.stack([f(value) for value in values])

    def mapped(randomness):
        return func.vmap(function, randomness=randomness)(theta)

    check(TABLE[row]["vmap"], mapped, lambda: function(theta) if one_call else separate(function, theta))
    if TABLE[row]["vmap"] == "no" or one_call:
        return
    last = theta.movedim(0, -1)
    close(func.vmap(function, in_dims=-1, randomness="same")(last), separate(function, theta))
    value = weighted(function, theta[0])
    each = separate(func.grad(value), theta)
    close(func.vmap(func.grad(value), randomness="same")(theta), each)
    close(func.grad(lambda theta: func.vmap(value, randomness="same")(theta).sum())(theta), each)


@each_case
def test_second_derivatives(row, polytope, function):
    theta = scores(polytope, 2)
    value, cell = weighted(function, theta), TABLE[row]["hessian"]

    def hessian():
        leaf = theta.clone().requires_grad_()
        first = derivative(value(leaf), leaf, create_graph=True)
        return torch.stack([derivative(one, leaf) for one in first.flatten()]).view(theta.shape * 2)

    check(cell, lambda randomness: func.jacfwd(func.jacrev(value), randomness=randomness)(theta), hessian)
    if cell == "once":
        refused(lambda: func.jacrev(func.jacrev(value))(theta), cell)
        refused(hessian, cell)
        return
    close(func.jacrev(func.jacrev(value))(theta), hessian())
    close(func.jacrev(func.jacfwd(value, randomness="same"))(theta), hessian())


def test_a_forward_derivative_of_a_forward_derivative_is_refused():
    with pytest.raises(RuntimeError, match=r"take hessian, or jacfwd\(jacrev\(f\)\)"):
        func.jacfwd(func.jacfwd(lambda theta: BINARY(theta).sum()))(scores(SUBSET))


def test_the_slope_in_sigma_of_noise_that_multiplies():
    layer, theta, sigma = (
        PerturbedMultiplicative(SUBSET, samples=3),
        scores(SUBSET, 2),
        torch.tensor([0.5, 0.7]).double(),
    )

    def of_sigma(sigma):
        return layer.potential(theta, draws(), sigma=sigma)

    expected = jacobian(of_sigma, sigma)
    close(func.jacrev(of_sigma)(sigma), expected)
    close(func.jacfwd(of_sigma, randomness="same")(sigma), expected)
    with pytest.raises(RuntimeError, match="derivative in sigma is not differentiated again"):
        func.jacrev(func.jacrev(of_sigma))(sigma)


def test_third_derivatives_of_the_log_partition():
    family, theta = SpanningTree(3), scores(SpanningTree(3), 1)
    third = func.jacrev(func.jacfwd(func.jacrev(lambda theta: family.log_partition(theta).sum())))(theta)
    p = (theta @ family.vertices().mT).softmax(-1)[0]
    centred = family.vertices() - p @ family.vertices()
    close(third.squeeze(), torch.einsum("v,vi,vj,vk->ijk", p, centred, centred, centred))


def test_masks_and_targets_are_mapped_too():
    theta, masks = scores(SpanningTree(4), 3), torch.ones(3, 6, dtype=torch.bool)
    masks[1, 0] = masks[2, 5] = False
    for function in (SpanningTree(4).argmax, SpanningTree(4).marginals):
        close(func.vmap(function)(theta, masks), function(theta, masks))
    with pytest.raises(ValueError, match="leaves no subset"):
        func.vmap(SUBSET.argmax)(scores(SUBSET, 3), torch.eye(3, 4, dtype=torch.bool))
    close(
        func.vmap(FenchelYoung(BINARY))(scores(SUBSET, 3), TARGET.expand(3, 4)),
        FenchelYoung(BINARY)(scores(SUBSET, 3), TARGET),
    )


def test_items_are_mapped_along_any_dimension():
    theta, mask = scores(SUBSET, 3, 2) * 1e295, torch.tensor([[True, True, False, True], [True, True, True, False]])
    expected = torch.stack([Bounded.apply(one, mask) for one in theta])
    for place in range(3):
        moved = func.vmap(Bounded.apply, in_dims=(place, None))(theta.movedim(0, place), mask)
        assert torch.equal(moved, expected)


def test_scores_that_are_mapped_are_checked():
    theta = scores(SUBSET, 3)
    theta[2, 1] = torch.nan
    for transform in (func.vmap, func.grad, func.jacrev):
        with pytest.raises(ValueError, match="NaN or infinite"):
            transform(lambda theta: BINARY(theta).sum())(theta)


def test_sinkhorn_in_log_space_where_it_is_mapped():
    layer = Relaxed(Matching(3), SinkhornEntropy(4))
    theta = scores(Matching(3), 3)
    theta[1] *= 400
    close(func.vmap(layer)(theta), layer(theta))
    close(func.vmap(func.jacrev(layer))(theta), torch.stack([jacobian(layer, one) for one in theta]))


# Compiling and exporting


class Model(torch.nn.Module):
    """A function between two operations with a parameter."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.scale = torch.nn.Parameter(torch.tensor(1.3, dtype=torch.float64))

    def forward(self, theta):
        return (self.function(theta * self.scale) * self.scale).sum()


@pytest.fixture(scope="module")
def compiler():
    from torch import _dynamo

    return _dynamo


def compilable(row):
    """A function of scores, made anew with its draws, that does nothing but call one entry."""
    generator, layer = draws(), perturbed()[0]
    relaxed, stochastic, subsets = FenchelYoung(BINARY), StochasticSoftmax(BINARY), SoftSub(2)
    fenchel, squared = FenchelYoung(layer), SquaredError(layer, independent=True)
    reinforce, loss = ScoreFunction("batch"), DirectLoss(Matching(3))
    multiplied, implicit, bound = PerturbedMultiplicative(SUBSET, 0.5, 3), ImplicitMLE(SUBSET), SPOPlus(SUBSET)
    return {
        "`Perturbed`": lambda theta: layer(theta, generator),
        "`Perturbed`'s potential": lambda theta: layer.potential(theta, generator),
        "`StochasticSoftmax`, `GumbelSinkhorn`": lambda theta: stochastic(theta, generator),
        "`SoftSub`, `L2X`": lambda theta: subsets(theta, generator),
        "`PerturbedMultiplicative`, `PerturbedExpectation`": lambda theta: multiplied(theta, generator),
        "`PerturbedMultiplicative`'s potential": lambda theta: multiplied.potential(theta, generator),
        "`ImplicitMLE`, `AdaptiveImplicitMLE`": lambda theta: implicit(theta, generator),
        "`soft_sort`, `soft_rank`, `soft_top_k`": soft_rank,
        "`SPOPlus`": lambda theta: bound(theta, TARGET),
        "`entropy`, `kl`, `log_prob`": SUBSET.entropy,
        "`FenchelYoung`, `SquaredError` of `Relaxed`": lambda theta: relaxed(theta, TARGET),
        "`FenchelYoung` of `Perturbed`": lambda theta: fenchel(theta, TARGET, generator),
        "`SquaredError` of `Perturbed`": lambda theta: squared(theta, TARGET, generator),
        "`DirectLoss`": lambda theta: loss(theta, COST, STEP, task_loss).surrogate,
        "`ScoreFunction`": lambda theta: reinforce(theta.square(), theta.log_softmax(-1)),
        "`marginals`, `log_partition`": SUBSET.marginals,
        "`argmax` (derivatives are zero)": SUBSET.argmax,
    }.get(row, ROWS[row][0][1])


STEP, COST = torch.full((2,), -1.0, dtype=torch.float64), torch.arange(9.0).view(3, 3)
# A second or two each: of the kinds of entries one always, the others with the slow tests.
QUICK = ("`Relaxed` and its potential", "`Perturbed`", "`DirectLoss`", "`ScoreFunction`", list(ROWS)[-1])
each_row = pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=row.replace("`", ""), marks=() if row in QUICK else pytest.mark.slow) for row in ROWS],
)


def scored_for(row):
    return scores(Matching(3), 2, 1) if row == "`DirectLoss`" else scores(SUBSET, 2)


def task_loss(y, *_):
    return y.double().flatten(2).mean(-1)


@each_row
def test_compiled_models(row, compiler):
    theta = scored_for(row)
    plain, model, whole = (Model(compilable(row)) for _ in range(3))
    expected = plain(theta)
    expected.backward()
    compiler.reset()
    compiler.utils.counters.clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = torch.compile(model, backend="aot_eager")(theta)
        found.backward()
    assert not [str(warning.message) for warning in caught if "torch.jit.script" not in str(warning.message)]
    assert torch.equal(found, expected)
    assert model.scale.grad is not None
    assert plain.scale.grad is not None
    assert torch.equal(model.scale.grad, plain.scale.grad)
    reasons = list(compiler.utils.counters["graph_break"])
    assert len(reasons) == (TABLE[row]["compile"] == "a break")
    assert all("structgrad's solvers" in reason for reason in reasons)
    compiler.reset()
    whole = torch.compile(whole, backend="eager", fullgraph=True)
    if TABLE[row]["compile"] == "yes":
        assert torch.equal(whole(theta), expected)
    else:
        with pytest.raises(compiler.exc.Unsupported, match="reason: structgrad's solvers and their checks look at num"):
            whole(theta)


@each_row
def test_exported_models(row):
    theta, model = scored_for(row), Model(compilable(row))
    if TABLE[row]["export"] == "yes":
        assert torch.equal(torch.export.export(model, (theta,)).module()(theta), model(theta))
    else:
        with pytest.raises(
            NotImplementedError, match=r"structgrad cannot be exported: .*; export what comes before it"
        ):
            torch.export.export(model, (theta,))
