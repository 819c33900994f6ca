"""Errors about one entry of the files that a configuration names: models, tables and claims."""

from __future__ import annotations

from collections.abc import Mapping

from ..core.files import InputError


class EntryError(InputError):
    """An entry does not fit the others; `naming_files` adds the file and the line where it stands.

    section: "convnets", "models", "tables" or "claims", or a key of the configuration. entry: its
    name, a claim's number, a row's name or submission, or the row that a claim names. lacks: the
    section in whose files the text has looked in vain; they are named behind it. cure: follows.
    """

    def __init__(
        self, section: str, entry: str | int, text: str, lacks: str | None = None, cure: str = ""
    ):
        self.section, self.entry, self.text = section, entry, text
        self.lacks, self.cure = lacks, cure
        super().__init__(self.told({}))

    def told(self, named: Mapping[str, str]) -> str:
        """The message. named: how the files of each section are called; else as the shipped one."""
        files = f" {named.get(self.lacks, f'{self.lacks}.yaml')}" if self.lacks else ""
        return f"{self.section}: {self.text}{files}{self.cure}"
