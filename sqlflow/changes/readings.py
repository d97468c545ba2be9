"""How all files of a source are read: one answer for all of them, so that a new file is read as the whole set is."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from msgspec import Struct, field
from msgspec.structs import replace

from sqlflow.changes import forms
from sqlflow.changes.files import few, find_files
from sqlflow.changes.forms import Ask
from sqlflow.core.config import Config
from sqlflow.core.diagnostics import Diagnostic, did_you_mean
from sqlflow.core.engine import BindError
from sqlflow.core.model import Missing, Source
from sqlflow.core.paths import literal_path
from sqlflow.core.reading import Field, Form, Part, Reading
from sqlflow.core.schema import Column
from sqlflow.core.source import Span
from sqlflow.core.sql import Ident, Sql, Value, compose, joined

Remember = Callable[[Path, bool | None, Callable[[], Form]], Form]
"""What is known of a file, or else found out now."""

_FILE = "_sqlflow_file"
_NOWHERE = "__HIVE_DEFAULT_PARTITION__"


def definition(source: Source) -> str:
    """What the author of a source says of its files, and that decides how they are read."""
    said = (
        source.path, tuple(source.types.items()), source.delimiter, source.skip, source.nulls, source.date_format,
        source.timestamp_format, source.folders, str(source.missing_column),
    )  # fmt: skip
    return repr(said)


def find_reading(config: Config, source: Source, ask: Ask, remember: Remember) -> Reading | list[Diagnostic]:
    """How the files of a source are read, or what keeps them from being read."""
    return _Finding(config, source, ask, remember).reading()


def relation(config: Config, reading: Reading, only: Collection[str] | None = None) -> Sql:
    """SQL that reads the files of a source, or `only` these of them: something that can stand after FROM."""
    selects = []
    for part in reading.parts:
        files = [file for file in part.files if only is None or file in only]
        if files:
            selects.append(
                compose(
                    "SELECT {items} FROM {call}",
                    items=[_item(f, len(str(config.root)) + 1) for f in part.fields],
                    call=_call(config, part, files),
                )
            )
    if not selects:  # files without anything in them
        nothing = [_item(replace(f, spelled=None, folder=False), 0) for f in reading.parts[0].fields]
        return compose("(SELECT {nothing} WHERE FALSE)", nothing=nothing)
    return compose("({selects})", selects=joined(" UNION ALL ", selects))


def plain_csv(config: Config, source: Source, reading: Reading) -> str:
    """The path of the one file of a source that is CSV with a type declared for each column, and of which nothing else is
    said; empty for others."""
    if len(reading.parts) != 1 or len(reading.parts[0].files) != 1:
        return ""
    said = source.delimiter or source.skip or source.nulls or source.date_format or source.timestamp_format
    declared = {name.lower() for name in source.types}
    if said or declared != {field.name.lower() for field in reading.parts[0].fields}:
        return ""
    part = reading.parts[0]
    as_it_is = part.function == "read_csv" and all(f.spelled and not f.format and not f.folder for f in part.fields)
    return f"{config.root}/{part.files[0]}" if as_it_is and part.files[0].lower().endswith(".csv") else ""


class Test(Struct, frozen=True):
    """A query that fails when one of the files cannot be read, and tells which. `tells`: its rows are a file, a column and a
    value that is not of the column's type (`types`)."""

    query: Sql
    files: tuple[str, ...]
    types: Mapping[str, str] = field(default_factory=dict)
    tells: bool = False


