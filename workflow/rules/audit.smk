rule audit:
    input:
        rules.report.output,
    output:
        touch(f"results/{PLAN.scale}/logs/audit.done"),
    log:
        f"results/{PLAN.scale}/logs/audit.log",
    conda:
        "../../environment.yml"
    params:
        scale=PLAN.scale,
    shell:
        "python -m structgrad audit --scale {params.scale} 2>&1 | tee {log}"
