"""A throw-away project, and records in it whose numbers the test chooses."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any

import pytest
import torch

from structgrad.experiments import Arm, Experiment, LearningCurves, Lines, Metric
from structgrad.repro.evidence.records import save
from structgrad.repro.planning.experiment_plan import ExperimentPlan
from structgrad.repro.planning.plan import Plan, load_plan
from structgrad.repro.planning.shard import Shard

SOURCE = Path(__file__).resolve().parents[2]

MARGIN = {"margin": 5.0, "why_margin": "none"}

Report = Mapping[str, float]
Fabricate = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def _the_same_draws_in_any_order() -> None:
    """Tests that draw from torch's own generator draw alike whichever ran before them."""
    torch.manual_seed(0)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a project with this one's schemas, scales and profiles, and no results."""
    monkeypatch.setenv("STRUCTGRAD_ROOT", str(tmp_path))
    package = tmp_path / "packages" / "nowhere"  # of the experiments that fixtures declare; it holds captions alone
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.delitem(sys.modules, "nowhere", raising=False)
    return _project(tmp_path)


def _project(root: Path) -> Path:
    for folder in ("schemas", "scales", "report", "profiles"):
        shutil.copytree(SOURCE / "workflow" / folder, root / "workflow" / folder)
    shutil.copytree(SOURCE / "workflow" / "rules", root / "workflow" / "rules")
    shutil.copy(SOURCE / "Snakefile", root / "Snakefile")
    (root / "config.yaml").write_text("scale: paper\n", encoding="utf-8")
    return root