def tests(config: Config, reading: Reading) -> Iterable[Test]:
    """What finds out which file is to blame when a source could not be read."""
    for part in reading.parts:
        if part.function == "read_parquet":
            for file in part.files:
                hashes = [
                    compose("bit_xor(hash({c}))", c=Ident(f.spelled)) for f in part.fields if f.spelled and not f.folder
                ]
                yield Test(compose("SELECT {h} FROM {call}", h=hashes, call=_call(config, part, [file])), (file,))
            continue
        columns = [f for f in part.fields if f.spelled and not f.folder]
        typed = [f for f in columns if f.type != "VARCHAR"]
        call = _call(config, part, part.files, named=True)
        counts = [compose("count({c})", c=Ident(f.spelled)) for f in columns if f.spelled]
        yield Test(compose("SELECT {cs} FROM {call}", cs=counts, call=call), part.files)
        if part.function != "read_csv" or not typed:
            continue
        wrong = [
            compose(
                "{{'column': {n}, 'value': CASE WHEN {v} IS NULL THEN {c} END}}",
                n=Value(f.name), v=_value(f, attempt=True), c=Ident(f.spelled),
            )
            for f in typed if f.spelled
        ]  # fmt: skip
        query = compose(
            "SELECT {f}, bad['column'], bad['value'] FROM (SELECT {f}, unnest([{wrong}]) AS bad FROM {call}) "
            "WHERE bad['value'] IS NOT NULL LIMIT 3",
            f=Ident(_FILE), wrong=wrong, call=call,
        )  # fmt: skip
        yield Test(
            query,
            part.files,
            {f.name: f.type + (f" in the format `{f.format}`" if f.format else "") for f in typed},
            tells=True,
        )


def _call(config: Config, part: Part, files: Sequence[str], *, named: bool = False) -> Sql:
    places = [file if _is_url(file) else literal_path(f"{config.root}/{file}") for file in files]
    call = compose("{f}({p}, {a}", f=Sql(part.function), p=Value(places), a=Sql(part.arguments))
    if named or any(field.folder for field in part.fields):
        call = compose("{call}, filename = {n}", call=call, n=Value(_FILE))
    return Sql(call + ")")


def _item(field: Field, root: int) -> Sql:
    if field.folder:
        key = "/" + re.escape(field.name) + "=([^/]*)/"
        value = compose(
            "nullif(url_decode(regexp_extract(substr({f}, {n}), {key}, 1)), {nowhere})",
            f=Ident(_FILE), n=root, key=Value(key), nowhere=Value(_NOWHERE),
        )  # fmt: skip
        return compose("CAST({v} AS {t}) AS {n}", v=value, t=Sql(field.type), n=Ident(field.name))
    return compose("{v} AS {n}", v=_value(field), n=Ident(field.name))


def _value(field: Field, *, attempt: bool = False) -> Sql:
    if field.spelled is None:
        return compose("CAST(NULL AS {t})", t=Sql(field.type))
    column, cast = Ident(field.spelled), Sql("TRY_" if attempt else "")
    if field.format:
        moment = forms.moment(column, field.format, field.type, attempt=attempt)
        return compose("{cast}CAST({m} AS {t})", cast=cast, m=moment, t=Sql(field.type))
    if field.type == "VARCHAR":
        return compose("{c}", c=column)
    return compose("{cast}CAST({c} AS {t})", cast=cast, c=column, t=Sql(field.type))


def _is_url(path: str) -> bool:
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", path) is not None


