"""Which of several ways to the same table is taken: by what was measured, with the numbers.

All ways of a merge give the same table (tests/laws/test_strategies.py); they differ in what they cost. What decides is
known only when the rows have been read, so the choice is made by statements in the middle of the task: they count the
batch against the table into `_sqlflow_facts`, compare a sample of the rows where that could pay, price each way, and
write the cheapest into `_sqlflow_choice`, which the steps that follow ask. A dry run prices the ways with the numbers of
the last run.

A price is a sum of counts times seconds. The engine's seconds per row and column (`Wording.prices`) are where a new model
begins; how long its own runs took against them (`TableRecord.paces`) corrects them from the second run on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import LiteralString

from msgspec import Struct

from sqlflow.core.amounts import counted
from sqlflow.core.model import Conflict, Header, Incremental
from sqlflow.core.modes import Strategy
from sqlflow.core.plan import Step, StepKind, Way
from sqlflow.core.records import Facts, TableRecord
from sqlflow.core.schema import Schema
from sqlflow.core.sql import Ident, Part, Sql, Value, compose, joined, make_temporary, render
from sqlflow.core.ways import Fact, Method
from sqlflow.core.wording import Prices
from sqlflow.plan.matched import MET, is_met
from sqlflow.plan.subject import Subject, matches, write

FACTS = Ident("_sqlflow_facts")
CHOICE = Ident("_sqlflow_choice")
_SAMPLE = Ident("_sqlflow_sample")

APPEND, MERGE, CHANGES, CDC, SWAP = Method.APPEND, Method.MERGE, Method.CHANGES, Method.CDC, Method.SWAP

_SAMPLE_ROWS = 300
_SAMPLE_SECONDS = 0.03  # what it costs to compare the sample, however large the table: 0.02 to 0.04 were measured
_HYSTERESIS = 0.9  # the way of the last run is left only for one that is this much cheaper


class Choice(Struct, frozen=True):
    """The ways that a model's header allows. One way is an order; several are a choice.

    `compares`: the table is large enough that looking at a sample of the rows can pay.
    """

    prices: Prices
    ways: tuple[Method, ...]
    paces: Mapping[Method, float]
    last: Method
    columns: int
    compares: bool

    @property
    def fixed(self) -> Method | None:
        return self.ways[0] if len(self.ways) == 1 else None


def choice_of(header: Header, before: TableRecord | None, schema: Schema, prices: Prices) -> Choice:
    """What may be chosen from for a merge, at the prices of the engine."""
    changes = CDC if is_stream(header) else CHANGES
    match header.strategy:
        case _ if header.incremental is Incremental.OFF:
            ways: tuple[Method, ...] = (SWAP,)
        case Strategy.MERGE | Strategy.CDC | Strategy.SWAP:
            ways = (Method(str(header.strategy)),)
        case _:
            ways = (APPEND, MERGE, changes, SWAP)
    columns = len(schema.names)
    rows = before.rows if before is not None and before.rows is not None else 0
    paces = before.paces if before is not None else {}
    worth = rows * (columns * prices.insert + prices.delete) * paces.get(MERGE, 1.0) > 2 * _SAMPLE_SECONDS
    return Choice(prices, ways, paces, before.strategy if before is not None else Method.NONE, columns, worth)


def is_stream(header: Header) -> bool:
    """Whether the query is a stream of changes: events of keys in the order of a cursor, some of which delete."""
    return header.cursor is not None and header.deleted is not None and header.conflict is Conflict.LATEST_WINS


# ---------------------------------------------------------------------- prices


def _prices(choice: Choice, changes: Method) -> Mapping[Method, Mapping[str, float]]:
    """Way -> fact -> seconds for each. The facts are those that `_count` and `_price` measure."""
    columns, of = choice.columns, choice.prices
    return {
        APPEND: {"written": of.insert * columns},
        MERGE: {"matched": of.delete, "written": of.insert * columns},
        changes: {
            "table_rows": of.scan * columns,
            "matched": of.compare * columns + of.delete,
            "written": of.insert * columns,
            "unchanged": -of.delete - of.insert * columns,
        },
        SWAP: {"unmatched": of.copy * columns, "written": of.copy * columns},
    }


def _pace(choice: Choice, way: Method) -> float:
    """How much longer than its price a way takes here; one that was never tried, like the others on average."""
    if way in choice.paces:
        return choice.paces[way]
    known = list(choice.paces.values())
    return sum(known) / len(known) if known else 1.0


def _sum(prices: Mapping[str, float], factor: float = 1.0) -> Sql:
    terms = [compose("{n} * {price}", n=Ident(name), price=Value(price * factor)) for name, price in prices.items()]
    return compose("({sum})", sum=joined(" + ", terms))


# ---------------------------------------------------------------------- at run time


def decide(subject: Subject, choice: Choice, latest: Ident, gone: Ident) -> list[Step]:
    """The steps that measure and choose.

    `latest`: one row per key, without those that the table's own rows win against, which have met the table's rows;
    `gone`: its column that says that the row is a deletion.
    """
    parts: dict[str, Part] = {
        "t": subject.table, "latest": latest, "met": MET, "gone": gone, "facts": FACTS, "choice": CHOICE, "sample": _SAMPLE,
        "same": matches(subject.words, "_target", "_sqlflow_latest", subject.model.header.key),
    }  # fmt: skip
    steps = [_count(subject, choice, parts)]
    if choice.fixed is None:
        steps += _compare(subject, choice, parts)
    steps.append(_price(choice, parts))
    names = [Fact.KEYS, Fact.DELETIONS, Fact.TABLE_ROWS, Fact.OWN_INDEXES, Fact.MATCHED, Fact.NEW_KEYS]
    shown: list[Part] = [Ident(str(name)) for name in names]
    facts = list(names)
    if choice.fixed is None:
        shown += [Ident(str(name)) for name in (Fact.SAMPLED, Fact.SAMPLED_UNCHANGED)]
        facts += [Fact.SAMPLED, Fact.SAMPLED_UNCHANGED]
        for way in choice.ways:
            seconds = Ident(f"{way}_seconds")  # infinite for a way that cannot be taken, which has no number
            shown.append(
                compose(
                    "CASE WHEN {finite} THEN round(CAST({c} AS DECIMAL(18, 6)), 6) END",
                    c=seconds,
                    finite=subject.words.finite(Sql(render(seconds))),
                )
            )
            facts.append(Fact(f"{way}_seconds"))
    shown += [compose("round(CAST(price AS DECIMAL(18, 6)), 6)"), Ident("strategy")]
    facts += [Fact.PRICE_SECONDS, Fact.STRATEGY]
    steps.append(
        Step(StepKind.MEASURE, compose("SELECT {shown} FROM {choice}", shown=shown, choice=CHOICE), facts=tuple(facts))
    )
    return steps


def taken(*ways: Method) -> Sql:
    """The condition that one of these ways was chosen."""
    return compose("SELECT strategy IN ({ways}) FROM {choice}", ways=[Value(way) for way in ways], choice=CHOICE)


def _count(subject: Subject, choice: Choice, parts: Mapping[str, Part]) -> Step:
    """The sizes, and how many keys of the batch the table has."""
    alone = Sql("0")  # whether every key of the batch has one row in the table: asked where a way depends on it
    if choice.fixed == CDC:
        alone = _found_keys(subject, parts)
    indexes = Sql("0")
    if SWAP in choice.ways:
        indexes = subject.words.own_indexes(subject.table)
    return write(
        make_temporary(
            FACTS,
            "SELECT *, keys - deletions AS written, known + removed AS matched, "
            "table_rows - known - removed AS unmatched, keys - deletions - known AS new_keys, {alone} AS lone_keys FROM "
            "(SELECT count(*) AS keys, count(*) FILTER (WHERE {gone}) AS deletions FROM {latest}) AS _a, "
            "({matches}) AS _b, "
            "(SELECT (SELECT count(*) FROM {t}) AS table_rows, {indexes} AS own_indexes) AS _c",
            alone=alone,
            indexes=indexes,
            matches=compose(_ALL_MET if _meets_all(subject) else _SOME_MET, **parts),
            **parts,
        )
    )


def _meets_all(subject: Subject) -> bool:
    """Whether each row that was met is that of one row of the batch: neither has lost any since, and keys come once."""
    header = subject.model.header
    return header.cursor is None and header.deleted is None and header.conflict is Conflict.SOURCE_WINS


_ALL_MET: LiteralString = "SELECT count(*) AS known, 0 AS removed FROM {met}"
_SOME_MET: LiteralString = (
    "SELECT count(*) FILTER (WHERE NOT {gone}) AS known, count(*) FILTER (WHERE {gone}) AS removed "
    "FROM {latest} JOIN {met} AS _target ON {same}"
)


def _found_keys(subject: Subject, parts: Mapping[str, Part]) -> Sql:
    """How many keys of the batch the table has, however many rows it has of each."""
    if _meets_all(subject):
        keys = [Ident(name) for name in subject.model.header.key]
        return compose("(SELECT count(*) FROM (SELECT DISTINCT {keys} FROM {met}) AS _keys)", keys=keys, **parts)
    return compose(
        "(SELECT count(*) FROM {latest} WHERE EXISTS (SELECT 1 FROM {met} AS _target WHERE {same}))", **parts
    )


def _compare(subject: Subject, choice: Choice, parts: Mapping[str, Part]) -> list[Step]:
    """How many rows of a sample of the batch are in the table as they are; where many known keys make it worth while."""
    none = write(
        make_temporary(
            _SAMPLE,
            "SELECT 0 AS sampled, 0 AS sampled_unchanged, 0 AS found_keys",
            **parts,
        )
    )
    if not choice.compares:
        return [none]
    changes = choice.ways[2]
    prices = _prices(choice, changes)
    rewriting = _sum(prices[MERGE], _pace(choice, MERGE))
    least = {  # what the way costs at least: with every known row as it was
        "table_rows": prices[changes]["table_rows"],
        "matched": prices[changes]["matched"] - choice.prices.delete,
        "new_keys": prices[changes]["written"],
    }
    worth = compose(
        "SELECT {rewriting} - {comparing} > {seconds} FROM {facts}",
        rewriting=rewriting, comparing=_sum(least, _pace(choice, changes)), seconds=Value(_SAMPLE_SECONDS), **parts,
    )  # fmt: skip
    key = subject.model.header.key
    found = make_temporary(
        _SAMPLE, "WITH _some AS MATERIALIZED (SELECT * FROM {latest} WHERE NOT {gone} {sample_of}), "
        "_theirs AS MATERIALIZED (SELECT * FROM {t} AS _target WHERE {known}) "
        "SELECT (SELECT count(*) FROM _some) AS sampled, (SELECT count(*) FROM _some JOIN _theirs ON {joined} AND {equal}) "
        "AS sampled_unchanged, {found} AS found_keys",
        sample_of=subject.words.sample(_SAMPLE_ROWS), known=is_met(subject, Ident("_some")), joined=matches(subject.words, "_theirs", "_some", key),
        equal=same_row(subject, "_theirs", "_some"), found=_found_keys(subject, parts), **parts,
    )  # fmt: skip
    return [none, write(found, only_if=worth)]


def _price(choice: Choice, parts: Mapping[str, Part]) -> Step:
    """Facts, prices and the way, in one row."""
    if choice.fixed is not None:
        # A swap would lose an index or a constraint that somebody put on the table; CDC needs one row per key.
        unless = {SWAP: Sql("own_indexes > 0"), CDC: Sql("lone_keys <> matched")}.get(choice.fixed, Sql("FALSE"))
        price = Sql("0")  # what the others cost depends on counts that nobody asks for here
        if choice.fixed == SWAP:
            price = compose("(table_rows + keys) * {copy}", copy=Value(choice.prices.copy * choice.columns))
        return write(
            make_temporary(
                CHOICE, "SELECT *, CASE WHEN {unless} THEN 'merge' ELSE {way} END AS strategy, "
                "CASE WHEN {unless} THEN 0 ELSE {price} END AS price FROM {facts}",
                unless=unless, way=Value(choice.fixed), price=price, **parts,
            )
        )  # fmt: skip
    changes = choice.ways[2]
    prices = _prices(choice, changes)
    never = Sql("CAST('inf' AS DOUBLE PRECISION)")
    allowed = {
        APPEND: Sql("matched = 0"),
        MERGE: Sql("TRUE"),
        changes: Sql("matched > 0 AND sampled > 0 AND found_keys = matched"),
        SWAP: Sql("own_indexes = 0"),
    }
    plain = [
        compose(
            "CASE WHEN {allowed} THEN {price} ELSE {never} END AS {name}",
            allowed=allowed[way], price=_sum(prices[way]), never=never, name=Ident(f"{way}_price"),
        )
        for way in choice.ways
    ]  # fmt: skip
    paced = [
        compose("{c} * {pace} AS {name}", c=Ident(f"{way}_price"), pace=Value(_pace(choice, way)), name=Ident(f"{way}_seconds"))
        for way in choice.ways
    ]  # fmt: skip
    compared = [
        compose("{c} * {factor}", c=Ident(f"{way}_seconds"), factor=Value(_HYSTERESIS if way == choice.last else 1.0))
        for way in choice.ways
    ]
    least = compose("least({all})", all=compared)
    cases = [
        compose("WHEN {mine} = {least} THEN {way}", mine=mine, least=least, way=Value(way))
        for way, mine in zip(choice.ways, compared, strict=True)
    ]
    nothing_known = compose("WHEN matched = 0 THEN {way}", way=Value(APPEND))  # it does less than any other
    chosen = joined(" ", [nothing_known, *cases])
    price = joined(
        " ",
        [compose("WHEN {way} THEN {c}", way=Value(way), c=Ident(f"{way}_price")) for way in choice.ways],
    )
    return write(
        make_temporary(
            CHOICE, "SELECT *, CASE strategy {price} END AS price FROM "
            "(SELECT *, CASE {chosen} END AS strategy FROM (SELECT *, {paced} FROM (SELECT *, {plain} FROM "
            "(SELECT _f.*, _s.*, CASE WHEN sampled > 0 THEN CAST(written AS DOUBLE PRECISION) * sampled_unchanged / sampled "
            "ELSE 0 END AS unchanged FROM {facts} AS _f, {sample} AS _s) AS _a) AS _b) AS _c) AS _d",
            price=price, chosen=chosen, paced=paced, plain=plain, **parts,
        )
    )  # fmt: skip


# ---------------------------------------------------------------------- rows that are the same to the last bit


def same_row(subject: Subject, left: str, right: str) -> Sql:
    """The condition that two rows are alike, so that leaving one is the same as writing the other."""
    return joined(
        " AND ",
        [
            subject.words.same_bits(_of(left, column.name), _of(right, column.name), column)
            for column in subject.model.kept
        ],
    )


def _of(table: str, column: str) -> Sql:
    return compose("{t}.{c}", t=Ident(table), c=Ident(column))


# ---------------------------------------------------------------------- before the run


def expected(choice: Choice, before: TableRecord | None) -> tuple[Way, ...]:
    """The ways with what they are expected to cost, the likely one first; what a dry run shows."""
    facts = before.facts if before is not None else {}
    if choice.fixed is not None:
        return (Way(choice.fixed, _known_seconds(choice, before), f"as `@strategy` says; {_last(before)}"),)
    changes = choice.ways[2]
    counts = _counts(facts, before)
    if counts is None:
        size = f"the table has {counted(before.rows, 'row')}" if before is not None and before.rows is not None else ""
        return tuple(
            Way(way, None, "; ".join(filter(None, (_WHEN.get(way, _WHEN[CHANGES]), size)))) for way in choice.ways
        )
    found = []
    for way, prices in _prices(choice, changes).items():
        seconds = sum(counts[name] * price for name, price in prices.items()) * _pace(choice, way)
        possible = way == MERGE or (way == APPEND and counts["matched"] == 0)
        possible = possible or (way == SWAP and not facts.get(Fact.OWN_INDEXES))
        possible = possible or (way == changes and facts.get(Fact.SAMPLED, 0) != 0)
        measured = f"; {choice.paces[way]:.2f} times its price here" if way in choice.paces else ""
        why = f"{_WHEN.get(way, _WHEN[CHANGES])}{measured}"
        found.append(Way(way, round(seconds, 4) if possible else None, why))
    found.sort(
        key=lambda way: (
            float("inf") if way.seconds is None else way.seconds * (_HYSTERESIS if way.name == choice.last else 1)
        )
    )
    return tuple(found)


_WHEN = {
    APPEND: "when no key of the batch is in the table: only inserts",
    MERGE: "deletes the keys of the batch and inserts its rows",
    CHANGES: "when many rows of a sample are unchanged: compares all rows, writes those that differ",
    SWAP: "when most of the table changes: writes it anew, with the keys that are not in the batch, and swaps it in",
}


def _counts(facts: Facts, before: TableRecord | None) -> Mapping[str, float] | None:
    """What the last run measured, as the facts that prices are made of."""
    names = (Fact.TABLE_ROWS, Fact.KEYS, Fact.DELETIONS, Fact.MATCHED)
    numbers = {name: value for name in names if isinstance(value := facts.get(name), int | float)}
    if len(numbers) < len(names) or before is None:
        return None
    rows = before.rows if before.rows is not None else numbers[Fact.TABLE_ROWS]
    sampled, same = facts.get(Fact.SAMPLED, 0), facts.get(Fact.SAMPLED_UNCHANGED, 0)
    share = float(same) / float(sampled) if sampled else 0.0
    matched = numbers[Fact.MATCHED]
    return {
        "table_rows": rows,
        "matched": matched,
        "unmatched": max(0.0, rows - matched),
        "written": numbers[Fact.KEYS] - numbers[Fact.DELETIONS],
        "unchanged": (numbers[Fact.KEYS] - numbers[Fact.DELETIONS]) * share,
    }


def _known_seconds(choice: Choice, before: TableRecord | None) -> float | None:
    took = before.facts.get(Fact.APPLY_SECONDS) if before is not None and before.strategy == choice.fixed else None
    return float(took) if took is not None else None


def _last(before: TableRecord | None) -> str:
    took = before.facts.get(Fact.APPLY_SECONDS) if before is not None else None
    return (
        "it was not measured yet"
        if took is None or before is None
        else f"the last run's {before.strategy} took {took} s"
    )


def described(before: TableRecord | None) -> str:
    """The facts of the last run in one line; empty when there are none."""
    if before is None:
        return ""
    facts = before.facts
    shown = [f"{facts[name]} {word}" for name, word in _TOLD if name in facts]
    return ", ".join(shown)


_TOLD: Sequence[tuple[Fact, str]] = (
    (Fact.ROWS_READ, "rows read"),
    (Fact.KEYS, "keys"),
    (Fact.NEW_KEYS, "new"),
    (Fact.MATCHED, "known"),
    (Fact.UNCHANGED, "unchanged"),
    (Fact.DELETIONS, "deletions"),
    (Fact.TABLE_ROWS, "rows in the table"),
)
