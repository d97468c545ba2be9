"""Text for people: what may be shown as it is, how wide it is, and the phrases that all displays share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from enum import StrEnum
from unicodedata import category, east_asian_width

from sqlflow.core.amounts import counted, duration
from sqlflow.core.diagnostics import Diagnostic, Severity
from sqlflow.core.events import Told
from sqlflow.core.names import TableName
from sqlflow.core.records import CheckResult, CheckStatus, RunRecord, Status, TableKind, TaskResult
from sqlflow.core.source import Span

_TAB = 4
_LONGEST_SOURCE_LINE = 100
_MOST_SAMPLES = 5
_MOST_FAILURES = 20
_JOINERS = "\u200c\u200d"  # invisible too, but parts of emoji and of Persian words


class Style(StrEnum):
    """What a piece of text is. The values are the parameters of ANSI's "select graphic rendition"."""

    ERROR = "1;31"
    WARNING = "1;33"
    GOOD = "32"
    HINT = "36"
    FRAME = "34"
    STRONG = "1"
    FAINT = "2"


Paint = Callable[[str, Style], str]


def ansi(text: str, style: Style) -> str:
    """The text in colour, for a terminal."""
    return f"\x1b[{style}m{text}\x1b[0m" if text else ""


def uncolored(text: str, style: Style) -> str:
    """The text as it is, for files and pipes."""
    return text


STATUS_STYLES = {
    Status.DONE: Style.GOOD,
    Status.FAILED: Style.ERROR,
    Status.SKIPPED: Style.WARNING,
    Status.CANCELLED: Style.WARNING,
}
SEVERITY_STYLES = {Severity.ERROR: Style.ERROR, Severity.WARNING: Style.WARNING}


# What may be shown, and how wide it is


