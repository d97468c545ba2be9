"""The `@words` in the comments of macros/*.sql. None of them does anything, and each is told."""

from __future__ import annotations

from collections.abc import Iterator

from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.source import SourceFile
from sqlflow.project.comments import all_comments, said
from sqlflow.project.marks import WORD, without_effect
from sqlflow.project.tokens import Lexed, lex


def words_without_effect(file: SourceFile, dialect: str) -> Iterator[Diagnostic]:
    """A warning for each check, directive or tag in the comments of a file of macros."""
    lexed = lex(file.text, dialect)
    if not isinstance(lexed, Lexed):
        return
    for comment in all_comments(lexed):
        text = said(file, [comment])
        for match in WORD.finditer(text.text):
            span = text.span(match.start(), match.start() + len(match[1]) + 1)
            if (problem := without_effect(match, text.text, span)) is not None:
                yield problem
