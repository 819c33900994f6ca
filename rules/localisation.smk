"""Localisation (appendix A): true boxes, boxes of nets, and guesses made of them."""


rule read_boxes:
    input:
        data_rules.made_archives(RUN),
        verified=lambda wildcards: data_rules.verified_boxes(RUN, wildcards.split),
        index=f"{RESULTS}/index/{{split}}.parquet",
        classes=f"{RESULTS}/classes.parquet",
    output:
        truth=f"{RESULTS}/truth/{{split}}.parquet",
        report=f"{RESULTS}/truth/{{split}}.json",
    log:
        f"{LOGS}/read_boxes/{{split}}.log",
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=RUN.by_size(4000, 1000),
        runtime=RUN.by_size(120, 10),
        gpu=0,
    params:
        options=lambda wildcards: data_rules.box_options(RUN, wildcards.split),
        verified=lambda wildcards, input: options(verified=input.verified or None),
    shell:
        "python -m workflow_scripts.read_boxes {params.options:q} {params.verified:q}"
        " --split {wildcards.split} --index {input.index} --classes {input.classes}"
        " --report {output.report} --output {output.truth} --cost {log}.json > {log} 2>&1"


rule evaluate_boxes:
    input:
        weights=lambda wildcards: localisation_rules.weights(
            RUN, wildcards.model, wildcards.replicate
        ),
        classifier=lambda wildcards: localisation_rules.classifier(
            RUN, wildcards.model, wildcards.method, wildcards.replicate
        ),
        posteriors=lambda wildcards: localisation_rules.label_posteriors(
            RUN, wildcards.split, wildcards.method, wildcards.replicate
        ),
        shards=lambda wildcards: RUN.shards(wildcards.split),
    output:
        f"{RESULTS}/{{replicate}}boxes/{{split}}/{{model}}/{{method}}_Q{{Q}}.parquet",
    log:
        f"{LOGS}/evaluate_boxes/{{replicate}}{{split}}_{{model}}_{{method}}_Q{{Q}}.log",
    wildcard_constraints:
        model=one_of(localisation_rules.box_models(RUN)),
    conda:
        "../envs/environment.yml"
    threads: RUN.by_size(16, 1)
    resources:
        mem_mb=RUN.by_size(32000, 1500),
        runtime=RUN.by_size(1440, 30),
        gpu=1,
    params:
        options=lambda wildcards: localisation_rules.box_evaluation_options(RUN, wildcards.method),
        behind=lambda wildcards, input: options(
            classifier=input.classifier or None, posteriors=input.posteriors or None
        ),
    shell:
        "python -m workflow_scripts.evaluate_boxes --weights {input.weights} {params.behind:q}"
        " --shards {input.shards} --method {wildcards.method} --scale {wildcards.Q}"
        f" {{params.options:q}} {RUN.place}"
        " --threads {threads} --output {output} --cost {log}.json > {log} 2>&1"


use rule evaluate_boxes as evaluate_box_choice with:
    input:
        weights=lambda wildcards: localisation_rules.weights(RUN, wildcards.model, ""),
        classifier=lambda wildcards: localisation_rules.classifier(
            RUN, wildcards.model, wildcards.method, ""
        ),
        posteriors=lambda wildcards: localisation_rules.label_posteriors(
            RUN, wildcards.split, wildcards.method, ""
        ),
        shards=lambda wildcards: RUN.shards(wildcards.split),
    output:
        f"{RESULTS}/choices/{{choice}}={{value}}/boxes/{{split}}/{{model}}/{{method}}_Q{{Q}}.parquet",
    log:
        f"{LOGS}/evaluate_box_choice/{{choice}}={{value}}_{{split}}_{{model}}_{{method}}_Q{{Q}}.log",
    wildcard_constraints:
        model=one_of(localisation_rules.box_models(RUN)),
        choice=one_of(choice_rules.choices_of_stage(RUN, "boxes")),
    params:
        options=lambda wildcards: localisation_rules.box_evaluation_options(
            RUN, **{wildcards.choice: wildcards.value}
        ),
        behind=lambda wildcards, input: options(
            classifier=input.classifier or None, posteriors=input.posteriors or None
        ),


