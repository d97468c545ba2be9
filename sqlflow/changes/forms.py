"""What one file of a source is like: its columns, and how it is written. Found out once for each file."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from sqlflow.core.amounts import counted
from sqlflow.core.engine import BindError, Row
from sqlflow.core.model import Seed, Source
from sqlflow.core.paths import literal_path
from sqlflow.core.reading import Form
from sqlflow.core.schema import Column, names_zone
from sqlflow.core.sql import Ident, Part, Sql, Value, compose

Ask = Callable[[Sql], list[Row] | BindError]
"""The rows of a query that reads nothing but files."""

TEXTS = ("csv", "tsv")
_HEAD = 1 << 16
_SAMPLE = 20_480  # rows: as many as the engine looks at
_KINDS = {
    b"\x1f\x8b": ("is compressed with gzip", "name it with `.gz` at the end"),
    b"\x28\xb5\x2f\xfd": ("is compressed with zstd", "name it with `.zst` at the end"),
    b"PK\x03\x04": ("is a ZIP archive or a spreadsheet", "unpack it, or save it as CSV"),
    b"PAR1": ("is a Parquet file", "name it with `.parquet` at the end"),
    b"\xff\xfe": ("is UTF-16 text", "save it as UTF-8"),
    b"\xfe\xff": ("is UTF-16 text", "save it as UTF-8"),
}


def extension(path: str) -> str:
    """`csv` for `a/b.csv.gz`."""
    name = path.lower()
    for packed in (".gz", ".zst"):
        name = name.removesuffix(packed)
    return name.rpartition(".")[2]


def unusable_name(path: str, *, sandbox: bool) -> str:
    """Why the engine cannot be told of a file by its name; empty when it can."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return "has a name that is not UTF-8"
    if not re.search(r"[*?\[]", path):
        return ""
    if "\\" in path:
        return "has a backslash and one of `*?[` in its path, which the engine takes for a pattern"
    if sandbox:
        return "has one of `*?[` in its path, and in a sandbox the engine opens no such file"
    return ""


def empty(form: Form) -> bool:
    """Whether the file is there and has neither columns nor rows."""
    return not form.columns and not form.wrong


def csv_form(path: Path, source: Source, ask: Ask, *, header: bool | None) -> Form:
    """`header`: whether the first line names the columns, as it does in the other files; None when that is not known."""
    head = _head(path)
    if not head.strip(b"\r\n \t"):
        return Form()
    wrong = _no_text(head)
    if wrong is not None:
        return wrong
    if source.skip is None and (marked := _spreadsheet_mark(head)):
        return Form(
            wrong=f"begins with `{marked}`, which is for spreadsheets",
            hint="take the line out, or give the source `skip: 1`",
        )
    options: dict[str, Part] = {}
    if source.delimiter is not None:
        options["delim"] = Value(source.delimiter)
    if source.skip is not None:
        options["skip"] = source.skip
    if header is not None:
        options["header"] = Value(header)
    if source.nulls:
        options["nullstr"] = Value(["", *source.nulls])
    if (of_dates := date_format_of(source)) is not None:
        options["dateformat"] = Value(of_dates)
    if source.timestamp_format is not None:
        options["timestampformat"] = Value(source.timestamp_format)
    found = ask(_sniffed(path, options))
    if isinstance(found, BindError) and (mixed := mixed_line_ends(head)):
        return Form(wrong=mixed, hint=ONE_LINE_END)
    if isinstance(found, BindError):
        return Form(wrong=f"cannot be read as CSV: {found.message}", hint=_ragged(head, source) or "")
    form = _form(found[0])
    if len(form.columns) == 1 and source.delimiter is None:
        ragged = _ragged(head, source)
        if ragged and re.search(r"[,;\t|]", form.columns[0].name):
            return Form(
                wrong=f"is no table: {ragged}", hint="give each line as many values as the header, and close quotes"
            )
    if not form.quote and b'"' in head and (open_ := _ragged(head, source)):
        return Form(wrong=f"cannot be read as CSV: {open_}", hint="close the quotes, and double those inside a value")
    if of_dates is None and (order := _declared_order(source)) and swapped(form.date_format) == order:
        other = ask(_sniffed(path, {**options, "dateformat": Value(order)}))
        if not isinstance(other, BindError) and _form(other[0]).columns == form.columns:
            form, options["dateformat"] = _form(other[0]), Value(order)
    declared = {name.lower(): kind for name, kind in source.types.items()}
    types = {
        c.name: declared[c.name.lower()]
        for c in form.columns
        # The engine finds no format of a time for what is written as a day.
        if c.name.lower() in declared and not (c.type == "DATE" and is_moment(declared[c.name.lower()]))
    }
    if types:
        typed = ask(_sniffed(path, {**options, "types": struct(types)}))
        if not isinstance(typed, BindError):
            form = _form(typed[0])
    if of_dates is not None:
        form = replace(form, date_format=of_dates)
    if source.timestamp_format is not None:
        form = replace(form, timestamp_format=source.timestamp_format)
    skipped = int(str(found[0][4]))
    if skipped and source.skip is None:
        first = head.decode("utf-8", "replace").lstrip("\ufeff").splitlines()[:1]
        return replace(
            form,
            wrong=f"has {counted(skipped, 'line')} above the names of its columns: `{first[0][:60] if first else ''}`",
            hint=f"take them out, or give the source `skip: {skipped}`",
        )
    doubles = [c.name for c in form.columns if c.type == "DOUBLE" and c.name.lower() not in declared]
    call = compose("read_csv({p}, {a})", p=Value(literal_path(str(path))), a=csv_arguments(form, source, header=True))
    if lost := inexact(call, doubles, ask):
        return replace(form, wrong=_no_double(*lost), hint=declare_exact(lost[0]))
    return _with_empty(path, source, form, ask)


