"""What an experiment declares: its settings (columns of work), arms (methods) and metrics (what a cell holds)."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from structgrad.experiments.figures import Figure, Lines
from structgrad.experiments.hyper_parameters import HyperParameters

Level = Literal[1, 2, 3]


@dataclass(frozen=True)
class Arm:
    """One method. ``answers`` names the published column that it is set beside (None: ours alone).

    Where several arms answer one column, ``main`` says which of them is the **main reading**, the one that text and
    code support best: its cells are the answers to the printed numbers, the others' are further readings, shown apart
    and never counted. A tuple names the settings at which it is.

    ``fold_ratio``: where replicas are folds, the deviation that the mean over the folds of a partition has from one
    partition to the next, over what those folds suggest (their deviation over the root of their number), measured.

    ``config`` holds its own hyper-parameters, in place of or beside those of the experiment. A ``reference`` learns
    nothing: figures draw it as what the others are held against.
    """

    name: str
    column: str
    answers: str | None = None
    note: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    main: bool | tuple[str, ...] = True
    fold_ratio: float = 1.0
    reference: bool = False

    def is_main(self, setting: str) -> bool:
        """Whether it is the main reading of the column that it answers, at a setting."""
        if self.answers is None:
            return False
        return self.main if isinstance(self.main, bool) else setting in self.main


@dataclass(frozen=True)
class Metric:
    """One kind of cell. Replicas report a proportion as successes of trials, a mean as sums over items.

    One that is not ``main`` is a finer measurement of what another one answers.

    One that is ``published`` has a ``margin``, in its unit: the difference from a printed number below which a cell
    that differs is still ``close``, and why, given before there were results.

    What the audit holds records to: ``items`` is the hyper-parameter that says over how many test items a replica
    reports it; ``at_success`` is of a mean, a proportion's name and the value of an item that is one of its successes,
    which no other item has.

    Raises:
        ValueError: a metric with a published counterpart and without a margin, or a margin without its reason.
    """

    name: str
    title: str
    kind: Literal["proportion", "mean"]
    published: str | None = None  # the published metric that it is set beside
    main: bool = True
    unit: str = "%"
    factor: float = 100.0  # from the number in the record to the unit
    digits: int = 1
    higher_is_better: bool = True
    bounds: tuple[float, float] = (0.0, 1.0)  # what one item can be, in the record
    spread: Literal["items", "replicas"] = "items"  # what the paper's "+-" is the deviation over
    margin: float | None = None
    why_margin: str = ""
    items: str | None = None
    at_success: tuple[str, float] | None = None

    def __post_init__(self) -> None:
        if self.published and (self.margin is None or not self.why_margin):
            raise ValueError(f"metric {self.name} is set beside printed numbers: it needs a margin, and why_margin")


@dataclass(frozen=True)
class Experiment:
    """One published table (or a group of figures): what can be run for it and what comes out.

    ``table`` is the table's number in the paper, or a word where the paper has figures only; then ``label`` says which,
    such as "Figures 4, 7 and 8".

    ``package`` is the folder that it lies in (``__package__`` in its ``spec.py``). There ``train.py`` has
    ``train(job)``, which trains a shard; ``data.py`` has ``digest(config, setting, seeds)``, the sha256 of the data
    behind it; and where real data is read ``files.py`` has ``needed(config, setting)``, the files behind a setting
    (:class:`structgrad.data.store.DataFile`, or :class:`structgrad.data.user_data.UserData` where only a user has it,
    which ``USER_DATA`` then lists). They are imported only by the job that needs them, so that planning,
    tables and audit never load torch.

    ``published_items`` says how many items (test sequences, folds, ...) stand behind a published cell of a metric, and
    ``published_replicas`` from how many trainings these come (of a search: how many trials it had): the meaning of its
    uncertainty. ``all_or_nothing``: a replica may fail to learn altogether, so that intervals never count more than
    replicas.

    ``hyper_parameters`` is the class that names and documents them all; what ``config`` of experiment and arm hold are
    their values, which may differ by data set where the folder has a ``settings.py``.

    ``level`` is what a record of it promises whoever makes it again from the same sources and lock; every level keeps
    what the ones after it promise, and records carry it (:meth:`level_on`):

    1. the same record to the bit, but for its ``run`` part, on any x86-64 machine with AVX2;
    2. the same bits on one machine, across kills and resumes, thread counts and whichever replicas train side by
       side; close on others, where single replicas may differ;
    3. statistically equal: cells agree within their intervals.

    ``folds``: how many folds where the replicas are those of a cross-validation, one partition of the data after the
    other: replica r is tested on fold r mod ``folds`` of partition r div ``folds`` and trained on its others; 0 where
    replicas are independent. Experiments with the same ``seeded_as`` derive their seeds from that name instead of their
    own: they share data, folds and initial weights.

    ``selected_by``: the replicas are the trials of a random search, and this objective, the higher the better, selects
    one of them by its best validation (``final.validation`` in the record); a cell is what the selected trial scores.
    ``one_data_set``: all replicas have the data of replica 0, as trials of a search may. ``clock`` is
    what the histories and results of its records count (a ``call`` is one of the maximiser).

    ``scales`` says, by name, what a scale runs of it whose file does not name it: as in ``workflow/scales/*.yaml``,
    ``comparable``, ``reason``, ``blocks`` and what is overridden. One that has no block at a scale is not run there.
    """

    name: str
    paper: str
    table: str
    title: str
    axis: str
    settings: tuple[str, ...]
    arms: tuple[Arm, ...]
    metrics: tuple[Metric, ...]
    package: str
    level: Level
    hyper_parameters: type[HyperParameters] = HyperParameters
    config: Mapping[str, Any] = field(default_factory=dict)
    published_items: Mapping[str, int] = field(default_factory=dict)
    published_replicas: int | None = None
    all_or_nothing: bool = False
    figures: tuple[Figure, ...] = (Lines(),)
    label: str | None = None
    folds: int = 0
    seeded_as: str | None = None
    selected_by: str | None = None
    one_data_set: bool = False
    clock: Literal["epoch", "step", "call"] = "epoch"
    scales: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for setting in self.settings:
            columns = [arm.answers for arm in self.arms if arm.is_main(setting)]
            for column in {arm.answers for arm in self.arms if arm.answers}:
                if columns.count(column) != 1:
                    raise ValueError(f"{self.name}, {setting}: {columns.count(column)} main readings of {column!r}")
        measured = [metric.published for metric in self.metrics if metric.published and metric.main]
        for name in {metric.published for metric in self.metrics if metric.published}:
            if measured.count(name) != 1:
                raise ValueError(f"{self.name}: {measured.count(name)} main metrics for the printed {name}")

    def is_answer(self, setting: str, arm: Arm, metric: Metric) -> bool:
        """Whether a cell is the one answer to a printed number, if the paper prints it."""
        return arm.is_main(setting) and metric.main and metric.published is not None

    @property
    def heading(self) -> str:
        """What the paper calls it: ``Table 1a``, or its label."""
        return self.label or f"Table {self.table}"

    @property
    def full_title(self) -> str:
        """``indelman Table 1a: Learning to sort from 10 sequences``."""
        return f"{self.paper} {self.heading}: {self.title}"

    @property
    def stem(self) -> str:
        """The name of its tables' files, without an ending: ``indelman_1a``."""
        return f"{self.paper}_{self.table}"

    def stem_of(self, figure: Figure) -> str:
        """The name of a figure's files, without an ending."""
        return f"{self.paper}_{figure.name or self.table}"

    @property
    def printed(self) -> bool:
        """Whether the paper prints any number that a cell is set beside; a figure prints none."""
        return any(arm.answers for arm in self.arms) and any(metric.published for metric in self.metrics)

    @property
    def per_data_set(self) -> int:
        """How many replicas in a row have one data seed, that of the first of them."""
        return sys.maxsize if self.one_data_set else self.folds or 1

    @property
    def overlap(self) -> float:
        """Rows a replica is tested on over rows it is trained on where replicas are folds; 0 where they are not.

        It says how much the replicas' training sets have in common (Nadeau & Bengio 2003).
        """
        return 1 / (self.folds - 1) if self.folds else 0.0

    def searches(self, arm: str) -> bool:
        """Whether the arm's replicas are trials that one is selected of; a reference has nothing to select."""
        return self.selected_by is not None and not self.arm(arm).reference

    @property
    def seed_name(self) -> str:
        """The name that the seeds derive from."""
        return self.seeded_as or self.name

    def level_on(self, device: str, machine: str) -> Level:
        """What a record promises that is made on ``device`` (cpu, cuda:0) of a ``machine`` (x86_64, aarch64).

        Level 1 is of x86-64 processors alone, and a GPU's sums have no order that holds from run to run.
        """
        if device != "cpu":
            return 3
        return 2 if self.level == 1 and machine != "x86_64" else self.level

    def arm(self, name: str) -> Arm:
        """The arm of that name."""
        return next(arm for arm in self.arms if arm.name == name)

    def metric(self, name: str) -> Metric:
        """The metric of that name."""
        return next(metric for metric in self.metrics if metric.name == name)

    def config_of(self, arm: str) -> dict[str, Any]:
        """The hyper-parameters of an arm: the experiment's, then the arm's own."""
        return {**self.config, **self.arm(arm).config}
