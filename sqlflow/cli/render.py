"""How diagnostics, plans and rows look on a terminal, and what they are in JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from sqlflow.core.amounts import counted, duration
from sqlflow.core.diagnostics import Diagnostic, Severity
from sqlflow.core.plan import CheckQuery, Plan, Reason, ReasonKind, Step, StepKind, Task, Way
from sqlflow.observe.jsonl import diagnostic_fields, to_json
from sqlflow.observe.text import (
    Paint,
    Style,
    ansi,
    cut,
    diagnostic_lines,
    display_width,
    nothing_to_do,
    padded,
    uncolored,
    visible,
    visible_lines,
)

__all__ = [
    "diagnostics_json",
    "plan_json",
    "render_diagnostics",
    "render_plan",
    "render_table",
    "to_json",
    "value_text",
]

_MOST_INTERVALS = 5
_MOST_NAMES = 8
_MOST_GROUPS = 12
_NARROWEST_CELL = 8
_GAP = "  "

_STEP_LABELS = {
    StepKind.WRITE: "write",
    StepKind.LOAD: "copy into the table what DuckDB reads from",
    StepKind.GUARD: "guard, must find no rows",
    StepKind.MEASURE: "measure, for the record",
    StepKind.NOTICE: "notice, rows become a warning",
    StepKind.ALARM: "alarm, rows fail the run",
    StepKind.STILL: "run only if an input changed since the build began",
    StepKind.SEEN: "find out what was read",
    StepKind.NOTED: "run only if the input's changes turn out not to be all known",
}


# Diagnostics


def render_diagnostics(diagnostics: Iterable[Diagnostic], *, color: bool) -> str:
    """Every problem once, by file and line, then how many there are. Nothing for no problems."""
    paint = _paint(color)
    found = in_order(diagnostics)
    if not found:
        return ""
    blocks = ["\n".join(diagnostic_lines(d, paint)) for d in found]
    return "\n\n".join([*blocks, _closing(found, paint)])


def in_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    return sorted(dict.fromkeys(diagnostics), key=_place)


def _place(diagnostic: Diagnostic) -> tuple[bool, str, int, int]:
    span = diagnostic.span
    return (False, str(span.path), span.line, span.column) if span else (True, "", 0, 0)


def _closing(found: Sequence[Diagnostic], paint: Paint) -> str:
    count = Counter(d.severity for d in found)
    style = Style.ERROR if count[Severity.ERROR] else Style.WARNING
    counts = ", ".join(counted(count[s], str(s)) for s in Severity if count[s])
    codes = {visible(d.code) for d in found}
    code = codes.pop() if len(codes) == 1 else "CODE"
    return f"{paint(counts, style)}\nrun `sqlflow explain {code}` for more"


def diagnostics_json(diagnostics: Iterable[Diagnostic]) -> list[dict[str, object]]:
    """The same problems in the same order, as values for `to_json`."""
    return [diagnostic_fields(d) for d in in_order(diagnostics)]


# Plans


def render_plan(plan: Plan, *, sql: bool, color: bool) -> str:
    """What will be done to each table and why, and why nothing is done to the others."""
    paint = _paint(color)
    blocks = ["\n".join(_task_lines(task, sql, paint)) for task in plan.tasks]
    others = [*_skipped_lines(plan, paint), *_orphan_lines(plan)]
    if others:
        blocks.append("\n".join(others))
    return "\n\n".join([*blocks, paint(plan_summary(plan), Style.STRONG)])


def _task_lines(task: Task, sql: bool, paint: Paint) -> Iterator[str]:
    name = paint(visible(str(task.table)), Style.STRONG)
    yield f"{name}  {paint(visible(task.action), Style.GOOD)}"
    for label, values in _facts(task):
        yield from _labelled(paint(f"{label:<10}", Style.FRAME), values)
    if not sql:
        return
    for step in task.steps:
        if not step.sql:
            continue
        if step.only_if is not None:
            yield from _sql_lines("the next statement runs only if", step.only_if, paint)
        yield from _sql_lines(_step_label(step), step.sql, paint)
    for audit in task.audits:
        names = ", ".join(check.name for check in audit.checks)
        yield from _sql_lines(f"count the failing rows of {names}", audit.sql, paint)
        for check in audit.checks:
            yield from _sql_lines(_check_label(check), check.sample, paint)


def _labelled(label: str, values: Sequence[str]) -> Iterator[str]:
    for index, value in enumerate(values):
        yield f"  {label if index == 0 else ' ' * 10}{value}"


def _facts(task: Task) -> Iterator[tuple[str, list[str]]]:
    mode = visible(task.mode or str(task.kind))
    if task.strategy and task.strategy != task.mode:
        mode += f", strategy {visible(task.strategy)}"
    yield "mode", [mode]
    yield "why", visible_lines(task.reason.detail) or [_words(task.reason.kind)]
    if task.tier:
        yield "tier", list(_tier_lines(task))
    if task.ways:
        yield "ways", [_way_line(way, task.ways) for way in task.ways]
    if task.measured:
        yield "last run", [visible(task.measured)]
    if task.intervals:
        yield "intervals", _interval_lines(task)
    expected = []
    if task.expected_rows is not None:
        expected.append(f"about {counted(task.expected_rows, 'row')}")
    if task.expected_seconds is not None:
        expected.append(f"about {duration(task.expected_seconds)}")
    if expected:
        yield "expected", [", ".join(expected)]
    if checks := [check.name for audit in task.audits for check in audit.checks]:
        yield "checks", [_names(checks)]


def _way_line(way: Way, among: Sequence[Way]) -> str:
    """A way to write the table, what it would cost, and when or why not it is taken."""
    width = max(len(other.name) for other in among)
    cost = ""
    if way.seconds is not None:
        cost = "under 1ms, " if way.seconds < 0.001 else f"about {duration(way.seconds)}, "
    return visible(f"{way.name:<{width}}  {cost}{way.why}")


def _tier_lines(task: Task) -> Iterator[str]:
    """What changes the query can follow without being computed anew."""
    yield f"{task.tier}: {_TIERS[task.tier]}"
    if task.refusal is not None:
        where = f" ({task.refusal.span})" if task.refusal.span is not None else ""
        yield visible(f"limited by {task.refusal.construct}: {task.refusal.reason}{where}")


_TIERS = {
    "rows": "follows rows that were added and removed",
    "additions": "follows rows that were added; groups that lost rows are computed anew",
    "keys": "computes anew the keys that changes touch",
    "none": "is rebuilt when its inputs change",
}


def _interval_lines(task: Task) -> list[str]:
    if task.intervals.everything:
        return ["all of time"]
    shown = [str(interval) for interval in task.intervals][:_MOST_INTERVALS]
    more = len(task.intervals) - len(shown)
    return [*shown, f"and {more:,} more"] if more else shown


def _step_label(step: Step) -> str:
    label = _STEP_LABELS[step.kind]
    return f"{label}: {step.message}" if step.message else label


def _check_label(check: CheckQuery) -> str:
    blocking = "blocks" if check.blocking else "warns"
    return f"failing rows of {check.name}, which {blocking}"


def _sql_lines(label: str, text: str, paint: Paint) -> Iterator[str]:
    yield ""
    for line in visible_lines(label):
        yield "  " + paint(f"-- {line}", Style.FAINT)
    for line in visible_lines(text.rstrip().rstrip(";") + ";"):
        yield f"  {line}".rstrip()


def _skipped_lines(plan: Plan, paint: Paint) -> Iterator[str]:
    groups: dict[tuple[ReasonKind, str], list[str]] = {}
    for table, reason in sorted(plan.skipped.items(), key=lambda item: item[0]):
        groups.setdefault((reason.kind, reason.detail), []).append(str(table))
    ordered = sorted(groups.items(), key=lambda item: (_rank(item[0][0]), -len(item[1])))
    for (kind, detail), tables in ordered[:_MOST_GROUPS]:
        label = paint(f"{_words(kind)} ({len(tables):,})", Style.FAINT)
        why = visible(" ".join(detail.split()))
        why = f" [{why}]" if why and why != _words(kind) else ""
        yield f"{label}: {_names(tables)}{why}"
    if rest := sum(len(tables) for _, tables in ordered[_MOST_GROUPS:]):
        yield f"and {counted(rest, 'model')} more that need nothing"


def _orphan_lines(plan: Plan) -> Iterator[str]:
    if plan.orphans:
        names = _names([str(table) for table in sorted(plan.orphans)])
        yield f"no longer in the project ({len(plan.orphans):,}): {names}"


def plan_summary(plan: Plan) -> str:
    count = Counter(reason.kind for reason in plan.skipped.values())
    if not plan.tasks and not set(count) - {ReasonKind.UP_TO_DATE, ReasonKind.NO_TABLE, ReasonKind.TESTED}:
        return nothing_to_do(count[ReasonKind.UP_TO_DATE])
    parts = [f"plan: {counted(len(plan.tasks), 'task')}"] if plan.tasks else []
    parts += [f"{count[kind]:,} {_words(kind)}" for kind in sorted(count, key=_rank)]
    return ", ".join(parts) if plan.tasks else "nothing to do: " + ", ".join(parts)


def _rank(kind: ReasonKind) -> int:
    """Up to date first, then in the order of the kinds."""
    return -1 if kind is ReasonKind.UP_TO_DATE else list(ReasonKind).index(kind)


def _words(kind: ReasonKind) -> str:
    return kind.value.replace("_", " ")


def _names(names: Sequence[str]) -> str:
    """All of them, or when there are many the first ones: `a.b, a.c and 12 more`."""
    if len(names) <= _MOST_NAMES:
        return visible(", ".join(names))
    shown = names[: _MOST_NAMES - 3]
    return f"{visible(', '.join(shown))} and {len(names) - len(shown):,} more"


def plan_json(plan: Plan) -> dict[str, object]:
    """The plan as values for `to_json`."""
    return {
        "tasks": [task_json(task) for task in plan.tasks],
        "skipped": {str(t): _reason_json(r) for t, r in sorted(plan.skipped.items())},
        "orphans": sorted(plan.orphans),
        "problems": diagnostics_json(plan.problems),
    }


def task_json(task: Task) -> dict[str, object]:
    return {
        "id": task.id,
        "table": task.table,
        "kind": task.kind,
        "action": task.action,
        "mode": task.mode,
        "strategy": task.strategy,
        "reason": _reason_json(task.reason),
        "intervals": task.intervals,
        "steps": [{"kind": step.kind, "sql": step.sql} for step in task.steps if step.sql],
        "checks": [
            {"name": c.name, "blocking": c.blocking, "sample": c.sample} for audit in task.audits for c in audit.checks
        ],
        "audits": [audit.sql for audit in task.audits],
        "needs": sorted(task.needs),
        "expected_seconds": task.expected_seconds,
        "expected_rows": task.expected_rows,
        "ways": [{"name": way.name, "seconds": way.seconds, "why": way.why} for way in task.ways],
        "measured": task.measured,
        "tier": task.tier or None,
        "refusal": None
        if task.refusal is None
        else {
            "construct": task.refusal.construct,
            "reason": task.refusal.reason,
            "line": task.refusal.span.line if task.refusal.span is not None else None,
        },
    }


def _reason_json(reason: Reason) -> dict[str, object]:
    return {"kind": reason.kind, "detail": reason.detail}


# Tables


def render_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, width: int | None) -> str:
    """Rows under their column names, aligned. With a `width`, long cells are cut to fit into it.

    Columns that do not fit even so are left out, and named below.
    """
    heads = [visible(name) for name in columns]
    cells = [[value_text(value) for value in row] for row in rows]
    widths = _fitted(_natural_widths(heads, cells), width)
    numeric = [_is_numeric([row[index] for row in rows]) for index in range(len(widths))]

    def line(texts: Sequence[str]) -> str:
        shown = (
            _aligned(cut(text, room), room, right) for text, room, right in zip(texts, widths, numeric, strict=False)
        )
        return _GAP.join(shown).rstrip()

    rules = (("-" if head else " ") * room for head, room in zip(heads, widths, strict=False))
    lines = [line(heads), _GAP.join(rules), *map(line, cells)]
    if not rows:
        lines.append("(no rows)")
    if left_out := heads[len(widths) :]:
        lines.append(f"({counted(len(left_out), 'column')} not shown: {_names(left_out)})")
    return "\n".join(lines)


def _natural_widths(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> list[int]:
    return [
        max(1, display_width(head), *(display_width(row[index]) for row in cells)) for index, head in enumerate(heads)
    ]


def _fitted(natural: list[int], limit: int | None) -> list[int]:
    """The widths with the widest made narrower until all fit, and without the last if they cannot."""
    if limit is None or not natural:
        return natural
    least = [min(size, _NARROWEST_CELL) for size in natural]
    count = len(natural)
    while count > 1 and sum(least[:count]) + len(_GAP) * (count - 1) > limit:
        count -= 1
    widths = natural[:count]
    room = limit - len(_GAP) * (count - 1)
    excess = sum(widths) - room
    while excess > 0:
        widest = max(widths)
        second = max((size for size in widths if size < widest), default=0)
        ties = [index for index, size in enumerate(widths) if size == widest]
        step = max(1, min(widest - second, excess // len(ties)))
        for index in ties[:excess]:
            widths[index] = max(1, widest - step)
        if widest == 1:
            break
        excess = sum(widths) - room
    return widths


def _is_numeric(values: Iterable[object]) -> bool:
    known = [value for value in values if value is not None]
    return bool(known) and all(
        isinstance(value, int | float | Decimal) and not isinstance(value, bool) for value in known
    )


def _aligned(text: str, room: int, right: bool) -> str:
    return " " * (room - display_width(text)) + text if right else padded(text, room)


def value_text(value: object) -> str:
    """A value as it stands in a table."""
    match value:
        case None:
            return "NULL"
        case bool():
            return "true" if value else "false"
        case Decimal():
            return format(value, "f")
        case bytes():
            return value.hex()
        case list() | tuple() | dict():
            return visible(to_json(value))
        case _:
            return visible(str(value))


def _paint(color: bool) -> Paint:
    return ansi if color else uncolored
