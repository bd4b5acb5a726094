"""The time of one training step at the scale of the papers, and what a whole training would take of it.

Every arm of the tables that are made for a GPU is built as ``paper`` trains it, and steps are timed on one device: the
median of the steps after the first ones. What comes of it sizes the campaign: hours for a trial, and the peak of the
device's memory.

    python benchmarks/bench_full_width.py --device cuda           the table
    python benchmarks/bench_full_width.py --only spanning_tree    arms whose names contain this, on the CPU
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from statistics import median

import torch
from parameters import parameters_of
from rich.console import Console
from rich.table import Table

from structgrad.data.images import SETS, data_set_of
from structgrad.experiments import REGISTRY
from structgrad.experiments.indelman.nearest_neighbours import data as images
from structgrad.experiments.indelman.nearest_neighbours.settings import points
from structgrad.experiments.indelman.nearest_neighbours.trial import NeighboursTrial
from structgrad.experiments.paulus.graph_layout import data as layouts
from structgrad.experiments.paulus.graph_layout.train import on_device
from structgrad.experiments.paulus.graph_layout.trial import LayoutTrial
from structgrad.experiments.paulus.listops import data as expressions
from structgrad.experiments.paulus.listops.trial import ListOpsTrial
from structgrad.training.trial import Trial

FEWER = {"train": 2000, "validation": 100, "test": 100}  # a step does not depend on how much data there is
LAYOUT_POINT = {"learning_rate": 1e-3, "temperature": 0.5}
ROLES = ("init", "shuffle", "noise", "dropout", "evaluation", "search", "queries", "candidates")
SEEDS: dict[str, int] = dict.fromkeys(ROLES, 1)
Case = tuple[str, str, Trial, int]  # setting, arm, and how many steps its training takes


def graph_layouts(device: str, only: str) -> Iterator[Case]:
    table = REGISTRY["paulus_1"]
    for setting in table.settings:
        for arm in (arm.name for arm in table.arms if not arm.reference and only in arm.name):
            config = parameters_of(table, arm, setting, **FEWER)
            data = on_device(layouts.make(config, setting, [1]), device)
            yield f"paulus 1 {setting}", arm, LayoutTrial(config, data, LAYOUT_POINT, SEEDS, device), config.steps


def list_operations(device: str, only: str) -> Iterator[Case]:
    table = REGISTRY["paulus_2"]
    for arm in (arm.name for arm in table.arms if not arm.reference and only in arm.name):
        config = parameters_of(table, arm, "ListOps", **FEWER)
        data = expressions.make(config, "ListOps", [1])
        yield "paulus 2", arm, ListOpsTrial(config, data, SEEDS, device), config.steps


def neighbours(device: str, only: str, setting: str, source: str) -> Iterator[Case]:
    table = REGISTRY["indelman_2"]
    for arm in (arm.name for arm in table.arms if only in arm.name):
        config = parameters_of(table, arm, setting, source=source)
        learned_from = SETS[data_set_of(setting)].train - config.validation  # of the published images
        if source == "stand_in":
            config = replace(config, validation=100)
        point = points(config.grid)[0]
        trial = NeighboursTrial(config, images.make(config, setting, [1]).to(device), point, SEEDS, device)
        yield f"indelman 2 {setting}", arm, trial, round(config.epochs * learned_from / config.queries)


def step_seconds(trial: Trial, device: str, steps: int) -> float:
    """The median over steps; as many more go before it, up to twenty."""
    times = []
    for step in range(steps + min(steps, 20)):
        start = time.perf_counter()
        trial.update()
        if device != "cpu":
            torch.cuda.synchronize()
        if step >= min(steps, 20):
            times.append(time.perf_counter() - start)
    return median(times)


def main() -> None:
    """Measure what is asked for, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--only", default="", metavar="NAME", help="arms whose name contains NAME")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--setting", default="MNIST k=1", help="of indelman 2")
    parser.add_argument("--source", default="stand_in", choices=("stand_in", "published"), help="the images of it")
    options = parser.parse_args()
    where = torch.cuda.get_device_name() if options.device != "cpu" else f"CPU, {torch.get_num_threads()} threads"
    table = Table(title=f"One step at full width: {where}")
    for column in ("table", "arm", "ms a step", "hours a training", "peak MiB on the device"):
        table.add_column(column, justify="left" if column in ("table", "arm") else "right")
    for setting, arm, trial, steps in chain(
        graph_layouts(options.device, options.only),
        list_operations(options.device, options.only),
        neighbours(options.device, options.only, options.setting, options.source),
    ):
        if options.device != "cpu":
            torch.cuda.reset_peak_memory_stats()
        seconds = step_seconds(trial, options.device, options.steps)
        peak = f"{torch.cuda.max_memory_allocated() / 2**20:.0f}" if options.device != "cpu" else ""
        table.add_row(setting, arm, f"{1000 * seconds:.2f}", f"{seconds * steps / 3600:.2f}", peak)
    Console(width=None if Console().is_terminal else 120).print(table)


if __name__ == "__main__":
    main()