@pytest.fixture(scope="session")
def fabricate() -> Fabricate:
    """Write a valid record for a shard from one mapping metric -> report a replica.

    ``seeds`` are the data seeds, by default the same for every arm of a setting; ``changes`` replaces
    top-level fields before the record is sealed.
    """

    def write(
        plan: Plan,
        shard: Shard,
        reports: Sequence[Mapping[str, Report]],
        seeds: Sequence[int] | None = None,
        changes: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        part = plan.experiments[shard.experiment]
        replicas = range(shard.first, shard.first + shard.count)
        record = {
            "schema": "structgrad.record/1",
            "id": shard.id,
            "scale": shard.scale,
            "paper": part.experiment.paper,
            "table": part.experiment.table,
            "experiment": shard.experiment,
            "setting": shard.setting,
            "arm": shard.arm,
            "replicas": {"first": shard.first, "count": shard.count},
            "level": part.experiment.level,
            "config": part.config_for(shard),
            "seeds": {"data": list(seeds or (1000 + r for r in replicas)), "init": list(replicas)},
            "results": [
                {"replica": r, "epochs": 57, "stopped": "patience", "metrics": dict(m), "final": {}}
                for r, m in zip(replicas, reports, strict=True)
            ],
            "history": {
                "epoch": [1.0, 57.0],
                "active": [float(shard.count)] * 2,
                "loss": [0.5, int(hashlib.sha256(shard.id.encode()).hexdigest()[:4], 16) / 2**17],
            },
            "provenance": {
                "source_digest": hashlib.sha256(b"source").hexdigest(),
                "git_commit": "0" * 40,
                "git_dirty": False,
                "lock_digest": None,
                "data_digest": hashlib.sha256(b"data").hexdigest(),
                "libraries": {"torch": "2.11.0"},
                "command": f"structgrad run {shard.id} --scale {shard.scale}",
            },
            "run": {
                "started": "2025-01-01T00:00:00Z",
                "finished": "2025-01-01T00:01:00Z",
                "seconds": 60.0,
                "resumed": 0,
                "peak_memory_mb": 100.0,
                "device": "cpu",
                "threads": 2,
                "hardware": {"machine": "x86_64", "cpu": "made up"},
            },
        }
        return save({**record, **(changes or {})}, shard.path)

    return write


@pytest.fixture(scope="session")
def sorted_report() -> Callable[..., dict[str, Report]]:
    """The four metrics of one replica of the sorting tables: ``right`` of ``trials`` sequences perfect, the
    others with a share ``wrong`` of their positions wrong, and the same of 100 more sequences."""

    def report(right: int, right_100: int, trials: int = 1, wrong: float = 0.25) -> dict[str, Report]:
        def both(name: str, good: int, of: int) -> dict[str, Report]:
            bad = of - good
            return {
                f"percent_sequences_perfect{name}": {"successes": good, "trials": of},
                f"prop_wrong_mean{name}": {"sum": bad * wrong, "sum_squares": bad * wrong**2, "count": of},
            }

        return both("", right, trials) | both("_100", right_100, 100)

    return report


@pytest.fixture(scope="session")
def ranked_report() -> Callable[..., dict[str, Report]]:
    """The metric of one fold of the label-ranking tables: ``rows`` rows whose correlations have that mean."""

    def report(correlation: float, rows: int = 10) -> dict[str, Report]:
        squares = rows * correlation**2 + (0.01 if abs(correlation) < 1 else 0.0)
        return {"spearman": {"sum": rows * correlation, "sum_squares": squares, "count": rows}}

    return report


def _history(epochs: Sequence[int], active: int, values: Sequence[float]) -> dict[str, list[float]]:
    curve: dict[str, list[float]] = {"epoch": list(epochs), "active": [active] * len(epochs)}
    return {**curve, "perfect": list(values), "loss": [2 * value for value in values]}


@pytest.fixture
def figured(project: Path, fabricate: Fabricate) -> Plan:
    """The plan of an experiment for which the paper prints figures and no number, with a record of all that is run.

    Of four cells of three replicas the learner has perfect 2, 3 and 4 of 4 at sigma=0.1, in two slices; of the
    history's two quantities one is a metric's name. Nothing is run at sigma=10 but the reference; ``idle`` never is.
    """
    experiment = Experiment(
        name="fake",
        paper="berthet",
        table="artificial",
        title="Fake rankings",
        axis="sigma",
        settings=("sigma=0.1", "sigma=10"),
        arms=(
            Arm("bayes", "w0", reference=True),
            Arm("learner", "Learner", note="learns"),
            Arm("idle", "Idle"),
        ),
        metrics=(
            Metric("perfect", "perfect ranks", "proportion", digits=2),
            Metric("partial", "partial ranks", "mean", digits=2, spread="replicas"),
        ),
        package="nowhere",
        level=2,
        figures=(
            Lines(name="4", title="Figure 4: perfect ranks", metrics=("perfect",), base=10, from_zero=True),
            Lines(name="7", title="Figure 7: perfect and partial ranks", base=10, columns=1),
            LearningCurves(("sigma=0.1",), ("perfect", "loss"), name="8", title="Figure 8: while learning"),
        ),
        label="Figures 4, 7 and 8",
    )
    shards = (
        Shard("paper", "fake", "sigma=0.1", "bayes", 0, 3),
        Shard("paper", "fake", "sigma=0.1", "learner", 0, 2),
        Shard("paper", "fake", "sigma=0.1", "learner", 2, 1),
        Shard("paper", "fake", "sigma=10", "bayes", 0, 3),
        Shard("paper", "fake", "sigma=10", "learner", 0, 3),
    )
    part = ExperimentPlan(experiment, True, "as published", {}, {})
    plan = Plan("paper", {}, {"fake": part}, shards)
    right = (4, 4, 4), (2, 3), (4,), (1, 1, 1)
    curves = (
        _history([0], 3, [1.0]),
        _history([1, 10, 100], 2, [0.1, 0.4, 0.6]),
        _history([1, 10, 100], 1, [0.4, 0.7, 0.9]),
        _history([0], 3, [0.25]),
    )
    for shard, successes, history in zip(shards, right, curves, strict=False):  # the last shard is not run
        reports = [
            {
                "perfect": {"successes": found, "trials": 4},
                "partial": {"sum": found / 2, "sum_squares": found / 4, "count": 4},
            }
            for found in successes
        ]
        fabricate(plan, shard, reports, changes={"history": history})
    return plan


FINISHED = {"experiments": ["indelman_1a"], "settings": ["d=5"], "arms": ["direct", "no_solver"], "replicas": 3}


@pytest.fixture(scope="session")
def _finished(
    tmp_path_factory: pytest.TempPathFactory, fabricate: Fabricate, sorted_report: Callable[..., dict[str, Report]]
) -> Path:
    """A project whose paper scale was run for two arms, with true seeds and data and all that is derived."""
    from structgrad.repro.claims import write_claims
    from structgrad.repro.figures.files import write_figures
    from structgrad.repro.judging.cells import collect_all
    from structgrad.repro.report.page import write_report
    from structgrad.repro.running import datasets
    from structgrad.repro.tables.files import write_tables
    from structgrad.training.seeds import seed_for

    root = _project(tmp_path_factory.mktemp("finished"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STRUCTGRAD_ROOT", str(root))
        plan = load_plan("paper", FINISHED)
        digests = datasets.make(plan, "indelman_1a")
        for shard in plan.shards:
            reports = [sorted_report(right, more, wrong=0.4) for right, more in ((1, 97), (0, 99), (1, 100))]
            axes = "indelman_1a", "d=5"
            seeds = {"data": [seed_for(*axes, None, replica, "data") for replica in range(3)]}
            seeds["noise"] = [seed_for(*axes, shard.arm, replica, "noise") for replica in range(3)]
            record = fabricate(plan, shard, reports, changes={"seeds": seeds})
            made = record["provenance"] | {"data_digest": digests["d=5/0-2"]}
            fabricate(plan, shard, reports, changes={"seeds": seeds, "provenance": made})
        cells = collect_all(plan)
        for write in (write_tables, write_figures, write_claims, write_report):  # the report last: it has the manifest
            write(plan, cells)
    return root


@pytest.fixture
def finished(_finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """The plan of a finished project, a copy that the test may do anything to (``results(plan.scale)``)."""
    root = tmp_path / "finished"
    shutil.copytree(_finished, root)
    monkeypatch.setenv("STRUCTGRAD_ROOT", str(root))
    return load_plan("paper", FINISHED)


@pytest.fixture
def options() -> list[str]:
    """What the command line must be told to see the plan of ``finished``."""
    return [word for key, value in FINISHED.items() for word in ("--set", f"{key}={json.dumps(value)}")]


SEARCHED = {  # arm -> of each trial its validation, its ELBO and edge precision on the test data, and how it ended
    "tree": ((-1100.0, -1090.0, 0.92, "max_steps"), (-1050.0, -1060.0, 0.90, "max_steps"),
             (-1350.0, -1340.0, 0.30, "diverged"), (-1300.0, -1310.0, 0.80, "max_steps")),
    "indep": ((-1600.0, -1590.0, 0.45, "max_steps"), (-1500.0, -1505.0, 0.44, "max_steps"),
              (-1700.0, -1690.0, 0.40, "max_steps"), (-1400.0, -1420.0, 0.48, "max_steps")),
}  # fmt: skip


@pytest.fixture
def searched(project: Path, fabricate: Fabricate) -> Plan:
    """The plan of a random search that is set beside paulus Table 1, with the records of :data:`SEARCHED` at T=10.

    The trials of ``tree`` have a record each, those of ``indep`` one for two. A trial's curve of the objective ends
    at its validation; at T=20 there is nothing but a reference.
    """
    metrics = (
        Metric("elbo", "ELBO", "mean", published="elbo", unit="nats", factor=1.0, bounds=(-inf, inf), **MARGIN),
        Metric("edge_precision", "edge precision", "mean", published="edge_precision", **MARGIN),
    )
    experiment = Experiment(
        name="fake",
        paper="paulus",
        table="1",
        title="Fake graphs",
        axis="T",
        settings=("T=10", "T=20"),
        arms=(
            Arm("chance", "Chance", reference=True),
            Arm("tree", "Spanning Tree", answers="Spanning Tree"),
            Arm("indep", "Independent", answers="Indep. Directed Edges"),
        ),
        metrics=metrics,
        package="nowhere",
        level=2,
        figures=(Lines(), LearningCurves(("T=10",), ("elbo",), name="1_progress", title="Learning")),
        selected_by="elbo",
        one_data_set=True,
        clock="step",
    )
    learners = [Shard("paper", "fake", "T=10", "tree", trial, 1) for trial in range(4)]
    learners += [Shard("paper", "fake", "T=10", "indep", first, 2) for first in (0, 2)]
    references = [Shard("paper", "fake", setting, "chance", 0, 1) for setting in experiment.settings]
    plan = Plan("paper", {}, {"fake": ExperimentPlan(experiment, True, "all trials", {}, {})}, (*learners, *references))

    def report(elbo: float, precision: float) -> dict[str, Report]:
        return {
            "elbo": {"sum": 10 * elbo, "sum_squares": 10 * elbo**2, "count": 10},
            "edge_precision": {"sum": 10 * precision, "sum_squares": 10 * precision**2, "count": 10},
        }

    for shard in learners:
        trials = range(shard.first, shard.first + shard.count)
        found = [SEARCHED[shard.arm][trial] for trial in trials]
        results = [
            {
                "replica": trial, "steps": 400, "stopped": stopped, "metrics": report(elbo, precision),
                "final": {"learning_rate": 0.001 * (trial + 1), "validation": validation},
            }
            for trial, (validation, elbo, precision, stopped) in zip(trials, found, strict=True)
        ]  # fmt: skip
        end = sum(validation for validation, *_ in found) / len(found)
        history = {"step": [200.0, 400.0], "active": [float(shard.count)] * 2, "elbo": [2 * end, end]}
        fabricate(plan, shard, [{}] * shard.count, changes={"results": results, "history": history})
    for shard in references:
        results = [
            {"replica": 0, "steps": 0, "stopped": "untrained", "metrics": report(-9000.0, 0.2), "final": {}},
        ]
        fabricate(plan, shard, [{}], changes={"results": results, "history": {}})
    return plan
