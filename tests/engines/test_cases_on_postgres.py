"""The cases of tests/cases/ that show where incremental tables go wrong, on PostgreSQL: the same files, changes and rows.

What commands print is told by the cases on DuckDB; here only how they end, and what the tables hold. A case that cannot
be the same there is named with the error that is expected, and must fail with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest
from markdown_cases import Block, Case, Runner, read_cases
from on_postgres import LawfulPostgres

from sqlflow.cli.render import render_table
from sqlflow.project.translate import translated

CONFIG = (
    "name: tiny\ndialect: duckdb\ndefault_schema: public\ntargets: {dev: {engine: postgres, url: '${LAWFUL_URL}'}}\n"
)
FILES = ("failure_demos", "modes", "following", "strategies", "verify", "state", "selection", "commands")
CASES = [case for name in FILES for case in read_cases(Path(__file__).parents[1] / "cases" / f"{name}.md")]
# Title -> the word that PostgreSQL does not have.
NEVER = {
    "A bad batch that is mended later leaves no hole": "error",
    "A first build in batches that fails in the middle shows nothing and goes on later": "duckdb_tables",
    "A query that fails while it runs leaves the old table in place": "error",
    "A column of the source changes its type": "typeof",
    "A model file is deleted: its table is named, and dropped only when asked": "duckdb_tables",
    "Incremental: a filter written by hand with $start and $end": "to_days",
}


class OnPostgres(Runner):
    """A case whose database is on a server."""

    url: str = ""

    def run(self, blocks: Sequence[Block]) -> None:
        shown = ""
        for number, block in enumerate(blocks):
            match block.kind:
                case "setup" | "sql-change":
                    self._change(block.body)
                case "query":
                    shown = self._rows(block.body)
                case "rows":
                    assert shown.split() == block.body.split(), f"line {block.start + 1}: it is now\n{shown}"
                case "output" | "plan" | "problems":
                    pass
                case _:
                    following = blocks[number + 1 : number + 2] if block.kind == "run" else []
                    Runner.run(self, [block, *(b for b in following if b.kind == "exit")])

    def _change(self, sql: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in re.sub(r"\brange\(([^()]*)\)(?! (?:AS )?[a-z])", r"range(\1) AS r(range)", sql).split(";"):
                if statement.strip():
                    psycopg.RawCursor(connection).execute(translated(statement, "duckdb", "postgres"))

    def _rows(self, sql: str) -> str:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = psycopg.RawCursor(connection).execute(translated(sql, "duckdb", "postgres"))
            names = [column.name for column in cursor.description or ()]
            return render_table(names, cursor.fetchall(), width=None)


@pytest.fixture
def there(tmp_path: Path) -> Iterator[LawfulPostgres]:
    project = LawfulPostgres(tmp_path / "project")
    yield project
    project.drop()


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
def test_case(case: Case, there: LawfulPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAWFUL_URL", there.url)
    there.write({"sqlflow.yml": CONFIG})
    runner = OnPostgres(there.root, update=False, restless=case.title.endswith("(restless)"))
    runner.url = there.url
    word = NEVER.get(case.title)
    if word is None:
        runner.run(case.blocks)
        return
    with pytest.raises((AssertionError, psycopg.errors.UndefinedFunction), match=rf"(?i)function `?{word}\("):
        runner.run(case.blocks)
