"""The frame of every command: its parser, its log, and errors as one clear line."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence

from . import costs
from .files import InputError
from .quick_start import resume_collection

_EXAMPLE = "Example:\n"  # begins the last paragraph of a command's docstring
_cost_records: list[str] = []  # paths that `--cost` gave


class _CostOption(argparse.Action):
    """Keeps its path aside: no result and no fingerprint of the options may depend on it."""

    def __call__(self, parser, namespace, path, option=None):
        _cost_records[:] = [path]


class _Formatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults, but for those that say nothing, and keeps the lines of an example."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith(_EXAMPLE) else super()._fill_text(text, width, indent)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.required or action.default in (None, False, []):
            return action.help
        return super()._get_help_string(action)


def parser(docstring: str) -> argparse.ArgumentParser:
    """An argument parser with the options of all commands, whose `--help` shows the defaults.

    docstring: the command's: what it does, and in a last paragraph, after `Example:`, a call of it.
    """
    description, marker, call = docstring.partition(_EXAMPLE)
    made = argparse.ArgumentParser(
        description=description,
        epilog=marker + call.strip("\n") if marker else None,
        formatter_class=_Formatter,
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
    """Run `main`; bad input and a full disk end the process with one clear line and status 1.

    If `main` succeeds, what it cost is recorded in the file that `--cost` names.
    """
    resume_collection()
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


def available_cpus() -> int:
    """Number of CPUs that this process may use (respects taskset, cgroups' cpusets, Slurm)."""
    return len(os.sched_getaffinity(0))
