"""From the data set, in whatever form it is there, to shards and statistics."""

BEFORE_PACKING = 1000  # priority: greater than that of any training


rule make_miniature:
    output:
        "resources/{name}/manifest.json",
    log:
        f"{LOGS}/make_miniature/{{name}}.log",
    wildcard_constraints:
        name=one_of([os.path.basename(RUN.data["directory"])] if RUN.is_miniature else []),
    conda:
        "../envs/environment.yml"
    threads: 2
    resources:
        mem_mb=1000,
        runtime=30,
        gpu=0,
    params:
        options=data_rules.drawing_options(RUN),
    shell:
        "python -m workflow_scripts.make_miniature --directory resources/{wildcards.name}"
        " {params.options:q} --processes {threads} --cost {log}.json > {log} 2>&1"


rule verify_archive:
    output:
        f"{RESULTS}/verified/{{name}}.json",
    log:
        f"{LOGS}/verify_archive/{{name}}.log",
    wildcard_constraints:
        name=one_of(RUN.data["archives"]),
    priority: BEFORE_PACKING
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=240,
        gpu=0,
    params:
        options=lambda wildcards: options(
            archive=data_rules.archive(RUN, wildcards.name),
            md5=RUN.data["md5"][wildcards.name],
        ),
    shell:
        "python -m workflow_scripts.verify_archive {params.options:q} --output {output}"
        " --cost {log}.json > {log} 2>&1"


rule list_classes:
    input:
        data_rules.made_archives(RUN),
        verified=data_rules.verified_kit(RUN),
    output:
        classes=f"{RESULTS}/classes.parquet",
        text=f"{RESULTS}/classes.txt",
    log:
        f"{LOGS}/list_classes.log",
    priority: BEFORE_PACKING
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=RUN.by_size(60, 10),
        gpu=0,
    params:
        options=lambda wildcards: data_rules.class_list_options(RUN),
        verified=lambda wildcards, input: options(verified=input.verified or None),
    shell:
        "python -m workflow_scripts.list_classes {params.options:q} {params.verified:q}"
        " --text {output.text} --output {output.classes}"
        " --cost {log}.json > {log} 2>&1"


rule unpack_parquet:
    input:
        data_rules.classes_to_unpack(RUN),
    output:
        images=temp(f"{RESULTS}/unpacked/{{split}}/{{shard}}.images"),
        list=temp(f"{RESULTS}/unpacked/{{split}}/{{shard}}.parquet"),
    log:
        f"{LOGS}/unpack_parquet/{{split}}_{{shard}}.log",
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=RUN.by_size(120, 10),
        gpu=0,
    params:
        options=lambda wildcards: options(
            directory=RUN.data["directory"],
            split=wildcards.split,
            part=int(wildcards.shard),
            parts=RUN.data["shards"][wildcards.split],
        ),
        classes=lambda wildcards, input: options(classes=list(input) or None),
    shell:
        "python -m workflow_scripts.unpack_parquet {params.options:q} {params.classes:q}"
        " --images {output.images}"
        f" {data_rules.bad_images(RUN)} --output {{output.list}} --cost {{log}}.json > {{log}} 2>&1"


rule index_images:
    input:
        data_rules.made_archives(RUN),
        lambda wildcards: data_rules.unpacked(RUN, wildcards.split, "parquet"),
        verified=lambda wildcards: data_rules.verified_for(RUN, wildcards.split),
        classes=f"{RESULTS}/classes.parquet",
    output:
        f"{RESULTS}/index/{{split}}.parquet",
    log:
        f"{LOGS}/index_images/{{split}}.log",
    # Packing takes hours, and what is wrong with another split's archive, labels or development kit
    # is known in minutes. An edge from all indexes to all packing would make every shard anew for a
    # new index; were it `ancient`, Snakemake would overlook other changes behind it.
    priority: BEFORE_PACKING
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=RUN.by_size(4000, 1000),
        runtime=RUN.by_size(240, 10),
        gpu=0,
    params:
        options=lambda wildcards: data_rules.index_options(RUN, wildcards.split),
        verified=lambda wildcards, input: options(verified=input.verified or None),
    shell:
        "python -m workflow_scripts.index_images {params.options:q} {params.verified:q}"
        f" --split {{wildcards.split}} {data_rules.bad_images(RUN)} --classes {{input.classes}}"
        " --output {output} --cost {log}.json > {log} 2>&1"


rule pack_shard:
    input:
        lambda wildcards: data_rules.unpacked(RUN, split_of(wildcards.store), "images"),
        index=lambda wildcards: f"{RESULTS}/index/{split_of(wildcards.store)}.parquet",
    output:
        shard=f"{RESULTS}/shards/{{store}}/{{shard}}.arrow",
        report=f"{RESULTS}/packing/{{store}}/{{shard}}.json",
    log:
        f"{LOGS}/pack_shard/{{store}}_{{shard}}.log",
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=RUN.by_size(2000, 1000),
        runtime=RUN.by_size(120, 10),
        gpu=0,
    params:
        options=lambda wildcards: data_rules.packing_options(RUN, wildcards.store),
    shell:
        "python -m workflow_scripts.pack_shards {params.options:q} --index {input.index}"
        " --shard {wildcards.shard} --report {output.report} --output {output.shard}"
        " --cost {log}.json > {log} 2>&1"


rule report_packing:
    input:
        [RUN.shards(store, "packing", "json") for store in RUN.packed_stores],
    output:
        f"{RESULTS}/packing.json",
    log:
        f"{LOGS}/report_packing.log",
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        experiment=RUN.config["experiment"],
    shell:
        "python -m workflow_scripts.report_packing --reports {input}"
        " --experiment {params.experiment} --output {output} --cost {log}.json > {log} 2>&1"


rule measure_statistics:
    input:
        data_rules.statistics_shards(RUN),
    output:
        f"{RESULTS}/statistics.json",
    log:
        f"{LOGS}/measure_statistics.log",
    conda:
        "../envs/environment.yml"
    threads: RUN.by_size(16, 1)
    resources:
        mem_mb=RUN.by_size(8000, 1000),
        runtime=RUN.by_size(120, 10),
        gpu=0,
    shell:
        "python -m workflow_scripts.measure_statistics --shards {input} --threads {threads}"
        " --output {output} --cost {log}.json > {log} 2>&1"


rule shards:
    input:
        [RUN.shards(store) for store in RUN.packed_stores],
        f"{RESULTS}/packing.json",
