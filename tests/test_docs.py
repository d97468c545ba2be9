"""The documentation is true: references are what the code says, every code has a page, every example runs.

A page is read as a story. A block of the form ```` ```sql models/orders.sql ```` is a file of the project; one whose
path ends in `.duckdb` is SQL run in that database. Each `$ command` of a ```` ```console ```` block is run, and the
lines below it must be what it prints; a line `...` stands for lines left out. Durations do not count, nor does the
order of lines, because models are built in parallel.

A page in `docs/targets` has a PostgreSQL server of its own, and `DATABASE_URL` says where. There a block of the form
```` ```sql on warehouse ```` is run by the server's owner in the database of that name.

`python tests/test_docs.py docs/hints/cycle.md ...` writes what the commands print into the pages.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib.util
import io
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import psycopg
import pytest
import typer
from opened import opened
from own_server import OwnServer, own_server

from sqlflow.cli import app as commands

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
HINTS = DOCS / "hints"
TARGETS = DOCS / "targets"
HOME = "/home/you"
PROJECT_FILE = "name: example\ntargets:\n  dev: {engine: duckdb, path: example.duckdb}\n"

PAGES = sorted(path for path in (*ROOT.glob("*.md"), *DOCS.rglob("*.md")))
STORIES = [page for page in PAGES if "\n```console" in page.read_text(encoding="utf-8")]


# ---------------------------------------------------------------- examples run


@dataclass(frozen=True)
class Block:
    """A fenced block: the words behind the fence, its lines, and the numbers of its first and last line."""

    info: tuple[str, ...]
    lines: tuple[str, ...]
    first: int
    last: int


@dataclass(frozen=True)
class Call:
    """A command of a console block, and what the page says that it prints."""

    command: str
    printed: tuple[str, ...]


def blocks_of(text: str) -> Iterator[Block]:
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        match = re.fullmatch(r"(`{3,})(.*)", lines[number])
        if match is None:
            number += 1
            continue
        last = next(n for n in range(number + 1, len(lines)) if lines[n] == match[1])
        yield Block(tuple(match[2].split()), tuple(lines[number + 1 : last]), number + 1, last)
        number = last + 1


def calls_of(block: Block) -> Iterator[Call]:
    command: str | None = None
    printed: list[str] = []
    for line in block.lines:
        if line.startswith("$ "):
            if command is not None:
                yield Call(command, tuple(printed))
            command, printed = line[2:], []
        else:
            printed.append(line)
    if command is not None:
        yield Call(command, tuple(printed))


class Story:
    """A folder in which the blocks of one page happen."""

    def __init__(self, page: Path, home: Path, server: OwnServer | None = None) -> None:
        self._home = home
        self._server = server
        self.folder = home
        if page.parent == HINTS:
            self.folder = home / "example"
            self.folder.mkdir()
            (self.folder / "sqlflow.yml").write_text(PROJECT_FILE)

    def ask(self, block: Block) -> None:
        """Run SQL on the server of the page."""
        assert self._server is not None
        with psycopg.connect(self._server.database(block.info[2]), autocommit=True) as connection:
            for statement in re.split(r";[^\n]*\n", "\n".join(block.lines) + "\n"):
                if statement.strip():
                    connection.execute(statement.encode())

    def write(self, block: Block) -> None:
        path = self.folder / block.info[1]
        text = "\n".join(block.lines) + "\n"
        if path.suffix == ".duckdb" and block.info[0] == "sql":
            with opened(path) as database:
                database.execute(text)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def run(self, command: str) -> list[str]:
        words = shlex.split(command)
        if words[0] == "cd":
            self.folder = (self.folder / words[1]).resolve()
            return []
        with contextlib.chdir(self.folder):
            if words[0] == "sqlflow":
                printed = sqlflow(words)
            else:
                done = subprocess.run(command, shell=True, check=True, capture_output=True, text=True)
                printed = done.stdout + done.stderr
        printed = printed.replace(str(self._home.resolve()), HOME)
        return [line.rstrip() for line in printed.rstrip("\n").split("\n")] if printed.strip() else []


def sqlflow(words: list[str]) -> str:
    """What a command prints, run in this process to save its start."""
    printed = io.StringIO()
    arguments, handler, threshold = sys.argv, signal.getsignal(signal.SIGTERM), gc.get_threshold()
    sys.argv = words
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed), pytest.raises(SystemExit) as end:
            commands.main()
    finally:
        sys.argv = arguments
        signal.signal(signal.SIGTERM, handler)
        gc.set_threshold(*threshold)
    assert end.value.code != 3, printed.getvalue()
    return printed.getvalue()


def alike(line: str) -> str:
    """A line without what differs from run to run."""
    line = re.sub(r"\b\d+(\.\d+)?(ms|s)\b", "#s", line)
    line = re.sub(r"^ *\d+/(\d+) ", r"#/\1 ", line)
    line = re.sub(r"\d{8}T\d{6}-[0-9a-f]{6}", "RUN", line)
    line = re.sub(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?\+00:00", "TIME", line)
    line = re.sub(r"\b17\d{11}\b|\b18\d{11}\b", "VERSION", line)
    return re.sub(r"-{3,}", "---", re.sub(r" {2,}", "  ", line)).rstrip()


@pytest.mark.parametrize("page", STORIES, ids=[page.relative_to(ROOT).as_posix() for page in STORIES])
def test_what_a_page_shows_is_what_happens(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    with serving(page) as server:
        if server is not None:
            monkeypatch.setenv("DATABASE_URL", address_on(server))
        tell(page, Story(page, tmp_path, server))


@contextlib.contextmanager
def serving(page: Path) -> Iterator[OwnServer | None]:
    """The server that a page tells of."""
    if page.parent != TARGETS:
        yield None
        return
    with own_server() as server:
        yield server


def address_on(server: OwnServer) -> str:
    return server.over_tcp("warehouse", "flights", "change-me")


def tell(page: Path, story: Story) -> None:
    for block in blocks_of(page.read_text(encoding="utf-8")):
        if len(block.info) == 2:
            story.write(block)
        if len(block.info) == 3 and block.info[1] == "on":
            story.ask(block)
        for call in calls_of(block) if block.info[:1] == ("console",) else ():
            actual = Counter(map(alike, story.run(call.command)))
            expected = Counter(alike(line) for line in call.printed if line.strip() != "...")
            shown = f"{page.name}: $ {call.command}"
            assert not expected - actual, f"{shown} does not print this any more:\n" + "\n".join(
                [*(expected - actual), "", "but:", *actual]
            )
            if not any(line.strip() == "..." for line in call.printed):
                assert not actual - expected, f"{shown} prints more:\n" + "\n".join(actual - expected)


def test_every_block_of_a_page_is_closed_and_says_what_it_is() -> None:
    for page in PAGES:
        for block in blocks_of(page.read_text(encoding="utf-8")):
            assert block.info, f"{page.relative_to(ROOT)}:{block.first} says no language"


# ---------------------------------------------------------------- references are generated


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["header.md", "checks.md", "commands.md"])
def test_a_reference_is_what_the_code_says(name: str) -> None:
    wanted = generator().pages()[name]
    assert (DOCS / "reference" / name).read_text(encoding="utf-8") == wanted, "run `make docs`"


def all_commands() -> Iterator[tuple[str, Any]]:
    def walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        inner = getattr(command, "commands", None)
        if inner is None:
            yield name, command
        else:
            for word, below in inner.items():
                yield from walk(f"{name} {word}", below)

    yield from walk("sqlflow", typer.main.get_command(commands.app))


def test_every_command_and_option_has_help_and_stands_in_the_reference() -> None:
    reference = (DOCS / "reference" / "commands.md").read_text(encoding="utf-8")
    for name, command in all_commands():
        assert (command.help or "").strip(), f"`{name}` has no help"
        assert f"## `{name}`" in reference
        section = reference.split(f"## `{name}`\n")[1].split("\n## ")[0]
        for parameter in command.params:
            if parameter.name == "help":
                continue
            assert (getattr(parameter, "help", None) or "").strip(), f"`{name}`: `{parameter.name}` has no help"
            shown = parameter.opts[0] if parameter.param_type_name == "option" else str(parameter.name).upper()
            assert shown in section, f"`{name}`: `{shown}` is not in the reference"


# ---------------------------------------------------------------- a page for every code

_CODE = re.compile(r"[a-z]+(-[a-z]+)*")
_FIRST = frozenset({"Diagnostic", "one_problem", "_show_problem", "BindError"})  # the code is the first argument
_SECOND = frozenset({"fail"})  # the code comes behind the message


def codes_in_the_source() -> dict[str, str]:
    """Every diagnostic code -> a file that gives it."""
    found: dict[str, str] = {}
    for path in sorted((ROOT / "sqlflow").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for code in _codes(node):
                found.setdefault(code, path.relative_to(ROOT).as_posix())
    return found


def _codes(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        place = 0 if name in _FIRST else 1 if name in _SECOND else len(node.args)
        for argument in node.args[place : place + 1]:
            yield from _words(argument)
        for keyword in node.keywords:
            if keyword.arg == "code":
                yield from _words(keyword.value)
    if isinstance(node, ast.FunctionDef):
        named = node.args.args[len(node.args.args) - len(node.args.defaults) :]
        for argument_, default in zip(named, node.args.defaults, strict=True):
            if argument_.arg == "code":
                yield from _words(default)
    if isinstance(node, ast.Assign):
        target = node.targets[0]
        if "code" in (getattr(target, "id", None), getattr(target, "attr", None)):
            yield from _words(node.value)
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            for part, value in zip(target.elts, node.value.elts, strict=False):
                if isinstance(part, ast.Name) and part.id == "code":
                    yield from _words(value)


def _words(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.IfExp):
        yield from _words(node.body)
        yield from _words(node.orelse)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _CODE.fullmatch(node.value):
        yield node.value


def test_every_code_has_a_page_and_every_page_a_code() -> None:
    codes = codes_in_the_source()
    pages = {page.stem for page in HINTS.glob("*.md")}
    missing = {code: path for code, path in codes.items() if code not in pages}
    assert not missing, f"docs/hints/ lacks {missing}"
    assert not pages - set(codes), "docs/hints/ has pages of codes that no code gives"


@pytest.mark.parametrize("page", sorted(HINTS.glob("*.md")), ids=lambda page: page.stem)
def test_a_hint_page_begins_with_its_code_and_shows_it(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {page.stem}\n")
    assert f"[{page.stem}]" in text, "it shows no message with its code"
    assert "\n## How to fix it\n" in text


# ---------------------------------------------------------------- links


@pytest.mark.parametrize("page", PAGES, ids=[page.relative_to(ROOT).as_posix() for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.relative_to(ROOT)} links to `{target}`"
        if anchor and there.suffix == ".md":
            assert anchor in anchors_of(there), f"{page.relative_to(ROOT)} links to `{target}`"


def anchors_of(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_every_page_can_be_reached_from_the_map() -> None:
    seen: set[Path] = set()
    stack = [ROOT / "README.md", DOCS / "index.md"]
    while stack:
        page = stack.pop()
        if page in seen or page.suffix != ".md" or not page.exists():
            continue
        seen.add(page)
        targets = re.findall(r"\]\(([^)\s#]+)", page.read_text(encoding="utf-8"))
        stack += [(page.parent / target).resolve() for target in targets if not re.match(r"[a-z]+:", target)]
    lost = [page.relative_to(ROOT).as_posix() for page in PAGES if page not in seen and page.parent != HINTS]
    assert not lost, f"no link leads to {lost}"


# ---------------------------------------------------------------- writing what commands print into pages


def update(page: Path) -> None:
    lines = page.read_text(encoding="utf-8").split("\n")
    written: list[str] = []
    done = 0
    with tempfile.TemporaryDirectory() as home, serving(page) as server:
        story = Story(page, Path(home), server)
        if server is not None:
            os.environ["DATABASE_URL"] = address_on(server)
        for block in blocks_of("\n".join(lines)):
            written += lines[done : block.first]
            done = block.first
            if len(block.info) == 2:
                story.write(block)
            if len(block.info) == 3 and block.info[1] == "on":
                story.ask(block)
            if block.info[:1] == ("console",):
                for call in calls_of(block):
                    printed = story.run(call.command)
                    shortened = any(line.strip() == "..." for line in call.printed)
                    written += [f"$ {call.command}", *(call.printed if shortened else printed)]
                done = block.last
    written += lines[done:]
    page.write_text("\n".join(written), encoding="utf-8")


if __name__ == "__main__":
    os.environ["COLUMNS"] = "200"
    for argument in sys.argv[1:]:
        update(Path(argument).resolve())
