"""SoftSub and L2X against plain loops over items and numbers."""

import math

import pytest
import torch

from structgrad.layers.l2x import L2X
from structgrad.layers.soft_sub import SoftSub
from structgrad.noise import Gumbel
from structgrad.polytopes.subset import Subset

KINDS = [SoftSub, L2X]
kinds = pytest.mark.parametrize("kind", KINDS)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def softmax(values):
    top = max(values)
    weights = [math.exp(value - top) for value in values]
    return [weight / sum(weights) for weight in weights]


def soft_sub_by_hand(theta, z, k, temperature):
    scores = [t + g for t, g in zip(theta, z, strict=True)]
    total = [0.0] * len(scores)
    for _ in range(k):
        p = softmax([score / temperature for score in scores])
        total = [x + q for x, q in zip(total, p, strict=True)]
        rest = [sum(p[:i] + p[i + 1 :]) for i in range(len(p))]  # 1 - p without a subtraction
        scores = [score + (math.log(left) if left else -math.inf) for score, left in zip(scores, rest, strict=True)]
    return total


def l2x_by_hand(theta, z, k, temperature):
    choices = [softmax([(t + g) / temperature for t, g in zip(theta, row, strict=True)]) for row in z]
    return [max(column) for column in zip(*choices, strict=True)]


def noise_of(kind, shape, k, seed):
    shape = shape if kind is SoftSub else (*shape[:-1], k, shape[-1])
    return Gumbel(centred=False).sample(shape, generator(seed), torch.float64)


@kinds
@pytest.mark.parametrize(("n", "k"), [(1, 1), (5, 1), (5, 3), (6, 6)])
@pytest.mark.parametrize("temperature", [0.05, 1.0, 5.0])
def test_soft_subsets_are_those_of_a_plain_loop(kind, n, k, temperature):
    theta = randn(2, 4, n)
    x, z = kind(k, temperature)(theta, generator(1)), noise_of(kind, (2, 4, n), k, 1)
    by_hand = soft_sub_by_hand if kind is SoftSub else l2x_by_hand
    for a in range(2):
        for b in range(4):
            expected = by_hand(theta[a, b].tolist(), z[a, b].tolist(), k, temperature)
            assert x[a, b].tolist() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@kinds
def test_sums_and_bounds(kind):
    for temperature in (1e-3, 0.1, 1.0, 100.0):
        x = kind(3, temperature)(randn(200, 8), generator(2))
        assert (x >= 0).all()
        if kind is SoftSub:
            assert torch.allclose(x.sum(-1), torch.tensor(3.0).double())
        else:
            assert (x <= 1).all()
            assert (x.sum(-1) >= 1 - 1e-12).all()
            assert (x.sum(-1) <= 3 + 1e-12).all()


def test_a_cold_soft_sub_is_the_top_k_of_its_noisy_scores():
    theta = randn(50, 6)
    x = SoftSub(2, 1e-3)(theta, generator(3))
    hard = Subset(6, 2).argmax(theta + noise_of(SoftSub, (50, 6), 2, 3))
    assert (x - hard).abs().mean() < 1e-3


def test_one_of_n_is_gumbel_softmax_in_both():
    theta = randn(50, 6)
    x = SoftSub(1, 0.5)(theta, generator(4))
    assert torch.allclose(x, L2X(1, 0.5)(theta, generator(4)), rtol=1e-12)
    assert torch.allclose(x, torch.softmax((theta + noise_of(SoftSub, (50, 6), 1, 4)) / 0.5, -1), rtol=1e-12)


@kinds
@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_gradients_are_exact_for_the_same_noise(kind, temperature):
    theta = randn(3, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: kind(2, temperature)(t, generator(5)), theta, atol=1e-6)


@kinds
@pytest.mark.parametrize("temperature", [1e-4, 1e-2, 1.0])
def test_extreme_scores_stay_finite_with_finite_gradients(kind, temperature):
    theta = (1e3 * randn(20, 6)).requires_grad_()
    mask = torch.arange(6) < torch.tensor([2, 3, 6, 4] * 5).unsqueeze(-1)
    x = kind(2, temperature)(theta, generator(6), mask)
    (gradient,) = torch.autograd.grad(x.square().sum(), theta)
    assert torch.isfinite(x).all()
    assert torch.isfinite(gradient).all()


@kinds
def test_evaluation_takes_the_top_k_of_the_noisy_scores_or_without_a_generator_of_the_scores(kind):
    theta = randn(4, 6).requires_grad_()
    layer = kind(2, 0.5).eval()
    assert torch.equal(layer(theta), Subset(6, 2).argmax(theta))
    noisy = theta + noise_of(SoftSub, (4, 6), 2, 7)
    assert torch.equal(layer(theta, generator(7)), Subset(6, 2).argmax(noisy))
    assert not layer(theta, generator(7)).requires_grad


