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
