"""Gumbel noise against scipy's Gumbel distribution and against calculus."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from structgrad.noise import EULER_GAMMA, Gumbel, sample_replicas

PAPER_SCALE = math.sqrt(18) / math.pi  # variance 3
KINDS = [Gumbel(), Gumbel(centred=False), Gumbel(PAPER_SCALE), Gumbel(0.3, centred=False)]
EXCESS_KURTOSIS = 12 / 5  # of any Gumbel distribution


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def scipy_twin(noise):
    """The same distribution, its location by the definition of Euler's constant."""
    return stats.gumbel_r(loc=-np.euler_gamma * noise.scale if noise.centred else 0.0, scale=noise.scale)


@pytest.mark.parametrize("noise", KINDS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_draws_follow_scipys_distribution(noise, dtype):
    draws = noise.sample((100_000,), generator(1), dtype).double().numpy()
    assert stats.kstest(draws, scipy_twin(noise).cdf).pvalue > 1e-3


def test_the_kolmogorov_smirnov_test_would_see_a_wrong_location_or_scale():
    draws = Gumbel().sample((100_000,), generator(1), torch.float64).numpy()
    for wrong in (Gumbel(centred=False), Gumbel(1.05)):
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
    z = torch.linspace(-4, 15, 200, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(noise.log_density(z).sum(), z)
    assert torch.allclose(noise.score(z.detach()), -gradient, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("noise", KINDS, ids=str)
def test_density_integrates_to_one_and_the_score_has_mean_zero(noise):
    def density(z):
        return math.exp(float(noise.log_density(torch.tensor(z, dtype=torch.float64))))

    def weighted_score(z):
        return density(z) * float(noise.score(torch.tensor(z, dtype=torch.float64)))

    low, high = noise.location - 5 * noise.scale, noise.location + 40 * noise.scale
    assert integrate.quad(density, low, high, limit=200)[0] == pytest.approx(1, abs=1e-8)
    assert integrate.quad(weighted_score, low, high, limit=200)[0] == pytest.approx(0, abs=1e-8)


def test_a_generator_gives_its_draws_again_and_goes_on():
    noise = Gumbel()
    first = noise.sample((3, 4), generator(7))
    assert torch.equal(noise.sample((3, 4), generator(7)), first)
    assert not torch.equal(noise.sample((3, 4), generator(8)), first)
    one = generator(7)
    noise.sample((3, 4), one)
    assert not torch.equal(noise.sample((3, 4), one), first)


def test_draws_leave_the_global_generator_alone():
    state = torch.get_rng_state()
    Gumbel().sample((10,), generator())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("shape", [(), (1,), (3, 7, 5, 5), (0, 4)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_and_dtype(shape, dtype):
    draws = Gumbel().sample(shape, generator(), dtype)
    assert draws.shape == shape
    assert draws.dtype == dtype
    assert torch.isfinite(draws).all()


def test_a_uniform_of_exactly_zero_gives_a_finite_draw(monkeypatch):
    monkeypatch.setattr(torch, "rand", lambda shape, **options: torch.zeros(shape, dtype=options["dtype"]))
    for dtype in (torch.float32, torch.float64):
        assert torch.isfinite(Gumbel().sample((4,), generator(), dtype)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_replicas_draws_do_not_depend_on_who_stands_beside_it(dtype):
    shape = (3, 5, 7)
    together = sample_replicas(Gumbel(PAPER_SCALE), shape, [generator(s) for s in range(6)], dtype)
    assert together.shape == (6, *shape)
    assert together.dtype == dtype
    for seeds in ([2], [5, 0], [3, 1, 4]):
        some = sample_replicas(Gumbel(PAPER_SCALE), shape, [generator(s) for s in seeds], dtype)
        assert torch.equal(some, together[seeds])