class _Finding:
    def __init__(self, config: Config, source: Source, ask: Ask, remember: Remember) -> None:
        self._config = config
        self._source = source
        self._ask = ask
        self._remember = remember
        self._problems: list[Diagnostic] = []
        self._notes: list[str] = []
        self._kind = forms.extension(source.path or "")
        self._declared = {name.lower(): kind for name, kind in source.types.items()}

    def reading(self) -> Reading | list[Diagnostic]:
        found = self._forms()
        if self._problems:
            return self._problems
        full = {file: form for file, form in found.items() if not forms.empty(form)}
        hollow = [file for file in found if file not in full]
        if not full:
            what = f"{few(hollow)} {'have' if len(hollow) > 1 else 'has'} no columns, for nothing is in {'them' if len(hollow) > 1 else 'it'}"
            self._fail(what, "a file needs a line with the names of its columns" if self._kind in forms.TEXTS else None)
            return self._problems
        if hollow:
            self._notes.append(
                f"{few(hollow)} {'have' if len(hollow) > 1 else 'has'} nothing in {'them' if len(hollow) > 1 else 'it'}"
            )
        names = self._names(full)
        if self._kind in forms.TEXTS and not self._problems:
            full = self._with_one_order_of_days(full)
        folders = self._folders(full)
        if self._problems:
            return self._problems
        types = {name.lower(): self._type(name, full) for name in names}
        if self._problems:
            return self._problems
        kinds = self._folder_types(folders, full)
        parts: dict[tuple[object, ...], list[str]] = {}
        for file, form in full.items():
            fields = tuple(self._field(name, types[name.lower()], form) for name in names if name.lower() not in kinds)
            fields += tuple(Field(key, kind, key, folder=True) for key, kind in kinds.values())
            parts.setdefault((*self._call(form, fields, types), fields), []).append(file)
        self._tell_formats(parts)
        return Reading(
            tuple(Part(tuple(files), str(key[0]), str(key[1]), key[2]) for key, files in parts.items()),  # type: ignore[arg-type]
            tuple(self._notes),
        )

    # ------------------------------------------------------------------ what each file is

    def _forms(self) -> dict[str, Form]:
        root, path = self._config.root, self._source.path or ""
        if _is_url(path):
            places = {path: Path(path)}
        else:
            places = {os.path.relpath(place, root): place for place in find_files(root, path)}
        found: dict[str, Form] = {}
        header: bool | None = None
        for name, place in places.items():
            unusable = forms.unusable_name(str(place), sandbox=self._config.sandbox)
            if unusable:
                shown = name.encode("utf-8", "backslashreplace").decode()
                self._fail(f"`{shown}` {unusable}", "rename it")
                continue
            form = self._form(place, header)
            if self._kind in forms.TEXTS and header is None and not forms.empty(form):
                header = self._header(place)
            if form.wrong:
                self._fail(f"`{name}` {form.wrong}", form.hint or None)
            found[name] = form
            if len(self._problems) == _MOST_TOLD:
                break
        self._has_header = header is not False
        return found

    def _form(self, place: Path, header: bool | None) -> Form:
        return self._remember(place, header, lambda: self._looked_at(place, header))

    def _looked_at(self, place: Path, header: bool | None) -> Form:
        try:
            if self._kind in forms.TEXTS:
                return forms.csv_form(place, self._source, self._ask, header=header)
            if not _is_url(str(place)) and place.stat().st_size == 0 and self._kind != "parquet":
                return Form()
        except OSError as error:
            return Form(wrong=f"cannot be read: {(error.strerror or 'error').lower()}")
        if self._kind != "parquet":
            return forms.json_form(str(place), self._source, self._ask)
        call = compose("read_parquet({p}, hive_partitioning = false)", p=Value(literal_path(str(place))))
        return forms.described_form(call, self._ask)

    def _header(self, place: Path) -> bool:
        form = self._remember(place, True, lambda: self._looked_at(place, True))
        there = {column.name.lower() for column in form.columns}
        if self._declared and there >= set(self._declared):
            return True
        return forms.has_header(place, self._source, self._ask)

    # ------------------------------------------------------------------ which columns there are

    def _names(self, found: Mapping[str, Form]) -> list[str]:
        """The columns of the source: those of the first file, and those that are declared; all, where a file may lack some."""
        first = next(iter(found))
        names = {column.name.lower(): column.name for column in found[first].columns}
        having: dict[str, list[str]] = {}
        any_may_lack = self._source.missing_column is Missing.NULL or self._kind not in (*forms.TEXTS, "parquet")
        for file, form in found.items():
            for column in form.columns:
                having.setdefault(column.name.lower(), []).append(file)
                if any_may_lack or column.name.lower() in self._declared:
                    names.setdefault(column.name.lower(), column.name)
        if self._kind in (*forms.TEXTS, "parquet"):
            self._tell_missing(found, names, having)
        for key, files in having.items():
            if key not in names:
                self._notes.append(
                    f"the column `{_spelled(found[files[0]], key)}` of {few(files)} is not in `{first}`, and is left out; "
                    "give the source `on_missing_column: null` to have it, with NULL for the files without it"
                )
        for file, form in found.items():
            doubled = Counter(column.name.lower() for column in form.columns)
            for name in (name for name, count in doubled.items() if count > 1):
                self._fail(f"`{file}` has two columns named `{name}`", "rename one of them")
        return list(names.values())

    def _tell_missing(
        self, found: Mapping[str, Form], names: Mapping[str, str], having: Mapping[str, Sequence[str]]
    ) -> None:
        if self._source.missing_column is Missing.NULL:
            return
        for file, form in found.items():
            there = {column.name.lower() for column in form.columns}
            lacking = [key for key in names if key not in there]
            if lacking:
                others = [other for other in having[lacking[0]] if other != file]
                near = did_you_mean(names[lacking[0]], [column.name for column in form.columns])
                its = ", ".join(f"`{column.name}`" for column in form.columns[:8])
                self._fail(
                    f"`{file}` has no column {' and no '.join(f'`{names[key]}`' for key in lacking[:3])}, which {few(others)} "
                    f"{'has' if len(others) == 1 else 'have'}; its columns are {its}",
                    near or "add it to the file, or give the source `on_missing_column: null` to have NULL there",
                    self._source.spans.get(f"columns.{lacking[0]}"),
                )
            if len(self._problems) >= _MOST_TOLD:
                return

    def _type(self, name: str, found: Mapping[str, Form]) -> str:
        declared = self._declared.get(name.lower())
        if declared is not None:
            return declared
        of_files: dict[str, list[str]] = {}
        for file, form in found.items():
            for column in form.columns:
                if column.name.lower() == name.lower() and column.name not in form.empty:
                    of_files.setdefault(column.type, []).append(file)
        kinds = set(of_files)
        if len(kinds) == 1:
            return next(iter(kinds))
        if not kinds:
            return "VARCHAR" if self._kind in forms.TEXTS else "JSON"
        together = self._together(name, of_files, found)
        if together in ("DOUBLE", "FLOAT"):
            self._tell_lost_digits(name, of_files, found)
        written = " and ".join(f"{kind} in {few(files)}" for kind, files in of_files.items())
        self._notes.append(
            f"`{name}` is {written}, and is read as {together}; declare its type in `columns` to have one"
        )
        return together

    def _together(self, name: str, of_files: Mapping[str, Sequence[str]], found: Mapping[str, Form]) -> str:
        kinds = set(of_files)
        if self._kind in forms.TEXTS:
            return next((widest for all_, widest in _WIDER.items() if kinds == all_), "VARCHAR")
        if self._kind == "parquet":
            nulls = [compose("SELECT CAST(NULL AS {k}) AS c", k=Sql(kind)) for kind in sorted(kinds)]
            return self._described(compose("({nulls})", nulls=joined(" UNION ALL ", nulls)), "c") or "VARCHAR"
        if all(_SCALAR.match(kind) for kind in kinds) and not _NUMBERS.issuperset(kinds):
            return "VARCHAR"  # whatever else comes, or comes first
        some = [literal_path(f"{self._config.root}/{files[0]}") for files in of_files.values()]
        call = compose("read_json({p}, hive_partitioning = false, maximum_sample_files = 1000000)", p=Value(some))
        return self._described(call, name) or "JSON"

    def _tell_lost_digits(self, name: str, of_files: Mapping[str, Sequence[str]], found: Mapping[str, Form]) -> None:
        """Where whole numbers of one file become DOUBLE for those of another one."""
        for kind, files in of_files.items():
            for file in files if _WHOLE.match(kind) else ():
                at = Value(literal_path(f"{self._config.root}/{file}"))
                call = compose("{f}({p})", f=Sql("read_parquet" if self._kind == "parquet" else "read_json"), p=at)
                if self._kind in forms.TEXTS:
                    arguments = forms.csv_arguments(found[file], self._source, header=self._has_header)
                    call = compose("read_csv({p}, {a})", p=at, a=arguments)
                lost = forms.inexact(call, [_spelled(found[file], name.lower())], self._ask)
                if lost is not None:
                    others = next(few(list(o)) for k, o in of_files.items() if not _WHOLE.match(k))
                    self._fail(
                        f"`{file}` has `{lost[1]}` in the column `{name}`, which is read as DOUBLE for {others} and would "
                        "lose digits",
                        forms.declare_exact(name),
                    )
                    return

    def _described(self, call: Sql, name: str) -> str | None:
        described = self._ask(compose("DESCRIBE SELECT {c} FROM {call}", c=Ident(name), call=call))
        return None if isinstance(described, BindError) else str(described[0][1])

    # ------------------------------------------------------------------ days and months

    def _with_one_order_of_days(self, found: dict[str, Form]) -> dict[str, Form]:
        """With one order of day and month for all files: where one of them can be read in one order only, the others are
        read in it too."""
        for which in ("date_format", "timestamp_format"):
            written: dict[str, list[str]] = {}
            for file, form in found.items():
                if format_ := str(getattr(form, which)):
                    written.setdefault(format_, []).append(file)
            for format_ in sorted(written):
                other = forms.swapped(format_)
                if other <= format_ or other not in written:
                    continue
                only = [
                    next((file for file in written[one] if not self._fits(file, found[file], which, two)), None)
                    for one, two in ((format_, other), (other, format_))
                ]
                if only[0] is not None and only[1] is not None:
                    self._fail(
                        f"`{only[0]}` writes dates as `{format_}`, and `{only[1]}` as `{other}`",
                        f"write all files alike, or have a source for each kind with its own `{which}`",
                    )
                else:
                    taken = other if only[1] is not None else format_
                    for file in (*written[format_], *written[other]):
                        found[file] = replace(found[file], **{which: taken})
        return found

    def _fits(self, file: str, form: Form, which: str, format_: str) -> bool:
        kind = "DATE" if which == "date_format" else "TIMESTAMP"
        columns = [column.name for column in form.columns if column.type.startswith(kind)]
        call = compose(
            "read_csv({p}, {a})",
            p=Value(literal_path(f"{self._config.root}/{file}")),
            a=forms.csv_arguments(form, self._source, header=self._has_header),
        )
        wrong = [
            compose("count(CASE WHEN try_strptime({c}, {f}) IS NULL THEN {c} END)", c=Ident(c), f=Value(format_))
            for c in columns
        ]
        counts = self._ask(compose("SELECT {wrong} FROM {call}", wrong=wrong, call=call)) if columns else []
        return isinstance(counts, BindError) or not counts or not any(counts[0])

    def _tell_formats(self, parts: Mapping[tuple[object, ...], Sequence[str]]) -> None:
        told: dict[str, list[str]] = {}
        for key in parts:
            fields = key[2]
            assert isinstance(fields, tuple)
            for one in fields:
                given = (forms.date_format_of(self._source), self._source.timestamp_format)
                if one.format and not one.format.startswith("%Y") and one.format not in given:
                    told.setdefault(one.format, []).append(one.name)
        for format_, names in told.items():
            columns = few(list(dict.fromkeys(names)))
            self._notes.append(f"{in_words(format_)} in {columns}")

    # ------------------------------------------------------------------ values in paths

    def _folders(self, found: Mapping[str, Form]) -> list[str]:
        """The names of `name=value` in the paths, as far as the project's own pattern goes."""
        if self._source.folders is False or _is_url(self._source.path or ""):
            return []
        keys = {
            file: tuple(part.partition("=")[0] for part in PurePosixPath(file).parts[:-1] if "=" in part)
            for file in found
        }
        kinds = set(keys.values())
        alike = len(kinds) == 1 and len(set(next(iter(kinds)))) == len(next(iter(kinds)))
        if self._source.folders and not (alike and next(iter(kinds))):
            odd = next((file for file, names in keys.items() if names != next(iter(keys.values())) or not names), "")
            self._fail(f"`hive: true` needs the same `name=value` in the path of each file, and `{odd}` has others")
        return list(next(iter(kinds))) if alike else []

    def _folder_types(self, keys: Sequence[str], found: Mapping[str, Form]) -> dict[str, tuple[str, str]]:
        types: dict[str, tuple[str, str]] = {}
        for key in keys:
            declared = self._declared.get(key.lower())
            values = sorted({_folder_value(file, key) for file in found} - {_NOWHERE})
            types[key.lower()] = (key, declared or self._of_values(values))
        return types

    def _of_values(self, values: Sequence[str]) -> str:
        kinds = ("DATE", "TIMESTAMP", "BIGINT")
        all_ = [compose("coalesce(bool_and(TRY_CAST(v AS {k}) IS NOT NULL), FALSE)", k=Sql(kind)) for kind in kinds]
        found = (
            self._ask(compose("SELECT {all_} FROM (SELECT unnest({v}) AS v)", all_=all_, v=Value(list(values))))
            if values
            else []
        )
        fits = found[0] if found and not isinstance(found, BindError) else ()
        return next((kind for kind, fit in zip(kinds, fits, strict=False) if fit), "VARCHAR")

    # ------------------------------------------------------------------ how it is read

    def _field(self, name: str, kind: str, form: Form) -> Field:
        column = next((column for column in form.columns if column.name.lower() == name.lower()), None)
        if column is None:
            return Field(name, kind, name if self._kind not in (*forms.TEXTS, "parquet") else None)
        format_ = self._format(kind, column, form) if self._kind in forms.TEXTS else ""
        stored = column.type if self._kind == "parquet" else ""
        return Field(name, kind, column.name, format_, stored=stored)

    def _format(self, kind: str, column: Column, form: Form) -> str:
        """How the dates or times of a column are written; empty where it is year first. A declared type and its format
        decide, whatever the values look like."""
        if not forms.is_date(kind) and not forms.is_moment(kind):
            return ""
        declared = column.name.lower() in self._declared
        as_date = forms.is_date(kind) if declared else column.type == "DATE"
        given = forms.date_format_of(self._source) if as_date else self._source.timestamp_format
        if given is not None:
            return given
        found = form.date_format if column.type == "DATE" else form.timestamp_format
        return "" if found in _YEAR_FIRST else found

    def _call(self, form: Form, fields: tuple[Field, ...], types: Mapping[str, str]) -> tuple[str, str]:
        if self._kind in forms.TEXTS:
            return "read_csv", forms.csv_arguments(form, self._source, header=self._has_header)
        if self._kind == "parquet":
            return "read_parquet", "hive_partitioning = false"
        columns = forms.struct({f.spelled: f.type for f in fields if f.spelled and not f.folder})
        return "read_json", compose("columns = {cs}, hive_partitioning = false", cs=columns)

    def _fail(self, message: str, hint: str | None = None, span: Span | None = None) -> None:
        at = span or self._source.spans.get("path") or self._source.span
        self._problems.append(
            Diagnostic("unreadable-source", f"`{self._source.name}` cannot be read: {message}", at, hint)
        )


