"""Unit tests as they are written -> unit tests that can be run, and what is wrong with the others."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from msgspec.structs import replace

from sqlflow.build.examine import Checked
from sqlflow.core.clock import Moving, Nature, words_of
from sqlflow.core.compiled import CompiledModel
from sqlflow.core.diagnostics import Diagnostic, Severity, did_you_mean
from sqlflow.core.engine import BindError
from sqlflow.core.intervals import BEGINNING, END, Interval
from sqlflow.core.model import Model
from sqlflow.core.names import TableName
from sqlflow.core.schema import Column, Schema
from sqlflow.core.source import SourceFile
from sqlflow.core.units import Given, Rows, UnitStep, UnitTest, Written
from sqlflow.core.workshop import Workshop
from sqlflow.plan.subject import bounded_query
from sqlflow.project.read import read_texts
from sqlflow.project.reader import FileReader
from sqlflow.translation.translate import Untranslatable, translated
from sqlflow.unit.alone import Surroundings, compiled_alone
from sqlflow.unit.clock import frozen
from sqlflow.unit.ctes import queries_of_ctes
from sqlflow.unit.fits import misfit
from sqlflow.unit.tried import Filling, Trial, Tried


def check_units(
    tests: Iterable[UnitTest], checked: Checked, workshop: Workshop
) -> tuple[list[Tried], list[Diagnostic]]:
    """The tests that can be run, in their order, and every problem of them."""
    checker = _Checker(checked, workshop)
    found = [tried for test in tests if (tried := checker.test(test)) is not None]
    return found, checker.problems


def model_called(text: str, models: Collection[TableName]) -> tuple[TableName, ...]:
    """The models that a name may mean: with its schema, or without where only one has it."""
    exact = tuple(name for name in models if str(name).lower() == text.lower())
    return exact or tuple(name for name in models if name.name.lower() == text.lower())


class _Checker:
    def __init__(self, checked: Checked, workshop: Workshop) -> None:
        self.problems: list[Diagnostic] = []
        self._around = Surroundings(checked)
        self._workshop = workshop
        self._dialect = workshop.config.target_dialect
        self._names = [m.name for m in self._around.models.values() if not m.header.promise.tests]
        self._readers: dict[str, FileReader] = {}
        self._macros: tuple[SourceFile, ...] | None = None
        self._alone: dict[object, Checked | None] = {}

    def test(self, test: UnitTest) -> Tried | None:
        """A test that can be run; None where something about it is wrong, which has been told."""
        before = len(self.problems)
        name = self._model(test)
        compiled = self._around.compiled.models.get(name) if name is not None else None
        if name is None or compiled is None:
            return None
        if test.scenario and not compiled.header.promise.stands:
            message = f"`{name}` is inline, so there is no table to build step by step"
            hint = "give it one step, with `given` and `expect` instead of `steps`"
            self.problems.append(Diagnostic("invalid-for-mode", message, test.place.span, hint))
            return None
        inlines = self._inlines_given(test)
        read, inlined = self._around.read_by(name, inlines)
        inputs = {table: self._around.columns(table) for table in read}
        builds = compiled.header.promise.stands and test.cte is None
        builds = builds and (test.scenario or compiled.header.promise.keeps or bool(compiled.bounds))
        project: Checked | None = None
        if builds or test.variables or inlines or test.steps[0].now is not None:
            project = self._compiled(test, compiled.model, inlined, inputs, test.steps[0].now)
            if project is None:
                return None
            compiled = project.compiled.models[name]
        schema, query = compiled.schema, compiled.query.text
        if test.cte is not None:
            found = self._cte(test, compiled, inputs)
            if found is None:
                return None
            schema, query = found
        trials = []
        for step in test.steps:
            if builds and step.now != test.steps[0].now:
                project = self._compiled(test, self._around.models[name], inlined, inputs, step.now)
            trials.append(self._trial(test, step, name, inputs, schema, project))
        self._tell_of_time(test, compiled, trials)
        if any(problem.severity is Severity.ERROR for problem in self.problems[before:]):
            return None
        return Tried(test, name, inputs, schema, tuple(trials), None if builds else query)

    def _model(self, test: UnitTest) -> TableName | None:
        found = model_called(test.model, self._names)
        if len(found) == 1:
            return found[0]
        message = f"there is no model `{test.model}`"
        hint = _near(test.model, self._names) or "see `sqlflow list`"
        if found:
            message = f"`{test.model}` is ambiguous: it may be {' or '.join(f'`{name}`' for name in found)}"
            hint = "write the schema in front of it"
        code = "ambiguous-table" if found else "unknown-table"
        self.problems.append(Diagnostic(code, message, test.model_place.span, hint))
        return None

    def _inlines_given(self, test: UnitTest) -> frozenset[TableName]:
        """The inline models that a test gives rows to."""
        inline = [name for name, model in self._around.models.items() if model.header.promise.inlined]
        if not inline:
            return frozenset()
        written = [given.name for step in test.steps for given in (*step.given, *step.added)]
        return frozenset(name for text in written for name in model_called(text, inline))

    # -------------------------------------------------------------- the query

    def _compiled(
        self,
        test: UnitTest,
        model: Model,
        inlined: Sequence[TableName],
        inputs: Mapping[TableName, Schema],
        now: datetime | None,
    ) -> Checked | None:
        """The model alone, with the variables of a test, at a moment. What tells a model from another is of no moment, so
        that time that goes by between two steps is no edit."""
        plain = self._compiled_once(test, model, inlined, inputs, None)
        if now is None or plain is None:
            return plain
        stopped = self._compiled_once(test, model, inlined, inputs, now)
        if stopped is None:
            return None
        one, other = plain.compiled.models[model.name], stopped.compiled.models[model.name]
        if left := [item for item in (*other.clock, *_items(other)) if item.nature is Nature.CLOCK]:
            message = f"`now` does not stop {words_of(left)} in `{model.name}`"
            hint = "write `current_timestamp`, `current_date` or `now()` there"
            self.problems.append(Diagnostic("depends-on-time", message, test.place.span, hint))
            return None
        joined = replace(other, fingerprint=one.fingerprint, clock=one.clock, written=one.written)
        return replace(
            stopped, compiled=replace(stopped.compiled, models={**stopped.compiled.models, model.name: joined})
        )

    def _compiled_once(
        self,
        test: UnitTest,
        model: Model,
        inlined: Sequence[TableName],
        inputs: Mapping[TableName, Schema],
        now: datetime | None,
    ) -> Checked | None:
        key = (model.name, repr(sorted(test.variables.items())), now, tuple(inlined))
        if key not in self._alone:
            self._alone[key] = self._compile(test, model, inlined, inputs, now)
        return self._alone[key]

    def _compile(
        self,
        test: UnitTest,
        model: Model,
        inlined: Sequence[TableName],
        inputs: Mapping[TableName, Schema],
        now: datetime | None,
    ) -> Checked | None:
        models = [self._around.models[name] for name in (*inlined, model.name)]
        wrong: list[Diagnostic] = []
        if test.variables:
            models = [self._with_variables(model, test.variables, wrong) for model in models]
        if now is not None:
            zone = self._workshop.config.zone
            models = [frozen(model, self._dialect, now, zone) for model in models]
        sources = {table: source for table in inputs if (source := self._around.source(table)) is not None}
        checked, problems = compiled_alone(models[-1], models[:-1], inputs, sources, self._workshop)
        wrong += [problem for problem in problems if problem.severity is Severity.ERROR]
        self.problems += wrong
        if not wrong and model.name not in checked.compiled.models:
            message = f"`{model.name}` does not compile with what this test gives it"
            self.problems.append(Diagnostic("invalid-query", message, test.place.span))
        return checked if not wrong and model.name in checked.compiled.models else None

    def _with_variables(self, model: Model, variables: Mapping[str, object], problems: list[Diagnostic]) -> Model:
        """The model as its file reads with other values."""
        config = self._workshop.config
        key = repr(sorted(variables.items()))
        if key not in self._readers:
            if self._macros is None:
                self._macros = read_texts(config).macros
            changed = replace(config, variables={**config.variables, **variables})
            self._readers[key] = FileReader(changed, self._macros, [])
        found: list[Diagnostic] = []
        read = self._readers[key].model(model.file, found)
        problems += [problem for problem in found if problem.severity is Severity.ERROR]
        return model if read is None or read[1] is None else read[1]

    def _cte(
        self, test: UnitTest, compiled: CompiledModel, inputs: Mapping[TableName, Schema]
    ) -> tuple[Schema, str] | None:
        assert test.cte is not None
        assert test.cte_place is not None
        time = compiled.schema.find(compiled.header.time or "")
        text = bounded_query(compiled, time.type if time is not None else "DATE", Interval(BEGINNING, END))
        queries = queries_of_ctes(text, self._dialect)
        query = queries.get(test.cte.lower())
        if query is None:
            message = f"`{compiled.name}` does not begin with a CTE `{test.cte}`"
            hint = did_you_mean(test.cte, queries) or (
                f"it has {', '.join(f'`{name}`' for name in queries)}" if queries else "it has none"
            )
            self.problems.append(Diagnostic("unknown-cte", message, test.cte_place.span, hint))
            return None
        for table, schema in inputs.items():
            self._workshop.binder.define(table, schema)
        bound = self._workshop.binder.bind(query)
        if isinstance(bound, BindError):
            message = f"the CTE `{test.cte}` is no query by itself: {bound.message}"
            self.problems.append(Diagnostic("invalid-query", message, test.cte_place.span, bound.hint))
            return None
        return bound, query

    def _tell_of_time(self, test: UnitTest, compiled: CompiledModel, trials: Sequence[Trial]) -> None:
        """A warning for a test that may come out otherwise another day."""
        compared = {c.name.lower() for trial in trials if trial.expect is not None for c in trial.expect.columns}
        items = [*compiled.clock, *(i for n, found in compiled.written.items() if n in compared for i in found)]
        clock = [item for item in items if item.nature is Nature.CLOCK]
        if clock and all(step.now is None for step in test.steps) and test.cte is None:
            message = f"`{compiled.name}` depends on {words_of(clock)}, and `{test.name}` does not say what time it is"
            hint = "add a `now`, such as `now: 2024-01-05 12:00`"
            self.problems.append(Diagnostic("depends-on-time", message, test.place.span, hint, Severity.WARNING))

    # -------------------------------------------------------------- rows

    def _trial(
        self,
        test: UnitTest,
        step: UnitStep,
        model: TableName,
        inputs: Mapping[TableName, Schema],
        schema: Schema,
        project: Checked | None,
    ) -> Trial:
        expect = None
        if step.expect is not None:
            what = f"the CTE `{test.cte}`" if test.cte is not None else f"`{model}`"
            expect = self._filling(model, schema, step.expect, what)
        return Trial(
            step.place,
            self._fillings(step.given, model, inputs),
            self._fillings(step.added, model, inputs),
            self._fillings(step.deleted, model, inputs),
            expect,
            step.now,
            project,
        )

    def _fillings(
        self, given: Iterable[Given], model: TableName, inputs: Mapping[TableName, Schema]
    ) -> tuple[Filling, ...]:
        found: dict[TableName, Filling | None] = {}
        for item in given:
            names = model_called(item.name, inputs)
            if len(names) != 1:
                read = ", ".join(f"`{name}`" for name in inputs) or "nothing"
                message = f"`{model}` does not read `{item.name}`"
                hint = _near(item.name, inputs)
                if names:
                    message = f"`{item.name}` is ambiguous: it may be {' or '.join(f'`{name}`' for name in names)}"
                    hint = "write the schema in front of it"
                self.problems.append(Diagnostic("unread-input", message, item.place.span, hint or f"it reads {read}"))
                continue
            name = names[0]
            if name in found:
                message = f"`{name}` is given twice"
                self.problems.append(Diagnostic("duplicate-name", message, item.place.span, "put the rows together"))
                continue
            found[name] = self._filling(name, inputs[name], item.rows, f"`{name}`")
        return tuple(filling for filling in found.values() if filling is not None)

    def _filling(self, table: TableName, schema: Schema, rows: Rows, what: str) -> Filling | None:
        if rows.query is not None:
            return self._from_query(table, schema, rows, what)
        known = self._columns(schema, rows.columns, what)
        for row in rows.rows:
            for name, cell in row.items():
                column = known.get(name)
                if column is not None and (why := misfit(cell, column.type)) is not None:
                    message = f"`{cell.text}` does not fit `{name}`, which is {column.type}: {why}"
                    self.problems.append(Diagnostic("invalid-value", message, cell.place.span))
        if len(known) < len(rows.columns):
            return None
        return Filling(table, tuple(known.values()) or schema.columns, rows)

    def _from_query(self, table: TableName, schema: Schema, rows: Rows, what: str) -> Filling | None:
        """Rows that a query gives, which reads nothing."""
        assert rows.query is not None
        text, authors = rows.query, self._workshop.config.dialect
        binder = self._workshop.binder

        def wrong(code: str, message: str, hint: str | None = None) -> None:
            self.problems.append(Diagnostic(code, message, rows.place.span, hint))

        if authors != self._dialect:
            try:
                text = translated(text, authors, self._dialect)
            except Untranslatable as error:
                wrong("not-translatable", f"these rows have no translation to {self._dialect}: {error}")
                return None
        parsed = binder.parse(text)
        if isinstance(parsed, BindError):
            wrong(parsed.code, parsed.message, parsed.hint)
            return None
        if parsed:
            read = parsed[0]
            name = f"{read.schema}.{read.name}" if read.schema else read.name
            wrong("invalid-query", f"these rows are read from `{name}`", "write the values: `SELECT 1 AS id`")
            return None
        bound = binder.bind(text)
        if isinstance(bound, BindError):
            wrong(bound.code, bound.message, bound.hint)
            return None
        known = self._columns(schema, dict.fromkeys(bound.names, rows.place), what)
        if len(known) < len(bound):
            return None
        return Filling(table, tuple(known.values()), rows, text, bound.names)

    def _columns(self, schema: Schema, names: Mapping[str, Written], what: str) -> dict[str, Column]:
        """The columns of these names, without those that are not there, which are told."""
        found = {}
        for name, place in names.items():
            column = schema.find(name)
            if column is None:
                hint = did_you_mean(name, schema.names) or f"it has {', '.join(f'`{n}`' for n in schema.names[:8])}"
                message = f"there is no column `{name}` in {what}"
                self.problems.append(Diagnostic("unknown-column", message, place.span, hint))
            else:
                found[name] = column
        return found


def _near(text: str, names: Collection[TableName]) -> str | None:
    """The nearest name, compared with its schema or without."""
    return did_you_mean(text, [str(name) if "." in text else name.name for name in names])


def _items(model: CompiledModel) -> list[Moving]:
    return [item for items in model.written.values() for item in items]