def inexact(relation: Sql, columns: Sequence[str], ask: Ask) -> tuple[str, str] | None:
    """A column and a number in it that a DOUBLE does not hold: a whole one with other digits, or one that is too great."""
    if not columns:
        return None
    lost = []
    for name in columns:
        text, number = compose("CAST({c} AS VARCHAR)", c=Ident(name)), compose("TRY_CAST({c} AS DOUBLE)", c=Ident(name))
        whole = compose("TRY_CAST({c} AS HUGEINT)", c=Ident(name))
        shown = compose("regexp_replace(CAST({n} AS VARCHAR), 'e.*', '')", n=number)
        lost.append(
            compose(
                "min({t}) FILTER (WHERE isinf({n}) AND {t} SIMILAR TO '.*[0-9].*' OR "
                "{t} SIMILAR TO '[+-]?[0-9]{{16,}}' AND {w} IS DISTINCT FROM TRY_CAST({n} AS HUGEINT) AND {a} <> {b})",
                t=text, n=number, w=whole, a=_digits(text), b=_digits(shown),
            )
        )  # fmt: skip
    found = ask(compose("SELECT {lost} FROM {r}", lost=lost, r=relation))
    if isinstance(found, BindError):
        return None  # somebody else tells it
    return next(((name, str(v)) for name, v in zip(columns, found[0], strict=True) if v is not None), None)


def _digits(number: Sql) -> Sql:
    return compose("trim(regexp_replace({n}, '[^0-9]', '', 'g'), '0')", n=number)


def _no_double(column: str, value: str) -> str:
    return f"has `{value[:60]}` in the column `{column}`, which is read as DOUBLE and would lose digits"


def declare_exact(column: str) -> str:
    return f"declare a type that holds it, such as `columns: {{{column}: VARCHAR}}` or a DECIMAL"


def is_date(kind: str) -> bool:
    return kind.upper() == "DATE"


def is_moment(kind: str) -> bool:
    """Whether a type, as a source or seed declares it, is a date with a time of day."""
    return kind.upper().startswith(("TIMESTAMP", "DATETIME"))


def date_format_of(said: Source | Seed) -> str | None:
    """How dates are written, by what is said of a source or seed: a format of times that has no time of day is of both."""
    if said.date_format is None and said.timestamp_format and not re.search("%[HIMSfgnpXcs]", said.timestamp_format):
        return said.timestamp_format
    return said.date_format


def _declared_order(source: Source) -> str:
    """The days in the format that is declared for times: `%m/%d/%Y` of `%m/%d/%Y %H:%M`."""
    return re.split("[ T]*%[HIMSfgnpXcs]", source.timestamp_format or "")[0]


def swapped(format_: str) -> str:
    """A format of dates with day and month in each other's place."""
    return format_.replace("%d", "%\0").replace("%m", "%d").replace("%\0", "%m")


