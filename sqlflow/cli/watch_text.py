"""What a session tells, as lines for people. The screen and the plain lines share these."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from sqlflow.cli.render import in_order, plan_summary, render_table
from sqlflow.core.amounts import counted, duration
from sqlflow.core.diagnostics import Diagnostic, Severity
from sqlflow.core.plan import Task
from sqlflow.core.records import RunRecord, Status
from sqlflow.observe.text import Paint, Style, diagnostic_lines, display_width, summary_lines, visible
from sqlflow.watch.events import Built, Changed, ColumnEdit, Impact, ModelEdit, Planned, Problems, ReachedModel, Rows

_MOST_NAMES = 6
_MOST_EDITS = 4
_MOST_TASKS = 12
_MOST_LINES = 3
_WIDE = 100
_WIDEST_CELL = 26

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


def impact_lines(event: Impact, width: int | None, paint: Paint) -> list[str]:
    """What the edits changed, column by column, and what is made from that."""
    lines: list[str] = []
    for edit in event.edits[:_MOST_EDITS]:
        lines += _edit_lines(edit, event.complete, width or _WIDE, paint)
    if event.count > _MOST_EDITS:
        rest = [edit.model for edit in event.edits[_MOST_EDITS:]]
        more = event.count - _MOST_EDITS
        lines += _wrapped(
            f"and {counted(more, 'edited model')} more: ", [str(name) for name in rest], width or _WIDE, more
        )
    return lines


def _edit_lines(edit: ModelEdit, complete: bool, width: int, paint: Paint) -> Iterator[str]:
    about = "" if edit.exact else ", and not all of it can be told by column"
    yield f"{paint(visible(str(edit.model)), Style.STRONG)}  {edit.kind}{about}"
    if edit.kind == "written differently":
        yield "  every column and every row means the same"
        return
    if edit.kind == "new":
        columns = [c.column for c in edit.columns if c.column]
        yield from _wrapped(f"  {paint('+', Style.GOOD)} ", columns, width)
    else:
        alike: dict[tuple[object, ...], list[ColumnEdit]] = {}
        for column in edit.columns:  # columns with the same fate share a line
            alike.setdefault((column.kind, column.column is None, column.reached), []).append(column)
        for group in alike.values():
            yield from _column_lines(group, complete, width, paint)
    if edit.spared:
        yield from (
            paint(line, Style.FAINT) for line in _wrapped("  not reached: ", list(map(str, edit.spared)), width)
        )
    elif not edit.reached and edit.kind != "new":
        yield paint("  nothing is made from it", Style.FAINT)


def _column_lines(columns: Sequence[ColumnEdit], complete: bool, width: int, paint: Paint) -> Iterator[str]:
    first = columns[0]
    what = _what(first) if len(columns) == 1 else names([c.column for c in columns], 5)
    style = {"added": Style.GOOD, "removed": Style.ERROR}.get(first.kind, Style.WARNING)
    sign = f"  {paint(_SIGNS[first.kind], style)} "
    if not first.reached:
        yield f"{sign}{what}  {paint('read by nothing' + ('' if complete else ' that compiles'), Style.FAINT)}"
        return
    yield f"{sign}{what}"
    yield from _wrapped("      -> ", [_reached(found) for found in first.reached], width)


def _what(column: ColumnEdit) -> str:
    if column.column is None:
        return "which rows there are" + (f" ({column.detail})" if column.detail else "")
    return visible(column.column) + (f" {visible(column.detail)}" if column.detail else "")


def _reached(found: ReachedModel) -> str:
    name = visible(str(found.model))
    if found.rows:
        return f"{name} (rows)"
    return f"{name} ({names(found.columns, 4)})" if found.columns else name


def _wrapped(head: str, parts: Sequence[str], width: int, count: int | None = None) -> Iterator[str]:
    """The parts with commas, on at most three lines; how many are left out."""
    count = len(parts) if count is None else count
    line, indent, shown, lines = head, " " * display_width(uncoloured(head)), 0, 1
    for number, part in enumerate(parts):
        text = part + (", " if number + 1 < len(parts) else "")
        if display_width(uncoloured(line)) + display_width(text) > width and line not in (head, indent):
            if lines == _MOST_LINES:
                break
            yield line.rstrip()
            line, lines = indent, lines + 1
        line += text
        shown += 1
    if shown < count:
        line = f"{line.rstrip().rstrip(',')} and {count - shown:,} more"
    yield line.rstrip()


def uncoloured(text: str) -> str:
    """The text without the codes of `ansi`."""
    return re.sub("\x1b\\[[0-9;]*m", "", text)


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


def rows_lines(event: Rows, width: int | None, edited: Collection[str] = ()) -> list[str]:
    """The rows as a table. Where not all columns fit, those in `edited` are shown, and the first of the others."""
    if event.rows is None:
        return [visible(event.why)]
    chosen = list(range(len(event.columns)))
    if width is not None:
        chosen = _that_fit(event, width, {name.lower() for name in edited})
    columns = [event.columns[index] for index in chosen]
    rows = [[row[index] for index in chosen] for row in event.rows]
    lines = render_table(columns, rows, width=width).splitlines()
    if event.more:
        lines.append("...")
    if left_out := [name for index, name in enumerate(event.columns) if index not in chosen]:
        lines.append(f"({counted(len(left_out), 'column')} not shown: {names(left_out)})")
    return lines


def _that_fit(event: Rows, width: int, edited: Collection[str]) -> list[int]:
    sizes = []
    for index, name in enumerate(event.columns):
        cells = [len(str(row[index])) for row in event.rows or ()]
        sizes.append(min(_WIDEST_CELL, max(len(name), *cells, 1)) + 2)
    order = sorted(range(len(sizes)), key=lambda index: event.columns[index].lower() not in edited)
    chosen: list[int] = []
    room = width + 2
    for index in order:
        if sizes[index] > room and chosen:
            if event.columns[index].lower() in edited:
                continue
            break
        chosen.append(index)
        room -= sizes[index]
    return sorted(chosen)


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
