"""From ILSVRC-2012's archives to shards and statistics."""


rule make_miniature:
    output:
        "resources/{name}/manifest.json",
    log:
        "logs/make_miniature/{name}.log",
    benchmark:
        f"{BENCHMARKS}/make_miniature/{{name}}.tsv"
    conda:
        "../envs/environment.yml"
    threads: 2
    resources:
        mem_mb=1000,
        runtime=30,
        gpu=0,
    params:
        options=options(
            classes=DATA["classes"],
            seed=config["seed"],
            **DATA["images"],
        ),
    shell:
        "python -m workflow_scripts.make_miniature --directory resources/{wildcards.name}"
        " {params.options:q} --processes {threads} > {log} 2>&1"


rule read_devkit:
    input:
        made_archives,
    output:
        f"{RESULTS}/classes.parquet",
    log:
        f"{LOGS}/read_devkit.log",
    benchmark:
        f"{BENCHMARKS}/read_devkit.tsv"
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        options=options(devkit=archive("devkit"), classes=DATA["classes"]),
    shell:
        "python -m workflow_scripts.read_devkit {params.options:q} --output {output} > {log} 2>&1"


rule index_archive:
    input:
        made_archives,
        classes=f"{RESULTS}/classes.parquet",
    output:
        f"{RESULTS}/index/{{split}}.parquet",
    log:
        f"{LOGS}/index_archive/{{split}}.log",
    benchmark:
        f"{BENCHMARKS}/index_archive/{{split}}.tsv"
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=by_size(4000, 1000),
        runtime=by_size(240, 10),
        gpu=0,
    params:
        options=index_options,
    shell:
        "python -m workflow_scripts.index_archive {params.options:q} --classes {input.classes}"
        " --output {output} > {log} 2>&1"


rule pack_training_shard:
    input:
        index=f"{RESULTS}/index/train.parquet",
    output:
        f"{RESULTS}/shards/train_S{{S}}/{{shard}}.arrow",
    log:
        f"{LOGS}/pack_training_shard/S{{S}}_{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/pack_training_shard/S{{S}}_{{shard}}.tsv"
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=by_size(2000, 1000),
        runtime=by_size(120, 10),
        gpu=0,
    params:
        options=options(
            archive=archive("train"),
            shards=DATA["shards"]["train"],
            resize_filter=CHOICES["resize_filter"],
            jpeg_quality=DATA["jpeg_quality"],
        ),
        rescaling=rescaling,
    shell:
        "python -m workflow_scripts.pack_shards {params.options:q} {params.rescaling}"
        " --index {input.index} --shard {wildcards.shard} --output {output} > {log} 2>&1"


rule pack_shard:
    input:
        index=f"{RESULTS}/index/{{split}}.parquet",
    output:
        f"{RESULTS}/shards/{{split}}/{{shard}}.arrow",
    log:
        f"{LOGS}/pack_shard/{{split}}_{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/pack_shard/{{split}}_{{shard}}.tsv"
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=by_size(2000, 1000),
        runtime=by_size(120, 10),
        gpu=0,
    params:
        archive=lambda wildcards: archive(wildcards.split),
        shards=lambda wildcards: DATA["shards"][wildcards.split],
    shell:
        "python -m workflow_scripts.pack_shards --archive {params.archive:q}"
        " --index {input.index} --shard {wildcards.shard} --shards {params.shards}"
        " --output {output} > {log} 2>&1"


rule measure_statistics:
    input:
        # The smallest S is the cheapest to measure on.
        shards("train", f"_S{min(STORES, key=lambda S: list(map(int, S.split('-'))))}"),
    output:
        f"{RESULTS}/statistics.json",
    log:
        f"{LOGS}/measure_statistics.log",
    benchmark:
        f"{BENCHMARKS}/measure_statistics.tsv"
    conda:
        "../envs/environment.yml"
    threads: by_size(16, 1)
    resources:
        mem_mb=by_size(8000, 1000),
        runtime=by_size(120, 10),
        gpu=0,
    shell:
        "python -m workflow_scripts.measure_statistics --shards {input} --threads {threads}"
        " --output {output} > {log} 2>&1"


rule shards:
    input:
        shards("val"),
        shards("test") if SUBMITTED else [],
        [shards("train", f"_S{S}") for S in STORES],
