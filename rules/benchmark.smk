"""How fast the parts of the pipeline are on this machine: `snakemake benchmarks`."""


# On all cores, since nothing else may run meanwhile. The orchestration's line on the miniature is of
# the last run that left its records.
rule measure_speed:
    output:
        multiext("benchmarks/summary", ".json", ".csv"),
    log:
        "logs/benchmarks/measure_speed.log",
    conda:
        "../envs/environment.yml"
    threads: workflow.cores
    resources:
        mem_mb=16000,
        runtime=60,
        gpu=1,
    shell:
        f"python -m workflow_scripts.benchmark {RUN.device}"
        " --threads {threads} --output benchmarks/summary"
        " 2> {log}"


rule render_benchmarks:
    input:
        templates=PAGE_TEMPLATES,
        summary=SPEED,
        config=f"{RESULTS}/config.yaml",
    output:
        "reports/benchmarks.html",
    log:
        "logs/benchmarks/render_benchmarks.log",
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
        gpu=0,
    params:
        index=index_link,
    shell:
        "python -m workflow_scripts.render_benchmarks --summary {input.summary}"
        " --config {input.config} {params.index} --output {output} > {log} 2>&1"


rule benchmarks:
    input:
        "benchmarks/summary.csv",
        "reports/benchmarks.html",
