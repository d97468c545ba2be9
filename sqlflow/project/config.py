"""sqlflow.yml, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Context, Decimal
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from msgspec.structs import replace

from sqlflow.core.amounts import bytes_of
from sqlflow.core.config import Config, DefaultValue, Target
from sqlflow.core.diagnostics import Diagnostic, ProjectError, did_you_mean, one_problem, stop_on_errors
from sqlflow.core.source import SourceFile
from sqlflow.core.sql import Sql, Typed
from sqlflow.core.text import MappedText
from sqlflow.project import yaml
from sqlflow.project.discover import read_text
from sqlflow.project.names import refuse_reserved_schema
from sqlflow.project.values import FromEnvironment, Given, root_of

FILE = PurePosixPath("sqlflow.yml")

_KEYS = (
    "name",
    "dialect",
    "default_schema",
    "timezone",
    "targets",
    "default_target",
    "variables",
    "defaults",
    "sandbox",
    "allow_outside_paths",
    "verify_every",
    "formerly",
)
_ENGINES = ("duckdb", "postgres")
_DUCKDB_OPTIONS = (
    "engine",
    "path",
    "storage_version",
    "memory_limit",
    "threads",
    "temp_directory",
    "max_temp_directory_size",
    "extensions",
)
_POSTGRES_OPTIONS = ("engine", "url", "statement_timeout", "connect_timeout")
_ENVIRONMENT = re.compile(r"\$\{([^}:]*)(?::-([^}]*))?\}")
_NAME = re.compile(r"[^\W\d]\w*")


def read_config(root: Path, target: str | None, variables: Mapping[str, str], environ: Mapping[str, str]) -> Config:
    """What sqlflow.yml in `root` says. Raises ProjectError with every problem that is found.

    `target`: the one to use in place of the default. `variables`: `--var`, as typed. `environ`: for `${NAME}`.
    """
    file = _file(root)
    problems: list[Diagnostic] = []
    document = yaml.load(MappedText.of(file), problems)
    if document is None:
        raise ProjectError(problems)
    if document.value is None:
        raise one_problem("missing-key", "sqlflow.yml is empty", file.span(0), "run `sqlflow init`")
    fields = root_of(document, problems).fields(_KEYS, ("name", "targets"))
    for key, given in fields.items():
        if key != "targets":
            _refuse_environment(given)
    found: dict[str, Any] = {}
    for key in ("sandbox", "allow_outside_paths"):
        if key in fields:
            found[key] = fields[key].boolean()
    if "verify_every" in fields:
        found["verify_every"] = fields["verify_every"].integer(least=0)
    if "formerly" in fields:
        found["formerly"] = fields["formerly"].names()
    name = fields["name"].text() if "name" in fields else ""
    dialect = _dialect(fields["dialect"]) if "dialect" in fields else "duckdb"
    schema = _schema(fields["default_schema"]) if "default_schema" in fields else "main"
    timezone = _timezone(fields["timezone"]) if "timezone" in fields else "UTC"
    targets, chosen = _targets(fields, target, root, environ, problems)
    declared = _variables(fields["variables"], dialect or "duckdb", chosen) if "variables" in fields else {}
    _apply(variables, declared, problems)
    if dialect == "postgres":  # where a list is an array, and `[1, 2]` is no SQL
        declared = {name: tuple(value) if isinstance(value, list) else value for name, value in declared.items()}
    defaults = (
        _defaults(fields["defaults"], root, dialect or "duckdb", chosen.engine if chosen else "duckdb", declared)
        if "defaults" in fields
        else {}
    )
    stop_on_errors(problems)
    if chosen is None:
        raise ProjectError(problems)
    return Config(
        root=root,
        file=file,
        name=name or "",
        target=chosen,
        targets=targets,
        dialect=dialect or "duckdb",
        default_schema=schema or "main",
        timezone=timezone or "UTC",
        variables=declared,
        defaults=defaults,
        warnings=tuple(problems),
        **found,
    )


def _file(root: Path) -> SourceFile:
    if not (root / FILE).exists():
        hint = "run `sqlflow init` to make a project"
        if (root / "sqlflow.yaml").exists():
            hint = "rename `sqlflow.yaml` to `sqlflow.yml`"
        elif (root / "dbt_project.yml").exists():
            hint = (
                "this is a dbt project, which cannot be converted yet; `sqlflow init` makes a new one in another folder"
            )
        raise one_problem("no-project", f"there is no sqlflow.yml in `{root}`", None, hint)
    problems: list[Diagnostic] = []
    file = read_text(root, FILE, problems)
    if file is None:
        raise ProjectError(problems)
    return file


_DIALECTS = ("duckdb", "postgres")


def _dialect(given: Given) -> str | None:
    if (word := given.text()) is None:
        return None
    if word in _DIALECTS:
        return word
    from sqlglot.dialects.dialect import Dialect, Dialects

    if Dialect.get(word) is not None:
        hint = "write the models in the SQL of DuckDB or PostgreSQL: `dialect: duckdb` or `dialect: postgres`"
        given.fail(f"models in the dialect `{word}` are not available yet", "not-available-yet", hint)
        return None
    hint = did_you_mean(word, [d.value for d in Dialects if d.value]) or "such as `duckdb`"
    given.fail(f"unknown dialect `{word}`", "invalid-value", hint)
    return None


def _schema(given: Given) -> str | None:
    word = given.text()
    if word is not None:
        refuse_reserved_schema(word, given.span, given.problems)
    return word


def _timezone(given: Given) -> str | None:
    if (word := given.text()) is None:
        return None
    try:
        return ZoneInfo(word).key
    except (ValueError, OSError, KeyError):
        # Zones of a country end in a city; a slip is mostly in the last part.
        near = get_close_matches(word, available_timezones(), n=1, cutoff=0.7)
        hint = f"did you mean `{near[0]}`?" if near else "write a name such as `Europe/Berlin` or `UTC`"
        given.fail(f"unknown timezone `{word}`", "invalid-value", hint)
        return None


# ---------------------------------------------------------------- targets


def _targets(
    fields: Mapping[str, Given],
    wanted: str | None,
    root: Path,
    environ: Mapping[str, str],
    problems: list[Diagnostic],
) -> tuple[dict[str, Target], Target | None]:
    if "targets" not in fields:
        return {}, None
    entries = fields["targets"].entries()
    if not entries:
        if isinstance(fields["targets"].value, dict):
            fields["targets"].fail("there is no target", "missing-key", "add `dev: {engine: duckdb, path: dev.duckdb}`")
        return {}, None
    chosen = _chosen(fields, entries, wanted, problems)
    targets: dict[str, Target] = {}
    for name, given in entries.items():
        is_chosen = name == chosen
        target = _target(name, _expanded(given, environ) if is_chosen else given, root, is_chosen)
        if target is not None:
            targets[name] = target
    return targets, targets.get(chosen) if chosen is not None else None


def _chosen(
    fields: Mapping[str, Given],
    entries: Mapping[str, Given],
    wanted: str | None,
    problems: list[Diagnostic],
) -> str | None:
    known = ", ".join(f"`{name}`" for name in entries)
    default = fields.get("default_target")
    name = default.text() if default is not None else None
    if name is not None and default is not None and name not in entries:
        hint = did_you_mean(name, entries) or f"targets: {known}"
        default.fail(f"there is no target `{name}`", "unknown-target", hint)
        name = None
    if wanted is not None:
        if wanted in entries:
            return wanted
        hint = did_you_mean(wanted, entries) or f"targets: {known}"
        problems.append(Diagnostic("unknown-target", f"there is no target `{wanted}`", None, hint))
        return None
    if default is None:
        if len(entries) == 1:
            return next(iter(entries))
        message = "there are several targets, and no `default_target`"
        fields["targets"].fail(message, "missing-key", f"add `default_target`, one of {known}", at_key=True)
    return name


def _target(name: str, given: Given, root: Path, chosen: bool) -> Target | None:
    fields = given.entries()
    if "engine" not in fields:
        if isinstance(given.value, dict):
            given.fail("the key `engine` is missing", "missing-key", "add `engine: duckdb`", at_key=True)
        return None
    if not chosen and _ENVIRONMENT.search(str(fields["engine"].value)):
        return Target(name, "", {})
    engine = fields["engine"].choice("engine", _ENGINES)
    if engine is None:
        return None
    if engine == "postgres":
        return Target(name, engine, _postgres(given.fields(_POSTGRES_OPTIONS, ("url",)), chosen))
    fields = given.fields(_DUCKDB_OPTIONS, ("path",))
    return Target(name, engine, _duckdb(fields, root, chosen))


def _duckdb(fields: Mapping[str, Given], root: Path, chosen: bool) -> dict[str, object]:
    options: dict[str, object] = {}
    for key, given in fields.items():
        if key == "engine" or (not chosen and _ENVIRONMENT.search(str(given.value))):
            continue
        value: object
        if key == "threads":
            value = _number(given).integer(least=1)
        elif key == "extensions":
            value = list(given.names()) if given.value != [] else []
        elif key == "path":
            value = _database(given, root)
        elif key in ("memory_limit", "max_temp_directory_size"):
            value = _size(given)
        elif key == "temp_directory":
            value = str(root / text) if (text := given.text()) is not None else None
        else:
            value = given.text()
        if value is not None:
            options[key] = value
    return options


def _postgres(fields: Mapping[str, Given], chosen: bool) -> dict[str, object]:
    options: dict[str, object] = {}
    for key, given in fields.items():
        if key == "engine" or (not chosen and _ENVIRONMENT.search(str(given.value))):
            continue
        value: object
        if key == "url":
            value = _url(given)
        elif key == "connect_timeout":
            value = _number(given).integer(least=1)
        else:
            value = _duration(given)
        if value is not None:
            options[key] = value
    return options


def _url(given: Given) -> str | None:
    """Where the server is. The text may have a password in it, so no message repeats it."""
    text = given.text()
    if text is None or text == "?" or re.match(r"postgres(?:ql)?://|\w+\s*=", text):  # `?`: not set, which is told
        return text
    given.fail(
        "this is no address of a PostgreSQL database",
        "invalid-value",
        "such as `postgresql://user@host:5432/database`, or `host=... dbname=...`",
    )
    return None


def _duration(given: Given) -> str | None:
    """A time as PostgreSQL's settings take it."""
    text = given.text() if isinstance(given.value, str) else str(given.value)
    if text is None or re.fullmatch(r"\d+\s*(?:ms|s|min|h)", text.strip()):
        return text
    given.fail(f"expected a time with a unit, found {given.shown()}", "invalid-value", "such as `30s`, `10min` or `2h`")
    return None


