"""What every command of the pipeline does around its work: parse, log, fail with grace."""

from __future__ import annotations

import argparse
import atexit
import gc
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from . import costs
from .files import InputError

_cost_records: list[str] = []  # paths that `--cost` gave


class _CostOption(argparse.Action):
    """Keeps its path aside: no result and no fingerprint of the options may depend on it."""

    def __call__(self, parser, namespace, path, option=None):
        _cost_records[:] = [path]


def parser(description: str) -> argparse.ArgumentParser:
    """An argument parser whose `--help` shows the defaults, with the options of all commands."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    made.add_argument(
        "--cost",
        action=_CostOption,
        default=argparse.SUPPRESS,
        metavar="FILE",
        help="where to record what the job cost once it has succeeded (JSON)",
    )
    return made


def run(main: Callable[[Sequence[str] | None], None]) -> None:
    """Run `main` and end the process; bad input and a full disk give one clear line and status 1.

    If `main` succeeds, what it cost is recorded in the file that `--cost` names.
    """
    gc.freeze()  # what the imports have made stays
    gc.enable()
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    costs.started()
    try:
        main(None)
        for path in _cost_records:
            costs.write_record(path)
    except InputError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(f"error: {where}{error.strerror or error}")
    except MemoryError as error:
        sys.exit(f"error: {str(error) or 'no memory is left; give the job more'}")
    except KeyboardInterrupt:
        sys.exit(130)
    _end()


def _end() -> NoReturn:
    """Exit with status 0, but leave torch's modules to the system: Python needs 0.1 s to undo them.

    Threads that are not daemons are not waited for; commands leave none.
    """
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def available_cpus() -> int:
    """Number of CPUs that this process may use (respects taskset, cgroups' cpusets, Slurm)."""
    return len(os.sched_getaffinity(0))
