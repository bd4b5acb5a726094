"""Validate the configuration and name files. What is computed, and how, is the package's business."""

import sys
from shlex import quote

from structgrad.errors import UserError
from structgrad.repro import lock, overrides
from structgrad.repro.digests import declared_digest, source_digest
from structgrad.repro.paths import project_root
from structgrad.repro.plan import load_plan
from structgrad.repro.run import config_digest, trainer_digest

try:
    PLAN = load_plan(overrides=overrides.from_snakemake(config))
except UserError as error:
    print(f"structgrad: {error}", file=sys.stderr)
    sys.exit(2)

# What --config changed is passed on, so that every job sees the same plan; the file itself every job reads.
_OPTIONS = overrides.shell({key: value for key, value in overrides.differing(PLAN.config).items() if key != "scale"})

# `structgrad data fetch` left a note where data could not be had: that record is not asked for, its cells say no_data.
SHARDS = {str(shard.path.relative_to(project_root())): shard for shard in PLAN.shards if not shard.left_out}
NOTES = [str(shard.note.relative_to(project_root())) for shard in PLAN.shards if shard.left_out]


wildcard_constraints:
    scale=PLAN.scale,
    experiment="|".join(PLAN.experiments) or "none",
    setting=r"[^/]+",
    arm=r"\w+",
    span=r"\d+-\d+",


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


def shard_of(wildcards):
    """The shard whose record the wildcards name."""
    return PLAN.shard(f"{wildcards.experiment}/{wildcards.setting}/{wildcards.arm}/{wildcards.span}")


def sources_of(wildcards):
    """The digest of the sources that a record depends on: editing them trains it anew, editing others does not."""
    return trainer_digest(PLAN, wildcards.experiment)


def generator_of(wildcards):
    """The digest of the sources that make an experiment's data."""
    return source_digest(f"{PLAN.experiments[wildcards.experiment].experiment.package}.data")


def config_of(wildcards):
    """The digest of the hyper-parameters that a record depends on."""
    return config_digest(PLAN, shard_of(wildcards))


def shard_id(wildcards):
    """The id that the command line takes."""
    return quote(shard_of(wildcards).id)


def table_files(*endings):
    """One file an experiment and ending."""
    return [
        f"results/{PLAN.scale}/tables/{part.experiment.stem}.{ending}"
        for part in PLAN.experiments.values()
        for ending in endings
    ]


def figure_files(*endings):
    """One file a figure and ending."""
    return [
        f"results/{PLAN.scale}/figures/{part.experiment.stem_of(figure)}.{ending}"
        for part in PLAN.experiments.values()
        for figure in part.experiment.figures
        for ending in endings
    ]
