"""From a dbt model to a SQLFlow model: its Jinja rendered, its configuration as directives, and what should be known of both."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlglot
from msgspec import Struct, field, structs
from sqlglot.errors import SqlglotError

from sqlflow.core.names import TableName
from sqlflow.migrate import incremental
from sqlflow.migrate.blocks import tags_of, whole_line_tags
from sqlflow.migrate.configs import as_list
from sqlflow.migrate.dbt import DbtModel, Place, TextFile
from sqlflow.migrate.dialects import Known, output_columns, reads_as_query, sqlglot_name, translate, written_in
from sqlflow.migrate.jinja import Failed, NotRendered, Relation, Rendered, Renderer, uses_of
from sqlflow.migrate.naming import Named
from sqlflow.migrate.plain_macros import PlainMacro, means_the_same, with_macros
from sqlflow.migrate.remarks import Outcome, Remark
from sqlflow.migrate.snapshots import CONFIGS, history
from sqlflow.migrate.variables import Value, with_values, with_variables

_RANK = list(Outcome)
_NO_VARIABLES: Mapping[str, Value] = {}


class Converted(Struct, frozen=True):
    """A model of the new project. `sql`: its query, None where there is none. `frozen`: macros whose text stands in it now."""

    named: Named
    sql: str | None
    directives: Mapping[str, Any]
    remarks: tuple[Remark, ...]
    reads: tuple[Relation, ...] = ()
    frozen: tuple[str, ...] = ()
    columns: tuple[str, ...] | None = None
    variables: Mapping[str, Value] = {}
    macros: tuple[PlainMacro, ...] = ()

    @property
    def outcome(self) -> Outcome:
        return max((one.outcome for one in self.remarks), key=_RANK.index, default=Outcome.EXACT)

    @property
    def table(self) -> TableName:
        return self.named.table


class Compiled(Struct, frozen=True):
    """SQL that dbt itself compiled, with names as they are in the new project."""

    sql: str
    place: str


class Names(Struct, frozen=True):
    """The names that models may use: macros, and variables with the values that they have in the models before."""

    macros: Mapping[str, PlainMacro] = {}
    variables: dict[str, Value] = field(default_factory=dict)


def convert(
    named: Named,
    renderer: Renderer,
    adapter: str,
    unique: Sequence[tuple[str, ...]],
    compiled: Callable[[DbtModel], Compiled | None],
    known: Known,
    names: Names,
) -> Converted:
    """A model of dbt as one of SQLFlow."""
    node = named.node
    remarks: list[Remark] = []
    if node.file.path.suffix == ".py":
        reason = "a Python model; SQLFlow has models in SQL alone"
        remarks.append(
            Remark(Outcome.UNSUPPORTED, reason, node.place, "load its result as a table, and declare it in sources/")
        )
        return Converted(named, None, {}, tuple(remarks))
    rendered = _render(named, renderer, incremental=False)
    baked, variables, template = rendered, _NO_VARIABLES, node.file.text
    macros: tuple[PlainMacro, ...] = ()
    if isinstance(rendered, Rendered):
        kept = _with_names(named, rendered, renderer, adapter, names)
        rendered, template, variables, macros = kept.rendered, kept.template, kept.variables, kept.macros
    if not named.enabled and (isinstance(rendered, Failed) or not rendered.text.strip()):
        remarks.append(Remark(Outcome.EXACT, "it is disabled, and left out", node.place))
        return Converted(named, None, {}, tuple(remarks))
    frozen: tuple[str, ...] = ()
    first: str | None
    reads: tuple[Relation, ...]
    if isinstance(rendered, Failed):
        first, reads = None, rendered.reads
        found = compiled(node)
        place = Place(node.file.path, rendered.line + node.first_line - 1 if rendered.line else 0)
        if found is None:
            remarks.append(Remark(Outcome.BY_HAND, rendered.reason, place, rendered.hint))
            return Converted(named, None, _plain_directives(named, remarks), tuple(remarks), reads)
        first = found.sql
        remarks.append(Remark(Outcome.NOTED, f"{rendered.reason}; the SQL is taken from {found.place}", place))
    else:
        first, reads = rendered.text, rendered.reads
        remarks += [
            Remark(
                Outcome.EXACT if note.harmless else Outcome.BY_HAND if note.by_hand else Outcome.NOTED,
                note.reason,
                Place(node.file.path, note.line),
                note.hint,
            )
            for note in rendered.notes
        ]
        uses = list(uses_of(template))
        frozen = tuple(dict.fromkeys(use.what for use in uses))
        if frozen:
            place = Place(node.file.path, uses[0].line + node.first_line - 1)
            named_ones = ", ".join(f"`{what}`" for what in frozen[:6]) + (" and others" if len(frozen) > 6 else "")
            remarks.append(Remark(Outcome.NOTED, f"evaluated once, while migrating: {named_ones}", place))
    sql = first.strip().rstrip(";").rstrip()
    if not sql:
        remarks.append(Remark(Outcome.BY_HAND, "it holds no SQL", node.place, "write its query, or delete it"))
        return Converted(named, None, _plain_directives(named, remarks), tuple(remarks), reads)
    directives = _plain_directives(named, remarks)
    columns = output_columns(sql, adapter, known)
    if named.materialized == "incremental":
        directives = {
            **_kept(named, baked, renderer, columns, adapter, unique, remarks),
            **directives,
        }
    if node.resource == "snapshot":
        said, added = history(named, columns, adapter, remarks)
        directives = {**said, **directives}
        columns = None if columns is None else [*columns, *added]
    directives |= hooks(named, renderer, adapter, remarks)
    sql = _in_dialect(sql, node, adapter, remarks)
    there = None if columns is None else tuple(columns)
    return Converted(named, sql, directives, tuple(remarks), reads, frozen, there, variables, macros)


# ---------------------------------------------------------------- text


def _render(named: Named, renderer: Renderer, *, incremental: bool) -> Rendered | Failed:
    """The model's text, with the lines left out that held nothing but Jinja, where that changes nothing."""
    node = named.node
    text = node.file.text
    plain = renderer.render(node, text, config=named.config, incremental=incremental)
    if isinstance(plain, Failed):
        return plain
    neat_text = _without_empty_lines(_with_comments(text))
    if neat_text == text:
        return plain
    neat = renderer.render(node, neat_text, config=named.config, incremental=incremental)
    if isinstance(neat, Failed) or _tokens(neat.text) != _tokens(plain.text):
        return plain
    return neat


