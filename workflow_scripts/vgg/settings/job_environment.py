"""The environment variables of jobs: they run on Snakemake's own Python and find the commands."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from ..core.files import InputError

OWN = ("snakemake", "torch")  # a Python that has both needs no others' packages


def job_environment(
    environment: Mapping[str, str], python: str | Path, packages: str | Path, workflow: str | Path
) -> dict[str, str]:
    """The environment of jobs, made of Snakemake's own.

    python: that Snakemake runs on. packages: the folder of that Python's own. workflow: the folder
    of the Snakefile. Whatever a site or a user says to Python is for other programs; only where the
    packages are not in their own folder, it may lead to them.
    """
    jobs = dict(environment)
    if all(Path(packages, name).is_dir() for name in OWN):
        jobs = {name: value for name, value in jobs.items() if not name.startswith("PYTHON")}
        jobs["PYTHONNOUSERSITE"] = "1"
    for name, first in (("PATH", Path(python).parent), ("PYTHONPATH", workflow)):
        jobs[name] = os.pathsep.join(filter(None, [str(first), jobs.get(name)]))
    jobs["PYTHONUTF8"] = "1"
    return jobs


def check_python(environment: Mapping[str, str], python: str | Path) -> None:
    """Raise InputError if a shell's `python` is another than Snakemake's."""
    found = subprocess.run(
        ["bash", "-c", "command -v python"], env=environment, capture_output=True, text=True
    ).stdout
    if Path(found).parent != Path(python).parent:
        raise InputError(
            f"python is {found.strip() if os.sep in found else 'no file'} to jobs, but Snakemake "
            f"runs on {python}; install it in a virtual environment, as README.md says, and let no "
            "function, alias or BASH_ENV come before its python"
        )
