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