class Kept(Struct, frozen=True):
    """A model's text with the variables and macros that stay what they are. `template`: its text before that."""

    rendered: Rendered
    template: str
    variables: Mapping[str, Value] = {}
    macros: tuple[PlainMacro, ...] = ()


def _with_names(named: Named, baked: Rendered, renderer: Renderer, adapter: str, names: Names) -> Kept:
    """The model's text with variables and macros where their values and texts stood, if it is the same query."""
    node = named.node
    plain = Kept(baked, node.file.text)
    dialect = sqlglot_name(adapter)
    if written_in(adapter) != dialect or "$" in baked.text:
        return plain
    text, variables = with_variables(node.file.text, renderer.variable)
    text, macros = with_macros(text, names.macros, dialect)
    if any(repr(names.variables.get(name, value)) != repr(value) for name, value in variables.items()):
        return plain  # another model has another default for it
    if not variables and not macros:
        return plain
    with_text = DbtModel(
        node.name, node.resource, node.package, TextFile(node.file.path, text), node.fqn, node.folder_config, node.first_line, node.properties
    )  # fmt: skip
    made = _render(structs.replace(named, node=with_text), renderer, incremental=False)
    if isinstance(made, Failed) or reads_as_query(made.text.strip(), adapter) is not None:
        return plain
    valued = with_values(made.text, variables)
    if _tokens(valued) != _tokens(baked.text) and not (macros and means_the_same(valued, baked.text, macros, dialect)):
        return plain
    # What stands in a part that is for later runs alone is not in the query.
    variables = {name: value for name, value in variables.items() if re.search(rf"\${name}\b", made.text)}
    macros = [macro for macro in macros if re.search(rf"\b{macro.name}\(", made.text)]
    names.variables.update(variables)
    return Kept(made, text, variables, tuple(macros))


def _without_empty_lines(text: str) -> str:
    kept: list[str] = []
    position = 0
    for begin, end in whole_line_tags(text):
        kept.append(text[position:begin])
        position = end
    return "".join([*kept, text[position:]])