def _database(given: Given, root: Path) -> str | None:
    text = given.text()
    if text is None:
        return None
    if text.strip().startswith(":memory:"):
        hint = "write the path of a file, such as `path: dev.duckdb`"
        message = "a database in memory is gone after the build, and the state could not survive it"
        given.fail(message, "invalid-value", hint)
        return None
    return str(root / text)


def _size(given: Given) -> str | None:
    """A number of bytes with its unit."""
    text = given.text()
    if text is None or bytes_of(text):
        return text
    given.fail(
        f"expected a size, found {given.shown()}", "invalid-value", "a number and a unit, such as `2GB` or `500MB`"
    )
    return None


def _number(given: Given) -> Given:
    """A number that came as text out of the environment."""
    text = given.value
    digits = isinstance(text, FromEnvironment) and text.strip().isdecimal()
    return replace(given, value=int(str(text))) if digits else given


# ---------------------------------------------------------------- environment


def _expanded(given: Given, environ: Mapping[str, str]) -> Given:
    """The value with `${NAME}` replaced in all its texts."""

    def walk(value: object, path: yaml.Path) -> object:
        if isinstance(value, dict):
            return {key: walk(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [walk(item, (*path, index)) for index, item in enumerate(value)]
        if not isinstance(value, str) or "${" not in value:
            return value
        at = replace(given, path=path, label=".".join(str(part) for part in path))
        return FromEnvironment(_ENVIRONMENT.sub(lambda found: _look_up(found, at, environ), value))

    return replace(given, value=walk(given.value, given.path))


def _look_up(match: re.Match[str], given: Given, environ: Mapping[str, str]) -> str:
    name, default = match[1], match[2]
    if not re.fullmatch(r"[A-Za-z_]\w*", name):
        hint = "write `${NAME}` or `${NAME:-default}`"
        given.fail(f"`${{{name}}}` does not name an environment variable", "environment", hint)
        return "?"
    value = environ.get(name)
    if value or (value is not None and default is None):
        return value
    if default is not None:
        return default
    hint = f"set it, or write `${{{name}:-default}}`"
    given.fail(f"the environment variable `{name}` is not set", "environment", hint)
    return "?"


def _refuse_environment(given: Given) -> None:
    """`${NAME}` outside of `targets` would carry secrets into SQL, plans and logs."""
    if isinstance(given.value, dict | list):
        for key in given.value if isinstance(given.value, dict) else range(len(given.value)):
            _refuse_environment(given.at(key, f"{given.label}.{key}"))
    elif isinstance(given.value, str) and (match := _ENVIRONMENT.search(given.value)):
        hint = "the environment is read only for the options of a target"
        given.fail(f"`{match[0]}` cannot be used here", "environment", hint)


# ---------------------------------------------------------------- variables


def _variables(given: Given, dialect: str, target: Target | None) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, inside in given.entries().items():
        if not _NAME.fullmatch(name):
            hint = "use letters, digits and `_`, with no digit first"
            inside.fail("not a name that `$name` can use", "invalid-value", hint, at_key=True)
        elif name in ("start", "end"):
            message = f"`${name}` is the bound of the interval being built"
            inside.fail(message, "reserved-name", "use another name", at_key=True)
        elif isinstance(inside.value, dict):
            typed = _of_a_type(inside, dialect)
            if typed is not None:
                found[name] = typed
        elif _is_plain(inside.value):
            value = _as_written(inside)
            if target is not None and target.engine == "duckdb" and _digits(value) > _MOST_DIGITS:
                hint = "write `{value: ..., type: DOUBLE}` if it need not be exact"
                inside.fail(f"a DECIMAL has at most {_MOST_DIGITS} digits in DuckDB", "invalid-value", hint)
            found[name] = value
        else:
            inside.expected("a value, a list of values, or `{value: ..., type: ...}`")
    return found


_MOST_DIGITS = 38
_DECIMAL = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)")


def _of_a_type(given: Given, dialect: str) -> Typed | None:
    """A variable whose type is named."""
    from sqlflow.project.snippets import sql_type

    fields = given.fields(("value", "type"), ("value", "type"))
    if "value" not in fields or "type" not in fields:
        return None
    kind = sql_type(fields["type"], dialect)
    if not _is_plain(fields["value"].value):
        fields["value"].expected("a value or a list of values")
        return None
    return None if kind is None else Typed(_as_written(fields["value"]), Sql(kind))


def _as_written(given: Given) -> object:
    """The value, in which `1.00` is a decimal number with two places; what has an exponent stays a floating point number."""
    if isinstance(given.value, list):
        return [_as_written(item) for item in given.items()]
    if isinstance(given.value, float) and isinstance(given.place, yaml.Yaml):
        text = given.place.source(given.path)
        if _DECIMAL.fullmatch(text):
            return Decimal(text)
    return given.value


def _digits(value: object) -> int:
    if isinstance(value, list):
        return max(map(_digits, value), default=0)
    if not isinstance(value, Decimal):
        return 0
    _, digits, exponent = value.as_tuple()
    return max(len(digits), -exponent if isinstance(exponent, int) else 0)


def _is_plain(value: object) -> bool:
    items = value if isinstance(value, list) else [value]
    return all(item is None or isinstance(item, str | int | float | Decimal | date) for item in items)


def _apply(texts: Mapping[str, str], declared: dict[str, object], problems: list[Diagnostic]) -> None:
    """Put the values of `--var` in place of the declared ones."""
    for name, text in texts.items():
        if name not in declared:
            hint = did_you_mean(name, declared) or "declare it under `variables` in sqlflow.yml"
            problems.append(Diagnostic("unknown-variable", f"--var {name}: there is no variable `{name}`", None, hint))
            continue
        value = _typed(text, declared[name])
        if value is _WRONG:
            message = f"--var {name}: expected {_kind(declared[name])} as in sqlflow.yml, found `{text}`"
            problems.append(Diagnostic("wrong-type", message))
        else:
            declared[name] = value


_WRONG = object()


def _typed(text: str, declared: object) -> object:
    """The text as a value of the declared one's type, or `_WRONG`."""
    document = yaml.load(MappedText.of(SourceFile(PurePosixPath("--var"), text)), [])
    value = None if document is None else document.value
    if document is not None and _is_plain(value):
        value = _as_written(root_of(document, []))
    if isinstance(declared, Typed):
        inner = _typed(text, declared.value)
        return inner if inner is _WRONG else replace(declared, value=inner)
    if document is not None and declared is None and _is_plain(value):
        return value
    if isinstance(declared, str):
        return value if isinstance(value, str) else text
    if document is None or not _is_plain(value):
        return _WRONG
    if isinstance(declared, float) and type(value) in (int, Decimal):
        return float(str(value))
    if isinstance(declared, Decimal) and type(value) is int:
        whole = Decimal(value)  # with the places that the declared one has
        return whole.quantize(declared, context=Context(prec=1000))
    if isinstance(declared, datetime) and type(value) is date:
        return datetime(value.year, value.month, value.day, tzinfo=declared.tzinfo)
    return value if type(value) is type(declared) else _WRONG


def _kind(value: object) -> str:
    kinds: dict[type, str] = {
        bool: "`true` or `false`",
        int: "a whole number",
        float: "a number",
        Decimal: "a decimal number such as `1.50`",
        datetime: "a timestamp",
        date: "a date",
        list: "a list",
    }
    return kinds.get(type(value), "a value")


# ---------------------------------------------------------------- defaults


def _defaults(
    given: Given, root: Path, dialect: str, target: str, variables: Mapping[str, object]
) -> dict[str, dict[str, DefaultValue]]:
    # These bring the SQL tokenizer with them, which most commands can do without.
    from sqlflow.project.directives import DIRECTIVES, unknown_directive_hint
    from sqlflow.project.header import read_defaults
    from sqlflow.project.snippets import Vocabulary

    vocabulary = Vocabulary(dialect, target, variables)
    found: dict[str, dict[str, DefaultValue]] = {}
    for key, inside in given.entries().items():
        folder = str(PurePosixPath(key))
        if folder.split("/")[0] not in _WITH_HEADERS or not (root / folder).is_dir() or ".." in folder:
            known = _folders(root)
            hint = did_you_mean(folder, known) or "it is a folder under models/ or tests/"
            inside.fail(f"there is no folder `{key}`", "invalid-value", hint, at_key=True)
        values: dict[str, DefaultValue] = {}
        for name, directive in inside.entries().items():
            if name not in DIRECTIVES:
                message = f"there is no directive `@{name}`"
                directive.fail(message, "unknown-directive", unknown_directive_hint(name), at_key=True)
            elif name == "name":
                message = "a name is of one model, not of a folder"
                directive.fail(message, "invalid-value", at_key=True)
            elif directive.value is None:
                directive.fail("has no value")
            else:
                values[name] = DefaultValue(directive.value, directive.span)
        read_defaults(values, folder, vocabulary, given.problems)
        found[folder] = values
    return found


def _folders(root: Path) -> list[str]:
    found = [root / name for name in _WITH_HEADERS if (root / name).is_dir()]
    return [p.relative_to(root).as_posix() for top in found for p in (top, *sorted(top.rglob("*"))) if p.is_dir()]


_WITH_HEADERS = ("models", "tests")
