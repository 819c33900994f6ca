"""One rule for every training of models.yaml."""


rule train_convnet:
    input:
        train=training_shards,
        val=shards("val"),
        statistics=f"{RESULTS}/statistics.json",
        parent=parent_weights,
    output:
        weights=f"{RESULTS}/weights/{{model}}.safetensors",
        history=f"{RESULTS}/history/{{model}}.csv",
    log:
        f"{LOGS}/train_convnet/{{model}}.log",
    benchmark:
        f"{BENCHMARKS}/train_convnet/{{model}}.tsv"
    conda:
        "../envs/environment.yml"
    threads: by_size(16, 1)
    resources:
        mem_mb=by_size(64000, 1500),
        runtime=by_size(20160, 30),
        gpu=1,
    params:
        options=training_options,
        parent=lambda wildcards, input: options(parent=input.parent or None),
        checkpoint_seconds=config["train"]["checkpoint_seconds"],
    shell:
        "python -m workflow_scripts.train {params.options:q} {params.parent:q}"
        " --train-shards {input.train} --val-shards {input.val} --statistics {input.statistics}"
        f" --checkpoints {RESULTS}/checkpoints/{{wildcards.model}}"
        " --checkpoint-seconds {params.checkpoint_seconds} --threads {threads}"
        " --output {output.weights} --history {output.history} > {log} 2>&1"


rule models:
    input:
        expand(f"{RESULTS}/weights/{{model}}.safetensors", model=MODELS),
