"""How the files of a source are read, found out once of all of them together, so that every statement reads them alike."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from sqlflow.core.schema import Column


class Form(Struct, frozen=True):
    """What was found out of one file: its columns, as they are spelled there, with the types that the engine takes the
    values for; and how a CSV file is written.

    `empty`: columns without a value, whose type says nothing. `wrong`: why the file cannot be read; `hint`: what to do.
    """

    columns: tuple[Column, ...] = ()
    empty: frozenset[str] = frozenset()
    delimiter: str = ""
    quote: str = ""
    escape: str = ""
    date_format: str = ""
    timestamp_format: str = ""
    wrong: str = ""
    hint: str = ""


class Field(Struct, frozen=True):
    """A column of a source as some files have it. `spelled`: its name there, None where it is NULL. `format`: of dates and
    times, where they are not written year first. `folder`: it is the value after `name=` in the path. `stored`: its type in
    the files, where they say it themselves: one call reads only files that are alike."""

    name: str
    type: str
    spelled: str | None
    format: str = ""
    folder: bool = False
    stored: str = ""


class Part(Struct, frozen=True):
    """Files that one call reads: paths relative to the project's folder, and the arguments of the call after the paths."""

    files: tuple[str, ...]
    function: str
    arguments: str
    fields: tuple[Field, ...]

    @property
    def shape(self) -> str:
        """What decides the rows of each file, besides its content."""
        fields = [f"{f.name}\x1e{f.type}\x1e{f.spelled}\x1e{f.format}\x1e{f.folder}\x1e{f.stored}" for f in self.fields]
        return "\x1f".join((self.function, self.arguments, *fields))


class Reading(Struct, frozen=True):
    """How all files of a source are read. `notes`: what somebody should know of it."""

    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()

    @property
    def shapes(self) -> Mapping[str, str]:
        return {file: part.shape for part in self.parts for file in part.files}
