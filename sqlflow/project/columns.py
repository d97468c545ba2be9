"""Comments on the columns of the outermost SELECT list: what they mean, their checks and tags."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct
from sqlglot import TokenType

from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.model import CheckKind, CheckSpec, ColumnNote
from sqlflow.core.source import SourceFile, Span
from sqlflow.core.text import MappedText
from sqlflow.project import yaml
from sqlflow.project.calls import is_distinct_from
from sqlflow.project.checks import NOT_YET, check_kind, near_check, reference
from sqlflow.project.directives import DIRECTIVES
from sqlflow.project.tokens import CLOSING, OPENING, Lexed, after_ctes, is_word
from sqlflow.project.values import Given, root_of

_WORD = re.compile(r"(?<!\S)@([^\W\d][\w-]*)(\()?")
_LIST_ENDS = frozenset(
    {
        TokenType.FROM,
        TokenType.WHERE,
        TokenType.GROUP_BY,
        TokenType.HAVING,
        TokenType.QUALIFY,
        TokenType.WINDOW,
        TokenType.ORDER_BY,
        TokenType.LIMIT,
        TokenType.OFFSET,
        TokenType.UNION,
        TokenType.EXCEPT,
        TokenType.INTERSECT,
        TokenType.USING,
        TokenType.FETCH,
        TokenType.INTO,
        TokenType.TABLE_SAMPLE,
    }
)
_NO_ALIASES = frozenset(["end", "null", "true", "false", "asc", "desc", "zone", "precision"])
_BEFORE_ALIAS = frozenset(
    {
        TokenType.VAR,
        TokenType.IDENTIFIER,
        TokenType.R_PAREN,
        TokenType.R_BRACKET,
        TokenType.R_BRACE,
        TokenType.NUMBER,
        TokenType.STRING,
        TokenType.END,
    }
)


class ColumnComments(Struct, frozen=True):
    """What the comments say: column -> note, and all checks in order."""

    notes: Mapping[str, ColumnNote]
    checks: tuple[CheckSpec, ...]


NO_COMMENTS = ColumnComments({}, ())


def read_columns(file: SourceFile, lexed: Lexed, last: int, dialect: str, problems: list[Diagnostic]) -> ColumnComments:
    """The comments at the end of the lines on which the columns of the tokens `[0, last)` end."""
    start, end = lexed.tokens[0].start, _after(lexed, last)
    if file.text.find("--", start, end) < 0 and file.text.find("/*", start, end) < 0:
        return NO_COMMENTS
    notes: dict[str, ColumnNote] = {}
    checks: list[CheckSpec] = []
    for first, stop in _items(lexed, last):
        for begin, finish in _comments(lexed, stop):
            name = output_name(lexed, first, stop)
            note, found = _read(file, begin, finish, name, dialect, problems)
            checks += found
            if name is not None and (note.description or note.tags):
                known = notes.get(name, ColumnNote())
                text = " ".join(part for part in (known.description, note.description) if part)
                notes[name] = ColumnNote(text, (*known.tags, *note.tags))
    return ColumnComments(notes, tuple(checks))


def output_name(lexed: Lexed, first: int, last: int) -> str | None:
    """The name of the column that an item of a SELECT list makes, when it says one."""
    tokens = lexed.tokens
    length = last - first
    end = last - 1
    if length > 2 and is_word(lexed, first) and tokens[first + 1].token_type is TokenType.COLON:
        return tokens[first].text
    if length == 1:
        is_name = is_word(lexed, end) and lexed.source(end).lower() not in _NO_ALIASES
        is_name = is_name and end not in lexed.parameter_tokens(end, last)
        return _name(lexed, end) if is_name else None
    if length < 1:
        return None
    before = tokens[end - 1].token_type
    if before is TokenType.ALIAS:
        return _name(lexed, end)
    if before is TokenType.DOT:
        dotted = all(tokens[i].token_type is TokenType.DOT for i in range(first + 1, last, 2))
        return _name(lexed, end) if dotted and is_word(lexed, end) else None
    if not is_word(lexed, end) or lexed.source(end).lower() in _NO_ALIASES:
        return None
    if before not in _BEFORE_ALIAS or lexed.source(end - 1).lower() == "zone":
        return None
    if length > 2 and tokens[end - 2].token_type is TokenType.INTERVAL:
        return None
    return _name(lexed, end)


def _name(lexed: Lexed, index: int) -> str:
    token = lexed.tokens[index]
    quoted = token.token_type in (TokenType.IDENTIFIER, TokenType.STRING)
    return token.text if quoted else lexed.source(index)


def _after(lexed: Lexed, last: int) -> int:
    """Where the gap behind the last token ends."""
    return lexed.tokens[last].start if last < len(lexed.tokens) else len(lexed.text)


def _items(lexed: Lexed, last: int) -> list[tuple[int, int]]:
    """The token ranges of the items of the outermost SELECT list; of a set operation, the first one's."""
    tokens = lexed.tokens
    index = after_ctes(lexed, 0, last)
    while index < last and tokens[index].token_type is TokenType.L_PAREN:
        index = after_ctes(lexed, index + 1, last)
    depth = 0
    for place in range(index, last):
        kind = tokens[place].token_type
        depth += (kind in OPENING) - (kind in CLOSING)
        if depth < 0 or (depth == 0 and kind is TokenType.UNION):
            return []
        if depth == 0 and kind is TokenType.SELECT:
            index = place + 1
            break
    else:
        return []
    if index < last and tokens[index].token_type is TokenType.ALL:
        index += 1
    if index < last and tokens[index].token_type is TokenType.DISTINCT:
        index += 1
        if index < last and tokens[index].token_type is TokenType.ON:
            index = _behind_brackets(lexed, index + 1, last)
    return _split(lexed, index, last)


