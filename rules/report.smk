"""Tables, the ledger of claims, and the pages that show them."""


localrules:
    record_config,
    render_table,
    render_claims,
    render_index,
    render_choices,
    compare_costs,


rule record_config:
    output:
        f"{RESULTS}/config.yaml",
    log:
        f"{LOGS}/record_config.log",
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=100,
        runtime=5,
        gpu=0,
    params:
        # A function's value may hold braces, such as those of ${TMPDIR}.
        config=lambda wildcards: RUN.resolved,
    shell:
        "printf %s {params.config:q} > {output}.tmp 2> {log} && mv {output}.tmp {output} 2>> {log}"


rule describe_convnets:
    input:
        paper=PAPER_TABLES,
    output:
        multiext(f"{RESULTS}/tables/{{table}}", ".json", ".md", ".tex"),
        report(
            f"{RESULTS}/tables/{{table}}.csv",
            caption="../reports/captions/table.rst",
            category="Tables",
            labels=lambda wildcards: report_rules.table_labels(RUN, wildcards.table),
        ),
    log:
        f"{LOGS}/describe_convnets/{{table}}.log",
    wildcard_constraints:
        table=one_of(RUN.described),
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
        gpu=0,
    params:
        nets=lambda wildcards: {
            net: RUN.convnets[net] for net in RUN.tables[wildcards.table]["nets"]
        },
        options=options(
            tables=RUN.config["tables"],
            models=RUN.config["models"],
            experiment=RUN.config["experiment"],
            classes=RUN.classes,
            **RUN.config["convnet"],
        ),
    shell:
        "python -m workflow_scripts.describe_convnets --table {wildcards.table}"
        " --paper {input.paper} {params.options:q}"
        f" --output {RESULTS}/tables/{{wildcards.table}} --cost {{log}}.json > {{log}} 2>&1"


rule tabulate:
    input:
        lambda wildcards: report_rules.table_posteriors(RUN, wildcards.table),
        paper=PAPER_TABLES,
    output:
        multiext(f"{RESULTS}/tables/{{table}}", ".json", ".md", ".tex"),
        report(
            f"{RESULTS}/tables/{{table}}.csv",
            caption="../reports/captions/table.rst",
            category="Tables",
            labels=lambda wildcards: report_rules.table_labels(RUN, wildcards.table),
        ),
    log:
        f"{LOGS}/tabulate/{{table}}.log",
    wildcard_constraints:
        table=one_of([*RUN.measured, *RUN.localised, *RUN.transferred]),
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
        gpu=0,
    params:
        table=lambda wildcards: report_rules.table_entry(RUN, wildcards.table),
        answers=lambda wildcards: report_rules.table_answers(RUN, wildcards.table),
        tables=RUN.config["tables"],
        options=lambda wildcards: report_rules.table_options(RUN, wildcards.table),
    shell:
        "python -m workflow_scripts.tabulate --table {wildcards.table} --tables {params.tables:q}"
        f" --paper {{input.paper}} --results {RESULTS} {{params.options:q}}"
        f" --output {RESULTS}/tables/{{wildcards.table}} --cost {{log}}.json > {{log}} 2>&1"


rule judge_claims:
    input:
        report_rules.claim_posteriors(RUN),
        trained=RUN.of_all_seeds("weights/{model}.safetensors", report_rules.claim_trainings(RUN)),
        histories=RUN.of_all_seeds("history/{model}.csv", report_rules.claim_trainings(RUN)),
        paper=PAPER_TABLES,
    output:
        f"{RESULTS}/claims.json",
        f"{RESULTS}/claims_throughput.csv",
        report(
            f"{RESULTS}/claims.csv",
            caption="../reports/captions/claims.rst",
            category="Claims",
            labels={"claims": "ledger"},
        ),
    log:
        f"{LOGS}/judge_claims.log",
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
        gpu=0,
    params:
        claims=RUN.claims,
        options=[
            *options(claims=RUN.config["claims"], tables=RUN.config["tables"], seed=RUN.seeds[0]),
            *localisation_rules.scoring_options(RUN),
            *transfer_rules.measuring_options(RUN),
        ],
        run=[
            *report_rules.available_models(RUN),
            *report_rules.trained_seeds(RUN),
            *options(trainings=report_rules.claim_trainings(RUN)),
        ],
    shell:
        "python -m workflow_scripts.judge_claims {params.options:q} {params.run:q}"
        " --paper {input.paper}"
        f" --results {RESULTS} --output {RESULTS}/claims --cost {{log}}.json > {{log}} 2>&1"


rule render_table:
    input:
        templates=PAGE_TEMPLATES,
        table=f"{RESULTS}/tables/{{table}}.json",
        config=f"{RESULTS}/config.yaml",
    output:
        report(
            "reports/{table}.html",
            caption="../reports/captions/page.rst",
            category="Pages",
            labels={"page": "{table}"},
        ),
    log:
        f"{LOGS}/render_table/{{table}}.log",
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
        gpu=0,
    params:
        neighbours=lambda wildcards: report_rules.neighbours(
            RUN, workflow.dag_settings.targets, wildcards.table
        ),
        related=lambda wildcards: options(
            pages=pages_beside(*report_rules.related(RUN, wildcards.table))
        ),
    shell:
        "python -m workflow_scripts.render_table --table {input.table} --config {input.config}"
        f" --records {LOGS} {{params.neighbours}} {{params.related}}"
        " --output {output} --cost {log}.json > {log} 2>&1"


