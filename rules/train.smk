"""One rule for every training of models.yaml."""


def training_shards(wildcards):
    """The training set at the model's S."""
    return shards("train", f"_S{experiments.scale_name(MODELS[wildcards.model]['S'])}")


def parent_weights(wildcards):
    """The weights that the model starts from, if any."""
    parent = MODELS[wildcards.model].get("parent")
    return f"{RESULTS}/weights/{parent}.safetensors" if parent else []


def training_options(wildcards):
    """All that decides a training's result, as options of the command."""
    model, train = MODELS[wildcards.model], config["train"]
    inherit = model.get("inherit")
    stage = {None: "scratch", "layers-of-A": "transferred", "all": "fine_tuned"}[inherit]
    return options(
        model=wildcards.model,
        net=model["net"],
        layers=CONVNETS[model["net"]],
        train_scale=experiments.scale_range(model["S"]),
        inherit=inherit,
        trainable=model.get("trainable"),
        learning_rate=model["learning_rate"],
        **train["stages"][stage],
        **{name: train[name] for name in TRAIN_OPTIONS},
        **{name: CHOICES[name] for name in TRAIN_CHOICES},
        **config["convnet"],
        classes=DATA["classes"],
        seed=config["seed"],
    )


TRAIN_OPTIONS = [
    "batch_size",
    "momentum",
    "weight_decay",
    "dropout",
    "validation_interval",
    "patience",
    "margin",
    "input_scale",
    "precision",
]
TRAIN_CHOICES = [
    "initialisation",
    "transferred_convs",
    "biases",
    "colour_shift",
    "resize_filter",
]


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