def _with_comments(text: str) -> str:
    """Comments of Jinja as comments of SQL."""
    pieces: list[str] = []
    position = 0
    for tag in tags_of(text):
        if tag.kind != "#" or "*/" in tag.inside or "/*" in tag.inside or "@" in tag.inside or not tag.inside:
            continue
        before = text[text.rfind("\n", 0, tag.start) + 1 : tag.start]
        inside = re.sub(r"\{[{%#]|[}%#]\}", lambda match: f"{{% raw %}}{match[0]}{{% endraw %}}", tag.inside)
        if "--" in before:
            continue
        pieces += [text[position : tag.start], f"/* {inside} */"]
        position = tag.end
    return "".join([*pieces, text[position:]])


def _tokens(sql: str) -> object:
    try:
        return [(token.token_type, token.text) for token in sqlglot.tokenize(sql, read="postgres")]
    except (SqlglotError, ValueError):
        return sql.split()


def _in_dialect(sql: str, node: DbtModel, adapter: str, remarks: list[Remark]) -> str:
    """The query as the new project is written."""
    if not sqlglot_name(adapter):
        reason = f"the SQL of `{adapter}` is not known here, and stands as it was"
        remarks.append(Remark(Outcome.NOTED, reason, node.place, "give the nearest SQL with `--dialect`"))
        return sql
    if written_in(adapter) == sqlglot_name(adapter):
        wrong = reads_as_query(sql, adapter)
        if wrong is not None:
            remarks.append(Remark(Outcome.BY_HAND, f"the result is no query: {wrong}", node.place))
        return sql
    made = translate(sql, adapter)
    if isinstance(made, str):
        remarks.append(
            Remark(
                Outcome.BY_HAND,
                f"it could not be translated to DuckDB's SQL: {made}",
                node.place,
                "its text stands as it was; write it in DuckDB's SQL",
            )
        )
        return sql
    if made.sql != sql:
        remarks.append(Remark(Outcome.NOTED, f"translated from the SQL of `{adapter}`", node.place))
    remarks += [Remark(Outcome.NOTED, told, node.place) for told in made.told]
    remarks += [
        Remark(Outcome.BY_HAND, f"a part did not translate: {lost}", node.place, "look at it in the new file")
        for lost in made.lost
    ]
    remarks += [
        Remark(
            Outcome.BY_HAND,
            f"`{name}` is no function of DuckDB",
            _place_of(name, node),
            f"say it in other words, or write `CREATE MACRO {name}(...)` in macros/",
        )
        for name in made.unknown
    ]
    return made.sql


def _place_of(word: str, node: DbtModel) -> Place:
    """Where a word stands in the text of a node."""
    found = re.search(rf"\b{re.escape(word)}\b", node.file.text, re.IGNORECASE)
    if found is None:
        return node.place
    return Place(node.file.path, node.file.text.count("\n", 0, found.start()) + node.first_line)


# ---------------------------------------------------------------- directives

_MODES = {
    "view": "view",
    "ephemeral": "inline",
    "table": "auto",
    "incremental": "auto",
    "materialized_view": "auto",
    "snapshot": "auto",
}
_GONE = frozenset(
    ["materialized", "schema", "alias", "database", "enabled", "tags", "meta", "unique_key", "incremental_strategy", "on_schema_change",
     "full_refresh", "pre_hook", "post_hook", "docs", "persist_docs", "description", "event_time", "begin", "batch_size", "lookback",
     "concurrent_batches", "merge_update_columns", "merge_exclude_columns", "partition_by", "static_analysis", "docs", "sql_header", "contract",
     "incremental_predicates", "predicates", "indexes", "group", "access", "grants", "columns", "required_docs", "required_tests",
     *CONFIGS]
)  # fmt: skip


