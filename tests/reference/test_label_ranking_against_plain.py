"""The batched learner against one linear model at a time, by hand (``benchmarks/plain_label_ranking.py``).

Both start from the same weights and see the same batches and the same noise: ours is trained first, and what it drew is
replayed. Whole trainings are compared in double precision, because ranks jump: two scores that single precision cannot
tell apart are ranked either way, and the model goes on from there. A few steps are compared in single precision, which
the experiments run in.
"""

import functools
import importlib.util
from pathlib import Path

import pytest
import torch

from structgrad.data.label_ranking import stand_in
from structgrad.experiments import REGISTRY
from structgrad.experiments.label_ranking.data import fold
from structgrad.experiments.label_ranking.learner import Learner
from structgrad.experiments.label_ranking.objectives import objective
from structgrad.layers import _draws
from structgrad.parallel import set_threads

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "plain_label_ranking.py"
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
    spec = importlib.util.spec_from_file_location("plain_label_ranking", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _one_thread():
    set_threads(1)
    yield
    torch.set_default_dtype(torch.float32)


class Ours:
    """Our learner, trained for some epochs, and what the peer needs in order to do the same."""

    def __init__(self, monkeypatch, arm, epochs):
        small = {"learning_rates": [0.01, 0.1], "inner_folds": 3, "samples": 4, "epochs": epochs}
        self.config = REGISTRY["berthet_2"].config_of(arm) | small | ARMS[arm]
        data = stand_in("iris")
        self.folds = {number: fold(len(data.features), 11, number, 3) for number in NUMBERS}
        seeds = {role: [100 * i + number for number in NUMBERS] for i, role in enumerate(("init", "shuffle", "noise"))}
        loss = objective(self.config, data.ranks.shape[1])
        self.learner = learner = Learner(self.config, data, list(self.folds.values()), loss, seeds)
        learner.x, learner.y = (torch.from_numpy(a).to(torch.get_default_dtype()) for a in (data.features, data.ranks))
        self.starts = [self.weights(number, fit, (0, 0)) for number in NUMBERS for fit in range(learner.fits)]
        self.batches, self.draws = {number: [] for number in NUMBERS}, {number: [] for number in NUMBERS}
        self._record(monkeypatch)
        for _ in range(epochs):
            learner.step()
        learner.finish(torch.ones(len(NUMBERS), dtype=torch.bool))

    def _record(self, monkeypatch):
        order, draw = self.learner._order, _draws.draw

        def recorded_order(replica):
            found = order(replica)
            self.batches[NUMBERS[replica]].extend(found.unbind(1))
            return found

        def recorded_draw(noise, shape, generators, dtype):
            found = draw(noise, shape, generators, dtype)
            for generator, z in zip(generators, found, strict=True):
                self.draws[NUMBERS[self.learner.noise.index(generator)]].append(z.clone())
            return found

        monkeypatch.setattr(self.learner, "_order", recorded_order)
        monkeypatch.setattr(_draws, "draw", recorded_draw)

    def weights(self, number, fit, point):
        """One model's matrix, the bias its last row."""
        labels = self.learner.y.shape[1]
        every = self.learner.grid.models[point[0]]["scores"][NUMBERS.index(number) * self.learner.fits + fit]
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
                start = ours.starts[NUMBERS.index(number) * ours.learner.fits + fit]
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

        config, learner = self.config, self.learner
        x, y, loss = learner.x, learner.y, config["loss"]
        grid = config["learning_rates"], list(learner.grid.objective.values)
        return Replay(x, y, loss, *grid, config["epochs"], config["inner_folds"], config["samples"])


def assert_same_weights(ours, peer, tolerance):
    for number in NUMBERS:
        for fit in range(ours.learner.fits):
            for point in ((r, v) for r in range(len(peer.rates)) for v in range(len(peer.values))):
                model = peer.train(number, fit, point, peer.folds(number)[fit][0])
                expected = torch.cat([model.weight.T, model.bias[None]])
                found = ours.weights(number, fit, point)
                assert torch.allclose(found, expected, rtol=0, atol=tolerance * peer.rates[point[0]])
                start = ours.starts[NUMBERS.index(number) * ours.learner.fits + fit]
                assert (found - start).abs().max() > 0.5 * peer.rates[point[0]]


@pytest.mark.parametrize("arm", ARMS)
def test_a_whole_training_ends_alike(plain, monkeypatch, arm):
    """Weights of every model, validation at every point, the selected point and the test score."""
    torch.set_default_dtype(torch.float64)
    ours = Ours(monkeypatch, arm, epochs=4)
    peer = ours.peer(plain)
    assert peer.steps == 4 * 4
    assert_same_weights(ours, peer, 1e-9)
    validation = ours.learner.validation()
    for replica, number in enumerate(NUMBERS):
        for fit in range(peer.inner):
            for rate in range(len(peer.rates)):
                for value in range(len(peer.values)):
                    expected = peer.evaluate(number, fit, (rate, value))
                    assert float(validation[replica, fit, rate, value]) == pytest.approx(expected, abs=1e-12)
        (rate, value), mean, test = peer.run(number)
        assert mean == pytest.approx(float(validation[replica].mean(0).max()), abs=1e-12)
        result = ours.learner.results[replica]
        assert result["final"]["learning_rate"] == peer.rates[rate]
        if ours.learner.grid.objective.name:
            assert result["final"][ours.learner.grid.objective.name] == peer.values[value]
        report = result["metrics"]["spearman"]
        assert report["sum"] / report["count"] == pytest.approx(test, abs=1e-12)
    assert len(validation.unique()) > 10, "points and folds must differ for the comparison to say anything"


@pytest.mark.parametrize("arm", ARMS)
def test_some_steps_in_single_precision(plain, monkeypatch, arm):
    """One epoch, four steps. The weights, of size 1, are rounded to 6e-8, which is 6e-6 of the smaller learning rate.
    Beside it, a step of Adam is the rate times a ratio of gradients, which are right to some 1e-6, less where the rows
    of a batch cancel. So 1e-4 of the rate: another sign of one gradient would be 1."""
    ours = Ours(monkeypatch, arm, epochs=1)
    assert ours.learner.grid.models[0].flat.dtype == torch.float32
    assert_same_weights(ours, ours.peer(plain), 1e-4)


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
