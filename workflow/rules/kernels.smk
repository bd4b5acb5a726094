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
