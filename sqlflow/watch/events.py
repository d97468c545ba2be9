"""What a session tells while it watches. Drawn by `cli/screen.py`, as lines or as JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.events import Event as BuildEvent
from sqlflow.core.names import TableName
from sqlflow.core.plan import Plan
from sqlflow.core.records import RunRecord


@dataclass(frozen=True, slots=True)
class Watching:
    """The session begins, or the project file was read again. `sample`: what a scratch build leaves out, in words."""

    project: str
    root: str
    target: str
    build: bool
    sample: str = ""


@dataclass(frozen=True, slots=True)
class Changed:
    """Files changed. `files`: at most some; `count`: all, None when it cannot be told."""

    files: tuple[str, ...]
    count: int | None
    what: str = "files"  # or `data`, or `database`


@dataclass(frozen=True, slots=True)
class Problems:
    """The project was compiled. `recompiled`: None for all of it. `seconds`: from the first file event on."""

    diagnostics: tuple[Diagnostic, ...]
    models: int
    recompiled: tuple[TableName, ...] | None
    seconds: float
    sound: bool


@dataclass(frozen=True, slots=True)
class ReachedModel:
    """A model below an edit. `columns`: those that are made from the change; `rows`: it may decide which rows exist."""

    model: TableName
    columns: tuple[str, ...]
    rows: bool


@dataclass(frozen=True, slots=True)
class ColumnEdit:
    """A column (or the rows, when `column` is None) that an edit changed, and what is made from it.

    `kind`: added, removed, changed or type.
    """

    column: str | None
    kind: str
    detail: str = ""
    reached: tuple[ReachedModel, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelEdit:
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


@dataclass(frozen=True, slots=True)
class Impact:
    """The edits that are not built yet, the one at hand first. `count`: all; `edits`: some.
    `complete`: False when models that have not compiled in this session may be reached, too."""

    edits: tuple[ModelEdit, ...]
    count: int
    complete: bool = True


@dataclass(frozen=True, slots=True)
class Planned:
    """What a build would do now; `plan` is None when that cannot be told, for the reason in `why`."""

    plan: Plan | None
    why: str = ""
    problems: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True)
class Rows:
    """The first rows of the model that is being edited; `rows` is None when there are none to show, see `why`.

    `origin`: `query` (the query as it is now, on the tables as they stand) or `scratch` (the table just built).
    """

    model: TableName
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...] | None
    origin: str
    why: str = ""
    more: bool = False


@dataclass(frozen=True, slots=True)
class Building:
    """An event of a build into the scratch database."""

    event: BuildEvent


@dataclass(frozen=True, slots=True)
class Built:
    """A scratch build ended; `record` is None when it could not begin."""

    record: RunRecord | None
    database: str
    why: str = ""
    problems: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True)
class Noted:
    """Something a person should know."""

    message: str


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing is going on until a file changes."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The session ends."""


WatchEvent = Watching | Changed | Problems | Impact | Planned | Rows | Building | Built | Noted | Idle | Stopped
Tell = Callable[[WatchEvent], None]