rule render_claims:
    input:
        templates=PAGE_TEMPLATES,
        claims=f"{RESULTS}/claims.json",
        # Those whose pages it links to; `claims` alone needs none.
        tables=lambda wildcards: expand(
            f"{RESULTS}/tables/{{table}}.json",
            table=pages_beside(*report_rules.claimed_tables(RUN)),
        ),
        config=f"{RESULTS}/config.yaml",
    output:
        report(
            "reports/claims.html",
            caption="../reports/captions/page.rst",
            category="Pages",
            labels={"page": "claims"},
        ),
    log:
        f"{LOGS}/render_claims.log",
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
        gpu=0,
    params:
        pages=lambda wildcards: options(
            pages=pages_beside(*report_rules.claimed_tables(RUN)),
        ),
        index=index_link,
    shell:
        "python -m workflow_scripts.render_claims --claims {input.claims} --tables {input.tables}"
        " --config {input.config} {params.pages} {params.index}"
        " --output {output} --cost {log}.json > {log} 2>&1"


rule compare_choices:
    input:
        choice_posteriors,
        choice_rules.choice_guesses(RUN),
        transfer_rules.scores_under_choices(RUN),
        config=f"{RESULTS}/config.yaml",
        schema=CONFIG_SCHEMA,
    output:
        multiext(f"{RESULTS}/choices", ".csv", ".json"),
        report_rules.choice_files(RUN),
    log:
        f"{LOGS}/compare_choices.log",
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
        gpu=0,
    params:
        models=report_rules.available_models(RUN),
        options=options(tables=RUN.config["tables"], seed=RUN.seeds[0]),
    shell:
        "python -m workflow_scripts.compare_choices {params.options:q} {params.models}"
        f" --config {{input.config}} --schema {{input.schema}} --results {RESULTS}"
        f" --output {RESULTS}/choices --cost {{log}}.json > {{log}} 2>&1"


rule render_choices:
    input:
        templates=PAGE_TEMPLATES,
        choices=f"{RESULTS}/choices.json",
        config=f"{RESULTS}/config.yaml",
        schema=CONFIG_SCHEMA,
    output:
        "reports/choices.html",
    log:
        f"{LOGS}/render_choices.log",
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
        gpu=0,
    params:
        index=index_link,
    shell:
        "python -m workflow_scripts.render_choices --choices {input.choices}"
        " --config {input.config} --schema {input.schema} {params.index}"
        " --output {output} --cost {log}.json > {log} 2>&1"


# What the jobs have cost until then stands on the index; the end of a run makes the plan anew.
rule compare_costs:
    input:
        report_rules.reported(RUN),
        config=f"{RESULTS}/config.yaml",
    output:
        multiext(f"{RESULTS}/plan", ".csv", ".json", ".html"),
        "reports/plan.html",
    log:
        f"{LOGS}/compare_costs.log",
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
        gpu=0,
    params:
        options=report_rules.planned_jobs(RUN),
        index=index_link,
    shell:
        "python -m workflow_scripts.plan --config {input.config} {params.options:q} {params.index}"
        " > {log} 2>&1"


rule render_index:
    input:
        expand(
            "reports/{page}.html",
            page=[p for p in report_rules.pages(RUN) if p not in ("index", "plan")],
        ),
        templates=PAGE_TEMPLATES,
        tables=expand(f"{RESULTS}/tables/{{table}}.json", table=RUN.tables),
        claims=f"{RESULTS}/claims.json",
        histories=RUN.of_all_seeds("history/{model}.csv", RUN.trained),
        figures=list(report_rules.figures(RUN)),
        evaluations=f"{RESULTS}/evaluations.csv",
        config=f"{RESULTS}/config.yaml",
        schema=CONFIG_SCHEMA,
        choices=lambda wildcards: report_rules.compared_choices(RUN),
        packing=f"{RESULTS}/packing.json",
        truth=report_rules.box_reports(RUN),
        # With its page; the end of every run makes both anew, and the index only if it must be.
        plan=ancient(f"{RESULTS}/plan.json"),
    output:
        report(
            "reports/index.html",
            caption="../reports/captions/page.rst",
            category="Pages",
            labels={"page": "index"},
        ),
    log:
        f"{LOGS}/render_index.log",
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        pages=lambda wildcards: options(
            pages=pages_beside(*report_rules.pages(RUN)[1:], "choices", "benchmarks")
        ),
        drawn=options(drawn=report_rules.drawn_tables(RUN)),
    shell:
        "python -m workflow_scripts.render_index --tables {input.tables} {params.drawn}"
        " --claims {input.claims} --history {input.histories} --figures {input.figures} --evaluations {input.evaluations}"
        " --config {input.config} --schema {input.schema} --packing {input.packing}"
        " --truth {input.truth}"
        f" --plan {{input.plan}} --records {LOGS} {{params.pages}}"
        " --output {output} --cost {log}.json > {log} 2>&1"


rule tables:
    input:
        expand("reports/{table}.html", table=RUN.tables),


rule claims:
    input:
        f"{RESULTS}/claims.json",
        "reports/claims.html" if RUN.claims else [],


rule choices:
    input:
        f"{RESULTS}/choices.csv",
        "reports/choices.html",


onsuccess:
    if not only_tells():
        training_rules.discard_checkpoints(RUN)
        shell(
            "python -m workflow_scripts.summarise_run"
            f" --results {RESULTS} --records {LOGS} --tables {{config[tables]:q}}"
        )
        if report_rules.is_recorded(RUN):
            shell(
                f"python -m workflow_scripts.plan --config {RESULTS}/config.yaml --refresh"
                f" {{rules.plan.params.options:q}} > {LOGS}/plan.log 2>&1"
                f" || echo the plan was not made anew, see {LOGS}/plan.log"
            )
