"""What the report draws: figures of errors and trainings, and what the nets see and get wrong."""

from workflow_scripts.vgg.settings import pictures_wanted


localrules:
    render_pictures,


rule list_evaluations:
    input:
        RUN.posteriors(RUN.single_evaluations, "val"),
        paper=PAPER_TABLES,
    output:
        f"{RESULTS}/evaluations.csv",
    log:
        f"{LOGS}/list_evaluations.log",
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
        gpu=0,
    params:
        evaluations=lambda wildcards: [[e.model, e.method, e.Q] for e in RUN.single_evaluations],
        files=options(
            tables=RUN.config["tables"],
            claims=RUN.config["claims"],
            models_file=RUN.config["models"],
        ),
        run=[*report_rules.available_models(RUN), *report_rules.trained_seeds(RUN)],
    shell:
        "python -m workflow_scripts.list_evaluations {params.files:q} --paper {input.paper}"
        f" --results {RESULTS} {{params.run:q}} --output {{output}}"
        " --cost {log}.json > {log} 2>&1"


rule draw_figures:
    input:
        evaluations=f"{RESULTS}/evaluations.csv",
        tables=expand(f"{RESULTS}/tables/{{table}}.json", table=report_rules.drawn_tables(RUN)),
        histories=RUN.of_all_seeds("history/{model}.csv", RUN.trained),
    output:
        [
            report(
                path, caption="../reports/captions/figure.rst", category="Figures", labels=labels
            )
            for path, labels in report_rules.figures(RUN).items()
        ],
    log:
        f"{LOGS}/draw_figures.log",
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
        gpu=0,
    shell:
        "python -m workflow_scripts.draw_figures --history {input.histories}"
        " --evaluations {input.evaluations} --tables {input.tables}"
        f"{'' if report_rules.has_papers_data(RUN.config) else ' --other-data'}"
        f" --output {RESULTS}/figures"
        " --cost {log}.json > {log} 2>&1"


rule look_through_net:
    input:
        RUN.posteriors(RUN.looked_through, "val", RUN.seeds[:1]),
        weights=expand(
            f"{RESULTS}/weights/{{model}}.safetensors",
            model=dict.fromkeys(e.model for e in RUN.looked_through),
        ),
        shards=RUN.shards("val"),
        classes=f"{RESULTS}/classes.parquet",
        pictures=RUN.config["pictures"] or [],
    output:
        f"{RESULTS}/pictures/score_maps.json",
        f"{RESULTS}/pictures/crops.json",
    log:
        f"{LOGS}/look_through_net.log",
    conda:
        "../envs/environment.yml"
    threads: RUN.by_size(8, 1)
    resources:
        mem_mb=RUN.by_size(32000, 1500),
        runtime=60,
        gpu=1,
    params:
        options=evaluation_rules.evaluation_options(RUN),
        models=report_rules.available_models(RUN),
    shell:
        "python -m workflow_scripts.look_through_net --pictures {input.pictures}"
        f" --results {RESULTS} --shards {{input.shards}} {{params.models:q}} {{params.options:q}}"
        f" {RUN.device} --threads {{threads}} --output {RESULTS}/pictures"
        " --cost {log}.json > {log} 2>&1"


rule examine_errors:
    input:
        RUN.posteriors(RUN.examined, "val", RUN.seeds[:1]),
        shards=RUN.shards("val"),
        classes=f"{RESULTS}/classes.parquet",
        pictures=RUN.config["pictures"] or [],
    output:
        multiext(f"{RESULTS}/pictures/images", ".csv", ".json"),
        multiext(f"{RESULTS}/pictures/classes", ".csv", ".json"),
        f"{RESULTS}/pictures/confusions.csv",
    log:
        f"{LOGS}/examine_errors.log",
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=60,
        gpu=0,
    params:
        tables=options(tables=RUN.config["tables"]),
        models=report_rules.available_models(RUN),
    shell:
        "python -m workflow_scripts.examine_errors --pictures {input.pictures} {params.tables:q}"
        f" --results {RESULTS} --shards {{input.shards}} {{params.models:q}}"
        f" --output {RESULTS}/pictures --cost {{log}}.json > {{log}} 2>&1"


