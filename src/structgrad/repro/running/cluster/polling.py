"""How Snakemake asks what became of its jobs, so that it neither forgets one nor waits for one for ever.

Its Slurm plugin asks ``sacct`` (accounting) or ``squeue`` (the controller). With ``squeue`` it must ask before the
controller forgets a job, and it turns to ``sacct`` whenever the controller did not answer at once, or forgets sooner
than three times the first interval; where there is no accounting that fails, and after the last of its attempts all
jobs are forgotten. So there a program named ``sacct`` goes first on its PATH that asks ``squeue``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from structgrad.files import write_text
from structgrad.repro.planning.paths import work
from structgrad.repro.running.cluster.controller import Controller

INTERVAL = 40  # seconds, the plugin's own first interval between two questions
LONGEST = 180  # seconds, the longest that it lets it grow to
IN_PLACE_OF_SACCT = """\
#!/bin/sh
# There is no accounting here: what became of a run's jobs the controller says, as long as it remembers them.
case " $* " in
*" --format=JobIdRaw,State "*) ;;
*) echo "Slurm accounting storage is disabled" >&2; exit 1 ;;
esac
while [ $# -gt 1 ] && [ "$1" != --name ]; do shift; done
exec squeue --noheader --states=all "--format=%i|%T" --name "$2"
"""


def options(controller: Controller, profile: Mapping[str, Any]) -> list[str]:
    """Options for Snakemake, beside those of the profile, which do not depend on the cluster."""
    first = profile.get("slurm-init-seconds-before-status-checks", INTERVAL)
    if not controller.accounting:
        first = max(1, min(first, controller.min_job_age // 3))
    return [
        *("--slurm-status-command", "sacct" if controller.accounting else "squeue"),
        *("--slurm-init-seconds-before-status-checks", str(first)),
    ]


def told(controller: Controller) -> str:
    """The same in a sentence for people."""
    if controller.accounting:
        return "what becomes of jobs is asked of the accounting (sacct)"
    return (
        "no accounting: what becomes of jobs is asked of the controller (squeue), which remembers them for "
        f"{controller.min_job_age} s"
    )


def forgets(controller: Controller) -> bool:
    """Whether a job can be forgotten between two questions."""
    return not controller.accounting and controller.min_job_age <= LONGEST


def variables(controller: Controller, path: str) -> dict[str, str]:
    """The environment of Snakemake, whose PATH is ``path`` so far."""
    if controller.accounting:
        return {}
    program = work() / "slurm" / "bin" / "sacct"
    write_text(program, IN_PLACE_OF_SACCT)
    Path(program).chmod(0o755)
    return {"PATH": os.pathsep.join([str(program.parent), path])}
