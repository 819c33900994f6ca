"""One rule for every training of models.yaml; or weights from a file, and weights to take along."""


rule train_convnet:
    input:
        train=lambda wildcards: training_rules.training_shards(RUN, wildcards.model),
        val=training_rules.validation_shards(RUN),
        statistics=f"{RESULTS}/statistics.json",
        classes=f"{RESULTS}/classes.parquet",
        train_boxes=lambda wildcards: training_rules.true_boxes(RUN, wildcards.model, "train"),
        val_boxes=lambda wildcards: training_rules.true_boxes(RUN, wildcards.model, "val"),
        parent=lambda wildcards: training_rules.parent_weights(
            RUN, wildcards.model, wildcards.replicate
        ),
    output:
        weights=f"{RESULTS}/{{replicate}}weights/{{model}}.safetensors",
        history=f"{RESULTS}/{{replicate}}history/{{model}}.csv",
    log:
        f"{LOGS}/train_convnet/{{replicate}}{{model}}.log",
    wildcard_constraints:
        model=one_of(RUN.trained),
    priority: lambda wildcards: training_rules.trainings_that_wait(RUN, wildcards.model)
    conda:
        "../envs/environment.yml"
    threads: RUN.by_size(16, 1) * RUN.processes_per_node
    resources:
        **launching.training_gpus(RUN.processes, RUN.nodes),
        mem_mb=RUN.by_size(64000, 1500) * RUN.processes_per_node,
        runtime=RUN.by_size(20160, 30),
    params:
        options=lambda wildcards: training_rules.training_options(
            RUN, wildcards.model, wildcards.replicate
        ),
        behind=lambda wildcards, input: options(
            parent=input.parent or None,
            train_boxes=input.train_boxes or None,
            val_boxes=input.val_boxes or None,
        ),
    shell:
        f"{launching.launcher(RUN.processes, RUN.nodes)} {{params.options:q}} {{params.behind:q}}"
        " --train-shards {input.train} --val-shards {input.val} --statistics {input.statistics}"
        f" --class-list {{input.classes}} --checkpoints {RESULTS}/{{wildcards.replicate}}checkpoints/{{wildcards.model}}"
        f" --threads {{threads}} {training_rules.running_options(RUN)} {RUN.place}"
        " --output {output.weights} --history {output.history} --cost {log}.json > {log} 2>&1"


rule import_weights:
    input:
        lambda wildcards: training_rules.known_classes(RUN, wildcards.model),
    output:
        f"{RESULTS}/weights/{{model}}.safetensors",
    log:
        f"{LOGS}/import_weights/{{model}}.log",
    wildcard_constraints:
        model=one_of(RUN.imported),
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=RUN.by_size(8000, 1500),
        runtime=60,
        gpu=0,
    params:
        options=lambda wildcards: training_rules.import_options(RUN, wildcards.model),
        known=lambda wildcards, input: options(known_classes=input or None),
    shell:
        "python -m workflow_scripts.import_weights {params.options:q} {params.known:q} --output {output}"
        " --cost {log}.json > {log} 2>&1"


rule export_weights:
    input:
        weights=f"{RESULTS}/weights/{{model}}.safetensors",
        posteriors=lambda wildcards: export_rules.card_posteriors(RUN, wildcards.model),
        classes=lambda wildcards: export_rules.class_list(RUN, wildcards.model),
        paper=PAPER_TABLES,
    output:
        export_rules.exported_files(RUN),
    log:
        f"{LOGS}/export_weights/{{model}}.log",
    wildcard_constraints:
        model=one_of(export_rules.exported(RUN)),
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=RUN.by_size(8000, 2000),
        runtime=60,
        gpu=0,
    params:
        rows=lambda wildcards: export_rules.quoted_rows(RUN, wildcards.model),
        options=export_rules.export_options(RUN),
        behind=lambda wildcards, input: options(
            posteriors=list(input.posteriors), classes=input.classes or None
        ),
    shell:
        "python -m workflow_scripts.export_weights --weights {input.weights} {params.options:q}"
        " {params.behind:q} --paper {input.paper}"
        f" --output {RESULTS}/exported/{{wildcards.model}} --cost {{log}}.json > {{log}} 2>&1"


rule models:
    input:
        RUN.of_all_seeds("weights/{model}.safetensors", RUN.available),


rule exports:
    input:
        expand(export_rules.exported_files(RUN), model=export_rules.exported(RUN)),
