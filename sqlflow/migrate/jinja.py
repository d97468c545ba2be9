"""Renders the Jinja of a dbt project, in Jinja2's sandbox: no files, no network, no database.

The text of a model that is no Jinja comes out as it went in. What only a database could answer ends the rendering with
`NeedsDatabase`, and what nobody defined with `NotRendered`; both say where.
"""

from __future__ import annotations

import json
import re
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone
from functools import partial
from types import SimpleNamespace
from typing import Any

import yaml
from msgspec import Struct

from sqlflow.core.diagnostics import one_problem
from sqlflow.migrate.asked import Flags, Target
from sqlflow.migrate.blocks import tags_of
from sqlflow.migrate.configs import merged
from sqlflow.migrate.dbt import DbtModel, DbtProject, Package, TextFile


class NotRendered(Exception):
    """What a template asks for cannot be known. `reason`: in words; `hint`: what to do about it."""

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.reason, self.hint = reason, hint


class NeedsDatabase(NotRendered):
    """Only a database could answer."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"`{what}` asks the database while the SQL is made",
            "run `dbt compile` with dbt, and migrate again: the SQL is then taken from target/compiled",
        )


class Refused(NotRendered):
    """The project itself refuses, with `exceptions.raise_compiler_error`."""


class _Returned(Exception):
    def __init__(self, value: object) -> None:
        super().__init__("return")
        self.value = value


class Relation:
    """What `ref`, `source` and `this` give: a name that can be asked for its parts."""

    def __init__(self, written: str, database: str, schema: str, identifier: str, kind: str = "table") -> None:
        self.written, self.database, self.schema, self.identifier = written, database, schema, identifier
        self.name = self.table = identifier
        self.type = kind
        self.is_table, self.is_view, self.is_cte = kind == "table", kind == "view", kind == "cte"

    def __str__(self) -> str:
        return self.written

    def render(self) -> str:
        return self.written

    def include(self, **parts: bool) -> Relation:
        kept = self.identifier if parts.get("schema") is False else self.written
        if parts.get("identifier") is False:
            kept = self.schema
        return Relation(kept, self.database, self.schema, self.identifier, self.type)

    def quote(self, **_: object) -> Relation:
        return self

    def without_identifier(self) -> Relation:
        return self.include(identifier=False)

    def information_schema(self, view: str = "") -> str:
        return f"information_schema.{view}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Relation) and self.written == other.written

    def __hash__(self) -> int:
        return hash(self.written)


class Note(Struct, frozen=True):
    """Something about the rendering of a template that its reader should know. `line` is 0 where it is not known."""

    reason: str
    line: int = 0
    hint: str = ""
    harmless: bool = False  # whether the text is what dbt would make, in this environment
    by_hand: bool = False


class Rendered(Struct, frozen=True):
    """What a template gave. `reads`: relations in the order in which they were asked for, each once."""

    text: str
    config: Mapping[str, Any]
    reads: tuple[Relation, ...]
    notes: tuple[Note, ...]
    asked_incremental: bool = False


class Failed(Struct, frozen=True):
    """Why a template gave nothing. `line` counts in the template."""

    reason: str
    hint: str
    line: int
    config: Mapping[str, Any]
    reads: tuple[Relation, ...]
    database: bool = False


class Lookups(Struct, frozen=True):
    """How names are answered: by the stage that knows what the tables are called. Each raises NotRendered."""

    ref: Callable[[str | None, str, object], Relation]  # package, name, version
    source: Callable[[str, str], Relation]
    this: Callable[[DbtModel], Relation]
    columns: Callable[[Relation], Sequence[tuple[str, str]] | None]  # name and type, None when nobody knows


_ABSENT = object()


class _Current:
    """The template that is being rendered, and what it says on the way."""

    def __init__(self, node: DbtModel, *, incremental: bool, execute: bool, config: Mapping[str, Any]) -> None:
        self.node, self.incremental, self.execute = node, incremental, execute
        self.said: dict[str, Any] = {}
        self.known = config
        self.reads: dict[str, Relation] = {}
        self.notes: dict[str, Note] = {}
        self.asked_incremental = False

    @property
    def config(self) -> Mapping[str, Any]:
        return merged(self.known, self.said)

    def note(self, reason: str, hint: str = "", *, harmless: bool = False, by_hand: bool = False) -> None:
        self.notes.setdefault(reason, Note(reason, 0, hint, harmless, by_hand))


class Renderer:
    """Renders the templates of one project. `equivalents`: package -> macro -> what is used in its place."""

    def __init__(self, project: DbtProject, equivalents: Mapping[str, Mapping[str, Callable[..., object]]]) -> None:
        self._jinja = _library()
        self._project = project
        self._equivalents = equivalents
        self._lookups: Lookups | None = None
        self._current: _Current | None = None
        self._environment = self._make_environment()
        self._base = self._globals()
        self._macros = {package.name: _Macros(self, package) for package in project.packages}
        self._contexts: dict[str, dict[str, Any]] = {}
        for package in project.packages:
            self._contexts[package.name] = self._context_of(package)
        self.adapter = _Adapter(self)
        for context in self._contexts.values():
            context["adapter"] = self.adapter

    @property
    def started(self) -> datetime:
        return self._project.started

    @property
    def adapter_type(self) -> str:
        return self._project.output.type

    @property
    def output_schema(self) -> str:
        return self._project.output.schema

    @property
    def target_name(self) -> str:
        return self._project.output.name

    def answer_with(self, lookups: Lookups) -> None:
        self._lookups = lookups

    # ------------------------------------------------------------ rendering

    def render(
        self,
        node: DbtModel,
        text: str,
        *,
        config: Mapping[str, Any],
        incremental: bool = False,
        execute: bool = True,
        also: Mapping[str, Any] | None = None,
    ) -> Rendered | Failed:
        """What a template of a node gives. `config`: what is known of its configuration from elsewhere."""
        before = self._current
        current = self._current = _Current(node, incremental=incremental, execute=execute, config=config)
        name = str(node.file.path)
        try:
            context = self._contexts[node.package]
            own = {**self._of_node(node, current), **(also or {})}
            outer = {key: dict.get(context, key, _ABSENT) for key in own}
            context.update(own)
            try:
                result = self._run(text, name, context)
            finally:
                for key, value in outer.items():  # one that asks what another one gives goes on with its own
                    context.pop(key, None) if value is _ABSENT else context.__setitem__(key, value)
            return Rendered(
                result,
                current.said,
                tuple(current.reads.values()),
                tuple(current.notes.values()),
                current.asked_incremental,
            )
        except Exception as error:  # noqa: BLE001 - templates are programs of strangers: whatever they raise is an answer
            return self._failed(error, name, current)
        finally:
            self._current = before

    def value(self, text: str, node: DbtModel | None = None) -> object:
        """What an expression in a YAML file gives; the text itself where it is none. Raises NotRendered."""
        if "{{" not in text and "{%" not in text:
            return text
        node = node or self._project_node()
        outcome = self.render(node, text, config={})
        if isinstance(outcome, Failed):
            raise NotRendered(outcome.reason, outcome.hint)
        return outcome.text

    def call(self, macro: str, node: DbtModel, *arguments: object) -> object:
        """What a macro of the project gives, None when there is none of that name."""
        found = self.macro(macro)
        if found is None:
            return None
        before = self._current
        self._current = _Current(node, incremental=False, execute=True, config=node.folder_config)
        try:
            for context in self._contexts.values():
                context.update(self._of_node(node, self._current))
            return found(*arguments)
        finally:
            self._current = before

    def macro(self, name: str, package: str | None = None) -> Callable[..., Any] | None:
        """A macro of a package, of the project by default."""
        macros = self._macros.get(package or self._project.name)
        return None if macros is None else macros.get(name)

    def this(self, node: DbtModel) -> Relation:
        assert self._lookups is not None
        return self._lookups.this(node)

    def place_of_macro(self, name: str) -> TextFile | None:
        return self._macros[self._project.name].file(name)

    def _run(self, text: str, name: str, context: dict[str, Any]) -> str:
        template = self._compiled(text, name)
        try:
            made = template.new_context(vars=context, shared=True)
            return "".join(template.root_render_func(made))
        except _Returned as returned:
            return str(returned.value)
        except Exception:  # noqa: BLE001 - Jinja raises it again, with the lines of the template
            return str(self._environment.handle_exception())

    def _compiled(self, text: str, name: str) -> Any:
        try:
            code = self._environment.compile(text, name=name, filename=name)
        except self._jinja.TemplateSyntaxError as error:
            wrong = NotRendered(f"Jinja does not read it: {error.message}", "")
            wrong.line = error.lineno  # type: ignore[attr-defined]
            raise wrong from None
        return self._jinja.Template.from_code(self._environment, code, {}, None)

    def _failed(self, error: Exception, name: str, current: _Current) -> Failed:
        line = getattr(error, "line", 0) or _line_in(error, name)
        if isinstance(error, NotRendered):
            reason, hint = error.reason, error.hint
        elif isinstance(error, _Returned):
            reason, hint = "`return` stands outside of a macro", ""
        elif isinstance(error, self._jinja.UndefinedError):
            reason, hint = self._undefined(str(error))
        elif isinstance(error, RecursionError):
            reason, hint = "macros call each other without end", ""
        else:
            reason, hint = f"Jinja fails: {type(error).__name__}: {error}"[:300], ""
        return Failed(reason, hint, line, current.said, tuple(current.reads.values()), isinstance(error, NeedsDatabase))

    def _undefined(self, message: str) -> tuple[str, str]:
        match = re.match(r"'([\w ]+)' is undefined", message)
        if match and match[1] in self._project.missing_packages:
            return f"the package `{match[1]}` is not there", "run `dbt deps`, and migrate again"
        if match:
            return (
                f"`{match[1]}` is defined nowhere",
                "if it is a macro of a package, run `dbt deps`, and migrate again",
            )
        return f"Jinja fails: {message}"[:300], ""

    # ------------------------------------------------------------ what templates can name

    def _make_environment(self) -> Any:
        jinja = self._jinja
        renderer = self

        class Undefined(jinja.Undefined):  # type: ignore[misc,name-defined]
            """Writes nothing, as dbt does, and says so."""

            def __str__(self) -> str:
                if renderer._current is not None and self._undefined_name:
                    renderer._current.note(
                        f"`{self._undefined_name}` is defined nowhere; dbt writes nothing in its place"
                    )
                return ""

        environment = jinja.SandboxedEnvironment(
            extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"],
            undefined=Undefined,
            keep_trailing_newline=True,
            cache_size=0,
        )
        environment.filters.update(as_bool=_as_bool, as_number=_as_number, as_text=str, as_native=_native)
        return environment

    def _context_of(self, package: Package) -> dict[str, Any]:
        """The names of one package: its macros first, then the project's, then dbt's."""
        return _Names(self, package, self._base)

    def _of_node(self, node: DbtModel, current: _Current) -> dict[str, Any]:
        model = {
            "name": node.name, "alias": node.name, "resource_type": node.resource, "package_name": node.package,
            "fqn": list(node.fqn), "path": str(node.file.path), "original_file_path": str(node.file.path),
            "unique_id": f"{node.resource}.{node.package}.{node.name}", "raw_code": node.file.text, "raw_sql": node.file.text,
            "tags": [], "config": dict(current.config), "columns": _columns_said(node), "description": "", "meta": {},
            "depends_on": {"nodes": [], "macros": []}, "refs": [], "sources": [],
        }  # fmt: skip
        this: object = ""
        if self._lookups is not None:
            this = self._lookups.this(node)
            model |= {
                "schema": this.schema,
                "alias": this.identifier,
                "database": this.database,
                "relation_name": str(this),
            }
        return {
            "this": this, "model": model, "node": model, "execute": current.execute, "config": _Config(current),
            "database": getattr(this, "database", ""), "schema": getattr(this, "schema", self._project.output.schema),
        }  # fmt: skip

    def _globals(self) -> dict[str, Any]:
        output = self._project.output
        target = Target(
            {**{k: v for k, v in output.said.items() if k not in ("password", "pass", "token", "private_key", "keyfile_json")},
             "name": output.name, "schema": output.schema, "type": output.type, "target_name": output.name,
             "profile_name": output.profile, "threads": output.said.get("threads", 1),
             "database": output.said.get("database") or output.said.get("dbname") or output.said.get("project") or output.said.get("catalog") or ""},
            self.remark,
        )  # fmt: skip
        found: dict[str, Any] = {
            **self._environment.globals,  # range, dict, namespace and the like
            "ref": self._ref, "source": self._source, "var": _Var(self), "env_var": self._env_var, "target": target,
            "is_incremental": self._is_incremental, "return": _give_back, "log": _nothing, "print": _nothing,
            "exceptions": SimpleNamespace(raise_compiler_error=_refuse, warn=_nothing, raise_not_implemented=_refuse, missing_config=_refuse),
            "run_query": _asks("run_query"), "statement": _asks("statement"), "load_result": _asks("load_result"),
            "get_relation": _asks("get_relation"), "load_relation": _asks("load_relation"),
            "store_result": _nothing, "run_started_at": _Moment(self), "invocation_id": "00000000-0000-0000-0000-000000000000",
            "dbt_version": "1.12.6", "project_name": self._project.name, "tojson": _to_json, "fromjson": _from_json,
            "toyaml": _to_yaml, "fromyaml": _from_yaml, "set": _set, "set_strict": _set, "zip": _zip, "zip_strict": _zip,
            "modules": _modules(self), "flags": Flags(self.remark), "graph": _Graph(self), "doc": self._doc, "builtins": {},
            "local_md5": _md5, "invocation_args_dict": {}, "dbt_metadata_envs": {}, "selected_resources": [], "thread_id": "main",
            "api": SimpleNamespace(Relation=SimpleNamespace(create=_relation), Column=_Column), "should_full_refresh": lambda: False,
            "render": lambda text: text, "column_name": "", "as_bool": _as_bool,
        }  # fmt: skip
        found["builtins"] = {name: found[name] for name in ("ref", "source", "config", "var") if name in found}
        return found

    @property
    def current(self) -> _Current:
        assert self._current is not None
        return self._current

    def remark(self, reason: str, hint: str = "") -> None:
        """Tell what is worth knowing about a query that is as it should be."""
        if self._current is not None:
            self._current.note(reason, hint, harmless=True)

    def note(self, reason: str, hint: str = "") -> None:
        if self._current is not None:
            self._current.note(reason, hint)

    def _ref(self, *words: str, **named: object) -> Relation:
        package, name = (words[0], words[1]) if len(words) > 1 else (None, words[0] if words else "")
        version = named.get("v", named.get("version"))
        return self._read(self._lookups.ref(package, str(name), version) if self._lookups else _unknown(str(name)))

    def _source(self, *words: str) -> Relation:
        if len(words) != 2:
            raise NotRendered("`source` needs the names of a source and of a table")
        return self._read(self._lookups.source(*map(str, words)) if self._lookups else _unknown(str(words[1])))

    def _read(self, relation: Relation) -> Relation:
        self.current.reads.setdefault(relation.written, relation)
        return relation

    def columns(self, relation: object) -> Sequence[tuple[str, str]] | None:
        return self._lookups.columns(relation) if self._lookups and isinstance(relation, Relation) else None

    def _is_incremental(self) -> bool:
        self.current.asked_incremental = True
        return self.current.incremental

    def _env_var(self, name: str, default: object = None) -> object:
        value = self._project.environment.get(name)
        if value is None and default is None:
            raise NotRendered(f"the environment variable `{name}` is not set", f"set `{name}`, and migrate again")
        known = "was read while migrating; its value" if value is not None else "is not set; its default"
        self.remark(f"the environment variable `{name}` {known} stands in the text now")
        return value if value is not None else default

    def variable(self, name: str) -> tuple[bool, object]:
        """Whether there is a variable, and its value."""
        package = self._current.node.package if self._current is not None else self._project.name
        places: list[Mapping[str, Any]] = [self._project.variables]
        for one in (self._project.main, self._project.package(package)):
            said = one.settings.get("vars")
            if isinstance(said, dict):
                inner = said.get(package)
                places += [inner if isinstance(inner, dict) else {}, said]
        for place in places:
            if name in place:
                value = place[name]
                if isinstance(value, str) and "{{" in value:
                    value = self.value(value)
                return True, value
        return False, None

    def _doc(self, *words: str) -> str:
        return f"{{{{ doc({', '.join(repr(word) for word in words)}) }}}}"

    def _project_node(self) -> DbtModel:
        from pathlib import PurePosixPath

        return DbtModel("", "operation", self._project.name, TextFile(PurePosixPath("dbt_project.yml"), ""), (), {})


_RENDERED_WHEN_RUN = ("pre-hook", "post-hook")


def rendered_values(
    value: Any,
    environment: Mapping[str, str],
    variables: Mapping[str, Any],
    problems: list[str],
    target: Mapping[str, Any] | None = None,
    *,
    lenient: bool = False,
) -> Any:
    """YAML values with `env_var`, `var` and `target` put in. `lenient`: what cannot be told is left as it is, without a word."""
    if isinstance(value, dict):
        return {
            key: one
            if str(key).lstrip("+").replace("_", "-") in _RENDERED_WHEN_RUN
            else rendered_values(one, environment, variables, problems, target, lenient=lenient)
            for key, one in value.items()
        }
    if isinstance(value, list):
        return [rendered_values(one, environment, variables, problems, target, lenient=lenient) for one in value]
    if not isinstance(value, str) or ("{{" not in value and "{%" not in value):
        return value
    jinja = _library()

    def env_var(name: str, default: object = None) -> object:
        found = environment.get(name)
        if found is None and default is None:
            raise NotRendered(f"the environment variable `{name}` is not set")
        return found if found is not None else default

    def var(name: str, default: object = None) -> object:
        return variables.get(name, default)

    environment_of_jinja = jinja.SandboxedEnvironment()
    environment_of_jinja.filters.update(as_bool=_as_bool, as_number=_as_number, as_text=str, as_native=_native)
    try:
        text = environment_of_jinja.from_string(value).render(
            env_var=env_var, var=var, target=target or {"name": "", "schema": ""}
        )
    except Exception as error:  # noqa: BLE001 - a template of a stranger
        if not lenient:
            problems.append(f"`{value}` could not be evaluated: {error}")
        return value
    return _native(text) if re.fullmatch(r"\{\{.*\}\}", value.strip(), re.DOTALL) else text


# ---------------------------------------------------------------- macros


class _Names(dict[str, Any]):
    """The names of one package for Jinja: `in` and `[]` find macros that are compiled when they are first asked for."""

    def __init__(self, renderer: Renderer, package: Package, base: Mapping[str, Any]) -> None:
        super().__init__(base)
        self._renderer, self._package = renderer, package

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or self._found(str(key)) is not None

    def __missing__(self, key: str) -> Any:
        found = self._found(key)
        if found is None:
            raise KeyError(key)
        return found

    def _found(self, key: str) -> Any:
        renderer = self._renderer
        for package in dict.fromkeys((self._package.name, renderer._project.name)):
            if (macro := renderer._macros[package].get(key)) is not None:
                return macro
        if key in renderer._macros:
            return _Namespace(renderer, key)
        if key in renderer._equivalents or key in ("dbt", "dbt_internal"):
            return _Namespace(renderer, key)
        if (known := renderer._equivalents.get("dbt", {}).get(key)) is not None:
            return _Equivalent(renderer, "dbt", key, known)
        if key in renderer._project.missing_packages:
            return _MissingPackage(key)
        return None


class _Macros:
    """The macros of a package, found by name without compiling any."""

    def __init__(self, renderer: Renderer, package: Package) -> None:
        self._renderer, self._package = renderer, package
        self._files: dict[str, TextFile] = {}
        for file in package.macros:
            for tag in tags_of(file.text):
                if tag.kind == "%" and tag.word in ("macro", "test", "data_test"):
                    match = re.match(r"\w+\s+(\w+)", tag.inside)
                    if match:
                        name = match[1] if tag.word == "macro" else f"test_{match[1]}"
                        self._files[name] = file
        self._compiled: dict[TextFile, Any] = {}

    def file(self, name: str) -> TextFile | None:
        return self._files.get(name)

    def get(self, name: str) -> Callable[..., Any] | None:
        file = self._files.get(name)
        return None if file is None else _Macro(self, name, file)

    def module(self, file: TextFile) -> Any:
        if file not in self._compiled:
            renderer = self._renderer
            template = renderer._compiled(_as_plain_macros(file.text), str(file.path))
            context = template.new_context(vars=renderer._contexts[self._package.name], shared=True)
            for _ in template.root_render_func(context):
                pass
            self._compiled[file] = context.exported_vars, context.vars
        return self._compiled[file][1]


class _Macro:
    """A macro that is compiled when it is called, and whose `return` gives a value."""

    def __init__(self, macros: _Macros, name: str, file: TextFile) -> None:
        self._macros, self._name, self._file = macros, name, file

    def __call__(self, *arguments: object, **named: object) -> object:
        try:
            return self._macros.module(self._file)[f"dbt_macro__{self._name}"](*arguments, **named)
        except _Returned as returned:
            return returned.value


class _Equivalent:
    """What stands for a macro of dbt or of a known package, unless the project says otherwise."""

    def __init__(self, renderer: Renderer, package: str, name: str, function: Callable[..., object]) -> None:
        self._renderer, self._package, self._name, self._function = renderer, package, name, function

    def __call__(self, *arguments: object, **named: object) -> object:
        for prefix in prefixes(self._renderer._project.output.type):
            if (macro := self._renderer.macro(f"{prefix}__{self._name}")) is not None and prefix != "default":
                return macro(*arguments, **named)
        return self._function(self._renderer, *arguments, **named)


class _Namespace:
    """`dbt_utils` in `dbt_utils.star(...)`."""

    def __init__(self, renderer: Renderer, package: str) -> None:
        self._renderer, self._package = renderer, package

    def __getattr__(self, name: str) -> object:
        if name.startswith("_"):
            raise AttributeError(name)
        known = self._renderer._equivalents.get(self._package, {}).get(name)
        if known is not None:
            return _Equivalent(self._renderer, self._package, name, known)
        macro = self._renderer.macro(name, self._package)
        if macro is not None:
            return macro
        if name == "get":
            return lambda word, default=None: getattr(self, word, default)
        return _Unknown(f"{self._package}.{name}", self._package not in self._renderer._macros)


class _MissingPackage:
    def __init__(self, package: str) -> None:
        self._package = package

    def __getattr__(self, name: str) -> object:
        if name.startswith("_"):
            raise AttributeError(name)
        return _Unknown(f"{self._package}.{name}", True)


class _Unknown:
    def __init__(self, name: str, missing: bool) -> None:
        self._name, self._missing = name, missing

    def __call__(self, *_: object, **__: object) -> object:
        if self._missing:
            raise NotRendered(
                f"the macro `{self._name}` is of a package that is not there", "run `dbt deps`, and migrate again"
            )
        raise NotRendered(f"there is no macro `{self._name}`")


def prefixes(adapter: str) -> tuple[str, ...]:
    """Which forms of a macro an adapter takes, the most special one first."""
    parents = {
        "redshift": ("redshift", "postgres"),
        "databricks": ("databricks", "spark"),
        "motherduck": ("motherduck", "duckdb"),
    }
    return (*parents.get(adapter, (adapter,)), "default")


class _Adapter:
    """`adapter` in templates."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer

    def dispatch(
        self, macro_name: str, macro_namespace: str | None = None, packages: object = None
    ) -> Callable[..., object]:
        renderer = self._renderer
        project = renderer._project
        name = macro_name.rpartition(".")[2]
        order = self._search_order(macro_namespace)
        for package in order:
            for prefix in prefixes(project.output.type):
                if (macro := renderer.macro(f"{prefix}__{name}", package)) is not None:
                    return macro
            known = renderer._equivalents.get(package, {}).get(name)
            if known is not None:
                return partial(known, renderer)
        known = renderer._equivalents.get("dbt", {}).get(name)
        if known is not None:
            return partial(known, renderer)
        return _Unknown(name, macro_namespace is not None and macro_namespace not in renderer._macros)

    def _search_order(self, namespace: str | None) -> list[str]:
        project = self._renderer._project
        for one in project.main.settings.get("dispatch") or []:
            if (
                isinstance(one, dict)
                and one.get("macro_namespace") == namespace
                and isinstance(one.get("search_order"), list)
            ):
                return [str(name) for name in one["search_order"]]
        current = self._renderer._current
        own = current.node.package if current is not None else project.name
        return list(dict.fromkeys(name for name in (project.name, namespace or own) if name))

    def quote(self, identifier: str) -> str:
        return (
            f"`{identifier}`"
            if self._renderer._project.output.type in ("bigquery", "spark", "databricks", "mysql")
            else f'"{identifier}"'
        )

    def quote_as_configured(self, identifier: str, _: str = "") -> str:
        return identifier

    def type(self) -> str:
        return self._renderer._project.output.type

    def get_columns_in_relation(self, relation: object) -> list[_Column]:
        known = self._renderer.columns(relation)
        if known is None:
            raise NeedsDatabase(f"adapter.get_columns_in_relation({relation})")
        return [_Column(name, kind) for name, kind in known]

    def get_relation(self, *arguments: object, **named: object) -> object:
        raise NeedsDatabase("adapter.get_relation")

    def __getattr__(self, name: str) -> object:
        if name.startswith("_"):
            raise AttributeError(name)
        return _asks(f"adapter.{name}")


