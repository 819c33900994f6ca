"""Tables of features on other data sets: measures, higher is better, beside the paper's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from ..core.checksums import damaged
from ..settings.experiments import has_models, seeded_paths
from ..settings.transferred_rows import (
    RECALL,
    VALIDATION_MAP,
    Transferred,
    measure_of,
    transferred,
)
from ..transfer.intervals import Interval
from ..transfer.scores import read_told
from .cells import ErrorCell
from .feature_measures import Measure, Measures
from .tables import SAID_OF_PASSES, Run, laid_out, origin, unmeasured_row

WORDS = {
    "eleven-point": "average precision of eleven recalls, as VOC-2007 has it",
    "area": "average precision as area under the curve, as VOC has it from 2010 on",
}


@dataclass(frozen=True)
class FeatureCell(ErrorCell):
    """A measure in percent, higher is better, with its 95% interval, the paper's, and more.

    Fields of ErrorCell are as there; `errors` is None, `images` the number of test examples.
    split_sd: sample standard deviation of the first seed's recalls over random splits. paper_sd:
    the number after the paper's ±. paper_starred: what the paper stars, of nets that have seen
    more classes than ILSVRC's.
    """

    split_sd: float | None = None
    paper_sd: float | None = None
    paper_starred: float | None = None


def feature_table(
    name: str,
    entry: dict,
    run: Run,
    printed: dict | None,
    answers: Mapping[str, dict],
    measures: Measures,
) -> dict:
    """A table of classifiers of tables.yaml, measured: its own rows, then the literature's.

    printed: the paper's table as paper_tables.yaml has it; None if it has none. answers: the
    server's, by submission.
    """
    table = laid_out(
        name,
        entry,
        run,
        printed,
        answers,
        lambda row, references, answer: _measured_row(
            row, references, entry["metrics"], run, measures, answer
        ),
        _cell,
    )
    return table | {
        "higher_is_better": True,
        "data_sets": {name: own["title"] for name, own in measures.data_sets.items()},
        "notes": [*table["notes"], *_notes(entry["metrics"], table["rows"], measures)],
    }


def _measured_row(
    row: dict,
    references: Mapping,
    metrics: list[str],
    run: Run,
    measures: Measures,
    answer: dict | None,
) -> dict:
    """A row of tables.yaml, measured; metrics of data sets that the run lacks stay unmeasured."""
    own = transferred(row)
    cells, per_class = {}, {}
    files: dict[str, list[str]] = {}
    for metric in metrics:
        _, data_set = measure_of(metric)
        printed = references.get(metric)
        if data_set not in measures.data_sets or not has_models([own], run.models):
            cells[metric] = _cell(printed)
            continue
        files[data_set] = [path for (path,) in _files(own, run, data_set)]
        if not measures.has(metric):
            told = answer.get(metric) if answer else None
            cells[metric] = _cell(printed, told)
            continue
        measure = measures.of(metric)
        system = [measures.read(path, measure.examples) for path in files[data_set]]
        interval = measure.interval(system)
        cells[metric] = _measured_cell(measure, interval, system[0], printed)
        per_class[metric] = dict(
            zip(measure.examples.classes, measure.per_class(system[0]), strict=True)
        )
    in_words = {metric: asdict(cell) for metric, cell in cells.items()}
    return unmeasured_row(row["name"], row["labels"], in_words) | {
        "evaluations": [
            asdict(origin(source, said, data_set, run.seed(said["model"], place)))
            for data_set, paths in files.items()
            for place, path in enumerate(paths)
            for source, said in descriptors_behind(path)
        ],
        "submission": _submission(row, metrics, run, measures),
        "classifiers": [
            classifiers_of(path, data_set, run.seeds[place])
            for data_set, paths in files.items()
            for place, path in enumerate(paths)
        ],
        "per_class": per_class,
    }


def _files(own: Transferred, run: Run, data_set: str) -> list[list[str]]:
    return seeded_paths([own], run.results, data_set, seeds=run.seeds, imported=run.imported)


def _submission(row: dict, metrics: list[str], run: Run, measures: Measures) -> str | None:
    """The first file for the organisers' server that the run writes of a row, if it does."""
    if "submission" not in row or not has_models([transferred(row)], run.models):
        return None
    for _, data_set in map(measure_of, metrics):
        name = f"{row['submission']}_{data_set}"
        is_withheld = measures.data_sets.get(data_set, {}).get("test") == "withheld"
        if is_withheld and (run.submissions is None or name in run.submissions):
            return f"{run.results}/submission/{name}.tar.gz"
    return None


def _cell(printed: float | Mapping | None, told: float | None = None) -> FeatureCell:
    """A cell of what the paper prints, and of what the server told, if it did.

    printed: a number, or a mapping of `value`, `sd` and `starred`.
    """
    paper = printed if isinstance(printed, Mapping) else {"value": printed}
    value = paper.get("value")
    return FeatureCell(
        measured=told,
        paper=value,
        difference=None if told is None or value is None else told - value,
        entered=told is not None,
        paper_sd=paper.get("sd"),
        paper_starred=paper.get("starred"),
    )


