"""Direct loss against enumeration by hand, exact integrals, and what its epsilon rule promises."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import integrate

import structgrad.losses.direct
from structgrad.layers.finite_difference import finite_difference
from structgrad.losses.direct import DirectLoss
from structgrad.noise import Gumbel, Logistic
from structgrad.parallel import set_threads
from structgrad.polytopes.matching import Matching
from structgrad.polytopes.simplex import Simplex

GROWN = 1.1


@pytest.fixture(autouse=True)
def _one_thread():
    set_threads(1)


def generators(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def some_loss(y, rows, items):
    """A positive loss for every item: the rule for growth always applies."""
    return torch.ones(y.shape[:2], dtype=torch.float64)


def no_loss(y, rows, items):
    return torch.zeros(y.shape[:2], dtype=torch.float64)


def exactly(numbers):
    return torch.tensor(numbers, dtype=torch.float64)


def gradient_of(step, *inputs):
    return torch.autograd.grad(step.surrogate.sum(), inputs)


# The sign of epsilon, on three numbers (docs/protocols/indelman.md, 2.4)
#
# x = (0.5, 1, 0.25), sorted descending: x_1 goes to place 0, x_0 to place 1, x_2 to place 2.

X = (0.5, 1.0, 0.25)
LABEL = (1, 0, 2)  # the column of each row
SCORES = ((0.0, 0.0, 2.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
# <SCORES, y> and <c, y> with c_ij = x_j^2 (1 - 2 label_ij), by hand: the squares are 1/4, 1, 1/16, their sum is
# 21/16, and each right entry takes twice its column's square off.
BY_HAND = {
    (0, 1, 2): (0.0, 21 / 16 - 2 / 16),
    (0, 2, 1): (1.0, 21 / 16),
    (1, 0, 2): (1.0, -21 / 16),
    (1, 2, 0): (0.0, 21 / 16 - 2),
    (2, 0, 1): (4.0, 21 / 16 - 2 / 4),
    (2, 1, 0): (2.0, 21 / 16),
}
BEST_SCORE, WORST = (2, 0, 1), (2, 1, 0)


def matrix(columns):
    return torch.eye(3, dtype=torch.float64)[list(columns)]


def paper_cost():
    return exactly([[X[j] ** 2 * (1 - 2 * (LABEL[i] == j)) for j in range(3)] for i in range(3)])


def direct_gradient(scores, epsilon):
    mu = exactly(scores).view(1, 1, 3, 3).requires_grad_()
    step = DirectLoss(Matching(3))(mu, paper_cost(), exactly([epsilon]), some_loss)
    return gradient_of(step, mu)[0][0, 0]


def test_the_table_of_the_six_permutations():
    scores, cost = exactly(SCORES), paper_cost()
    assert set(BY_HAND) == set(itertools.permutations(range(3)))
    for columns, (score, price) in BY_HAND.items():
        assert float((scores * matrix(columns)).sum()) == score
        assert float((cost * matrix(columns)).sum()) == pytest.approx(price, abs=1e-15)


@pytest.mark.parametrize(("epsilon", "moved"), [(-12.0, LABEL), (12.0, WORST)])
def test_the_perturbed_maximiser_of_each_sign(epsilon, moved):
    values = {columns: score + epsilon * price for columns, (score, price) in BY_HAND.items()}
    assert max(values, key=lambda columns: values[columns]) == moved
    scores = exactly(SCORES)
    found = finite_difference(Matching(3), scores, paper_cost(), epsilon)
    assert torch.equal(found[0], matrix(BEST_SCORE))
    assert torch.equal(found[1], matrix(moved))


def test_minus_twelve_moves_towards_the_label():
    gradient = direct_gradient(SCORES, -12.0)
    expected = exactly([[0, -1, 1], [0, 0, 0], [0, 1, -1]]) / 12
    assert torch.allclose(gradient, expected, atol=1e-15)
    # a step against it raises the label's score and lowers that of the maximiser
    assert float((-gradient * matrix(LABEL)).sum()) == pytest.approx(2 / 12)
    assert float((-gradient * matrix(BEST_SCORE)).sum()) == pytest.approx(-2 / 12)


def test_plus_twelve_moves_away_from_the_worst():
    gradient = direct_gradient(SCORES, 12.0)
    expected = exactly([[0, 0, 0], [-1, 1, 0], [1, -1, 0]]) / 12
    assert torch.allclose(gradient, expected, atol=1e-15)
    # a step against it lowers the worst one's score and raises that of the maximiser, right or wrong
    assert float((-gradient * matrix(WORST)).sum()) == pytest.approx(-2 / 12)
    assert float((-gradient * matrix(BEST_SCORE)).sum()) == pytest.approx(2 / 12)


@pytest.mark.parametrize(("epsilon", "learns"), [(-12.0, True), (12.0, False)])
def test_descent_reaches_the_label_with_minus_twelve_only(epsilon, learns):
    scores = exactly(SCORES)
    for _ in range(60):
        scores = scores - direct_gradient(scores.tolist(), epsilon)
    assert torch.equal(Matching(3).argmax(scores), matrix(LABEL)) == learns


@pytest.mark.parametrize("seed", range(20))
def test_the_authors_twelve_is_minus_twelve_of_the_paper(seed):
    """Their code adds 12 x_j^2 on label entries and takes it off elsewhere, then descends theta (y - y(eps))."""
    random = np.random.default_rng(seed)
    x, scores = random.random(3), 3 * random.standard_normal((3, 3))
    order = sorted(range(3), key=lambda i: -x[i])  # the element at each place
    label = np.zeros((3, 3))
    perturbed = scores.copy()
    for i in range(3):
        for j in range(3):
            label[i, j] = order[j] == i
            perturbed[i, j] += 12 * x[j] ** 2 if label[i, j] else -12 * x[j] ** 2

    def best(s):
        columns = max(itertools.permutations(range(3)), key=lambda c: sum(s[i, c[i]] for i in range(3)))
        return np.eye(3)[list(columns)]

    theirs = best(scores) - best(perturbed)
    mu = torch.tensor(scores).view(1, 1, 3, 3).requires_grad_()
    cost = torch.tensor(x**2 * (1 - 2 * label))
    step = DirectLoss(Matching(3))(mu, cost, exactly([-12.0]), some_loss)
    assert 12 * gradient_of(step, mu)[0][0, 0].numpy() == pytest.approx(theirs, abs=1e-14)


# The identity: for n = 2 the winner depends on D = d_mu + sigma beta Z alone, where Z is a sum of two independent
# Logistic variables (differences of Gumbels), so that both expectations are one-dimensional integrals.


def logistic(t):
    return 0.25 / math.cosh(t / 2) ** 2


def density_of_two_logistics(z):
    low, high = min(z, 0.0) - 40, max(z, 0.0) + 40
    return integrate.quad(lambda t: logistic(t) * logistic(z - t), low, high, points=[0, z], limit=200)[0]


def test_the_density_of_two_logistics():
    mass = integrate.quad(density_of_two_logistics, -40, 40, points=[0], limit=200)[0]
    second = integrate.quad(lambda z: z**2 * density_of_two_logistics(z), -40, 40, points=[0], limit=200)[0]
    assert mass == pytest.approx(1, abs=1e-8)
    assert second == pytest.approx(2 * math.pi**2 / 3, abs=1e-6)


MU2 = ((0.9, -0.3), (0.2, -0.5))
COST2 = ((0.7, 0.1), (-0.4, 0.3))


def exact_gradients(sigma, noise, epsilon):
    """E[y(eps) - y]_11 / eps and E<gamma, y(eps) - y> / eps, y the identity where the diagonal is worth more."""
    difference = MU2[0][0] + MU2[1][1] - MU2[0][1] - MU2[1][0]
    slope = COST2[0][0] + COST2[1][1] - COST2[0][1] - COST2[1][0]
    width = sigma * noise.scale
    high, low = -difference / width, -(difference + epsilon * slope) / width  # identity where Z is beyond
    mass = integrate.quad(density_of_two_logistics, low, high, limit=200)[0]
    moment = integrate.quad(lambda z: z * density_of_two_logistics(z), low, high, limit=200)[0]
    return mass / epsilon, noise.scale * moment / epsilon


@pytest.mark.parametrize("epsilon", [-0.1, 0.1, -1.0, 1.0, -12.0, 12.0])
@pytest.mark.parametrize(("sigma", "scale"), [(1.0, 1.0), (0.4, math.sqrt(18) / math.pi)])
def test_expected_gradients_equal_integrals(epsilon, sigma, scale):
    items, noise = 100_000, Gumbel(scale)
    mu = exactly(MU2).expand(1, items, 2, 2).clone().requires_grad_()
    sigmas = torch.full((1, items), sigma, dtype=torch.float64, requires_grad=True)
    step = DirectLoss(Matching(2), noise)(mu, exactly(COST2), exactly([epsilon]), some_loss, sigmas, generators(11))
    assert step.epsilon.tolist() == [epsilon]
    by_mu, by_sigma = gradient_of(step, mu, sigmas)
    exact_mu, exact_sigma = exact_gradients(sigma, noise, epsilon)

    def z_score(draws, exact):
        return abs(float(draws.mean()) - exact) / float(draws.std() / math.sqrt(items))

    assert z_score(by_mu[0, :, 0, 0], exact_mu) < 4.5
    assert z_score(by_sigma[0], exact_sigma) < 4.5
    # the other entries of a 2 x 2 matching follow from the first
    first = by_mu[..., :1, :1]
    assert torch.equal(by_mu, first * exactly([[1.0, -1.0], [-1.0, 1.0]]))


def test_the_samples_of_an_item_are_averaged():
    """Five samples per item: the same expectation, a fifth of the variance, whatever the sum over items."""
    items, noise, epsilon = 20_000, Gumbel(), -1.0
    exact_mu, exact_sigma = exact_gradients(1.0, noise, epsilon)
    variance = {}
    for samples in (1, 5):
        mu = exactly(MU2).expand(1, items, 2, 2).clone().requires_grad_()
        sigma = torch.ones(1, items, dtype=torch.float64, requires_grad=True)
        step = DirectLoss(Matching(2), noise, samples)(
            mu, exactly(COST2), exactly([epsilon]), some_loss, sigma, generators(5)
        )
        by_mu, by_sigma = gradient_of(step, mu, sigma)
        draws = by_mu[0, :, 0, 0]
        assert abs(float(draws.mean()) - exact_mu) < 4.5 * float(draws.std()) / math.sqrt(items)
        assert abs(float(by_sigma.mean()) - exact_sigma) < 4.5 * float(by_sigma.std()) / math.sqrt(items)
        variance[samples] = float(draws.var())
    assert variance[1] / variance[5] == pytest.approx(5, rel=0.1)


def test_both_maximisers_see_the_same_noise():
    """Where eps changes no winner the gradient is exactly zero; independent noise would leave 1/eps of noise."""
    items = 2000
    mu = torch.zeros(1, items, 4, 4, dtype=torch.float64, requires_grad=True)
    sigma = torch.ones(1, items, dtype=torch.float64, requires_grad=True)
    cost = torch.randn(4, 4, generator=generators(1)[0], dtype=torch.float64)
    step = DirectLoss(Matching(4), Gumbel(), 3)(mu, cost, exactly([1e-12]), some_loss, sigma, generators(2))
    by_mu, by_sigma = gradient_of(step, mu, sigma)
    assert not by_mu.any()
    assert not by_sigma.any()


class Recorder(Matching):
    """A matching that keeps the scores it was asked about."""

    def __init__(self, n):
        super().__init__(n)
        self.pairs = []

    def argmax_pair(self, theta, other):
        self.pairs.append((theta, other))
        return super().argmax_pair(theta, other)


def test_the_scores_that_the_solver_sees():
    recorder, (R, n, S, d) = Recorder(3), (2, 4, 5, 3)
    mu = torch.randn(R, n, d, d, generator=generators(0)[0], dtype=torch.float64)
    sigma = torch.rand(R, n, generator=generators(1)[0], dtype=torch.float64)
    cost = torch.randn(R, n, d, d, generator=generators(2)[0], dtype=torch.float64)
    epsilon = exactly([-3.0, 0.5])
    DirectLoss(recorder, Gumbel(), S)(mu, cost, epsilon, some_loss, sigma, generators(3, 4))
    ((theta, moved),) = recorder.pairs
    gamma = torch.stack([Gumbel().sample((n, S, d, d), g, torch.float64) for g in generators(3, 4)])
    for r, i, s in itertools.product(range(R), range(n), range(S)):
        assert torch.allclose(theta[r, i, s], mu[r, i] + sigma[r, i] * gamma[r, i, s], atol=1e-14)
        assert torch.allclose(moved[r, i, s] - theta[r, i, s], epsilon[r] * cost[r, i], atol=1e-14)


def test_gradients_are_those_of_the_formula():
    """Sum over samples of (y(eps) - y) and of <gamma, y(eps) - y>, over eps and the samples, by plain loops."""
    R, n, S, d = 2, 3, 4, 3
    mu = torch.randn(R, n, d, d, generator=generators(0)[0], dtype=torch.float64, requires_grad=True)
    sigma = torch.rand(R, n, generator=generators(1)[0], dtype=torch.float64, requires_grad=True)
    cost = torch.randn(R, n, d, d, generator=generators(2)[0], dtype=torch.float64)
    epsilon = exactly([-3.0, 0.5])
    step = DirectLoss(Matching(d), Gumbel(), S)(mu, cost, epsilon, some_loss, sigma, generators(3, 4))
    by_mu, by_sigma = gradient_of(step, mu, sigma)
    vertices = Matching(d).vertices()
    gamma = torch.stack([Gumbel().sample((n, S, d, d), g, torch.float64) for g in generators(3, 4)])
    for r, i in itertools.product(range(R), range(n)):
        total, moment = torch.zeros(d, d).double(), 0.0
        for s in range(S):
            theta = (mu[r, i] + sigma[r, i] * gamma[r, i, s]).detach()
            y, moved = (
                max(vertices, key=lambda v, t=t: float((v * t).sum())) for t in (theta, theta + epsilon[r] * cost[r, i])
            )
            total += moved - y
            moment += float((gamma[r, i, s] * (moved - y)).sum())
        assert torch.allclose(by_mu[r, i], total / (epsilon[r] * S), atol=1e-14)
        assert float(by_sigma[r, i]) == pytest.approx(moment / (float(epsilon[r]) * S), abs=1e-14)
    assert by_mu.any(-1).any()
    assert step.loss.dtype == torch.float64


def test_the_surrogate_scales_its_gradient_per_replica():
    mu = exactly(SCORES).expand(2, 1, 3, 3).clone().requires_grad_()
    step = DirectLoss(Matching(3))(mu, paper_cost(), exactly([-12.0, -12.0]), some_loss)
    assert step.surrogate.tolist() == [0, 0]
    (gradient,) = torch.autograd.grad((step.surrogate * torch.tensor([2.0, -3.0])).sum(), mu)
    assert torch.allclose(gradient[0] / 2, -gradient[1] / 3)
    assert gradient[0].any()


def test_the_loss_is_the_mean_over_items_of_the_task_loss():
    asked = []

    def task_loss(y, rows, items):
        asked.append((y.shape, rows, items))
        return torch.arange(6, dtype=torch.float64).view(2, 3)[rows, items]

    mu = torch.zeros(2, 3, 2, 2)
    sigma = torch.ones(2, 3)
    step = DirectLoss(Matching(2), Gumbel(), 4)(
        mu, torch.eye(2), torch.tensor([-1.0, -1.0]), task_loss, sigma, generators(0, 1)
    )
    assert step.loss.tolist() == [1, 4]
    assert asked == [((2, 3, 4, 2, 2), slice(0, 2), slice(0, 3))]


# Growth of epsilon by 10 % at a time (docs/protocols/indelman.md, 2.4)


def stuck_scores(gap):
    """One 2 x 2 item whose winner is the identity by ``gap``; the cost of :data:`TOWARDS_SWAP` narrows it by eps."""
    return exactly([[gap, 0.0], [0.0, 0.0]])


TOWARDS_SWAP = exactly([[1.0, 0.0], [0.0, 0.0]])


def growing(mu, epsilon, loss=some_loss, growth=GROWN, **options):
    direct = DirectLoss(Matching(2), growth=growth, **options)
    return direct(mu, TOWARDS_SWAP, exactly(epsilon), loss)


def times_until(epsilon, gap):
    """How often ``epsilon`` must grow by a tenth to pass ``gap``, by counting."""
    count = 0
    while epsilon <= gap:
        epsilon *= GROWN
        count += 1
    return count, epsilon


@pytest.mark.parametrize("sign", [-1, 1])
def test_only_stuck_replicas_with_a_positive_loss_grow(sign):
    gaps = (50.0, 50.0, 5.0)  # stuck with loss, stuck without, moves at once
    mu = torch.stack([stuck_scores(-sign * gap) for gap in gaps]).unsqueeze(1).requires_grad_()

    def loss(y, rows, items):
        return exactly([[0.3], [0.0], [0.3]])[rows, items]

    step = growing(mu, [12.0 * sign] * 3, loss)
    count, grown = times_until(12.0, 50.0)
    assert count == 15
    assert step.epsilon.tolist() == pytest.approx([sign * grown, 12 * sign, 12 * sign], rel=1e-14)
    (gradient,) = gradient_of(step, mu)
    # the step that was used divides: y(eps) - y is one at the first entry, up or down
    for r, used in ((0, grown), (2, 12.0)):
        assert float(gradient[r, 0, 0, 0]) == pytest.approx(1 / used)
    assert not gradient[1].any()


def test_one_moving_item_or_sample_is_enough():
    """The rule looks at the whole batch of a replica."""
    mu = torch.stack([stuck_scores(50.0), stuck_scores(5.0)]).unsqueeze(0)
    assert growing(mu, [-12.0]).epsilon.tolist() == [-12]
    both_stuck = torch.stack([stuck_scores(50.0), stuck_scores(40.0)]).unsqueeze(0)
    assert growing(both_stuck, [-12.0]).epsilon.tolist() == pytest.approx([-times_until(12.0, 40.0)[1]], rel=1e-14)


def test_one_positive_item_is_enough():
    mu = torch.stack([stuck_scores(50.0), stuck_scores(50.0)]).unsqueeze(0)
    step = growing(mu, [-12.0], lambda y, rows, items: exactly([[0.0, 1e-9]]))
    assert float(step.epsilon) == pytest.approx(-times_until(12.0, 50.0)[1], rel=1e-14)


def test_growth_stays_for_the_caller_to_use_again():
    mu = stuck_scores(50.0).expand(1, 1, 2, 2)
    first = growing(mu, [-12.0])
    again = growing(mu, first.epsilon.tolist())
    assert torch.equal(again.epsilon, first.epsilon)
    further = growing(stuck_scores(500.0).expand(1, 1, 2, 2), again.epsilon.tolist())
    assert float(further.epsilon) == pytest.approx(-times_until(12.0, 500.0)[1], rel=1e-13)


def test_the_callers_epsilon_is_not_changed():
    epsilon = exactly([-12.0])
    mu = stuck_scores(50.0).expand(1, 1, 2, 2)
    step = DirectLoss(Matching(2), growth=GROWN)(mu, TOWARDS_SWAP, epsilon, some_loss)
    assert float(step.epsilon) < -50
    assert epsilon.tolist() == [-12]


@pytest.mark.parametrize("cap", [12.0, 40.0, 1e3])
def test_growth_ends_at_the_cap(cap):
    mu = stuck_scores(1e9).expand(1, 1, 2, 2).clone().requires_grad_()
    step = growing(mu, [-12.0], cap=cap)
    assert cap <= abs(float(step.epsilon)) < cap * GROWN
    assert not gradient_of(step, mu)[0].any()


def test_growth_of_one_never_grows_nor_hangs():
    mu = stuck_scores(1e9).expand(1, 1, 2, 2)
    assert growing(mu, [-12.0], growth=1.0).epsilon.tolist() == [-12]


def test_zero_loss_never_grows():
    mu = stuck_scores(1e9).expand(3, 2, 2, 2)
    assert growing(mu, [-12.0, 12.0, -1.0], no_loss).epsilon.tolist() == [-12, 12, -1]


def test_growth_with_noise_keeps_the_noise():
    """The grown step is taken from the same perturbed scores: gamma is drawn once."""
    mu = torch.full((1, 1, 2, 2), 0.0, dtype=torch.float64)
    mu[..., 0, 0] = 100.0
    sigma = torch.ones(1, 1, dtype=torch.float64, requires_grad=True)
    (generator,) = generators(3)
    step = DirectLoss(Matching(2), Gumbel(), 1, GROWN)(
        mu, TOWARDS_SWAP, exactly([-12.0]), some_loss, sigma, [generator]
    )
    gamma = Gumbel().sample((1, 1, 2, 2), generators(3)[0], torch.float64)[0, 0]
    diagonal = float(gamma[0, 0] + gamma[1, 1] - gamma[0, 1] - gamma[1, 0])
    assert float(step.epsilon) == pytest.approx(-times_until(12.0, 100 + diagonal)[1], rel=1e-13)
    (by_sigma,) = gradient_of(step, sigma)
    assert float(by_sigma) == pytest.approx(-diagonal / float(step.epsilon), rel=1e-12)


# Both sides, and the errors of estimates


class LogisticQuantiles(Logistic):
    """Not noise but its integral: the first entry takes the S quantiles of a logistic variable, the others zero.

    A mean over them is the expectation up to O(1/S), without randomness.
    """

    def sample(self, shape, generator, dtype):
        draws = torch.zeros(shape, dtype=dtype)
        draws[..., 0, 0] = ((torch.arange(shape[1], dtype=dtype) + 0.5) / shape[1]).logit()
        return draws


DIFFERENCE = MU2[0][0] + MU2[1][1] - MU2[0][1] - MU2[1][0]
SLOPE = COST2[0][0] + COST2[1][1] - COST2[0][1] - COST2[1][0]  # the loss of the identity less that of the swap


def logistic_quotients(sigma, epsilon, two_sided):
    """E[y(eps) - y(start)]_11 and E<gamma, y(eps) - y(start)> over their distance, gamma logistic on one entry.

    The identity wins where gamma lies above ``-(DIFFERENCE + eps SLOPE) / sigma``; the logistic cdf is F, and the
    integral of t dF(t) up to z is ``z F(z) + log(1 - F(z))``.
    """

    def tails(eps):
        z = -(DIFFERENCE + eps * SLOPE) / sigma
        below = 1 / (1 + math.exp(-z))
        return 1 - below, -(z * below + math.log1p(-below))

    start = -epsilon if two_sided else 0.0
    return tuple((a - b) / (epsilon - start) for a, b in zip(tails(epsilon), tails(start), strict=True))


def logistic_truth(sigma):
    """The derivatives in mu_11 and sigma of the expected loss ``SLOPE P(identity)``, by differentiating that."""
    entry, width = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (MU2[0][0], sigma))
    probability = torch.sigmoid((entry + DIFFERENCE - MU2[0][0]) / width)
    return [float(part) for part in torch.autograd.grad(SLOPE * probability, (entry, width))]


def by_quantiles(sigma, epsilon, two_sided, samples):
    """The same two quotients by the code: an exact integral up to ``O(1 / (samples eps))``."""
    direct = DirectLoss(Matching(2), LogisticQuantiles(), samples, two_sided=two_sided)
    found = direct.estimate(
        exactly(MU2).view(1, 1, 2, 2), exactly(COST2), exactly([epsilon]), exactly([[sigma]]), generators(0)
    )
    return float(found.mu.value[0, 0, 0, 0]), float(found.sigma.value)


@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize("epsilon", [-3.0, -0.3, 0.3, 3.0])
@pytest.mark.parametrize("sigma", [1.0, 0.4])
def test_estimates_by_quantiles_are_the_exact_expectations(two_sided, epsilon, sigma):
    samples = 20_000
    found = by_quantiles(sigma, epsilon, two_sided, samples)
    for value, exact in zip(found, logistic_quotients(sigma, epsilon, two_sided), strict=True):
        assert value == pytest.approx(exact, abs=12 / (samples * abs(epsilon)))


@pytest.mark.parametrize("sigma", [1.0, 0.4])
def test_the_limit_of_both_quotients_is_the_gradient_and_their_biases_are_of_order_one_and_two(sigma):
    """Theorem 1, by exact integrals: halving eps halves the one-sided bias and quarters the two-sided one."""
    for two_sided, order in ((False, 1), (True, 2)):
        biases = [
            [q - t for q, t in zip(logistic_quotients(sigma, eps, two_sided), logistic_truth(sigma), strict=True)]
            for eps in (1e-3, 5e-4)
        ]
        for coarse, fine in zip(*biases, strict=True):
            assert abs(fine) < 0.002**order
            assert coarse / fine == pytest.approx(2**order, rel=0.01)


def test_the_codes_own_biases_are_of_order_one_and_two():
    samples = 300_000
    for two_sided, order in ((False, 1), (True, 2)):
        coarse, fine = (
            [q - t for q, t in zip(by_quantiles(1.0, eps, two_sided, samples), logistic_truth(1.0), strict=True)]
            for eps in (0.4, 0.2)
        )
        for a, b in zip(coarse, fine, strict=True):
            assert a / b == pytest.approx(2**order, rel=0.15)


def simplex_quotients(mu, cost, sigma, epsilon, two_sided):
    """The same for the maximum of n scores and centred Gumbel noise, where all expectations have a closed form.

    E[y] is ``p = softmax(theta / sigma)`` and, since ``F = sigma logsumexp(theta / sigma) = <theta, p> + sigma
    E<gamma, y>``, the other is ``logsumexp(theta / sigma) - <theta, p> / sigma``.
    """

    def expectations(eps):
        scaled = (mu + eps * cost) / sigma
        p = scaled.softmax(-1)
        return p, scaled.logsumexp(-1) - (scaled * p).sum(-1)

    start = -epsilon if two_sided else 0.0
    return [(a - b) / (epsilon - start) for a, b in zip(expectations(epsilon), expectations(start), strict=True)]


MU5, COST5 = exactly([0.5, -0.2, 0.1, 0.9, -1.0]), exactly([1.0, 0.2, 0.6, 0.8, 0.0])


@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize("epsilon", [-1.0, 0.3, 3.0])
def test_estimates_on_the_simplex_have_the_expectation_of_the_closed_form(two_sided, epsilon):
    sigma = 0.8
    direct = DirectLoss(Simplex(5), Gumbel(), 50_000, two_sided=two_sided)
    found = direct.estimate(MU5.view(1, 1, 5), COST5, exactly([epsilon]), exactly([[sigma]]), generators(6))
    exact_mu, exact_sigma = simplex_quotients(MU5, COST5, sigma, epsilon, two_sided)
    assert float(((found.mu.value[0, 0] - exact_mu) / found.mu.standard_error[0, 0]).abs().max()) < 4.5
    assert float((found.sigma.value - exact_sigma).abs() / found.sigma.standard_error) < 4.5


def test_on_the_simplex_the_limit_is_the_gradient_of_the_expected_loss():
    mu, sigma = MU5.clone().requires_grad_(), exactly(0.8).requires_grad_()
    true = torch.autograd.grad((COST5 * (mu / sigma).softmax(-1)).sum(), (mu, sigma))
    for two_sided, order in ((False, 1), (True, 2)):
        coarse, fine = (simplex_quotients(MU5, COST5, 0.8, eps, two_sided) for eps in (0.02, 0.01))
        for a, b, t in zip(coarse, fine, true, strict=True):
            assert torch.allclose(b, t, atol=0.02**order)
            assert float((a - t).norm() / (b - t).norm()) == pytest.approx(2**order, rel=0.02)


def test_standard_errors_are_those_of_the_exact_variances():
    """A quotient is +-1/width with the probability that both ends differ, the same sign wherever they do.

    So at a small eps the two-sided variance, 1/(2 eps) times the density, is half the one-sided one, 1/eps times it.
    """
    samples, epsilon, variances = 40_000, 0.3, []
    for two_sided in (False, True):
        direct = DirectLoss(Matching(2), LogisticQuantiles(), samples, two_sided=two_sided)
        found = direct.estimate(
            exactly(MU2).view(1, 1, 2, 2), exactly(COST2), exactly([epsilon]), exactly([[1.0]]), generators(0)
        )
        mean, width = logistic_quotients(1.0, epsilon, two_sided)[0], 2 * epsilon if two_sided else epsilon
        variances.append(abs(mean) / width - mean**2)
        assert float(found.mu.standard_error[0, 0, 0, 0]) == pytest.approx((variances[-1] / samples) ** 0.5, rel=0.01)
    limits = [abs(logistic_quotients(1.0, 1e-4, two)[0]) / (2e-4 if two else 1e-4) for two in (False, True)]
    assert limits[0] / limits[1] == pytest.approx(2, rel=1e-3)
    assert variances[1] < variances[0] / 2


@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize("samples", [1, 7])
def test_an_estimate_is_the_gradient_for_the_same_draws(two_sided, samples):
    R, n, d = 2, 3, 4
    mu = torch.randn(R, n, d, d, generator=generators(0)[0], dtype=torch.float64, requires_grad=True)
    sigma = torch.rand(R, n, generator=generators(1)[0], dtype=torch.float64, requires_grad=True)
    cost, epsilon = torch.randn(d, d, generator=generators(2)[0], dtype=torch.float64), exactly([-3.0, 0.5])
    direct = DirectLoss(Matching(d), Gumbel(), samples, two_sided=two_sided)
    by_mu, by_sigma = gradient_of(direct(mu, cost, epsilon, some_loss, sigma, generators(3, 4)), mu, sigma)
    found = direct.estimate(mu, cost, epsilon, sigma, generators(3, 4))
    assert torch.allclose(found.mu.value, by_mu, atol=1e-14)
    assert torch.allclose(found.sigma.value, by_sigma, atol=1e-14)
    assert not found.mu.value.requires_grad
    if samples == 1:
        assert found.mu.standard_error.isnan().all()
        return
    for r, i in itertools.product(range(R), range(n)):
        gamma = torch.stack([Gumbel().sample((n, samples, d, d), g, torch.float64) for g in generators(3, 4)])[r, i]
        theta, step = (mu[r, i] + sigma[r, i] * gamma).detach(), epsilon[r] * cost
        start = Matching(d).argmax(theta - step if two_sided else theta)
        draws = (Matching(d).argmax(theta + step) - start).numpy() / float(epsilon[r] * (1 + two_sided))
        moments = (gamma.numpy() * draws).sum((1, 2))
        assert found.mu.standard_error[r, i].numpy() == pytest.approx(draws.std(0, ddof=1) / math.sqrt(samples))
        assert float(found.sigma.standard_error[r, i]) == pytest.approx(moments.std(ddof=1) / math.sqrt(samples))


def test_an_estimate_without_noise_has_no_error():
    mu = exactly(SCORES).view(1, 1, 3, 3)
    found = DirectLoss(Matching(3)).estimate(mu, paper_cost(), exactly([-12.0]))
    assert torch.equal(found.mu.value[0, 0], direct_gradient(SCORES, -12.0))
    assert not found.sigma.value.any()
    assert found.mu.standard_error.isnan().all()


def test_two_sides_are_the_mean_of_one_side_each_way():
    mu = torch.randn(2, 5, 4, 4, generator=generators(0)[0], dtype=torch.float64, requires_grad=True)
    sigma = torch.rand(2, 5, generator=generators(1)[0], dtype=torch.float64, requires_grad=True)
    cost, epsilon = torch.randn(4, 4, generator=generators(2)[0], dtype=torch.float64), exactly([0.7, -2.0])

    def gradients(step, two_sided):
        direct = DirectLoss(Matching(4), Gumbel(), 3, two_sided=two_sided)
        return gradient_of(direct(mu, cost, step, some_loss, sigma, generators(3, 4)), mu, sigma)

    for both, up, down, again in zip(
        gradients(epsilon, True),
        gradients(epsilon, False),
        gradients(-epsilon, False),
        gradients(-epsilon, True),
        strict=True,
    ):
        assert torch.allclose(both, (up + down) / 2, atol=1e-14)
        assert torch.equal(both, again)  # the sign of eps means nothing
        assert not torch.allclose(both, up)


def test_the_loss_of_two_sides_is_that_of_the_unmoved_maximiser():
    seen = []

    def loss(y, rows, items):
        seen.append(y.clone())
        return torch.ones(y.shape[:2], dtype=torch.float64)

    mu = torch.randn(1, 4, 3, 3, generator=generators(0)[0], dtype=torch.float64)
    DirectLoss(Matching(3), two_sided=True)(mu, paper_cost(), exactly([5.0]), loss)
    assert torch.equal(seen[0].squeeze(2), Matching(3).argmax(mu))
    assert not torch.equal(seen[0].squeeze(2), Matching(3).argmax(mu - 5 * paper_cost()))


@pytest.mark.parametrize("sign", [-1, 1])
def test_two_sides_grow_until_one_of_them_moves(sign):
    mu = torch.stack([stuck_scores(gap) for gap in (50.0, -50.0, 5.0)]).unsqueeze(1).requires_grad_()
    step = growing(mu, [12.0 * sign] * 3, two_sided=True)
    _, grown = times_until(12.0, 50.0)
    assert step.epsilon.tolist() == pytest.approx([sign * grown, sign * grown, 12.0 * sign], rel=1e-14)
    (gradient,) = gradient_of(step, mu)
    for r, used in enumerate((grown, grown, 12.0)):  # one end of two differs by one
        assert float(gradient[r, 0, 0, 0]) == pytest.approx(1 / (2 * used))


def test_one_generator_may_stand_alone_for_one_replica():
    mu, sigma = torch.zeros(1, 3, 2, 2).double().requires_grad_(), torch.ones(1, 3).double()
    direct = DirectLoss(Matching(2), Gumbel(), 2)
    one, many = (
        gradient_of(direct(mu, exactly(COST2), exactly([-1.0]), some_loss, sigma, given), mu)[0]
        for given in (generators(8)[0], generators(8))
    )
    assert torch.equal(one, many)
    assert one.any()
    with pytest.raises(ValueError, match="noise needs sigma and 2 generators, not 1"):
        direct(mu.expand(2, 3, 2, 2), exactly(COST2), -torch.ones(2), some_loss, sigma.expand(2, 3), generators(8)[0])


# Blocks


def evaluate_random(samples, sigma_value=0.7, two_sided=False):
    R, n, d = 5, 6, 4
    mu = torch.randn(R, n, d, d, generator=generators(0)[0], dtype=torch.float64, requires_grad=True)
    sigma = torch.full((R, n), sigma_value, dtype=torch.float64, requires_grad=True)
    cost = torch.rand(R, n, d, d, generator=generators(1)[0], dtype=torch.float64)
    target = torch.randn(R, n, d, d, generator=generators(2)[0], dtype=torch.float64)
    epsilon = exactly([-0.5, 1e-9, -3.0, 2.0, -1e-6])

    def loss(y, rows, items):
        return (y - target[rows, items].unsqueeze(2)).square().flatten(2).mean(-1)

    noise = None if samples is None else Gumbel()
    direct = DirectLoss(Matching(d), noise, samples or 1, growth=1.5, two_sided=two_sided)
    used = generators(*range(R)) if noise else ()
    step = direct(mu, cost, epsilon, loss, sigma if noise else None, used)
    gradients = gradient_of(step, mu, sigma) if noise else gradient_of(step, mu)
    return step, gradients


@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize("samples", [None, 1, 3])
@pytest.mark.parametrize("block", [1, 16 * 3 * 2, 16 * 3 * 6 * 2])
def test_blocks_of_replicas_and_items_change_nothing(monkeypatch, samples, block, two_sided):
    """One item at a time, two, or two replicas: a replica's generator goes through its items in order anyway, so
    gamma is the same up to the rounding of vector and scalar logarithms, and winners, losses and steps are the same.
    """
    step, gradients = evaluate_random(samples, two_sided=two_sided)
    monkeypatch.setattr(structgrad.losses.direct, "BLOCK", block)
    cut_step, cut_gradients = evaluate_random(samples, two_sided=two_sided)
    assert torch.equal(cut_step.epsilon, step.epsilon)
    assert (step.epsilon[[1, 4]].abs() > 1e-3).all()  # two replicas were stuck: the rule saw all their items
    assert torch.allclose(cut_step.loss, step.loss, rtol=1e-14)
    assert torch.equal(cut_gradients[0], gradients[0])
    for one, other in zip(cut_gradients[1:], gradients[1:], strict=True):
        assert torch.allclose(one, other, rtol=1e-12, atol=1e-12)


def test_a_cost_without_replicas_or_items_is_broadcast():
    mu = torch.randn(3, 2, 3, 3, generator=generators(0)[0], dtype=torch.float64, requires_grad=True)
    direct, epsilon = DirectLoss(Matching(3)), exactly([-12.0, 1.0, 3.0])
    whole = direct(mu, paper_cost().expand(3, 2, 3, 3), epsilon, some_loss)
    short = direct(mu, paper_cost(), epsilon, some_loss)
    assert torch.equal(gradient_of(short, mu)[0], gradient_of(whole, mu)[0])


def test_sigma_has_no_say_without_noise():
    mu = torch.randn(1, 2, 3, 3, generator=generators(0)[0], dtype=torch.float64, requires_grad=True)
    sigma = torch.ones(1, 2, dtype=torch.float64, requires_grad=True)
    step = DirectLoss(Matching(3))(mu, paper_cost(), exactly([-12.0]), some_loss, sigma)
    by_mu, by_sigma = gradient_of(step, mu, sigma)
    assert by_mu.any()
    assert not by_sigma.any()


# What is refused


def test_samples_need_noise():
    with pytest.raises(ValueError, match="samples must be 1 without noise, not 5"):
        DirectLoss(Matching(3), samples=5)


def test_growth_may_not_shrink():
    with pytest.raises(ValueError, match=r"growth must be at least 1, not 0\.9"):
        DirectLoss(Matching(3), growth=0.9)


@pytest.mark.parametrize(("sigma", "seeds"), [(None, (0, 1)), (torch.ones(2, 1), (0,)), (torch.ones(2, 1), ())])
def test_noise_needs_sigma_and_a_generator_each(sigma, seeds):
    direct = DirectLoss(Matching(3), Gumbel())
    with pytest.raises(ValueError, match="noise needs sigma and 2 generators"):
        direct(torch.zeros(2, 1, 3, 3), torch.zeros(3, 3), -torch.ones(2), some_loss, sigma, generators(*seeds))


@pytest.mark.parametrize("epsilon", [(1.0, 0.0), (1.0,), (1.0, 1.0, 1.0)])
def test_steps_of_zero_or_of_other_replicas_are_named(epsilon):
    with pytest.raises(ValueError, match=rf"epsilon of shape \({len(epsilon)},\) must hold 2 steps other than zero"):
        DirectLoss(Matching(3))(torch.zeros(2, 1, 3, 3), torch.zeros(3, 3), exactly(epsilon), some_loss)


def test_scores_of_another_size_are_named():
    with pytest.raises(ValueError, match=r"must end in \(3, 3\)"):
        DirectLoss(Matching(3))(torch.zeros(1, 1, 4, 4), torch.zeros(4, 4), -torch.ones(1), some_loss)


def test_finite_difference_takes_any_map_and_any_step():
    theta, direction = exactly([1.0, -2.0]), exactly([0.5, 3.0])
    base, moved = finite_difference(torch.sin, theta, direction, 1e-6)
    assert torch.allclose((moved - base) / 1e-6, theta.cos() * direction, atol=1e-5)
    assert torch.equal(base, theta.sin())
