# The Snakefile of this repository with the rules that it includes in their places, to read; it runs there.
"""Data -> training -> tables and figures -> tracking -> report. `structgrad reproduce` runs it; so does plain snakemake."""

from snakemake.utils import min_version

min_version("9.0")


configfile: "config.yaml"


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
rule data:
    output:
        "results/{scale}/data/{experiment}.json",
    log:
        "results/{scale}/logs/data/{experiment}.log",
    conda:
        "../../environment.yml"
    params:
        sources=source_digest("structgrad.repro.running.datasets"),
        generator=generator_of,
        data=data_of,
    shell:
        "python -m structgrad data make {wildcards.experiment} --scale {wildcards.scale} 2>&1 | tee {log}"
# Only where site.yaml names a folder for them: many jobs that start at once would each compile the same.
rule kernels:
    input:
        [f"results/{PLAN.scale}/data/{name}.json" for name in experiments_to_do()],
    output:
        touch(f"results/{PLAN.scale}/logs/kernels.done"),
    log:
        f"results/{PLAN.scale}/logs/kernels.log",
    conda:
        "../../environment.yml"
    container:
        SITE["container"]
    envmodules:
        *SITE["modules"],
    resources:
        **site.resources(SITE, gpu=PLAN.config["device"] != "cpu"),
        mem_mb=8000,
        runtime=120,
    params:
        sources=[trainer_digest(PLAN, name) for name in experiments_to_do()],
        experiments=experiments_to_do(),
        scale=PLAN.scale,
    shell:
        "python -m structgrad cluster kernels {params.experiments} --scale {params.scale} 2>&1 | tee {log}"
# One rule per job: Snakemake has no other way for one process to write several records, each of which stands by itself.
for pack in PACKS:

    rule:
        name:
            f"train_{pack.name}"
        input:
            data=f"results/{PLAN.scale}/data/{pack.experiment}.json",
            kernels=rules.kernels.output if SITE["kernels"] else [],
        output:
            [name_of(shard) for shard in pack.shards],
        log:
            f"results/{PLAN.scale}/logs/train/{pack.name}.log",
        # Long ones first, so that cores do not wait for one at the end.
        priority: min(int(pack.seconds), 10**6)
        retries: retries_of(pack)
        conda:
            "../../environment.yml"
        container:
            SITE["container"]
        envmodules:
            *SITE["modules"],
        threads: needs(PLAN, pack).threads
        resources:
            **resources_of(pack),
        params:
            sources=keys_of(pack),
            shards=words_of(pack),
            scale=PLAN.scale,
            job=pack.name,
            attempts=f"results/{PLAN.scale}/logs/train/{pack.name}.attempts.log",
        # SIGTERM reaches the shell and tee, too: they outlive it, so that the training can save its state. Snakemake takes
        # the log of an attempt before away, so there is one of them all.
        shell:
            "trap : TERM;"
            # inside an allocation a job is a step of it
            " ${{STRUCTGRAD_STEP:+$STRUCTGRAD_STEP --cpus-per-task={threads} --mem={resources.mem_mb}}}"
            " python -m structgrad run {params.shards} --go-on --fresh --scale {params.scale}"
            " --threads {threads} --job {params.job} 2>&1 | (trap '' INT TERM; exec tee -a {log} {params.attempts})"
rule tables:
    input:
        SHARDS,
        NOTES,
    output:
        report(
            table_files("csv", "md", "html", "tex"),
            caption="../report/tables.rst",
            category="Tables",
        ),
    log:
        f"results/{PLAN.scale}/logs/tables.log",
    conda:
        "../../environment.yml"
    params:
        sources=source_digest("structgrad.repro.tables.files", "templates/table.html.j2"),
        declared=declared_digest("published_numbers.csv"),
        scale=PLAN.scale,
    shell:
        "python -m structgrad tables --scale {params.scale} --only tables --quiet 2>&1 | tee {log}"


rule claims:
    input:
        SHARDS,
        NOTES,
    output:
        f"results/{PLAN.scale}/claims.json",
    log:
        f"results/{PLAN.scale}/logs/claims.log",
    conda:
        "../../environment.yml"
    params:
        sources=source_digest("structgrad.repro.claims"),
        declared=declared_digest("published_numbers.csv", "claims.yaml", "register.yaml"),
        scale=PLAN.scale,
    shell:
        "python -m structgrad claims --scale {params.scale} --quiet 2>&1 | tee {log}"
rule figures:
    input:
        SHARDS,
        NOTES,
    output:
        report(
            figure_files("svg", "csv"),
            caption="../report/figures.rst",
            category="Figures",
        ),
    log:
        f"results/{PLAN.scale}/logs/figures.log",
    conda:
        "../../environment.yml"
    params:
        sources=source_digest("structgrad.repro.figures.files"),
        declared=declared_digest("published_numbers.csv"),
        scale=PLAN.scale,
    shell:
        "python -m structgrad tables --scale {params.scale} --only figures --quiet 2>&1 | tee {log}"
# One job writes to MLflow, after all training: parallel writers break a fresh SQLite store.
rule tracking:
    input:
        SHARDS,
    output:
        touch(f"results/{PLAN.scale}/logs/tracking.done"),
    log:
        f"results/{PLAN.scale}/logs/tracking.log",
    conda:
        "../../environment.yml"
    params:
        sources=source_digest("structgrad.repro.tracking.ingestion"),
        declared=declared_digest("published_numbers.csv"),
        scale=PLAN.scale,
        store=PLAN.config["tracking"],
    shell:
        "python -m structgrad tracking ingest --scale {params.scale} 2>&1 | tee {log}"
rule report:
    input:
        rules.tables.output,
        rules.figures.output,
        rules.claims.output,
        SHARDS,
        NOTES,
    output:
        f"results/{PLAN.scale}/report.html",
        f"results/{PLAN.scale}/workflow.smk",
        f"results/{PLAN.scale}/ro-crate-metadata.json",
        f"results/{PLAN.scale}/MANIFEST.sha256",
    log:
        f"results/{PLAN.scale}/logs/report.log",
    conda:
        "../../environment.yml"
    params:
        sources=source_digest("structgrad.repro.report.page", *REPORT_TEMPLATES),
        declared=declared_digest("published_numbers.csv", "claims.yaml", "register.yaml", CAPTIONS),
        workflow=one_workflow.digest(),
        scale=PLAN.scale,
    shell:
        "python -m structgrad report --scale {params.scale} 2>&1 | tee {log}"
rule audit:
    input:
        rules.report.output,
    output:
        touch(f"results/{PLAN.scale}/logs/audit.done"),
    log:
        f"results/{PLAN.scale}/logs/audit.log",
    conda:
        "../../environment.yml"
    params:
        scale=PLAN.scale,
    shell:
        "python -m structgrad audit --scale {params.scale} 2>&1 | tee {log}"


localrules:
    all,
    data,
    tables,
    claims,
    figures,
    tracking,
    report,
    audit,


rule all:
    default_target: True
    input:
        f"results/{PLAN.scale}/report.html",
        f"results/{PLAN.scale}/logs/tracking.done",


# One run at a time for each scale; `structgrad reproduce` holds the lock for the snakemake that it starts.
onstart:
    begin()
