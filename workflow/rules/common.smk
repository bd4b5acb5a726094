"""Validate the configuration and name files. What is computed, and how, is the package's business."""

import os
import sys
from shlex import quote

from structgrad.errors import UserError
from structgrad.repro.planning import overrides
from structgrad.repro.report import assets
from structgrad.repro.running import finished, lock, packs
from structgrad.repro.running.digests import declared_digest, source_digest
from structgrad.repro.running.estimates import estimates
from structgrad.repro.running.packs import FRESH
from structgrad.repro.running.needs import needs
from structgrad.repro.planning.paths import project_root
from structgrad.repro.planning.plan import load_plan
from structgrad.repro.running.run import key_of

try:
    PLAN = load_plan(overrides=overrides.from_snakemake(config))
except UserError as error:
    print(f"structgrad: {error}", file=sys.stderr)
    sys.exit(2)

# What --config changed is passed on, so that every job sees the same plan; the file itself every job reads.
# How replicas are sliced and jobs are packed does not concern them.
_OURS = ("scale", "slice", "threads", "job_minutes", "job_hours")
_OPTIONS = overrides.shell({key: value for key, value in overrides.differing(PLAN.config).items() if key not in _OURS})


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


def begin():
    """Hold the lock; write down the jobs of this run; a fresh one takes nothing that was finished before."""
    hold_lock()
    packs.freeze(PLAN.scale, PACKS, WANTED)
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


def options_of(wildcards):
    """What every job is told beside its scale; a function, because braces in a plain text would be wildcards."""
    return _OPTIONS


def generator_of(wildcards):
    """The digest of the sources that make an experiment's data."""
    return source_digest(f"{PLAN.experiments[wildcards.experiment].experiment.package}.data")


def keys_of(pack):
    """What the records of a job depend on: editing that trains them anew, editing other sources does not."""
    return [key_of(PLAN, shard) for shard in pack.shards]


def words_of(pack):
    """The ids that the command line takes; a function, because braces in a plain text would be wildcards."""
    return lambda wildcards: " ".join(quote(shard.id) for shard in pack.shards)


def asked(pack, name):
    """What a job asks for by that name, at each attempt."""
    return lambda wildcards, attempt: getattr(needs(PLAN, pack, attempt), name)


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
