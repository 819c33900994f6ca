"""Tables as data: rows measured from posteriors beside the paper's numbers (paper §4)."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..core.checksums import checksum, damaged
from ..core.files import read_bytes, whole_file
from ..core.parquet import read_columns, read_metadata
from ..core.text_artefacts import read_json, write_json
from ..evaluation.posteriors import Outcomes, check_paired, outcomes
from ..localisation.guesses import recorded_options
from ..localisation.outcomes import LocalisedOutcomes, localised_outcomes
from ..localisation.scoring import Scoring
from ..localisation.true_boxes import of_images
from ..settings.experiments import (
    Evaluation,
    Measured,
    has_models,
    row_evaluations,
    seeded_paths,
)
from ..settings.localised_rows import TEST_1, TEST_2, error_of
from .cells import ErrorCell, EvaluationOrigin, entered_cell, measured_cell
from .formats.latex import latex
from .formats.markdown import markdown
from .formats.sheets import sheet
from .paper_tables import bold_cells, paper_rows

CSV_CHECKSUM = "csv_checksum"  # in a table's JSON file
SAID_OF_PASSES = (  # in their files' own metadata
    "weights_sha256",
    "iterations",
    "code_fingerprint",
    "training_code",
    "choices",
    "hardware",
)
OutcomesReader = Callable[[tuple[str, ...]], Outcomes | LocalisedOutcomes]
OVERLAPS = {"at-least-half": "at least half", "more-than-half": "more than half"}
PIXELS = {
    "inclusive": "first and last pixel included",
    "continuous": "from first to last pixel",
}
GUESSED = {
    TEST_2: "Localisation error: an image has five guesses, each of a class and a box.",
    TEST_1: "True-class localisation error: an image has one guess, a box of its true class.",
}


@dataclass(frozen=True)
class Run:
    """A run's artefacts: where they are, the splits with labels, the seeds of its trainings.

    imported: models whose weights are files, which have no seeds. models: all that it has, None for
    every one. submissions: files for the test server that it writes, None for every one.
    test_images: number of the test set's, for answers of the test server.
    """

    results: str
    splits: Sequence[str]
    seeds: Sequence[int] = (0,)
    imported: Collection[str] = ()
    models: Collection[str] | None = None
    submissions: Collection[str] | None = None
    test_images: int | None = None

    def files(self, own: Sequence[Measured]) -> dict[str, list[list[str]]]:
        """The files behind a set of evaluations, or guesses, by split, one list for each seed.

        None of a set that needs models which the run does not have.
        """
        if not has_models(own, self.models):
            return {}
        return {
            split: seeded_paths(own, self.results, split, seeds=self.seeds, imported=self.imported)
            for split in self.splits
        }

    def seed(self, model: str, place: int) -> int | None:
        """The seed of a model's training in the `place`-th of these lists."""
        return None if model in self.imported else self.seeds[place]

    def submission(self, row: dict) -> str | None:
        """The file for the test server that the run writes of a row of tables.yaml, if it does."""
        name = row.get("submission")
        written = name and has_models(row_evaluations(row), self.models)
        if not written or (self.submissions is not None and name not in self.submissions):
            return None
        return f"{self.results}/submission/{name}.txt"


def paired_outcomes() -> OutcomesReader:
    """A reader of the outcomes of the mean of some posterior files, which remembers them.

    It raises InputError unless all outcomes of a split that it has read are of the same images.
    """
    by_split: dict[str, dict[str, Outcomes]] = defaultdict(dict)

    @cache
    def read(paths: tuple[str, ...]) -> Outcomes:
        *_, split, _, _ = Path(paths[0]).parts
        by_split[split][paths[0]] = outcomes(paths)
        check_paired(by_split[split])
        return by_split[split][paths[0]]

    return read


def paired_localisations(
    results: str, scoring: Scoring
) -> Callable[[tuple[str, ...]], LocalisedOutcomes]:
    """A reader of the outcomes of a file of guesses, by the true boxes in the results.

    It raises InputError unless all guesses of a split that it has read are of the same images.
    """
    by_split: dict[str, dict[str, LocalisedOutcomes]] = defaultdict(dict)

    @cache
    def read(paths: tuple[str, ...]) -> LocalisedOutcomes:
        (path,) = paths
        split = Path(path).parts[-2]
        by_split[split][path] = localised_outcomes(
            path, f"{results}/truth/{split}.parquet", scoring
        )
        check_paired(by_split[split])
        return by_split[split][path]

    return read


