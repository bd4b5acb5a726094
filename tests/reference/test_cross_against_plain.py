"""The methods of the comparison at equal calls against plain forms: one trial, one example, one draw at a time.

The plain forms know nothing of the library: a maximiser tries all vertices, a projection is scipy's search, noise is
replayed from a generator of the same seed. First the losses and their gradients in the scores, in double precision, for
every method on every task; then whole trainings of some steps, with a network and an optimiser of torch's.
"""

import functools
from itertools import pairwise

import pytest
import torch
from cross_tasks import CELLS, HIDDEN, small_task
from scipy.optimize import minimize
from trainings import parameters

from structgrad.experiments import REGISTRY
from structgrad.experiments.ours.cross.methods import METHODS
from structgrad.experiments.ours.cross.sort import ROUNDS
from structgrad.experiments.ours.cross.trials import Trials
from structgrad.noise import Gumbel, Normal

CROSS = REGISTRY["cross"]
SAMPLES, ITEMS, SEEDS = 3, 4, (11, 12)  # of two trials
POINT = {"noise": [0.5, 1.5], "step": [2.0, 4.0], "temperature": [0.5, 1.25]}
BOXES = {"noise": [1.0, 2.0], "step": [2.0, 4.0], "temperature": [0.5, 1.25], "learning_rate": [0.25, 0.5]}


class Plain:
    """One trial of a method: ``value`` and the gradients of an example's loss in its scores and in the magnitude."""

    def __init__(self, method, kind, vertices, point):
        self.method, self.kind, self.vertices, self.point = method, kind, vertices, point

    def argmax(self, theta):
        """By trial of all vertices. For paths what is above zero counts as zero, and fewer cells go before more."""
        paths = self.kind == "paths"
        values = self.vertices.flatten(1) @ (theta.clamp(max=0.0) if paths else theta).flatten()
        values = values - 1e-12 * self.vertices.flatten(1).sum(-1) if paths else values
        return self.vertices[int(values.argmax())]

    def __call__(self, theta, y, cost, magnitude, draws):
        solve = {
            "fenchel_young": self.fenchel_young, "squared": self.squared, "reinforce": self.reinforce,
            "direct": self.direct, "blackbox": self.blackbox, "stochastic_softmax": self.stochastic_softmax,
        }[self.method]  # fmt: skip
        return solve(theta, y, cost, magnitude, draws)

    def perturbed(self, theta, z):
        sigma = self.point["noise"]
        return theta * torch.exp(sigma * z - sigma**2 / 2) if self.kind == "paths" else theta + sigma * z

    def score(self, theta, z):
        """The gradient of the log density of the perturbed scores in theta."""
        return z / (self.point["noise"] * (theta if self.kind == "paths" else 1.0))

    def fenchel_young(self, theta, y, cost, magnitude, draws):
        value, gradient = -(theta * y).sum(), -y.clone()
        for z in draws:
            scores = self.perturbed(theta, z)
            best = self.argmax(scores)
            value += (scores * best).sum() / len(draws)
            gradient += (scores / theta * best if self.kind == "paths" else best) / len(draws)
        return value, gradient, 0.0

    def by_parts(self, theta, direction, solutions, draws):
        """``1/M sum_m <direction, y_m - mean of the others> score_m``."""
        total = torch.zeros_like(theta)
        for m, (best, z) in enumerate(zip(solutions, draws, strict=True)):
            others = [other for k, other in enumerate(solutions) if k != m]
            gap = best - sum(others) / len(others)
            total += (direction * gap).sum() * self.score(theta, z) / len(draws)
        return total

    def squared(self, theta, y, cost, magnitude, draws):
        solutions = [self.argmax(self.perturbed(theta, z)) for z in draws]
        gap = sum(solutions) / len(solutions) - y
        return 0.5 * (gap * gap).sum(), self.by_parts(theta, gap, solutions, draws), 0.0

    def reinforce(self, theta, y, cost, magnitude, draws):
        solutions = [self.argmax(self.perturbed(theta, z)) for z in draws]
        value = sum((cost * best).sum() for best in solutions) / len(solutions)
        return value, self.by_parts(theta, cost, solutions, draws), 0.0

    def direct(self, theta, y, cost, magnitude, draws):
        step, gradient, in_magnitude = -self.point["step"], torch.zeros_like(theta), 0.0
        for z in draws:
            scores = theta + magnitude * z
            gap = (self.argmax(scores + step * cost) - self.argmax(scores)) / step
            gradient += gap / len(draws)
            in_magnitude += float((z * gap).sum()) / len(draws)
        return None, gradient, in_magnitude  # its value means nothing

    def blackbox(self, theta, y, cost, magnitude, draws):
        step, best = self.point["step"], self.argmax(theta)
        return (cost * best).sum(), (best - self.argmax(theta - step * cost)) / step, 0.0

    def stochastic_softmax(self, theta, y, cost, magnitude, draws):
        soften = {"sort": _sinkhorn, "rank": _projected, "neighbours": functools.partial(_marginals, self.vertices)}
        leaf, temperature = theta.clone().requires_grad_(), self.point["temperature"]
        values = torch.stack([(cost * soften[self.kind]((leaf + z) / temperature)).sum() for z in draws])
        value = values.mean()
        return value.detach(), torch.autograd.grad(value, leaf)[0], 0.0


