"""Checks of the author's own, in macros/checks/NAME.sql: what they are called with, and the SQL that comes of it.

    -- The amount is a multiple of `unit`.
    -- @parameters:
    --   column: column
    --   unit: {type: number, default: 5}
    $column % $unit = 0

A condition must hold for each row; a query that reads `$table` returns the rows that fail.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

from msgspec import Struct, field
from msgspec.structs import replace
from sqlglot import TokenType

from sqlflow.core.checks import (
    CHECKED,
    ArgumentValue,
    CheckSpec,
    Columns,
    Condition,
    Flag,
    Number,
    OtherTable,
    Values,
    Word,
)
from sqlflow.core.diagnostics import Diagnostic, did_you_mean
from sqlflow.core.source import SourceFile, Span
from sqlflow.core.sql import Ident, Value, render
from sqlflow.core.text import Argument as Handed
from sqlflow.project.arguments import read_argument
from sqlflow.project.calls import arguments_in, expand_calls
from sqlflow.project.header import without_dashes
from sqlflow.project.header_text import Written, split_header
from sqlflow.project.replace import Mark, Parts, Replacement, joined_text, replaced
from sqlflow.project.snippets import Vocabulary, judged_later
from sqlflow.project.tokens import Lexed, LexProblem, lex, unbalanced
from sqlflow.project.values import Given, root_of
from sqlflow.project.variables import put_in_variables
from sqlflow.project.yaml import load
from sqlflow.quality.forms import Argument, Check, Form
from sqlflow.quality.kinds import CHECKS, own_kind

FOLDER = ("macros", "checks")
_FORMS = {
    "column": Form.COLUMN,
    "columns": Form.COLUMNS,
    "number": Form.NUMBER,
    "text": Form.TEXT,
    "values": Form.VALUES,
    "value": Form.BOUND,
    "condition": Form.SQL,
    "table": Form.TABLE,
    "boolean": Form.FLAG,
}
_QUERY = (TokenType.SELECT, TokenType.WITH, TokenType.FROM)


class OwnCheck(Struct, frozen=True):
    """A check of the author's own: its SQL is the tokens `[first, last)`, in which parameters stand as `$name`."""

    check: Check
    file: SourceFile
    lexed: Lexed
    first: int
    last: int
    defaults: Mapping[str, ArgumentValue] = field(default_factory=dict)

    def filled(self, check: CheckSpec, vocabulary: Vocabulary, given: Given) -> CheckSpec:
        """A use of the check with its SQL. `given`: where it is used, for what is wrong with it there."""
        filled = _filled(self, {**self.defaults, **check.arguments}, vocabulary, given.problems)
        if filled is None:
            return check
        found = judged_later(given, filled.text, filled.arguments, vocabulary, filled.parameters)
        return check if found is None else replace(check, own_written=found.written).in_words({"own": found.sql})


def is_own_check(path: PurePosixPath) -> bool:
    """Whether a file holds a check of the author's own, and not macros."""
    return path.parts[:2] == FOLDER and len(path.parts) == 3


def read_own_checks(
    files: Iterable[SourceFile], vocabulary: Vocabulary, problems: list[Diagnostic]
) -> dict[str, OwnCheck]:
    """The checks that the files define, by name."""
    found = (_own_check(file, vocabulary, problems) for file in files)
    return {own.check.kind: own for own in found if own is not None}


class _Filled(Struct, frozen=True):
    """The SQL of a check, with the places of what macros are handed in it, and of what the check is called with."""

    text: str
    arguments: tuple[Handed, ...]
    parameters: tuple[tuple[int, int], ...]


def _filled(
    own: OwnCheck, arguments: Mapping[str, ArgumentValue], vocabulary: Vocabulary, problems: list[Diagnostic]
) -> _Filled | None:
    """The SQL with arguments, variables and macros in it; None when something in it is wrong."""
    lexed, first, last = own.lexed, own.first, own.last
    stand_ins = {"table": "", **dict.fromkeys((a.name for a in own.check.arguments), "")}
    before = len(problems)
    put_in = put_in_variables(lexed, first, last, {**vocabulary.variables, **stand_ins}, own.file.span, problems)
    for index, parameter in lexed.parameter_tokens(first, last).items():
        name = parameter.name or ""
        if name == "table" or name in arguments:
            shown: Parts = (CHECKED,) if name == "table" else _argument(arguments[name])
            put_in[index] = Replacement(parameter.start, parameter.end, shown)
    replacements = expand_calls(
        lexed, first, last, dict(sorted(put_in.items())), vocabulary.macros, vocabulary.dialect, own.file.span, problems
    )
    if len(problems) > before:
        return None
    begin = lexed.tokens[first].start - (first in lexed.parameter_tokens(first, first + 1))
    parts = replaced(own.file.text, begin, lexed.tokens[last - 1].end + 1, replacements)
    found = arguments_in(replacements, begin)
    parameters = tuple((one.start, one.end) for one in found if one.call == (one.start, one.end))
    return _Filled(joined_text(parts), tuple(one for one in found if one.call != (one.start, one.end)), parameters)


def _argument(given: ArgumentValue) -> Parts:
    return Mark.CALL, Mark.ARGUMENT, _shown(given), Mark.ARGUMENT_END, Mark.CALL_END


