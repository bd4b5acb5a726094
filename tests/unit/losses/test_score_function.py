"""The score-function surrogate against expected gradients by enumeration of all tuples of draws."""

import itertools
import math

import pytest
import torch

from structgrad.estimate import mean_of
from structgrad.losses.score_function import NVIL, MovingAverage, ScoreFunction

PRICES = torch.tensor([0.3, 2.0, 5.5], dtype=torch.float64)  # of three categories
LOGITS = torch.tensor([0.2, -0.7, 0.4], dtype=torch.float64)
SLOPE = 1.7


def loss_of(draws, slope):
    """A loss that has a gradient of its own, in the parameter of a "decoder"."""
    return PRICES[draws] * slope + slope**2


def parameters():
    return LOGITS.clone().requires_grad_(), torch.tensor(SLOPE, dtype=torch.float64, requires_grad=True)


def parts():
    """The two parts of the true gradient of E[loss]: of the density, in the logits, and of the loss, in the slope."""
    logits, slope = parameters()
    expected = (logits.softmax(-1) * loss_of(torch.arange(3), slope)).sum()
    return torch.autograd.grad(expected, (logits, slope))


def expectation(call, count):
    """The expected gradient of ``call(draws, logits, slope)`` over all tuples of ``count`` independent draws."""
    probabilities = LOGITS.softmax(-1)
    in_logits, in_slope = torch.zeros(3, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for draws in itertools.product(range(3), repeat=count):
        weight = math.prod(float(probabilities[x]) for x in draws)
        logits, slope = parameters()
        gradient = torch.autograd.grad(call(torch.tensor(draws), logits, slope), (logits, slope))
        in_logits += weight * gradient[0]
        in_slope += weight * gradient[1]
    return in_logits, in_slope


def surrogate(module, draws, logits, slope, **options):
    return module(loss_of(draws, slope), logits.log_softmax(-1)[draws], **options)


def variance(baseline, count, shift=0.0):
    """The exact variance, summed over coordinates, of the mean of ``count`` draws' gradients."""
    probabilities, total, square = LOGITS.softmax(-1), torch.zeros(3, dtype=torch.float64), 0.0
    module = ScoreFunction(baseline)
    for draws in itertools.product(range(3), repeat=count):
        weight = math.prod(float(probabilities[x]) for x in draws)
        logits = LOGITS.clone().requires_grad_()
        picked = torch.tensor(draws)
        module(PRICES[picked] + shift, logits.log_softmax(-1)[picked]).mean().backward()
        assert logits.grad is not None
        total += weight * logits.grad
        square += weight * float(logits.grad.square().sum())
    return square - float(total.square().sum())


@pytest.mark.parametrize("baseline", ["ema", "batch", "leave_one_out", None])
def test_the_value_is_the_loss(baseline):
    generator = torch.Generator().manual_seed(0)
    loss, log_prob = torch.randn(2, 4, 5, generator=generator), torch.randn(2, 4, 5, generator=generator)
    assert torch.equal(ScoreFunction(baseline)(loss, log_prob.requires_grad_()), loss)


@pytest.mark.parametrize(("baseline", "count"), [(None, 1), (None, 2), ("leave_one_out", 2), ("leave_one_out", 3)])
def test_the_expected_gradient_is_the_true_one(baseline, count):
    module = ScoreFunction(baseline)
    found = expectation(lambda *arguments: surrogate(module, *arguments).mean(), count)
    for part, true in zip(found, parts(), strict=True):
        assert torch.allclose(part, true, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_batch_baseline_shrinks_the_score_part_by_its_own_share(count):
    found = expectation(lambda *arguments: surrogate(ScoreFunction("batch"), *arguments).mean(), count)
    in_logits, in_slope = parts()
    assert torch.allclose(found[0], (1 - 1 / count) * in_logits, rtol=1e-13, atol=1e-14)
    assert torch.allclose(found[1], in_slope, rtol=1e-13)


@pytest.mark.parametrize("decay", [0.99, 0.5])
@pytest.mark.parametrize("count", [1, 3])
def test_the_moving_average_shrinks_the_score_part_by_its_own_share(count, decay):
    def call(*arguments):
        module = ScoreFunction("ema", decay)
        assert module.average is not None
        module.average.value.fill_(7.3)  # whatever the past was
        return surrogate(module, *arguments).mean()

    found = expectation(call, count)
    in_logits, in_slope = parts()
    assert torch.allclose(found[0], (1 - (1 - decay) / count) * in_logits, rtol=1e-12, atol=1e-13)
    assert torch.allclose(found[1], in_slope, rtol=1e-13)


def test_leave_one_out_takes_the_mean_of_the_other_samples_of_the_item():
    generator = torch.Generator().manual_seed(1)
    loss = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    log_prob = torch.zeros(4, 3, dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(ScoreFunction("leave_one_out")(loss, log_prob).sum(), log_prob)
    for k, i in itertools.product(range(4), range(3)):
        others = [float(loss[j, i]) for j in range(4) if j != k]
        assert float(found[k, i]) == pytest.approx(float(loss[k, i]) - sum(others) / 3, abs=1e-14)
    turned = torch.autograd.grad(ScoreFunction("leave_one_out")(loss.T, log_prob.T, dim=1).sum(), log_prob)[0]
    assert torch.equal(turned, found)
    turned = torch.autograd.grad(ScoreFunction("leave_one_out")(loss.T, log_prob.T, dim=-1).sum(), log_prob)[0]
    assert torch.equal(turned, found)


@pytest.mark.parametrize("baseline", ["ema", "batch", "leave_one_out", None])
def test_the_gradient_of_the_loss_itself_is_not_scaled(baseline):
    loss = torch.tensor([1.0, 4.0], dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(ScoreFunction(baseline)(loss, torch.zeros(2).double()).sum(), loss)
    assert found.tolist() == [1, 1]


def test_leave_one_out_does_not_see_a_constant_in_the_losses():
    """Without a baseline the constant's square is in the variance."""
    left_out = variance("leave_one_out", 2)
    assert variance("leave_one_out", 2, shift=100.0) == pytest.approx(left_out, rel=1e-9)
    assert variance(None, 2, shift=100.0) > 100 * left_out


@pytest.mark.parametrize("baseline", ["ema", "leave_one_out", None])
def test_gradients_of_elements_are_draws_of_the_estimate(baseline):
    """One row of logits per item: their gradients have the true mean within the standard error."""
    items, samples = 20_000, 4
    generator = torch.Generator().manual_seed(3)
    draws = torch.multinomial(LOGITS.softmax(-1), samples * items, True, generator=generator).view(samples, items)
    rows = LOGITS.expand(items, 3).clone().requires_grad_()
    log_prob = rows.log_softmax(-1).expand(samples, items, 3).gather(-1, draws.unsqueeze(-1)).squeeze(-1)
    loss = ScoreFunction(baseline)(loss_of(draws, torch.tensor(SLOPE).double()), log_prob)
    (gradients,) = torch.autograd.grad(loss.mean(0).sum(), rows)
    found = mean_of(gradients, 0)
    assert float(((found.value - parts()[0]) / found.standard_error).abs().max()) < 5


def test_the_moving_average_starts_at_zero_and_moves_before_it_is_used():
    module = ScoreFunction("ema", 0.9)
    log_prob = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    by_hand = 0.0
    for loss in ([2.0, 4.0], [1.0, -3.0], [10.0, 10.0]):
        losses = torch.tensor(loss, dtype=torch.float64)
        by_hand = 0.9 * by_hand + 0.1 * sum(loss) / 2
        (weights,) = torch.autograd.grad(module(losses, log_prob).sum(), log_prob)
        assert weights.tolist() == pytest.approx([x - by_hand for x in loss], rel=1e-14)


def test_the_moving_average_stands_in_evaluation_mode():
    average = MovingAverage(0.5)
    assert float(average(torch.tensor([4.0]))) == 2
    average.eval()
    assert float(average(torch.tensor([100.0]))) == 2
    average.train()
    assert float(average(torch.empty(0))) == 2
    assert float(average(torch.tensor([4.0]))) == 3


@pytest.mark.parametrize("make", [ScoreFunction, lambda: NVIL(torch.nn.Linear(2, 1))])
def test_the_moving_average_is_checkpointed(make):
    generator = torch.Generator().manual_seed(4)
    features = torch.randn(5, 2, generator=generator)
    extra = (features,) if make is not ScoreFunction else ()
    first, other = make(), make()
    first(torch.randn(5, generator=generator), torch.zeros(5), *extra)
    other.load_state_dict(first.state_dict())
    assert other.average is not None
    assert float(other.average.value) != 0
    losses, log_prob = torch.randn(5, generator=generator), torch.zeros(5, requires_grad=True)
    weights = [
        torch.autograd.grad(result if isinstance(result, torch.Tensor) else result.surrogate, log_prob, torch.ones(5))[
            0
        ]
        for result in (module(losses, log_prob, *extra) for module in (first, other))
    ]
    assert torch.equal(*weights)


def test_other_baselines_keep_nothing():
    for baseline in ("batch", "leave_one_out", None):
        assert not ScoreFunction(baseline).state_dict()


def test_the_average_keeps_the_dtype_of_the_losses_out():
    """Float32 losses give float32 results, the average itself is kept in float64."""
    module = ScoreFunction("ema")
    assert module(torch.ones(2), torch.ones(2)).dtype == torch.float32
    assert module.average is not None
    assert module.average.value.dtype == torch.float64


# NVIL


class Table(torch.nn.Module):
    """A number for each of two inputs."""

    def __init__(self, *numbers):
        super().__init__()
        self.numbers = torch.nn.Parameter(torch.tensor(numbers, dtype=torch.float64))

    def forward(self, features):
        return self.numbers[features].unsqueeze(-1)


def test_nvil_regresses_on_the_losses_less_their_average():
    table = Table(0.5, -1.0)
    nvil = NVIL(table, 0.9)
    loss = torch.tensor([[3.0, 8.0], [5.0, 2.0]], dtype=torch.float64, requires_grad=True)  # two samples of two items
    log_prob = torch.zeros(2, 2, dtype=torch.float64, requires_grad=True)
    terms = nvil(loss, log_prob, torch.tensor([0, 1]))
    average = 0.1 * 18 / 4
    targets = [[3 - average, 8 - average], [5 - average, 2 - average]]
    wanted = torch.tensor([[(t - 0.5) ** 2, (u + 1) ** 2] for t, u in targets], dtype=torch.float64)
    assert torch.allclose(terms.regression, wanted, rtol=1e-14)
    assert torch.equal(terms.surrogate, loss)
    (slope,) = torch.autograd.grad(terms.regression.sum(), table.numbers, retain_graph=True)
    assert slope.tolist() == pytest.approx(
        [sum(-2 * (t - 0.5) for t, _ in targets), sum(-2 * (u + 1) for _, u in targets)]
    )
    # the regression leaves the losses alone, the surrogate the network; the score gets the rest of the regression
    assert torch.autograd.grad(terms.regression.sum(), loss, retain_graph=True, allow_unused=True) == (None,)
    weights, network = torch.autograd.grad(
        terms.surrogate.sum(), (log_prob, table.numbers), retain_graph=True, allow_unused=True
    )
    assert network is None
    assert torch.allclose(weights.square(), wanted, rtol=1e-14)


def test_nvil_learns_the_mean_loss_of_each_input():
    table = Table(0.0, 0.0)
    nvil = NVIL(table, 0.0)
    loss = torch.tensor([[1.0, 10.0], [3.0, 14.0]], dtype=torch.float64)
    optimiser = torch.optim.SGD(nvil.parameters(), lr=0.2)
    for _ in range(60):
        optimiser.zero_grad()
        nvil(loss, torch.zeros(2, 2).double(), torch.tensor([0, 1])).regression.mean().backward()
        optimiser.step()
    mean = float(loss.mean())
    assert table.numbers.tolist() == pytest.approx([2 - mean, 12 - mean], abs=1e-4)


def test_the_features_get_the_gradient_of_the_regression_alone():
    network = torch.nn.Linear(2, 1).double()
    features = torch.randn(3, 2, generator=torch.Generator().manual_seed(5), dtype=torch.float64, requires_grad=True)
    terms = NVIL(network)(torch.ones(3).double(), torch.zeros(3).double(), features)
    assert torch.autograd.grad(terms.regression.sum(), features)[0].any()
    assert not terms.surrogate.requires_grad


@pytest.mark.parametrize("count", [1, 3])
def test_the_expected_gradient_of_nvil_is_the_true_one_up_to_the_averages_share(count):
    decay = 0.9
    features = torch.tensor([0, 1, 0])[:count]

    def call(*arguments):
        nvil = NVIL(Table(0.4, -2.0), decay)
        nvil.average.value.fill_(3.0)
        return surrogate(nvil, *arguments, features=features).surrogate.mean()

    found = expectation(call, count)
    in_logits, in_slope = parts()
    assert torch.allclose(found[0], (1 - (1 - decay) / count) * in_logits, rtol=1e-12, atol=1e-13)
    assert torch.allclose(found[1], in_slope, rtol=1e-13)


# What is refused


def test_an_unknown_baseline_is_named():
    with pytest.raises(ValueError, match=r"baseline must be one of .*, not 'mean'"):
        ScoreFunction("mean")


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_a_decay_out_of_its_range_is_named(decay):
    with pytest.raises(ValueError, match="decay must lie in"):
        MovingAverage(decay)


def test_shapes_that_differ_are_named():
    with pytest.raises(ValueError, match=r"loss \(3,\) and log_prob \(3, 1\) differ"):
        ScoreFunction()(torch.zeros(3), torch.zeros(3, 1))
    with pytest.raises(ValueError, match=r"loss \(3,\) and log_prob \(2,\) differ"):
        NVIL(torch.nn.Linear(2, 1))(torch.zeros(3), torch.zeros(2), torch.zeros(3, 2))


@pytest.mark.parametrize("shape", [(1, 5), ()])
def test_one_sample_has_no_others(shape):
    with pytest.raises(ValueError, match=r"needs two samples or more along dimension 0"):
        ScoreFunction("leave_one_out")(torch.zeros(shape), torch.zeros(shape))


@pytest.mark.parametrize("shape", [(3, 2), (1, 2), (2, 3, 2)])
def test_predictions_that_do_not_fit_the_losses_are_named(shape):
    """One item's baseline is not stretched over others, nor an item's over samples in the wrong place."""
    with pytest.raises(ValueError, match="does not fit losses"):
        NVIL(torch.nn.Linear(2, 1))(torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(shape))