def _split(lexed: Lexed, index: int, last: int) -> list[tuple[int, int]]:
    tokens = lexed.tokens
    items: list[tuple[int, int]] = []
    depth = 0
    begin = index
    for index in range(begin, last):
        kind = tokens[index].token_type
        if kind in OPENING:
            depth += 1
        elif kind in CLOSING:
            depth -= 1
            if depth < 0:
                break
        elif depth == 0 and kind is TokenType.COMMA:
            items.append((begin, index))
            begin = index + 1
        elif depth == 0 and kind in _LIST_ENDS and index > begin:
            behind_dot = tokens[index - 1].token_type in (TokenType.DOT, TokenType.ALIAS)
            if not behind_dot and not is_distinct_from(lexed, index):
                break
        elif depth == 0 and kind in _LIST_ENDS:
            break
    else:
        index = last
    items.append((begin, index))
    return [(first, stop) for first, stop in items if first < stop]


def _behind_brackets(lexed: Lexed, index: int, last: int) -> int:
    depth = 0
    for place in range(index, last):
        kind = lexed.tokens[place].token_type
        depth += (kind in OPENING) - (kind in CLOSING)
        if depth == 0:
            return place + 1
    return last


def _comments(lexed: Lexed, stop: int) -> list[tuple[int, int]]:
    """The comments behind the item that ends before token `stop`, on its last line, also behind its comma."""
    found: list[tuple[int, int]] = []
    tokens = lexed.tokens
    here = tokens[stop - 1].end + 1
    goes_on = _gap(lexed.text, here, _after(lexed, stop), found)
    if goes_on and stop < len(tokens) and tokens[stop].token_type is TokenType.COMMA:
        _gap(lexed.text, tokens[stop].end + 1, _after(lexed, stop + 1), found)
    return found


def _gap(text: str, start: int, end: int, found: list[tuple[int, int]]) -> bool:
    """Collect the comments of a gap up to the end of the line; False when the line ends in it."""
    position = start
    while position < end:
        if text.startswith("--", position):
            newline = text.find("\n", position, end)
            found.append((position + 2, end if newline < 0 else newline))
            return False
        if text.startswith("/*", position):
            close = text.find("*/", position, end)
            close = end if close < 0 else close
            found.append((position + 2, close))
            position = close + 2
        elif text[position] == "\n":
            return False
        else:
            position += 1
    return True


