"""What the run will cost, before it; how far it is, during it; and what it has cost, after it."""


localrules:
    plan,
    status,


# Without an output, it runs whenever it is asked for. It needs no data. The page in the report, which
# may be of another experiment, is of this one or left as it is.
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
        "python -m workflow_scripts.plan --config {input.config} --refresh {params.options:q} 2> {log}"


# Without inputs, it waits for nothing and touches nothing: it may be asked for while all else runs.
rule status:
    log:
        f"{LOGS}/status.log",
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
        gpu=0,
    params:
        options=report_rules.given_options(OVERLAYS, workflow.config_settings.config),
    shell:
        "python -m workflow_scripts.status {params.options:q} 2> {log}"