def evaluation_table(
    name: str,
    entry: dict,
    run: Run,
    printed: dict | None,
    answers: Mapping[str, dict],
    read: OutcomesReader | None = None,
) -> dict:
    """A table of tables.yaml, measured: its own rows, then those that quote the literature.

    read: gives the outcomes of a row's files; those of posteriors if None.
    printed: the paper's table as paper_tables.yaml has it; None if it has none. answers: the test
    server's, by submission.
    """
    read = read or paired_outcomes()
    return laid_out(
        name,
        entry,
        run,
        printed,
        answers,
        lambda row, references, answer: measured_row(
            row, references, entry["metrics"], run=run, read=read, answer=answer
        ),
        lambda error: ErrorCell(paper=error),
    )


def laid_out(
    name: str,
    entry: dict,
    run: Run,
    printed: dict | None,
    answers: Mapping[str, dict],
    measured: Callable[[dict, Mapping, dict | None], dict],
    quoted: Callable[[Any], ErrorCell],
) -> dict:
    """A table of tables.yaml: its own rows, then those that quote the literature.

    measured: gives a row, by its entry, its references by metric and the server's answer. quoted:
    a cell of what the paper prints. The others are as in `evaluation_table`.
    """
    paper = paper_rows(printed) if printed else []
    bold = bold_cells(printed) if printed and "reference" not in entry else set()
    rows, notes = [], {}
    for place, row in enumerate(entry["rows"]):
        references = row.get("reference") or (paper[place][1] if paper else {})
        submission = row.get("submission")
        is_in_run = has_models(row_evaluations(row), run.models)
        answer = answers.get(submission) if is_in_run else None
        found = measured(row, references, answer)
        if answer and any(cell["entered"] for cell in found["metrics"].values()):
            notes[submission] = entered_note(submission, answer)
        rows.append(found)
    for labels, references in paper[len(rows) :]:
        cells = {metric: asdict(quoted(references.get(metric))) for metric in entry["metrics"]}
        rows.append(unmeasured_row(None, labels, cells, literature=True))
    for place, row in enumerate(rows):
        for metric, cell in row["metrics"].items():
            cell["bold"] = (place, metric) in bold
    return {
        "name": name,
        "title": entry["title"],
        "section": entry.get("section"),
        "experiment": Path(run.results).name,
        "seeds": run.seeds,
        "kind": "evaluation",
        "columns": entry["columns"],
        "metrics": entry["metrics"],
        "reference": entry.get("reference", "paper"),
        "rows": rows,
        "notes": [*notes.values(), *notes_on_imports(rows)],
    }


def notes_on_imports(rows: Sequence[dict]) -> list[str]:
    """What a reader must know of rows' imported weights: nets that are not the paper's, and such
    as know more classes than the data set."""
    imported = {
        evaluation["model"]: evaluation["imported"]
        for row in rows
        for evaluation in row.get("evaluations", [])
        if evaluation["imported"]
    }
    notes = []
    for model, source in imported.items():
        if net := source.get("net"):
            notes.append(
                f"{model} is {net}, no net of the paper’s, with the input of its own library: "
                f"{source['input']}."
            )
        if classes := source.get("classes"):
            ways = {
                "renormalised": "the posteriors are of the data set’s classes, renormalised",
                "of-all-classes": "an answer that is none of the data set’s classes is wrong",
            }
            told = ways[source["subset_posteriors"]]
            notes.append(f"{model} knows {classes} classes: {told}.")
    return notes


