"""Inputs and options of the rules in transfer.smk."""

from __future__ import annotations

import json
import os

from . import feature_choices, transferred_rows
from .localisation_rules import replicate_folder
from .rule_options import is_archive, options
from .run import Run
from .transferred_rows import Description, descriptions


def made_sets(run: Run, data_set: str) -> str | list:
    """The manifest of the drawn stand-ins, if the data set is one of them."""
    drawn = run.config["transfer"]["drawn"]
    is_drawn = drawn is not None and run.data_sets[data_set]["directory"] == drawn
    return f"{drawn}/manifest.json" if is_drawn else []


def sources(run: Run, data_set: str) -> list[str]:
    """The paths of a data set's archives or folders."""
    entry = run.data_sets[data_set]
    return [os.path.join(entry["directory"], source) for source in entry["sources"]]


def verified_sources(run: Run, data_set: str) -> list[str]:
    """The records of a data set's MD5 checks: of the sources that have a sum."""
    sums = run.data_sets[data_set]["md5"]
    checked = [
        number
        for number, source in enumerate(sources(run, data_set))
        if sums[number] and is_archive(source)
    ]
    return [f"{run.results}/verified/{data_set}_{number}.json" for number in checked]


def verified_source(run: Run, data_set: str, number: int) -> list[str]:
    """Options that name one of a data set's archives, and its sum."""
    return options(
        archive=sources(run, data_set)[number], md5=run.data_sets[data_set]["md5"][number]
    )


def index_options(run: Run, data_set: str) -> list[str]:
    """What a data set is, and where."""
    entry = run.data_sets[data_set]
    return options(
        kind=entry["kind"],
        sources=sources(run, data_set),
        images=entry["images"],
        background=entry.get("background"),
        test=entry.get("test"),
    )


def description_options(run: Run, region: str, **alternative) -> list[str]:
    """All that decides descriptors, as options; `alternative` replaces one."""
    return options(**description_choices(run, region) | run.config["evaluate"] | alternative)


def description_choices(run: Run, region: str) -> dict[str, str]:
    """The choices that decide the descriptors of a region."""
    choices = run.choices_deciding("descriptors")
    if region == "image":
        del choices["action_box"]  # the whole image has no box
    return choices


def description_weights(run: Run, net: str, replicate: str) -> str:
    """The weights behind a folder of descriptors: a model's, or random ones of its net."""
    model = net.removesuffix(".random")
    folder = replicate_folder(run, model, replicate)
    return f"{folder}{'weights' if model == net else 'random'}/{model}.safetensors"


def described_nets(run: Run) -> list[str]:
    """The folders of descriptors that the run makes, by net: D_S256-512, D_S256-512.random."""
    return list(
        dict.fromkeys(
            os.path.basename(os.path.dirname(own.path("", data_set)))
            for row in run.transfer_rows.values()
            for data_set in run.sets_of_row(row["name"])
            for own in descriptions(row, run.data_sets[data_set])
        )
    )


def row_descriptors(run: Run, row: str, data_set: str, replicate: str) -> list[str]:
    """The descriptors that a row's classifiers learn from on a data set."""
    behind = descriptions(run.transfer_rows[row], run.data_sets[data_set])
    return [_path(run, own, data_set, replicate) for own in behind]


def _path(run: Run, own: Description, data_set: str, replicate: str) -> str:
    return own.path(replicate_folder(run, own.model, replicate).rstrip("/"), data_set)


def classifier_options(run: Run, row: str, data_set: str, **alternative) -> list[str]:
    """All that decides a row's classifiers on a data set, given the descriptors."""
    entry = run.data_sets[data_set]
    own = run.transfer_rows[row]
    several = len(transferred_rows.scales_of(own, entry)) > 1
    return options(
        scale_pooling=transferred_rows.scale_pooling(own, entry) if several else None,
        C=run.config["transfer"]["C"],
        seed=run.seeds[0],
        average_precision=precision_of(run, data_set),
        **run.choices_deciding("classifiers") | alternative,
    )


def split_options(run: Run, data_set: str) -> list[str]:
    """All that decides a data set's random splits."""
    entry = run.data_sets[data_set]
    kept = ("splits", "train_per_class", "test_per_class")
    return options(seed=run.seeds[0], **{key: entry[key] for key in kept})


def drawn_splits(run: Run, data_set: str) -> str | list:
    """The random splits of a data set, if they are not its organisers'."""
    organised = run.data_sets[data_set]["kind"] in transferred_rows.ORGANISED
    return [] if organised else f"{run.results}/splits/{data_set}.parquet"


def precision_of(run: Run, data_set: str) -> str | None:
    """The definition of average precision for a data set; None if recall is measured."""
    entry = run.data_sets[data_set]
    return feature_choices.definition(entry, run.choices["average_precision"])


