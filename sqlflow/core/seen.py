"""What is remembered of what was read: enough to tell whether it still is the same, and where to go on.

The record of an input has what was seen of it; the record of who reads it says which version that was.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from sqlflow.core.sql import Sql


class FileSeen(Struct, frozen=True):
    """One file: path relative to the project, size in bytes, time of change in ns, hash of the content, and of how it is
    read."""

    path: str
    size: int
    mtime: int
    digest: str
    shape: str = ""


class Files(Struct, frozen=True, tag_field="by", tag="files"):
    """The files of a source."""

    files: tuple[FileSeen, ...] = ()


class Contents(Struct, frozen=True, tag_field="by", tag="contents"):
    """The names and contents of files, as one hash: all that decides which rows they have."""

    digest: str


class Rows(Struct, frozen=True, tag_field="by", tag="rows"):
    """All rows of a table, or those of a query up to a boundary: their number, and the sum of their hashes."""

    rows: int
    digest: str | None = None  # None: of no rows

    @classmethod
    def of_row(cls, row: Sequence[object]) -> Rows:
        rows, digest = row
        return cls(_number(rows), _text(digest))


class ByCursor(Struct, frozen=True, tag_field="by", tag="cursor"):
    """A table whose cursor grows whenever a row is new or changed."""

    rows: int
    latest: str | None = None  # the greatest cursor
    digest: str | None = None  # the sum of the hashes of the cursors
    silent: str | None = None  # the sum of the hashes of the rows that have no cursor; None: there are none

    @classmethod
    def of_row(cls, row: Sequence[object]) -> ByCursor:
        rows, latest, digest, silent = row
        return cls(_number(rows), _text(latest), _text(digest), _text(silent))


class Appended(Struct, frozen=True, tag_field="by", tag="appended"):
    """A table to which rows are only ever appended, in the order of a cursor."""

    rows: int
    latest: str | None = None
    earlier: int = 0  # rows below the greatest cursor
    ties: int = 0  # those that have it
    silent: int = 0  # those that have none

    @classmethod
    def of_row(cls, row: Sequence[object]) -> Appended:
        rows, latest, earlier, ties, silent = row
        return cls(_number(rows), _text(latest), _number(earlier), _number(ties), _number(silent))


class Stamp(Struct, frozen=True, tag_field="by", tag="stamp"):
    """What changes of a database or of files when they are written."""

    text: str


class Unknown(Struct, frozen=True, tag_field="by", tag="unknown"):
    """It could not be looked at, or changed while it was."""


Seen = Files | Contents | Rows | ByCursor | Appended | Stamp | Unknown


class Content(Struct, frozen=True):
    """What tells the content of an input from any other. `made_of`: a hash of what its rows depend on besides themselves."""

    made_of: str
    seen: Seen | None


class Read(Struct, frozen=True, omit_defaults=True):
    """What a table has read of an input: a version of it, or something that came after that and was no version: `instead`,
    if it is known what; `torn`, if some of it was read before something changed, and some afterwards."""

    version: int
    instead: Content | None = None
    torn: bool = False

    @property
    def is_version(self) -> bool:
        return self.instead is None and not self.torn

    def is_as(self, version: int, content: Content | None) -> bool:
        """Whether that was this version, or has its content."""
        return self == Read(version) or (content is not None and self.instead == content)


class Question(Struct, frozen=True):
    """A query of one row that tells what is to be seen of a table."""

    sql: Sql
    kind: type[Rows] | type[ByCursor] | type[Appended]

    def answer(self, row: Sequence[object]) -> Seen:
        return self.kind.of_row(row)


def rows_of(seen: Seen | None) -> int | None:
    """How many rows there were, where that was counted."""
    return seen.rows if isinstance(seen, Rows | ByCursor | Appended) else None


def latest_of(seen: Seen | None) -> str | None:
    """The greatest cursor that was there."""
    return seen.latest if isinstance(seen, ByCursor | Appended) else None


def some_without_cursor(seen: Seen | None) -> bool:
    """Whether there were rows that have no cursor."""
    match seen:
        case ByCursor():
            return seen.silent is not None
        case Appended():
            return seen.silent > 0
        case _:
            return False


def _number(value: object) -> int:
    return int(str(value))


def _text(value: object) -> str | None:
    return None if value is None else str(value)
