from snakemake.utils import min_version

min_version("9.27")  # the tested one; 9.0 refuses a function as `priority`


configfile: "config/config.yaml"


report: "reports/captions/workflow.rst"


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/evaluate.smk"
include: "rules/localisation.smk"
include: "rules/transfer.smk"
include: "rules/pictures.smk"
include: "rules/report.smk"
include: "rules/plan.smk"
include: "rules/benchmark.smk"
include: "rules/recovery.smk"


rule all:
    default_target: True
    input:
        rules.tables.input,
        rules.claims.input,
        "reports/index.html",
        expand(f"{RESULTS}/submission/{{name}}.txt", name=[*RUN.submitted, *RUN.box_submitted]),
        expand(f"{RESULTS}/submission/{{name}}.tar.gz", name=RUN.feature_files),
