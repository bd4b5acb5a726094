"""The comparison at equal maximiser calls: that the calls are as many as said, and what is made of them."""

import threading
from collections import Counter
from dataclasses import replace

import pytest
import torch
from cross_tasks import CELLS, small_task
from scipy.stats import spearmanr
from trainings import job_of, mean, parameters

from structgrad.errors import UserError
from structgrad.experiments import PAPERS, PUBLISHED, REGISTRY
from structgrad.experiments.ours.cross.data import digest, make
from structgrad.experiments.ours.cross.methods import METHODS
from structgrad.experiments.ours.cross.train import task_of, trainee
from structgrad.experiments.ours.cross.trials import Trials
from structgrad.regularizers import Regularizer
from structgrad.repro.planning.resolve import trainer
from structgrad.training.loop import OutOfTimeError
from structgrad.training.search import draw

CROSS = REGISTRY["cross"]
LEARNERS = [arm.name for arm in CROSS.arms if not arm.reference]
TINY = {
    "source": "stand_in", "train": 60, "validation": 10, "test": 12, "hidden": 4, "batch_size": 8, "budget": 128,
    "points": 3,
}  # fmt: skip
POINT = {"learning_rate": [0.01, 0.02], "noise": [0.5, 2.0], "step": [2.0, 4.0], "temperature": [0.5, 1.0]}


class Counting(threading.local):
    """How many problems the outermost calls have been given; a polytope's own calls of itself do not count again."""

    depth = 0


def counted(polytope, calls):
    """The polytope, which notes in ``calls`` how many problems its maximiser solves, whoever asks."""
    rank, local, lock = len(polytope.event_shape), Counting(), threading.Lock()

    def watch(method, problems):
        def watched(self, *given, **named):
            if local.depth == 0:
                with lock:
                    calls["argmax"] += problems(given)
            local.depth += 1
            try:
                return method(self, *given, **named)
            finally:
                local.depth -= 1

        return watched

    def items(scores):
        return scores.shape[: scores.dim() - rank].numel()

    kind = type(polytope)
    problems = {
        "argmax": lambda given: items(given[0]),
        "argmax_pair": lambda given: 2 * items(given[0]),
        "argmax_perturbed": lambda given: items(given[2]),
    }
    own = {name: watch(getattr(kind, name), each) for name, each in problems.items()}
    copy = object.__new__(type("Counted", (kind,), own))
    copy.__dict__.update(polytope.__dict__)
    return copy


class CountedRegularizer(Regularizer):
    """The regulariser, which notes how many relaxed problems it solves, whatever these ask of the polytope."""

    def __init__(self, regularizer, polytope, calls):
        self.regularizer, self.polytope, self.calls = regularizer, polytope, calls

    def maximise(self, polytope, theta, mask=None):
        self.calls["relaxed"] += theta.shape[: theta.dim() - len(polytope.event_shape)].numel()
        return self.regularizer.maximise(self.polytope, theta, mask)

    def value(self, polytope, y):
        return self.regularizer.value(polytope, y)


def count_calls(task, calls):
    """Let the task's polytope and regulariser note theirs."""
    if task.regularizer is not None:
        task.regularizer = CountedRegularizer(task.regularizer, task.polytope, calls)
    task.polytope = counted(task.polytope, calls)


@pytest.mark.parametrize(("kind", "method"), CELLS)
def test_a_method_calls_the_maximiser_as_often_as_it_says(kind, method):
    calls = Counter()
    with small_task(kind) as task:
        count_calls(task, calls)
        draws = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
        batch = task.batch(5, draws)
        theta = -torch.rand(batch.y.shape, generator=draws[0]).requires_grad_() - 0.1
        learner = METHODS[method](task, POINT, samples=3)
        learner(theta, batch, torch.ones(2, 1), draws).sum().backward()
    assert calls == {"relaxed" if method == "stochastic_softmax" else "argmax": 2 * 5 * learner.calls}


@pytest.mark.parametrize("arm", LEARNERS)
def test_every_arm_uses_the_same_budget_up(tmp_path, arm):
    """Steps times calls per step, counted by the polytope itself."""
    trials, calls = trials_of(arm, tmp_path), Counter()
    count_calls(trials.task, calls)
    trials.task.judge = lambda embed, part: torch.zeros(2, len(part), dtype=torch.float64)  # quality costs none
    while not trials.step()[0].all():
        pass
    assert trials.length == trials.steps
    assert calls.total() == 2 * TINY["budget"]  # of both trials
    assert trials.history["call"] == [32.0, 64.0, 128.0]


def test_the_arms_are_tuned_alike():
    """The same rates, trial by trial; as many draws in all as the budget at every scale divides into."""
    for name in LEARNERS:
        search = CROSS.config_of(name)["search"]
        assert draw(search, 7)["learning_rate"] == draw(CROSS.config["search"], 7)["learning_rate"]
        config = parameters(CROSS, name, "rank iris", {})
        calls = config.batch_size * (2 if name == "blackbox" else 4)
        assert config.budget % (calls << (config.points - 1)) == 0  # every point is a whole number of steps


def test_a_budget_that_is_no_number_of_steps_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"budget: 130 calls are no whole number of steps of 32 \(8 examples, 4 calls"):
        trials_of("fenchel_young", tmp_path, budget=130)


def test_what_is_recorded_is_the_trial_that_validates_best_then(tmp_path):
    trials = trials_of("fenchel_young", tmp_path)
    qualities = iter([[[0.1], [0.3]], [[0.5], [0.6]], [[0.8], [0.8]], [[0.2], [0.4]], [[0.9], [0.1]], [[0.7], [0.6]]])
    trials.task.judge = lambda embed, part: torch.tensor(next(qualities), dtype=torch.float64)
    while not trials.step()[0].all():
        pass
    assert trials.history["validation"] == [0.3, 0.8, 0.9]
    assert trials.history["quality"] == [0.6, 0.2, 0.7]  # of equal ones the first


