"""``site.yaml``: a cluster's own words, such as the account, which no tracked file holds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from structgrad import cache
from structgrad.files import write_text
from structgrad.repro.documents import read_yaml
from structgrad.repro.planning.config import check
from structgrad.repro.planning.paths import project_root

NAME = "site.yaml"
HEAD = """\
# This cluster's own words; git ignores this file. Every key is described in workflow/schemas/site.schema.yaml.
"""


def path() -> Path:
    """Where it lies, or would."""
    return project_root() / NAME


def load_site() -> dict[str, Any]:
    """What it says, with the schema's defaults; all defaults where there is none.

    Raises:
        UserError: a wrong key, type or value.
    """
    return check(read_yaml(path()) if path().exists() else {}, "site", NAME)


def write_site(content: Mapping[str, Any]) -> None:
    """Write it, checked.

    Raises:
        UserError: a wrong key, type or value; nothing is written.
    """
    check(dict(content), "site", NAME)
    write_text(path(), HEAD + (yaml.safe_dump(dict(content), sort_keys=False) if content else "{}\n"))


def resources(site: Mapping[str, Any], gpu: bool) -> dict[str, Any]:
    """What the Slurm plugin is to be told of every training job, under its own names of resources."""
    partition = (site["gpu_partition"] if gpu else None) or site["partition"]
    asked = {
        "slurm_account": site["account"],
        "slurm_partition": partition,
        "qos": site["qos"],
        "slurm_extra": site["extra"],
    }
    if gpu and site["gpu_flag"] == "gres":
        asked["gres"] = ":".join(["gpu", *filter(None, [site["gpu_type"]]), "1"])
    elif gpu:
        asked |= {"gpu": 1, "gpu_model": site["gpu_type"]}
    return {key: value for key, value in asked.items() if value is not None}


def options(site: Mapping[str, Any], gpu: bool) -> list[str]:
    """Options for Snakemake: how many jobs at a time, and what training jobs are put into."""
    methods = ["apptainer"] * bool(site["container"]) + ["env-modules"] * bool(site["modules"])
    return [
        *("--jobs", str(site["jobs"])),
        *(["--software-deployment-method", *methods] if methods else []),
        *(["--apptainer-args", "--nv"] if site["container"] and gpu else []),
    ]


def variables(site: Mapping[str, Any]) -> dict[str, str]:
    """The environment of the workflow and its jobs: where kernels are kept, and in a Slurm job temporary files."""
    found = {}
    if site["kernels"]:
        found[cache.VARIABLE] = site["kernels"]
    if site["scratch"] and "SLURM_JOB_ID" in os.environ:
        folder = os.path.expandvars(site["scratch"])
        Path(folder).mkdir(parents=True, exist_ok=True)
        found["TMPDIR"] = folder
    return found
