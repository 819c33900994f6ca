"""Inputs and options of the rules in pictures.smk, report.smk and plan.smk."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping
from pathlib import Path

from ..core.files import InputError
from . import choice_rules, experiments, localisation_rules, test_time_choices, transfer_rules
from .localised_rows import Guessed
from .rule_options import options
from .run import SPEED, Run
from .transferred_rows import Transferred, data_sets_of, measure_of

# Entries of paper_tables.yaml whose errors are drawn against the paper's; Table 7 repeats some.
DRAWN = ("table3", "table4", "table5", "table6")
CLASSES = 1000  # of the paper's data set

# Of commands that read posteriors


def available_models(run: Run) -> list[str]:
    """The models that commands may expect posteriors of; left out if those are all."""
    return options(models=run.available if len(run.available) < len(run.models) else None)


def trained_seeds(run: Run) -> list[str]:
    """The seeds that commands may expect posteriors of, and the models that have none."""
    return options(seeds=run.seeds, imported=list(run.imported))


# Of tables


def measured_splits(run: Run, table: str) -> list[str]:
    """The splits that a table needs and that have labels, or for localisation boxes."""
    if table in run.transferred:
        return []
    known = run.boxed_splits if table in run.localised else run.labelled_splits
    return [split for split in experiments.splits_of(run.tables[table]) if split in known]


def table_posteriors(run: Run, table: str) -> list[str]:
    """The posteriors that a table averages, and those in float32 that check a cell of it.

    Of a table of localisation, the guesses, and the true boxes that they are scored by; of one of
    features, the classifiers' scores, and the examples that they are of.
    """
    entry = run.tables[table]
    if table in run.transferred:
        return transfer_rules.table_classifiers(run, table)
    if table in run.localised:
        return localisation_rules.guesses(run, table, measured_splits(run, table))
    needed = experiments.table_evaluations(entry, run.available)
    checked = []
    if run.precision != "float32":
        checked = experiments.checked_evaluations(entry, run.available)
    in_float32 = test_time_choices.results_of(run.results, "precision", "float32", run.precision)
    return [
        *(path for split in measured_splits(run, table) for path in run.posteriors(needed, split)),
        *(evaluation.path(in_float32, "val") for evaluation in checked),
    ]


def table_entry(run: Run, table: str) -> dict:
    """A table's entry; where the run is not the miniature, without notes that only that one has.

    A change of such a note makes no other run's table anew.
    """
    entry = run.tables[table]
    return {key: entry[key] for key in entry if run.is_miniature or key != "miniature_notes"}


def table_options(run: Run, table: str) -> list[str]:
    """Options of `tabulate`: what fills rows besides posteriors, and which files are written."""
    rows = run.tables[table]["rows"]
    written = {**run.submitted, **run.box_submitted}
    names = [row["submission"] for row in rows if row.get("submission") in written]
    of_features = []
    if table in run.transferred:
        sets = data_sets_of(run.tables[table])
        own = {f"{row.get('submission')}_{name}" for row in rows for name in sets}
        names = [name for name in run.feature_files if name in own]
        of_features = [*transfer_rules.measuring_options(run), *options(seed=run.seeds[0])]
    # Splits and submissions are spelt out even if there are none: left out, they have defaults.
    return [
        *available_models(run),
        *trained_seeds(run),
        *("--splits", *measured_splits(run, table)),
        *("--submissions", *names),
        *options(answers=run.config["server_answers"], test_images=run.data["images"]["test"]),
        *options(precision=run.precision if run.precision != "float32" else None),
        *options(miniature=run.is_miniature),
        *(localisation_rules.scoring_options(run) if table in run.localised else []),
        *of_features,
    ]


def table_answers(run: Run, table: str) -> dict[str, dict]:
    """The test server's answers that a table shows; a change of them makes it anew."""
    named = {row.get("submission") for row in run.tables[table]["rows"]}
    return {name: answer for name, answer in run.answers.items() if name in named}


def table_labels(run: Run, table: str) -> dict[str, str]:
    """A table's labels in Snakemake's own report."""
    return {"table": table, "title": run.tables[table]["title"]}


# Of claims and test-time choices


def claim_posteriors(run: Run) -> list[str]:
    """The posteriors, guesses and classifiers that the claims compare."""
    needed = experiments.claim_evaluations(run.claims, run.tables, run.available)
    guessed = [own for own in needed if isinstance(own, Guessed)]
    truth = [f"{run.results}/truth/val.parquet"] if guessed else []
    of_errors = [own for own in needed if not isinstance(own, Transferred)]
    return [*run.posteriors(of_errors, "val"), *truth, *_claimed_classifiers(run)]


