"""What an experiment is asked to train, and what it hands back: the border between experiments and evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from structgrad.training.checkpoint import Checkpoint
from structgrad.training.loop import Limits, train
from structgrad.training.results import Example, Result
from structgrad.training.seeds import seeds_for
from structgrad.training.trainee import Trainee

Config = TypeVar("Config")
Seeds = Mapping[str, list[int]]  # by role, one per replica


@dataclass(frozen=True)
class Job(Generic[Config]):
    """Replicas ``first`` .. ``first + count - 1`` of one arm x setting, and how to run them.

    ``experiment`` is the name that its seeds derive from; ``config`` its hyper-parameters
    (:class:`structgrad.experiments.hyper_parameters.HyperParameters`); ``one_data_set``: all replicas have one data
    seed; ``expects`` is told before the first step how many there can be at most, where that is known.
    """

    experiment: str
    setting: str
    arm: str
    first: int
    count: int
    config: Config
    checkpoint: Checkpoint
    limits: Limits
    show: Callable[[int, int, dict[str, float]], None]
    device: str = "cpu"
    one_data_set: bool = False
    expects: Callable[[int], None] = lambda _: None

    def seeds(self, shared: Sequence[str], own: Sequence[str] = ()) -> dict[str, list[int]]:
        """One seed per role and replica; all arms have the ``shared`` ones, so that they are compared pairwise."""
        names = self.experiment, self.setting
        replicas = self.first, self.count
        arms = dict.fromkeys(shared, None) | dict.fromkeys(own, self.arm)
        return {role: seeds_for(*names, arm, *replicas, role, self.one_data_set) for role, arm in arms.items()}

    def run(
        self, make: Callable[[Job[Config], Seeds], Trainee], shared: Sequence[str], own: Sequence[str] = ()
    ) -> Trained:
        """Train what ``make`` makes of the job and its seeds, from the checkpoint where there is one.

        Raises:
            structgrad.training.loop.OutOfTimeError: the time budget ran out; the state is in the checkpoint.
        """
        seeds = self.seeds(shared, own)
        trainee = make(self, seeds)
        if trainee.length is not None:
            self.expects(trainee.length)
        resumed, before = train(trainee, self.checkpoint, self.limits, self.show)
        used = {role: seeds[role] for role in trainee.roles}
        return Trained(used, trainee.results, trainee.history, resumed, before, trainee.examples)


@dataclass(frozen=True)
class Trained:
    """The seeds that were used by role, one result per replica in order, and curves; how often it was resumed, and how
    many seconds it had trained before; and what pictures show of its first replica.
    """

    seeds: Seeds
    results: Sequence[Result]
    history: Mapping[str, list[float]]
    resumed: int = 0
    seconds_before: float = 0.0
    examples: Sequence[Example] = ()
