"""What a protocol leaves open, as factors with levels, read from ``factors.yaml`` of a paper's folder.

::

    berthet_1:                               # an experiment
      - column: Perturbed + Squared loss     # as printed
        arm: perturbed_squared_plain         # what trains, with its hyper-parameters
        settings: [iris, wine]
        check: [stock]                       # cells that the answer is tried on, and that have no part in it
        also: [berthet_2]                    # whose column of that name has the same protocol
        cut: a tenth of the steps            # where less than is published is trained: no comparison with the print
        metrics: [spearman]                  # the printed one, or a finer measure of the same
        replicas: 10                         # per combination, the same seeds in all of them
        factors:
          epsilon:
            question: the magnitude of the noise, which Table 1 does not name
            levels:                          # the first one is our reading
              0.05: {epsilons: [0.05]}
              1: {epsilons: [1.0]}

A level is what it changes of the arm's hyper-parameters. Factors of a study change different ones, so that every
combination of their levels is a protocol.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from itertools import product
from typing import Any

from structgrad.experiments import PAPERS, REGISTRY, Experiment
from structgrad.repro.documents import parse_yaml

Combination = tuple[int, ...]  # the place of a level, for each factor in turn


@dataclass(frozen=True)
class Factor:
    """One choice that the text leaves open.

    Attributes:
        name: in a word or two.
        question: what is open.
        levels: the answers, each with what it changes; the first is that of the table's own arm.
    """

    name: str
    question: str
    levels: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Study:
    """A printed column and the factors that may stand behind it.

    Attributes:
        experiment: whose column it is.
        column: as printed.
        arm: what is trained.
        settings: the cells of the column.
        metrics: and what measures them, by the experiment's names: the printed metric, or one that takes the same from
            more items.
        replicas: of each combination; the same seeds in all.
        factors: the open choices.
        overrides: what all combinations change of the arm's hyper-parameters, such as a cut that makes a study cheap.
        checks: further cells of the column, on which compatible combinations are tried afterwards.
        also: experiments whose column of the same name is of the same protocol.
        cut: what all combinations have less of than the published protocol, in words; empty where nothing is cut.
    """

    experiment: Experiment
    column: str
    arm: str
    settings: tuple[str, ...]
    metrics: tuple[str, ...]
    replicas: int
    factors: tuple[Factor, ...]
    overrides: Mapping[str, Any] = field(default_factory=dict)
    checks: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    cut: str = ""

    def __post_init__(self) -> None:
        names = [key for factor in self.factors for key in {k for level in factor.levels.values() for k in level}]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{self.experiment.name}, {self.column}: {twice[0]} is changed by two factors")
        if self.replicas <= len(self.metrics):
            raise ValueError(
                f"{self.experiment.name}, {self.column}: {self.replicas} replicas cannot give the covariance of "
                f"{len(self.metrics)} metrics"
            )

    @property
    def incomparable(self) -> str:
        """Why no combination can be held against the print; empty where it can."""
        search = self.experiment.searches(self.arm) and "the print is the trial that a search selected, these are means"
        return "; ".join(reason for reason in (self.cut, search) if reason)

    @property
    def printed_metrics(self) -> tuple[str, ...]:
        """What the print measures by, in the order of ``metrics``."""
        main = {metric.published: metric.name for metric in self.experiment.metrics if metric.published and metric.main}
        return tuple(main.get(self.experiment.metric(name).published or "", name) for name in self.metrics)

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many levels each factor has."""
        return tuple(len(factor.levels) for factor in self.factors)

    def combinations(self) -> Iterator[Combination]:
        """Every combination of levels; the first is the table's own protocol."""
        return product(*map(range, self.sizes))

    def config_of(self, combination: Sequence[int]) -> dict[str, Any]:
        """The hyper-parameters of a combination."""
        config = {**self.experiment.config_of(self.arm), **self.overrides}
        for factor, place in zip(self.factors, combination, strict=True):
            config |= list(factor.levels.values())[place]
        return config

    def words(self, combination: Sequence[int]) -> str:
        """Such as ``epsilon 0.05, samples 16``."""
        return ", ".join(
            f"{factor.name} {list(factor.levels)[place]}"
            for factor, place in zip(self.factors, combination, strict=True)
        )


@cache
def studies() -> Mapping[str, tuple[Study, ...]]:
    """The studies of every experiment that has any.

    Raises:
        ValueError: a file that names an experiment, arm, setting or metric that there is not, or two factors that
            change one hyper-parameter.
    """
    found: dict[str, tuple[Study, ...]] = {}
    for paper in PAPERS:
        file = files(f"structgrad.experiments.{paper}") / "factors.yaml"
        content: Mapping[str, Any] = parse_yaml(file.read_text(encoding="utf-8"), str(file)) if file.is_file() else {}
        for name, columns in content.items():
            if name not in REGISTRY or REGISTRY[name].paper != paper:
                raise ValueError(f"factors.yaml of {paper}: no experiment is called {name}")
            found[name] = tuple(_study(REGISTRY[name], column) for column in columns)
    return found


def study_behind(experiment: str, column: str) -> Study | None:
    """The study that asks about a printed column of an experiment, or about one of the same protocol."""
    for study in (study for own in studies().values() for study in own):
        if study.column == column and experiment in (study.experiment.name, *study.also):
            return study
    return None


def _study(experiment: Experiment, content: Mapping[str, Any]) -> Study:
    factors = tuple(
        Factor(name, factor["question"], {str(level): changes or {} for level, changes in factor["levels"].items()})
        for name, factor in content["factors"].items()
    )
    known = {
        "arm": ([content["arm"]], [arm.name for arm in experiment.arms]),
        "setting": ([*content["settings"], *content.get("check", ())], experiment.settings),
        "experiment": (content.get("also", ()), REGISTRY),
        "metric": (content["metrics"], [metric.name for metric in experiment.metrics]),
        "column": ([content["column"]], [arm.answers for arm in experiment.arms]),
    }
    for kind, (names, possible) in known.items():
        for name in names:
            if name not in possible:
                raise ValueError(f"factors of {experiment.name}: there is no {kind} {name!r}")
    return Study(
        experiment, content["column"], content["arm"], tuple(content["settings"]), tuple(content["metrics"]),
        content["replicas"], factors, content.get("overrides", {}), tuple(content.get("check", ())),
        tuple(content.get("also", ())), content.get("cut", ""),
    )  # fmt: skip
