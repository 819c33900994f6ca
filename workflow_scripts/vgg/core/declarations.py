"""Settings declared once, as the fields of a dataclass: from these a command has its options.

A new setting is a field, in the module that it is about, and nothing else in the code.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterable
from functools import partial
from typing import Any, TypeVar, get_args, get_type_hints

T = TypeVar("T")


def declared(
    default: Any = dataclasses.MISSING,
    help: str | None = None,
    *,
    values: Iterable[str] | None = None,
    choice: bool = False,
    least: float | None = None,
) -> Any:
    """A dataclass's field that is an option of a command too; required if it has no default.

    help: what `--help` says. values: the only ones that are accepted. choice: the field is one of
    the configuration's `choices`, readings of what the paper leaves open. least: the smallest
    number that is accepted.
    """
    metadata = {
        "help": help,
        "values": None if values is None else tuple(values),
        "choice": choice,
        "least": least,
    }
    return dataclasses.field(default=default, metadata=metadata)


def add_options(parser: argparse._ActionsContainer, declaration: type) -> None:
    """Give a parser, or a group of its options, an option for each field of a dataclass.

    A field `batch_size` becomes `--batch-size`; one of type bool a flag; a tuple takes several
    values.
    """
    types = get_type_hints(declaration)
    for field in dataclasses.fields(declaration):
        name = f"--{field.name.replace('_', '-')}"
        kind = (*get_args(types[field.name]), types[field.name])[0]  # of a tuple's, or if not None
        help = field.metadata.get("help") or "default: %(default)s"
        values, least = field.metadata.get("values"), field.metadata.get("least")
        if kind is bool:
            parser.add_argument(name, action="store_true", help=help)
            continue
        required = field.default is dataclasses.MISSING
        several = isinstance(field.default, tuple)
        parser.add_argument(
            name,
            type=kind if least is None else partial(_at_least, kind, least),
            nargs="+" if several else None,
            required=required,
            default=None if required else field.default,
            choices=values,
            help=help,
        )


def _at_least(kind: type, least: float, text: str) -> Any:
    """The number in an option's text. Raises an error of argparse for another or a lower one."""
    try:
        number = kind(text)
    except ValueError:
        number = None
    if number is None or not number >= least:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number, {least} or more")
    return number


def from_options(declaration: type[T], given: argparse.Namespace) -> T:
    """The dataclass with what the options of its fields were given."""
    names = names_of(declaration)
    return declaration(**{name: getattr(given, name) for name in names})


def names_of(*declarations: type) -> list[str]:
    """The names of all fields of some dataclasses."""
    return [field.name for declaration in declarations for field in dataclasses.fields(declaration)]


def choices_of(*declarations: type) -> dict[str, tuple[str, ...]]:
    """The values of each of the configuration's `choices` that some dataclasses declare."""
    return {
        field.name: field.metadata["values"]
        for declaration in declarations
        for field in dataclasses.fields(declaration)
        if field.metadata.get("choice")
    }
