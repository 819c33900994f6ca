"""What is called by hand, and by `.ci/run`, on whole runs: each is a program with `--help`."""

from __future__ import annotations

import argparse


def parser(documentation: str | None) -> argparse.ArgumentParser:
    """A program's parser, whose help is the module's documentation, line by line."""
    return argparse.ArgumentParser(
        description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter
    )
