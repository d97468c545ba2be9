"""The query of a model file: exactly one, and nothing else."""

from __future__ import annotations

from sqlglot import TokenType

from sqlflow.core.diagnostics import Diagnostic
from sqlflow.core.source import SourceFile
from sqlflow.project.tokens import Lexed, after_ctes, unbalanced

_BEGINNINGS = frozenset({TokenType.SELECT, TokenType.WITH, TokenType.FROM, TokenType.VALUES, TokenType.L_PAREN})
_WRITES = frozenset({TokenType.INSERT, TokenType.UPDATE, TokenType.DELETE, TokenType.MERGE})

_CHANGES = "it changes tables; a model is a `SELECT`, and SQLFlow writes its table"
_SETTING = "settings belong to the target in sqlflow.yml"
_ABOUT = {
    **dict.fromkeys(("create", "alter", "drop", "truncate", "comment"), _CHANGES),
    **dict.fromkeys(("insert", "update", "delete", "merge", "replace"), _CHANGES),
    **dict.fromkeys(("install", "load"), "list extensions under the target in sqlflow.yml"),
    **dict.fromkeys(("set", "reset", "pragma", "use"), _SETTING),
    **dict.fromkeys(("attach", "detach"), "declare outside tables in sources/*.yml"),
    **dict.fromkeys(("copy", "export", "import"), "declare files in sources/*.yml"),
    **dict.fromkeys(("begin", "commit", "rollback"), "SQLFlow makes its own transactions"),
    **dict.fromkeys(("pivot", "unpivot", "describe", "summarize", "show"), "write `FROM (...)` around it"),
    "table": "write `FROM name`",
    **dict.fromkeys(("#", "/", "//"), "a comment begins with `--`"),
}
_KINDS = {
    **dict.fromkeys(("create", "alter", "drop", "truncate", "comment"), "a definition (DDL)"),
    **dict.fromkeys(("insert", "update", "delete", "merge", "replace"), "a change of data (DML)"),
    **dict.fromkeys(("set", "reset", "pragma", "use"), "a setting"),
    **dict.fromkeys(("begin", "commit", "rollback"), "a transaction statement"),
}


def find_query(file: SourceFile, lexed: Lexed, problems: list[Diagnostic]) -> tuple[int, int] | None:
    """The tokens `[0, last)` of the one query in a file, without the semicolon at its end."""
    tokens = lexed.tokens
    if _is_template(file, lexed, problems):
        return None
    last = next(
        (i for i, token in enumerate(tokens) if token.token_type is TokenType.SEMICOLON),
        len(tokens),
    )
    second = next((t for t in tokens[last:] if t.token_type is not TokenType.SEMICOLON), None)
    if last == 0:
        message = "the file holds no query"
        span = file.span(tokens[0].start, tokens[0].end + 1) if tokens else file.span(0)
        problems.append(Diagnostic("empty-model", message, span, "write a `SELECT`, or remove the file"))
        return None
    before = len(problems)
    if _is_query(file, lexed, last, problems) and second is not None:
        span = file.span(second.start, second.end + 1)
        hint = "a model is one query; put the other into a file of its own"
        problems.append(Diagnostic("two-statements", "a second statement begins here", span, hint))
    elif (wrong := unbalanced(lexed, 0, last)) is not None and len(problems) == before:
        problems.append(Diagnostic("sql-syntax", wrong.message, file.span(wrong.start, wrong.end), wrong.hint))
    return None if len(problems) > before else (0, last)


def _is_query(file: SourceFile, lexed: Lexed, last: int, problems: list[Diagnostic]) -> bool:
    """Whether the first statement only reads."""
    tokens = lexed.tokens
    culprit: int | None = None
    main = after_ctes(lexed, 0, last)
    if tokens[0].token_type not in _BEGINNINGS:
        culprit = 0
    elif main < last and tokens[main].token_type not in _BEGINNINGS:
        culprit = main
    else:
        culprit = next(
            (
                index
                for index in range(2, last)
                if tokens[index].token_type in _WRITES
                and tokens[index - 1].token_type is TokenType.L_PAREN
                and lexed.source(index - 2).lower() in ("as", "materialized")
                and not _is_call(lexed, index, last)
            ),
            None,
        )
    if culprit is None:
        return True
    token = tokens[culprit]
    word = lexed.source(culprit).split()[0].lower()
    span = file.span(token.start, token.start + len(word))
    kind = _KINDS.get(word)
    shown = word.upper() if word.isidentifier() else word
    message = f"`{shown}` is {kind}, not a query" if kind else f"`{shown}` does not begin a query"
    hint = _ABOUT.get(word, "a model is one `SELECT`, `WITH`, `FROM` or `VALUES` query")
    problems.append(Diagnostic("not-a-query", message, span, hint))
    return False


def _is_call(lexed: Lexed, index: int, last: int) -> bool:
    return index + 1 < last and lexed.tokens[index + 1].token_type in (
        TokenType.L_PAREN,
        TokenType.R_PAREN,
        TokenType.DOT,
    )


def _is_template(file: SourceFile, lexed: Lexed, problems: list[Diagnostic]) -> bool:
    """Whether the file has `{{ ... }}` or `{% ... %}` in it."""
    if "{{" not in lexed.text and "{%" not in lexed.text:
        return False
    for token in lexed.tokens:
        begins = token.token_type in (TokenType.L_BRACE, TokenType.BLOCK_START)
        if begins and lexed.text[token.start : token.start + 2] in ("{{", "{%"):
            span = file.span(token.start, token.start + 2)
            hint = "write the table's name as it is: `FROM staging.orders`"
            problems.append(Diagnostic("template", "SQLFlow has no templates", span, hint))
            return True
    return False
