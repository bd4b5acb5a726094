rule train:
    input:
        data="results/{scale}/data/{experiment}.json",
    output:
        "results/{scale}/records/{experiment}/{setting}/{arm}.{span}.json",
    log:
        "results/{scale}/logs/train/{experiment}/{setting}/{arm}.{span}.log",
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=720,
    params:
        sources=sources_of,
        config=config_of,
        shard=shard_id,
        options=options_of,
    shell:
        "python -m structgrad run {params.shard} --scale {wildcards.scale} {params.options}"
        " --threads {threads} 2>&1 | tee {log}"
