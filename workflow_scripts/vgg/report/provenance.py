"""Where a number of a table came from: files, weights, jobs, and the commands that repeat them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..planning.jobs import Key
from ..results.formats.layout import is_withheld
from ..settings.transferred_rows import measure_of

OF_WEIGHTS = (
    "model",
    "seed",
    "weights_sha256",
    "iterations",
    "imported",
    "training_code",
    "training",
)


def sources(
    row: dict,
    split: str,
    seeds: Sequence[int],
    records: Mapping[Key, dict],
    rule: str = "evaluate_convnet",
) -> list[dict]:
    """The weights behind a row's numbers on a split, each once, with their `evaluations`.

    Weights and evaluations have the `record` and `command` of their `job`; weights are `random` if
    they were drawn, for features of a net that has learned nothing. split: or, of features, the
    data set. seeds: of the run; jobs of the first are in no folder of their own. rule: of
    evaluations.
    """
    found: dict[tuple, dict] = {}
    for evaluation in row["evaluations"]:
        if evaluation["split"] != split:
            continue
        model, seed = evaluation["model"], evaluation["seed"]
        folder = _folder(seed, seeds)
        random = Path(evaluation["posteriors"]).parent.name == f"{model}.random"
        if (model, seed) not in found:
            made_by = "import_weights" if evaluation["imported"] else "train_convnet"
            weights = {key: evaluation[key] for key in OF_WEIGHTS} | {"random": random}
            weights |= job(records, "draw_weights" if random else made_by, f"{folder}{model}")
            found[model, seed] = weights | {"evaluations": []}
        name = f"{folder}{split}_{model}{'.random' * random}_{evaluation['method']}"
        done = job(records, rule, f"{name}_Q{evaluation['Q']}")
        found[model, seed]["evaluations"].append(evaluation | done)
    return list(found.values())


def described_by(
    row: dict, data_set: str, seeds: Sequence[int], records: Mapping[Key, dict]
) -> list[dict]:
    """The weights behind a row's numbers on a data set, each once, with their descriptors.

    As `sources` gives them; imported weights, which several seeds' classifiers share, once too.
    """
    found = sources(row, data_set, seeds, records, "describe_images")
    for weights in found:
        by_file = {described["posteriors"]: described for described in weights["evaluations"]}
        weights["evaluations"] = list(by_file.values())
    return found


def classifiers(
    row: dict, data_set: str, seeds: Sequence[int], records: Mapping[Key, dict]
) -> list[dict]:
    """The classifiers behind a row's numbers on a data set, of each seed.

    Each has the `record` and `command` of its `job`. seeds: as for `sources`.
    """
    return [
        found
        | job(
            records,
            "train_classifiers",
            f"{_folder(found['seed'], seeds)}{data_set}_{row['name']}",
        )
        for found in row["classifiers"]
        if found["data_set"] == data_set
    ]


def opened_sets(row: dict) -> list[str]:
    """The data sets of a row of features of which something was measured, or is withheld."""
    return list(
        dict.fromkeys(
            measure_of(metric)[1]
            for metric, cell in row["metrics"].items()
            if not row["literature"] and (cell["measured"] is not None or is_withheld(row, metric))
        )
    )


def guesses(row: dict, split: str, seeds: Sequence[int], records: Mapping[Key, dict]) -> list[dict]:
    """The files of guesses behind a row's localisation errors on a split, one for each seed.

    Each has the `record` and `command` of its `job`. seeds: as for `sources`.
    """
    return [
        found
        | job(
            records,
            "localise" if found["box"] is None else "guess_one_box",
            f"{_folder(found['seed'], seeds)}{split}_{row['name']}",
        )
        for found in row.get("guesses", [])
        if found["split"] == split
    ]


def workflow_command(table: dict) -> list[str]:
    """The words of the command that has the workflow make a table, as the run was configured."""
    results = f"results/{table['experiment']}"
    words = ["snakemake", "--configfile", f"{results}/config.yaml", "--cores", "all", "--"]
    return [*words, f"{results}/tables/{table['name']}.csv"]


def job(records: Mapping[Key, dict], rule: str, name: str) -> dict:
    """The `record` that a job left, and the words of the `command` that repeats it; or None.

    There is no command of a job whose record is of a version that did not keep its arguments.
    """
    record = records.get((rule, name))
    command = _command(record) if record is not None and "arguments" in record else None
    return {"record": record, "command": command}


def _folder(seed: int | None, seeds: Sequence[int]) -> str:
    """Where the logs of a seed's jobs are, among those of their rule."""
    return "" if seed in (None, seeds[0]) else f"seed{seed}/"


def _command(record: dict) -> list[str]:
    """A training of several processes is started by torchrun, here as on one node."""
    launcher = ["python"]
    if record["processes"] > 1:
        launcher = ["torchrun", "--standalone", f"--nproc-per-node={record['processes']}"]
    return [*launcher, "-m", f"workflow_scripts.{record['command']}", *record["arguments"]]