def _plain_directives(named: Named, remarks: list[Remark]) -> dict[str, Any]:
    """What the configuration says besides the way a table is kept."""
    config, place = named.config, named.node.place
    kind = named.materialized
    found: dict[str, Any] = {}
    mode = _MODES.get(kind)
    if mode is None:
        remarks.append(
            Remark(
                Outcome.BY_HAND,
                f"the materialization `{kind}` is not one of dbt's; it becomes a table",
                place,
                "write the mode that fits",
            )
        )
    elif mode != "auto":
        found["mode"] = mode
    if kind == "materialized_view":
        remarks.append(
            Remark(Outcome.NOTED, "a materialized view becomes a table, which builds keep up to date", place)
        )
    tags = [str(tag) for tag in as_list(config.get("tags"))]
    if tags:
        found["tags"] = list(dict.fromkeys("_".join(tag.replace(",", " ").split()) for tag in tags))
    if not named.enabled:
        found["enabled"] = False
    if str(config.get("full_refresh", "")).lower() == "false" and kind == "incremental":
        found["full_refresh"] = "never"
    policy = str(config.get("on_schema_change") or "ignore")
    if kind == "incremental" and policy == "fail":
        found["on_schema_change"] = "fail"
    elif kind == "incremental" and policy in ("append_new_columns", "sync_all_columns"):
        remarks.append(
            Remark(Outcome.NOTED, f"`on_schema_change: {policy}`: a change of columns rebuilds the table", place)
        )
    owner = _owner(config)
    if owner:
        found["owner"] = owner
    dropped = [key for key, value in config.items() if key not in _GONE and value is not None]
    if dropped:
        remarks.append(
            Remark(
                Outcome.EXACT,
                "settings of a database that SQLFlow does not use: " + ", ".join(f"`{key}`" for key in sorted(dropped)),
                place,
            )
        )
    if config.get("sql_header"):
        remarks.append(Remark(Outcome.BY_HAND, "`sql_header` is left out", place, "say it in `@before`"))
    return found


def hooks(named: Named, renderer: Renderer, adapter: str, remarks: list[Remark]) -> dict[str, Any]:
    """Hooks as `before` and `after`."""
    found: dict[str, Any] = {}
    for key, word in (("pre_hook", "before"), ("post_hook", "after")):
        statements: list[str] = []
        for one in as_list(named.config.get(key)):
            text = str(one.get("sql") if isinstance(one, Mapping) else one)
            try:
                sql = str(renderer.value(text, named.node)).strip().rstrip(";").strip()
            except NotRendered as wrong:
                remarks.append(
                    Remark(
                        Outcome.BY_HAND,
                        f"a `{key}` could not be evaluated: {wrong.reason}",
                        named.node.place,
                        wrong.hint,
                    )
                )
                continue
            if not sql:
                continue
            if written_in(adapter) != sqlglot_name(adapter) or named.materialized == "ephemeral":
                remarks.append(
                    Remark(
                        Outcome.NOTED,
                        f"a `{key}` is left out: `{_short(sql)}`",
                        named.node.place,
                        f"write it as `@{word}` if it is needed",
                    )
                )
            else:
                statements.append(sql)
        if statements:
            found[word] = statements[0] if len(statements) == 1 else statements
    return found


def _short(sql: str) -> str:
    line = " ".join(sql.split())
    return line if len(line) < 120 else f"{line[:117]}..."


def _owner(config: Mapping[str, Any]) -> str:
    meta = config.get("meta")
    owner = meta.get("owner") if isinstance(meta, Mapping) else None
    return str(owner) if isinstance(owner, str) and "\n" not in owner else ""


def _kept(
    named: Named, rendered: Rendered | Failed, renderer: Renderer, columns: Sequence[str] | None, adapter: str,
    unique: Sequence[tuple[str, ...]], remarks: list[Remark],
) -> Mapping[str, Any]:  # fmt: skip
    later = incremental.Later()
    place = _place_of_incremental(named.node)
    if isinstance(rendered, Rendered) and rendered.asked_incremental:
        again = _render(named, renderer, incremental=True)
        if isinstance(again, Failed):
            later = incremental.Later((), again.reason)
        else:
            this = str(renderer.this(named.node))
            later = incremental.compare(
                rendered.text.strip().rstrip(";").rstrip(), again.text.strip().rstrip(";").rstrip(), this, adapter
            )
    found = incremental.kept(named.config, later, columns, adapter, unique)
    remarks += [Remark(Outcome.NOTED, note, place) for note in found.notes]
    if found.by_hand:
        remarks.append(Remark(Outcome.BY_HAND, found.by_hand, place, found.hint))
    return found.directives


def _place_of_incremental(node: DbtModel) -> Place:
    at = node.file.text.find("is_incremental")
    return Place(node.file.path, node.file.text.count("\n", 0, at) + node.first_line) if at >= 0 else node.place


__all__ = ["Compiled", "Converted", "NotRendered", "Outcome", "Remark", "convert"]