def _sinkhorn(scores):
    for _ in range(ROUNDS):
        scores = scores - scores.logsumexp(1, keepdim=True)
        scores = scores - scores.logsumexp(0, keepdim=True)
    return scores.exp()


def _marginals(vertices, scores):
    weights = torch.softmax(vertices @ scores, 0)
    return weights @ vertices


def _projected(scores):
    """The nearest point of the permutahedron of 0, 1, 2, on whose face it lies; the derivative is that of the face."""

    def distance(x):
        return ((x - scores.detach().numpy()) ** 2).sum()

    pairs = [(0, 1), (0, 2), (1, 2)]  # every one at least 0, every pair at least 0 + 1
    bounds = [*({"type": "ineq", "fun": lambda x, i=i: x[i]} for i in range(3))]
    bounds += [{"type": "ineq", "fun": lambda x, i=i, j=j: x[i] + x[j] - 1} for i, j in pairs]
    whole = {"type": "eq", "fun": lambda x: x.sum() - 3}
    x = minimize(distance, [1.0, 1.0, 1.0], constraints=[*bounds, whole], options={"ftol": 1e-15}, method="SLSQP").x
    tight = [torch.ones(3, dtype=torch.float64)]
    tight += [torch.eye(3, dtype=torch.float64)[i] for i in range(3) if abs(x[i]) < 1e-5]
    tight += [torch.eye(3, dtype=torch.float64)[[i, j]].sum(0) for i, j in pairs if abs(x[i] + x[j] - 1) < 1e-5]
    normals = torch.stack(tight)
    projector = torch.eye(3, dtype=torch.float64) - torch.linalg.pinv(normals) @ normals
    return torch.from_numpy(x) + projector @ (scores - scores.detach())


def plain_of(method, kind, task, trial):
    point = {name: values[trial] for name, values in POINT.items()}
    return Plain(method, kind, task.polytope.vertices(), point)


def noise_of(method, event, seed, dtype, generator=None):
    """What a trial draws in a step, ``(items, samples, *event)``."""
    noise = Gumbel(centred=False) if method == "stochastic_softmax" else Normal()
    generator = generator or torch.Generator().manual_seed(seed)
    return noise.sample((ITEMS, SAMPLES, *event), generator, dtype).double()


