"""Features for other data sets (appendix B): their images, descriptors, and classifiers of these."""


rule make_other_sets:
    output:
        "resources/{name}/manifest.json",
    log:
        f"{LOGS}/make_other_sets/{{name}}.log",
    wildcard_constraints:
        name=one_of(transfer_rules.drawn_folder(RUN)),
    conda:
        "../envs/environment.yml"
    threads: 2
    resources:
        mem_mb=1000,
        runtime=30,
        gpu=0,
    params:
        seed=RUN.seeds[0],
    shell:
        "python -m workflow_scripts.make_other_sets --directory resources/{wildcards.name}"
        " --seed {params.seed} --processes {threads} --cost {log}.json > {log} 2>&1"


use rule verify_archive as verify_source with:
    output:
        f"{RESULTS}/verified/{{data_set}}_{{number}}.json",
    log:
        f"{LOGS}/verify_source/{{data_set}}_{{number}}.log",
    params:
        options=lambda wildcards: transfer_rules.verified_source(
            RUN, wildcards.data_set, int(wildcards.number)
        ),


rule index_examples:
    input:
        lambda wildcards: transfer_rules.made_sets(RUN, wildcards.data_set),
        verified=lambda wildcards: transfer_rules.verified_sources(RUN, wildcards.data_set),
    output:
        unpacked=temp(f"{RESULTS}/unpacked/{{data_set}}.images"),
        index=f"{RESULTS}/index/{{data_set}}.parquet",
        examples=f"{RESULTS}/examples/{{data_set}}.parquet",
        report=f"{RESULTS}/examples/{{data_set}}.json",
    log:
        f"{LOGS}/index_examples/{{data_set}}.log",
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=RUN.by_size(4000, 1000),
        runtime=RUN.by_size(120, 10),
        gpu=0,
    params:
        options=lambda wildcards: transfer_rules.index_options(RUN, wildcards.data_set),
        verified=lambda wildcards, input: options(verified=input.verified or None),
    shell:
        "python -m workflow_scripts.index_examples {params.options:q} {params.verified:q}"
        f" {data_rules.bad_images(RUN)} --unpacked {{output.unpacked}} --index {{output.index}}"
        " --report {output.report} --output {output.examples} --cost {log}.json > {log} 2>&1"


rule draw_weights:
    input:
        f"{RESULTS}/{{replicate}}weights/{{model}}.safetensors",
    output:
        f"{RESULTS}/{{replicate}}random/{{model}}.safetensors",
    log:
        f"{LOGS}/draw_weights/{{replicate}}{{model}}.log",
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=RUN.by_size(4000, 1000),
        runtime=10,
        gpu=0,
    params:
        options=lambda wildcards: transfer_rules.random_options(RUN, wildcards.replicate),
    shell:
        "python -m workflow_scripts.draw_weights --like {input} {params.options:q}"
        " --output {output} --cost {log}.json > {log} 2>&1"


rule describe_images:
    input:
        weights=lambda wildcards: transfer_rules.description_weights(
            RUN, wildcards.net, wildcards.replicate
        ),
        shards=lambda wildcards: RUN.shards(wildcards.data_set),
        examples=lambda wildcards: transfer_rules.described_boxes(
            RUN, wildcards.data_set, wildcards.region
        ),
    output:
        f"{RESULTS}/{{replicate}}descriptors/{{data_set}}/{{net}}/{{region}}_Q{{Q}}.parquet",
    log:
        f"{LOGS}/describe_images/{{replicate}}{{data_set}}_{{net}}_{{region}}_Q{{Q}}.log",
    wildcard_constraints:
        net=one_of(transfer_rules.described_nets(RUN)),
        region="image|box",
    conda:
        "../envs/environment.yml"
    threads: RUN.by_size(16, 1)
    resources:
        mem_mb=RUN.by_size(32000, 1500),
        runtime=RUN.by_size(1440, 30),
        gpu=1,
    params:
        options=lambda wildcards: transfer_rules.description_options(RUN, wildcards.region),
        examples=lambda wildcards, input: options(examples=input.examples or None),
    shell:
        "python -m workflow_scripts.describe_images --weights {input.weights}"
        " --shards {input.shards} {params.examples:q} --region {wildcards.region}"
        f" --Q {{wildcards.Q}} {{params.options:q}} {RUN.place}"
        " --feature-l2 none --threads {threads} --output {output} --cost {log}.json > {log} 2>&1"


