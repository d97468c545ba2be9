"""Cases in Markdown: a heading is a behaviour, its fenced blocks are files, steps and what is expected of them.

Blocks are taken in order. What stands after the first word of a block's info string is its argument.

- `sql models/a/one.sql` (also `yaml`, `csv`, `text`): writes the file; the same path again rewrites it at that point.
  With `crlf` at the end, with Windows line ends.
- `setup`, `sql-change`: SQL run in the database.
- `shell`: a script run in the project's folder, to remove, move or spoil files.
- `run`: commands of SQLFlow, one a line, run in this process; `NAME=value` in front sets an environment variable.
  The last must end with the code of an `exit` block that follows, or 0; all others with 0.
- `output`: what the last `run` printed, stdout first; what differs from day to day is made alike.
- `query` and `rows`: SQL, and the rows it gives as a table.
- `file new/models/one.sql`: what a command wrote into that file.
- `problems`: the diagnostics of `sqlflow build`, which must end with 1, or `none`. It is run twice.
- `plan`: what `sqlflow build` with the block's argument would do: `table: action (reason)` or `nothing to do`.

After each `sqlflow build` of everything that ended with 0 a second one must have nothing to do. A heading that ends
with `(restless)` is exempt.

`pytest --update-cases` writes what happened into `output`, `rows`, `problems`, `plan`, `file` and `exit`.
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

from opened import opened

from sqlflow.cli.app import main
from sqlflow.cli.render import render_table

CONFIG = "name: tiny\ntargets: {dev: {engine: duckdb, path: tiny.duckdb}}\n"
DATABASE = "tiny.duckdb"
FILES = frozenset({"sql", "yaml", "csv", "text"})
EXPECTED = frozenset({"output", "rows", "problems", "plan", "exit", "file"})
STEPS = frozenset({"setup", "sql-change", "shell", "run", "query"})


@dataclass(frozen=True, slots=True)
class Block:
    """`start`, `end`: the lines of the body in the file, from 0."""

    kind: str
    argument: str
    body: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Case:
    """One heading of a file."""

    path: Path
    title: str
    blocks: tuple[Block, ...]

    @property
    def id(self) -> str:
        return f"{self.path.stem}: {self.title}"


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Correction:
    """What a block should have said."""

    block: Block
    body: str


_FENCE = re.compile(r"^(`{3,})(.*)$")


def read_cases(path: Path) -> list[Case]:
    """The cases of a file. Headings without blocks are only text."""
    cases: list[Case] = []
    title, blocks = "", list[Block]()
    lines = path.read_text(encoding="utf-8").split("\n")
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if line.startswith("## "):
            if blocks:
                cases.append(Case(path, title, tuple(blocks)))
            title, blocks = line[3:].strip(), []
        elif opened := _FENCE.match(line):
            start = number
            while number < len(lines) and lines[number].rstrip() != opened[1]:
                number += 1
            if number == len(lines):
                raise ValueError(f"{path}:{start}: this block does not end")
            kind, _, argument = opened[2].strip().partition(" ")
            if kind not in FILES | EXPECTED | STEPS:
                raise ValueError(f"{path}:{start}: there is no block `{kind}`")
            blocks.append(Block(kind, argument.strip(), "\n".join(lines[start:number]), start, number))
            number += 1
    if blocks:
        cases.append(Case(path, title, tuple(blocks)))
    return cases


def run_case(case: Case, root: Path, *, update: bool = False) -> list[Correction]:
    """Run a case in an empty folder. Raises AssertionError, or with `update` gives the corrections."""
    project = root / "project"
    project.mkdir()
    (project / "sqlflow.yml").write_text(CONFIG, encoding="utf-8")
    runner = Runner(project, update=update, restless=case.title.endswith("(restless)"))
    runner.run(case.blocks)
    return runner.corrections


def apply_corrections(path: Path, corrections: Sequence[Correction]) -> None:
    """Rewrite the expected blocks of a file."""
    lines = path.read_text(encoding="utf-8").split("\n")
    for correction in sorted(corrections, key=lambda c: c.block.start, reverse=True):
        block = correction.block
        if block.kind == "exit":
            lines[block.start - 1] = f"```exit {correction.body}"
        else:
            lines[block.start : block.end] = correction.body.split("\n") if correction.body else []
    path.write_text("\n".join(lines), encoding="utf-8")


@dataclass(slots=True)
class Runner:
    """A case that is being run."""

    root: Path
    update: bool
    restless: bool
    said: str = ""
    corrections: list[Correction] = field(default_factory=list)

    def run(self, blocks: Sequence[Block]) -> None:
        rows: list[str] | None = None
        for number, block in enumerate(blocks):
            match block.kind:
                case kind if kind in FILES:
                    self._write(block)
                case "setup" | "sql-change":
                    change_database(self.root, block.body)
                case "shell":
                    shell(self.root, block.body)
                case "run":
                    after = blocks[number + 1] if number + 1 < len(blocks) else None
                    self._commands(block, after if after is not None and after.kind == "exit" else None)
                case "output":
                    self._compare(block, normalised(self.said, self.root))
                case "query":
                    rows = [query_table(self.root, block.body)]
                case "rows":
                    assert rows is not None, "`rows` stands without a `query`"
                    self._compare(block, rows[0])
                case "problems":
                    self._compare(block, self._problems())
                case "file":
                    self._compare(block, (self.root / block.argument).read_text(encoding="utf-8"))
                case "plan":
                    self._compare(block, plan_of(self.root, block.argument))
                case _:
                    pass  # `exit` belongs to the `run` before it

    def _write(self, block: Block) -> None:
        path, _, ending = block.argument.partition(" ")
        if path.startswith(("'", '"')):
            path, *rest = shlex.split(block.argument)
            ending = " ".join(rest)
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        text = block.body + "\n"
        place.write_bytes((text.replace("\n", "\r\n") if ending == "crlf" else text).encode())

    def _commands(self, block: Block, expected: Block | None) -> None:
        commands = [line for line in block.body.splitlines() if line.strip()]
        said: list[str] = []
        for number, line in enumerate(commands):
            ran = sqlflow(self.root, line)
            said += [f"$ {line}\n"] if len(commands) > 1 else []
            said += [ran.out, ran.err]
            last = number == len(commands) - 1
            wanted = int(expected.argument) if last and expected is not None and expected.argument else 0
            if self.update and last and expected is not None:
                self.corrections.append(Correction(expected, str(ran.code)))
            elif ran.code != wanted:
                raise AssertionError(f"`{line}` ended with {ran.code}, not with {wanted}:\n{ran.out}{ran.err}")
            if ran.code == 0 and line.split() == ["sqlflow", "build"] and not self.restless:
                assert plan_of(self.root, "") == "nothing to do", "a build right after a build has something to do"
        self.said = "".join(said)

    def _problems(self) -> str:
        found = [sqlflow(self.root, "sqlflow build") for _ in range(2)]
        if all(ran.code == 0 for ran in found):
            return "none"
        if "state:failed+" in found[0].err:  # the rest was built; without a run there are only the problems
            found = [sqlflow(self.root, "sqlflow build --dry-run") for _ in range(2)]
        said = [normalised(diagnostics_of(ran.err), self.root) for ran in found]
        assert said[0] == said[1], f"the second time it said:\n{said[1]}\nthe first time:\n{said[0]}"
        assert found[0].code == 1, f"ended with {found[0].code}:\n{found[0].out}{found[0].err}"
        return said[0]

    def _compare(self, block: Block, actual: str) -> None:
        actual = "\n".join(line.rstrip() for line in actual.strip("\n").split("\n"))
        expected = block.body.strip("\n")
        if self.update:
            if actual != expected:
                self.corrections.append(Correction(block, actual))
            return
        # Two plain strings, so that pytest shows what differs between them.
        assert actual == expected, (
            f"line {block.start + 1}, `{block.kind}`: it is now\n{textwrap.indent(actual, '    ')}"
        )


def diagnostics_of(err: str) -> str:
    """Only the problems, without the closing lines."""
    return re.sub(r"\n\n\d+ (error|warning)s?[^\n]*\nrun `sqlflow explain [^\n]*\n?$", "", err)


def sqlflow(root: Path, line: str) -> Ran:
    """Run one command line in this process, in the project's folder."""
    words = shlex.split(line)
    environment: dict[str, str] = {}
    while words and "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        environment[name] = value
    assert words.pop(0) == "sqlflow", line
    out, err = io.StringIO(), io.StringIO()
    process = _as_process(root, ["sqlflow", *words], environment)
    with process, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
    return Ran(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _as_process(root: Path, argv: list[str], environment: dict[str, str]) -> Iterator[None]:
    """What a process has of its own: arguments, environment, folder, and what `main` sets."""
    before = (sys.argv, os.getcwd(), dict(os.environ), gc.get_threshold(), signal.getsignal(signal.SIGTERM))
    sys.argv = argv
    os.chdir(root)
    os.environ.update({"NO_COLOR": "1", "COLUMNS": "200", **environment})
    try:
        # One model at a time, so that lines come in the same order everywhere.
        with mock.patch.object(os, "cpu_count", return_value=1):
            yield
    finally:
        sys.argv = before[0]
        os.chdir(before[1])
        os.environ.clear()
        os.environ.update(before[2])
        gc.set_threshold(*before[3])
        signal.signal(signal.SIGTERM, before[4])


def change_database(root: Path, sql: str, database: str = DATABASE) -> None:
    """Run SQL in the database as somebody else would."""
    with opened(root / database) as connection:
        connection.execute(sql)


def query_table(root: Path, sql: str, database: str = DATABASE) -> str:
    """The rows of a query, as the product shows tables."""
    with opened(root / database, read_only=True) as connection:
        result = connection.execute(sql)
        columns = [entry[0] for entry in result.description or ()]
        return render_table(columns, result.fetchall(), width=None)


def shell(root: Path, script: str) -> str:
    """Run a script in the project's folder."""
    environment = {
        **os.environ,
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_AUTHOR_NAME": "A",
        "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_COMMITTER_NAME": "A",
        "GIT_COMMITTER_EMAIL": "a@example.org",
    }
    done = subprocess.run(
        ["bash", "-euc", script], cwd=root, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout


def plan_of(root: Path, arguments: str) -> str:
    """The plan of a build in short form."""
    ran = sqlflow(root, f"sqlflow build --dry-run --json {arguments}")
    if ran.code != 0:
        return normalised(diagnostics_of(ran.err), root)
    tasks = json.loads(ran.out)["tasks"]
    lines = [f"{task['table']}: {task['action']} ({task['reason']['detail']})" for task in tasks]
    return normalised("\n".join(lines) or "nothing to do", root)


_DAYS = (-1, 0, 1)
_REPLACED: Sequence[tuple[str, str]] = (
    (r"\d{8}T\d{6}-[0-9a-f]{6}", "RUN"),
    (r"\bPID \d+|\bpid \d+|process \d+", "PID"),
    (r"\b1[6-9]\d{11}\b", "VERSION"),
    (r"DuckDB v?\d+\.\d+\.\d+", "DuckDB X.Y.Z"),
    (r"\b(?:\d+h \d\dm|\d+m \d\ds|\d+(?:\.\d+)?(?:ms|s))(?![\w.])", "TIME"),
)


def normalised(text: str, root: Path) -> str:
    """The text without what differs from run to run, or from machine to machine."""
    text = text.replace(str(root.resolve()), "PROJECT").replace(str(root), "PROJECT")
    for days in _DAYS:
        day = (datetime.now(UTC) + timedelta(days=days)).date().isoformat()
        text = re.sub(rf"{day}(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|\+\d\d(?::?\d\d)?)?)?", "NOW", text)
    for pattern, word in _REPLACED:
        text = re.sub(pattern, word, text)
    return text