class _Column:
    """A column of a table. Its class is `api.Column`."""

    @classmethod
    def translate_type(cls, dtype: str) -> str:
        return {"string": "TEXT", "integer": "INT"}.get(str(dtype).lower(), str(dtype))

    @classmethod
    def numeric_type(cls, dtype: str, precision: object, scale: object) -> str:
        return f"{dtype}({precision}, {scale})" if precision is not None and scale is not None else dtype

    @classmethod
    def string_type(cls, size: object) -> str:
        return f"character varying({size})"

    def __init__(self, column: str, dtype: str = "", *_: object) -> None:
        self.column = self.name = column
        self.dtype = self.data_type = dtype
        self.quoted = f'"{column}"'

    def is_string(self) -> bool:
        return any(word in self.dtype.lower() for word in ("char", "text", "string"))

    def is_numeric(self) -> bool:
        return any(word in self.dtype.lower() for word in ("numeric", "decimal", "number"))

    def is_number(self) -> bool:
        return self.is_numeric() or any(word in self.dtype.lower() for word in ("int", "float", "double", "real"))


def _as_plain_macros(text: str) -> str:
    """A file of macros with dbt's own blocks as macros, and each macro under a name that only dbt's look-up finds."""
    pieces: list[str] = []
    position = 0
    skipping = ""
    for tag in tags_of(text):
        if tag.kind != "%":
            continue
        if skipping:
            if tag.word == f"end{skipping}":
                pieces.append("\n" * text.count("\n", position, tag.end))
                position, skipping = tag.end, ""
            continue
        if tag.word in ("materialization", "docs", "snapshot"):
            pieces.append(text[position : tag.start])
            position, skipping = tag.start, tag.word
        elif tag.word in ("macro", "test", "data_test", "endtest", "enddata_test"):
            written = text[tag.start : tag.end]
            renamed = {
                "macro": (r"macro\s+(\w+)", r"macro dbt_macro__\1"),
                "test": (r"test\s+(\w+)", r"macro dbt_macro__test_\1"),
                "data_test": (r"data_test\s+(\w+)", r"macro dbt_macro__test_\1"),
                "endtest": ("endtest", "endmacro"),
                "enddata_test": ("enddata_test", "endmacro"),
            }[tag.word]
            pieces += [text[position : tag.start], re.sub(*renamed, written, count=1)]
            position = tag.end
    pieces.append("" if skipping else text[position:])
    return "".join(pieces)


