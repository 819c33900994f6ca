"""The paper's claims, held against errors measured on the validation set, and against speed.

Errors are compared image by image, and the p values corrected by Holm's method over the whole
ledger. Speed is that of a run's trainings, by their number of processes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..core.files import InputError
from ..core.parquet import rows_of
from ..evaluation.posteriors import check_paired, outcomes
from ..localisation.scoring import Scoring
from ..settings.experiments import (
    SIDES,
    Measured,
    evaluations,
    find_row,
    has_models,
    has_same_descriptors,
    seeded_paths,
    side_evaluations,
)
from ..settings.localised_rows import Guessed, error_of
from ..settings.transferred_rows import Transferred, measure_of
from .feature_measures import Measures
from .ledger import Comparison
from .paper_tables import paper_rows
from .tables import paired_localisations
from .throughput import speed_verdict
from .uncertainty import (
    ALPHA,
    PairedDifference,
    error_verdict,
    holm,
    over_seeds,
    paired_difference,
)

Side = tuple[Measured, ...]


class Sides(NamedTuple):
    """A comparison's candidate and baseline, and the metric that features are compared by."""

    candidate: Side
    baseline: Side
    metric: str | None = None


def comparison_sides(comparison: dict, tables: dict) -> Sides:
    """What the two sides of a comparison of claims.yaml are measured by."""
    candidate, baseline = (tuple(side_evaluations(comparison[side], tables)) for side in SIDES)
    return Sides(candidate, baseline, comparison.get("metric"))


def side_name(side: str | list[dict], tables: dict) -> str:
    """The ledger's name of one side of a comparison: its row's labels, or its evaluations."""
    if not isinstance(side, str):
        return ", ".join(f"{e.model}, {e.method}, Q = {e.Q}" for e in evaluations(side))
    table = side.partition("/")[0].replace("table", "Table ")
    return f"{table}: {' / '.join(find_row(side, tables)['labels'])}"


def paper_error(
    side: str | list[dict], tables: dict, paper: dict, metric: str | None = None
) -> float | None:
    """The paper's error, or measure, of one side; None if no table of the paper has it."""
    if not isinstance(side, str):
        return None
    table = tables[side.partition("/")[0]]
    if "paper" not in table:
        return None
    row = find_row(side, tables)
    printed = paper_rows(paper[table["paper"]])[row["index"]][1].get(metric or metric_of(row))
    return printed["value"] if isinstance(printed, dict) else printed


def metric_of(row: dict) -> str:
    """The error by which a row is compared: top-1, or its own of localisation, on val."""
    return f"{'top1' if 'evaluations' in row else error_of(row)}_val"


@dataclass(frozen=True)
class ComparedPair:
    """Two sides, measured: their difference, both errors in percent, and the number of images."""

    difference: PairedDifference
    errors: tuple[float, ...]
    images: int


def compare_sides(candidate: np.ndarray, baseline: np.ndarray, seed: int) -> ComparedPair:
    """Compare two sides' outcomes, bool [seeds, images]; `seed` is the bootstrap's."""
    errors = tuple(100 * int(side.sum()) / side.size for side in (candidate, baseline))
    difference = paired_difference(candidate, baseline, seed)
    return ComparedPair(difference, errors, candidate.shape[1])


def check_images(paths: Sequence[str]) -> None:
    """Raise InputError unless all posterior files hold equally many images."""
    counts = {path: rows_of(path) for path in paths}
    for path, count in counts.items():
        if count != (expected := counts[paths[0]]):
            raise InputError(
                f"{path} holds {count} images, but {paths[0]} holds {expected}; "
                "delete the one that is out of date and evaluate its model again"
            )


def holm_by_pair(found: Mapping[Sides, ComparedPair]) -> dict[frozenset, float]:
    """Holm's p value of each pair of sides; one that several claims compare is one test."""
    p_values = {pair(sides): compared.difference.p for sides, compared in found.items()}
    return dict(zip(p_values, holm(list(p_values.values())), strict=True))


def pair(sides: Sides) -> frozenset:
    """The same for two sides whichever is the candidate, and however their entries are ordered."""
    of_sides = frozenset(tuple(sorted(side, key=str)) for side in sides[:2])
    return frozenset((of_sides, sides.metric)) if sides.metric else of_sides


