"""`sqlflow state` and `sqlflow runs`."""

from __future__ import annotations

import sys
from pathlib import Path

from sqlflow.build.standing import look_at, repair
from sqlflow.cli.opening import lock_path, opened, read_settings, state_folder, tell
from sqlflow.cli.render import render_table, to_json
from sqlflow.core.config import Config
from sqlflow.core.diagnostics import did_you_mean, one_problem
from sqlflow.core.names import TableName
from sqlflow.core.records import RunRecord, Status, TableRecord
from sqlflow.core.seen import Read
from sqlflow.state import lock
from sqlflow.state.file import open_state


def show_state(model: str | None, project: Path | None, target: str | None, *, json: bool) -> int:
    """Print the records of tables. The exit code."""
    config = read_settings(project, target, ())
    records = _records(config)
    if model is None:
        rows = [_summary(record) for _, record in sorted(records.items())]
        if json:
            print(to_json(rows))
        else:
            shown = ("table", "mode", "version", "rows", "watermark", "done", "committed")
            print(render_table(shown, [[row[key] for key in shown] for row in rows], width=None))
        return 0
    name = _find(records, model)
    facts = {**_summary(records[name]), **_details(records[name])}
    if json:
        print(to_json(facts))
    else:
        for key, value in facts.items():
            for number, line in enumerate(value if isinstance(value, list) else [value]):
                print(f"{key if number == 0 else '':<12} {'-' if line is None else line}")
    return 0


def _records(config: Config) -> dict[TableName, TableRecord]:
    store = open_state(state_folder(config) / "state.db", config.target.name, tell, writing=False)
    if store is None:
        print(
            "there is no run-state yet: `sqlflow build` makes it, `sqlflow state rebuild` reads it from the warehouse",
            file=sys.stderr,
        )
        return {}
    try:
        return dict(store.load())
    finally:
        store.close()


def _find(records: dict[TableName, TableRecord], text: str) -> TableName:
    found = [name for name in records if text.lower() in (str(name).lower(), name.name.lower())]
    if len(found) == 1:
        return found[0]
    hint = did_you_mean(text, [str(name) for name in records]) or "see `sqlflow state show`"
    raise one_problem("unknown-table", f"nothing is remembered of `{text}`", None, hint)


def _summary(record: TableRecord) -> dict[str, object]:
    return {
        "table": str(record.table),
        "mode": record.mode,
        "version": record.version,
        "rows": record.rows,
        "watermark": record.watermark,
        "done": str(record.done) if record.done else None,
        "committed": record.committed_at.isoformat(" ", "seconds"),
    }


def _details(record: TableRecord) -> dict[str, object]:
    return {
        "kind": str(record.kind),
        "relation": str(record.relation),
        "run": record.run_id,
        "seconds": record.seconds,
        "strategy": record.strategy or None,
        "runs": record.runs,
        "distrusted": record.distrusted or None,
        "facts": [f"{name} = {value}" for name, value in record.facts.items()],
        "paces": [f"{name} = {value}" for name, value in record.paces.items()],
        "fingerprint": record.fingerprint.query,
        "columns": [f"{column.name} {column.type}" for column in record.schema],
        "inputs": [
            *(f"@{asked} = {shown}" for asked, shown in sorted(record.clocks.items())),
            *(f"{name} = {_shown(read)}" for name, read in sorted(record.inputs.items())),
        ],
    }


def _shown(read: Read) -> str:
    """What was read of an input, without the hashes."""
    return str(read.version) if read.is_version else f"what came after {read.version}"


def show_schemas(model: str, project: Path | None, target: str | None, *, json: bool) -> int:
    """Print the columns that a table has had. The exit code."""
    config = read_settings(project, target, ())
    name = _find(_records(config), model)
    store = open_state(state_folder(config) / "state.db", config.target.name, tell, writing=False)
    assert store is not None
    history = store.schema_history(name)
    store.close()
    if json:
        print(
            to_json(
                [{"at": at, "run": run, "columns": [[c.name, c.type] for c in schema]} for at, run, schema in history]
            )
        )
        return 0
    for number, (at, run, schema) in enumerate(history):
        print(f"{at}  {run}")
        if number == 0:
            lines: tuple[str, ...] = tuple(f"{column.name} {column.type}" for column in schema)
        else:
            lines = history[number - 1][2].differences(schema)
        for line in lines:
            print(f"    {line}")
    return 0


def rebuild_state(project: Path | None, target: str | None, *, wait: float) -> int:
    """Set the file aside and make it anew from the warehouse. The exit code."""
    config = read_settings(project, target, ())
    with opened(config, tell, writing=True, wait=wait) as found:
        if found.engine is None or found.store is None:
            raise one_problem(
                "no-database", "there is no database to read the state from", None, "`sqlflow build` makes it"
            )
        found.store.put((), list(found.store.load()))
        repair(look_at(found.engine, config), found.store, tell)
    return 0


def unlock(project: Path | None, target: str | None) -> int:
    """Say who holds the build lock; remove what a dead holder left. The exit code is 1 while it is held."""
    config = read_settings(project, target, ())
    path = lock_path(config)
    if lock.is_held(path):
        print(f"held by {lock.describe_owner(lock.read_owner(path))}", file=sys.stderr)
        print("stop that process to free it; the lock goes with its holder", file=sys.stderr)
        return 1
    owner = lock.read_owner(path)
    path.unlink(missing_ok=True)
    left = f"; its last holder did not end well: {lock.describe_owner(owner)}" if owner else ""
    print(f"the build lock of `{config.target.name}` is free{left}", file=sys.stderr)
    return 0


def show_runs(limit: int, project: Path | None, target: str | None, *, json: bool) -> int:
    """Print the newest builds. The exit code."""
    config = read_settings(project, target, ())
    store = open_state(state_folder(config) / "state.db", config.target.name, tell, writing=False)
    found = list(store.runs(limit)) if store is not None else []
    if store is not None:
        store.close()
    if json:
        print(to_json([_run_json(record) for record in found]))
        return 0
    columns = ("run", "started", "status", "seconds", "done", "failed", "skipped", "up to date", "command")
    print(render_table(columns, [_run_row(record) for record in found], width=None))
    return 0


def _run_row(record: RunRecord) -> list[object]:
    seconds = (record.finished_at - record.started_at).total_seconds()
    counts = [
        sum(r.status is status for r in record.results) for status in (Status.DONE, Status.FAILED, Status.SKIPPED)
    ]
    started = record.started_at.isoformat(" ", "seconds")
    return [record.run_id, started, str(record.status), round(seconds, 2), *counts, record.up_to_date, record.command]


def _run_json(record: RunRecord) -> dict[str, object]:
    return {
        "run": record.run_id,
        "command": record.command,
        "status": str(record.status),
        "started_at": record.started_at,
        "finished_at": record.finished_at,
        "up_to_date": record.up_to_date,
        "results": [
            {
                "table": str(result.table),
                "action": result.action,
                "status": str(result.status),
                "rows": result.rows,
                "seconds": result.seconds,
                "strategy": result.strategy,
                "facts": dict(result.facts),
                "reason": result.reason,
                "error": result.error.message if result.error else None,
                "blame": str(result.blame) if result.blame else None,
            }
            for result in record.results
        ],
    }
