"""The batched rankers against one linear model at a time, by hand (``benchmarks/plain_label_ranking.py``).

Both start from the same weights and see the same batches and the same noise: ours is trained first, and what it drew is
replayed. Whole trainings are compared in double precision, because ranks jump: two scores that single precision cannot
tell apart are ranked either way, and the model goes on from there. In single precision, which the experiments run in,
one step is compared, at scores that are exact.
"""

import functools

import numpy as np
import pytest
import torch
from plain_forms import plain_form
from trainings import mean, parameters

from structgrad.data.label_ranking import stand_in
from structgrad.experiments import REGISTRY
from structgrad.experiments.berthet.label_ranking.data import fold
from structgrad.experiments.berthet.label_ranking.rankers import FoldRankers
from structgrad.experiments.berthet.rankings.losses import LOSSES
from structgrad.layers import _draws
from structgrad.parallel import set_threads

NUMBERS = (0, 3, 9)  # outer folds
ARMS = {
    "perturbed_fy": {"epsilons": [0.01, 1.0]},
    "perturbed_squared": {"epsilons": [0.05, 1.0]},
    "perturbed_squared_plain": {"epsilons": [0.05, 1.0]},
    "squared": {},
    "blackbox_mirrored": {"lambdas": [16.0, 256.0]},  # over 32, powers of two: gradients that cancel do so exactly
    "blackbox_of_batch": {"lambdas": [16.0, 256.0]},
    "blackbox_tuned": {"lambdas": [1.0, 16.0]},
}


@pytest.fixture(scope="module")
def plain():
    return plain_form("plain_label_ranking")


@pytest.fixture(autouse=True)
def _one_thread():
    set_threads(1)
    yield
    torch.set_default_dtype(torch.float32)


class Descent:
    """In Adam's place: steps that are the gradients times the rates, also where these are next to nothing."""

    def __init__(self, grid):
        self.models, self.rates = grid.models, grid.rates

    def clear(self):
        for model in self.models:
            model.flat.grad = None

    zero_grad = clear

    @torch.no_grad()
    def step(self):
        for model, rate in zip(self.models, self.rates, strict=True):
            model.flat -= rate * model.flat.grad


class Ours:
    """Our rankers, trained for some epochs, and what the peer needs in order to do the same.

    The features are iris' moved by a little: it repeats its rows, and a sum over a batch that is zero but for rounding
    would be a step of Adam of its own. If ``exact``, they and the initial weights are small binary fractions instead,
    so that no order of sums and no fusing of a product with a sum changes a score, and one step of descent is all.
    """

    def __init__(self, monkeypatch, arm, epochs, exact=False):
        small = {"learning_rates": [0.01, 0.1], "inner_folds": 3, "samples": 4, "epochs": epochs}
        self.config = parameters(REGISTRY["berthet_2"], arm, "iris", small | ARMS[arm])
        data = stand_in("iris")
        self.folds = {number: fold(len(data.features), 11, number, 3) for number in NUMBERS}
        seeds = {role: [100 * i + number for number in NUMBERS] for i, role in enumerate(("init", "shuffle", "noise"))}
        loss = LOSSES[self.config.loss](self.config, data.ranks.shape[1])
        self.rankers = rankers = FoldRankers(self.config, data, list(self.folds.values()), loss, seeds)
        features = data.features + 0.01 * np.random.default_rng(1).random(data.features.shape)
        rankers.x, rankers.y = (torch.from_numpy(a).to(torch.get_default_dtype()) for a in (features, data.ranks))
        if exact:
            rankers.x, rankers.steps = (rankers.x * 16).round() / 16, 1
            rankers.grid.adam = Descent(rankers.grid)  # pyright: ignore[reportAttributeAccessIssue]
            for model in rankers.grid.models:
                model.flat.data.mul_(256).round_().div_(256)
        self.starts = [self.weights(number, fit, (0, 0)) for number in NUMBERS for fit in range(rankers.fits)]
        self.batches, self.draws = {number: [] for number in NUMBERS}, {number: [] for number in NUMBERS}
        self._record(monkeypatch)
        for _ in range(epochs):
            rankers.step()
        rankers.finish(torch.ones(len(NUMBERS), dtype=torch.bool))

    def _record(self, monkeypatch):
        order, draw = self.rankers._order, _draws.draw

        def recorded_order(replica):
            rows = order(replica)
            self.batches[NUMBERS[replica]].extend(rows.unbind(1))
            return rows

        def recorded_draw(noise, shape, generators, dtype):
            drawn = draw(noise, shape, generators, dtype)
            for generator, z in zip(generators, drawn, strict=True):
                self.draws[NUMBERS[self.rankers.noise.index(generator)]].append(z.clone())
            return drawn

        monkeypatch.setattr(self.rankers, "_order", recorded_order)
        monkeypatch.setattr(_draws, "draw", recorded_draw)

    def weights(self, number, fit, point):
        """One model's matrix, the bias its last row."""
        labels = self.rankers.y.shape[1]
        every = self.rankers.grid.models[point[0]]["scores"][NUMBERS.index(number) * self.rankers.fits + fit]
        return every[:, point[1] * labels : (point[1] + 1) * labels].detach().clone()

    def peer(self, plain):
        """The plain loop with our folds, initial weights, batches and noise."""
        ours = self

        class Replay(plain.Plain):
            trained = functools.cached_property(lambda self: {})

            def train(self, number, fit, point, rows):
                """Each model once: weights, validation and selection look at the same one."""
                key = (number, fit, point)
                if key not in self.trained:
                    self.trained[key] = super().train(number, fit, point, rows)
                return self.trained[key]

            def folds(self, number):
                cut = ours.folds[number]
                return [*zip(cut.fits, (*cut.validation, cut.test), strict=True)]

            def model(self, number, fit):
                model = super().model(number, fit)
                start = ours.starts[NUMBERS.index(number) * ours.rankers.fits + fit]
                with torch.no_grad():
                    model.weight.copy_(start[:-1].T)
                    model.bias.copy_(start[-1])
                return model

            def batches(self, number, fit, rows):
                assert len(ours.batches[number]) == self.steps
                for step in ours.batches[number]:
                    assert set(step[fit].tolist()) <= set(rows.tolist())
                    yield step[fit]

            def noise(self, number, fit, point):
                drawn = iter(ours.draws[number])

                def replay(shape):
                    z = next(drawn)[fit, :, point[0], point[1]]
                    assert z.shape == shape
                    return z

                return replay

        config, rankers = self.config, self.rankers
        x, y, loss = rankers.x, rankers.y, config.loss
        grid = list(config.learning_rates), list(rankers.grid.loss.values)
        replay = Replay(x, y, loss, *grid, config.epochs, config.inner_folds, config.samples)
        replay.steps = config.epochs * rankers.steps
        return replay


