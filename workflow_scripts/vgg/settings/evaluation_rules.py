"""Options of the rules in evaluate.smk."""

from __future__ import annotations

from .rule_options import options
from .run import Run


def evaluation_options(run: Run, **alternative) -> list[str]:
    """All that decides an evaluation's posteriors, as options; `alternative` replaces one."""
    configured = run.choices_deciding("evaluation") | run.config["evaluate"]
    return options(**configured | alternative)


def evaluation_threads(run: Run, method: str) -> int:
    """Cores that keep a GPU in work, one of them for the GPU itself.

    Pillow rescales 250 photographs a second and core to Q = 256; at 100 TFLOP/s net D takes 900 of
    them by dense evaluation, and A 1,900, but 65 by 50 crops.
    """
    return run.by_size(4 if method == "multicrop" else 16, 1)


def submitted_answers(run: Run, name: str) -> list[str]:
    """The posteriors, or guesses, of a file for the test server; of the first seed."""
    if name in run.box_submitted:
        return [run.box_submitted[name].path(run.results, "test")]
    return [evaluation.path(run.results, "test") for evaluation in run.submitted[name]]
