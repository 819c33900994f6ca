"""Tables, the ledger of claims, and the pages that show them."""

import yaml

RESOLVED = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)


localrules:
    record_config,
    render_table,
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
        config=lambda wildcards: RESOLVED,
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
            labels=table_labels,
        ),
    log:
        f"{LOGS}/describe_convnets/{{table}}.log",
    benchmark:
        f"{BENCHMARKS}/describe_convnets/{{table}}.tsv"
    wildcard_constraints:
        table=one_of(DESCRIBED),
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
        gpu=0,
    params:
        nets=lambda wildcards: {net: CONVNETS[net] for net in TABLES[wildcards.table]["nets"]},
        options=options(
            tables=config["tables"],
            models=config["models"],
            experiment=config["experiment"],
            classes=DATA["classes"],
            **config["convnet"],
        ),
    shell:
        "python -m workflow_scripts.describe_convnets --table {wildcards.table}"
        " --paper {input.paper} {params.options:q}"
        f" --output {RESULTS}/tables/{{wildcards.table}} --cost {{log}}.json > {{log}} 2>&1"


rule tabulate:
    input:
        table_posteriors,
        paper=PAPER_TABLES,
    output:
        multiext(f"{RESULTS}/tables/{{table}}", ".json", ".md", ".tex"),
        report(
            f"{RESULTS}/tables/{{table}}.csv",
            caption="../reports/captions/table.rst",
            category="Tables",
            labels=table_labels,
        ),
    log:
        f"{LOGS}/tabulate/{{table}}.log",
    benchmark:
        f"{BENCHMARKS}/tabulate/{{table}}.tsv"
    wildcard_constraints:
        table=one_of(MEASURED),
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
        gpu=0,
    params:
        table=lambda wildcards: TABLES[wildcards.table],
        answers=table_answers,
        tables=config["tables"],
        options=table_options,
    shell:
        "python -m workflow_scripts.tabulate --table {wildcards.table} --tables {params.tables:q}"
        f" --paper {{input.paper}} --results {RESULTS} {{params.options:q}}"
        f" --output {RESULTS}/tables/{{wildcards.table}} --cost {{log}}.json > {{log}} 2>&1"


rule judge_claims:
    input:
        claim_posteriors,
        trained=of_all_seeds("weights/{model}.safetensors", claim_trainings()),
        histories=of_all_seeds("history/{model}.csv", claim_trainings()),
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
    benchmark:
        f"{BENCHMARKS}/judge_claims.tsv"
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
        gpu=0,
    params:
        claims=CLAIMS,
        options=options(claims=config["claims"], tables=config["tables"], seed=SEEDS[0]),
        run=[*available_models(), *trained_seeds(), *options(trainings=claim_trainings())],
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
    benchmark:
        f"{BENCHMARKS}/render_table/{{table}}.tsv"
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
        gpu=0,
    params:
        neighbours=neighbours,
    shell:
        "python -m workflow_scripts.render_table --table {input.table} --config {input.config}"
        f" --records {LOGS} {{params.neighbours}}"
        " --output {output} --cost {log}.json > {log} 2>&1"


rule compare_choices:
    input:
        choice_posteriors,
        config=f"{RESULTS}/config.yaml",
        schema=CONFIG_SCHEMA,
    output:
        multiext(f"{RESULTS}/choices", ".csv", ".json"),
    log:
        f"{LOGS}/compare_choices.log",
    benchmark:
        f"{BENCHMARKS}/compare_choices.tsv"
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=60,
        gpu=0,
    params:
        models=available_models(),
        options=options(tables=config["tables"], seed=SEEDS[0]),
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
    benchmark:
        f"{BENCHMARKS}/render_choices.tsv"
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=10,
        gpu=0,
    params:
        index=lambda wildcards: options(index=bool(pages_beside("index"))),
    shell:
        "python -m workflow_scripts.render_choices --choices {input.choices}"
        " --config {input.config} --schema {input.schema} {params.index}"
        " --output {output} --cost {log}.json > {log} 2>&1"


# What the jobs have cost until then stands on the index; the end of a run makes the plan anew.
rule compare_costs:
    input:
        REPORTED,
        config=f"{RESULTS}/config.yaml",
    output:
        multiext(f"{RESULTS}/plan", ".csv", ".json"),
        "reports/plan.html",
    log:
        f"{LOGS}/compare_costs.log",
    benchmark:
        f"{BENCHMARKS}/compare_costs.tsv"
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=10,
        gpu=0,
    params:
        options=planned_jobs(),
        index=lambda wildcards: options(index=bool(pages_beside("index"))),
    shell:
        "python -m workflow_scripts.plan --config {input.config} {params.options:q} {params.index}"
        " > {log} 2>&1"


rule render_index:
    input:
        expand("reports/{page}.html", page=[p for p in PAGES if p not in ("index", "plan")]),
        templates=PAGE_TEMPLATES,
        tables=expand(f"{RESULTS}/tables/{{table}}.json", table=TABLES),
        claims=f"{RESULTS}/claims.json",
        histories=of_all_seeds("history/{model}.csv", TRAINED),
        figures=list(FIGURES),
        evaluations=f"{RESULTS}/evaluations.csv",
        config=f"{RESULTS}/config.yaml",
        schema=CONFIG_SCHEMA,
        choices=compared_choices,
        packing=f"{RESULTS}/packing.json",
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
    benchmark:
        f"{BENCHMARKS}/render_index.tsv"
    conda:
        "../envs/environment.yml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
        gpu=0,
    params:
        pages=lambda wildcards: options(pages=pages_beside(*PAGES[1:], "choices", "benchmarks")),
    shell:
        "python -m workflow_scripts.render_index --tables {input.tables} --claims {input.claims}"
        " --history {input.histories} --figures {input.figures} --evaluations {input.evaluations}"
        " --config {input.config} --schema {input.schema} --packing {input.packing}"
        f" --plan {{input.plan}} --records {LOGS} {{params.pages}}"
        " --output {output} --cost {log}.json > {log} 2>&1"


rule tables:
    input:
        expand("reports/{table}.html", table=TABLES),


rule claims:
    input:
        f"{RESULTS}/claims.json",


rule choices:
    input:
        f"{RESULTS}/choices.csv",
        "reports/choices.html",


onsuccess:
    if set(workflow.dag_settings.targets) != {"plan"}:
        discard_checkpoints()
        shell(
            "python -m workflow_scripts.summarise_run"
            f" --results {RESULTS} --records {LOGS} --tables {{config[tables]:q}}"
        )
        if is_recorded(RESOLVED):
            index = shlex.join(options(index=bool(pages_beside("index"))))
            shell(
                f"python -m workflow_scripts.plan --config {RESULTS}/config.yaml"
                f" {{rules.plan.params.options:q}} {index} > {LOGS}/plan.log 2>&1"
                f" || echo reports/plan.html was not made anew, see {LOGS}/plan.log"
            )
