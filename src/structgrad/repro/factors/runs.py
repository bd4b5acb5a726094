"""Train the combinations of a study, or take what was trained of them; a json file per combination and setting.

``results/factors/runs/<experiment>/<setting>/<digest>.json`` holds the hyper-parameters, what each replica reports, and
where it came from. The digest is that of experiment, setting, arm, hyper-parameters and replicas, so that studies share
what they have in common.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from structgrad.files import write_text
from structgrad.repro.documents import DocumentError, read_json
from structgrad.repro.factors.declared import Combination, Study
from structgrad.repro.planning.hyper_parameters import read
from structgrad.repro.planning.paths import project_root, work
from structgrad.repro.planning.resolve import trainer
from structgrad.repro.planning.shard import folder_of
from structgrad.repro.running import git
from structgrad.repro.running.digests import lock_digest, source_digest
from structgrad.training.results import report_of

IDENTITY = ("experiment", "setting", "arm", "config", "replicas")  # of a run
FIRST = 0  # the replica that a study begins with


@dataclass(frozen=True)
class Run:
    """One combination at one setting: its replicas' values by metric, in the record's unit, and its seconds."""

    values: Mapping[str, Sequence[float]]
    seconds: float


def folder() -> Path:
    """Where studies and their runs lie."""
    return project_root() / "results" / "factors"


def path_of(study: Study, combination: Combination, setting: str, first: int = FIRST) -> Path:
    """Where the run of a combination at a setting lies."""
    return path_of_content(_identity(study, combination, setting, first))


def path_of_content(content: Mapping[str, Any]) -> Path:
    """Where a run lies that says of itself what it is.

    Raises:
        ValueError: it does not say it.
    """
    missing = [key for key in IDENTITY if key not in content]
    if missing:
        raise ValueError(f"it has no {missing[0]}")
    identity = json.dumps({key: content[key] for key in IDENTITY}, sort_keys=True)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    return folder() / "runs" / content["experiment"] / folder_of(content["setting"]) / f"{digest}.json"


def known(study: Study, combination: Combination, setting: str, first: int = FIRST) -> Run | None:
    """What was trained before; None where nothing was."""
    path = path_of(study, combination, setting, first)
    if not path.is_file():
        return None
    content = read_json(path)
    check_replicas(content, path)
    reports = {name: [report_of(report).value for report in own] for name, own in content["metrics"].items()}
    return Run(reports, content["run"]["seconds"])


def check_replicas(content: Mapping[str, Any], path: Path) -> None:
    """That every metric of a run has a result of each of its replicas.

    Raises:
        DocumentError: one has not.
    """
    count = content["replicas"]["count"]
    for name, own in content["metrics"].items():
        if len(own) != count:
            raise DocumentError(
                f"{path}: {name} has {len(own)} results of {count} replicas; without the file the study trains it again"
            )


def trained(study: Study, combination: Combination, setting: str, first: int = FIRST) -> Run:
    """The run of a combination at a setting, trained now where it was not before."""
    run = known(study, combination, setting, first)
    if run is None:
        _train(study, combination, setting, first)
        run = known(study, combination, setting, first)
        assert run is not None
    return run


def values_of(study: Study, runs: Mapping[str, Run], metrics: Sequence[str] | None = None) -> np.ndarray:
    """A combination's ``(cells, replicas)`` in the metrics' units, from its runs by setting; by other metrics than the
    study's where these are given.
    """
    measures = [study.experiment.metric(name) for name in metrics or study.metrics]
    return np.array(
        [
            [value * metric.factor for value in runs[setting].values[metric.name]]
            for setting in study.settings
            for metric in measures
        ]
    )


def _train(study: Study, combination: Combination, setting: str, first: int) -> None:
    from structgrad.training.checkpoint import Checkpoint
    from structgrad.training.job import Job
    from structgrad.training.loop import Limits

    experiment, path, started = study.experiment, path_of(study, combination, setting, first), time.monotonic()
    config = study.config_of(combination)
    sources = source_digest(f"{experiment.package}.train")
    place = work() / "factors" / path.relative_to(folder()).with_suffix("") / "checkpoint.pt"
    checkpoint = Checkpoint(place, f"{path.stem} {sources} {lock_digest()}")
    commit, dirty, _ = git.state()
    job = Job(
        experiment.seed_name, setting, study.arm, first, study.replicas, read(experiment, config, setting),
        checkpoint, Limits(), lambda *_: None, "cpu", experiment.per_data_set,
    )  # fmt: skip
    outcome = trainer(experiment)(job)
    results = [result.content(experiment.clock) for result in outcome.results]
    content = {
        **_identity(study, combination, setting, first),
        "metrics": {name: [result["metrics"][name] for result in results] for name in results[0]["metrics"]},
        "run": {"seconds": round(outcome.seconds_before + time.monotonic() - started, 2)},
        "provenance": {
            "source_digest": sources, "lock_digest": lock_digest(), "git_commit": commit, "git_dirty": dirty,
        },
    }  # fmt: skip
    write_text(path, json.dumps(content, indent=1) + "\n")
    checkpoint.clear()


def _identity(study: Study, combination: Combination, setting: str, first: int) -> dict[str, Any]:
    return {
        "experiment": study.experiment.name,
        "setting": setting,
        "arm": study.arm,
        "config": study.config_of(combination),
        "replicas": {"first": first, "count": study.replicas},
    }


def pending(study: Study, chosen: Sequence[Combination]) -> Iterator[tuple[Combination, str]]:
    """What is left to train, combination by combination."""
    for combination in chosen:
        for setting in study.settings:
            if known(study, combination, setting) is None:
                yield combination, setting


def train_all(
    study: Study, chosen: Sequence[Combination], seconds: float, told: Callable[[], None] = lambda: None
) -> int:
    """Train what is left until the time is spent; how many runs are left after that."""
    left, started = list(pending(study, chosen)), time.monotonic()
    for done, (combination, setting) in enumerate(left):
        if time.monotonic() - started > seconds:
            return len(left) - done
        trained(study, combination, setting)
        told()
    return 0
