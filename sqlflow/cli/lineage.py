"""`sqlflow lineage`: where a column comes from, or what is made of it, through all models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlflow.build.selecting import called
from sqlflow.cli.reading import OpenProject, find_name, reading
from sqlflow.cli.render import to_json
from sqlflow.core.compiled import Compiled
from sqlflow.core.diagnostics import ProjectError, did_you_mean, one_problem
from sqlflow.core.names import ColumnRef, TableName, unquoted

Edge = tuple[ColumnRef, ColumnRef, str]  # made, of, how


def show_lineage(
    name: str,
    project: Path | None,
    target: str | None,
    variables: Sequence[str],
    *,
    mermaid: bool,
    downstream: bool,
    json: bool,
) -> int:
    """Print lineage as a tree, a diagram or JSON. The exit code."""
    wanted = called(name, downstream=downstream)
    with reading(project, target, variables, without_database=True, wanted=wanted) as found:
        compiled = found.checked.compiled
        table, columns = _asked(found, name)
    start = [ColumnRef(table, column) for column in columns]
    step = _made_from(compiled) if not downstream else _made_of(compiled)
    edges = _edges(start, step, downstream=downstream)
    if json:
        answer = _json(compiled, table, start, edges)
        print(to_json({**answer, "analysed": sorted(found.checked.analysed)}))
    elif mermaid:
        print(_mermaid(start, edges))
    else:
        for ref in start:
            _print_tree(ref, step, 0, ())
        if not downstream:
            _print_rows(compiled, table)
    return 0


def _asked(found: OpenProject, text: str) -> tuple[TableName, tuple[str, ...]]:
    """A table with all its columns, or with one."""
    compiled = found.checked.compiled
    try:
        table = find_name(found.checked, text)
        return table, _columns(compiled, table)
    except ProjectError as error:
        prefix, dot, column = unquoted(text).rpartition(".")
        if not dot:
            raise
        try:
            table = find_name(found.checked, prefix)
        except ProjectError:
            raise error from None
    columns = _columns(compiled, table)
    match = [name for name in columns if name.lower() == column.lower()]
    if not match:
        hint = did_you_mean(column, columns)
        raise one_problem("unknown-column", f"there is no column `{column}` in `{table}`", None, hint)
    return table, (match[0],)


def _columns(compiled: Compiled, table: TableName) -> tuple[str, ...]:
    model = compiled.models.get(table)
    return model.schema.names if model is not None else compiled.columns[table].names


Step = dict[ColumnRef, list[tuple[ColumnRef, str]]]


def _made_from(compiled: Compiled) -> Step:
    found: Step = {}
    for model in compiled.models.values():
        for column in model.lineage.columns:
            found[ColumnRef(model.name, column.name)] = [(ref, column.kind) for ref in column.direct]
    return found


def _made_of(compiled: Compiled) -> Step:
    found: Step = {}
    for made, sources in _made_from(compiled).items():
        for source, kind in sources:
            found.setdefault(source, []).append((made, kind))
    return found


def _edges(start: Sequence[ColumnRef], step: Step, *, downstream: bool) -> list[Edge]:
    edges: dict[Edge, None] = {}
    stack, seen = list(start), set(start)
    while stack:
        ref = stack.pop()
        for other, kind in step.get(ref, ()):
            edges[(other, ref, kind) if downstream else (ref, other, kind)] = None
            if other not in seen:
                seen.add(other)
                stack.append(other)
    return sorted(edges, key=lambda edge: (edge[0].key, edge[1].key))


def _print_tree(ref: ColumnRef, step: Step, depth: int, above: tuple[ColumnRef, ...], kind: str = "") -> None:
    how = f"  ({kind})" if kind and kind != "identity" else ""
    print(f"{'  ' * depth}{ref}{how}")
    if ref in above:
        return
    for other, other_kind in step.get(ref, ()):
        _print_tree(other, step, depth + 1, (*above, ref), other_kind)


def _print_rows(compiled: Compiled, table: TableName) -> None:
    model = compiled.models.get(table)
    if model is None:
        return
    if model.lineage.indirect:
        print("rows depend on")
        for kind, refs in model.lineage.indirect.items():
            print(f"  {kind}: {', '.join(str(ref) for ref in refs)}")
    if not model.lineage.complete:
        print("not everything in this query could be traced")


def _mermaid(start: Sequence[ColumnRef], edges: Sequence[Edge]) -> str:
    refs = dict.fromkeys([*start, *(ref for edge in edges for ref in edge[:2])])
    names = {ref: f"c{number}" for number, ref in enumerate(refs)}
    lines = ["flowchart LR"]
    tables: dict[TableName, list[ColumnRef]] = {}
    for ref in refs:
        tables.setdefault(ref.table, []).append(ref)
    for number, (table, columns) in enumerate(tables.items()):
        lines.append(f'  subgraph t{number}["{_escaped(str(table))}"]')
        lines += [f'    {names[ref]}["{_escaped(ref.column)}"]' for ref in columns]
        lines.append("  end")
    for made, of, kind in edges:
        arrow = "-->" if kind == "identity" else f"-->|{kind}|"
        lines.append(f"  {names[of]} {arrow} {names[made]}")
    return "\n".join(lines)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")


def _json(compiled: Compiled, table: TableName, start: Sequence[ColumnRef], edges: Sequence[Edge]) -> dict[str, object]:
    model = compiled.models.get(table)
    direct = {column.name: [str(ref) for ref in column.direct] for column in model.lineage.columns} if model else {}
    return {
        "table": str(table),
        "columns": [ref.column for ref in start],
        "direct": {ref.column: direct.get(ref.column, []) for ref in start},
        "indirect": {kind: [str(r) for r in refs] for kind, refs in model.lineage.indirect.items()} if model else {},
        "complete": model.lineage.complete if model else True,
        "edges": [{"column": str(made), "from": str(of), "kind": kind} for made, of, kind in edges],
    }