def moment(text: Ident, format_: str, kind: str, *, attempt: bool = False) -> Sql:
    """The time that a text in a format is. With an offset in it, it is in UTC for a type without a zone: never in that of
    the session."""
    parsed = compose("{p}({c}, {f})", p=Sql("try_strptime" if attempt else "strptime"), c=text, f=Value(format_))
    zoned = re.search("%[zZ]", format_) and not names_zone(kind)
    return compose("timezone('UTC', {p})", p=parsed) if zoned else parsed


def csv_arguments(form: Form, source: Source, *, header: bool) -> Sql:
    """The arguments of `read_csv` after the paths: each value as the text that it is, so that what a query makes of it never
    depends on what else the statement reads."""
    quote = form.quote or '"'
    arguments = [
        compose("all_varchar = true, header = {h}, hive_partitioning = false", h=Value(header)),
        compose("delim = {d}, quote = {q}, escape = {e}", d=Value(form.delimiter), q=Value(quote), e=Value(form.escape or quote)),
        compose("comment = '', skip = {n}", n=source.skip or 0),
    ]  # fmt: skip
    if source.nulls:
        arguments.append(compose("nullstr = {v}", v=Value(["", *source.nulls])))
    return compose("{arguments}", arguments=arguments)


def described_form(call: Sql, ask: Ask) -> Form:
    """Of a file that says itself what its columns are, by the call that reads it."""
    found = ask(compose("DESCRIBE SELECT * FROM {call}", call=call))
    if isinstance(found, BindError):
        return Form(wrong=f"cannot be read: {found.message}")
    columns = tuple(Column(str(row[0]), str(row[1])) for row in found)
    nothing = frozenset(column.name for column in columns if column.type in ('"NULL"', "NULL"))
    if [column.name for column in columns] == ["json"] and columns[0].type == "JSON":
        return Form()  # no object was found in it
    return Form(columns, nothing)


def json_form(path: str, source: Source, ask: Ask) -> Form:
    """Of a file of JSON. Numbers and texts of one column are texts: JSON of them would put quotes around the texts."""
    at = Value(literal_path(path))
    form = described_form(compose("read_json({p}, hive_partitioning = false)", p=at), ask)
    open_ = [column for column in form.columns if column.name.lower() not in {name.lower() for name in source.types}]
    mixed = [column.name for column in open_ if column.type == "JSON"]
    if mixed:
        plain = [compose("bool_and(json_type({c}) NOT IN ('ARRAY', 'OBJECT'))", c=Ident(name)) for name in mixed]
        found = ask(compose("SELECT {plain} FROM read_json({p}, hive_partitioning = false)", plain=plain, p=at))
        texts = set() if isinstance(found, BindError) else {n for n, t in zip(mixed, found[0], strict=True) if t}
        form = replace(form, columns=tuple(Column(c.name, "VARCHAR") if c.name in texts else c for c in form.columns))
    doubles = [column.name for column in open_ if column.type == "DOUBLE"]
    written = compose(
        "read_json({p}, columns = {cs}, hive_partitioning = false)", p=at, cs=struct(dict.fromkeys(doubles, "VARCHAR"))
    )
    if lost := inexact(written, doubles, ask):
        return replace(form, wrong=_no_double(*lost), hint=declare_exact(lost[0]))
    return form


def struct(types: Mapping[str, str]) -> Sql:
    fields = [compose("{name}: {kind}", name=Value(name), kind=Value(kind)) for name, kind in types.items()]
    return compose("{{{fields}}}", fields=fields)


_SNIFFED = (
    "SELECT Delimiter, Quote, Escape, HasHeader, SkipRows, DateFormat, TimestampFormat, "
    "list_transform(Columns, lambda c: c.name), list_transform(Columns, lambda c: c.type) FROM sniff_csv({path}, comment = ''"
)


def _sniffed(path: Path, options: Mapping[str, Part]) -> Sql:
    call = compose(_SNIFFED, path=Value(literal_path(str(path))))
    for name, value in options.items():
        call = compose("{call}, {name} = {value}", call=call, name=Sql(name), value=value)
    return Sql(call + ")")


def _form(row: Row) -> Form:
    delimiter, quote, escape, _, _, days, moments, names, types = row
    assert isinstance(names, list)
    assert isinstance(types, list)
    return Form(
        tuple(Column(str(name), str(kind)) for name, kind in zip(names, types, strict=True)),
        delimiter=str(delimiter),
        quote=_given(quote),
        escape=_given(escape),
        date_format=_given(days),
        timestamp_format=_given(moments),
    )


