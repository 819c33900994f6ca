"""One rule for every evaluation: a model, a split, a method and a test scale give posteriors."""


rule evaluate_convnet:
    input:
        weights=f"{RESULTS}/{{replicate}}weights/{{model}}.safetensors",
        shards=lambda wildcards: RUN.shards(wildcards.split),
    output:
        f"{RESULTS}/{{replicate}}posteriors/{{split}}/{{model}}/{{method}}_Q{{Q}}.parquet",
    log:
        f"{LOGS}/evaluate_convnet/{{replicate}}{{split}}_{{model}}_{{method}}_Q{{Q}}.log",
    conda:
        "../envs/environment.yml"
    threads: lambda wildcards: evaluation_rules.evaluation_threads(RUN, wildcards.method)
    resources:
        mem_mb=RUN.by_size(32000, 1500),
        runtime=RUN.by_size(1440, 30),
        gpu=1,
    params:
        options=evaluation_rules.evaluation_options(RUN),
    shell:
        "python -m workflow_scripts.evaluate --weights {input.weights} --shards {input.shards}"
        " --method {wildcards.method} --scale {wildcards.Q} {params.options:q}"
        f" {RUN.place}"
        " --threads {threads} --output {output} --cost {log}.json > {log} 2>&1"


use rule evaluate_convnet as evaluate_choice with:
    input:
        weights=f"{RESULTS}/weights/{{model}}.safetensors",
        shards=lambda wildcards: RUN.shards(wildcards.split),
    output:
        f"{RESULTS}/choices/{{choice}}={{value}}/posteriors/{{split}}/{{model}}/{{method}}_Q{{Q}}.parquet",
    log:
        f"{LOGS}/evaluate_choice/{{choice}}={{value}}_{{split}}_{{model}}_{{method}}_Q{{Q}}.log",
    params:
        options=lambda wildcards: evaluation_rules.evaluation_options(
            RUN, **{wildcards.choice: wildcards.value}
        ),


rule write_submission:
    input:
        answers=lambda wildcards: evaluation_rules.submitted_answers(RUN, wildcards.name),
        classes=f"{RESULTS}/classes.parquet",
        index=f"{RESULTS}/index/test.parquet",
        packing=RUN.shards("test", "packing", "json"),
    output:
        f"{RESULTS}/submission/{{name}}.txt",
    log:
        f"{LOGS}/write_submission/{{name}}.log",
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
        gpu=0,
    params:
        kind=lambda wildcards: (
            "--guesses" if wildcards.name in RUN.box_submitted else "--posteriors"
        ),
    shell:
        "python -m workflow_scripts.write_submission {params.kind} {input.answers}"
        " --classes {input.classes} --index {input.index} --packing {input.packing}"
        " --output {output} --cost {log}.json > {log} 2>&1"
