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
