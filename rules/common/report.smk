"""Inputs and options of the rules in pictures.smk, report.smk and plan.smk."""


def measured_splits(table):
    """The splits that a table needs and that have labels."""
    return [s for s in experiments.splits_of(TABLES[table]) if s in LABELLED_SPLITS]


def posteriors(evaluations, split, seeds=SEEDS):
    """The posteriors of evaluations on a split, for every seed."""
    paths = (experiments.seeded_paths([e], RESULTS, split, seeds, IMPORTED) for e in evaluations)
    return [path for seeds in paths for files in seeds for path in files]


def table_posteriors(wildcards):
    """The posteriors that a table averages, and those in float32 that check a cell of it."""
    table = TABLES[wildcards.table]
    needed = experiments.table_evaluations(table, AVAILABLE)
    splits = measured_splits(wildcards.table)
    checked = experiments.checked_evaluations(table, AVAILABLE) if PRECISION != "float32" else []
    in_float32 = test_time_choices.results_of(RESULTS, "precision", "float32", PRECISION)
    return [
        *(path for split in splits for path in posteriors(needed, split)),
        *(evaluation.path(in_float32, "val") for evaluation in checked),
    ]


def available_models():
    """The models that commands may expect posteriors of; left out if those are all."""
    return options(models=AVAILABLE if len(AVAILABLE) < len(MODELS) else None)


def trained_seeds():
    """The seeds that commands may expect posteriors of, and the models that have none."""
    return options(seeds=SEEDS, imported=list(IMPORTED))


def table_options(wildcards):
    """What a table's rows are filled with besides posteriors, and which answers are written."""
    rows = TABLES[wildcards.table]["rows"]
    names = [row["submission"] for row in rows if row.get("submission") in SUBMITTED]
    # Splits and submissions are spelt out even if there are none: left out, they have defaults.
    return [
        *available_models(),
        *trained_seeds(),
        *("--splits", *measured_splits(wildcards.table)),
        *("--submissions", *names),
        *options(answers=config["server_answers"], test_images=DATA["images"]["test"]),
        *options(precision=PRECISION if PRECISION != "float32" else None),
    ]


def table_answers(wildcards):
    """The test server's answers that a table shows; a change of them makes it anew."""
    named = {row.get("submission") for row in TABLES[wildcards.table]["rows"]}
    return {name: answer for name, answer in ANSWERS.items() if name in named}


def claim_posteriors(wildcards):
    """The posteriors that the claims compare."""
    return posteriors(experiments.claim_evaluations(CLAIMS, TABLES, AVAILABLE), "val")


def claim_trainings():
    """The trainings behind the claims, whose speeds are compared too."""
    needed = experiments.claim_evaluations(CLAIMS, TABLES, AVAILABLE)
    models = {evaluation.model for evaluation in needed}
    timed = any("throughput" in claim for claim in CLAIMS)
    return [model for model in TRAINED if timed and model in models]


def choice_posteriors(wildcards):
    """The posteriors under every value of every test-time choice that this run can measure."""
    if not MEASURABLE:
        needed = ", ".join(dict.fromkeys(test_time_choices.MEASURED_BY.values()))
        raise WorkflowError(f"choices: no model of this run is measured by the rows {needed}")
    paths = [
        evaluation.path(
            test_time_choices.results_of(RESULTS, choice, value, CHOICES[choice]), "val"
        )
        for choice, own in MEASURABLE.items()
        for value in test_time_choices.values(SCHEMA, choice, CHOICES[choice])
        for evaluation in own
    ]
    return list(dict.fromkeys(paths))


def compared_choices(wildcards):
    """The page on test-time choices, if someone had them compared: `snakemake choices`."""
    compared = MEASURABLE and os.path.exists(f"{RESULTS}/choices.json")
    return "reports/choices.html" if compared else []


def single_posteriors(wildcards):
    """The posteriors of the validation set, each of which is listed with its own error."""
    return posteriors(SINGLE_EVALUATIONS, "val")


SEVERAL_SCALES = experiments.at_several_scales(SINGLE_EVALUATIONS)

# Each with what Snakemake's own report says of it
FIGURES = {
    f"{RESULTS}/figures/error_against_depth.svg": {"figure": "error against depth", "model": "all"},
    **{
        f"{RESULTS}/figures/error_against_scale/{model}.svg": {
            "figure": "error against test scale",
            "model": model,
        }
        for model in AVAILABLE
        if model in SEVERAL_SCALES
    },
    **{
        f"{RESULTS}/figures/learning_curves/{model}.svg": {
            "figure": "learning curve",
            "model": model,
        }
        for model in TRAINED
    },
}
PAGES = ["index", *TABLES, *(["pictures"] if PICTURES else []), "plan"]

REPORTED = [  # what the numbers of the report come from
    *expand(f"{RESULTS}/tables/{{table}}.json", table=TABLES),
    f"{RESULTS}/claims.json",
    *FIGURES,
    *([f"{RESULTS}/pictures/score_maps.json"] if PICTURES else []),
]


def pages_of_run():
    """The pages that this run of Snakemake makes, or has as its aims."""
    targets = set(workflow.dag_settings.targets) or {"all"}
    if targets & {"all", "reports/index.html"}:
        return set(PAGES)
    pages = {
        page for page in [*PAGES, "choices", "benchmarks"] if f"reports/{page}.html" in targets
    }
    return (
        pages
        | (targets & {"pictures", "choices", "benchmarks"})
        | set(TABLES if "tables" in targets else ())
    )


def pages_beside(*names):
    """Those pages that others may link to: this run makes them, or they are there already."""
    made = pages_of_run()
    return [name for name in names if name in made or os.path.exists(f"reports/{name}.html")]


def neighbours(wildcards):
    """The pages that a table's page links to: the tables before and after, and the index."""
    names = list(TABLES)
    place = names.index(wildcards.table)
    before, after = names[:place][-1:], names[place + 1 :][:1]
    return options(
        previous=next(iter(pages_beside(*before)), None),
        next=next(iter(pages_beside(*after)), None),
        index=bool(pages_beside("index")),
    )


def table_labels(wildcards):
    """What Snakemake's own report says of a table."""
    return {"table": wildcards.table, "title": TABLES[wildcards.table]["title"]}


def planned_jobs():
    """What `all` makes at a cost, as options of the plan."""
    return options(
        results=RESULTS,
        records=LOGS,
        stores=packed_stores(),
        models=AVAILABLE,
        splits=LABELLED_SPLITS,
        submissions=list(SUBMITTED),
        page="reports/plan.html",
        output=f"{RESULTS}/plan",
        # Measured with nets of full size, which a miniature's do not reach.
        rates=SPEED if FULL_SIZE and os.path.exists(SPEED) else None,
    )


def is_recorded(text):
    """True if the configuration that the run has recorded is this text of the active one."""
    path = Path(RESULTS, "config.yaml")
    return path.exists() and path.read_text(encoding="utf-8") == text