@pytest.mark.parametrize("setting", ["rank iris", "neighbours of packaged digits"])
@pytest.mark.parametrize("arm", LEARNERS)
def test_resumed_is_uninterrupted(tmp_path, arm, setting):
    whole = trainer(CROSS)(job_of(CROSS, arm, setting, tmp_path, TINY))
    interruptions = 0
    while True:
        try:
            again = trainer(CROSS)(job_of(CROSS, arm, setting, tmp_path, TINY, budget=-1.0))
            break
        except OutOfTimeError:
            interruptions += 1
    assert interruptions >= 3
    assert again.results == whole.results
    assert again.history == whole.history


def test_two_arms_see_the_same_data_weights_and_batches(tmp_path):
    first, second = (trials_of(arm, tmp_path) for arm in ("fenchel_young", "reinforce"))
    for one, other in zip(first.networks.models, second.networks.models, strict=True):
        assert one["layer_0"].equal(other["layer_0"])
    for _ in range(2):
        ours, theirs = (trials.task.batch(8, trials.draws) for trials in (first, second))
        assert ours.inputs[0].equal(theirs.inputs[0])
    assert not ours.inputs[0][0].equal(ours.inputs[0][1])  # each trial has its own


@pytest.mark.parametrize("setting", [setting for setting in CROSS.settings if "vowel" not in setting])
def test_the_truth_has_quality_one_and_chance_far_less(setting):
    task, config = small(setting)
    seeds = [3]
    assert digest(config, setting, seeds) == digest(config, setting, seeds) != digest(config, setting, [4])
    part = task.data.test
    if setting.startswith("neighbours"):  # scores of the training images that are of the class
        theta = (part.y.unsqueeze(-1) == task.data.train.y).double().unsqueeze(0)
    else:
        theta = (-part.truth if setting.startswith("paths") else part.truth).unsqueeze(0)
    assert task.quality(theta, part).equal(torch.ones(1, len(part), dtype=torch.float64))
    chance = task.quality(task.chance(part, torch.Generator().manual_seed(1)), part)
    assert chance.shape == (1, len(part))
    assert chance.mean() < 0.7


def test_ranks_are_judged_by_spearmans_correlation():
    task, _ = small("rank wine")
    part = task.data.test
    theta = torch.randn(1, *part.y.shape, generator=torch.Generator().manual_seed(2))
    expected = [spearmanr(ours, theirs)[0] for ours, theirs in zip(theta[0], part.truth, strict=True)]
    assert task.quality(theta, part)[0].tolist() == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["sort", "rank", "paths", "neighbours"])
def test_targets_lie_in_the_polytope_and_costs_order_structures(kind):
    """The target is a mean of vertices; none costs less than it, but for the neighbours' shared places."""
    with small_task(kind) as task:
        batch = task.batch(6, [torch.Generator().manual_seed(1)])
        vertices = task.polytope.vertices().flatten(1)
        y, cost = batch.y[0].double().flatten(1), batch.cost[0].double().flatten(1)
    for target, costs in zip(y, cost, strict=True):
        values = vertices @ costs
        assert float(costs @ target) == pytest.approx(float(values.min()))
        if kind == "neighbours":  # the hypersimplex
            assert target.sum() == vertices[0].sum()
            assert target.max() <= 1
        else:
            assert (vertices == target).all(-1).sum() == 1
            distances = (vertices - target).square().sum(-1)
            scale = (values - values.min()) / distances.clamp(min=1e-9)
            assert scale[distances > 0].std() < 1e-6  # the loss is the squared distance, up to a factor


def test_what_needs_no_learning():
    """Sorting is solved by the numbers themselves; ranks by Borda's; a path's length is the least there is."""
    sort, _ = small("sort d=25")
    assert sort.quality(sort.unlearned(sort.data.test), sort.data.test).min() == 1
    rank, _ = small("rank iris")
    assert rank.unlearned(rank.data.test)[0, 0].equal(rank.data.train.y.mean(0))
    paths, _ = small("paths on generated terrain")
    straight = paths.polytope.argmax(paths.unlearned(paths.data.test))
    assert straight.sum((-2, -1)).eq(12).all()


def test_ours_prints_nothing_and_is_counted_nowhere():
    assert "ours" in PAPERS
    assert "ours" not in PUBLISHED
    assert next(reversed(PAPERS)) == "ours"
    assert not CROSS.printed
    assert "ours" in CROSS.full_title
    assert all("ours" in figure.title for figure in CROSS.figures)


def test_a_reference_learns_nothing(tmp_path):
    for arm in ("chance", "unlearned"):
        trained = trainer(CROSS)(job_of(CROSS, arm, "rank iris", tmp_path, TINY))
        assert [result.stopped for result in trained.results] == ["untrained"] * 2
        assert trained.history["call"] == [0.0]
    assert mean(trained.results[0].metrics["quality"]) == mean(trained.results[1].metrics["quality"])


def test_it_trains_on_the_cpu_only(tmp_path):
    with pytest.raises(UserError, match="on the CPU only"):
        trainer(CROSS)(replace(job_of(CROSS, "chance", "rank iris", tmp_path, TINY), device="cuda:0"))


def trials_of(arm, folder, **changes):
    job = job_of(CROSS, arm, "rank iris", folder, TINY | changes)
    made = trainee(job, job.seeds(("data", "init", "shuffle", "search", "evaluation"), ("noise",)))
    assert isinstance(made, Trials)
    return made


def small(setting):
    config = parameters(CROSS, "fenchel_young", setting, TINY)
    return task_of(config, setting, make(config, setting, [3])), config
