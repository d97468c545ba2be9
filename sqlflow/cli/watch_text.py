"""What a session tells, as lines for people. The screen and the plain lines share these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlflow.cli.render import in_order, plan_summary, render_table
from sqlflow.core.diagnostics import Diagnostic, Severity
from sqlflow.core.plan import Task
from sqlflow.core.records import RunRecord, Status
from sqlflow.core.words import counted
from sqlflow.observe.text import Paint, Style, diagnostic_lines, duration, summary_lines, visible
from sqlflow.watch.events import Built, Changed, ColumnEdit, Impact, ModelEdit, Planned, Problems, Rows

_MOST_NAMES = 6
_MOST_EDITS = 4
_MOST_TASKS = 12

_SIGNS = {"added": "+", "removed": "-", "changed": "~", "type": "~"}


def names(found: Sequence[object], most: int = _MOST_NAMES) -> str:
    """`a.b, a.c and 12 more`"""
    shown = [visible(str(name)) for name in found]
    if len(shown) <= most:
        return ", ".join(shown)
    return f"{', '.join(shown[: most - 1])} and {len(shown) - most + 1:,} more"


def changed_line(event: Changed) -> str:
    if event.what == "database":
        return "the database was written"
    if event.what == "data":
        return "data of a source changed"
    if event.count is None or event.count > 3:
        return "many files changed" if event.count is None else f"{counted(event.count, 'file')} changed"
    return f"{names(event.files)} changed" if event.files else "folders changed"


# ---------------------------------------------------------------- problems


def verdict(event: Problems) -> tuple[str, Style]:
    """`2 errors, 1 warning`, `no problems`"""
    count = {s: sum(d.severity is s for d in event.diagnostics) for s in Severity}
    parts = [counted(count[s], str(s)) for s in Severity if count[s]]
    style = Style.ERROR if count[Severity.ERROR] else Style.WARNING if parts else Style.GOOD
    return ", ".join(parts) or "no problems", style


def work_line(event: Problems) -> str:
    """`12 models, 3 compiled again, in 8ms`"""
    if not event.models:
        return ""
    again = "" if event.recompiled is None else f", {len(event.recompiled):,} compiled again"
    return f"{counted(event.models, 'model')}{again}, in {duration(event.seconds)}"


def problem_lines(diagnostics: Sequence[Diagnostic], files: Sequence[str], paint: Paint) -> list[str]:
    """Every problem with its source line; those in `files`, which were just saved, first."""
    found = in_order(diagnostics)
    found.sort(key=lambda d: d.span is None or str(d.span.path) not in files)
    blocks = [diagnostic_lines(d, paint) for d in found]
    return [line for number, block in enumerate(blocks) for line in ([""] if number else []) + block]


# ---------------------------------------------------------------- impact


def impact_lines(event: Impact, paint: Paint) -> list[str]:
    """What the edits changed, column by column, and what is made from that."""
    lines: list[str] = []
    for edit in event.edits[:_MOST_EDITS]:
        lines += _edit_lines(edit, paint)
    if event.count > _MOST_EDITS:
        rest = [edit.model for edit in event.edits[_MOST_EDITS:]]
        lines.append(f"and {counted(event.count - _MOST_EDITS, 'edited model')} more: {names(rest)}")
    return lines


def _edit_lines(edit: ModelEdit, paint: Paint) -> Iterator[str]:
    about = "" if edit.exact else ", and not all of it can be told by column"
    yield f"{paint(visible(str(edit.model)), Style.STRONG)}  {edit.kind}{about}"
    if edit.kind == "written differently":
        yield "  every column and every row means the same"
        return
    if edit.kind == "new":
        yield f"  + {names([c.column for c in edit.columns if c.column])}"
    else:
        alike: dict[tuple[object, ...], list[ColumnEdit]] = {}
        for column in edit.columns:  # columns with the same fate share a line
            alike.setdefault((column.kind, column.column is None, column.reached), []).append(column)
        width = min(40, max((len(_what(c)) for cs in alike.values() for c in cs[:1]), default=0))
        for columns in alike.values():
            yield _column_line(columns, width, paint)
    if edit.spared:
        yield paint(f"  not reached: {names(edit.spared)}", Style.FAINT)
    elif not edit.reached and edit.kind != "new":
        yield paint("  nothing is made from it", Style.FAINT)


def _what(column: ColumnEdit) -> str:
    if column.column is None:
        return "which rows there are" + (f" ({column.detail})" if column.detail else "")
    return visible(column.column) + (f" {visible(column.detail)}" if column.detail else "")


def _column_line(columns: Sequence[ColumnEdit], width: int, paint: Paint) -> str:
    first = columns[0]
    what = _what(first) if len(columns) == 1 else names([c.column for c in columns], 4)
    style = {"added": Style.GOOD, "removed": Style.ERROR}.get(first.kind, Style.WARNING)
    reached = []
    for found in first.reached:
        part = visible(str(found.model))
        if found.rows:
            part += " (rows)"
        elif found.columns:
            part += f" ({names(found.columns, 3)})"
        reached.append(part)
    end = f"-> {names(reached, 4)}" if reached else paint("read by nothing", Style.FAINT)
    return f"  {paint(_SIGNS[first.kind], style)} {what.ljust(width)}  {end}"


# ---------------------------------------------------------------- plan, rows, build


def plan_lines(event: Planned, paint: Paint) -> list[str]:
    """What `sqlflow build` would do now."""
    if event.plan is None:
        lines = [event.why] if event.why else []
        for problem in event.problems:
            lines += diagnostic_lines(problem, paint)
        return lines
    width = min(40, max((len(str(task.table)) for task in event.plan.tasks[:_MOST_TASKS]), default=0))
    lines = [_task_line(task, width, paint) for task in event.plan.tasks[:_MOST_TASKS]]
    if len(event.plan.tasks) > _MOST_TASKS:
        lines.append(f"and {counted(len(event.plan.tasks) - _MOST_TASKS, 'task')} more")
    return [*lines, plan_summary(event.plan)]


def _task_line(task: Task, width: int, paint: Paint) -> str:
    name = visible(str(task.table)).ljust(width)
    why = visible(" ".join(task.reason.detail.split()))
    return f"{name}  {paint(visible(task.action), Style.GOOD)}: {why}"


def rows_title(event: Rows, sample: str) -> str:
    """Where the rows come from."""
    what = f"first rows of {visible(str(event.model))}"
    if event.origin == "scratch":
        return f"{what}, built in the scratch database" + (f" of a sample: {sample}" if sample else "")
    return f"{what}, by the query on the tables as they stand"


def rows_lines(event: Rows, width: int | None) -> list[str]:
    if event.rows is None:
        return [visible(event.why)]
    lines = render_table(event.columns, event.rows, width=width).splitlines()
    return [*lines, "..."] if event.more else lines


def built_lines(event: Built, sample: str, paint: Paint) -> list[str]:
    """How a scratch build ended."""
    if event.record is None:
        lines = [event.why]
        for problem in event.problems:
            lines += diagnostic_lines(problem, paint)
        return lines
    return [*_of_record(event.record, paint), *([f"numbers are of a sample: {sample}"] if sample else [])]


def _of_record(record: RunRecord, paint: Paint) -> list[str]:
    lines = [line for line in summary_lines(record, paint) if not line.startswith(("when the cause", "to go on"))]
    if record.status is Status.CANCELLED:
        return []
    return lines


def fitted(lines: Sequence[str], room: int, more: str = "lines") -> list[str]:
    """At most `room` lines; the last says how many are left out."""
    if len(lines) <= room:
        return list(lines)
    if room < 1:
        return []
    return [*lines[: room - 1], f"… and {len(lines) - room + 1:,} more {more}"]
