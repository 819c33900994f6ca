"""The workflow's commands: python -m workflow_scripts.<command> --help explains one."""

from __future__ import annotations

import argparse
import ast
import difflib
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

GROUPS = {
    "Trained nets": ("classify", "describe_images", "import_weights", "export_weights"),
    "Runs and machines": ("plan", "status", "summarise_run", "benchmark", "measure_gpu"),
    "Steps of a run: images": (
        "make_miniature",
        "make_other_sets",
        "verify_archive",
        "list_classes",
        "unpack_parquet",
        "index_images",
        "index_examples",
        "read_boxes",
        "pack_shards",
        "report_packing",
        "measure_statistics",
    ),
    "Steps of a run: nets": ("train", "draw_weights", "evaluate"),
    "Steps of a run: localisation": (
        "evaluate_boxes",
        "tune_threshold",
        "localise",
        "guess_one_box",
    ),
    "Steps of a run: features for other data sets": ("draw_splits", "train_classifiers"),
    "Steps of a run: results": (
        "describe_convnets",
        "tabulate",
        "list_evaluations",
        "judge_claims",
        "compare_choices",
        "write_submission",
        "write_server_file",
    ),
    "Steps of a run: report": (
        "draw_figures",
        "draw_filters",
        "look_through_net",
        "examine_errors",
        "examine_boxes",
        "examine_features",
        "render_table",
        "render_pictures",
        "render_choices",
        "render_benchmarks",
        "render_claims",
        "render_index",
    ),
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m workflow_scripts",
        description=__doc__,
        epilog=listed(shutil.get_terminal_size((100, 24)).columns),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", nargs="?", help="show the help of this one")
    name = parser.parse_args(arguments).command
    names = [name for group in GROUPS.values() for name in group]
    if name is None:
        parser.print_help()
    elif name in names:
        words = [sys.executable, "-m", f"workflow_scripts.{name}", "--help"]
        os.execv(sys.executable, words)
    else:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]}?" if close else "without a word all are listed"
        parser.error(f"there is no command {name}; {hint}")


def listed(width: int) -> str:
    """The groups of commands, each with what it does, in lines of `width` characters at most."""
    blocks = []
    for title, names in GROUPS.items():
        lines = [
            textwrap.fill(
                f"{name:20}{first_sentence(name)}",
                width,
                initial_indent=" " * 2,
                subsequent_indent=" " * 22,
                break_on_hyphens=False,
            )
            for name in names
        ]
        blocks.append("\n".join([f"{title}:", *lines]))
    return "\n\n".join(blocks)


def first_sentence(name: str) -> str:
    """What a command does, by its docstring; it is not imported, which would take seconds."""
    source = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    words = " ".join((ast.get_docstring(ast.parse(source)) or "").split())
    return re.split(r"(?<=[.?!])\s", words, maxsplit=1)[0]


if __name__ == "__main__":
    main()
