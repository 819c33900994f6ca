"""One rule for every evaluation: a model, a split, a method and a test scale give posteriors."""


rule evaluate_convnet:
    input:
        weights=f"{RESULTS}/{{replicate}}weights/{{model}}.safetensors",
        shards=lambda wildcards: shards(wildcards.split),
    output:
        f"{RESULTS}/{{replicate}}posteriors/{{split}}/{{model}}/{{method}}_Q{{Q}}.parquet",
    log:
        f"{LOGS}/evaluate_convnet/{{replicate}}{{split}}_{{model}}_{{method}}_Q{{Q}}.log",
    benchmark:
        f"{BENCHMARKS}/evaluate_convnet/{{replicate}}{{split}}_{{model}}_{{method}}_Q{{Q}}.tsv"
    conda:
        "../envs/environment.yml"
    threads: evaluation_threads
    resources:
        mem_mb=by_size(32000, 1500),
        runtime=by_size(1440, 30),
        gpu=1,
    params:
        options=evaluation_options(),
    shell:
        "python -m workflow_scripts.evaluate --weights {input.weights} --shards {input.shards}"
        " --method {wildcards.method} --scale {wildcards.Q} {params.options:q}"
        f" {PLACE}"
        " --threads {threads} --output {output} --cost {log}.json > {log} 2>&1"


use rule evaluate_convnet as evaluate_choice with:
    input:
        weights=f"{RESULTS}/weights/{{model}}.safetensors",
        shards=lambda wildcards: shards(wildcards.split),
    output:
        f"{RESULTS}/choices/{{choice}}={{value}}/posteriors/{{split}}/{{model}}/{{method}}_Q{{Q}}.parquet",
    log:
        f"{LOGS}/evaluate_choice/{{choice}}={{value}}_{{split}}_{{model}}_{{method}}_Q{{Q}}.log",
    benchmark:
        f"{BENCHMARKS}/evaluate_choice/{{choice}}={{value}}_{{split}}_{{model}}_{{method}}_Q{{Q}}.tsv"
    params:
        options=alternative_options,


rule write_submission:
    input:
        posteriors=lambda wildcards: [e.path(RESULTS, "test") for e in SUBMITTED[wildcards.name]],
        classes=f"{RESULTS}/classes.parquet",
        index=f"{RESULTS}/index/test.parquet",
        packing=shards("test", "packing", "json"),
    output:
        f"{RESULTS}/submission/{{name}}.txt",
    log:
        f"{LOGS}/write_submission/{{name}}.log",
    benchmark:
        f"{BENCHMARKS}/write_submission/{{name}}.tsv"
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
        gpu=0,
    shell:
        "python -m workflow_scripts.write_submission --posteriors {input.posteriors}"
        " --classes {input.classes} --index {input.index} --packing {input.packing}"
        " --output {output} --cost {log}.json > {log} 2>&1"
