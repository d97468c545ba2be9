"""`sqlflow verify`: tables against their queries, row for row."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from sqlflow.build.examine import compile_project
from sqlflow.build.prepare import Prepared, prepare_with_problems
from sqlflow.build.standing import look_at, repair
from sqlflow.cli.opening import Opened, clock, new_run_id, opened, read_settings, tell
from sqlflow.cli.render import render_table, to_json
from sqlflow.core.amounts import counted
from sqlflow.core.config import Request
from sqlflow.core.diagnostics import one_problem
from sqlflow.core.engine import Engine, Session
from sqlflow.core.names import TableName
from sqlflow.core.plan import ReasonKind
from sqlflow.core.records import Relation, TableRecord
from sqlflow.plan.modes import proofs
from sqlflow.plan.subject import Subject
from sqlflow.plan.verify import proof_of_image
from sqlflow.proof.judge import not_judged
from sqlflow.proof.run import Verdict, Verified, prove
from sqlflow.state import warehouse


def verify_tables(
    selection: Sequence[str],
    exclude: Sequence[str],
    project: Path | None,
    target: str | None,
    variables: Sequence[str],
    *,
    release: bool,
    wait: float,
    json: bool,
) -> int:
    """Compare, print, and with `release` trust again what was found equal. Exit code 1 when anything differs, or could not
    be released."""
    config = read_settings(project, target, variables)
    with opened(config, tell, writing=release, wait=wait) as found:
        engine = found.engine
        if engine is None:
            raise one_problem("no-database", "there is no database to verify yet", None, "`sqlflow build` makes it")
        prepared, records = _prepared(found, engine, selection, exclude, release=release)
        distrusted = {name for name, record in records.items() if record.distrusted}
        verified: list[Verified] = []
        for name in _wanted(prepared, records, distrusted if release else None):
            results = list(_verified(engine.session(), prepared, records, config.zone, name))
            if release and all(result.verdict is Verdict.EQUAL for result in results):
                _release(found, engine.session(), records[name])
                results = [replace(result, released=True) for result in results]
            verified += results
            if not json:
                for result in results:
                    _print(result)
                _print_trust(results, distrusted=name in distrusted)
    if json:
        print(to_json({"tables": [_json(result, result.table in distrusted) for result in verified]}))
    _summarize(verified, release=release)
    wrong = any(result.verdict in (Verdict.DIFFERS, Verdict.FAILED) for result in verified)
    return 1 if wrong or (release and not all(result.released for result in verified)) else 0


def _prepared(
    found: Opened, engine: Engine, selection: Sequence[str], exclude: Sequence[str], *, release: bool
) -> tuple[Prepared, dict[TableName, TableRecord]]:
    """What a build of these models would do, which tells those that are up to date; and what is remembered."""
    standing = look_at(engine, found.config)
    if release and found.store is not None:
        repair(standing, found.store, tell)
    checked = compile_project(found.workshop, standing.tables, {}, standing.records)
    request = Request(selection=tuple(selection), exclude=tuple(exclude))
    prepared = prepare_with_problems(found.workshop, checked, standing, found.store, request, new_run_id(), clock)
    return prepared, dict(standing.records)


def _wanted(
    prepared: Prepared, records: dict[TableName, TableRecord], distrusted: set[TableName] | None
) -> Iterator[TableName]:
    """The inputs of which a copy is kept, then the models. `distrusted`: only these."""
    for name in sorted(prepared.inputs.states):
        if name in prepared.selected and name in records and records[name].image and distrusted is None:
            yield name
    models = prepared.checked.compiled.models
    for name in prepared.checked.compiled.order:
        test = models[name].header.promise.tests
        if name in prepared.selected and not test and (distrusted is None or name in distrusted):
            yield name


def _verified(
    session: Session, prepared: Prepared, records: dict[TableName, TableRecord], zone: ZoneInfo, name: TableName
) -> Iterator[Verified]:
    model = prepared.checked.compiled.models.get(name)
    reasons = {task.table: task.reason for task in prepared.plan.tasks}
    without = None
    if model is not None:
        has_table = model.header.promise.is_table
        without = not_judged(model, reasons.get(name), prepared.shape_of(name) if has_table else None)
    if without is not None:
        yield Verified(name, Verdict.SKIPPED, why=(without,))
    elif name in reasons and reasons[name].kind is not ReasonKind.CHECKS_CHANGED:
        yield Verified(name, Verdict.STALE, why=(f"not up to date: build first ({reasons[name]})",))
    elif name not in records or (model is not None and name not in prepared.plan.skipped and name not in reasons):
        refused = next((problem.message for problem in prepared.plan.problems), "it was never built")
        yield Verified(name, Verdict.STALE, why=(f"not up to date: {refused}",))
    elif model is None:
        yield prove(session, name, proof_of_image(session.wording, name, records[name]))
    else:
        subject = Subject(model, records[name], Relation.TABLE, zone, session.wording)
        for proof in proofs(subject, prepared.shape_of(name)):
            yield prove(session, name, proof)


def _release(found: Opened, session: Session, record: TableRecord) -> None:
    """Trust a table again, in the warehouse and in the run-state file."""
    trusted = replace(record, distrusted="")
    session.begin()
    warehouse.write(session, [trusted], [], ())
    session.commit()
    if found.store is not None:
        found.store.put([trusted])


def _print(result: Verified) -> None:
    name, seconds = str(result.table), f"{result.seconds:.2f}s"
    match result.verdict:
        case Verdict.EQUAL:
            print(f"equal    {name}  {_counted(result.rows, result.what)}, {seconds}")
        case Verdict.DIFFERS:
            print(
                f"differs  {name}  {_counted(result.rows, result.what)}, {seconds}: {result.missing:,} only in the query (+), "
                f"{result.surplus:,} only in the table (-)"
            )
        case Verdict.STALE | Verdict.SKIPPED | Verdict.FAILED:
            print(f"{result.verdict:<7}  {name}  {'; '.join(result.why)}")
            return
    if result.sample:
        table = render_table(result.columns, result.sample, width=None)
        print("\n".join(f"         {line}" for line in table.splitlines()))
    for text in result.why:
        print(f"         note: {text}")


def _print_trust(results: Sequence[Verified], *, distrusted: bool) -> None:
    if any(result.released for result in results):
        print("         released: incremental updates are on again")
    elif distrusted and all(result.verdict is Verdict.EQUAL for result in results):
        print(f"         incremental updates are off; `sqlflow verify --release {results[0].table}` turns them on")


def _counted(count: int, what: str) -> str:
    """`1 row`, `3 rows of its copy`, `2 counters`."""
    word, _, rest = what.partition(" ")
    return counted(count, word.removesuffix("s")) + (f" {rest}" if rest else "")


def _summarize(verified: Sequence[Verified], *, release: bool) -> None:
    if not verified:
        print("nothing to release: every table is trusted" if release else "nothing to verify", file=sys.stderr)
        return
    worst: dict[TableName, Verdict] = {}
    for result in verified:
        worst[result.table] = max(worst.get(result.table, Verdict.EQUAL), result.verdict, key=_WORSE.index)
    words = {Verdict.DIFFERS: "different", Verdict.STALE: "not up to date"}
    count = Counter(worst.values())
    parts = [f"{count[verdict]:,} {words.get(verdict, verdict)}" for verdict in _WORSE if count[verdict]]
    print(f"{counted(len(worst), 'table')}: {', '.join(parts)}", file=sys.stderr)


_WORSE = (Verdict.EQUAL, Verdict.SKIPPED, Verdict.STALE, Verdict.DIFFERS, Verdict.FAILED)


def _json(result: Verified, distrusted: bool) -> dict[str, object]:
    return {
        "table": str(result.table),
        "what": result.what,
        "verdict": str(result.verdict),
        "rows": result.rows,
        "missing": result.missing,
        "surplus": result.surplus,
        "seconds": result.seconds,
        "notes": list(result.why),
        "columns": list(result.columns[1:]),
        "sample": [list(row) for row in result.sample],
        "distrusted": distrusted and not result.released,
        "released": result.released,
    }
