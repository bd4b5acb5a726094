"""What a checkpoint holds of an object, and how that comes back: in place where others hold the object, too."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from structgrad.training.checkpoint import Checkpoint
from structgrad.training.results import Mean, Result
from structgrad.training.state import Stateful


class Counter(Stateful):
    kept = ("count",)

    def __init__(self, count=0):
        self.count = count


class Everything(Stateful):
    """Of each kind of attribute one, moved from its start by some steps."""

    kept = ("generator", "network", "optimizer", "counter", "streams", "by_role", "pair", "nested", "weights", "step")

    def __init__(self, steps=0):
        self.generator = torch.Generator().manual_seed(1)
        self.network = nn.Linear(3, 1)
        with torch.no_grad():
            self.network.weight.fill_(0.5)
            self.network.bias.fill_(0.0)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=0.1)
        self.counter = Counter()
        self.streams = [torch.Generator().manual_seed(seed) for seed in (2, 3)]
        self.by_role = {"noise": torch.Generator().manual_seed(4), "dropout": torch.Generator().manual_seed(5)}
        self.pair = Counter(10), torch.Generator().manual_seed(6)
        self.nested = {"all": [Counter(20), (torch.Generator().manual_seed(7),)]}
        self.weights = torch.zeros(2)
        self.step, self.fixed = 0, 0
        for _ in range(steps):
            self.go()

    def everyone(self):
        """The generators and counters, wherever they lie."""
        generators = [self.generator, *self.streams, *self.by_role.values(), self.pair[1], self.nested["all"][1][0]]
        return generators, [self.counter, self.pair[0], self.nested["all"][0]]

    def objects(self):
        """All that others may hold, too."""
        generators, counters = self.everyone()
        return [*generators, *counters, self.network, self.network.weight, self.optimizer]

    def go(self):
        """What depends on all of the state; the numbers that came of it."""
        generators, counters = self.everyone()
        drawn = [float(torch.rand(1, generator=generator)) for generator in generators]
        for counter in counters:
            counter.count += 1
        self.optimizer.zero_grad()
        loss = self.network(torch.rand(4, 3, generator=self.generator)).square().mean()
        loss.backward()
        self.optimizer.step()
        self.weights = self.weights + drawn[0]
        self.step, self.fixed = self.step + 1, self.fixed + 1
        return [*drawn, *(counter.count for counter in counters), float(loss.detach()), *self.weights.tolist()]


@pytest.fixture(params=["as it is", "through a file"])
def through(request, tmp_path):
    """Hand a state over directly, or as a checkpoint does."""

    def hand(state):
        if request.param == "as it is":
            return state
        checkpoint = Checkpoint(tmp_path / "state.pt", "key")
        checkpoint.save(state)
        return checkpoint.load()

    return hand


def test_what_is_restored_goes_on_with_the_same_numbers(through):
    saved = through(Everything(3).state())
    whole, resumed = Everything(3), Everything()
    resumed.restore(saved)
    assert [resumed.go() for _ in range(3)] == [whole.go() for _ in range(3)]
    assert resumed.step == 6
    assert resumed.fixed == 3  # is not kept


def test_without_restoring_the_numbers_are_others():
    """The comparison can fail."""
    later, anew = Everything(3).go(), Everything().go()
    assert all(one != other for one, other in zip(later, anew, strict=True))


def test_objects_are_restored_in_place(through):
    resumed = Everything()
    before = resumed.objects()
    streams, by_role, pair, nested = resumed.streams, resumed.by_role, resumed.pair, resumed.nested
    resumed.restore(through(Everything(3).state()))
    after = resumed.objects()
    assert all(one is other for one, other in zip(before, after, strict=True))
    assert resumed.streams is streams
    assert resumed.by_role is by_role
    assert resumed.pair is pair
    assert resumed.nested is nested
    assert resumed.optimizer.param_groups[0]["params"][0] is resumed.network.weight


class Plain(Stateful):
    kept = ("number", "word", "nothing", "tensor", "values", "curves", "results", "places")

    def __init__(self):
        self.number, self.word = 0.1, ""
        self.nothing: str | None = "something"
        self.tensor = torch.ones(1, requires_grad=True)
        self.values: list[float] = []
        self.curves: dict[str, list[float]] = {}
        self.results: dict[int, Result] = {}
        self.places: tuple[int, ...] = ()


def test_plain_values_are_set_again(through):
    first, other = Plain(), Plain()
    first.number, first.word, first.nothing, first.tensor = 0.1 + 0.2, "max_steps", None, torch.arange(3.0)
    first.values, first.curves = [1.0, float("inf")], {"loss": [0.5, 0.25], "epoch": [1.0, 2.0]}
    first.results, first.places = {3: Result(1, "patience", {"score": Mean.of([0.1, 0.2])}, {"sigma": 1.0})}, (1, 2)
    other.restore(through(first.state()))
    assert other.tensor.equal(first.tensor)
    for name in set(Plain.kept) - {"tensor"}:
        assert getattr(other, name) == getattr(first, name), name
        assert type(getattr(other, name)) is type(getattr(first, name)), name


def test_a_state_does_not_grow_with_its_object():
    plain = Plain()
    state = plain.state()
    plain.values.append(1.0)
    plain.curves["loss"] = [1.0]
    plain.number = 7.0
    assert (state["values"], state["curves"], state["number"]) == ([], {}, 0.1)
    assert not state["tensor"].requires_grad


class Base(Stateful):
    kept = ("first",)

    def __init__(self):
        self.first, self.second, self.third = 1, 2, 3


class Derived(Base):
    kept = (*Base.kept, "second")


def test_a_subclass_adds_names_to_its_bases():
    derived = Derived()
    assert derived.state() == {"first": 1, "second": 2}
    assert Base().state() == {"first": 1}
    assert Stateful().state() == {}
    derived.restore({"first": 4, "second": 5, "third": 6})
    assert (derived.first, derived.second, derived.third) == (4, 5, 3)


def test_a_state_that_lacks_a_name_or_has_another_number_of_generators_is_refused():
    with pytest.raises(KeyError, match="second"):
        Derived().restore({"first": 1})
    state = Everything().state()
    for wrong in ({"streams": state["streams"][:1]}, {"by_role": {"noise": state["by_role"]["noise"]}}):
        with pytest.raises((ValueError, KeyError)):
            Everything().restore(state | wrong)