_MOST_TOLD = 5
_YEAR_FIRST = ("", "%Y-%m-%d", "%Y-%m-%d %H:%M:%S")
_WIDER: Mapping[frozenset[str], str] = {
    frozenset({"BIGINT", "DOUBLE"}): "DOUBLE",
    frozenset({"DATE", "TIMESTAMP"}): "TIMESTAMP",
    frozenset({"BIGINT", "HUGEINT"}): "HUGEINT",
    frozenset({"DOUBLE", "HUGEINT"}): "DOUBLE",
    frozenset({"BIGINT", "DOUBLE", "HUGEINT"}): "DOUBLE",
}
_WHOLE = re.compile(r"(?:U?(?:TINY|SMALL|BIG|HUGE)INT|U?INTEGER|BIGNUM)$")
_SCALAR = re.compile(r"[A-Z ]+$(?<!JSON)")
_NUMBERS = frozenset({"BIGINT", "UBIGINT", "HUGEINT", "DOUBLE"})


def in_words(format_: str) -> str:
    """What a format of dates means, by an example.

    >>> in_words("%d/%m/%Y")
    '`03/02/2024` is read as 3 February 2024'
    """
    day = datetime(2024, 2, 3, 16, 5, 6, tzinfo=UTC)
    at = ", 16:05:06" if "%H" in format_ or "%I" in format_ else ""
    return f"`{day.strftime(format_)}` is read as 3 February 2024{at}"


def _spelled(form: Form, key: str) -> str:
    return next(column.name for column in form.columns if column.name.lower() == key)


def _folder_value(file: str, key: str) -> str:
    return next(unquote(part.partition("=")[2]) for part in PurePosixPath(file).parts if part.startswith(f"{key}="))