def _measured_cell(
    measure: Measure, interval: Interval, first: list, printed: float | Mapping | None
) -> FeatureCell:
    shown = _cell(printed)
    seeds = len(interval.per_seed)
    return FeatureCell(
        measured=interval.value,
        low=interval.low,
        high=interval.high,
        images=measure.count(first),
        paper=shown.paper,
        difference=None if shown.paper is None else interval.value - shown.paper,
        seeds=seeds,
        seed_sd=float(np.std(interval.per_seed, ddof=1)) if seeds > 1 else None,
        per_seed=interval.per_seed,
        split_sd=None if measure.definition else measure.over_splits(first).sd,
        paper_sd=shown.paper_sd,
        paper_starred=shown.paper_starred,
    )


def descriptors_behind(path: str) -> list[tuple[str, dict]]:
    """The files of descriptors behind a file of scores, with what each says of itself.

    Raises InputError if one does not say all.
    """
    sources = [(source, said) for source, said in read_told(path)["descriptors"]]
    for _, said in sources:
        if missing := [key for key in SAID_OF_PASSES if key not in said]:
            raise damaged(path, f"it does not say its descriptors' {', '.join(missing)}")
    return sources


def classifiers_of(path: str, data_set: str, seed: int) -> dict:
    """What a table's JSON file holds of the classifiers in a file of scores."""
    told = read_told(path)
    return {
        "scores": path,
        "data_set": data_set,
        "seed": seed,
        "options": told["options"],
        "chosen": told["chosen"],
    }


def _notes(metrics: list[str], rows: list[dict], measures: Measures) -> list[str]:
    """What a reader must know to compare the numbers of a table."""
    known = [metric for metric in metrics if measure_of(metric)[1] in measures.data_sets]
    entry_of = {metric: measures.data_sets[measure_of(metric)[1]] for metric in known}

    def named(own: list[str]) -> str:
        return ", ".join(dict.fromkeys(entry_of[metric]["title"] for metric in own))

    notes: list[str] = []
    for definition, words in WORDS.items():
        own = [metric for metric in known if entry_of[metric]["average_precision"] == definition]
        if own:
            notes.append(f"{named(own)}: the mean over classes of {words}.")
    recalls = [metric for metric in known if measure_of(metric)[0] == RECALL]
    if recalls:
        counted = ", ".join(
            f"{len(measures.of(m).examples.classes)} of {entry_of[m]['title']}" for m in recalls
        )
        notes.append(
            f"{named(recalls)}: the mean over classes and over random splits; ± is the standard "
            f"deviation over splits. Classes: {counted}."
        )
    if own := [metric for metric in recalls if entry_of[metric].get("background")]:
        notes.append(f"{named(own)}: the background is one of the classes.")
    validated = [metric for metric in known if measure_of(metric)[0] == VALIDATION_MAP]
    if own := [metric for metric in validated if entry_of[metric]["test"] == "withheld"]:
        notes.append(
            f"{named(own)}: only the organisers’ server has the labels of the test set; what is "
            "measured here is of the validation set, not to be compared with numbers of the test "
            "set, such as the paper’s. Its classifiers learned from training images alone."
        )
    if own := [metric for metric in validated if entry_of[metric]["test"] == "absent"]:
        notes.append(
            f"{named(own)}: this run has no test set; what is measured is of the validation set, "
            "not to be compared with numbers of a test set. Its classifiers learned from training "
            "images alone."
        )
    notes += _lacking(known, rows, measures)
    if any(cell["paper_starred"] is not None for row in rows for cell in row["metrics"].values()):
        notes.append("* of nets that have seen more classes than ILSVRC’s 1000.")
    ends = {
        (measures.data_sets[own["data_set"]]["title"], chosen["C"])
        for row in rows
        for own in row.get("classifiers", [])
        for chosen in own["chosen"]
        if chosen["at_end"]
    }
    if ends:
        listed = ", ".join(f"{title} {C:g}" for title, C in sorted(ends))
        notes.append(f"C was chosen at an end of its grid: {listed}.")
    return notes


def _lacking(metrics: list[str], rows: list[dict], measures: Measures) -> list[str]:
    """Notes on classes that nothing tested is of, and on images that could not be read."""
    notes = []
    for metric in metrics:
        if not measures.has(metric):
            continue
        measure, title = measures.of(metric), measures.data_sets[measure_of(metric)[1]]["title"]
        if measure.definition is not None and (lacking := measure.without_positives()):
            left = int(measure.examples.scored.sum()) - len(lacking)
            notes.append(
                f"{title}: no {measure.part} image is of {', '.join(lacking)}; the mean is over "
                f"the other {left} classes."
            )
        unread = {
            name
            for row in rows
            for own in row.get("classifiers", [])
            if own["data_set"] == measure_of(metric)[1]
            for chosen in own["chosen"]
            if chosen["part"] == measure.part
            for name in chosen["undescribed"]
        }
        if unread:
            notes.append(
                f"{title}: {len(unread)} of those tested could not be read, such as "
                f"{min(unread)}; they count as wrong. Nothing was learned from such images."
            )
    return notes