def measured_row(
    row: dict,
    references: Mapping[str, float | None],
    metrics: Sequence[str],
    run: Run,
    read: OutcomesReader,
    answer: dict | None = None,
) -> dict:
    """A row of tables.yaml, measured.

    references: the paper's errors by metric, or others. run: metrics of splits that it does not
    have, and rows of models that it does not have, stay unmeasured. answer: the test server's; it
    stands where the test set has no labels.
    """
    own = row_evaluations(row)
    files = run.files(own)
    found = {split: [read(tuple(paths)) for paths in seeds] for split, seeds in files.items()}
    kinds = ("top1", "top5") if "evaluations" in row else (error_of(row),)
    cells = {}
    for metric in metrics:
        kind, split = metric.split("_")
        paper = references.get(metric)
        if split in found and kind in kinds:
            wrong = np.stack([getattr(of_seed, kind) for of_seed in found[split]])
            cells[metric] = measured_cell(wrong, paper)
        elif answer and metric in answer and run.test_images is not None:
            cells[metric] = entered_cell(answer[metric], run.test_images, paper)
        else:
            cells[metric] = ErrorCell(paper=paper)
    return {
        "name": row["name"],
        "labels": row["labels"],
        "literature": False,
        "metrics": {metric: asdict(cell) for metric, cell in cells.items()},
        "evaluations": [
            asdict(origin(path, metadata, split, run.seed(metadata["model"], place)))
            for split, seeds in files.items()
            for place, paths in enumerate(seeds)
            for path, metadata in passes_behind(own, paths)
        ],
        "submission": run.submission(row),
        **({} if "evaluations" in row else {"guesses": guesses_behind(own, files, run)}),
    }


def entered_note(submission: str, answer: dict) -> str:
    """A table's note on a test server's answer that it shows."""
    note = f"† entered by hand from the test server's answer of {answer['date']} to {submission}"
    return f"{note}: {answer['note']}" if answer.get("note") else note


def unmeasured_row(
    name: str | None, labels: list, cells: Mapping[str, dict], literature: bool = False
) -> dict:
    """A row as a table's JSON file holds it, with nothing behind its cells."""
    return {
        "name": name,
        "labels": labels,
        "literature": literature,
        "metrics": cells,
        "evaluations": [],
        "submission": None,
    }


def guesses_behind(
    own: Sequence[Measured], files: Mapping[str, list[list[str]]], run: Run
) -> list[dict]:
    """The files of a row's guesses, of each split and seed, with what they say of themselves.

    `box`: the one that is guessed for all images, corners as parts of width and height; None if
    they come from nets, whose boxes were united by `merging`.
    """
    models = {model for guessed in own for model in guessed.models}
    found = []
    for split, seeds in files.items():
        for place, (path,) in enumerate(seeds):
            box, merging = read_metadata(path).get("box"), None
            if box is None:
                merging = {k: v for part in recorded_options(path) for k, v in asdict(part).items()}
            seed = run.seeds[place] if models - set(run.imported) else None
            found.append(
                {"guesses": path, "split": split, "seed": seed, "box": box, "merging": merging}
            )
    return found


def scoring_facts(entry: dict, run: Run, scoring: Scoring) -> dict:
    """How a table's localisation errors were counted, as its JSON file has it in `localisation`.

    `scoring`: see there. `images`: of each split that was measured, how many images there are
    guesses for (`images`), how many of these have no true box (`boxless`) or are on ILSVRC's
    blacklist (`blacklisted`), and how many count (`scored`).
    """
    images: dict[str, dict[str, int]] = {}
    for row in entry["rows"]:
        for split, seeds in run.files(row_evaluations(row)).items():
            if split in images:  # all rows are of the same images, or there is no table
                continue
            ids = read_columns(seeds[0][0], ["id"])["id"].to_pylist()
            true = of_images(f"{run.results}/truth/{split}.parquet", ids)
            left_out = true.blacklisted & (scoring.blacklisted == "left-out")
            images[split] = {
                "images": len(ids),
                "boxless": int((~true.boxed).sum()),
                "blacklisted": int(true.blacklisted.sum()),
                "scored": int((true.boxed & ~left_out).sum()),
            }
    return {"scoring": asdict(scoring), "images": images}


