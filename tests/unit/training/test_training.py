"""Replicas against models one by one, patience against a plain loop, checkpoints against accidents, the loop itself."""

import errno
import hashlib
import itertools
import random
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from trainings import silent

from structgrad.errors import UserError
from structgrad.experiments import REGISTRY
from structgrad.parallel import set_threads
from structgrad.repro.planning.plan import load_plan
from structgrad.training.adam import Adam
from structgrad.training.checkpoint import Checkpoint
from structgrad.training.loop import Limits, OutOfTimeError, train
from structgrad.training.patience import Patience
from structgrad.training.replicas import Parameters, default_linear, linear, linear_shapes
from structgrad.training.seeds import generators, of_replica, seed_for, seeds_for
from structgrad.training.trainee import Trainee


@pytest.fixture
def _doubles():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(autouse=True)
def _one_thread():
    set_threads(1)


# Replicas as a batch dimension


def layer_of(module):
    """An ``nn.Linear`` as our matrix with the bias as a last row."""
    return torch.cat([module.weight.T, module.bias[None]])


def models(replicas, inputs, hidden, outputs):
    torch.manual_seed(0)
    return [
        torch.nn.Sequential(torch.nn.Linear(inputs, hidden), torch.nn.Tanh(), torch.nn.Linear(hidden, outputs))
        for _ in range(replicas)
    ]


def together(modules, inputs, hidden, outputs):
    shapes = linear_shapes("first", inputs, hidden) | linear_shapes("second", hidden, outputs)
    parameters = Parameters(shapes, len(modules))
    for r, module in enumerate(modules):
        parameters.fill(r, "first", layer_of(module[0]))
        parameters.fill(r, "second", layer_of(module[2]))
    return parameters


def forward(parameters, x):
    return linear(torch.tanh(linear(x, parameters["first"])), parameters["second"])


