"""The `Header` that the directives of a model and the defaults of its folders make."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from sqlflow.core.config import DefaultValue
from sqlflow.core.diagnostics import Diagnostic, Note
from sqlflow.core.model import Conflict, Header, Incremental
from sqlflow.core.modes import PROMISES, Mode, Strategy
from sqlflow.core.source import SourceFile, Span
from sqlflow.core.text import Edit, MappedText
from sqlflow.project import yaml
from sqlflow.project.directives import DIRECTIVES, NO_BATCH, unknown_directive_hint
from sqlflow.project.header_text import HeaderText, Written
from sqlflow.project.names import is_test
from sqlflow.project.snippets import Vocabulary
from sqlflow.project.values import Given, root_of

_EMPTY = Header()


class Default(Struct, frozen=True):
    """A directive's value for a folder, read."""

    value: object
    span: Span


def read_header(
    header: HeaderText,
    defaults: Mapping[str, Default],
    vocabulary: Vocabulary,
    file: SourceFile,
    place: Span,
    problems: list[Diagnostic],
) -> Header:
    """The checked header of a model. `place`: where its query begins, for what is missing."""
    fields: dict[str, Any] = {}
    spans: dict[str, Span] = {}
    for written in header.directives:
        name = written.name
        name_span = file.span(written.start, written.end)
        if name not in DIRECTIVES:
            message = f"there is no directive `@{name}`"
            hint = unknown_directive_hint(name)
            problems.append(Diagnostic("unknown-directive", message, name_span, hint))
        elif name in spans:
            note = Note("first given here", spans[name])
            message = f"`@{name}` is given twice"
            problems.append(Diagnostic("duplicate-directive", message, name_span, "keep one of them", notes=(note,)))
        else:
            given = _given(written, file, name_span, problems)
            spans[name] = name_span if given is None else given.span
            if given is not None and given.value is None:
                given.fail("has no value")
            elif given is not None:
                value = DIRECTIVES[name].parse(given, vocabulary)
                if value is not None:
                    fields[name] = value
    attempted = frozenset(spans)
    if is_test(file.path):
        _refuse_for_mode(Mode.TEST, fields, attempted, spans, problems)
        _apply_defaults(Mode.TEST, defaults, fields, spans)
        return _finished({**fields, "mode": Mode.TEST}, spans, header.comment)
    if "mode" in attempted and "mode" not in fields:
        return _finished(fields, spans, header.comment)
    mode = fields.get("mode") or _default_mode(defaults)
    _refuse_for_mode(mode, fields, attempted, spans, problems)
    _apply_defaults(mode, defaults, fields, spans)
    _refuse_strategy(mode, fields, attempted, spans, problems)
    _require(mode, fields, attempted, spans, place, problems)
    _refuse_ways(mode, fields, attempted, spans, problems)
    return _finished(fields, spans, header.comment)


def read_defaults(
    defaults: Mapping[str, DefaultValue],
    folder: str,
    vocabulary: Vocabulary,
    problems: list[Diagnostic],
) -> dict[str, Default]:
    """The directives that sqlflow.yml gives for one folder."""
    found: dict[str, Default] = {}
    for name, default in defaults.items():
        label = f"defaults.{folder}.{name}"
        given = Given(default.value, label, default.span, problems)
        if name not in DIRECTIVES:
            continue
        value = DIRECTIVES[name].parse(given, vocabulary)
        if value is not None:
            found[name] = Default(value, default.span)
    return found


def defaults_for(path: PurePosixPath, folders: Mapping[str, Mapping[str, Default]]) -> dict[str, Default]:
    """The defaults that apply to a file: of all folders it is in, the nearest one's win."""
    found: dict[str, Default] = {}
    if folders:
        for parent in reversed(path.parents):
            found.update(folders.get(str(parent), {}))
    return found


