"""Comments on the columns of a query's result: what they mean, their checks and tags.

A comment belongs to a column when it stands behind it, on a line of its expression, or on lines of its own directly above
it. Formatters move comments between these places. An `@word` that belongs to no column is a problem.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from sqlflow.core.checks import CheckSpec, Columns
from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.model import ColumnNote
from sqlflow.core.source import SourceFile, Span
from sqlflow.core.text import MappedText
from sqlflow.project.checks import kind_of, read_behind
from sqlflow.project.comments import Comment, comments_of, said
from sqlflow.project.marks import WORD, belonging_to_nothing, directive_as_tag, misplaced_directive
from sqlflow.project.placing import Placed, placed
from sqlflow.project.results import Column, Nameless, result_columns
from sqlflow.project.snippets import Vocabulary
from sqlflow.project.tokens import Lexed
from sqlflow.quality.kinds import CHECKS, NOT_YET, near_check

_RULE = re.compile(r"[-=*#~_+]{3,}.*|.*[-=*#~_+]{3,}")
_FOR_TOOLS = re.compile(r"noqa\b.*|fmt: *(?:on|off|skip)\b.*")


class ColumnComments(Struct, frozen=True):
    """What the comments say: column -> note, and all checks in order."""

    notes: Mapping[str, ColumnNote]
    checks: tuple[CheckSpec, ...]


NO_COMMENTS = ColumnComments({}, ())


class _Said(Struct, frozen=True):
    """What is in a comment."""

    text: str = ""
    tags: tuple[str, ...] = ()
    checks: tuple[CheckSpec, ...] = ()


def read_columns(
    file: SourceFile, lexed: Lexed, last: int, vocabulary: Vocabulary, problems: list[Diagnostic]
) -> ColumnComments:
    """What the comments behind the beginning of a file's query say; its tokens are `[0, last)`."""
    comments = comments_of(lexed)
    if not comments:
        return NO_COMMENTS
    reading = _Reading(file, vocabulary, problems)
    columns, others = _shared_out(file, lexed, last, vocabulary.dialect, comments)
    notes: dict[str, ColumnNote] = {}
    checks: list[CheckSpec] = []
    for column, places in columns:
        found = [reading.item(place, column.name) for place in places]
        checks += [check for one in found for check in one.checks]
        note = ColumnNote(
            next((one.text for one in found if one.text), ""),
            tuple(dict.fromkeys(tag for one in found for tag in one.tags)),
        )
        if isinstance(column.name, str) and (note.description or note.tags):
            known = notes.get(column.name, ColumnNote())
            text = " ".join(part for part in (known.description, note.description) if part)
            notes[column.name] = ColumnNote(text, (*known.tags, *note.tags))
    for comment in others:
        reading.belonging_to_nothing(comment)
    return ColumnComments(notes, tuple({_what(check): check for check in reversed(checks)}.values())[::-1])


def _shared_out(
    file: SourceFile, lexed: Lexed, last: int, dialect: str, comments: Sequence[Comment]
) -> tuple[list[tuple[Column, list[Placed]]], list[Comment]]:
    """The comments of each column of the result, and those that belong to none. What is switched off is left out."""
    gaps: dict[int, list[Comment]] = {}
    for comment in comments:
        gaps.setdefault(comment.gap, []).append(comment)
    columns = [
        (column, [placed(lexed, item, gaps) for item in column.items])
        for column in result_columns(lexed, last, dialect)
    ]
    used = {
        comment
        for _, places in columns
        for place in places
        for group in (*place.behind, place.above, *place.between, *place.inside)
        for comment in group
    }
    others = [comment for comment in comments if comment not in used and not _is_switched_off(file, comment)]
    return columns, others


def _is_switched_off(file: SourceFile, comment: Comment, *, above: bool = False) -> bool:
    """Whether a comment is SQL that somebody switched off, with its own comment: `-- , amount  -- @not_null`.

    `above`: it stands above a column, so that `-- Amount -- @not_null` may be meant for that.
    """
    head, dashes, rest = file.text[comment.begin : comment.stop].partition("--")
    head = head.strip()
    return bool(dashes and "@" in rest and comment.is_line) and (not above or not head or "," in (head[0], head[-1]))


def _what(check: CheckSpec) -> tuple[object, ...]:
    """What makes two checks the same."""
    others = (value for value in check.arguments.values() if not isinstance(value, Columns))
    kind, _, *modifiers = check.what
    return kind, tuple(name.lower() for name in check.columns), *map(repr, (*others, *modifiers))