use rule describe_images as describe_choice with:
    input:
        weights=lambda wildcards: transfer_rules.description_weights(RUN, wildcards.net, ""),
        shards=lambda wildcards: RUN.shards(wildcards.data_set),
        examples=lambda wildcards: transfer_rules.described_boxes(
            RUN, wildcards.data_set, wildcards.region
        ),
    output:
        f"{RESULTS}/choices/{{choice}}={{value}}/descriptors/{{data_set}}/{{net}}/{{region}}_Q{{Q}}.parquet",
    log:
        f"{LOGS}/describe_choice/{{choice}}={{value}}_{{data_set}}_{{net}}_{{region}}_Q{{Q}}.log",
    wildcard_constraints:
        net=one_of(transfer_rules.described_nets(RUN)),
        region="image|box",
        choice=one_of(transfer_rules.choices_of_stage(RUN, "descriptors")),
    params:
        options=lambda wildcards: transfer_rules.description_options(
            RUN, wildcards.region, **{wildcards.choice: wildcards.value}
        ),
        examples=lambda wildcards, input: options(examples=input.examples or None),


rule draw_splits:
    input:
        f"{RESULTS}/examples/{{data_set}}.parquet",
    output:
        f"{RESULTS}/splits/{{data_set}}.parquet",
    log:
        f"{LOGS}/draw_splits/{{data_set}}.log",
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        options=lambda wildcards: transfer_rules.split_options(RUN, wildcards.data_set),
    shell:
        "python -m workflow_scripts.draw_splits --examples {input} {params.options:q}"
        " --output {output} --cost {log}.json > {log} 2>&1"


rule train_classifiers:
    input:
        examples=f"{RESULTS}/examples/{{data_set}}.parquet",
        splits=lambda wildcards: transfer_rules.drawn_splits(RUN, wildcards.data_set),
        descriptors=lambda wildcards: transfer_rules.row_descriptors(
            RUN, wildcards.row, wildcards.data_set, wildcards.replicate
        ),
    output:
        scores=f"{RESULTS}/{{replicate}}classifiers/{{data_set}}/{{row}}.parquet",
        report=f"{RESULTS}/{{replicate}}classifiers/{{data_set}}/{{row}}.json",
    log:
        f"{LOGS}/train_classifiers/{{replicate}}{{data_set}}_{{row}}.log",
    wildcard_constraints:
        row=one_of(RUN.transfer_rows),
    conda:
        "../envs/environment.yml"
    threads: RUN.by_size(16, 1)
    resources:
        mem_mb=lambda wildcards: transfer_rules.memory(RUN, wildcards.data_set),
        runtime=RUN.by_size(1440, 30),
        gpu=0,
    params:
        options=lambda wildcards: transfer_rules.classifier_options(
            RUN, wildcards.row, wildcards.data_set
        ),
        splits=lambda wildcards, input: options(drawn_splits=input.splits or None),
    shell:
        "python -m workflow_scripts.train_classifiers --examples {input.examples}"
        " --descriptors {input.descriptors} {params.splits:q} {params.options:q}"
        " --report {output.report} --output {output.scores} --cost {log}.json > {log} 2>&1"


use rule train_classifiers as train_classifiers_choice with:
    input:
        examples=f"{RESULTS}/examples/{{data_set}}.parquet",
        splits=lambda wildcards: transfer_rules.drawn_splits(RUN, wildcards.data_set),
        descriptors=lambda wildcards: transfer_rules.descriptors_under(
            RUN, wildcards.row, wildcards.data_set, wildcards.choice, wildcards.value
        ),
    output:
        scores=f"{RESULTS}/choices/{{choice}}={{value}}/classifiers/{{data_set}}/{{row}}.parquet",
        report=f"{RESULTS}/choices/{{choice}}={{value}}/classifiers/{{data_set}}/{{row}}.json",
    log:
        f"{LOGS}/train_classifiers_choice/{{choice}}={{value}}_{{data_set}}_{{row}}.log",
    wildcard_constraints:
        row=one_of(RUN.transfer_rows),
        choice=one_of(transfer_rules.choices_of_stage(RUN, "descriptors", "classifiers")),
    params:
        options=lambda wildcards: transfer_rules.classifier_options_under(
            RUN, wildcards.row, wildcards.data_set, wildcards.choice, wildcards.value
        ),
        splits=lambda wildcards, input: options(drawn_splits=input.splits or None),


rule write_server_file:
    input:
        scores=lambda wildcards: transfer_rules.submitted_scores(RUN, wildcards.name),
        examples=lambda wildcards: transfer_rules.submitted_examples(RUN, wildcards.name),
    output:
        f"{RESULTS}/submission/{{name}}.tar.gz",
    log:
        f"{LOGS}/write_server_file/{{name}}.log",
    wildcard_constraints:
        name=one_of(RUN.feature_files),
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        folder=lambda wildcards: transfer_rules.submitted_folder(RUN, wildcards.name),
    shell:
        "python -m workflow_scripts.write_server_file --scores {input.scores}"
        " --examples {input.examples} --folder {params.folder:q} --output {output} --cost {log}.json > {log} 2>&1"