def _given(written: Written, file: SourceFile, name_span: Span, problems: list[Diagnostic]) -> Given | None:
    """The value of a directive; None when it is not YAML, which is then told."""
    label = f"@{written.name}"
    start, end = written.value[0].start, written.value[0].end
    lines = [file.text[line.start : line.end].strip() for line in written.value]
    if not any(lines):
        return Given(None, label, name_span, problems)
    prose = DIRECTIVES[written.name].prose
    if prose and not lines[0].startswith(("'", '"', "|", ">")):
        text = "\n".join(lines).strip()
        return Given(text, label, file.span(start, max(start + 1, end)), problems)
    if len(lines) == 1:
        line = MappedText.of(file, start, start + len(lines[0]))
        if (short := yaml.load_short(line)) is not None:
            return root_of(short, problems, label)
    source = without_dashes(file, written)
    found: list[Diagnostic] = []
    document = yaml.load(source, found)
    if document is not None:
        return root_of(document, problems, label)
    if prose and not lines[0].startswith(("|", ">")):
        return Given(" ".join(lines), label, file.span(start, end), problems)
    problems.extend(replace(p, message=f"{label}: {p.message}") for p in found)
    return None


def without_dashes(file: SourceFile, written: Written) -> MappedText:
    """The value's lines as YAML, each character still knowing its place in the file."""
    first = written.value[0].start
    edits: list[Edit] = []
    previous = written.value[0].end
    for line in written.value[1:]:
        line_start = file.text.index("\n", previous) + 1
        edits.append(Edit(line_start - first, line.start - first, " " * line.indent))
        previous = line.end
    return MappedText.of(file, first, written.value[-1].end).edit(edits)


def _default_mode(defaults: Mapping[str, Default]) -> Mode:
    default = defaults.get("mode")
    return default.value if default is not None and isinstance(default.value, Mode) else Mode.AUTO


def _refuse_for_mode(
    mode: Mode, fields: dict[str, Any], attempted: frozenset[str], spans: Mapping[str, Span], problems: list[Diagnostic]
) -> None:
    """Refuse the directives that the mode cannot use; they are left out, so that nothing else is said of them."""
    for name in attempted:
        modes = DIRECTIVES[name].modes
        if modes is None or mode in modes:
            continue
        message, hint = f"`@{name}` cannot be used with mode `{mode}`", f"it is for {_usable(modes)}"
        if PROMISES[mode].tests:
            message = f"`@{name}` cannot be used in a query of tests/, which makes no table"
            hint = f"leave it out; such a query can have {_FOR_TESTS}"
        problems.append(Diagnostic("invalid-for-mode", message, spans[name], hint))
        fields.pop(name, None)


def _usable(modes: frozenset[Mode]) -> str:
    found = [f"`{mode}`" for mode in Mode if mode in modes and not PROMISES[mode].tests]
    return ", ".join(found) if found else "queries in tests/; a check has a `severity` of its own"


_FOR_TESTS = ", ".join(
    f"`@{name}`" for name, directive in DIRECTIVES.items()
    if (directive.modes is None or Mode.TEST in directive.modes) and directive.value
)  # fmt: skip


def _refuse_strategy(
    mode: Mode, fields: dict[str, Any], attempted: frozenset[str], spans: Mapping[str, Span], problems: list[Diagnostic]
) -> None:
    """Refuse a strategy that the mode does not have; one that a folder gives by default is left out instead."""
    known = PROMISES[mode].strategies
    if "strategy" not in fields or fields["strategy"] in known:
        return
    if "strategy" in attempted and known:
        usable = ", ".join(f"`{strategy}`" for strategy in known)
        message = f"the strategy `{fields['strategy']}` cannot be used with mode `{mode}`"
        problems.append(Diagnostic("invalid-for-mode", message, spans["strategy"], f"it has {usable}"))
    del fields["strategy"]


