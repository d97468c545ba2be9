"""`sqlflow verify`: tables against their queries, row for row."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import LiteralString
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import replace

from sqlflow.build import Prepared, compile_project, draw_up, look_at, repair
from sqlflow.cli.opening import Opened, clock, new_run_id, opened, read_settings, tell
from sqlflow.cli.render import render_table, to_json
from sqlflow.core.compiled import CompiledModel
from sqlflow.core.config import Request
from sqlflow.core.diagnostics import one_problem
from sqlflow.core.engine import Engine, EngineError, Row, Session
from sqlflow.core.model import Mode
from sqlflow.core.names import TableName
from sqlflow.core.plan import Reason, ReasonKind, StepKind
from sqlflow.core.records import Relation, TableRecord
from sqlflow.core.sql import compose
from sqlflow.core.words import counted
from sqlflow.plan.compare import compared_columns
from sqlflow.plan.following import ShapeOf
from sqlflow.plan.log import WEIGHT, names
from sqlflow.plan.subject import Subject
from sqlflow.plan.verify import Proof, proof_of_image, proofs
from sqlflow.runner.task import show_rows
from sqlflow.state import warehouse

_SHOWN = 5  # rows of each side


class Verdict(StrEnum):
    EQUAL = "equal"
    DIFFERS = "differs"
    STALE = "stale"
    SKIPPED = "skipped"
    FAILED = "failed"


class Verified(Struct, frozen=True):
    """How one comparison came out. `missing`, `surplus`: rows that the query gives and the table lacks, and the other way
    round. `why`: why there was none, or what could not be looked at."""

    table: TableName
    verdict: Verdict
    what: str = ""
    rows: int = 0
    missing: int = 0
    surplus: int = 0
    seconds: float = 0.0
    why: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    sample: tuple[Row, ...] = ()
    released: bool = False


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
    standing = look_at(engine)
    if release and found.store is not None:
        repair(standing.records, found.store, tell)
    checked = compile_project(found.workshop, standing.tables, {}, standing.records)
    request = Request(selection=tuple(selection), exclude=tuple(exclude))
    prepared = draw_up(found.workshop, checked, standing, found.store, request, new_run_id(), clock)
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
        test = models[name].model.header.mode is Mode.TEST
        if name in prepared.selected and not test and (distrusted is None or name in distrusted):
            yield name


def _verified(
    session: Session, prepared: Prepared, records: dict[TableName, TableRecord], zone: ZoneInfo, name: TableName
) -> Iterator[Verified]:
    model = prepared.checked.compiled.models.get(name)
    reasons = {task.table: task.reason for task in prepared.plan.tasks}
    without = _not_judged(model, reasons.get(name), prepared.shape_of) if model is not None else None
    if without is not None:
        yield Verified(name, Verdict.SKIPPED, why=(without,))
    elif name in reasons and reasons[name].kind is not ReasonKind.CHECKS_CHANGED:
        yield Verified(name, Verdict.STALE, why=(f"not up to date: build first ({reasons[name]})",))
    elif name not in records or (model is not None and name not in prepared.plan.skipped and name not in reasons):
        refused = next((problem.message for problem in prepared.plan.problems), "it was never built")
        yield Verified(name, Verdict.STALE, why=(f"not up to date: {refused}",))
    elif model is None:
        yield _proved(session, name, proof_of_image(session.wording, name, records[name]))
    else:
        subject = Subject(model, records[name], Relation.TABLE, zone, session.wording)
        for proof in proofs(subject, prepared.shape_of(name)):
            yield _proved(session, name, proof)


def _not_judged(model: CompiledModel, reason: Reason | None, shape_of: ShapeOf) -> str | None:
    """Why there is nothing to compare, if there is not."""
    match model.model.header.mode:
        case Mode.VIEW:
            return "a view is what its query gives"
        case Mode.INLINE:
            return "inline: it has no table"
        case _:
            volatile = sorted(word for word in model.clock if word != "day")
            if volatile and (reason is None or reason.kind is ReasonKind.CLOCK):
                return f"its query uses `{volatile[0]}`, which may always differ"
            refusal = shape_of(model.name).refusal
            return _VOLATILE if refusal is not None and refusal.volatile else None


_VOLATILE = (
    "its query gives other rows each time: it has a random sample, or a function that gives another value each time"
)


def _proved(session: Session, name: TableName, proof: Proof) -> Verified:
    """Run the statements of a comparison, and read what they found."""
    started = time.monotonic()
    try:
        for step in proof.steps:
            if step.kind is StepKind.WRITE:
                session.execute(step.sql)
            elif found := session.fetch(step.sql):
                message = step.message.replace("{rows}", show_rows(found))
                return Verified(name, Verdict.FAILED, proof.what, why=(message,))
        missing, surplus = (
            int(str(session.fetch(compose(_COUNT, w=WEIGHT, wrong=proof.wrong, sign=sign))[0][0])) for sign in (1, -1)
        )
        rows = int(str(session.fetch(proof.rows)[0][0]))
        excused = 0 if proof.excused is None else int(str(session.fetch(proof.excused)[0][0]))
        sample = [row for sign in (1, -1) for row in _sample(session, proof, sign)] if missing or surplus else []
    except EngineError as error:
        return Verified(name, Verdict.FAILED, proof.what, why=(error.message.splitlines()[0],))
    why = (f"not compared: {counted(excused, 'row')} {proof.excuse}",) if excused else ()
    verdict = Verdict.DIFFERS if missing or surplus else Verdict.EQUAL
    return Verified(
        table=name,
        verdict=verdict,
        what=proof.what,
        rows=rows,
        missing=missing,
        surplus=surplus,
        seconds=round(time.monotonic() - started, 3),
        why=(*why, *proof.notes),
        columns=("", *compared_columns(session.wording, proof.schema).names),
        sample=tuple(sample),
    )


_COUNT: LiteralString = "SELECT coalesce(sum({sign} * {w}), 0) FROM {wrong} WHERE {sign} * {w} > 0"


def _sample(session: Session, proof: Proof, sign: int) -> list[Row]:
    columns = names(compared_columns(session.wording, proof.schema))
    rows = session.fetch(
        compose(
            "SELECT {cs} FROM {wrong} WHERE {sign} * {w} > 0 ORDER BY {cs} LIMIT {n}",
            cs=columns, wrong=proof.wrong, sign=sign, w=WEIGHT, n=_SHOWN,
        )
    )  # fmt: skip
    return [("+" if sign > 0 else "-", *row) for row in rows]


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
        print("         released: its changes are followed again")
    elif distrusted and all(result.verdict is Verdict.EQUAL for result in results):
        print(f"         only rebuilt until it is released: `sqlflow verify --release {results[0].table}`")


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