def assert_same_weights(parameters, modules, take=lambda p: p.detach(), tolerance=1e-12):
    for r, module in enumerate(modules):
        for name, layer in (("first", module[0]), ("second", module[2])):
            start, shape = parameters.offsets[name], parameters.shapes[name]
            block = take(parameters.flat)[r, start : start + shape[0] * shape[1]].view(shape)
            expected = torch.cat([take(layer.weight).T, take(layer.bias)[None]])
            assert torch.allclose(block, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.usefixtures("_doubles")
@pytest.mark.parametrize(("inputs", "hidden", "outputs"), [(1, 32, 5), (3, 7, 33), (64, 1, 1)])
def test_layers_and_their_gradients_are_those_of_torch(inputs, hidden, outputs):
    modules = models(4, inputs, hidden, outputs)
    parameters = together(modules, inputs, hidden, outputs)
    x, target = torch.randn(4, 11, inputs), torch.randn(4, 11, outputs)
    ours = forward(parameters, x)
    ((ours - target) ** 2).mean((1, 2)).sum().backward()
    for r, module in enumerate(modules):
        value = module(x[r])
        assert torch.allclose(ours[r], value, rtol=1e-12, atol=1e-12)
        ((value - target[r]) ** 2).mean().backward()
    assert_same_weights(parameters, modules, take=lambda p: p.grad)


def test_a_linear_layer_in_single_precision():
    modules = models(3, 5, 8, 4)
    parameters = together(modules, 5, 8, 4)
    x = torch.randn(3, 6, 5)
    for r, module in enumerate(modules):
        assert torch.allclose(forward(parameters, x)[r], module(x[r]), rtol=1e-5, atol=1e-6)


def test_parameters_lie_side_by_side():
    parameters = Parameters({"a": (3, 5), "b": (1,), "c": (33, 2)}, 2)
    assert parameters.offsets == {"a": 0, "b": 15, "c": 16}
    assert parameters.flat.shape == (2, 82)
    parameters.fill(1, "c", torch.ones(33, 2))
    assert parameters["c"][1].all()
    assert float(parameters.flat.detach().sum()) == 66  # nothing else was written


@pytest.mark.usefixtures("_doubles")
def test_a_layer_without_bias_leaves_it_alone():
    parameters = Parameters(linear_shapes("only", 3, 4), 2)
    parameters.fill(0, "only", torch.randn(4, 4))
    parameters.fill(1, "only", torch.randn(4, 4))
    x = torch.randn(2, 7, 3, requires_grad=True)
    scores = linear(x, parameters["only"], bias=False)
    assert torch.allclose(scores, x @ parameters["only"][:, :-1], rtol=1e-12, atol=1e-12)
    (gradient,) = torch.autograd.grad(scores.square().sum(), parameters.flat)
    assert not gradient.view(2, 4, 4)[:, -1].any()
    assert gradient.view(2, 4, 4)[:, :-1].all()


@pytest.mark.usefixtures("_doubles")
@pytest.mark.parametrize("bias", [True, False])
def test_gradients_of_a_layer(bias):
    x, weight = torch.randn(3, 5, 2, requires_grad=True), torch.randn(3, 3, 4, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, w: linear(x, w, bias), (x, weight))


@pytest.mark.usefixtures("_doubles")
@pytest.mark.parametrize("drops", [{}, {3: [0]}, {2: [1, 3], 6: [0]}, {1: [4], 2: [0], 3: [0]}])
def test_one_adam_is_as_many_of_torchs_as_there_are_replicas(drops):
    """Replicas leave midway, at the step and the positions in ``drops``; the others go on as if alone."""
    inputs, hidden, outputs, count = 2, 6, 3, 5
    modules = models(count, inputs, hidden, outputs)
    parameters = together(modules, inputs, hidden, outputs)
    ours, theirs = Adam([parameters], [0.1]), [torch.optim.Adam(module.parameters(), lr=0.1) for module in modules]
    x, target = torch.randn(count, 9, inputs), torch.randn(count, 9, outputs)
    start = parameters.flat.detach().clone()
    for step in range(1, 10):
        ours.clear()
        ((forward(parameters, x) - target) ** 2).mean((1, 2)).sum().backward()
        ours.step()
        for r, module in enumerate(modules):
            theirs[r].zero_grad()
            ((module(x[r]) - target[r]) ** 2).mean().backward()
            theirs[r].step()
        assert_same_weights(parameters, modules, tolerance=1e-9)
        mask = torch.ones(len(modules), dtype=torch.bool)
        mask[drops.get(step, [])] = False
        if not mask.all():
            ours.keep(mask)
            kept = mask.nonzero().flatten().tolist()
            modules, theirs = [modules[r] for r in kept], [theirs[r] for r in kept]
            x, target, start = x[mask], target[mask], start[mask]
    assert len(parameters.flat) == len(modules) == count - sum(map(len, drops.values()))
    assert (parameters.flat - start).abs().max() > 0.05


def test_each_model_has_its_rate_and_a_restored_adam_goes_on():
    def run(steps, saved=None):
        fast, slow = (Parameters({"a": (4,)}, 3) for _ in range(2))
        adam = Adam([fast, slow], [0.1, 0.001])
        if saved is not None:
            adam.restore(saved)
        for _ in range(steps):
            adam.clear()
            (((fast.flat - 1) ** 2).sum() + ((slow.flat - 1) ** 2).sum()).backward()
            adam.step()
        return adam

    whole, half = run(6), run(3)
    first = run(1)
    assert torch.allclose(first.models[0].flat, torch.tensor(0.1))
    assert torch.allclose(first.models[1].flat, torch.tensor(0.001))
    resumed = run(3, saved=half.state())
    for model, other in zip(whole.models, resumed.models, strict=True):
        assert torch.equal(model.flat, other.flat)


def test_dropping_every_replica_or_before_the_first_step():
    parameters = Parameters({"a": (4,)}, 3)
    adam = Adam([parameters], [0.1])
    adam.keep(torch.tensor([True, False, True]))
    parameters.flat.sum().backward()
    adam.step()
    assert parameters.flat.shape == (2, 4)
    assert (parameters["a"] < 0).all()
    adam.keep(torch.tensor([False, False]))
    assert parameters.flat.shape == (0, 4)


def test_select_is_a_copy_without_gradient():
    parameters = Parameters({"a": (2, 2)}, 3)
    parameters.fill(1, "a", torch.eye(2))
    chosen = parameters.select(torch.tensor([False, True, True]))
    assert torch.equal(chosen["a"][0], torch.eye(2))
    assert not chosen["a"].requires_grad
    parameters.fill(1, "a", torch.zeros(2, 2))
    assert chosen["a"][0].any()


@pytest.mark.parametrize("inputs", [1, 4, 100])
def test_initial_weights_are_torchs_default(inputs):
    drawn = default_linear(inputs, 5000, torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    module = torch.nn.Linear(inputs, 5000)
    bound = 1 / inputs**0.5
    for part, other in ((drawn[:-1], module.weight.detach()), (drawn[-1], module.bias.detach())):
        assert float(part.abs().max()) <= bound
        assert float(part.abs().max()) == pytest.approx(float(other.abs().max()), rel=0.01)
        assert float(part.std()) == pytest.approx(bound / 3**0.5, rel=0.05)


# Patience


def stops_at(losses, patience):
    """The first step (from 1) after which nothing better has come for ``patience`` steps, or None."""
    best, waited = float("inf"), 0
    for step, loss in enumerate(losses, 1):
        if loss < best:
            best, waited = loss, 0
        else:
            waited += 1
        if patience is not None and waited >= patience:
            return step
    return None


@settings(max_examples=100, deadline=None)
@given(
    st.integers(1, 4).flatmap(
        lambda replicas: st.lists(
            st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.3, 1e-9]), min_size=replicas, max_size=replicas),
            min_size=1,
            max_size=25,
        )
    ),
    st.one_of(st.none(), st.integers(1, 6)),
)
def test_patience_is_a_plain_loop_for_each_replica(losses, patience):
    clock = Patience(len(losses[0]), patience)
    names = torch.arange(len(losses[0]))
    stopped = {}
    for step, row in enumerate(losses, 1):
        done = clock.update(torch.tensor(row, dtype=torch.float64)[names])
        stopped |= {int(name): step for name in names[done]}
        clock.keep(~done)
        names = names[~done]
        if not len(names):
            break
    for r in range(len(losses[0])):
        assert stopped.get(r) == stops_at([row[r] for row in losses], patience)


