"""What a node of a query is, by its class or its name, and the clocks that move only once a day, month or year."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sqlglot import exp

from sqlflow.compiler.functions.known import functions_of, moving
from sqlflow.compiler.functions.now import TIMES
from sqlflow.core.clock import Moving, Nature
from sqlflow.core.intervals import Grain


def moving_of(node: exp.Expr, dialect: str) -> Moving | None:
    """What a call, a word or a cast is, itself and without what is in it; None when it is the same each time."""
    kind = type(node)
    if kind is exp.Anonymous:
        name = str(node.this).lower()
        if name == "age":  # of one time: until today; of two: between them
            return Moving("age", Nature.CLOCK, Grain.DAY) if len(node.expressions) < 2 else None
        return moving(name, dialect)
    name = _CLASSES.get(kind.__name__, "")
    if name:
        return moving("gen_random_uuid" if name == "uuid" and dialect == "postgres" else name, dialect)
    return Moving(node.key, Nature.CHANCE) if RESTLESS_CLASS.match(kind.__name__) else None


def table_function(node: exp.Expr, dialect: str) -> Moving | None:
    """What a function in FROM is."""
    call = node.this if isinstance(node, (exp.Table, exp.Lateral)) else node
    known = functions_of(dialect).tables
    if isinstance(call, (exp.Unnest, exp.GenerateSeries)):
        return None
    name = str(call.this).lower() if isinstance(call, exp.Anonymous) else _CLASSES.get(type(call).__name__, call.key)
    if known is None:
        return moving_of(call, dialect)
    return None if name in known else Moving(name, Nature.OUTSIDE)


_WHOLE: Mapping[str, Grain] = {str(grain): grain for grain in Grain}


def slowed(node: exp.Expr) -> tuple[exp.Expr, Grain] | None:
    """A clock that is cut to a unit, `date_trunc('hour', now())` or `now()::date`: the clock in it, and the unit.

    Only what changes exactly when the unit begins in the session's time zone.
    """
    if isinstance(node, (exp.DateTrunc, exp.TimestampTrunc)) or (
        isinstance(node, exp.Anonymous) and str(node.this).lower() in ("date_trunc", "datetrunc")
    ):
        if node.args.get("zone") is not None or (isinstance(node, exp.Anonymous) and len(node.expressions) != 2):
            return None
        first, value = node.expressions if isinstance(node, exp.Anonymous) else (node.args.get("unit"), node.this)
        grain = _WHOLE.get(first.name.lower()) if isinstance(first, exp.Expr) else None
        leaf = _leaf(value)
        return (leaf, grain) if grain is not None and leaf is not None else None
    if isinstance(node, exp.Cast) and node.to.this in (exp.DataType.Type.DATE, exp.DataType.Type.DATE32):
        leaf = _leaf(node.this)
        return None if leaf is None else (leaf, Grain.DAY)
    if isinstance(node, (exp.Date, exp.TsOrDsToDate)):
        leaf = _leaf(node.this)
        return None if leaf is None else (leaf, Grain.DAY)
    if isinstance(node, exp.Year) or (isinstance(node, exp.Extract) and node.name.lower() == "year"):
        leaf = _leaf(node.this if isinstance(node, exp.Year) else node.expression)
        return None if leaf is None else (leaf, Grain.YEAR)
    return None


def _leaf(node: exp.Expr | None) -> exp.Expr | None:
    """The clock that a value is, but for its type."""
    while isinstance(node, exp.Paren) or (isinstance(node, exp.Cast) and node.to.this in TIMES):
        node = node.this
    if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Anonymous):
        node = node.expression if not node.expression.expressions else None
    if isinstance(node, exp.Anonymous) and node.expressions:
        return None
    return node


# sqlglot has classes of its own for some; whatever they stand for is called as it is in most dialects.
_CLASSES: Mapping[str, str] = {
    "CurrentDate": "current_date",
    "CurrentTimestamp": "current_timestamp",
    "CurrentTime": "current_time",
    "CurrentDatetime": "current_timestamp",
    "CurrentTimestampLTZ": "current_timestamp",
    "Localtime": "localtime",
    "Localtimestamp": "localtimestamp",
    "UtcDate": "current_date",
    "Uuid": "uuid",
    "Rand": "random",
    "Randn": "random",
    "Randstr": "random",
    "CurrentUser": "current_user",
    "SessionUser": "session_user",
    "CurrentRole": "current_role",
    "CurrentSchema": "current_schema",
    "CurrentSchemas": "current_schemas",
    "CurrentCatalog": "current_catalog",
    "CurrentDatabase": "current_database",
    "CurrentVersion": "version",
    "NextValueFor": "nextval",
    "ReadCSV": "read_csv",
    "ReadParquet": "read_parquet",
}
# Classes of functions that are never the same, in whatever dialect.
RESTLESS_CLASS = re.compile(
    r"(?:Current|Rand|Uuid|Localtime|NextValue|Session|Utc|Version|AI|Generator|Generate(?:Bool|Int|Text))"
)


_CUTS = frozenset({exp.TimestampTrunc, exp.DateTrunc, exp.Cast, exp.Date, exp.TsOrDsToDate, exp.Year, exp.Extract})
CALLS: frozenset[type[exp.Expr]] = (
    _CUTS
    | {exp.Anonymous}
    | {kind for name in _CLASSES if (kind := getattr(exp, name, None)) is not None}
    | {
        kind
        for kind in vars(exp).values()
        if isinstance(kind, type) and issubclass(kind, exp.Func) and RESTLESS_CLASS.match(kind.__name__)
    }
)
"""The nodes that may be something else in another build."""
