"""Hold the paper's claims against what was measured, and against speed.

Errors on the validation set are compared image by image, features on other data sets on resampled
images; the p values are corrected by Holm's method. Speed is that of this run's trainings, by their
number of processes.

Example:

    python -m workflow_scripts.judge_claims --results results/miniature --output mine
"""

from __future__ import annotations

from collections.abc import Sequence

from workflow_scripts.vgg.core import command
from workflow_scripts.vgg.core.declarations import add_options, from_options
from workflow_scripts.vgg.localisation.scoring import Scoring
from workflow_scripts.vgg.results import throughput
from workflow_scripts.vgg.results.claims import judged_ledger
from workflow_scripts.vgg.results.feature_measures import data_sets_of
from workflow_scripts.vgg.results.ledger import write_ledger
from workflow_scripts.vgg.settings.experiments import read_claims, read_tables, read_yaml


def main(arguments: Sequence[str] | None = None) -> None:
    parser = command.parser(__doc__)
    parser.add_argument("--claims", nargs="+", default=["config/claims.yaml"], help="YAML files")
    parser.add_argument("--tables", nargs="+", default=["config/tables.yaml"], help="YAML files")
    parser.add_argument("--paper", default="config/paper_tables.yaml", help="the paper's numbers")
    parser.add_argument("--results", required=True, help="the experiment's results folder")
    parser.add_argument(
        "--models", nargs="*", help="that the run has; comparisons of others stay unmeasured"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="of the trainings")
    parser.add_argument(
        "--imported", nargs="*", default=[], help="models whose weights are files, without seeds"
    )
    parser.add_argument(
        "--trainings", nargs="*", default=[], help="models that this run trained, to compare speeds"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    parser.add_argument(
        "--data-sets", type=data_sets_of, default={}, metavar="JSON", help="that features are for"
    )
    add_options(parser, Scoring)
    parser.add_argument(
        "--output", required=True, help="path without suffix: .csv, .json, _throughput.csv"
    )
    given = parser.parse_args(arguments)
    tables, paper = read_tables(given.tables), read_yaml(given.paper)
    claims = read_claims(given.claims)
    speeds = []
    if any("throughput" in claim for claim in claims):
        trials = throughput.read_trials(given.results, given.trainings, given.seeds)
        speeds = throughput.speedups(trials, given.seed)
    ledger = judged_ledger(
        claims,
        tables,
        paper,
        results=given.results,
        seeds=given.seeds,
        imported=given.imported,
        models=given.models,
        speeds=speeds,
        bootstrap_seed=given.seed,
        scoring=from_options(Scoring, given),
        data_sets=given.data_sets,
    )
    write_ledger(given.output, ledger)


if __name__ == "__main__":
    command.run(main)
