"""Every noise against scipy's distribution and against calculus."""

import math
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from scipy import integrate, stats

from structgrad.layers import Perturbed
from structgrad.noise import (
    EULER_GAMMA,
    Gumbel,
    Logistic,
    NegativeExponential,
    Noise,
    Normal,
    SumOfGamma,
    draw,
    sample_replicas,
)
from structgrad.polytopes import Subset

PAPER_SCALE = math.sqrt(18) / math.pi  # variance 3
GUMBELS = [Gumbel(), Gumbel(centred=False), Gumbel(PAPER_SCALE), Gumbel(0.3, centred=False)]
SMOOTH = [*GUMBELS, Normal(), Normal(0.3), Logistic(), Logistic(2.0)]
KINDS = [*SMOOTH, NegativeExponential()]
DRAWN = [*KINDS, SumOfGamma(3)]
EXCESS_KURTOSIS = 12 / 5  # of any Gumbel distribution


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def scipy_twin(noise: Noise) -> Any:
    """The same distribution; a Gumbel's location by the definition of Euler's constant."""
    match noise:
        case Normal(scale):
            return stats.norm(scale=scale)
        case Logistic(scale):
            return stats.logistic(scale=scale)
        case NegativeExponential():
            return Mirrored(stats.expon())
        case Gumbel(scale, centred):
            return stats.gumbel_r(loc=-np.euler_gamma * scale if centred else 0.0, scale=scale)


class Mirrored:
    """The distribution of minus a variable."""

    def __init__(self, twin):
        self.twin = twin

    def cdf(self, z):
        return self.twin.sf(-z)

    def logpdf(self, z):
        return self.twin.logpdf(-z)