def _shown(given: ArgumentValue) -> str:
    match given:
        case Columns():
            return render([Ident(name) for name in given.names])
        case Values():
            return render([Value(value) for value in given.values])
        case Number():
            return render(Value(given.number)) if given.number >= 0 else f"({render(Value(given.number))})"
        case Word():
            return render(Value(given.text))
        case Flag():
            return render(Value(given.on))
        case OtherTable():
            return render(given.table)
        case Condition():
            return f"({given.written.text if given.written is not None else given.sql})"
        case _:
            raise TypeError(f"no parameter is a {type(given).__name__}")


# ---------------------------------------------------------------------- the file


def _own_check(file: SourceFile, vocabulary: Vocabulary, problems: list[Diagnostic]) -> OwnCheck | None:
    name, before = file.path.stem, len(problems)
    top = Span(file.path, 1, 1)
    if not name.isidentifier():
        message = f"`{file.path.name}` is no name for a check"
        problems.append(Diagnostic("invalid-check", message, top, "use letters, digits and `_`"))
    if name in CHECKS:
        message = f"`{name}` is a check that SQLFlow has"
        problems.append(Diagnostic("duplicate-name", message, top, "rename the file"))
    header = split_header(file, problems)
    arguments: list[Argument] = []
    defaults: dict[str, ArgumentValue] = {}
    description = header.comment
    for written in header.directives:
        given = _given(written, file, problems)
        if written.name == "parameters" and given is not None:
            arguments, defaults = _parameters(given, vocabulary)
        elif written.name == "description" and given is not None:
            description = given.text() or ""
        elif given is not None:
            hint = did_you_mean(written.name, ("parameters", "description"))
            message = f"a check of your own has no `@{written.name}`"
            span = file.span(written.start, written.end)
            problems.append(
                Diagnostic("unknown-directive", message, span, hint or "it has `@parameters` and `@description`")
            )
    lexed = lex(file.text, vocabulary.dialect)
    if isinstance(lexed, LexProblem):
        span = file.span(lexed.start, lexed.end)
        problems.append(Diagnostic("sql-syntax", lexed.message, span, lexed.hint))
        return None
    last = len(lexed.tokens)
    while last and lexed.tokens[last - 1].token_type is TokenType.SEMICOLON:
        last -= 1
    if not last:
        hint = "write a condition that must hold for each row, or a query of `$table` that returns the rows that fail"
        problems.append(Diagnostic("invalid-check", f"`{file.path}` holds no SQL", top, hint))
        return None
    problem = unbalanced(lexed, 0, last)
    if problem is not None:
        problems.append(Diagnostic("sql-syntax", problem.message, file.span(problem.start, problem.end)))
    for token in lexed.tokens[:last]:
        if token.token_type is TokenType.SEMICOLON:
            span = file.span(token.start, token.end + 1)
            problems.append(Diagnostic("two-statements", "a check is one condition or one query", span))
    is_query = lexed.tokens[0].token_type in _QUERY
    tables = [p for p in lexed.parameters if p.name == "table"]
    if is_query and not tables:
        span = file.span(lexed.tokens[0].start, lexed.tokens[0].end + 1)
        message = "the query does not read `$table`, the table that is checked"
        problems.append(Diagnostic("invalid-check", message, span, "write `FROM $table`"))
    if not is_query and tables:
        span = file.span(tables[0].start, tables[0].end)
        message = "a condition is about a row and cannot read `$table`"
        problems.append(Diagnostic("invalid-check", message, span, "write a query that returns the rows that fail"))
    check = own_kind(name, tuple(arguments), description.partition("\n")[0])
    own = OwnCheck(check, file, lexed, 0, last, defaults)
    known = {argument.name for argument in arguments}
    if len(problems) == before:
        for parameter in lexed.parameters:
            word = parameter.name
            if word is not None and word not in known and word != "table" and word not in vocabulary.variables:
                hint = did_you_mean(word, [*known, "table", *vocabulary.variables])
                span = file.span(parameter.start, parameter.end)
                message = f"`${word}` is neither a parameter nor a variable"
                problems.append(Diagnostic("unknown-variable", message, span, hint or "add it to `-- @parameters:`"))
    return own if len(problems) == before else None


def _given(written: Written, file: SourceFile, problems: list[Diagnostic]) -> Given | None:
    document = load(without_dashes(file, written), problems)
    return None if document is None else root_of(document, problems, f"@{written.name}")


def _parameters(given: Given, vocabulary: Vocabulary) -> tuple[list[Argument], dict[str, ArgumentValue]]:
    arguments: list[Argument] = []
    defaults: dict[str, ArgumentValue] = {}
    for name, inside in given.entries().items():
        if name == "table" or not name.isidentifier():
            inside.fail("this is no name for a parameter", "invalid-value", "use letters, digits and `_`", at_key=True)
            continue
        fields = {"type": inside}
        if isinstance(inside.value, dict):
            fields = inside.fields(("type", "default", "description"), ("type",))
        kind = fields["type"].choice("type", tuple(_FORMS)) if "type" in fields else None
        if kind is None:
            continue
        doc = fields["description"].text() if "description" in fields else None
        argument = Argument(name, _FORMS[kind], required="default" not in fields, doc=doc or "")
        arguments.append(argument)
        if "default" in fields:
            value = read_argument(argument, fields["default"], vocabulary)
            if value is not None:
                defaults[name] = value
    return arguments, defaults
