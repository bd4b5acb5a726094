"""Papers and their experiments are found where they lie: a folder per paper, in it a folder per task."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from structgrad.experiments.base import Experiment
from structgrad.experiments.paper import Paper

HERE = Path(__file__).parent
PACKAGE = "structgrad.experiments"


def papers() -> dict[str, Paper]:
    """Every paper by name: a folder with a ``paper.py`` that declares ``PAPER``. Newest first, then by name; ours last.

    Raises:
        ValueError: a paper that is not called as its folder.
    """
    by_name: dict[str, Paper] = {
        name: import_module(f"{PACKAGE}.{name}.paper").PAPER for name in _folders_with("paper.py")
    }
    for name, paper in by_name.items():
        if paper.name != name:
            raise ValueError(f"the paper in {PACKAGE}.{name} is called {paper.name!r}: it must be called as its folder")
    return dict(sorted(by_name.items(), key=lambda named: (named[1].ours, -named[1].year, named[0])))


def experiments(known: dict[str, Paper]) -> dict[str, Experiment]:
    """Every experiment by name, in the order of papers and their tables: what each task's ``spec.py`` declares.

    Raises:
        ValueError: an experiment of another paper than its folder's, or two of one name.
    """
    by_name: dict[str, Experiment] = {}
    for paper in known:
        declared = [experiment for task in _folders_with("spec.py", paper) for experiment in _declared(paper, task)]
        for experiment in sorted(declared, key=lambda experiment: experiment.table):
            if experiment.paper != paper:
                raise ValueError(
                    f"{experiment.name} in {experiment.package} is of paper {paper}, not {experiment.paper}"
                )
            if experiment.name in by_name:
                raise ValueError(f"two experiments are called {experiment.name}")
            by_name[experiment.name] = experiment
    return by_name


def _declared(paper: str, task: str) -> Iterator[Experiment]:
    spec = import_module(f"{PACKAGE}.{paper}.{task}.spec")
    yield from (value for value in vars(spec).values() if isinstance(value, Experiment))


def _folders_with(file: str, below: str = "") -> list[str]:
    """The packages there that have a file of that name."""
    folder = HERE / below
    return sorted(
        each.name for each in iter_modules([str(folder)]) if each.ispkg and (folder / each.name / file).is_file()
    )