def scoring_notes(metrics: Sequence[str], localisation: dict) -> list[str]:
    """A table's notes on what its localisation errors are, given what `scoring_facts` found."""
    scoring, kinds = localisation["scoring"], {metric.split("_")[0] for metric in metrics}
    official, images = scoring == asdict(Scoring()), []
    notes = [
        " ".join(text for kind, text in GUESSED.items() if kind in kinds)
        + " An image is right if a guess has its class, and a box that shares with a true box "
        f"{OVERLAPS[scoring['overlap_bound']]} of all that the two cover, "
        f"{PIXELS[scoring['overlap_pixels']]}{', as ILSVRC’s routine has it' if official else ''}."
    ]
    for split, counts in localisation["images"].items():
        reasons = []
        if counts["blacklisted"]:
            kept = "" if scoring["blacklisted"] == "left-out" else " and count all the same"
            reasons.append(f"{counts['blacklisted']:,} are on ILSVRC’s blacklist{kept}")
        if counts["boxless"]:
            reasons.append(f"{counts['boxless']:,} have no true box")
        count = "all" if counts["scored"] == counts["images"] else f"{counts['scored']:,}"
        because = f" ({', '.join(reasons)})" if reasons else ""
        images.append(f"of {counts['images']:,} {split} images {count} count{because}")
    if images:
        sentence = "; ".join(images)
        notes.append(f"{sentence[0].upper()}{sentence[1:]}.")
    return notes


def passes_behind(own: Sequence[Measured], paths: Sequence[str]) -> Iterator[tuple[str, dict]]:
    """The files of posteriors or boxes behind a number, with what each says of itself.

    own: of which the files at `paths` are; a file of guesses tells of its boxes.
    Raises InputError if one does not say all.
    """
    for evaluation, path in zip(own, paths, strict=True):
        metadata = read_metadata(path)
        if isinstance(evaluation, Evaluation):
            sources = [(path, asdict(evaluation) | metadata)]
        else:
            sources = metadata.get("boxes", [])
        for source, said in sources:
            if missing := [key for key in SAID_OF_PASSES if key not in said]:
                raise damaged(path, f"it does not say its {', '.join(missing)}")
            yield source, said


def origin(path: str, metadata: dict, split: str, seed: int | None) -> EvaluationOrigin:
    """Where a set of posteriors or boxes came from, out of the file's own metadata."""
    return EvaluationOrigin(
        posteriors=path,
        split=split,
        seed=seed,
        model=metadata["model"],
        method=metadata["method"],
        Q=metadata["Q"],
        weights_sha256=metadata["weights_sha256"],
        iterations=metadata["iterations"],
        imported=metadata.get("imported"),
        code=metadata["code_fingerprint"],
        training_code=metadata["training_code"],
        choices=metadata["choices"],
        hardware=metadata["hardware"],
        node=metadata.get("node"),
        precision=metadata.get("precision"),
        training=metadata.get("training"),
    )


def flat(table: dict) -> pd.DataFrame:
    """A measured table as one line a row: labels, then each metric's fields."""
    lines = []
    for row in table["rows"]:
        line = dict(zip(table["columns"], row["labels"], strict=True))
        line["literature"] = row["literature"]
        for metric, cell in row["metrics"].items():
            cell = cell | {"per_seed": " ".join(map(str, cell["per_seed"] or [])) or None}
            names = {"measured": metric} | {
                field: f"{metric}_{field}" for field in cell if field != "measured"
            }
            line |= {names[field]: value for field, value in cell.items()}
        lines.append(line)
    frame = pd.DataFrame(lines)
    counts = [name for name in frame if name.endswith(("_errors", "_images", "_seeds"))]
    return frame.astype(dict.fromkeys(counts, "Int64"))


def write_table(prefix: str | Path, table: dict, lines: pd.DataFrame) -> None:
    """Write a table of any kind as files.

    `<prefix>.json` holds everything, `.csv` one line a row as in `lines`; `.tex` and `.md` are for
    readers of other documents. The JSON has the CSV's checksum.
    """
    page, of_lines = sheet(table), lines.to_csv(index=False, lineterminator="\n")
    for suffix, text in ((".csv", of_lines), (".tex", latex(page)), (".md", markdown(page))):
        with whole_file(f"{prefix}{suffix}") as temporary:
            temporary.write_text(text, encoding="utf-8")
    write_json(f"{prefix}.json", {**table, CSV_CHECKSUM: f"{checksum(of_lines.encode()):016x}"})


def read_lines(prefix: str | Path) -> pd.DataFrame:
    """The lines of a table that `write_table` wrote. Raises InputError if they are damaged."""
    content = read_bytes(f"{prefix}.csv")
    if f"{checksum(content):016x}" != read_json(f"{prefix}.json").get(CSV_CHECKSUM):
        raise damaged(f"{prefix}.csv", "the table's JSON file has another checksum of it")
    return pd.read_csv(io.BytesIO(content))
