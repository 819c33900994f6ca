"""One rule for every training of models.yaml; or weights from a file, and weights to take along."""


rule train_convnet:
    input:
        train=training_shards,
        val=validation_shards,
        statistics=f"{RESULTS}/statistics.json",
        parent=parent_weights,
    output:
        weights=f"{RESULTS}/{{replicate}}weights/{{model}}.safetensors",
        history=f"{RESULTS}/{{replicate}}history/{{model}}.csv",
    log:
        f"{LOGS}/train_convnet/{{replicate}}{{model}}.log",
    benchmark:
        f"{BENCHMARKS}/train_convnet/{{replicate}}{{model}}.tsv"
    wildcard_constraints:
        model=one_of(TRAINED),
    priority: trainings_that_wait
    conda:
        "../envs/environment.yml"
    threads: by_size(16, 1) * PROCESSES_PER_NODE
    resources:
        **TRAINING_GPUS,
        mem_mb=by_size(64000, 1500) * PROCESSES_PER_NODE,
        runtime=by_size(20160, 30),
    params:
        options=training_options,
        parent=lambda wildcards, input: options(parent=input.parent or None),
    shell:
        f"{TRAIN} {{params.options:q}} {{params.parent:q}}"
        " --train-shards {input.train} --val-shards {input.val} --statistics {input.statistics}"
        f" --checkpoints {RESULTS}/{{wildcards.replicate}}checkpoints/{{wildcards.model}}"
        f" --threads {{threads}} {RUNNING} {PLACE}"
        " --output {output.weights} --history {output.history} --cost {log}.json > {log} 2>&1"


rule import_weights:
    output:
        f"{RESULTS}/weights/{{model}}.safetensors",
    log:
        f"{LOGS}/import_weights/{{model}}.log",
    benchmark:
        f"{BENCHMARKS}/import_weights/{{model}}.tsv"
    wildcard_constraints:
        model=one_of(IMPORTED),
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=by_size(8000, 1500),
        runtime=60,
        gpu=0,
    params:
        options=import_options,
    shell:
        "python -m workflow_scripts.import_weights {params.options:q} --output {output}"
        " --cost {log}.json > {log} 2>&1"


rule export_weights:
    input:
        f"{RESULTS}/weights/{{model}}.safetensors",
    output:
        f"{RESULTS}/exported/{{model}}.safetensors",
    log:
        f"{LOGS}/export_weights/{{model}}.log",
    benchmark:
        f"{BENCHMARKS}/export_weights/{{model}}.tsv"
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=by_size(4000, 1500),
        runtime=30,
        gpu=0,
    shell:
        "python -m workflow_scripts.export_weights --weights {input} --output {output}"
        " --cost {log}.json > {log} 2>&1"


rule models:
    input:
        of_all_seeds("weights/{model}.safetensors", AVAILABLE),


rule exports:
    input:
        expand(f"{RESULTS}/exported/{{model}}.safetensors", model=AVAILABLE),