# ---------------------------------------------------------------- small things that templates can name


class _Config:
    """`config(...)` says something, `config.get(...)` asks."""

    def __init__(self, current: _Current) -> None:
        self._current = current

    def __call__(self, *arguments: object, **named: Any) -> str:
        for one in arguments:
            if isinstance(one, dict):
                named = {**one, **named}
        self._current.said = dict(merged(self._current.said, named))
        return ""

    def get(self, name: str, default: object = None, validator: object = None) -> object:
        found = self._current.config.get(name)
        return default if found is None else found

    def require(self, name: str, validator: object = None) -> object:
        found = self._current.config.get(name)
        if found is None:
            raise NotRendered(f"the config `{name}` is needed")
        return found

    def meta_get(self, name: str, default: object = None) -> object:
        return (self._current.config.get("meta") or {}).get(name, default)

    persist_relation_docs = persist_column_docs = staticmethod(lambda: False)
    set = staticmethod(lambda *_: "")


class _Var:
    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer

    def __call__(self, name: str, default: object = _ABSENT) -> object:
        known, value = self._renderer.variable(name)
        current = self._renderer._current
        if current is not None:
            current.note(f"the value of the variable `{name}` stands in the text now", harmless=True)
        if known:
            return value
        if default is _ABSENT:
            raise NotRendered(
                f"the variable `{name}` has no value",
                f"give it with `--vars '{{{name}: ...}}'`, or write it into dbt_project.yml",
            )
        return default

    def has_var(self, name: str) -> bool:
        return self._renderer.variable(name)[0]


