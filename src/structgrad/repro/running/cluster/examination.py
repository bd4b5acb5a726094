"""The doctor's questions about a cluster: what of it a run will use, and what would go wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

from structgrad.errors import UserError
from structgrad.repro.planning.paths import project_root, work
from structgrad.repro.planning.plan import Plan
from structgrad.repro.running.cluster import controller, polling, site
from structgrad.repro.running.cluster.controller import Controller
from structgrad.repro.running.diagnosis import Diagnosis
from structgrad.repro.running.stopping import seconds_of

QUEUED = 180  # seconds that the trial job may take from its submission to its end


def examine_cluster(plan: Plan) -> Iterator[Diagnosis]:
    """Every diagnosis of the cluster; one job of a second is submitted.

    Raises:
        UserError: site.yaml is wrong.
    """
    here = site.load_site()
    if not site.path().exists():
        yield Diagnosis(
            "site.yaml", "warn", "there is none: the cluster's defaults are taken", "structgrad cluster init"
        )
    else:
        said = ", ".join(f"{key} {value}" for key, value in here.items() if value not in (None, []))
        yield Diagnosis("site.yaml", "ok", said)
    try:
        asked = controller.ask()
    except UserError as error:
        yield Diagnosis("controller", "fail", str(error), "start it from a machine that may submit jobs")
        return
    yield from _asking(asked)
    yield from _partition(plan, here, asked)
    yield from _trial(plan, here)


def _asking(asked: Controller) -> Iterator[Diagnosis]:
    if polling.forgets(asked):
        advice = "ask the cluster's people for MinJobAge=300 or for accounting; a run that lost a job ends with a line"
        yield Diagnosis("controller", "warn", f"{polling.told(asked)}: too short to be sure", advice)
    else:
        yield Diagnosis("controller", "ok", polling.told(asked))


def _partition(plan: Plan, here: dict, asked: Controller) -> Iterator[Diagnosis]:
    gpu = plan.config["device"] != "cpu"
    wanted = site.resources(here, gpu).get("slurm_partition")
    names = {partition.name: partition for partition in asked.partitions}
    default = next((partition.name for partition in asked.partitions if partition.default), None)
    for name in (wanted or default or "").split(","):
        if name not in names:
            known = ", ".join(names) or "none"
            seen = f"this cluster has no partition {name}" if name else "this cluster has no default partition"
            yield Diagnosis("partition", "fail", seen, f"name one of {known}: structgrad cluster init")
            continue
        partition = names[name]
        seen = f"{name}, at most {partition.limit}, GPUs {partition.gres}"
        limit = seconds_of(partition.limit)
        if gpu and "gpu" not in partition.gres:
            yield Diagnosis("partition", "fail", seen, "device is cuda: set gpu_partition to one that has GPUs")
        elif limit is not None and limit < 60 * plan.config["job_minutes"]:
            yield Diagnosis(
                "partition", "warn", seen, "jobs hand back and go on when their time ends; fewer, with more"
            )
        else:
            yield Diagnosis("partition", "ok", seen)


def _trial(plan: Plan, here: dict) -> Iterator[Diagnosis]:
    """One job that writes where results will lie, and imports what jobs import."""
    place = work() / "slurm" / "trial.txt"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    program = (
        f"{quote(sys.executable)} -c 'import structgrad, socket; print(socket.gethostname())' > {quote(str(place))}"
    )
    asked = site.resources(here, gpu=False)
    flags = {"slurm_account": "account", "slurm_partition": "partition", "qos": "qos"}
    words = [f"--{flag}={asked[key]}" for key, flag in flags.items() if key in asked]
    name = f"structgrad-trial-{os.getpid()}"
    command = ["sbatch", "--wait", f"--job-name={name}", "--time=2", "--mem=500", "--ntasks=1", *words]
    output = place.with_suffix(".log")
    try:
        done = subprocess.run(
            [*command, f"--output={output}", "--chdir", str(project_root()), f"--wrap={program}"],
            capture_output=True,
            text=True,
            timeout=QUEUED,
            check=False,
        )
    except subprocess.TimeoutExpired:
        controller.said("scancel", f"--name={name}")
        yield Diagnosis("trial job", "warn", f"did not run within {QUEUED} s, and was taken back", "try again later")
        return
    if done.returncode or not place.is_file():
        seen = done.stderr.strip().splitlines()[-1:] or _last(output) or ["it wrote nothing that can be seen here"]
        advice = "checkout, .venv and results must lie on a file system that nodes share with this machine"
        yield Diagnosis("trial job", "fail", seen[0], advice)
        return
    yield Diagnosis("trial job", "ok", f"ran on {place.read_text().strip()}, which shares {project_root()}")


def _last(log: Path) -> list[str]:
    return log.read_text(errors="replace").strip().splitlines()[-1:] if log.is_file() else []