@kinds
@pytest.mark.parametrize("training", [True, False])
def test_masks_leave_the_shorter_list(kind, training):
    """The same as the unmasked part alone, given the same noise; whatever the masked scores, which get no gradient."""
    theta, lengths = randn(3, 6).requires_grad_(), [2, 4, 6]
    mask = torch.arange(6) < torch.tensor(lengths).unsqueeze(-1)
    layer = kind(2, 0.7).train(training)
    x = layer(theta, generator(8), mask)
    assert torch.equal(x, layer(theta.detach().masked_fill(~mask, 1e4), generator(8), mask))
    assert not x[~mask].any()
    for i, length in enumerate(lengths):
        if training and kind is SoftSub:
            z = noise_of(kind, (3, 6), 2, 8)[i, :length]
            expected = soft_sub_by_hand(theta[i, :length].tolist(), z.tolist(), 2, 0.7)
            assert x[i, :length].tolist() == pytest.approx(expected, rel=1e-9)
        elif training:
            z = noise_of(kind, (3, 6), 2, 8)[i, :, :length]
            expected = l2x_by_hand(theta[i, :length].tolist(), z.tolist(), 2, 0.7)
            assert x[i, :length].tolist() == pytest.approx(expected, rel=1e-9)
        else:
            assert x[i, :length].sum() == 2
    if training:
        (gradient,) = torch.autograd.grad(x.square().sum(), theta)
        assert not gradient[~mask].any()


@kinds
def test_a_temperature_an_item_which_learns(kind):
    theta, temperature = randn(2, 3, 5), torch.nn.Parameter(torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64))
    x = kind(2, temperature)(theta, generator(9))
    for i in range(3):
        assert torch.allclose(x[:, i], kind(2, temperature[i].item())(theta, generator(9))[:, i], rtol=1e-12)
    assert torch.autograd.grad(x.square().sum(), temperature)[0].all()


@kinds
def test_a_replica_has_the_same_bits_alone_and_together(kind):
    theta = randn(3, 4, 5)
    for training in (True, False):
        layer = kind(2, 0.5).train(training)
        together = layer(theta, [generator(s) for s in (1, 2, 3)])
        assert torch.equal(layer(theta[1:2], [generator(2)]), together[1:2])


@kinds
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("leading", [(), (0,), (2, 3)])
def test_shapes_and_dtypes(kind, leading, dtype):
    for training in (True, False):
        x = kind(2).train(training)(torch.zeros(*leading, 5, dtype=dtype), generator())
        assert x.shape == (*leading, 5)
        assert x.dtype == dtype


@kinds
@pytest.mark.parametrize(
    ("arguments", "message"),
    [((0,), "k must be at least 1, not 0"), ((2, 0.0), "temperature must be positive and finite, not 0.0")],
)
def test_bad_arguments_are_named(kind, arguments, message):
    with pytest.raises(ValueError, match=message):
        kind(*arguments)


@kinds
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("theta", "mask", "message"),
    [
        (torch.zeros(3, 1), None, r"theta of shape \(3, 1\) has no 2 coordinates"),
        (torch.tensor(0.0), None, r"theta of shape \(\) has no 2 coordinates"),
        (torch.full((4,), math.nan), None, "NaN or infinite"),
        (torch.zeros(4), torch.tensor([True, False, False, False]), "leaves no subset of 2 items"),
    ],
)
def test_bad_calls_are_named(kind, training, theta, mask, message):
    with pytest.raises(ValueError, match=message):
        kind(2).train(training)(theta, generator(), mask)


@kinds
def test_training_needs_a_generator(kind):
    with pytest.raises(ValueError, match="generator must be given"):
        kind(2)(torch.zeros(4))


def test_a_wide_gap_is_not_taken_twice():
    theta, silent = torch.tensor([90.0, 0.0, -1.0, -2.0], dtype=torch.float64), torch.zeros(4, dtype=torch.float64)
    x = SoftSub(2, 0.1)._soft(theta, silent, 0.1, None)
    p = torch.softmax(theta[1:] / 0.1, 0)
    assert x.tolist() == pytest.approx([1.0, *p.tolist()], rel=1e-12)


@pytest.mark.parametrize("temperature", [0.01, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("scale", [1.0, 100.0, 1e4, 1e8])
def test_two_of_n_exceed_one_by_less_than_a_half(temperature, scale):
    x = SoftSub(2, temperature)(scale * randn(2000, 5), generator(1))
    assert x.max() <= 1.5 + 1e-6  # at scores of 1e8 a difference keeps eight digits
    assert torch.allclose(x.sum(-1), torch.tensor(2.0).double())


@kinds
def test_masked_scores_stay_out_below_any_floor(kind):
    theta = torch.tensor([-1e40, -2e40, 5.0, 1e308], dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([True, True, False, False])
    x = kind(2, 0.5)(theta, generator(3), mask)
    assert not x[2:].any()
    assert torch.isfinite(torch.autograd.grad(x.sum(), theta)[0]).all()


@kinds
def test_a_quotient_beyond_floats_is_refused(kind):
    with pytest.raises(ValueError, match="scores over the temperature beyond float64"):
        kind(2, 1e-3)(torch.full((4,), 1e307, dtype=torch.float64), generator())


@kinds
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_that_of_the_widened_scores(kind, training, dtype):
    theta, layer = randn(3, 6).to(dtype), kind(2, 0.7).train(training)
    x = layer(theta, generator(4))
    assert x.dtype == dtype
    assert torch.equal(x, layer(theta.double(), generator(4)).to(dtype))
