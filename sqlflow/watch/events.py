"""What a session tells while it watches. Drawn by `cli/watch_screen.py`, as lines by `watch_text`, as JSON by `watch_json`."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.events import Event as BuildEvent
from sqlflow.core.names import TableName
from sqlflow.core.plan import Plan
from sqlflow.core.records import RunRecord


class Watching(Struct, frozen=True):
    """The session begins, or the project file was read again. `sample`: what a scratch build leaves out, in words."""

    project: str
    root: str
    target: str
    build: bool
    sample: str = ""


class Changed(Struct, frozen=True):
    """Files changed. `files`: at most some; `count`: all, None when it cannot be told."""

    files: tuple[str, ...]
    count: int | None
    what: str = "files"  # or `data`, or `database`


class Problems(Struct, frozen=True):
    """The project was compiled. `recompiled`: None for all of it. `seconds`: from the first file event on."""

    diagnostics: tuple[Diagnostic, ...]
    models: int
    recompiled: tuple[TableName, ...] | None
    seconds: float
    sound: bool


class ReachedModel(Struct, frozen=True):
    """A model below an edit. `columns`: those that are made from the change; `rows`: it may decide which rows exist."""

    model: TableName
    columns: tuple[str, ...]
    rows: bool


class ColumnEdit(Struct, frozen=True):
    """A column (or the rows, when `column` is None) that an edit changed, and what is made from it.

    `kind`: added, removed, changed or type.
    """

    column: str | None
    kind: str
    detail: str = ""
    reached: tuple[ReachedModel, ...] = ()


class ModelEdit(Struct, frozen=True):
    """A model that is not what its table was built from; if there is none, what it was when the session began.

    `exact`: what changed is known by column; else any column and the rows may have. `spared`: models below it that
    nothing of the edit reaches.
    """

    model: TableName
    kind: str  # new, removed, changed, written differently
    exact: bool
    columns: tuple[ColumnEdit, ...]
    reached: tuple[TableName, ...]
    spared: tuple[TableName, ...]


class Impact(Struct, frozen=True):
    """The edits that are not built yet, the one at hand first. `count`: all; `edits`: some.
    `complete`: False when models that have not compiled in this session may be reached, too."""

    edits: tuple[ModelEdit, ...]
    count: int
    complete: bool = True


class Planned(Struct, frozen=True):
    """What a build would do now; `plan` is None when that cannot be told, for the reason in `why`."""

    plan: Plan | None
    why: str = ""
    problems: tuple[Diagnostic, ...] = ()


class Rows(Struct, frozen=True):
    """The first rows of the model that is being edited; `rows` is None when there are none to show, see `why`.

    `origin`: `query` (the query as it is now, on the tables as they stand) or `scratch` (the table just built).
    """

    model: TableName
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...] | None
    origin: str
    why: str = ""
    more: bool = False


class Building(Struct, frozen=True):
    """An event of a build into the scratch database."""

    event: BuildEvent


class Built(Struct, frozen=True):
    """A scratch build ended; `record` is None when it could not begin."""

    record: RunRecord | None
    database: str
    why: str = ""
    problems: tuple[Diagnostic, ...] = ()


class Noted(Struct, frozen=True):
    """Something a person should know."""

    message: str


class Idle(Struct, frozen=True):
    """Nothing is going on until a file changes."""


class Stopped(Struct, frozen=True):
    """The session ends."""


WatchEvent = Watching | Changed | Problems | Impact | Planned | Rows | Building | Built | Noted | Idle | Stopped
Tell = Callable[[WatchEvent], None]
