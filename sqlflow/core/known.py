"""What was found out before, in the form that the compile cache keeps. No parser is needed to read it back."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from sqlflow.core.clock import Moving, Written
from sqlflow.core.compiled import CompiledModel, Lineage, TimeMapping
from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.engine import BindError, ReadTable
from sqlflow.core.graph import ModelGraph
from sqlflow.core.later import Later
from sqlflow.core.names import TableName
from sqlflow.core.schema import Schema


class Parsed(Struct, frozen=True):
    """Facts about one query's text.

    `clock`: what in it may be something else in another build, by the words alone. `bounds`: offsets of `$start` and
    `$end`. `forbidden`: a statement inside the query that is not a query. `meaning`, `spelling`: as in `Fingerprint`. `opaque`: SQLFlow's own parser cannot read it although the
    engine can. `error`: it is no SQL at all.
    """

    tables: tuple[ReadTable, ...] = ()
    clock: tuple[Moving, ...] = ()
    bounds: tuple[tuple[int, int, str], ...] = ()
    meaning: str = ""
    spelling: str = ""
    forbidden: str = ""
    opaque: bool = False
    error: BindError | None = None


class TableTimes(Struct, frozen=True):
    """`TimeMapping` of one table."""

    table: TableName
    mapping: TimeMapping


class TableReads(Struct, frozen=True):
    """The columns that are read of one table, in lower case."""

    table: TableName
    columns: tuple[str, ...]


class Facts(Struct, frozen=True):
    """What is known of a compiled query. `columns`, `rows`: the hashes for `Fingerprint`; `settings`: those that
    decide its rows, with their values. `spelled`: the case of a name in it may be seen in its rows. `moving`: what its rows
    depend on, and may be something else in another build; `written`: what only fills columns."""

    schema: Schema
    lineage: Lineage = field(default_factory=Lineage)
    reads: tuple[TableReads, ...] = ()
    times: tuple[TableTimes, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    rows: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    spelled: bool = True
    moving: tuple[Moving, ...] = ()
    written: Written = field(default_factory=dict)


class KnownModel(Struct, frozen=True):
    """A model as it was compiled the last time, and hashes of all that must be the same for it to be so again.

    `digest`: of the text of its file. `linked`: what it contributes to the graph.
    `columns`: of its columns. `key`: of all that decides what its query gives, besides its text. `said`: warnings about what is
    in its file, `told`: about what was compiled of it.
    """

    digest: str
    parsed: Later[Parsed]
    linked: str
    columns: str
    key: str
    compiled: CompiledModel
    said: tuple[Diagnostic, ...] = ()
    told: tuple[Diagnostic, ...] = ()


class MacroFile(Struct, frozen=True):
    """`names`: in lower case, of the macros that it defines; None where that cannot be told from its text."""

    digest: str
    names: tuple[str, ...] | None


class Settings(Struct, frozen=True):
    """What decides how a file is read besides its text. `rest`: hash of all but variables and macros."""

    rest: str
    variables: Mapping[str, str]
    macros: Mapping[str, MacroFile]


class KnownProject(Struct, frozen=True):
    """A whole project as it was compiled the last time, without an error.

    `settings`: what decided how its files were read. `models`: by the path of the file. `disabled`: path ->
    digest, of files that are switched off. `linked`: hash of what decides the graph.
    """

    settings: Settings
    models: Mapping[str, KnownModel]
    disabled: Mapping[str, str]
    linked: str
    graph: ModelGraph