def test_equal_is_not_better():
    clock = Patience(1, 2)
    assert [bool(clock.update(torch.tensor([0.5]).double())) for _ in range(3)] == [False, False, True]


def test_no_patience_never_stops():
    clock = Patience(2, None)
    assert not any(clock.update(torch.ones(2).double()).any() for _ in range(500))


# Checkpoints

STATE = {"weights": torch.arange(12.0).view(3, 4), "numbers": [1, {"x": 0.1}], "name": "a"}


def loaded(checkpoint):
    """The state, which is there."""
    state = checkpoint.load()
    assert state is not None
    return state


def same(one, other):
    return torch.equal(one["weights"], other["weights"]) and all(one[k] == other[k] for k in ("numbers", "name"))


def test_a_checkpoint_comes_back(tmp_path):
    checkpoint = Checkpoint(tmp_path / "deep" / "er" / "state.pt", "key")
    assert checkpoint.load() is None
    checkpoint.save(STATE)
    assert same(checkpoint.load(), STATE)
    checkpoint.save(STATE | {"name": "b"})
    assert loaded(checkpoint)["name"] == "b"
    assert [path.name for path in checkpoint.path.parent.iterdir()] == ["state.pt"]
    checkpoint.clear()
    assert checkpoint.load() is None
    checkpoint.clear()  # nothing to forget is no error


def test_a_checkpoint_of_another_job_is_ignored_and_kept(tmp_path):
    Checkpoint(tmp_path / "state.pt", "one").save(STATE)
    assert Checkpoint(tmp_path / "state.pt", "other").load() is None
    assert same(Checkpoint(tmp_path / "state.pt", "one").load(), STATE)


def test_a_truncated_checkpoint_is_ignored(tmp_path):
    checkpoint = Checkpoint(tmp_path / "state.pt", "key")
    checkpoint.save(STATE)
    whole = checkpoint.path.read_bytes()
    for length in range(0, len(whole), 13):
        checkpoint.path.write_bytes(whole[:length])
        assert checkpoint.load() is None
    checkpoint.path.write_bytes(whole)
    assert same(checkpoint.load(), STATE)


@pytest.mark.parametrize("content", [b"\0" * 1000, b"not a checkpoint", b"PK\3\4" + b"x" * 200])
def test_a_file_that_is_no_checkpoint_is_ignored(tmp_path, content):
    checkpoint = Checkpoint(tmp_path / "state.pt", "key")
    checkpoint.path.write_bytes(content)
    assert checkpoint.load() is None