@pytest.mark.parametrize(("kind", "method"), CELLS)
def test_losses_and_their_gradients(kind, method):
    with small_task(kind) as task:
        batch = task.batch(ITEMS, [torch.Generator().manual_seed(seed) for seed in (3, 4)])
        theta = 1.5 * torch.randn(batch.y.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        theta = (-theta.abs() - 0.1 if kind == "paths" else theta).requires_grad_()
        magnitudes = torch.tensor([[0.75], [1.25]], dtype=torch.float64, requires_grad=True)
        learner = METHODS[method](task, POINT, SAMPLES)
        loss = learner(theta, batch, magnitudes, [torch.Generator().manual_seed(seed) for seed in SEEDS])
        gradient, in_magnitude = torch.autograd.grad(loss.sum(), (theta, magnitudes), allow_unused=True)
        loss = loss.detach()
        for trial, seed in enumerate(SEEDS):
            plain, expected = plain_of(method, kind, task, trial), []
            draws = noise_of(method, task.polytope.event_shape, seed, torch.float64)
            for item in range(ITEMS):
                y, cost = batch.y[trial, item].double(), batch.cost[trial, item].double()
                given = theta.detach()[trial, item], y, cost, float(magnitudes.detach()[trial]), draws[item]
                value, slope, of_magnitude = plain(*given)
                expected.append(of_magnitude)
                if value is not None:
                    assert float(loss[trial, item]) == pytest.approx(float(value), abs=1e-6)
                assert torch.allclose(gradient[trial, item], slope, rtol=1e-6, atol=1e-6)
            assert gradient[trial].abs().sum() > 0.1
            assert sum(expected) == pytest.approx(0.0 if in_magnitude is None else float(in_magnitude[trial]))
            assert (in_magnitude is not None) == (method == "direct")


@pytest.mark.parametrize(("kind", "method"), CELLS)
def test_a_training_of_some_steps(kind, method):
    """Weights and the learned magnitude, from the same initial ones, batches and noise."""
    calls = {"direct": 2 * SAMPLES, "blackbox": 2}.get(method, SAMPLES)
    changes = {"batch_size": ITEMS, "samples": SAMPLES, "hidden": HIDDEN, "budget": 4 * ITEMS * calls, "points": 1}
    boxes = {name: BOXES[name] for name in CROSS.config_of(method)["search"]}
    config = parameters(CROSS, method, "rank iris", changes | {"search": boxes})
    seeds = {role: [10 * place, 10 * place + 1] for place, role in enumerate(Trials.roles)}
    with small_task(kind) as task:
        trials = Trials(config, task, seeds)
        trials.adam = Descent(trials.adam)  # pyright: ignore[reportAttributeAccessIssue]
        starts = [model.flat.detach().clone() for model in trials.networks.models]
        peers = [_Peer(trials, trial, kind) for trial in range(2)]
        for _ in range(4):
            batch = task.batch(ITEMS, [peer.draws for peer in peers])
            for trial, peer in enumerate(peers):
                peer.step(batch, trial)
            trials.step()
        for model, start, peer in zip(trials.networks.models, starts, peers, strict=True):
            moved = float((peer.flat() - start).abs().max())
            assert moved > 1e-3
            assert torch.allclose(model.flat.detach(), peer.flat(), rtol=0, atol=1e-3 * moved)


class Descent:
    """In Adam's place: steps that are the gradients times the rates, also where these are zero but for rounding."""

    def __init__(self, adam):
        self.models, self.rates = adam.models, adam.rates

    def clear(self):
        for model in self.models:
            model.flat.grad = None

    @torch.no_grad()
    def step(self):
        for model, rate in zip(self.models, self.rates, strict=True):
            model.flat -= rate * model.flat.grad


class _Peer:
    """One trial by hand: torch's layers and gradient descent, the loss's gradient in the scores from the plain form."""

    def __init__(self, trials, trial, kind):
        self.kind, self.method, self.task = kind, trials.config.method, trials.task
        model, widths = trials.networks.models[trial], trials.task.widths
        self.layers = [torch.nn.Linear(i, o, dtype=torch.float64) for i, o in pairwise(widths)]
        for place, layer in enumerate(self.layers):
            weight = model[f"layer_{place}"].detach()[0].double()
            layer.weight.data, layer.bias.data = weight[:-1].T.contiguous(), weight[-1].clone()
        self.raw = model["magnitude"].detach()[0].double().clone().requires_grad_()
        learned = [self.raw, *(each for layer in self.layers for each in layer.parameters())]
        self.optimizer = torch.optim.SGD(learned, trials.points[trial]["learning_rate"])
        self.draws = torch.Generator().manual_seed(trials.draws[trial].initial_seed())
        self.noise = torch.Generator().manual_seed(trials.noise[trial].initial_seed())
        self.plain = Plain(self.method, kind, self.task.polytope.vertices(), trials.points[trial])

    def network(self, x):
        for layer in self.layers[:-1]:
            x = torch.relu(layer(x))
        return self.layers[-1](x)

    def scores(self, batch, trial, item):
        x = batch.inputs[0][trial, item].double()
        match self.kind:
            case "sort":
                return torch.stack([self.network(number.view(1)) for number in x])
            case "rank":
                return self.network(x)
            case "paths":
                costs = torch.stack([torch.nn.functional.softplus(self.network(cell)) for cell in x])
                costs = costs.view(self.task.polytope.event_shape) + 0.01
                return -costs / costs.mean()
        image = self.network(x)
        return torch.stack([-(self.network(c.double()) - image).square().sum() for c in batch.inputs[1][trial]])

    def step(self, batch, trial):
        self.optimizer.zero_grad()
        event = self.task.polytope.event_shape
        draws = noise_of(self.method, event, 0, torch.float32, self.noise) if self.method != "blackbox" else None
        magnitude, total, in_magnitude = torch.nn.functional.softplus(self.raw), 0.0, 0.0
        for item in range(ITEMS):
            theta, z = self.scores(batch, trial, item), None if draws is None else draws[item]
            y, cost = batch.y[trial, item].double(), batch.cost[trial, item].double()
            _, slope, of_magnitude = self.plain(theta.detach(), y, cost, float(magnitude.detach()), z)
            total, in_magnitude = total + (slope * theta).sum(), in_magnitude + of_magnitude
        (total + in_magnitude * magnitude.sum()).backward()
        self.optimizer.step()

    def flat(self):
        parts = [torch.cat([layer.weight.T, layer.bias[None]]).flatten() for layer in self.layers]
        return torch.cat([self.raw, *parts]).detach().float()[None]