@pytest.mark.parametrize("noise", KINDS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_draws_follow_scipys_distribution(noise, dtype):
    draws = noise.sample((100_000,), generator(1), dtype).double().numpy()
    assert stats.kstest(draws, scipy_twin(noise).cdf).pvalue > 1e-3


def test_the_kolmogorov_smirnov_test_would_see_a_wrong_location_or_scale():
    draws = Gumbel().sample((100_000,), generator(1), torch.float64).numpy()
    for wrong in (Gumbel(centred=False), Gumbel(1.05), Logistic(), Normal()):
        assert stats.kstest(draws, scipy_twin(wrong).cdf).pvalue < 1e-6


@pytest.mark.parametrize(
    ("scale", "centred", "mean", "variance"),
    [
        (1.0, True, 0.0, math.pi**2 / 6),
        (1.0, False, 0.5772156649015329, 1.6449340668482264),
        (PAPER_SCALE, True, 0.0, 3.0),
        (2.5, False, 2.5 * 0.5772156649015329, 6.25 * 1.6449340668482264),
    ],
)
def test_mean_and_variance(scale, centred, mean, variance):
    count = 1_000_000
    draws = Gumbel(scale, centred).sample((count,), generator(2), torch.float64)
    z_mean = (float(draws.mean()) - mean) / math.sqrt(variance / count)
    z_variance = (float(draws.var()) / variance - 1) / math.sqrt((EXCESS_KURTOSIS + 2) / count)
    assert abs(z_mean) < 4
    assert abs(z_variance) < 4


def test_coordinates_are_uncorrelated():
    count = 200_000
    draws = Gumbel().sample((count, 2, 2), generator(3), torch.float64).flatten(1).numpy()
    correlation = np.corrcoef(draws.T) - np.eye(4)
    assert np.abs(correlation).max() < 4 / math.sqrt(count)


def test_eulers_constant():
    assert np.euler_gamma == EULER_GAMMA


@pytest.mark.parametrize("noise", KINDS, ids=str)
def test_log_density_is_scipys(noise):
    z = torch.linspace(-5, 20, 301, dtype=torch.float64)
    assert noise.log_density(z).numpy() == pytest.approx(scipy_twin(noise).logpdf(z.numpy()), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("noise", KINDS, ids=str)
def test_score_is_minus_the_gradient_of_the_log_density(noise):
    z = torch.linspace(-4, 15, 200, dtype=torch.float64)
    z = z[torch.isfinite(noise.log_density(z))].requires_grad_()
    assert len(z) > 40
    (gradient,) = torch.autograd.grad(noise.log_density(z).sum(), z)
    assert torch.allclose(noise.score(z.detach()), -gradient, rtol=1e-12, atol=1e-12)


def test_a_logistic_density_and_score_are_finite_far_out():
    z = torch.tensor([-1e4, -800.0, 800.0, 1e4], dtype=torch.float64)
    assert Logistic().log_density(z).tolist() == [-1e4, -800.0, -800.0, -1e4]
    assert Logistic().score(z).tolist() == [-1.0, -1.0, 1.0, 1.0]


def test_a_negative_exponential_ends_at_zero():
    z = torch.tensor([-1.0, 0.0, 0.5], dtype=torch.float64)
    assert NegativeExponential().log_density(z).tolist() == [-1.0, 0.0, -math.inf]
    assert NegativeExponential().score(z)[:2].tolist() == [-1.0, -1.0]
    assert torch.isnan(NegativeExponential().score(z)[2])


def integral(noise, function):
    """Of ``function`` on tensors, times the density, over all but the last 1e-13 of the mass."""
    low, high = quantile(noise, 1e-13), quantile(noise, 1 - 1e-13)

    def weighted(z):
        z = torch.tensor(z, dtype=torch.float64)
        return float(noise.log_density(z).exp() * function(z))

    return integrate.quad(weighted, low, high, limit=400, points=[quantile(noise, 0.5)])[0]


def quantile(noise, share):
    twin = scipy_twin(noise)
    return -twin.twin.ppf(1 - share) if isinstance(twin, Mirrored) else twin.ppf(share)


@pytest.mark.parametrize("noise", KINDS, ids=str)
def test_the_density_integrates_to_one(noise):
    assert integral(noise, torch.ones_like) == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("noise", SMOOTH, ids=str)
def test_integration_by_parts_holds_for_smooth_noise(noise):
    """``E[nu'(Z)] = 0`` and ``E[Z nu'(Z)] = 1``; for the noise that is not smooth the first fails."""
    assert noise.smooth
    assert integral(noise, noise.score) == pytest.approx(0, abs=1e-8)
    assert integral(noise, lambda z: z * noise.score(z)) == pytest.approx(1, abs=1e-8)


def test_integration_by_parts_fails_where_the_density_jumps():
    noise = NegativeExponential()
    assert not noise.smooth
    assert integral(noise, noise.score) == pytest.approx(-1, abs=1e-8)


# Utilities


@pytest.mark.parametrize("noise", SMOOTH, ids=str)
def test_utilities_are_shifted_noise(noise):
    theta, z = torch.randn(2, 3, generator=generator(), dtype=torch.float64)
    assert torch.equal(noise.utilities(theta, z), theta + z)
    assert torch.equal(noise.log_likelihood(theta + z, theta), noise.log_density(theta + z - theta))


def test_negative_exponential_utilities_have_the_rate_that_their_score_sets():
    theta = torch.tensor([-1.0, 0.0, 2.0], dtype=torch.float64)
    noise = NegativeExponential()
    u = noise.utilities(theta, noise.sample((100_000, 3), generator(5), torch.float64))
    for i, rate in enumerate(theta.exp().tolist()):
        twin: Any = stats.expon(scale=1 / rate)
        assert stats.kstest(-u[:, i].numpy(), twin.cdf).pvalue > 1e-3
        some = u[:50, i]
        assert noise.log_likelihood(some, theta[i]).numpy() == pytest.approx(twin.logpdf(-some.numpy()), rel=1e-12)
    assert torch.isneginf(noise.log_likelihood(torch.tensor(0.1), torch.tensor(0.0)))
    share = torch.nn.functional.one_hot(u.argmax(-1), 3).double().mean(0)
    p = torch.softmax(theta, -1)
    assert ((share - p).abs() < 5 * (p * (1 - p) / 100_000).sqrt()).all()


def test_the_gradient_of_a_likelihood_is_finite_where_the_density_is_zero():
    theta = torch.zeros(2, requires_grad=True)
    (gradient,) = torch.autograd.grad(NegativeExponential().log_likelihood(torch.tensor([-2.0, 0.1]), theta)[0], theta)
    assert gradient.tolist() == [-1.0, 0.0]


@pytest.mark.parametrize("noise", KINDS, ids=str)
@pytest.mark.parametrize("theta", [-3.0, -0.4, -1e-3, 0.0, 1e-3, 0.2, 1.0, 4.0])
def test_kl_is_the_integral_of_the_log_ratio(noise, theta):
    at, zero = torch.tensor(theta, dtype=torch.float64), torch.zeros((), dtype=torch.float64)

    def ratio(z):
        u = noise.utilities(at, z)
        return noise.log_likelihood(u, at) - noise.log_likelihood(u, zero)

    assert float(noise.kl(at)) == pytest.approx(integral(noise, ratio), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_logistic_kl_and_its_derivatives_at_any_size(scale):
    """Against ``t coth(t/2) - 2`` and its derivatives at 60 digits."""
    sizes = [0.0, 1e-300, 1e-12, 1e-6, 1e-3, 0.1, 0.4999999, 0.5, 0.5000001, 1.0, 10.0, 40.0, 800.0, 1e6]
    theta = scale * torch.tensor([s * t for t in sizes for s in (1, -1)], dtype=torch.float64)
    theta.requires_grad_()
    value = Logistic(scale).kl(theta)
    (first,) = torch.autograd.grad(value.sum(), theta, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), theta)
    value, first, theta = value.detach(), first.detach(), theta.detach()
    with mpmath.workdps(60):

        def exact(t):
            return t * mpmath.coth(t / 2) - 2 if t else mpmath.mpf(0)

        for i, u in enumerate(theta.tolist()):
            t = mpmath.mpf(u) / scale
            size = abs(t)
            if 1e-4 < size < 100:
                slope, bend = mpmath.diff(exact, t), mpmath.diff(exact, t, 2)
            else:  # t^2/6 near zero, |t| - 2 far out
                slope, bend = (t / 3, mpmath.mpf(1) / 3) if size < 1 else (mpmath.sign(t), mpmath.mpf(0))
            assert float(value[i]) == pytest.approx(float(exact(t)), rel=1e-12, abs=1e-30)
            assert float(first[i]) == pytest.approx(float(slope / scale), rel=1e-7, abs=1e-30)
            assert float(second[i]) == pytest.approx(float(bend / scale**2), rel=1e-7, abs=1e-12)


@pytest.mark.parametrize("noise", KINDS, ids=str)
def test_kl_is_zero_at_zero_and_its_gradient_too(noise):
    theta = torch.zeros(3, requires_grad=True)
    value = noise.kl(theta)
    (gradient,) = torch.autograd.grad(value.sum(), theta)
    assert value.tolist() == gradient.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("scale", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("kind", [Gumbel, Normal, Logistic, lambda scale: SumOfGamma(2, 10, scale)])
def test_scale_must_be_positive(kind, scale):
    with pytest.raises(ValueError, match=f"scale must be positive and finite, not {scale}"):
        kind(scale)


# Draws


@pytest.mark.parametrize("noise", DRAWN, ids=str)
def test_a_generator_gives_its_draws_again_and_goes_on(noise):
    first = noise.sample((3, 4), generator(7))
    assert torch.equal(noise.sample((3, 4), generator(7)), first)
    assert not torch.equal(noise.sample((3, 4), generator(8)), first)
    one = generator(7)
    noise.sample((3, 4), one)
    assert not torch.equal(noise.sample((3, 4), one), first)


@pytest.mark.parametrize("noise", DRAWN, ids=str)
def test_draws_leave_the_global_generator_alone(noise):
    state = torch.get_rng_state()
    noise.sample((10,), generator())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("shape", [(), (1,), (3, 7, 5, 5), (0, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("noise", DRAWN, ids=str)
def test_shape_and_dtype(noise, shape, dtype):
    draws = noise.sample(shape, generator(), dtype)
    assert draws.shape == shape
    assert draws.dtype == dtype
    assert torch.isfinite(draws).all()


@pytest.mark.parametrize("noise", KINDS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_first_and_last_uniform_give_finite_draws_inside_the_density(noise, dtype, monkeypatch):
    for uniform in (0.0, 1 - torch.finfo(dtype).eps / 2):  # the ends of torch.rand's grid
        monkeypatch.setattr(
            torch, "rand", lambda shape, u=uniform, **options: torch.full(shape, u, dtype=options["dtype"])
        )
        draws = noise.sample((4,), generator(), dtype)
        assert torch.isfinite(draws).all()
        assert torch.isfinite(noise.log_density(draws)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_replicas_draws_do_not_depend_on_who_stands_beside_it(dtype):
    shape = (3, 5, 7)
    together = sample_replicas(Gumbel(PAPER_SCALE), shape, [generator(s) for s in range(6)], dtype)
    assert together.shape == (6, *shape)
    assert together.dtype == dtype
    for seeds in ([2], [5, 0], [3, 1, 4]):
        some = sample_replicas(Gumbel(PAPER_SCALE), shape, [generator(s) for s in seeds], dtype)
        assert torch.equal(some, together[seeds])


def test_one_generator_draws_the_whole_shape():
    assert torch.equal(draw(Normal(), (3, 2), generator(4)), Normal().sample((3, 2), generator(4)))


@pytest.mark.parametrize("noise", DRAWN, ids=str)
def test_a_sequence_of_generators_draws_one_index_each(noise):
    together = draw(noise, (3, 2, 4), [generator(s) for s in range(3)], torch.float64)
    assert torch.equal(together, sample_replicas(noise, (2, 4), [generator(s) for s in range(3)], torch.float64))
    assert torch.equal(together[1], noise.sample((2, 4), generator(1), torch.float64))
    assert draw(noise, (0, 4), []).shape == (0, 4)


@pytest.mark.parametrize("shape", [(2, 4), (), (4, 3)])
def test_generators_must_fit_the_first_dimension(shape):
    with pytest.raises(ValueError, match=rf"3 generators do not fit .* shape \({', '.join(map(str, shape))}"):
        draw(Normal(), shape, [generator(s) for s in range(3)])


@pytest.mark.parametrize("noise", [Logistic(), NegativeExponential()], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_uniform_of_zero_is_the_middle_of_its_cell_not_an_outlier(noise, dtype, monkeypatch):
    """A draw that one uniform in 2^24 gives may not be what one in 10^38 deserves."""
    monkeypatch.setattr(torch, "rand", lambda shape, **options: torch.zeros(shape, dtype=options["dtype"]))
    cell = torch.finfo(dtype).eps / 2
    draw = noise.sample((), generator(), dtype).item()
    assert scipy_twin(noise).cdf(draw) == pytest.approx(cell / 2, rel=1e-5)


# Sums of gamma variables


def gammas(k, rounds, size, seed=0):
    """``sum_i Gamma(1/k, k/i)`` by scipy's draws."""
    shape = (size, rounds)
    draws = stats.gamma(1 / k).rvs(shape, random_state=np.random.default_rng(seed))
    return (draws * (k / np.arange(1, rounds + 1))).sum(1)


@pytest.mark.parametrize(("k", "rounds"), [(1, 1), (1, 10), (2, 1), (3, 10), (7, 4), (50, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_coordinate_follows_its_definition(k, rounds, dtype):
    draws = SumOfGamma(k, rounds, 1.5).sample((10_000,), generator(9), dtype).double().numpy()
    if rounds == 1:
        found = stats.kstest(draws * k / 1.5, stats.gamma(1 / k, scale=k).cdf)
    else:
        expected = torch.from_numpy(1.5 / k * (gammas(k, rounds, 10_000) - math.log(rounds)))
        found = stats.kstest(draws, expected.to(dtype).double().numpy())  # rounded alike: many lie at the lower end
    assert found.pvalue > 1e-3


@pytest.mark.parametrize(("k", "rounds", "scale"), [(1, 300, 1.0), (3, 10, 2.0), (10, 60, 1.0)])
def test_k_coordinates_add_up_to_a_gumbel_variable(k, rounds, scale):
    """Exactly, to one cut after the first terms of its series: what is left out has mean 1/(2s) and variance 1/s."""
    size = 10_000
    sums = SumOfGamma(k, rounds, scale).sample((size, k), generator(10), torch.float64).sum(1).numpy() / scale
    mean = sum(1 / i for i in range(1, rounds + 1)) - math.log(rounds)
    variance = sum(1 / i**2 for i in range(1, rounds + 1))
    assert abs(sums.mean() - mean) < 4 * math.sqrt(variance / size)
    assert sums.var() == pytest.approx(variance, rel=4 * math.sqrt((EXCESS_KURTOSIS + 2) / size))
    assert sums.min() >= -math.log(rounds)
    distance = stats.kstest(sums, stats.gumbel_r().cdf).statistic
    assert distance < 0.5 / rounds + 1.95 / math.sqrt(size)  # 1.95: one in a thousand
    other = SumOfGamma(2 * k, rounds).sample((size, k), generator(10), torch.float64).sum(1).numpy()
    assert stats.kstest(other, stats.gumbel_r().cdf).pvalue < 1e-6


def test_gamma_draws_are_a_plain_loop_over_the_same_uniforms():
    """Marsaglia and Tsang's rejection by hand, one round: normals, uniforms, and again for those that were rejected."""
    k, one = 4, generator(11)
    a = 1 + 1 / k
    d, c = a - 1 / 3, 1 / math.sqrt(9 * (a - 1 / 3))
    expected, left = np.empty(500), list(range(500))
    while left:
        x = Normal().sample((len(left),), one, torch.float64).tolist()
        u = torch.rand(len(left), generator=one, dtype=torch.float64).tolist()
        v = [(1 + c * z) ** 3 for z in x]
        fine = [
            w > 0 and math.log(p) < z * z / 2 + d - d * w + d * math.log(w) for z, p, w in zip(x, u, v, strict=True)
        ]
        for i, w, passed in zip(left, v, fine, strict=True):
            if passed:
                expected[i] = d * w
        left = [i for i, passed in zip(left, fine, strict=True) if not passed]
    expected *= torch.rand(500, generator=one, dtype=torch.float64).numpy() ** k
    assert SumOfGamma(k, 1).sample((500,), generator(11), torch.float64).numpy() == pytest.approx(expected, rel=1e-13)


def test_a_layer_that_needs_a_density_refuses_sums_of_gammas():
    with pytest.raises(ValueError, match=r"positive and smooth everywhere, unlike SumOfGamma\(k=2, rounds=10"):
        Perturbed(Subset(4, 2), SumOfGamma(2))
