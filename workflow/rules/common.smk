"""Validate the configuration and name files. What is computed, and how, is the package's business."""

import os
import sys
from shlex import quote

from structgrad.errors import UserError
from structgrad.repro.planning import overrides
from structgrad.repro.report import assets, one_workflow
from structgrad.repro.running import datasets, environment, finished, lock, outcomes, packs
from structgrad.repro.running.cluster import site
from structgrad.repro.running.digests import declared_digest, source_digest
from structgrad.repro.running.estimates import estimates
from structgrad.repro.running.needs import needs
from structgrad.repro.running.packs import FRESH
from structgrad.repro.running.retries import Retries
from structgrad.repro.planning.paths import project_root
from structgrad.repro.planning.plan import load_plan
from structgrad.repro.running.run import key_of, trainer_digest

try:
    PLAN = load_plan(overrides=overrides.from_snakemake(config))
    SITE = site.load_site()
except UserError as error:
    print(f"structgrad: {error}", file=sys.stderr)
    sys.exit(2)

# What --config changed reaches the jobs through their environment: were it in a rule's params, every change of it would
# make anew what it has no part in. How replicas are sliced is this process's business alone.
_SHARED = {key: value for key, value in PLAN.config.items() if key != "slice"}
os.environ |= overrides.variables(_SHARED) | site.variables(SITE) | environment.sources(project_root())


def name_of(shard):
    """A shard's record, as rules name it."""
    return str(shard.path.relative_to(project_root()))


def jobs_to_do():
    """The jobs of this run: what has no record, or one that this checkout made of other sources or hyper-parameters.

    And all shards that it wants records of.
    """
    if not workflow.is_main_process:  # a job on a cluster, or a subprocess: records may have come in since
        return packs.frozen(PLAN)
    # `structgrad data fetch` left a note where data could not be had: that record is not asked for, its cells say no_data.
    wanted = [shard for shard in PLAN.shards if not shard.left_out]
    fresh = os.environ.get(FRESH) == "1"
    shards = [
        shard for shard in wanted if fresh or not shard.path.is_file() or finished.outdated(shard, key_of(PLAN, shard))
    ]
    return packs.pack(shards, estimates(PLAN, shards), 60 * PLAN.config["job_minutes"]), wanted


PACKS, WANTED = jobs_to_do()
SHARDS = [name_of(shard) for shard in WANTED]
NOTES = [str(shard.note.relative_to(project_root())) for shard in PLAN.shards if shard.left_out]


def experiments_to_do():
    """The experiments of this run's jobs."""
    return list(dict.fromkeys(pack.experiment for pack in PACKS))


def begin():
    """Hold the lock; write down the jobs of this run; a fresh one takes nothing that was finished before."""
    hold_lock()
    packs.freeze(PLAN.scale, PACKS, WANTED)
    outcomes.forget(PLAN.scale)
    if os.environ.get(FRESH) == "1":
        for pack in PACKS:
            for shard in pack.shards:
                finished.forget(shard)


wildcard_constraints:
    scale=PLAN.scale,
    experiment="|".join(PLAN.experiments) or "none",


REPORT_TEMPLATES = assets.names()
CAPTIONS = "*/*.rst"  # of tables and figures, below each paper's folder


def hold_lock():
    """Hold the scale's lock until this process ends, or end it in a line that says who works."""
    try:
        lock.hold(PLAN.scale)
    except UserError as error:
        print(f"structgrad: {error}", file=sys.stderr)
        sys.exit(2)


def generator_of(wildcards):
    """The digest of the sources that make an experiment's data."""
    return source_digest(f"{PLAN.experiments[wildcards.experiment].experiment.package}.data")


def keys_of(pack):
    """What the records of a job depend on: editing that trains them anew, editing other sources does not."""
    return [key_of(PLAN, shard) for shard in pack.shards]


def data_of(wildcards):
    """The data sets that an experiment's shards train on, and where real data is looked for first."""
    return [*datasets.named(PLAN, wildcards.experiment), PLAN.config["data_folder"]]


def resources_of(pack):
    """What a cluster is asked for: what the job needs, which grows by attempt, and the site's own words."""
    return {
        "mem_mb": lambda wildcards, attempt: needs(PLAN, pack, attempt).mem_mb,
        "runtime": lambda wildcards, attempt: needs(PLAN, pack, attempt).runtime,
        **site.resources(SITE, gpu=needs(PLAN, pack).gpu > 0),
    }


def retries_of(pack):
    """Where a profile tries failed jobs again: for as long as they get on."""
    return Retries(pack, lambda: workflow.execution_settings.retries)


def words_of(pack):
    """The ids that the command line takes; a function, because braces in a plain text would be wildcards."""
    return lambda wildcards: " ".join(quote(shard.id) for shard in pack.shards)


def table_files(*endings):
    """One file per experiment and ending."""
    return [
        f"results/{PLAN.scale}/tables/{part.experiment.stem}.{ending}"
        for part in PLAN.experiments.values()
        for ending in endings
    ]


def figure_files(*endings):
    """One file per figure and ending."""
    return [
        f"results/{PLAN.scale}/figures/{part.experiment.stem_of(figure)}.{ending}"
        for part in PLAN.experiments.values()
        for figure in part.experiment.figures
        for ending in endings
    ]