def test_a_corrupt_checkpoint_is_ignored(tmp_path):
    checkpoint = Checkpoint(tmp_path / "state.pt", "key")
    checkpoint.save(STATE)
    whole = checkpoint.path.read_bytes()
    chance = random.Random(0)
    for _ in range(300):
        spoilt = bytearray(whole)
        for _ in range(5):
            spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
        checkpoint.path.write_bytes(spoilt)
        assert checkpoint.load() is None
    checkpoint.path.write_bytes(b".")
    assert checkpoint.load() is None


@pytest.mark.parametrize(
    ("accident", "seen"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), UserError),
        (OSError(errno.EIO, "Input/output error"), UserError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_an_accident_while_saving_leaves_the_old_state(tmp_path, monkeypatch, accident, seen):
    checkpoint = Checkpoint(tmp_path / "state.pt", "key")
    checkpoint.save(STATE)

    def broken_sync(stream):
        assert same(checkpoint.load(), STATE)  # what a kill at this moment would leave
        raise accident

    with monkeypatch.context() as patch:
        patch.setattr("structgrad.files.os.fsync", broken_sync)
        with pytest.raises(seen):
            checkpoint.save(STATE | {"name": "b"})
    assert same(checkpoint.load(), STATE)
    if seen is UserError:
        assert list(tmp_path.iterdir()) == [checkpoint.path]
    checkpoint.save(STATE | {"name": "b"})  # what an interrupt leaves behind does not stand in the way
    assert loaded(checkpoint)["name"] == "b"
    assert list(tmp_path.iterdir()) == [checkpoint.path]


def test_a_save_replaces_the_file_and_never_writes_into_it(tmp_path):
    """Another name of the old file still holds the old state: there is no moment with half of a new one."""
    checkpoint = Checkpoint(tmp_path / "state.pt", "key")
    checkpoint.save(STATE)
    (tmp_path / "old.pt").hardlink_to(checkpoint.path)
    checkpoint.save(STATE | {"name": "b"})
    assert loaded(checkpoint)["name"] == "b"
    assert same(Checkpoint(tmp_path / "old.pt", "key").load(), STATE)


# Seeds


def test_seeds_are_distinct_over_the_axes():
    axes = itertools.product(
        ["indelman_1a", "indelman_1b"],
        ["d=5", "d=50", "5"],
        [None, "None", "null", "", "direct"],
        range(40),
        ["data", "init", "noise"],
    )
    seeds = [seed_for(*point) for point in axes]
    assert len(set(seeds)) == len(seeds) == 2 * 3 * 5 * 40 * 3
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_no_axis_runs_into_its_neighbour():
    assert seed_for("a", "bc", None, 1, "r") != seed_for("ab", "c", None, 1, "r")
    assert seed_for("a", "b", "c", 1, "2r") != seed_for("a", "b", "c", 12, "r")


def test_a_seed_is_what_it_is_said_to_be():
    """sha256 of the axes as JSON: a change of it would change every number of every record."""
    text = b'["structgrad", "indelman_1a", "d=25", null, 3, "data"]'
    assert seed_for("indelman_1a", "d=25", None, 3, "data") == int(hashlib.sha256(text).hexdigest()[:16], 16) // 2


@pytest.mark.parametrize("name", REGISTRY)
def test_torch_sees_distinct_seeds_within_a_setting(name):
    """torch's CPU generator looks at the low 32 bits only."""
    experiment = REGISTRY[name]
    shards = [shard for scale in ("smoke", "desktop", "paper") for shard in load_plan(scale).shards_of(name)]
    for setting in experiment.settings:
        arms = [None, *(arm.name for arm in experiment.arms)]
        most = max((shard.first + shard.count for shard in shards if shard.setting == setting), default=0)
        roles = ["data", "init", "init_sigma", "noise", "fresh", "shuffle"]
        axes = itertools.product(arms, range(most), roles)
        seeds = [seed_for(experiment.seed_name, setting, arm, r, role) for arm, r, role in axes]
        assert len({seed % 2**32 for seed in seeds}) == len(seeds)


def test_folds_cut_one_data_set_and_share_nothing_else():
    axes = "label_ranking", "iris", None, 8, 4
    for per_data_set, firsts in ((sys.maxsize, [0, 0, 0, 0]), (10, [0, 0, 10, 10]), (1, [8, 9, 10, 11])):
        expected = [seed_for("label_ranking", "iris", None, replica, "data") for replica in firsts]
        assert seeds_for(*axes, "data", per_data_set) == expected
        expected = [seed_for("label_ranking", "iris", None, replica, "init") for replica in (8, 9, 10, 11)]
        assert seeds_for(*axes, "init", per_data_set) == expected


def test_a_replica_has_one_seed_of_every_role():
    seeds = {"data": [1, 1, 1], "noise": [2, 3, 4]}
    assert of_replica(seeds, 0) == {"data": 1, "noise": 2}
    assert of_replica(seeds, 2) == {"data": 1, "noise": 4}


def test_generators_are_the_seeds_own():
    drawn = [torch.rand(5, generator=g) for g in generators([3, 4, 3])]
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[1], torch.rand(5, generator=torch.Generator().manual_seed(4)))