def _claimed_classifiers(run: Run) -> list[str]:
    """The classifiers' scores that the claims compare, and the examples that they are of."""
    found: dict[str, None] = {}
    for comparison in (each for claim in run.claims for each in claim["comparisons"]):
        data_set = measure_of(comparison.get("metric") or "")[1]
        sides = [
            own
            for side in experiments.SIDES
            for own in experiments.side_evaluations(comparison[side], run.tables)
        ]
        if data_set in run.data_sets and experiments.has_models(sides, run.available):
            found |= dict.fromkeys(run.posteriors(sides, data_set))
            found[f"{run.results}/examples/{data_set}.parquet"] = None
    return list(found)


def claim_trainings(run: Run) -> list[str]:
    """The trainings behind the claims, whose speeds are compared too."""
    needed = experiments.claim_evaluations(run.claims, run.tables, run.available)
    models = {model for own in needed for model in own.models}
    timed = any("throughput" in claim for claim in run.claims)
    return [model for model in run.trained if timed and model in models]


def choice_posteriors(run: Run) -> list[str]:
    """The posteriors under every value of every test-time choice that this run can measure.

    Raises InputError if it can measure none, nor a choice of localisation or of features.
    """
    if not _has_choices(run):
        needed = ", ".join(dict.fromkeys(test_time_choices.MEASURED_BY.values()))
        raise InputError(f"choices: no model of this run is measured by the rows {needed}")
    paths = [
        evaluation.path(
            test_time_choices.results_of(run.results, choice, value, run.choices[choice]), "val"
        )
        for choice, own in run.measurable.items()
        for value in test_time_choices.values(run.schema, choice, run.choices[choice])
        for evaluation in own
    ]
    return list(dict.fromkeys(paths))


def _has_choices(run: Run) -> bool:
    """True if the run can measure a test-time choice, by errors or by features."""
    others = choice_rules.measured_row(run) or transfer_rules.measurable_choices(run)
    return bool(run.measurable or others)


def choice_files(run: Run) -> list[str]:
    """The comparisons of localisation's and of features' choices as CSV, if the run can measure
    them."""
    measured = {
        "localisation": choice_rules.measured_row(run),
        "features": transfer_rules.measurable_choices(run),
    }
    return [f"{run.results}/choices_{name}.csv" for name, own in measured.items() if own]


def compared_choices(run: Run) -> str | list:
    """The page on test-time choices, if someone had them compared: `snakemake choices`."""
    compared = _has_choices(run) and os.path.exists(f"{run.results}/choices.json")
    return "reports/choices.html" if compared else []


# Of figures and pages


def has_papers_data(config: Mapping) -> bool:
    """True if a run's errors compare with the paper's in size: of ILSVRC's 1000 classes."""
    return config["data"]["source"] != "miniature" and config["data"].get("classes") == CLASSES


def drawn_tables(run: Run) -> list[str]:
    """The tables whose errors are drawn against the paper's."""
    return [name for name in run.measured if run.tables[name].get("paper") in DRAWN]


def claimed_tables(run: Run) -> list[str]:
    """The tables whose rows the claims compare, in their order."""
    sides = {
        side.partition("/")[0]
        for claim in run.claims
        for comparison in claim["comparisons"]
        for side in (comparison[name] for name in experiments.SIDES)
        if isinstance(side, str)
    }
    return [name for name in run.tables if name in sides]


def figures(run: Run) -> dict[str, dict[str, str]]:
    """The figures, each with what Snakemake's own report says of it."""
    several_scales = experiments.at_several_scales(run.single_evaluations)
    of_depth = f"{run.results}/figures/error_against_depth.svg"
    errors = {
        metric.partition("_")[0]
        for name in drawn_tables(run)
        for metric in run.tables[name]["metrics"]
    }
    return {
        **{
            f"{run.results}/figures/measured_against_paper/{kind}.svg": {
                "figure": f"{name} errors against the paper's",
                "model": "all",
            }
            for kind, name in (("top1", "top-1"), ("top5", "top-5"))
            if kind in errors
        },
        of_depth: {"figure": "error against depth", "model": "all"},
        **{
            f"{run.results}/figures/error_against_scale/{model}.svg": {
                "figure": "error against test scale",
                "model": model,
            }
            for model in run.available
            if model in several_scales
        },
        **{
            f"{run.results}/figures/learning_curves/{model}.svg": {
                "figure": "learning curve",
                "model": model,
            }
            for model in run.trained
        },
    }


