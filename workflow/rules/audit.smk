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
        options=options_of,
        scale=PLAN.scale,
    shell:
        "python -m structgrad audit --scale {params.scale} {params.options} 2>&1 | tee {log}"