# The loop


class Walk(Trainee):
    """Replicas that add uniform numbers until they pass their mark; the result is how far and in how many steps."""

    kept = ("names", "marks", "place", "generators", "taken", "ends")
    roles = ("data",)

    def __init__(self, marks):
        self.names = torch.arange(len(marks))
        self.marks = torch.tensor(marks, dtype=torch.float64)
        self.place = torch.zeros(len(marks), dtype=torch.float64)
        self.generators = generators(range(len(marks)))
        self.taken = 0
        self.ends = {}
        self.results, self.history = [], {}

    def step(self):
        drawn = torch.cat([torch.rand(1, generator=g, dtype=torch.float64) for g in self.generators])
        self.before_writing()
        self.place = self.place + drawn
        self.taken += 1
        return self.place >= self.marks, {"place": float(self.place.mean())}

    def before_writing(self):
        """Where an accident would leave a step half done."""

    def finish(self, done):
        for name, place in zip(self.names[done].tolist(), self.place[done].tolist(), strict=True):
            self.ends[name] = (self.taken, place)
        keep = ~done
        self.generators = [g for g, kept in zip(self.generators, keep.tolist(), strict=True) if kept]
        self.names, self.marks, self.place = self.names[keep], self.marks[keep], self.place[keep]

    def active(self):
        return len(self.names)

    def restore(self, state):
        self.generators = [self.generators[name] for name in state["names"].tolist()]  # of those that still walk
        super().restore(state)


MARKS = (3.0, 0.1, 5.0, 3.0)


def whole_walk(tmp_path):
    walk = Walk(MARKS)
    assert train(walk, Checkpoint(tmp_path / "whole.pt", "key"), Limits(), silent) == (0, 0.0)
    return walk.ends


def test_it_trains_until_no_replica_is_active(tmp_path):
    shown = []
    walk = Walk(MARKS)
    checkpoint = Checkpoint(tmp_path / "state.pt", "key")
    train(walk, checkpoint, Limits(), lambda *args: shown.append(args))
    last = max(steps for steps, _ in walk.ends.values())
    assert sorted(walk.ends) == [0, 1, 2, 3]
    for name, (steps, place) in walk.ends.items():
        drawn = torch.rand(50, 1, generator=generators([name])[0], dtype=torch.float64).cumsum(0)
        assert steps == int((drawn < MARKS[name]).sum()) + 1
        assert place == pytest.approx(float(drawn[steps - 1]), abs=1e-12)
    assert [steps for steps, _, _ in shown] == list(range(1, last + 1))
    assert [active for _, active, _ in shown] == [
        sum(steps > now for steps, _ in walk.ends.values()) for now in range(1, last + 1)
    ]
    assert set(shown[0][2]) == {"place"}
    assert not checkpoint.path.exists()  # nothing to save in so short a time


def test_nothing_to_train(tmp_path):
    assert train(Walk(()), Checkpoint(tmp_path / "state.pt", "key"), Limits(budget=0.0), silent) == (0, 0.0)