def family(sides: Sides) -> str:
    """What two sides are about. Each has a family of tests of its own, so that claims about
    classification are judged the same with localisation and features, and without; so have the
    comparisons that only a user's own claims make.
    """
    kind = type(sides.candidate[0])
    return {Guessed: "localisation", Transferred: "features"}.get(kind, "classification")


def claim_verdict(verdicts: list[str]) -> str:
    """A claim's verdict: refuted if any part of it is, reproduced if all are.

    One of which only a part was measured is at best inconclusive.
    """
    if set(verdicts) <= {"unmeasured"}:
        return "unmeasured"
    if "not reproduced" in verdicts:
        return "not reproduced"
    return "reproduced" if set(verdicts) == {"reproduced"} else "inconclusive"


def judge(
    comparison: dict,
    tables: dict,
    paper: dict,
    found: Mapping[Sides, ComparedPair],
    p_holm: Mapping[frozenset, float],
) -> Comparison:
    """A comparison of claims.yaml as the ledger has it."""
    sides = comparison_sides(comparison, tables)
    metric = comparison.get("metric")
    ours, theirs = (paper_error(comparison[side], tables, paper, metric) for side in SIDES)
    expect, margin = comparison["expect"], comparison.get("margin")
    measured = {}
    if sides in found:
        compared, p = found[sides], p_holm[pair(sides)]
        candidate_error, baseline_error = compared.errors
        measured = asdict(compared.difference) | {
            "candidate_error": candidate_error,
            "baseline_error": baseline_error,
            "p_holm": p,
            "images": compared.images,
            "verdict": error_verdict(expect, compared.difference, p, margin),
        }
    return Comparison(
        candidate=side_name(comparison["candidate"], tables),
        baseline=side_name(comparison["baseline"], tables),
        expect=expect,
        margin=margin,
        metric=metric
        or metric_of(
            find_row(side, tables)
            if isinstance(side := comparison["candidate"], str)
            else {"evaluations": side}
        ),
        paper_difference=None if ours is None or theirs is None else ours - theirs,
        **measured,
    )


def judge_speed(expected: dict | None, speeds: Sequence[dict]) -> tuple[dict | None, list[str]]:
    """The ledger's entry of a claim about speed, and its verdict in a list; nothing of another."""
    if expected is None:
        return None, []
    shown = {
        "expected_processes": expected["processes"],
        "expected_speedup": expected["speedup"],
        "margin": expected["margin"],
        "measured": list(speeds),
    }
    return shown, [speed_verdict(speeds, **expected)]


def wrong_images(
    compared: Sequence[Sides],
    results: str,
    seeds: Sequence[int],
    imported: Collection[str],
    scoring: Scoring,
) -> dict[Side, np.ndarray]:
    """Which images each side has wrong, bool [seeds, images]; the posteriors are read once.

    Raises InputError unless all posteriors are of the same images, and all guesses.
    """
    guesses = [sides for sides in compared if family(sides) == "localisation"]
    read = paired_localisations(results, scoring)
    localised = {}
    for side in {side for sides in guesses for side in sides[:2]}:
        files = seeded_paths(side, results, "val", seeds=seeds, imported=imported)
        localised[side] = np.stack([read(tuple(own)).wrong for own in files])
    compared = [sides for sides in compared if sides not in guesses]
    paths = {
        side: seeded_paths(side, results, "val", seeds=seeds, imported=imported)
        for sides in compared
        for side in sides[:2]
    }
    if paths:
        check_images([path for of_seeds in paths.values() for own in of_seeds for path in own])
    measured = {side: [outcomes(own) for own in of_seeds] for side, of_seeds in paths.items()}
    check_paired(
        {
            own[0]: found
            for side, of_seeds in paths.items()
            for own, found in zip(of_seeds, measured[side], strict=True)
        }
    )
    of_classes = {side: np.stack([own.top1 for own in found]) for side, found in measured.items()}
    return of_classes | localised