def _apply_defaults(
    mode: Mode, defaults: Mapping[str, Default], fields: dict[str, Any], spans: dict[str, Span]
) -> None:
    """Take what the folder says, where the file says nothing and the mode can use it."""
    for name, default in defaults.items():
        modes = DIRECTIVES[name].modes
        if name in spans or (modes is not None and mode not in modes):
            continue
        fields[name] = default.value
        spans[name] = default.span
    for name in ("lookback", "grain"):
        needed = "cursor" if name == "lookback" and not PROMISES[mode].timed else "time"
        by_default = name in defaults and spans.get(name) is defaults[name].span
        if by_default and needed not in spans:
            del fields[name], spans[name]


def _require(
    mode: Mode,
    fields: Mapping[str, Any],
    attempted: frozenset[str],
    spans: Mapping[str, Span],
    place: Span,
    problems: list[Diagnostic],
) -> None:
    promise = PROMISES[mode]
    wanted = [("mode", f"mode `{mode}`", name) for name in promise.needs]
    if fields.get("conflict") is Conflict.LATEST_WINS and promise.keyed and not promise.history:
        wanted.append(("conflict", "`latest_wins`", "cursor"))
    if fields.get("strategy") is Strategy.CDC and promise.keyed:
        wanted += [("strategy", "`strategy: cdc`", "cursor"), ("strategy", "`strategy: cdc`", "deleted")]
    if "lookback" in fields and "lookback" in attempted and promise.keyed:
        wanted.append(("lookback", "`@lookback`", "cursor"))
    for cause, what, name in wanted:
        if name in spans:
            continue
        span = spans.get(cause, place)
        notes: tuple[Note, ...] = ()
        if span.path != place.path:
            notes = (Note(f"`{cause}` is set here", span),)
            span = place
        problems.append(
            Diagnostic(
                "missing-directive",
                f"{what} needs `@{name}`",
                span,
                f"add `-- @{name}: ...`",
                notes=notes,
            )
        )


def _refuse_ways(
    mode: Mode, fields: dict[str, Any], attempted: frozenset[str], spans: Mapping[str, Span], problems: list[Diagnostic]
) -> None:
    """Refuse directives that contradict each other about how the table is written."""
    promise, strategy = PROMISES[mode], fields.get("strategy", Strategy.AUTO)
    if strategy is Strategy.CDC and promise.keyed:
        rule = fields.get("conflict", Conflict.LATEST_WINS)
        if rule is not Conflict.LATEST_WINS and "conflict" in attempted:
            problems.append(
                Diagnostic(
                    "strategy-refused",
                    f"`strategy: cdc` keeps the newest event of each key, and `conflict: {rule}` wants another",
                    spans["strategy"],
                    "leave `@conflict` out (`latest_wins` goes with `cdc`), or use `strategy: auto`",
                )
            )
        fields["conflict"] = Conflict.LATEST_WINS
    if promise.history and "compare" in fields and "cursor" in fields:
        problems.append(
            Diagnostic(
                "invalid-for-mode",
                "`@compare` is for snapshots without `@cursor`: with one, a row that has a new cursor is a new version",
                spans["compare"],
                "leave one of them out",
            )
        )
    if fields.get("incremental") is not Incremental.OFF:
        return
    if promise.keyed and strategy in (Strategy.MERGE, Strategy.CDC):
        problems.append(
            Diagnostic(
                "strategy-refused",
                f"`strategy: {strategy}` changes the table in place, and `incremental: off` writes it anew each time",
                spans["strategy"],
                "leave one of them out",
            )
        )
    if promise.timed and fields.get("full_refresh") is False:
        problems.append(
            Diagnostic(
                "strategy-refused",
                "`incremental: off` rebuilds the table at each change, and `full_refresh: never` forbids that",
                spans["incremental"],
                "leave one of them out",
            )
        )


def _finished(fields: dict[str, Any], spans: Mapping[str, Span], comment: str) -> Header:
    if fields.get("batch") is NO_BATCH:
        del fields["batch"]
    if "description" not in fields and comment:
        fields["description"] = comment
    return replace(_EMPTY, **fields, spans=dict(spans))
