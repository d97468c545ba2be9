"""tests/*.yml -> unit tests of models."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import PurePosixPath

from sqlflow.core.config import Config
from sqlflow.core.diagnostics import Diagnostic, Note, Severity, did_you_mean
from sqlflow.core.source import SourceFile
from sqlflow.core.text import MappedText
from sqlflow.core.units import Cell, Given, Rows, UnitStep, UnitTest, Written
from sqlflow.project import yaml
from sqlflow.project.discover import discover, inside, outside, read_text
from sqlflow.project.unit_csv import Field, csv_fields
from sqlflow.project.values import Given as Value
from sqlflow.project.values import root_of

_KEYS = (
    "model", "cte", "given", "expect", "steps", "now", "variables", "in_order", "tolerance", "description", "tags",
)  # fmt: skip
_STEP_KEYS = ("given", "add", "delete", "expect", "now")
_FORMS = ("rows", "csv", "sql", "file")


def read_units(config: Config) -> tuple[tuple[UnitTest, ...], list[Diagnostic]]:
    """The unit tests of a project, in the order of their files, and what is wrong with them."""
    problems: list[Diagnostic] = []
    files = discover(config.root, config.allow_outside_paths, [])
    reader = _Reader(config, problems)
    found: dict[str, UnitTest] = {}
    for path in files.units:
        file = read_text(config.root, path, problems)
        for test in reader.tests(file) if file is not None else ():
            first = found.setdefault(test.name.lower(), test)
            if first is not test:
                note = Note("the other one is here", first.place.span)
                message = f"two unit tests are called `{test.name}`"
                problems.append(Diagnostic("duplicate-name", message, test.place.span, "rename one", notes=(note,)))
    for path in files.fixtures:
        if path not in reader.fixtures:
            message, hint = f"nothing reads `{path}`", "no unit test names it: `{file: " + str(path) + "}`"
            problems.append(Diagnostic("unread-file", message, SourceFile(path, "").span(0), hint, Severity.WARNING))
    return tuple(found.values()), problems


def units_in(config: Config, file: SourceFile) -> tuple[tuple[UnitTest, ...], list[Diagnostic]]:
    """The unit tests of one text, and what is wrong with them."""
    problems: list[Diagnostic] = []
    return tuple(_Reader(config, problems).tests(file)), problems


class _Reader:
    """Reads the entries of files. `fixtures`: the files with rows that were read on the way."""

    def __init__(self, config: Config, problems: list[Diagnostic]) -> None:
        self._config = config
        self._problems = problems
        self.fixtures: dict[PurePosixPath, SourceFile | None] = {}

    def tests(self, file: SourceFile) -> Iterator[UnitTest]:
        """The tests of a file about which nothing is wrong."""
        document = yaml.load(MappedText.of(file), self._problems)
        if document is None or document.value is None:
            return
        for name, given in root_of(document, self._problems).entries().items():
            if name == "unit_tests" and isinstance(given.value, list):
                given.fail(
                    "this is a list of dbt",
                    hint="here each test is a key of the file, see docs/guides/unit-tests.md",
                    at_key=True,
                )
                continue
            if (test := self.test(file, name, given)) is not None:
                yield test

    def test(self, file: SourceFile, name: str, given: Value) -> UnitTest | None:
        """One test; None where nobody can say what it tests."""
        before = len(self._problems)
        fields = given.fields(_KEYS, ("model",))
        if "model" not in fields or (model := fields["model"].text()) is None:
            return None
        scenario = "steps" in fields
        for word in ("given", "expect", "cte", "in_order") if scenario else ():
            if word in fields:
                hint = "a step has its own `given` and `expect`" if word in _STEP_KEYS else "leave it out"
                message = "it does not go with `steps`, which are builds of the model"
                fields[word].fail(message, "unknown-key", hint, at_key=True)
        if scenario:
            steps = [self._step(file, item) for item in fields["steps"].items()]
            if not steps and len(self._problems) == before:
                fields["steps"].expected("one step or more")
            if steps and all(step.expect is None for step in steps) and len(self._problems) == before:
                fields["steps"].fail("no step has an `expect`", "missing-key", at_key=True)
        else:
            if "expect" not in fields:
                self._problems.append(
                    Diagnostic(
                        "missing-key",
                        f"{given.label}: the key `expect` is missing",
                        given.key_span,
                        "write the rows that the model must give, or `[]` for none",
                    )
                )
            steps = [self._step(file, given, {w: fields[w] for w in ("given", "expect", "now") if w in fields})]
        now = _moment(fields["now"]) if "now" in fields else None
        if scenario and now is not None:
            steps = [step if step.now is not None else _at(step, now) for step in steps]
        cte = fields["cte"].text() if "cte" in fields else None
        variables = fields["variables"].entries() if "variables" in fields else {}
        for word, value in variables.items():
            if word not in self._config.variables:
                hint = did_you_mean(word, self._config.variables) or "declare it under `variables` in sqlflow.yml"
                value.fail("there is no such variable", "unknown-variable", hint, at_key=True)
        tolerance = fields["tolerance"].number() if "tolerance" in fields else None
        test = UnitTest(
            name=name,
            place=_key_place(file, given),
            model=model,
            model_place=_place(file, fields["model"]),
            steps=tuple(steps),
            scenario=scenario,
            cte=cte,
            cte_place=_place(file, fields["cte"]) if "cte" in fields else None,
            variables={word: value.value for word, value in variables.items()},
            in_order=bool(fields["in_order"].boolean()) if "in_order" in fields else False,
            tolerance=float(tolerance) if tolerance is not None else None,
            description=(fields["description"].text() or "") if "description" in fields else "",
            tags=fields["tags"].names() if "tags" in fields else (),
        )
        return test if len(self._problems) == before else None

    def _step(self, file: SourceFile, given: Value, fields: Mapping[str, Value] | None = None) -> UnitStep:
        words = given.fields(_STEP_KEYS) if fields is None else fields
        return UnitStep(
            place=_place(file, given) if fields is None else _key_place(file, given),
            given=self._inputs(file, words.get("given")),
            added=self._inputs(file, words.get("add")),
            deleted=self._inputs(file, words.get("delete")),
            expect=self._rows(file, words["expect"]) if "expect" in words else None,
            now=_moment(words["now"]) if "now" in words else None,
        )

    def _inputs(self, file: SourceFile, given: Value | None) -> tuple[Given, ...]:
        if given is None or given.value is None:
            return ()
        found = []
        for name, value in given.entries().items():
            rows = self._rows(file, value)
            if rows is not None:
                found.append(Given(name, _key_place(file, value), rows))
        return tuple(found)

    def _rows(self, file: SourceFile, given: Value) -> Rows | None:
        """Rows in one of the ways to write them."""
        place = _place(file, given)
        match given.value:
            case None:
                given.expected("rows", "write `[]` for none")
                return None
            case list():
                return self._mappings(file, given)
            case str() as text:
                return self._csv(given, text, _offsets(file, given, text), place)
            case dict():
                fields = given.fields(_FORMS)
                if len(fields) != 1:
                    if fields or not given.value:
                        given.fail("expected one of `rows`, `csv`, `sql` and `file`", "wrong-type")
                    return None
                ((form, inner),) = fields.items()
                if form == "rows":
                    return self._mappings(file, inner)
                return self._in_form(file, form, inner)
            case _:
                given.expected("a list of rows, CSV text, or `sql` or `file`", "each row is a mapping: `- {id: 1}`")
                return None

    def _in_form(self, file: SourceFile, form: str, given: Value) -> Rows | None:
        text = given.text()
        if text is None:
            return None
        if form == "sql":
            return Rows(_place(file, given), {}, query=text.strip().rstrip(";").rstrip())
        if form == "csv":
            return self._csv(given, text, _offsets(file, given, text), _place(file, given))
        return self._file(given, text)

    def _mappings(self, file: SourceFile, given: Value) -> Rows:
        columns: dict[str, Written] = {}
        spelled: dict[str, str] = {}
        rows: list[Mapping[str, Cell]] = []
        for item in given.items():
            if not isinstance(item.value, dict) or not item.value:
                item.expected("a row", "a row is a mapping from columns to values: `{id: 1, name: x}`")
                continue
            row: dict[str, Cell] = {}
            for name, value in item.entries().items():
                known = spelled.setdefault(name.lower(), name)
                columns.setdefault(known, _key_place(file, value))
                if known in row:
                    value.fail("the column is given twice", "duplicate-column", at_key=True)
                row[known] = _cell(file, value)
            rows.append(row)
        return Rows(_place(file, given), columns, tuple(rows))

    def _file(self, given: Value, text: str) -> Rows | None:
        path = PurePosixPath(text)
        if path.suffix.lower() != ".csv":
            given.fail(
                f"`{text}` is no CSV file", "invalid-value", "rows are read from files that end in .csv; or write `sql`"
            )
            return None
        if path not in self.fixtures:
            self.fixtures[path] = None
            if not self._config.allow_outside_paths and not inside(self._config.root, self._config.root / path):
                self._problems.append(outside(f"`{text}` is a place", given.span))
                return None
            if not (self._config.root / path).is_file():
                given.fail(f"there is no file `{text}`", "unreadable-file", "the path begins in the project's folder")
                return None
            self.fixtures[path] = read_text(self._config.root, path, self._problems)
        file = self.fixtures[path]
        if file is None:
            return None
        return self._csv(given, file.text, _Offsets(file, ((0, 0),)), Written(file, 0, 1))

    def _csv(self, given: Value, text: str, offsets: _Offsets, place: Written) -> Rows | None:
        lines = csv_fields(text)
        if not lines:
            given.fail("there is no line with the names of columns", "invalid-value", "`rows: []` means no rows")
            return None
        head, *body = lines
        columns: dict[str, Written] = {}
        for field in head:
            name = field.text or ""
            if name.lower() in {known.lower() for known in columns} or not name:
                what = "the column is given twice" if name else "a column has no name"
                self._wrong(given, what, offsets.of(field))
                return None
            columns[name] = offsets.of(field)
        rows: list[Mapping[str, Cell]] = []
        for line in body:
            if len(line) != len(head):
                what = f"a line has {len(line)} values, and the first has {len(head)} columns"
                self._wrong(given, what, offsets.of(line[0]))
                continue
            rows.append(
                {
                    name: Cell(field.text, field.text or "", offsets.of(field))
                    for name, field in zip(columns, line, strict=True)
                }
            )
        return Rows(place, columns, tuple(rows))

    def _wrong(self, given: Value, what: str, place: Written) -> None:
        self._problems.append(Diagnostic("invalid-value", f"{given.label}: {what}", place.span))


class _Offsets:
    """Where in a file the characters of a text stand. `lines`: for each of its lines, where it begins in the text, and in the
    file."""

    def __init__(self, file: SourceFile, lines: Sequence[tuple[int, int]]) -> None:
        self._file = file
        self._lines = lines

    def of(self, field: Field) -> Written:
        begin, at = next(line for line in reversed(self._lines) if line[0] <= field.start)
        start = at + field.start - begin
        return Written(self._file, start, start + max(1, field.end - field.start))


def _offsets(file: SourceFile, given: Value, text: str) -> _Offsets:
    """Each line of a value of several lines is looked for where the value stands: YAML has indented them."""
    place = _place(file, given)
    lines: list[tuple[int, int]] = []
    begin, at = 0, place.start
    for line in text.split("\n"):
        found = file.text.find(line, at, max(place.end, place.start + 1)) if line else at
        at = found if found >= 0 else at
        lines.append((begin, at))
        begin += len(line) + 1
        at += len(line)
    return _Offsets(file, lines)


def _place(file: SourceFile, given: Value) -> Written:
    assert isinstance(given.place, yaml.Yaml)
    start, end = given.place.values.get(given.path, (0, 0))
    return Written(file, start, end)


def _key_place(file: SourceFile, given: Value) -> Written:
    assert isinstance(given.place, yaml.Yaml)
    found = given.place.keys.get(given.path)
    return Written(file, *found) if found is not None else _place(file, given)


def _cell(file: SourceFile, given: Value) -> Cell:
    """A value with the text that it has where it becomes text: `1.10` as it is written."""
    place = _place(file, given)
    value = given.value
    if isinstance(value, bool):
        return Cell(value, "true" if value else "false", place)
    if isinstance(value, float) and not math.isfinite(value):
        return Cell(value, str(value), place)
    written = file.text[place.start : place.end].strip()
    if isinstance(value, int | float | date) and written and yaml.scalar(written) == value:
        return Cell(value, written, place)
    return Cell(value, "" if value is None else str(value), place)


def _moment(given: Value) -> datetime | None:
    """`2024-01-05 12:00`, or a day, at its beginning."""
    match given.value:
        case datetime() as moment:
            return moment
        case date() as day:
            return datetime(day.year, day.month, day.day)  # noqa: DTZ001 - its zone is the project's
        case _:
            given.expected("a date and time", "write it like `2024-01-05 12:00`")
            return None


def _at(step: UnitStep, now: datetime) -> UnitStep:
    return UnitStep(step.place, step.given, step.added, step.deleted, step.expect, now)
