"""What a run on this cluster adds to one on a single machine: options, environment, and who watches over its jobs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from structgrad.repro.planning.plan import Plan
from structgrad.repro.running.cluster import controller, polling, site
from structgrad.repro.running.cluster.watchdog import Watchdog

KNOWS_NONE = (
    "the cluster knows no job of this run any more, and Snakemake still waited for some, so it was ended. What is "
    "finished is kept: run again to go on; structgrad doctor --cluster says what may be wrong"
)


@dataclass(frozen=True)
class Submission:
    """Snakemake's further options and variables, the watchdog, and a line for people."""

    options: list[str]
    variables: dict[str, str]
    watchdog: Watchdog
    told: str


def submission(plan: Plan, profile: Mapping[str, Any], path: str) -> Submission:
    """Ask the controller and read site.yaml; ``path`` is the PATH that Snakemake would have.

    Raises:
        UserError: the controller does not answer, or site.yaml is wrong.
    """
    here, asked = site.load_site(), controller.ask()
    name = f"structgrad-{plan.scale}-{os.getpid()}"
    return Submission(
        [
            *polling.options(asked, profile),
            *site.options(here, plan.config["device"] != "cpu"),
            *("--slurm-jobname-prefix", name),
        ],
        polling.variables(asked, path),
        Watchdog(name, here["patience"]),
        polling.told(asked),
    )
