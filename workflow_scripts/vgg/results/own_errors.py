"""Errors of one model alone: of single evaluations, and of those means of them that tables have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.files import InputError
from ..core.parquet import read_metadata
from ..evaluation.posteriors import check_place, outcomes
from ..settings.experiments import Evaluation, evaluations, is_measured
from .cells import ErrorCell, measured_cell
from .paper_tables import paper_rows

METHODS = {"multicrop": "multi-crop", "dense": "dense", "center": "central crop"}  # as in Table 5
Published = dict[str, float | None]  # errors by metric, such as top1_val


@dataclass(frozen=True)
class OwnError:
    """The errors in percent of the mean of a model's evaluations on a split; of one, its own."""

    split: str
    evaluations: tuple[Evaluation, ...]
    top1: ErrorCell
    top5: ErrorCell

    @property
    def method(self) -> str:
        """Such as "multi-crop & dense"."""
        own = {evaluation.method for evaluation in self.evaluations}
        return " & ".join(words for method, words in METHODS.items() if method in own)

    @property
    def Q(self) -> str:
        """The test scales, such as "256, 384, 512"; of each method where they differ."""
        by_method = {
            method: ", ".join(str(own.Q) for own in self.evaluations if own.method == method)
            for method in METHODS
        }
        return "; ".join(dict.fromkeys(filter(None, by_method.values())))


def own_errors(
    paths: Sequence[str | Path], weights_sha256: str, tables: Mapping[str, dict], paper: Mapping
) -> list[OwnError]:
    """The errors of files of posteriors of one model, single and as rows of tables average them.

    weights_sha256: of the weights that all must be of. tables: contents of tables.yaml, with the
    errors that others published. paper: content of paper_tables.yaml.
    Raises InputError if a file is of other weights, is not in posteriors/<split>/<model>/, or has
    an image without label.
    """
    files: dict[str, dict[Evaluation, str]] = {}
    for path in paths:
        evaluation = _evaluation_of(path, weights_sha256)
        split = Path(path).parts[-3]
        files.setdefault(split, {})[evaluation] = str(path)
    found = []
    for split, by_evaluation in sorted(files.items(), key=lambda item: item[0] != "val"):
        order = sorted(by_evaluation, key=lambda own: (list(METHODS).index(own.method), own.Q))
        published: dict[tuple[Evaluation, ...], Published] = {(own,): {} for own in order}
        for own, errors in _published(tables, paper).items():
            if by_evaluation.keys() >= set(own):
                published[own] = errors
        for own, errors in published.items():
            wrong = outcomes([by_evaluation[evaluation] for evaluation in own])
            found.append(
                OwnError(
                    split,
                    own,
                    top1=measured_cell(wrong.top1[None], errors.get(f"top1_{split}")),
                    top5=measured_cell(wrong.top5[None], errors.get(f"top5_{split}")),
                )
            )
    return found


def _evaluation_of(path: str | Path, weights_sha256: str) -> Evaluation:
    """The evaluation whose posteriors a file holds."""
    metadata = read_metadata(path)
    if metadata.get("weights_sha256") != weights_sha256:
        raise InputError(f"{path}: posteriors of other weights; evaluate these weights first")
    if "posteriors" not in Path(path).parts[-4:-3]:
        raise InputError(
            f"{path}: its split is not known; give a file in posteriors/<split>/<model>/"
        )
    check_place(path)
    return Evaluation(metadata["model"], metadata["method"], metadata["Q"])


def _published(
    tables: Mapping[str, dict], paper: Mapping
) -> dict[tuple[Evaluation, ...], Published]:
    """The errors that the paper, or another reference, gives for each row, by its evaluations.

    A row that has none is there, too. Of several rows of the same evaluations, the first that has
    an error counts.
    """
    found: dict[tuple[Evaluation, ...], Published] = {}
    for table in tables.values():
        if not is_measured(table):
            continue
        printed = paper_rows(paper[table["paper"]]) if "paper" in table else []
        for place, row in enumerate(table["rows"]):
            errors = row.get("reference") or (printed[place][1] if printed else {})
            own = tuple(sorted(evaluations(row["evaluations"]), key=lambda e: (e.method, e.Q)))
            known = found.setdefault(own, {})
            known |= {m: value for m, value in errors.items() if known.get(m) is None}
    return found