def table_classifiers(run: Run, table: str) -> list[str]:
    """The classifiers behind a table, and the examples that they are measured on."""
    sets = [n for n in transferred_rows.data_sets_of(run.tables[table]) if n in run.data_sets]
    rows = [row for row in run.tables[table]["rows"] if row["name"] in run.transfer_rows]
    if not rows:
        return []
    return [
        *(path for name in sets for row in rows
          for path in run.posteriors([transferred_rows.transferred(row)], name)),
        *(f"{run.results}/examples/{name}.parquet" for name in sets),
    ]  # fmt: skip


def measuring_options(run: Run) -> list[str]:
    """What measures on the run's data sets are of, as JSON."""
    kept = ("title", "test", "background", "Q", "scale_pooling")
    data_sets = {
        name: {
            **{key: entry[key] for key in kept if key in entry},
            "average_precision": precision_of(run, name),
        }
        for name, entry in run.data_sets.items()
    }
    return options(data_sets=json.dumps(data_sets, sort_keys=True))


def memory(run: Run, data_set: str) -> int:
    """Megabytes that classifiers of a data set need: inner products of all pairs of examples.

    These are of 4 bytes each, and copies of those of the training examples come to them; 5.3 GB
    were measured at 30,607. How many persons are in the images of `actions` is not known before.
    """
    entry = run.data_sets[data_set]
    examples = 31_000 if entry["kind"] == "actions" else entry["images"] or 31_000
    return run.by_size(2000 + 7 * examples**2 // 10**6, 2000)


def drawn_folder(run: Run) -> list[str]:
    """The name of the folder in resources/ into which the workflow draws data sets, if it does."""
    drawn = run.config["transfer"]["drawn"]
    return [] if drawn is None else [os.path.basename(drawn)]


def random_options(run: Run, replicate: str) -> list[str]:
    """All that decides a net's random weights; `replicate` is the folder of its seed."""
    seeds = {folder: seed for seed, folder in run.replicates.items()}
    return options(
        initialisation=run.choices["initialisation"], seed=seeds.get(replicate, run.seeds[0])
    )


def described_boxes(run: Run, data_set: str, region: str) -> str | list:
    """The file that holds persons' boxes, if these are described."""
    return f"{run.results}/examples/{data_set}.parquet" if region == "box" else []


def submitted_scores(run: Run, name: str) -> list[str]:
    """The scores behind a file for the organisers' server, those of the first seed."""
    data_set, own = run.feature_files[name]
    return run.posteriors([own], data_set, run.seeds[:1])


def submitted_folder(run: Run, name: str) -> str:
    """The folder in results/ that the server expects."""
    return run.data_sets[run.feature_files[name][0]]["server_folder"]


def submitted_examples(run: Run, name: str) -> str:
    """What these scores are of."""
    return f"{run.results}/examples/{run.feature_files[name][0]}.parquet"


# The choices


def choices_of_stage(run: Run, *stages: str) -> list[str]:
    """The choices of features that decide some stages."""
    known = feature_choices.stages(run.schema)
    return [choice for choice, stage in known.items() if stage in stages]


def descriptors_under(run: Run, row: str, data_set: str, choice: str, value: str) -> list[str]:
    """The descriptors that a row's classifiers learn from under a value of a choice: the run's, but
    for those that it decides, which are a box's alone for `action_box`."""
    changed = f"{run.results}/choices/{choice}={value}"
    return [
        own.path(changed, data_set)
        if choice in description_choices(run, own.region)
        else _path(run, own, data_set, "")
        for own in descriptions(run.transfer_rows[row], run.data_sets[data_set])
    ]


def classifier_options_under(
    run: Run, row: str, data_set: str, choice: str, value: str
) -> list[str]:
    """All that decides a row's classifiers under a value of a choice, given the descriptors."""
    learning = choice in choices_of_stage(run, "classifiers")
    return classifier_options(run, row, data_set, **{choice: value} if learning else {})


def measurable_choices(run: Run) -> dict[str, feature_choices.Reference]:
    """What measures each choice of features; those that the run cannot measure are left out."""
    return feature_choices.measurable(run.schema, run.tables, run.available, run.data_sets)


def scores_under_choices(run: Run) -> list[str]:
    """The scores under every value of every choice that the run can measure, and the examples."""
    known = measurable_choices(run)
    paths = [
        own.path(feature_choices.results_under(run.results, run.schema, choice, value, run.choices))
        for choice, own in known.items()
        for value in feature_choices.values(run.schema, choice, run.choices)
    ]
    sets = dict.fromkeys(own.data_set for own in known.values())
    examples = [f"{run.results}/examples/{name}.parquet" for name in sets]
    return [*dict.fromkeys(paths), *examples]
