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
