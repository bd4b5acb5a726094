"""The kinds of figure that an experiment can declare; how each is drawn is the package ``repro``'s business."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What all kinds have: ``name`` in the names of the files, by default the table's, and what it is called.

    ``title`` is the paper's name for it, such as "Figure 4: perfect ranks"; by default it goes by its table's heading.
    """

    name: str = ""
    title: str = ""


@dataclass(frozen=True)
class Lines(Figure):
    """Each arm's cells as a line against the number in the setting.

    ``metrics`` names those that are drawn, one panel each; by default all are, and those that are set beside the same
    published one share a panel. ``base`` is that of the logarithmic horizontal axis, ``columns`` how many panels stand
    in a row (by default all), and with ``from_zero`` the vertical axis of what is better the higher starts at 0.
    """

    metrics: tuple[str, ...] = ()
    base: float = 2
    columns: int | None = None
    from_zero: bool = False


@dataclass(frozen=True)
class Scatter(Figure):
    """One arm's cells against another's, one point a setting, one panel a pair of arms.

    ``pairs`` name (vertical, horizontal) arms; within the relative ``band`` about the diagonal the paper calls the two
    similar.
    """

    pairs: tuple[tuple[str, str], ...]
    band: float
    columns: int = 3


@dataclass(frozen=True)
class ChosenWords(Figure):
    """The words of some test items, one after the other, and which of them each of two arms chooses.

    Records hold them as ``examples`` (:class:`structgrad.training.results.Result`): ``words``, and the places of those
    ``inside`` what is annotated and of those ``chosen``.
    """

    settings: tuple[str, ...]
    arms: tuple[str, str]


@dataclass(frozen=True)
class LearningCurves(Figure):
    """Learning curves: one line per arm against the epoch (or step), one panel per setting (column) and quantity (row).

    ``quantities`` are lists in the records' histories. One that is named like a metric is drawn in that metric's unit
    and under its title. With ``from_zero`` the vertical axes start at 0. Of a single quantity ``columns``
    panels stand in a row (by default all).
    """

    settings: tuple[str, ...]
    quantities: tuple[str, ...]
    from_zero: bool = False
    columns: int | None = None


@dataclass(frozen=True)
class PathMaps(Figure):
    """Maps with paths on them, which records keep as ``examples``: a row per map of a setting.

    Panels from left to right: the terrain with the true path, the true costs, then what each arm predicts per cell with
    the path that it finds.
    """

    setting: str


@dataclass(frozen=True)
class SearchTrials(Figure):
    """Every trial of the random searches of some arms: a metric's value against each of the ``hyper_parameters``."""

    arms: tuple[str, ...]
    metric: str
    hyper_parameters: tuple[str, ...]
