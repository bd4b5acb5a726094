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
