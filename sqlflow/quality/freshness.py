"""Whether the newest row is new enough."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlflow.core.checks import CheckSpec
from sqlflow.core.sql import Sql, Value, compose
from sqlflow.quality.forms import COLUMN, Argument, Category, Check, Form, Total, Wrong, the_column


def _newest(check: CheckSpec, only: Sql) -> Sql:
    return compose("max({c}){only}", c=the_column(check), only=only)


def _age(check: CheckSpec, value: Sql, now: datetime) -> Sql:
    """1 where it is older than `warn`, 2 where it is older than `error`; a table without rows is as old as can be."""
    level = Sql("0")
    for number, word in ((1, "warn"), (2, "error")):
        length = check.length(word)
        if length is not None:
            level = compose(
                "CASE WHEN {v} IS NULL OR {v} < {moment} THEN {number} ELSE {level} END",
                v=value, moment=Value(length.before(now)), number=number, level=level,
            )  # fmt: skip
    return level


_SOME_DAY = datetime(2000, 1, 1, tzinfo=UTC)


def _ages(check: CheckSpec) -> Wrong | None:
    warn, error = check.length("warn"), check.length("error")
    if warn is None and error is None:
        return Wrong("neither `warn` nor `error` is given", hinted=True)
    if warn is not None and error is not None and warn.before(_SOME_DAY) < error.before(_SOME_DAY):
        return Wrong("`warn` is longer than `error`")
    return None


FRESHNESS = Check(
    "freshness",
    Category.FRESHNESS,
    (
        COLUMN,
        Argument("warn", Form.DURATION, required=False, doc="the age that is told"),
        Argument("error", Form.DURATION, required=False, doc="the age that fails"),
    ),
    Total(_newest, _age, stages=True),
    example="freshness: {column: loaded_at, warn: 6 hours, error: 1 day}",
    doc="the newest row is not older than that; a time without a zone is one of the project's time zone",
    null="is not looked at; a table without rows fails",
    behind="@freshness(warn=6 hours, error=1 day)",
    wrong=_ages,
)

CHECKS = (FRESHNESS,)