class _Graph:
    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer

    def __getattr__(self, name: str) -> object:
        if name.startswith("_"):
            raise AttributeError(name)
        raise NotRendered("`graph` is read, which holds the whole dbt project")


class _Moment:
    """`run_started_at`: the time of the migration, with a word that it stands in the text."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer

    def now(self) -> datetime:
        self._renderer.current.note(
            "the time of the run is written into the SQL; the time of the migration stands there now",
            "use `current_date` or `current_timestamp` in the SQL",
            by_hand=True,
        )
        return self._renderer.started

    def __getattr__(self, name: str) -> object:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.now(), name)

    def __str__(self) -> str:
        return str(self.now())

    def __add__(self, other: timedelta) -> datetime:
        return self.now() + other

    def __sub__(self, other: timedelta) -> datetime:
        return self.now() - other


def _modules(renderer: Renderer) -> SimpleNamespace:
    import itertools

    clock = _Moment(renderer)

    class Day(date):
        @classmethod
        def today(cls) -> Any:
            return clock.now().date()

    class Moment(datetime):
        @classmethod
        def now(cls, tz: object = None) -> Any:
            return clock.now().replace(tzinfo=None)

        @classmethod
        def utcnow(cls) -> Any:
            return clock.now().replace(tzinfo=None)

        @classmethod
        def today(cls) -> Any:
            return clock.now().replace(tzinfo=None)

    return SimpleNamespace(
        datetime=SimpleNamespace(date=Day, datetime=Moment, time=time, timedelta=timedelta, timezone=timezone),
        re=SimpleNamespace(
            match=re.match, search=re.search, sub=re.sub, findall=re.findall, split=re.split, fullmatch=re.fullmatch,
            compile=re.compile, escape=re.escape, IGNORECASE=re.IGNORECASE, MULTILINE=re.MULTILINE, DOTALL=re.DOTALL,
        ),
        itertools=SimpleNamespace(chain=itertools.chain, product=itertools.product, combinations=itertools.combinations, zip_longest=itertools.zip_longest),
        pytz=SimpleNamespace(),
    )  # fmt: skip


def _give_back(value: object = None) -> object:
    raise _Returned(value)


def _nothing(*_: object, **__: object) -> str:
    return ""


def _refuse(message: object = "", *_: object) -> object:
    raise Refused(f"the project refuses it: {' '.join(str(message).split())}"[:300])


def _asks(what: str) -> Callable[..., object]:
    def ask(*_: object, **__: object) -> object:
        raise NeedsDatabase(what)

    return ask


def _unknown(name: str) -> Relation:
    return Relation(name, "", "", name)


def _relation(database: str = "", schema: str = "", identifier: str = "", type: str = "table", **_: object) -> Relation:
    written = ".".join(part for part in (schema, identifier) if part)
    return Relation(written, database or "", schema or "", identifier or "", type or "table")


def _columns_said(node: DbtModel) -> dict[str, Any]:
    said = (node.properties.said.get("columns") if node.properties else None) or []
    return (
        {str(one["name"]): one for one in said if isinstance(one, dict) and "name" in one}
        if isinstance(said, list)
        else {}
    )


def _as_bool(value: object) -> object:
    return {"true": True, "false": False}.get(str(value).strip().lower(), value)


def _as_number(value: object) -> object:
    found = yaml.safe_load(str(value))
    return found if isinstance(found, int | float) else value


def _native(value: object) -> object:
    try:
        return yaml.safe_load(str(value))
    except (yaml.YAMLError, ValueError):
        return value


def _to_json(value: object, default: object = None, sort_keys: bool = False) -> object:
    try:
        return json.dumps(value, sort_keys=sort_keys)
    except (TypeError, ValueError):
        return default


def _from_json(text: str, default: object = None) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return default


def _to_yaml(value: object, default: object = None, sort_keys: bool = False) -> object:
    try:
        return yaml.safe_dump(value, sort_keys=sort_keys)
    except yaml.YAMLError:
        return default


def _from_yaml(text: str, default: object = None) -> object:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return default


def _set(values: Any, default: object = None) -> object:
    try:
        return set(values)
    except TypeError:
        return default


def _zip(*values: Any, default: object = None) -> object:
    try:
        return list(zip(*values, strict=False))
    except TypeError:
        return default


def _md5(text: str) -> str:
    import hashlib

    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _line_in(error: BaseException, name: str) -> int:
    """The line of the template in which an error came up."""
    line = 0
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == name:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _library() -> Any:
    """Jinja2, or the word that it is missing."""
    try:
        import jinja2
        import jinja2.sandbox
    except ImportError:
        raise one_problem(
            "missing-package",
            "reading a dbt project needs Jinja2",
            None,
            'install it with `pip install "sqlflow[dbt]"`',
        ) from None
    return SimpleNamespace(
        SandboxedEnvironment=jinja2.sandbox.SandboxedEnvironment, Undefined=jinja2.Undefined, Template=jinja2.Template,
        TemplateSyntaxError=jinja2.TemplateSyntaxError, UndefinedError=jinja2.UndefinedError, nodes=jinja2.nodes,
    )  # fmt: skip


# ---------------------------------------------------------------- what a template uses

_STRUCTURAL = frozenset(
    ["ref", "source", "config", "var", "env_var", "is_incremental", "range", "loop", "namespace", "dict"]
)


class Use(Struct, frozen=True):
    """A call in a template that more than its text decides."""

    what: str
    line: int


def uses_of(text: str) -> Iterator[Use]:
    """What a template uses besides ref, source, config, var, env_var, target, this, is_incremental and literal set, if, for."""
    jinja = _library()
    nodes = jinja.nodes
    environment = jinja.SandboxedEnvironment(extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"])
    try:
        tree = environment.parse(text)
    except jinja.TemplateSyntaxError:
        return
    for call in tree.find_all(nodes.Call):
        if isinstance(call.node, nodes.Name):
            if call.node.name not in _STRUCTURAL:
                yield Use(call.node.name, call.lineno)
        elif isinstance(call.node, nodes.Getattr):
            owner = call.node.node
            named = f"{owner.name}.{call.node.attr}" if isinstance(owner, nodes.Name) else call.node.attr
            if call.node.attr not in _OF_VALUES:
                yield Use(named, call.lineno)
    for macro in tree.find_all(nodes.Macro):
        yield Use(f"macro {macro.name}", macro.lineno)


_OF_VALUES = frozenset(
    [
        "append",
        "extend",
        "items",
        "keys",
        "values",
        "get",
        "upper",
        "lower",
        "strip",
        "replace",
        "format",
        "join",
        "split",
        "update",
        "startswith",
        "endswith",
        "title",
        "has_var",
        "strftime",
        "count",
        "index",
        "pop",
        "insert",
        "cycle",
        "rstrip",
        "lstrip",
        "include",
    ]
)

__all__ = ["ChainMap", "Failed", "Lookups", "NeedsDatabase", "NotRendered", "Note", "Relation", "Rendered", "Renderer", "prefixes", "rendered_values", "uses_of"]  # fmt: skip
