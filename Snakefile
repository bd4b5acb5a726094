"""Data -> training -> tables and figures -> tracking -> report. `structgrad reproduce` runs it; so does plain snakemake."""

from snakemake.utils import min_version

min_version("9.0")


configfile: "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/kernels.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/tracking.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/audit.smk"


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