class _Reading(Struct, frozen=True):
    """Reads comments of one file."""

    file: SourceFile
    vocabulary: Vocabulary
    problems: list[Diagnostic]

    def item(self, place: Placed, column: str | Nameless) -> _Said:
        """What the comments of one item say. Free text above it counts only where none stands behind it."""
        lines = [comment for comment in place.above if not _is_switched_off(self.file, comment, above=True)]
        above = self._said(lines, column) if lines else _Said()
        inside = [self._said(group, column) for group in place.inside]
        behind = [self._said(group, column) for group in place.behind if not self._only_switched_off(group)]
        meant = [one for one in inside if one.tags or one.checks]
        between = [self._said(group, column) for group in place.between]
        text = _joined(behind) or above.text or _joined(meant) or _joined(between)
        everything = [above, *inside, *between, *behind]
        return _Said(
            text,
            tuple(tag for one in everything for tag in one.tags),
            tuple(check for one in everything for check in one.checks),
        )

    def belonging_to_nothing(self, comment: Comment) -> None:
        """Report the checks, directives and tags in a comment that belongs to no column."""
        text = said(self.file, [comment])
        for match in WORD.finditer(text.text):
            span = text.span(match.start(), match.start() + len(match[1]) + 1)
            if (problem := belonging_to_nothing(match, text.text, span)) is not None:
                self.problems.append(problem)

    def _only_switched_off(self, group: Sequence[Comment]) -> bool:
        text = self.file.text[group[0].begin : group[0].stop]
        return text.lstrip().startswith("--") and _is_switched_off(self.file, group[0])

    def _said(self, comments: Sequence[Comment], column: str | Nameless) -> _Said:
        mapped = said(self.file, comments)
        text = mapped.text
        free: list[str] = []
        tags: list[str] = []
        checks: list[CheckSpec] = []
        position = 0
        while match := WORD.search(text, position):
            free.append(text[position : match.start()])
            position = match.end()
            inside: tuple[int, int] | None = None
            if match[2]:
                close = _closing_bracket(text, position)
                if close is None:
                    message = f"the bracket behind `@{match[1]}` is never closed"
                    self.problems.append(Diagnostic("invalid-check", message, mapped.span(*match.span())))
                    break
                inside = (position, close)
                position = close + 1
            span = mapped.span(match.start(), position)
            if (problem := misplaced_directive(match, text, span)) is not None:
                self.problems.append(problem)
                continue
            known = match[1] in CHECKS or match[1] == "pii" or match[1] in self.vocabulary.checks
            if not known and (problem := directive_as_tag(match, text, span)) is not None:
                self.problems.append(problem)
                continue
            outcome = self._word(match[1], mapped, inside, span, column)
            if isinstance(outcome, str):
                tags.append(outcome)
            elif outcome is not None:
                checks.append(outcome)
        free.append(text[position:])
        return _Said(_documentation("".join(free)), tuple(tags), tuple(checks))

    def _word(
        self, word: str, text: MappedText, inside: tuple[int, int] | None, span: Span, column: str | Nameless
    ) -> CheckSpec | str | None:
        """What one `@word` is: a check, a tag, or a problem."""

        def fail(message: str, code: str, hint: str | None) -> None:
            self.problems.append(Diagnostic(code, message, span, hint))

        if word == "pii":
            fail(f"`@{word}` is not available yet", "not-available-yet", "remove it")
            return None
        if word not in CHECKS and word not in NOT_YET and word not in self.vocabulary.checks and inside is None:
            hint = near_check(word)
            if hint is None:
                return word
            fail(f"there is no check `@{word}`", "unknown-check", hint.replace("`", "`@", 1))
            return None
        check = kind_of(word, self.vocabulary, fail)
        if check is None:
            return None
        if not check.behind:
            fail(f"`{check.kind}` is not about one column", "invalid-check", "put it into `@checks` at the top")
            return None
        match column:
            case Nameless.EXPRESSION:
                fail(f"`@{word}` stands on a column without a name", "invalid-check", "add `AS name` to the column")
            case Nameless.STAR | Nameless.SPREAD:
                hint = f"name the column in `@checks` at the top: `- {word}: ...`"
                fail(f"`@{word}` stands on `*`, which is more than one column", "invalid-check", hint)
            case Nameless.POSITION:
                hint = "write it into the first SELECT, or into `@checks` at the top"
                fail(f"which column of the result `@{word}` is about cannot be told here", "invalid-check", hint)
            case _:
                return read_behind(check, text, inside, span, column, self.vocabulary, self.problems)
        return None


def _documentation(text: str) -> str:
    """Free text in one line. What stands above a line of dashes is a heading, and so is the line."""
    lines = [line.strip().lstrip("*").strip() for line in text.splitlines()]
    rules = [place for place, line in enumerate(lines) if _RULE.fullmatch(line)]
    lines = lines[rules[-1] + 1 :] if rules else lines
    kept = (line.removeprefix("-") for line in lines if not _FOR_TOOLS.fullmatch(line))
    return " ".join(" ".join(kept).split())


def _joined(found: Iterable[_Said]) -> str:
    return " ".join(one.text for one in found if one.text)


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