def test_a_budget_hands_back_and_goes_on_with_the_same_numbers(tmp_path):
    whole = whole_walk(tmp_path)
    checkpoint = Checkpoint(tmp_path / "state.pt", "key")
    runs, shown = 0, []
    while True:
        walk = Walk(MARKS)
        try:
            resumed, before = train(walk, checkpoint, Limits(budget=0.0), lambda steps, *_: shown.append(steps))
            break
        except OutOfTimeError:
            runs += 1
            assert checkpoint.path.exists()
    last = max(steps for steps, _ in whole.values())
    assert walk.ends == whole
    assert runs == resumed == last - 1  # a step each, the last one without a hand-back
    assert shown == list(range(1, last + 1))
    assert before > 0


def test_an_interrupt_between_steps_saves(tmp_path):
    whole = whole_walk(tmp_path)
    checkpoint = Checkpoint(tmp_path / "state.pt", "key")

    def interrupt(steps, active, numbers):
        if steps == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(Walk(MARKS), checkpoint, Limits(), interrupt)
    walk, shown = Walk(MARKS), []
    resumed, _ = train(walk, checkpoint, Limits(), lambda steps, *_: shown.append(steps))
    assert (resumed, shown[0]) == (1, 4)
    assert walk.ends == whole


def test_an_interrupt_within_a_step_does_not_change_the_numbers(tmp_path):
    whole = whole_walk(tmp_path)
    checkpoint = Checkpoint(tmp_path / "state.pt", "key")

    class Interrupted(Walk):
        def before_writing(self):
            if self.taken == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(Interrupted(MARKS), checkpoint, Limits(), silent)
    walk = Walk(MARKS)
    train(walk, checkpoint, Limits(), silent)
    assert walk.ends == whole


def test_other_errors_save_nothing(tmp_path):
    checkpoint = Checkpoint(tmp_path / "state.pt", "key")

    def fail(steps, active, numbers):
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        train(Walk(MARKS), checkpoint, Limits(), fail)
    assert not checkpoint.path.exists()


def test_a_kill_goes_on_from_the_last_save(tmp_path):
    """The process vanishes (here: an error that nothing catches) some steps after a periodic save."""
    whole = whole_walk(tmp_path)
    checkpoint = Checkpoint(tmp_path / "state.pt", "key")

    def vanish(steps, active, numbers):
        if steps == 4:
            raise SystemExit

    with pytest.raises(SystemExit):
        train(Walk(MARKS), checkpoint, Limits(checkpoint_every=0.0), vanish)
    assert loaded(checkpoint)["steps"] == 3
    walk = Walk(MARKS)
    assert train(walk, checkpoint, Limits(), silent)[0] == 1
    assert walk.ends == whole


def test_saves_come_at_the_interval_and_leave_the_numbers_alone(tmp_path, monkeypatch):
    whole = whole_walk(tmp_path)
    clock = itertools.count()
    monkeypatch.setattr("structgrad.training.loop.time.monotonic", lambda: float(next(clock)))
    checkpoint = Checkpoint(tmp_path / "state.pt", "key")
    saved = []
    save = checkpoint.save
    monkeypatch.setattr(checkpoint, "save", lambda state: (saved.append(state["steps"]), save(state)))
    walk = Walk(MARKS)
    train(walk, checkpoint, Limits(checkpoint_every=2.5), silent)
    assert saved == [3, 5, 7, 9][: len(saved)]  # a step a second; a save itself looks at the clock once
    assert len(saved) >= 2
    assert walk.ends == whole


def test_seconds_add_up_over_runs(tmp_path, monkeypatch):
    clock = itertools.count()
    monkeypatch.setattr("structgrad.training.loop.time.monotonic", lambda: float(next(clock)))
    checkpoint = Checkpoint(tmp_path / "state.pt", "key")
    for run in (1, 2, 3):
        with pytest.raises(OutOfTimeError):
            train(Walk((100.0,)), checkpoint, Limits(checkpoint_every=1e9, budget=4.5), silent)
        saved = loaded(checkpoint)
        assert (saved["steps"], saved["resumed"], saved["seconds"]) == (5 * run, run - 1, 6.0 * run)


def test_the_checkpoint_of_another_job_starts_afresh(tmp_path):
    whole = whole_walk(tmp_path)
    with pytest.raises(OutOfTimeError):
        train(Walk(MARKS), Checkpoint(tmp_path / "state.pt", "old source"), Limits(budget=0.0), silent)
    walk = Walk(MARKS)
    assert train(walk, Checkpoint(tmp_path / "state.pt", "new source"), Limits(), silent) == (0, 0.0)
    assert walk.ends == whole