rule localise:
    input:
        lambda wildcards: localisation_rules.united_boxes(
            RUN, wildcards.row, wildcards.split, wildcards.replicate
        ),
    output:
        f"{RESULTS}/{{replicate}}localisation/{{split}}/{{row}}.parquet",
    log:
        f"{LOGS}/localise/{{replicate}}{{split}}_{{row}}.log",
    wildcard_constraints:
        row=one_of(localisation_rules.merged_rows(RUN)),
    conda:
        "../envs/environment.yml"
    threads: RUN.by_size(16, 1)
    resources:
        mem_mb=RUN.by_size(8000, 1000),
        runtime=RUN.by_size(120, 10),
        gpu=0,
    params:
        options=localisation_rules.localisation_options(RUN),
    shell:
        "python -m workflow_scripts.localise --boxes {input} {params.options:q}"
        " --threads {threads} --output {output} --cost {log}.json > {log} 2>&1"


use rule localise as localise_choice with:
    input:
        lambda wildcards: choice_rules.boxes_under(
            RUN, wildcards.row, wildcards.split, wildcards.choice, wildcards.value
        ),
    output:
        f"{RESULTS}/choices/{{choice}}={{value}}/localisation/{{split}}/{{row}}.parquet",
    log:
        f"{LOGS}/localise_choice/{{choice}}={{value}}_{{split}}_{{row}}.log",
    wildcard_constraints:
        row=one_of(localisation_rules.merged_rows(RUN)),
        choice=one_of(choice_rules.choices_of_stage(RUN, "boxes", "localisation")),
    params:
        options=lambda wildcards: choice_rules.options_under(RUN, wildcards.choice, wildcards.value),


rule guess_one_box:
    input:
        posteriors=lambda wildcards: localisation_rules.fixed_box_posteriors(
            RUN, wildcards.row, wildcards.split
        ),
        truth=lambda wildcards: localisation_rules.fixed_box_truth(RUN, wildcards.row),
        shards=lambda wildcards: RUN.shards(wildcards.split),
    output:
        f"{RESULTS}/localisation/{{split}}/{{row}}.parquet",
    log:
        f"{LOGS}/guess_one_box/{{split}}_{{row}}.log",
    wildcard_constraints:
        row=one_of(localisation_rules.fixed_rows(RUN)),
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=RUN.by_size(8000, 1000),
        runtime=RUN.by_size(60, 10),
        gpu=0,
    params:
        options=lambda wildcards, input: options(
            mean_of=input.truth or None, posteriors=input.posteriors or None
        ),
    shell:
        "python -m workflow_scripts.guess_one_box --shards {input.shards} {params.options:q}"
        " --output {output} --cost {log}.json > {log} 2>&1"


use rule evaluate_boxes as evaluate_tuning_boxes with:
    input:
        weights=lambda wildcards: localisation_rules.weights(RUN, wildcards.model, ""),
        classifier=lambda wildcards: localisation_rules.classifier(
            RUN, wildcards.model, wildcards.method, ""
        ),
        boxed=f"{RESULTS}/truth/train.parquet",
        shards=lambda wildcards: choice_rules.tuning_shards(RUN),
    output:
        f"{RESULTS}/tuning/boxes/train/{{model}}/{{method}}_Q{{Q}}.parquet",
    log:
        f"{LOGS}/evaluate_tuning_boxes/{{model}}_{{method}}_Q{{Q}}.log",
    wildcard_constraints:
        model=one_of(localisation_rules.box_models(RUN)),
    params:
        options=localisation_rules.box_evaluation_options(RUN),
        behind=lambda wildcards, input: options(
            classifier=input.classifier or None,
            boxed_in=input.boxed,
            sample=choice_rules.TUNING_IMAGES,
            seed=RUN.seeds[0],
        ),


rule tune_threshold:
    input:
        boxes=tuning_boxes,
        truth=f"{RESULTS}/truth/train.parquet",
    output:
        multiext(f"{RESULTS}/threshold", ".csv", ".json"),
    log:
        f"{LOGS}/tune_threshold.log",
    conda:
        "../envs/environment.yml"
    threads: RUN.by_size(16, 1)
    resources:
        mem_mb=RUN.by_size(8000, 1000),
        runtime=RUN.by_size(60, 10),
        gpu=0,
    params:
        options=choice_rules.tuning_options(RUN),
    shell:
        "python -m workflow_scripts.tune_threshold --boxes {input.boxes} --truth {input.truth}"
        f" {{params.options:q}} --threads {{threads}} --output {RESULTS}/threshold"
        " --cost {log}.json > {log} 2>&1"


rule threshold:
    input:
        f"{RESULTS}/threshold.csv",
