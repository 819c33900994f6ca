"""The images of some classes only, in a split of which a list tells every image's class.

Where the name of a folder or a tar tells the class, `folders` and `archives` pass over the others
themselves, and `huggingface` reads the rows of classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from operator import attrgetter

import numpy as np
import pandas as pd

from ...core.files import InputError
from .indexing import check_names, is_solution, labels_in_order, solution_of
from .members import Member


def members_of_classes(
    members: Iterable[Member], classes: pd.DataFrame, ground_truth: str, where: str, of: int
) -> list[Member]:
    """The images of the classes, as they lie one after the other, each with its wnid.

    members: all images of the split; their contents are not read. ground_truth: its list of
    ILSVRC2012_IDs, the kit that holds it, or Kaggle's solution, for all classes, of which there
    are `of`. where: what an error calls the images' source.
    Raises InputError if the ground truth is not that of these images, an image is missing, or
    names repeat.
    """
    found = list(members)
    if all(member.wnid is not None for member in found):  # so that nobody asks the list
        return found
    named = pd.DataFrame([(m.id, m.file) for m in found], columns=["id", "file"])
    check_names(named, where)
    ids = named["id"]
    if is_solution(ground_truth):
        wnids = _by_solution(ids, classes, ground_truth, where)
    else:
        labels = labels_in_order(ids, classes, ground_truth, of)
        wnids = classes.sort_values("label")["wnid"].to_numpy(object)[labels]
        wnids[labels < 0] = None
    chosen = [
        replace(member, wnid=wnid)
        for member, wnid in zip(found, wnids, strict=True)
        if wnid is not None
    ]
    return sorted(chosen, key=attrgetter("file", "offset"))


def _by_solution(ids: pd.Series, classes: pd.DataFrame, path: str, where: str) -> np.ndarray:
    """The WNIDs of images by Kaggle's solution, object [images], None of other classes."""
    solution = solution_of(ids, path)
    own = solution[solution.isin(classes["wnid"])]
    if missing := sorted(set(own.index) - set(ids)):
        named = ", ".join(missing[:5])
        raise InputError(
            f"{where}: holds {len(own) - len(missing)} of the {len(own)} images of these classes; "
            f"missing: {named}{', …' if missing[5:] else ''}; is it complete?"
        )
    wnids = ids.map(own).to_numpy(object)
    wnids[pd.isna(wnids)] = None
    return wnids