def reported(run: Run) -> list[str]:
    """The files that the report's numbers come from."""
    return [
        *(f"{run.results}/tables/{table}.json" for table in run.tables),
        f"{run.results}/claims.json",
        *figures(run),
        *([f"{run.results}/pictures/score_maps.json"] if run.pictures else []),
    ]


def pages(run: Run) -> list[str]:
    """The pages that `all` makes."""
    claims = ["claims"] if run.claims else []
    return ["index", *claims, *run.tables, *(["pictures"] if run.pictures else []), "plan"]


def pages_of_run(run: Run, targets: Collection[str]) -> set[str]:
    """The pages that a run of Snakemake makes, or has as its aims.

    targets: as given on the command line; none stand for `all`.
    """
    targets = set(targets) or {"all"}
    if targets & {"all", "reports/index.html"}:
        return set(pages(run))
    named = [*pages(run), "choices", "benchmarks"]
    return (
        {page for page in named if f"reports/{page}.html" in targets}
        | (targets & {"claims", "pictures", "choices", "benchmarks"} & set(named))
        | set(run.tables if "tables" in targets else ())
    )


def pages_beside(run: Run, targets: Collection[str], *names: str) -> list[str]:
    """Those pages that others may link to: this run makes them, or they are there already."""
    made = pages_of_run(run, targets)
    return [name for name in names if name in made or os.path.exists(f"reports/{name}.html")]


def index_link(run: Run, targets: Collection[str]) -> list[str]:
    """The option by which a page links to the index, if there is one."""
    return options(index=bool(pages_beside(run, targets, "index")))


def neighbours(run: Run, targets: Collection[str], table: str) -> list[str]:
    """The pages that a table's page links to: the tables before and after, and the index."""
    names = list(run.tables)
    place = names.index(table)
    before, after = names[:place][-1:], names[place + 1 :][:1]
    return [
        *options(previous=next(iter(pages_beside(run, targets, *before)), None)),
        *options(next=next(iter(pages_beside(run, targets, *after)), None)),
        *index_link(run, targets),
    ]


def related(run: Run, table: str) -> list[str]:
    """The other tables that the page of a table of localisation refers to."""
    if table not in run.localised:
        return []
    of_labels = run.config["localise"]["labels"].partition("/")[0]
    return [name for name in run.tables if name in (of_labels, *run.localised) and name != table]


def box_reports(run: Run) -> list[str]:
    """What was read of true boxes, by split: of those that the run trains with or tests on."""
    if not run.localises:
        return []
    fixed = localisation_rules.fixed_rows(run)
    learned = set(run.trained) & set(localisation_rules.box_models(run)) or any(
        localisation_rules.fixed_box_truth(run, row) for row in fixed
    )
    splits = [*(["train"] if learned else []), *run.boxed_splits]
    return [f"{run.results}/truth/{split}.json" for split in splits]


# Of the plan, and of what is recorded


def planned_jobs(run: Run) -> list[str]:
    """Options of the plan: all that `all` makes at a cost."""
    return options(
        results=run.results,
        records=run.logs,
        stores=run.packed_stores,
        models=run.available,
        splits=run.labelled_splits,
        submissions=list(run.submitted),
        boxed_splits=run.boxed_splits if run.guess_rows else [],
        box_submissions=list(run.box_submitted),
        page="reports/plan.html",
        output=f"{run.results}/plan",
        # Measured with nets of full size, which a miniature's do not reach.
        rates=SPEED if run.is_full_size and os.path.exists(SPEED) else None,
    )


def given_options(files: Collection[str | Path], given: Mapping) -> list[str]:
    """The configuration as Snakemake's command line gave it, to a command that takes it alike.

    files: of `--configfile`. given: what `--config` said.
    """
    entries = [f"{key}={json.dumps(value)}" for key, value in given.items()]
    return options(configfile=list(map(str, files)), config=entries)


def is_recorded(run: Run) -> bool:
    """True if the configuration that lies in the results is this run's."""
    path = Path(run.results, "config.yaml")
    return path.exists() and path.read_text(encoding="utf-8") == run.resolved
