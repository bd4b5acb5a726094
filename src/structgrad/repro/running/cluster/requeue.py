"""Hand a job back to Slurm, which starts it again: no attempt of the workflow is used up, and nothing has failed."""

from __future__ import annotations

import os

from structgrad.repro.running.cluster.controller import said


def requeue() -> bool:
    """Ask Slurm to queue the job that we are in again; False where it will not, or where we are in none.

    A cluster allows it unless its administrators do not (the profile submits with ``--requeue``). Slurm then ends this
    process, if it has not ended by itself.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if job is None or "SLURM_ARRAY_TASK_ID" in os.environ:
        return False
    return said("scontrol", "requeue", job) is not None
