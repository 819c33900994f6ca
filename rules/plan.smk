"""What the run will cost, before it; and has cost, after it."""


localrules:
    plan,


# Without an output, it runs whenever it is asked for. It needs no data.
rule plan:
    input:
        config=f"{RESULTS}/config.yaml",
    log:
        f"{LOGS}/plan.log",
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
        gpu=0,
    params:
        options=report_rules.planned_jobs(RUN),
    shell:
        "python -m workflow_scripts.plan --config {input.config} {params.options:q} 2> {log}"
