"""`sqlflow clean`: tables that SQLFlow made and nothing in the project owns any more, and what killed watches left."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from sqlflow.build.examine import compile_project
from sqlflow.cli.opening import opened, read_settings, tell
from sqlflow.cli.render import to_json
from sqlflow.core.engine import Engine
from sqlflow.core.modes import promised
from sqlflow.core.names import TableName
from sqlflow.core.records import Relation
from sqlflow.core.sql import Sql, compose
from sqlflow.plan.plan import orphans
from sqlflow.state import warehouse
from sqlflow.state.file import FileStore
from sqlflow.watch.scratch import left_over, remove


def clean_tables(
    project: Path | None,
    target: str | None,
    variables: Sequence[str],
    *,
    drop: bool,
    dry_run: bool,
    also_unclaimed: bool = False,
    discard_history: bool = False,
    wait: float,
    json: bool,
) -> int:
    """List the orphans and the scratch databases of killed sessions, and with `drop` drop them. The exit code."""
    config = read_settings(project, target, variables)
    really = drop and not dry_run
    with opened(config, tell, writing=really, wait=wait) as found:
        names: tuple[TableName, ...] = ()
        unclaimed: tuple[TableName, ...] = ()
        histories: tuple[TableName, ...] = ()
        scratch = left_over(config.root)
        if found.engine is not None:
            tables = found.engine.tables()
            records = warehouse.load(found.engine.session(), config).records
            checked = compile_project(found.workshop, tables, {}, records)
            names = orphans(checked.compiled, records, tables, config.name)
            for former in config.formerly:
                names += orphans(checked.compiled, records, tables, former)
            unclaimed = orphans(checked.compiled, records, tables, "")
            if also_unclaimed:
                names, unclaimed = (*names, *unclaimed), ()
            if not discard_history:
                histories = tuple(name for name in names if promised(records[name].mode).history)
                names = tuple(name for name in names if name not in histories)
            if really and found.store is not None:
                _drop(found.engine, found.store, {name: tables[name].relation for name in names}, config.name)
    if really:
        remove(scratch)
    listed = [str(name) for name in names] + [str(folder.relative_to(config.root)) for folder in scratch]
    if json:
        print(to_json([{"name": name, "dropped": really} for name in listed]))
    else:
        for name in map(str, names):
            print(f"{'dropped' if really else 'would drop' if drop else 'orphan'}  {name}")
        for name in listed[len(names) :]:
            print(f"{'removed' if really else 'would remove' if drop else 'scratch'}  {name}")
    if unclaimed:
        shown = ", ".join(f"`{name}`" for name in unclaimed[:5]) + (" and others" if len(unclaimed) > 5 else "")
        print(
            f"an older version of SQLFlow made {shown}, and did not write down for which project; if no other project "
            "builds into this database, `sqlflow clean --drop --unclaimed` drops them as well",
            file=sys.stderr,
        )
    if histories:
        shown = ", ".join(f"`{name}`" for name in histories)
        print(
            f"histories that belong to no model any more, and cannot be made again: {shown}; "
            "`sqlflow clean --drop --discard-history` drops them as well",
            file=sys.stderr,
        )
    if not listed and (unclaimed or histories):
        return 0
    if not listed:
        print("nothing to clean: every table has its owner", file=sys.stderr)
    elif not drop:
        print("`sqlflow clean --drop` drops them", file=sys.stderr)
    return 0


def _drop(engine: Engine, store: FileStore, relations: dict[TableName, Relation], project: str) -> None:
    """All of them in one transaction, with what is remembered of them."""
    session = engine.session()
    session.begin()
    for name, relation in relations.items():
        word = Sql("VIEW" if relation is Relation.VIEW else "TABLE")
        session.execute(compose("DROP {word} {t}", word=word, t=name))
    warehouse.forget(session, list(relations), project)
    warehouse.sweep(session)
    session.commit()
    store.put((), list(relations))