def assert_same_weights(ours, peer, tolerance, rounding=0.0):
    """Of every model, to ``tolerance`` times the furthest that a weight of it has moved, and to ``rounding``."""
    for number in NUMBERS:
        for fit in range(ours.rankers.fits):
            for point in ((r, v) for r in range(len(peer.rates)) for v in range(len(peer.values))):
                model = peer.train(number, fit, point, peer.folds(number)[fit][0])
                expected = torch.cat([model.weight.T, model.bias[None]]).detach()
                weights = ours.weights(number, fit, point)
                start = ours.starts[NUMBERS.index(number) * ours.rankers.fits + fit]
                moved = float((expected - start).abs().max())
                assert moved > 1e-4
                assert torch.allclose(weights, expected, rtol=0, atol=tolerance * moved + rounding)


@pytest.mark.parametrize("arm", ARMS)
def test_a_whole_training_ends_alike(plain, monkeypatch, arm):
    """Weights of every model, validation at every point, the selected point and the test score."""
    torch.set_default_dtype(torch.float64)
    ours = Ours(monkeypatch, arm, epochs=4)
    peer = ours.peer(plain)
    assert peer.steps == 4 * 4
    assert_same_weights(ours, peer, 1e-10)
    validation = ours.rankers.validation()
    for replica, number in enumerate(NUMBERS):
        for fit in range(peer.inner):
            for rate in range(len(peer.rates)):
                for value in range(len(peer.values)):
                    expected = peer.evaluate(number, fit, (rate, value))
                    assert float(validation[replica, fit, rate, value]) == pytest.approx(expected, abs=1e-12)
        (rate, value), best, test = peer.run(number)
        assert best == pytest.approx(float(validation[replica].mean(0).max()), abs=1e-12)
        result = ours.rankers.results[replica]
        assert result.final["learning_rate"] == peer.rates[rate]
        if ours.rankers.grid.loss.name:
            assert result.final[ours.rankers.grid.loss.name] == peer.values[value]
        assert mean(result.metrics["spearman"]).value == pytest.approx(test, abs=1e-12)
    assert len(validation.unique()) > 10, "points and folds must differ for the comparison to say anything"


@pytest.mark.parametrize("arm", ARMS)
def test_a_step_in_single_precision(plain, monkeypatch, arm):
    """Weights of at most 1 are rounded by 6e-8; the gradients behind the steps are right to some 1e-6."""
    ours = Ours(monkeypatch, arm, epochs=1, exact=True)
    assert ours.rankers.grid.models[0].flat.dtype == torch.float32
    monkeypatch.setattr(torch.optim, "Adam", torch.optim.SGD)
    assert_same_weights(ours, ours.peer(plain), 1e-5, rounding=1.2e-7)


def test_other_noise_or_another_sign_of_the_blackbox_step_is_noticed(plain, monkeypatch):
    """The comparison can fail."""
    torch.set_default_dtype(torch.float64)
    ours = Ours(monkeypatch, "perturbed_fy", epochs=1)
    for draws in ours.draws.values():
        draws[-1].neg_()
    with pytest.raises(AssertionError):
        assert_same_weights(ours, ours.peer(plain), 1e-3)
    ours = Ours(monkeypatch, "blackbox_tuned", epochs=1)
    peer = ours.peer(plain)
    peer.values = [-value for value in peer.values]
    with pytest.raises(AssertionError):
        assert_same_weights(ours, peer, 1e-3)