def visible(text: str) -> str:
    r"""The text with control characters written out, so that it cannot move the cursor or hide anything.

    >>> visible("a\x1b[31mb")
    'a\\x1b[31mb'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _written_out(c) for c in text)


def _written_out(char: str) -> str:
    if char in _JOINERS or category(char) in ("Zs", "Co", "Cn"):
        return char
    return char.encode("unicode_escape").decode("ascii")


def visible_lines(text: str) -> list[str]:
    """The lines of a text, each one safe to show, with tabs as spaces and no blank lines around."""
    return [visible(line.expandtabs(_TAB).rstrip()) for line in text.strip("\r\n").splitlines()]


def display_width(text: str) -> int:
    """The number of terminal columns that visible text fills."""
    if text.isascii():
        return len(text)
    return sum(_char_width(char) for char in text)


def _char_width(char: str) -> int:
    if category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if east_asian_width(char) in "WF" else 1


def cut(text: str, columns: int) -> str:
    """The text, ending in `…` when it is wider than `columns`."""
    if display_width(text) <= columns:
        return text
    room = max(columns, 1) - 1
    kept = []
    for char in text:
        room -= _char_width(char)
        if room < 0:
            break
        kept.append(char)
    return "".join(kept) + "…"


def padded(text: str, columns: int) -> str:
    """The text with spaces after it up to `columns`."""
    return text + " " * (columns - display_width(text))


# Problems in the project


def diagnostic_lines(diagnostic: Diagnostic, paint: Paint = uncolored) -> list[str]:
    """A problem with the source lines it is about, underlined, and what to do about it."""
    style = SEVERITY_STYLES[diagnostic.severity]
    spans = [span for span in (diagnostic.span, *(n.span for n in diagnostic.notes)) if span]
    gutter = max((len(str(span.line)) for span in spans), default=1)

    first, *others = visible_lines(diagnostic.message) or [""]
    head = paint(f"{diagnostic.severity}[{visible(diagnostic.code)}]", style)
    lines = [head + paint(f": {first}", Style.STRONG)]
    lines += [f"  {line}" if line else "" for line in others]
    if diagnostic.span is not None:
        lines += _snippet(diagnostic.span, gutter, style, paint)
    if diagnostic.hint is not None:
        lines += _remark("hint", diagnostic.hint, gutter, paint)
    for note in diagnostic.notes:
        if note.span is None:
            lines += _remark("note", note.message, gutter, paint)
            continue
        first, *others = visible_lines(note.message) or [""]
        lines += [paint("note", Style.HINT) + f": {first}", *(f"  {line}" for line in others)]
        lines += _snippet(note.span, gutter, Style.HINT, paint)
    return lines


def _remark(word: str, message: str, gutter: int, paint: Paint) -> list[str]:
    first, *others = visible_lines(message) or [""]
    margin = " " * (gutter + 1)
    head = margin + paint("=", Style.FRAME) + " " + paint(word, Style.HINT) + f": {first}"
    return [head, *(f"{margin}  {' ' * len(word)}  {line}" for line in others)]


def _snippet(span: Span, gutter: int, style: Style, paint: Paint) -> list[str]:
    lines = [f"{' ' * gutter}{paint('-->', Style.FRAME)} {visible(str(span))}"]
    if not span.text.strip():
        return lines
    source, start, length = _excerpt(span)
    bar = paint(f"{' ' * gutter} |", Style.FRAME)
    number = paint(f"{span.line:>{gutter}} |", Style.FRAME)
    underline = " " * start + paint("^" * length, style)
    return [*lines, bar, f"{number} {source}".rstrip(), f"{bar} {underline}"]


def _excerpt(span: Span) -> tuple[str, int, int]:
    """The part of the line around the span, as it is drawn; where the underline starts, and its length."""
    shown = _drawn(span.text.rstrip("\r\n"))
    first = min(span.column - 1, len(shown))
    last = min(first + max(span.length, 1), len(shown))
    begin, end = 0, len(shown)
    if sum(map(display_width, shown)) > _LONGEST_SOURCE_LINE:
        begin, room = first, _LONGEST_SOURCE_LINE // 3
        while begin > 0 and (room := room - display_width(shown[begin - 1])) >= 0:
            begin -= 1
        end, room = begin, _LONGEST_SOURCE_LINE
        while end < len(shown) and (room := room - display_width(shown[end])) >= 0:
            end += 1
    left, right = "…" if begin else "", "…" if end < len(shown) else ""
    start = display_width(left + "".join(shown[begin:first]))
    length = max(1, display_width("".join(shown[first : min(last, end)])))
    return left + "".join(shown[begin:end]) + right, start, length


def _drawn(line: str) -> list[str]:
    """Each character of a source line as it is drawn."""
    shown: list[str] = []
    column = 0
    for char in line:
        text = " " * (_TAB - column % _TAB) if char == "\t" else visible(char)
        shown.append(text)
        column += display_width(text)
    return shown


# What happened in a build


def told_lines(event: Told, paint: Paint = uncolored) -> list[str]:
    """`warning: ...`"""
    first, *others = visible_lines(event.message) or [""]
    head = paint(str(event.severity), SEVERITY_STYLES[event.severity])
    return [f"{head}: {first}", *(f"  {line}" for line in others)]


def task_line(result: TaskResult, name_width: int = 0) -> str:
    """One line for a task that has ended; its status is the first nine columns.

    `done       marts.delays  replace, 1,234 rows, 0.4s`
    """
    name = padded(visible(str(result.table)), name_width)
    return f"{result.status:<9}  {name}  {_ending(result)}".rstrip()


def _ending(result: TaskResult) -> str:
    match result.status:
        case Status.DONE:
            parts = [visible(result.action)]
            if result.rows is not None:
                parts.append(counted(result.rows, "row"))
            parts.append(duration(result.seconds))
            if warned := len(_checks(result, CheckStatus.WARNED)):
                parts.append(counted(warned, "check warning"))
            return ", ".join(part for part in parts if part)
        case Status.FAILED:
            why = _failure(result)
            return f"after {duration(result.seconds)}" + (f": {why}" if why else "")
        case Status.SKIPPED:
            if result.blame is not None:
                return f"because of `{visible(str(result.blame))}`"
            return visible(result.reason)
        case Status.CANCELLED:
            return f"after {duration(result.seconds)}" if result.seconds else ""


def _failure(result: TaskResult) -> str:
    if result.error is not None:
        return (visible_lines(result.error.message) or [""])[0]
    return ", ".join(
        f"{visible(check.check)} has {counted(check.failing, 'failing row')}"
        for check in _checks(result, CheckStatus.FAILED)
    )


def check_warning_lines(result: TaskResult, paint: Paint = uncolored) -> list[str]:
    """The checks of a task that found rows but did not stop it."""
    return [
        line
        for check in _checks(result, CheckStatus.WARNED)
        for line in _check_lines(check, paint("warning", Style.WARNING))
    ]


def _checks(result: TaskResult, status: CheckStatus) -> list[CheckResult]:
    return [check for check in result.checks if check.status is status]


def _check_lines(check: CheckResult, word: str) -> Iterator[str]:
    such_as = ", such as" if check.sample else ""
    name = f"check `{visible(check.check)}`" + (f" ({visible(check.description)})" if check.description else "")
    if check.total:
        yield f"  {word}: {name} found {', '.join(visible(value) for value in check.sample)}"
        return
    yield f"  {word}: {name} has {counted(check.failing, 'failing row')}{such_as}"
    for row in check.sample[:_MOST_SAMPLES]:
        yield f"    {visible(row)}"


def summary_lines(record: RunRecord, paint: Paint = uncolored) -> list[str]:
    """How a build ended: each failure in full, the counts, and what to do next."""
    lines: list[str] = []
    failed = [result for result in record.results if result.status is Status.FAILED]
    for result in failed[:_MOST_FAILURES]:
        lines += ["", *_failure_lines(result, paint)]
    if len(failed) > _MOST_FAILURES:
        lines += ["", f"and {len(failed) - _MOST_FAILURES:,} more failed"]
    if lines:
        lines.append("")
    lines.append(paint(summary(record), STATUS_STYLES[record.status]))
    if failed:
        lines.append("when the cause is mended, go on with `sqlflow build state:failed+`")
    elif record.status is Status.CANCELLED:
        lines.append("to go on, run the same command again: what is done stays done")
    return lines


def _failure_lines(result: TaskResult, paint: Paint) -> list[str]:
    lines = [paint("failed", Style.ERROR) + f": {paint(visible(str(result.table)), Style.STRONG)}"]
    if result.error is not None:
        lines += [f"  {line}".rstrip() for line in diagnostic_lines(result.error, paint)]
    for check in _checks(result, CheckStatus.FAILED):
        lines += _check_lines(check, paint("error", Style.ERROR))
    return lines


def summary(record: RunRecord) -> str:
    """`built 12 models in 3.4s, 5 tests passed, 1 failed, 2 skipped, 30 up to date`"""
    count = tables_by_status(record)
    tested = [result for result in record.results if result.kind is TableKind.TEST and result.status is Status.DONE]
    warned = sum(bool(_checks(result, CheckStatus.WARNED)) for result in tested)
    if not record.results and record.status is Status.DONE:
        return nothing_to_do(record.up_to_date)
    seconds = (record.finished_at - record.started_at).total_seconds()
    built, passed = count[Status.DONE] - len(tested), len(tested) - warned
    parts = [f"built {counted(built, 'model')} in {duration(seconds)}"]
    if passed:
        parts.append(f"{counted(passed, 'test')} passed")
    if warned:
        parts.append(f"{counted(warned, 'test')} warned")
    parts += [
        f"{count[status]:,} {status}" for status in (Status.FAILED, Status.SKIPPED, Status.CANCELLED) if count[status]
    ]
    if record.up_to_date:
        parts.append(f"{record.up_to_date:,} up to date")
    return ("interrupted: " if record.status is Status.CANCELLED else "") + ", ".join(parts)


def tables_by_status(record: RunRecord) -> Counter[Status]:
    """How many tables ended how. One that was built in batches is done when all of them are."""
    worst: dict[TableName, Status] = {}
    for result in record.results:
        other = worst.get(result.table, Status.DONE)
        worst[result.table] = max(other, result.status, key=_WORSE.index)
    return Counter(worst.values())


_WORSE = (Status.DONE, Status.SKIPPED, Status.CANCELLED, Status.FAILED)


def nothing_to_do(up_to_date: int) -> str:
    """What to say of an empty plan in which nothing was left out."""
    match up_to_date:
        case 0:
            return "there is nothing to build"
        case 1:
            return "nothing to do: the only model is up to date"
        case 2:
            return "nothing to do: both models are up to date"
        case _:
            return f"nothing to do: all {up_to_date:,} models are up to date"