def _read(
    file: SourceFile,
    start: int,
    end: int,
    column: str | None,
    dialect: str,
    problems: list[Diagnostic],
) -> tuple[ColumnNote, list[CheckSpec]]:
    text = file.text[start:end]
    free: list[str] = []
    tags: list[str] = []
    checks: list[CheckSpec] = []
    position = 0
    while match := _WORD.search(text, position):
        free.append(text[position : match.start()])
        position = match.end()
        inside: tuple[int, int] | None = None
        if match[2]:
            close = _closing_bracket(text, position)
            if close is None:
                span = file.span(start + match.start(), start + match.end())
                message = f"the bracket behind `@{match[1]}` is never closed"
                problems.append(Diagnostic("invalid-check", message, span))
                break
            inside = (start + position, start + close)
            position = close + 1
        span = file.span(start + match.start(), start + position)
        outcome = _word(file, match[1], inside, span, column, dialect, problems, text[position:])
        if isinstance(outcome, str):
            tags.append(outcome)
        elif outcome is not None:
            checks.append(outcome)
    free.append(text[position:])
    description = " ".join(" ".join(free).split())
    return ColumnNote(description, tuple(tags)), checks


def _word(
    file: SourceFile,
    word: str,
    inside: tuple[int, int] | None,
    span: Span,
    column: str | None,
    dialect: str,
    problems: list[Diagnostic],
    rest: str,
) -> CheckSpec | str | None:
    """What one `@word` is: a check, a tag, or a problem."""

    def fail(message: str, code: str, hint: str | None) -> None:
        problems.append(Diagnostic(code, message, span, hint))

    if word == "pii":
        fail(f"`@{word}` is not available yet", "not-available-yet", "remove it")
        return None
    if word in DIRECTIVES and rest.lstrip(" \t").startswith(":"):
        return None  # reported as misplaced
    is_check = word in set(CheckKind) or word in NOT_YET
    if not is_check and inside is None:
        hint = near_check(word)
        if hint is None:
            return word
        fail(f"there is no check `@{word}`", "unknown-check", hint.replace("`", "`@", 1))
        return None
    kind = check_kind(word, fail)
    if kind is None:
        return None
    if kind in (CheckKind.EXPRESSION, CheckKind.ROW_COUNT):
        fail(f"`{kind}` is not about one column", "invalid-check", "put it into `@checks` at the top")
        return None
    if column is None:
        fail(
            f"`@{word}` stands on a column without a name",
            "invalid-check",
            "add `AS name` to the column",
        )
        return None
    return _column_check(file, kind, inside, span, column, dialect, problems)


def _column_check(
    file: SourceFile,
    kind: CheckKind,
    inside: tuple[int, int] | None,
    span: Span,
    column: str,
    dialect: str,
    problems: list[Diagnostic],
) -> CheckSpec | None:
    def fail(message: str, hint: str) -> None:
        problems.append(Diagnostic("invalid-check", message, span, hint))

    text = file.text[inside[0] : inside[1]].strip() if inside is not None else ""
    if kind in (CheckKind.NOT_NULL, CheckKind.UNIQUE):
        if text:
            fail(f"`@{kind}` takes no arguments here", "for several columns write it into `@checks`")
            return None
        return CheckSpec(kind, span, (column,))
    if not text or inside is None:
        example = "@in(open, closed)" if kind is CheckKind.IN else "@references(schema.table.column)"
        fail(f"`@{kind}` needs arguments", f"write `{example}`")
        return None
    if kind is CheckKind.REFERENCES:
        to = reference(Given(text, f"@{kind}", span, problems), dialect)
        return None if to is None else CheckSpec(kind, span, (column,), to=to)
    listed = MappedText.of(file, inside[0] - 1, inside[1] + 1)
    listed = MappedText("[" + listed.text[1:-1] + "]", file, listed.pieces)
    document = yaml.load(listed, problems)
    if document is None:
        return None
    given = root_of(document, problems, f"@{kind}")
    values = tuple(item.value for item in given.items())
    if not all(isinstance(v, str | int | float) or hasattr(v, "isoformat") for v in values):
        fail("`@in` takes plain values", "put text with special characters in quotes")
        return None
    return CheckSpec(kind, span, (column,), values=values)


def _closing_bracket(text: str, position: int) -> int | None:
    """Where the bracket that was opened before `position` is closed, strings looked past."""
    depth = 1
    quote: str | None = None
    for index in range(position, len(text)):
        character = text[index]
        if quote is not None:
            quote = None if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
            if depth == 0:
                return index
    return None