def _given(value: object) -> str:
    return "" if value in (None, "(empty)") else str(value)


def has_header(path: Path, source: Source, ask: Ask) -> bool:
    """Whether the first line of a CSV file names its columns, as the engine sees it."""
    options: dict[str, Part] = {}
    if source.delimiter is not None:
        options["delim"] = Value(source.delimiter)
    if source.skip is not None:
        options["skip"] = source.skip
    found = ask(_sniffed(path, options))
    return isinstance(found, BindError) or bool(found[0][3])


def _with_empty(path: Path, source: Source, form: Form, ask: Ask) -> Form:
    """With those of the columns of text that have no value, so that nothing can be told of them."""
    texts = [column.name for column in form.columns if column.type == "VARCHAR"]
    if not texts:
        return form
    call = compose("read_csv({p}, {a})", p=Value(literal_path(str(path))), a=csv_arguments(form, source, header=True))
    counts = [compose("count({c})", c=Ident(name)) for name in texts]
    found = ask(compose("SELECT {counts} FROM (SELECT * FROM {call} LIMIT {n})", counts=counts, call=call, n=_SAMPLE))
    if isinstance(found, BindError):
        return form
    return replace(form, empty=frozenset(name for name, count in zip(texts, found[0], strict=True) if not count))


def _head(path: Path) -> bytes:
    """The first bytes of a text, out of its wrapping where Python can unpack it."""
    if path.suffix.lower() == ".gz":
        try:
            with gzip.open(path) as packed:
                return packed.read(_HEAD)
        except (OSError, EOFError):
            return path.open("rb").read(_HEAD)
    with path.open("rb") as file:
        head = file.read(_HEAD)
    return b"(packed)" if path.suffix.lower() == ".zst" else head


def _spreadsheet_mark(head: bytes) -> str:
    found = re.match(rb'(?:\xef\xbb\xbf)?("?sep=."?)\r?\n', head)
    return found[1].decode(errors="replace") if found else ""


def _no_text(head: bytes) -> Form | None:
    for magic, (what, hint) in _KINDS.items():
        if head.startswith(magic):
            return Form(wrong=what, hint=hint)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError as error:
        line = head.count(b"\n", 0, error.start) + 1
        return Form(wrong=f"is not UTF-8 text: byte {head[error.start]:#04x} in line {line}", hint="save it as UTF-8")
    if b"\0" in head:
        line = head.count(b"\n", 0, head.index(b"\0")) + 1
        return Form(wrong=f"is not text: it has a NUL character in line {line}", hint="save it as UTF-8")
    return None


ONE_LINE_END = "end all lines alike: `sed -i 's/\\r$//' FILE` takes the carriage returns of Windows out"


def mixed_line_ends(text: bytes) -> str | None:
    """What is said of a text whose lines do not all end in one way, which the engine does not read as CSV."""
    ends: dict[bytes, int] = {}
    line = 1
    for found in re.finditer(rb'"[^"]*"|\r\n|\n|\r', text):
        if found[0][:1] == b'"':
            line += found[0].count(b"\n")
            continue
        ends.setdefault(found[0], line)
        line += 1
    if len(ends) < 2:
        return None
    listed = " and ".join(f"{_ENDS[end]} in line {line}" for end, line in ends.items())
    return f"has lines that do not end alike: {listed}"


_ENDS = {b"\r\n": "CR LF", b"\n": "LF", b"\r": "CR"}


def _ragged(head: bytes, source: Source) -> str | None:
    """What is wrong with the first line that is not like the header."""
    text = head.decode("utf-8", "ignore").removeprefix("\ufeff")
    lines = io.StringIO(text, newline="")
    first = text.splitlines()[0] if text else ""
    delimiter = source.delimiter or max(",;\t|", key=first.count)
    csv.field_size_limit(1 << 30)  # the engine has a limit of its own, and tells it
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    before = 0
    try:
        header = next(reader, [])
        before = reader.line_num
        for row in reader:
            if row and len(row) != len(header) and len(text) < _HEAD // 2:
                return f"line {before + 1} has {len(row)} values, and the header {len(header)}"
            before = reader.line_num
    except csv.Error:
        return f"a quote that begins in line {before + 1} is not closed" if len(text) < _HEAD // 2 else None
    return None
