"""Where a number of a table came from: files, weights, jobs, and the commands that repeat them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..planning.jobs import Key

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
    """The weights behind a row's errors on a split, each once, with their `evaluations`.

    Weights and evaluations have the `record` and `command` of their `job`. seeds: of the run; jobs
    of the first are in no folder of their own. rule: of evaluations.
    """
    found: dict[tuple, dict] = {}
    for evaluation in row["evaluations"]:
        if evaluation["split"] != split:
            continue
        model, seed = evaluation["model"], evaluation["seed"]
        folder = _folder(seed, seeds)
        if (model, seed) not in found:
            made_by = "import_weights" if evaluation["imported"] else "train_convnet"
            weights = {key: evaluation[key] for key in OF_WEIGHTS}
            weights |= job(records, made_by, f"{folder}{model}")
            found[model, seed] = weights | {"evaluations": []}
        name = f"{folder}{split}_{model}_{evaluation['method']}_Q{evaluation['Q']}"
        done = job(records, rule, name)
        found[model, seed]["evaluations"].append(evaluation | done)
    return list(found.values())


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
