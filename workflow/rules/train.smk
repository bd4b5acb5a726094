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