rule examine_boxes:
    input:
        guesses=localisation_rules.pictured_guesses(RUN),
        boxes=localisation_rules.pictured_boxes(RUN),
        truth=localisation_rules.pictured_truth(RUN),
        shards=RUN.shards("val"),
        classes=f"{RESULTS}/classes.parquet",
        pictures=RUN.config["pictures"] or [],
    output:
        f"{RESULTS}/pictures/boxes.json",
    log:
        f"{LOGS}/examine_boxes.log",
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=RUN.by_size(4000, 1000),
        runtime=60,
        gpu=0,
    params:
        behind=lambda wildcards, input: options(
            guesses=list(input.guesses),
            boxes=list(input.boxes),
            truth=list(input.truth),
            no_true_boxes=not RUN.localises,
        ),
        tables=options(tables=RUN.config["tables"]),
        models=report_rules.available_models(RUN),
        scoring=localisation_rules.scoring_options(RUN),
    shell:
        "python -m workflow_scripts.examine_boxes --pictures {input.pictures} {params.tables:q}"
        f" --results {RESULTS} --shards {{input.shards}} {{params.behind:q}} {{params.models:q}}"
        " {params.scoring:q} --output {output} --cost {log}.json > {log} 2>&1"


rule examine_features:
    input:
        scores=pictures_wanted.feature_scores(RUN),
        shards=pictures_wanted.feature_shards(RUN),
        pictures=RUN.config["pictures"] or [],
    output:
        pictures_wanted.feature_curves(RUN),
        features=f"{RESULTS}/pictures/features.json",
    log:
        f"{LOGS}/examine_features.log",
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=RUN.by_size(4000, 1000),
        runtime=60,
        gpu=0,
    params:
        shards=lambda wildcards, input: options(shards=list(input.shards)),
        tables=options(tables=RUN.config["tables"]),
        models=report_rules.available_models(RUN),
        measured=transfer_rules.measuring_options(RUN),
    shell:
        "python -m workflow_scripts.examine_features --pictures {input.pictures} {params.tables:q}"
        f" --results {RESULTS} {{params.shards:q}} {{params.models:q}} {{params.measured:q}}"
        f" --output {RESULTS}/pictures --cost {{log}}.json > {{log}} 2>&1"


rule draw_filters:
    input:
        expand(f"{RESULTS}/weights/{{model}}.safetensors", model=RUN.available),
    output:
        f"{RESULTS}/pictures/filters.json",
    log:
        f"{LOGS}/draw_filters.log",
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
        gpu=0,
    shell:
        f"python -m workflow_scripts.draw_filters --experiment {RUN.config['experiment']}"
        " --weights {input} --output {output} --cost {log}.json > {log} 2>&1"


rule render_pictures:
    input:
        templates=PAGE_TEMPLATES,
        score_maps=f"{RESULTS}/pictures/score_maps.json",
        crops=f"{RESULTS}/pictures/crops.json",
        images=f"{RESULTS}/pictures/images.json",
        classes=f"{RESULTS}/pictures/classes.json",
        boxes=localisation_rules.box_pictures(RUN),
        features=pictures_wanted.feature_pictures(RUN),
        curves=pictures_wanted.feature_curves(RUN),
        filters=f"{RESULTS}/pictures/filters.json",
        config=f"{RESULTS}/config.yaml",
    output:
        report(
            "reports/pictures.html",
            caption="../reports/captions/pictures.rst",
            category="Pages",
            labels={"page": "What the nets see"},
        ),
    log:
        f"{LOGS}/render_pictures.log",
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        optional=lambda wildcards, input: options(
            boxes=input.boxes or None,
            features=input.features or None,
            curves=input.curves or None,
        ),
        pages=lambda wildcards: options(pages=pages_beside("index", *RUN.tables)),
    shell:
        "python -m workflow_scripts.render_pictures --score-maps {input.score_maps}"
        " --crops {input.crops} --images {input.images} --classes {input.classes}"
        " {params.optional} --filters {input.filters} --config {input.config} {params.pages}"
        " --output {output} --cost {log}.json > {log} 2>&1"


rule figures:
    input:
        list(report_rules.figures(RUN)),


rule pictures:
    input:
        "reports/pictures.html",
