# One rule per job: Snakemake has no other way for one process to write several records, each of which stands by itself.
for pack in PACKS:

    rule:
        name:
            f"train_{pack.name}"
        input:
            data=f"results/{PLAN.scale}/data/{pack.experiment}.json",
        output:
            [name_of(shard) for shard in pack.shards],
        log:
            f"results/{PLAN.scale}/logs/train/{pack.name}.log",
        # Long ones first, so that cores do not wait for one at the end.
        priority: min(int(pack.seconds), 10**6)
        conda:
            "../../environment.yml"
        threads: asked(pack, "threads")
        resources:
            mem_mb=asked(pack, "mem_mb"),
            runtime=asked(pack, "runtime"),
            gpu=asked(pack, "gpu"),
        params:
            sources=keys_of(pack),
            shards=words_of(pack),
            options=options_of,
            scale=PLAN.scale,
        shell:
            # inside an allocation a job is a step of it
            "${{STRUCTGRAD_STEP:+$STRUCTGRAD_STEP --cpus-per-task={threads} --mem={resources.mem_mb}}}"
            " python -m structgrad run {params.shards} --go-on --fresh --scale {params.scale} {params.options}"
            " --threads {threads} 2>&1 | tee {log}"
