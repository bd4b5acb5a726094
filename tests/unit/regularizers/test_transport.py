"""The entropic transport against closed forms, enumeration's convex hull (scipy), Sinkhorn's limit and calculus."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from structgrad.layers import Perturbed, Relaxed, StochasticSoftmax
from structgrad.losses import FenchelYoung
from structgrad.parallel import set_threads
from structgrad.polytopes import Matching, Simplex
from structgrad.regularizers import BinaryEntropy, SinkhornEntropy, TransportEntropy
from structgrad.regularizers._transport import centre
from structgrad.regularizers.transport import plain_centred

SHAPES = [(1, 1), (1, 3), (3, 1), (2, 2), (3, 3), (2, 4), (4, 2), (2, 3)]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


def scores(*shape, scale=1.0, seed=0):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def transport(theta, **options):
    return TransportEntropy(**options).maximise(Matching(*theta.shape[-2:]), theta)


# Values


@pytest.mark.parametrize("scale", [1.0, 30.0, 1000.0])
def test_two_by_two_in_closed_form(scale):
    theta = scores(50, 2, 2, scale=scale)
    p = ((theta[:, 0, 0] + theta[:, 1, 1] - theta[:, 0, 1] - theta[:, 1, 0]) / 2).sigmoid()
    expected = torch.stack([p, 1 - p, 1 - p, p], -1).view(-1, 2, 2)
    assert torch.allclose(transport(theta), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(3, 3), (2, 4), (4, 2), (2, 3)], ids=str)
def test_the_best_mixture_of_vertices(shape):
    """The same maximum over weights of vertices, found by a solver that knows nothing of duals."""
    matching, entropy = Matching(*shape), TransportEntropy()
    vertices = matching.vertices().flatten(1)
    for theta in scores(3, *shape, scale=2.0):

        def loss(weights, theta=theta):
            logits = torch.tensor(weights, requires_grad=True)
            y = logits.softmax(0) @ vertices
            value = entropy.value(matching, y.view(shape)) - (theta.flatten() * y).sum()
            value.backward()
            assert logits.grad is not None
            return float(value.detach()), logits.grad.numpy()

        found = minimize(loss, np.zeros(len(vertices)), jac=True, method="BFGS", options={"gtol": 1e-9})
        assert float(entropy.potential(matching, theta)) == pytest.approx(-found.fun, rel=1e-10)
        best = torch.tensor(found.x).softmax(0) @ vertices
        assert torch.allclose(transport(theta).flatten(), best, rtol=0, atol=1e-5)


@pytest.mark.parametrize("n", [1, 4, 17])
def test_the_limit_of_sinkhorns_iteration(n):
    theta = scores(3, n, n, scale=2.0)
    limit = SinkhornEntropy(3000).maximise(Matching(n), theta)
    assert torch.allclose(transport(theta), limit, rtol=0, atol=1e-11)


def test_one_row_is_the_binary_entropy_on_the_simplex():
    theta = scores(20, 1, 5, scale=3.0)
    soft = BinaryEntropy().maximise(Simplex(5), theta[:, 0])
    assert torch.allclose(transport(theta)[:, 0], soft, rtol=0, atol=1e-12)
    assert torch.allclose(transport(theta.mT)[:, :, 0], soft, rtol=0, atol=1e-12)
    value = TransportEntropy().value(Matching(1, 5), soft.unsqueeze(1))
    assert torch.allclose(value, BinaryEntropy().value(Simplex(5), soft))


def test_a_rectangle_is_a_square_with_rows_of_zeros():
    theta = scores(5, 3, 7, scale=3.0)
    square = torch.cat([theta, torch.zeros(5, 4, 7).double()], 1)
    assert torch.allclose(transport(theta), transport(square)[:, :3], rtol=0, atol=1e-11)
    assert torch.equal(transport(theta.mT), transport(theta).mT)


@pytest.mark.parametrize("span", [1.0, 10.0, 100.0, 1000.0, 1e6, 1e12, 1e300])
@pytest.mark.parametrize("shape", [(3, 3), (12, 12), (30, 30), (5, 20), (21, 20)], ids=str)
def test_fifty_rounds_are_enough_at_any_range(shape, span):
    """With continuous scores, with ties, with the rank-one scores of sorting; sums are right, gradients in bounds."""
    draw = torch.rand(6, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    line = draw[..., :1] * torch.arange(shape[1]) / shape[1]
    for theta in (draw, (3 * draw).round() / 3, line, draw.round()):
        theta = (theta * span).requires_grad_()
        plan = transport(theta, max_rounds=50)
        few, many = (-1, -2) if shape[0] <= shape[1] else (-2, -1)
        assert (plan.detach().sum(few) - 1).abs().max() < 2e-12
        assert plan.detach().sum(many).max() < 1 + 2e-12
        (gradient,) = torch.autograd.grad(plan, theta, torch.ones_like(plan) + draw)
        assert gradient.abs().max() <= 1
        assert torch.allclose(gradient.sum(few), torch.zeros(()).double(), atol=1e-10)


def test_cold_is_the_argmax_and_hot_is_uniform():
    for shape in ((4, 4), (3, 5), (5, 3)):
        theta, matching = scores(6, *shape), Matching(*shape)
        theta = theta + 0.3 * matching.argmax(theta)
        cold = Relaxed(matching, TransportEntropy(), 1e-3)(theta)
        assert torch.allclose(cold, matching.argmax(theta), rtol=0, atol=1e-12)
        hot = Relaxed(matching, TransportEntropy(), 1e9)(theta)
        assert hot.std() < 1e-8


def test_a_large_level_and_ties_that_no_float_resolves():
    level = torch.full((3, 4), 1.7e308, dtype=torch.float64)
    assert torch.allclose(transport(level), torch.full((3, 4), 0.25).double())
    assert torch.equal(transport(torch.eye(3).double() * 1.7e308), torch.eye(3).double())


# Derivatives


@shapes
def test_first_second_and_third_derivatives(shape):
    theta, matching, entropy = scores(2, *shape).requires_grad_(), Matching(*shape), TransportEntropy(1e-14)
    assert torch.autograd.gradcheck(lambda t: entropy.potential(matching, t), theta)
    assert torch.autograd.gradcheck(transport, theta)
    assert torch.autograd.gradgradcheck(transport, (theta,))

    def second(t):
        (first,) = torch.autograd.grad(transport(t).square().sum(), t, create_graph=True)
        return torch.autograd.grad(first.square().sum(), t, create_graph=True)[0]

    assert torch.autograd.gradcheck(second, theta)


@shapes
def test_the_jacobian_is_symmetric_and_the_plain_form_is_the_kernels(shape):
    theta = scores(*shape)
    matrix = torch.autograd.functional.jacobian(transport, theta).view(theta.numel(), theta.numel())
    assert torch.allclose(matrix, matrix.mT, rtol=0, atol=1e-14)
    if shape[0] == shape[1]:
        plan, x = transport(scores(4, *shape, scale=3.0)), scores(4, *shape, seed=1)
        out = torch.empty_like(x)
        centre(plan.numpy(), x.numpy(), out.numpy())
        assert torch.allclose(plain_centred(plan, x), out, atol=1e-11)


def test_second_derivatives_of_nearly_hard_plans_are_finite():
    for span in (30.0, 1e3, 1e100):
        theta = scores(5, 4, 6, scale=span).requires_grad_()
        (first,) = torch.autograd.grad(transport(theta).square().sum(), theta, create_graph=True)
        assert torch.isfinite(torch.autograd.grad(first.sum() + first.square().sum(), theta)[0]).all()


# Potentials and losses


@shapes
def test_fenchel_young(shape):
    matching = Matching(*shape)
    loss = FenchelYoung(Relaxed(matching, TransportEntropy(), 0.5))
    theta, y = scores(4, *shape, scale=2.0).requires_grad_(), matching.argmax(scores(4, *shape, seed=1))
    value = loss(theta, y)
    assert (value > -1e-12).all()
    (gradient,) = torch.autograd.grad(value.sum(), theta)
    assert torch.equal(gradient, (loss.layer(theta) - y).detach())
    soft = loss.layer(theta).detach()
    assert loss(theta, soft).abs().max() < 1e-10


def test_soft_samples_of_a_rectangle():
    theta = scores(3, 2, 4)
    layer = StochasticSoftmax(Relaxed(Matching(2, 4), TransportEntropy(), 0.1), samples=5)
    soft = layer(theta, torch.Generator().manual_seed(1))
    hard = layer.eval()(theta, torch.Generator().manual_seed(1))
    assert soft.shape == hard.shape == (3, 5, 2, 4)
    assert torch.allclose(soft.sum(-1), torch.ones(3, 5, 2).double())
    assert torch.equal(
        Perturbed(Matching(2, 4), samples=3)(theta, torch.Generator()).sum(-1), torch.ones(3, 2).double()
    )


# Batches, types, refusals


def test_an_item_alone_in_a_batch_and_in_threads_has_the_same_bits():
    theta = scores(9, 4, 6) * torch.tensor([1.0, 1e3, 10.0] * 3).view(-1, 1, 1).double()
    together = transport(theta)
    for item, plan in zip(theta, together, strict=True):
        assert torch.equal(transport(item), plan)
    set_threads(2)
    try:
        assert torch.equal(transport(theta), together)
    finally:
        set_threads(1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_types_and_empty_batches(dtype):
    theta = scores(3, 4, 2).to(dtype).requires_grad_()
    plan = transport(theta)
    assert plan.dtype == dtype
    assert torch.equal(plan, transport(theta.double()).to(dtype))
    assert torch.autograd.grad(plan.sum(), theta)[0].dtype == dtype
    empty = torch.zeros(0, 2, 3, dtype=dtype, requires_grad=True)
    (first,) = torch.autograd.grad(transport(empty).sum(), empty, create_graph=True)
    assert torch.autograd.grad(first.sum(), empty)[0].shape == (0, 2, 3)


def test_what_is_refused():
    with pytest.raises(
        ValueError, match=r"2 of 3 plans are off by more than tolerance 1e-12 after 1 rounds: raise max_"
    ):
        transport(torch.stack([torch.zeros(3, 3), *scores(2, 3, 3)]).double(), max_rounds=1)
    for wrong in (0.0, -1.0, 1.0, float("nan")):
        with pytest.raises(ValueError, match="tolerance must be between 0 and 1"):
            TransportEntropy(wrong)
    with pytest.raises(TypeError, match="tolerance must be a number, not bool"):
        TransportEntropy(True)
    with pytest.raises(ValueError, match="not defined here for Simplex"):
        TransportEntropy().maximise(Simplex(3), torch.zeros(3))
    with pytest.raises(ValueError, match="not defined here for Simplex"):
        TransportEntropy().value(Simplex(3), torch.zeros(3))
    with pytest.raises(ValueError, match=r"SinkhornEntropy takes square matchings, not \(2, 3\): TransportEntropy all"):
        SinkhornEntropy().maximise(Matching(2, 3), torch.zeros(2, 3))