def compare_features(
    sides: Sides,
    results: str,
    seeds: Sequence[int],
    imported: Collection[str],
    measures: Measures,
) -> ComparedPair:
    """Compare two sides' classifiers of features by a metric, higher is better.

    Raises InputError if their scores are not of the data set's examples.
    """
    assert sides.metric is not None
    measure, data_set = measures.of(sides.metric), measure_of(sides.metric)[1]
    candidate, baseline = (
        [
            measures.read(path, measure.examples)
            for (path,) in seeded_paths(side, results, data_set, seeds=seeds, imported=imported)
        ]
        for side in sides[:2]
    )
    found = measure.difference(candidate, baseline)
    values = tuple(measure.interval(side).value for side in (candidate, baseline))
    per_seed = np.array(found.per_seed)
    seed_sd, seed_low, seed_high = over_seeds(per_seed)
    difference = PairedDifference(
        found.difference, found.low, found.high, found.p, len(per_seed), found.per_seed,
        seed_sd=seed_sd, seed_low=seed_low, seed_high=seed_high,
    )  # fmt: skip
    return ComparedPair(difference, values, measure.count(candidate[0]))


def measured_sides(
    claims: Sequence[dict],
    tables: dict,
    models: Collection[str] | None,
    measures: Measures,
) -> list[Sides]:
    """The sides of all comparisons that a run measures; models: that it has, None for all."""
    found = []
    for comparison in (each for claim in claims for each in claim["comparisons"]):
        sides = comparison_sides(comparison, tables)
        if not has_models([*sides.candidate, *sides.baseline], models):
            continue
        if sides.metric is not None:
            if not measures.has(sides.metric):
                continue
            if has_same_descriptors(comparison, tables, measures.data_sets):
                continue
        found.append(sides)
    return found


def judged_ledger(
    claims: Sequence[dict],
    tables: dict,
    paper: dict,
    *,
    results: str,
    seeds: Sequence[int],
    imported: Collection[str],
    models: Collection[str] | None,
    speeds: Sequence[dict],
    bootstrap_seed: int,
    scoring: Scoring | None = None,
    data_sets: Mapping[str, dict] | None = None,
) -> dict:
    """The ledger of all claims of claims.yaml, and of a user's own, as `read_claims` has them.

    models: that the run has, None for all; comparisons of others stay unmeasured. speeds: as
    throughput.speedups gives them. scoring: of localisation. data_sets: the run's others, as
    `Measures` has them.
    """
    measures = Measures(results, data_sets or {}, bootstrap_seed)
    compared = dict.fromkeys(measured_sides(claims, tables, models, measures))
    errors = [sides for sides in compared if family(sides) != "features"]
    wrong = wrong_images(errors, results, seeds, imported, scoring or Scoring())
    found = {
        sides: compare_sides(wrong[sides.candidate], wrong[sides.baseline], bootstrap_seed)
        if sides in errors
        else compare_features(sides, results, seeds, imported, measures)
        for sides in compared
    }
    of_paper = [claim for claim in claims if not claim.get("own")]
    papers = {pair(s) for s in measured_sides(of_paper, tables, models, measures)}
    families: dict[str, dict[frozenset, float]] = {
        name: holm_by_pair(
            {
                sides: compared_pair
                for sides, compared_pair in found.items()
                if name == (family(sides) if pair(sides) in papers else "own")
            }
        )
        for name in ("classification", "localisation", "features", "own")
    }
    p_holm = {own: p for of_family in families.values() for own, p in of_family.items()}
    judged = []
    for claim in claims:
        comparisons = [
            asdict(judge(each, tables, paper, found=found, p_holm=p_holm))
            for each in claim["comparisons"]
        ]
        speed, verdicts = judge_speed(claim.get("throughput"), speeds)
        judged.append(
            {
                "number": claim["number"],
                "section": claim.get("section", ""),
                "claim": claim["claim"],
                "short": claim.get("short", claim["claim"]),
                "note": claim.get("note", ""),
                "comparisons": comparisons,
                "throughput": speed,
                "verdict": claim_verdict([each["verdict"] for each in comparisons] + verdicts),
            }
        )
    return {
        "experiment": Path(results).name,
        "seeds": seeds,
        "alpha": ALPHA,
        "family": len(families["classification"]),
        "family_of_localisation": len(families["localisation"]),
        "family_of_features": len(families["features"]),
        "family_of_own": len(families["own"]),
        "claims": judged,
    }
