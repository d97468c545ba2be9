"""Follow the changes of inputs instead of computing a table anew.

All ways end in the same place: a temporary table `_sqlflow_net` of rows with the weight that they gain or lose. Rows
that go are looked up in the table as whole rows; if one of them is not there, the table is not what was believed, and the
same task rebuilds it. docs/incremental.md says why each way gives the rows of a rebuild.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product

from msgspec import Struct
from msgspec.structs import replace

from sqlflow.core.following import Grouping, Shape
from sqlflow.core.inputs import Beyond
from sqlflow.core.keeping import counters_of
from sqlflow.core.names import TableName
from sqlflow.core.plan import Step, StepKind
from sqlflow.core.schema import Schema
from sqlflow.core.sql import Authors, Ident, Part, Sql, Value, compose, joined, make, make_temporary, quoted
from sqlflow.core.text import Edit
from sqlflow.core.ways import Fact, Method
from sqlflow.plan import selfcheck
from sqlflow.plan.log import SIGN, VERSION, WEIGHT, Log, expanded, names, net, same_key, same_row
from sqlflow.plan.selfcheck import SelfCheck
from sqlflow.plan.subject import Subject, unless_still, write

MOST_PRODUCTS = 40

_CHOICE = Ident("_sqlflow_choice")
_PARTS = Ident("_sqlflow_parts")
_TOUCHED = Ident("_sqlflow_touched")
_BEFORE = Ident("_sqlflow_before")
_AFTER = Ident("_sqlflow_after")
_NET = Ident("_sqlflow_net")
_LOST = Ident("_sqlflow_lost")
_DOOMED = Ident("_sqlflow_doomed")
_GOING = Ident("_sqlflow_going")


class ChangedRows(Struct, frozen=True):
    """An input whose changes after one version up to another are to be followed, as its `log` tells them. `beyond`: only
    these, for rows were only added and the others have been read."""

    table: TableName
    schema: Schema
    after: int
    upto: int
    log: TableName
    beyond: Beyond | None = None


class Following(Struct, frozen=True):
    """How changes are followed: by multiplying them out (`products`), by the touched values of `keys`, or whichever fits
    what is found when it runs (both: by products unless rows were removed). `most`: more changed rows than these are
    not followed."""

    changed: tuple[ChangedRows, ...]
    products: tuple[Product, ...] = ()
    keys: tuple[str, ...] = ()
    most: int | None = None


class Product(Struct, frozen=True):
    """One signed term of a difference: reading -> the place of its changed input; `empty`: readings without rows here.

    `removed`: the readings that take rows that were removed.
    """

    sign: int
    changed: tuple[tuple[int, int], ...]
    removed: frozenset[int]
    empty: frozenset[int]


def products_of(shape: Shape, changed: Sequence[ChangedRows], *, grown: bool) -> tuple[Product, ...] | None:
    """The terms of Q(new) - Q(old), each a product with at least one change in it; None where they cannot be written.

    With x_old = x_new - dx, a sum of products without a repeated factor changes by the sum over the non-empty sets S of
    changed readings of (-1)^(|S|+1) times the terms that have all of S, with changes in S and new states elsewhere.
    `grown`: nothing was removed.
    """
    place = {reading: at for at, item in enumerate(changed) for reading in shape.readings_of(item.table)}
    terms = [frozenset(term) for term in shape.terms]
    found: list[Product] = []
    for size in range(1, max((len(term & place.keys()) for term in terms), default=0) + 1):
        for chosen in combinations(sorted(place), size):
            wanted = frozenset(chosen)
            whole = [term for term in terms if wanted <= term]
            if not whole:
                continue
            used = frozenset().union(*whole)
            others = [term for term in terms if not wanted <= term]
            if any(term <= used for term in others):
                return None
            empty = frozenset().union(*others) - used
            for kinds in product((False,) if grown else (False, True), repeat=size):
                removed = frozenset(reading for reading, gone in zip(chosen, kinds, strict=True) if gone)
                sign = -1 if (size + 1 + len(removed)) % 2 else 1
                found.append(Product(sign, tuple((r, place[r]) for r in chosen), removed, empty))
            if len(found) > MOST_PRODUCTS:
                return None
    return tuple(found)


def prime(subject: Subject, shape: Shape) -> tuple[Step, ...]:
    """Make the counters of a grouped model, from the inputs as they are."""
    if shape.grouping is None:
        return ()
    return (
        write(
            make(counters_of(subject.table), Authors(shape.body)),
        ),
    )


def whole_query(subject: Subject, shape: Shape) -> Sql:
    """The query of the whole table; of a grouped model whose counters have just been made, over these."""
    if shape.grouping is None:
        return subject.query
    return _projected(subject, shape.grouping, counters_of(subject.table))


def follow(
    subject: Subject,
    shape: Shape,
    following: Following,
    log: Log | None,
    rebuild: tuple[Step, ...],
    check: SelfCheck | None,
    moving: frozenset[TableName],
) -> tuple[Step, ...]:
    """The statements that follow the changes, or do `rebuild` when there are too many of them or they do not fit, or
    when the self-check finds something. `moving`: tables to which others write: what is read of them besides the changes
    that are written down must be what it was when that was done."""
    schema = subject.model.schema
    steps: list[Step] = []
    for at, changed in enumerate(following.changed):
        steps += [_gather(at, changed, 1), _gather(at, changed, -1)]
    steps.append(_choose(shape, following))
    for way in (Method.DELTA, Method.KEYS):
        steps += unless_still(moving & _read_as_they_are(shape, following, way), _GIVE_UP, _is(way))
    if following.products:
        steps += _only(_is(Method.DELTA), _multiplied(subject, shape, following))
    if following.keys:
        steps += _only(_is(Method.KEYS), _recomputed(subject, shape, following))
    netted = () if _is_net(shape, following) else (_netted(subject, shape),)
    steps += _only(_not_full(), (*netted, *_doomed(subject)))
    steps.append(_sound(shape))
    if log is not None:
        steps += log.opened(subject.table)
    goes = compose(
        "DELETE FROM {t} AS _b WHERE {id} IN (SELECT r FROM {doomed})",
        id=_row_id(subject),
        t=subject.table,
        doomed=_DOOMED,
    )
    comes = compose(
        "INSERT INTO {t} ({cs}) SELECT {cs} FROM {rows} AS _rows",
        t=subject.table, cs=subject.columns, rows=expanded(subject.words, _NET, schema, 1),
    )  # fmt: skip
    applied = [write(goes), write(comes, counts=True), *_counted(subject, shape)]
    if log is not None and subject.model.written:
        applied = [_going(subject), *applied, log.rows(Sql(quoted(_GOING)), -1)]
        applied.append(log.rows(expanded(subject.words, _NET, schema, 1), 1))
    elif log is not None:
        applied += [log.rows(expanded(subject.words, _NET, schema, sign), sign) for sign in (1, -1)]
    steps += _only(_not_full(), applied)
    if check is not None:
        steps += unless_still(moving, compose("UPDATE {choice} SET checked = FALSE", choice=_CHOICE), _not_full())
        may_check = compose("SELECT way <> 'full' AND checked FROM {choice}", choice=_CHOICE)
        steps += _only(may_check, selfcheck.find_wrong(check))
        steps += _only(may_check, [_fail(check)])
    steps += _only(_is(Method.FULL), rebuild)
    if log is not None:
        steps.append(log.gap(_is(Method.FULL)))
    steps += _measure(subject)
    steps.append(_told())
    if check is not None:
        steps += selfcheck.alarm(check, compose("SELECT failed FROM {choice}", choice=_CHOICE))
    return tuple(steps)


def _going(subject: Subject) -> Step:
    """The rows that go as they stand: what is computed of them again was written at another time."""
    return write(
        make_temporary(
            _GOING, "SELECT {cs} FROM {t} AS _b WHERE {id} IN (SELECT r FROM {doomed})",
            cs=subject.columns, t=subject.table, id=_row_id(subject), doomed=_DOOMED,
        )
    )  # fmt: skip


def is_rebuilt() -> Sql:
    """A query of one truth value: whether `follow` has done the `rebuild`."""
    return _is(Method.FULL)


def is_followed() -> Sql:
    """A query of one truth value: whether it has not."""
    return _not_full()


def read_as_they_are(shape: Shape, following: Following) -> frozenset[TableName]:
    """The tables of which more may be read than the changes that are written down."""
    return _read_as_they_are(shape, following, Method.DELTA) | _read_as_they_are(shape, following, Method.KEYS)


def _read_as_they_are(shape: Shape, following: Following, way: Method) -> frozenset[TableName]:
    """The tables of which a way reads more than the changes that are written down."""
    if way is Method.KEYS:
        return frozenset(reading.table for reading in shape.readings) if following.keys else frozenset()
    read = {
        number
        for item in following.products
        for number in range(len(shape.readings))
        if number not in dict(item.changed) and number not in item.empty
    }
    return frozenset(shape.readings[number].table for number in read)


_GIVE_UP = compose("UPDATE {choice} SET way = 'full'", choice=_CHOICE)


def _row_id(subject: Subject) -> Sql:
    """What tells one row of the table `_b` from all others. A query with a column of that name is not followed."""
    found = subject.words.row_id("_b", subject.model.schema, subject.model.header.partition_by)
    assert found is not None
    return found


def _fail(check: SelfCheck) -> Step:
    """Rebuild the table after all if the self-check has found something."""
    return write(
        compose(
            "UPDATE {choice} SET way = 'full', failed = TRUE WHERE {wrong}",
            choice=_CHOICE,
            wrong=selfcheck.is_wrong(check),
        )
    )


def _only(condition: Sql, steps: Sequence[Step]) -> list[Step]:
    return [replace(step, only_if=condition) for step in steps]


def _is(way: Method) -> Sql:
    return compose("SELECT way = {way} FROM {choice}", way=Value(way), choice=_CHOICE)


def _not_full() -> Sql:
    return compose("SELECT way <> 'full' FROM {choice}", choice=_CHOICE)


def _rows(at: int, sign: int) -> Ident:
    return Ident(f"_sqlflow_{'added' if sign > 0 else 'removed'}_{at}")


def _range(changed: ChangedRows) -> Sql:
    return compose(
        "{version} > {after} AND {version} <= {upto}", version=VERSION, after=changed.after, upto=changed.upto
    )


def _not_read(changed: ChangedRows) -> Sql:
    if changed.beyond is None:
        return Sql("TRUE")
    mark = compose("CAST({v} AS {kind})", v=Value(changed.beyond.mark), kind=Sql(changed.beyond.type))
    return compose("{c} > {mark}", c=Ident(changed.beyond.cursor), mark=mark)


def _gather(at: int, changed: ChangedRows, sign: int) -> Step:
    return write(
        make_temporary(
            _rows(at, sign), "SELECT {cs} FROM {log} WHERE {between} AND {sign} = {which} AND {not_read}",
            cs=names(changed.schema), log=changed.log, between=_range(changed),
            sign=SIGN, which=sign, not_read=_not_read(changed),
        )
    )  # fmt: skip


def _choose(shape: Shape, following: Following) -> Step:
    """Which way is taken, by what was found."""

    def counted(sign: int) -> Sql:
        return joined(
            " + ",
            [compose("(SELECT count(*) FROM {t})", t=_rows(at, sign)) for at in range(len(following.changed))],
        )

    gaps = joined(
        " + ",
        [
            compose(
                "(SELECT count(*) FROM {log} WHERE {between} AND {sign} = 0)",
                log=changed.log, between=_range(changed), sign=SIGN,
            )
            for changed in following.changed
        ],
    )  # fmt: skip
    growing = shape.grouping is not None and not shape.grouping.additive
    otherwise = "keys" if following.keys else "full"
    if not following.products:
        best, removed = otherwise, otherwise
    else:
        best, removed = "delta", otherwise if growing else "delta"
    most = Sql("FALSE") if following.most is None else compose("added + removed > {most}", most=following.most)
    return write(
        make_temporary(
            _CHOICE, "SELECT added, removed, gaps, FALSE AS unsound, FALSE AS failed, TRUE AS checked, "
            "CASE WHEN gaps > 0 OR {most} THEN 'full' WHEN removed > 0 THEN {removed} ELSE {best} END AS way "
            "FROM (SELECT {plus} AS added, {minus} AS removed, {gaps} AS gaps) AS _found",
            most=most, removed=Value(removed), best=Value(best), plus=counted(1), minus=counted(-1),
            gaps=gaps,
        )
    )  # fmt: skip


# ---------------------------------------------------------------------- products


def _multiplied(subject: Subject, shape: Shape, following: Following) -> list[Step]:
    """What the changes add to the body's result, each product with its sign."""
    parts = []
    for item in following.products:
        text = _product_text(shape, item)
        if shape.grouping is None:
            parts.append(
                compose(
                    "SELECT {cs}, {sign} AS {w} FROM (\n{text}\n) AS _p",
                    cs=subject.columns, sign=item.sign, w=WEIGHT, text=text,
                )
            )  # fmt: skip
        else:
            parts.append(_signed(shape, shape.grouping, item.sign, text))
    steps = [write(make_temporary(_NET if _is_net(shape, following) else _PARTS, joined("\nUNION ALL\n", parts)))]
    if shape.grouping is not None:
        steps += _merged(subject, shape, shape.grouping)
    return steps


def _is_net(shape: Shape, following: Following) -> bool:
    """Whether the products are what the table gains, with nothing to be taken back."""
    added = following.products and all(item.sign > 0 and not item.removed for item in following.products)
    return bool(added) and shape.grouping is None and not following.keys


def _product_text(shape: Shape, item: Product) -> Sql:
    def edits() -> Iterator[Edit]:
        places = dict(item.changed)
        for number, reading in enumerate(shape.readings):
            alias = "" if reading.aliased else f" AS {quoted(reading.name)}"
            if number in places:
                rows = _rows(places[number], -1 if number in item.removed else 1)
                yield Edit(reading.start, reading.end, quoted(rows) + alias)
            elif number in item.empty:
                none = compose("(SELECT * FROM {t} WHERE FALSE)", t=reading.table)
                yield Edit(reading.start, reading.end, none + alias)

    return Authors(_edited(shape.body, edits()))


def _edited(text: str, edits: Iterator[Edit]) -> str:
    for edit in sorted(edits, key=lambda item: item.start, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def _signed(shape: Shape, grouping: Grouping, sign: int, text: Sql) -> Sql:
    """The counters of one product, with its sign. A product with a minus sign is one of rows that two others have both:
    that is counted twice, and taken back here; for an extreme it makes no difference."""
    values = []
    for counter in grouping.counters:
        c = Ident(counter.name)
        if sign > 0:
            values.append(compose("{c}", c=c))
        elif counter.kind in ("count", "sum"):
            values.append(compose("-{c} AS {c}", c=c))
        else:
            values.append(compose("CAST(NULL AS {kind}) AS {c}", kind=Sql(_type(shape, counter.name)), c=c))
    keys = [Ident(key) for key in grouping.keys]
    return compose("SELECT {items} FROM (\n{text}\n) AS _p", items=[*keys, *values], text=text)


def _merged(subject: Subject, shape: Shape, grouping: Grouping) -> list[Step]:
    """The counters of the groups that the parts touch, before and after."""
    counters = counters_of(subject.table)
    keys = [Ident(key) for key in grouping.keys]
    touched = compose("SELECT DISTINCT {keys} FROM {parts}", keys=keys, parts=_PARTS) if keys else Sql("SELECT 1")
    same = same_key(subject.words, Sql("_c"), Sql("_t"), grouping.keys)
    values = [_summed(counter.kind, counter.name, shape.schema) for counter in grouping.counters]
    group = (
        compose("GROUP BY {keys} HAVING sum({rows}) <> 0", keys=keys, rows=Ident(grouping.rows)) if keys else Sql("")
    )
    return [
        write(
            make_temporary(
                _BEFORE, "SELECT {cs} FROM {counters} AS _c "
                "WHERE EXISTS (SELECT 1 FROM ({touched}) AS _t WHERE {same})",
                cs=_body_columns(shape), counters=counters, touched=touched, same=same,
            )
        ),
        write(
            make_temporary(
                _AFTER, "SELECT {items} FROM (SELECT {cs} FROM {before} "
                "UNION ALL SELECT {cs} FROM {parts}) AS _c {group}",
                items=[*keys, *values], cs=_body_columns(shape), before=_BEFORE, parts=_PARTS, group=group,
            )
        ),
    ]  # fmt: skip


def _body_columns(shape: Shape) -> list[Sql]:
    return [Sql(quoted(column.name)) for column in shape.schema]


def _summed(kind: str, name: str, schema: Schema) -> Sql:
    column = schema.find(name)
    assert column is not None
    word = Sql("sum" if kind in ("count", "sum") else kind)
    return compose("CAST({word}({c}) AS {kind}) AS {c}", word=word, c=Ident(name), kind=Sql(column.type))


# ---------------------------------------------------------------------- keys


def _recomputed(subject: Subject, shape: Shape, following: Following) -> list[Step]:
    """The rows of the body with a touched key, before and after."""
    keys = following.keys
    grouping = shape.grouping
    stands = subject.table if grouping is None else counters_of(subject.table)
    emerging = [Ident(key) for key in keys if key in shape.emerging]
    without = joined(" OR ", [compose("{c} IS NULL", c=c) for c in emerging]) if emerging else Sql("FALSE")
    same = same_key(subject.words, Sql("_b"), Sql("_t"), keys)
    columns = [compose("_b.{c} AS {c}", c=Ident(column.name)) for column in shape.schema]
    picked = compose(
        "SELECT {cs} FROM {stands} AS _b WHERE EXISTS (SELECT 1 FROM {touched} AS _t WHERE {same})",
        cs=columns, stands=stands, touched=_TOUCHED, same=same,
    )  # fmt: skip
    again = compose(
        "SELECT {cs} FROM (\n{text}\n) AS _b WHERE EXISTS (SELECT 1 FROM {touched} AS _t WHERE {same})",
        cs=columns, text=_narrowed(subject, shape, keys), touched=_TOUCHED, same=same,
    )  # fmt: skip
    if emerging:
        whole = compose("SELECT {cs} FROM (\n{body}\n) AS _b", cs=columns, body=Authors(shape.body))
        picked = compose(
            "SELECT * FROM ({picked}) AS _p WHERE NOT ({without}) UNION ALL SELECT {cs} FROM {stands} AS _b WHERE {without}",
            picked=picked, without=without, cs=columns, stands=stands,
        )  # fmt: skip
        again = compose(
            "SELECT * FROM ({again}) AS _p WHERE NOT ({without}) UNION ALL SELECT * FROM ({whole}) AS _w WHERE {without}",
            again=again, without=without, whole=whole,
        )  # fmt: skip
    return [
        _touched(shape, following),
        write(make_temporary(_BEFORE, picked)),
        write(make_temporary(_AFTER, again)),
        *(
            []
            if grouping is not None
            else [
                write(
                    make_temporary(
                        _PARTS, "SELECT {cs}, 1 AS {w} FROM {after} "
                        "UNION ALL SELECT {cs}, -1 AS {w} FROM {before}",
                        cs=subject.columns, w=WEIGHT, after=_AFTER, before=_BEFORE,
                    )
                )
            ]
        ),
    ]  # fmt: skip


def _touched(shape: Shape, following: Following) -> Step:
    """The keys of all rows that changed, as they were and as they are."""
    queries = []
    for at, changed in enumerate(following.changed):
        for number in shape.readings_of(changed.table):
            reading = shape.readings[number]
            for chosen in product(*(reading.keys[key] for key in following.keys)):
                items = [
                    compose("CAST({e} AS {kind}) AS {key}", e=Sql(e), kind=Sql(_type(shape, key)), key=Ident(key))
                    for e, key in zip(chosen, following.keys, strict=True)
                ]
                queries += [
                    compose("SELECT {items} FROM {rows}", items=items, rows=_rows(at, sign)) for sign in (1, -1)
                ]
    union = joined(" UNION ", list(dict.fromkeys(queries)))
    return write(make_temporary(_TOUCHED, union))


def _type(shape: Shape, key: str) -> str:
    column = shape.schema.find(key)
    assert column is not None
    return column.type


def _narrowed(subject: Subject, shape: Shape, keys: tuple[str, ...]) -> Sql:
    """The body over only those rows that can have a touched key."""
    # The touched keys get names of their own here: the expressions are over columns of the table that may be called alike.
    wanted = {key: Ident(f"_sqlflow_key_{number}") for number, key in enumerate(keys)}

    def edits() -> Iterator[Edit]:
        for reading in shape.readings:
            known = [key for key in keys if key in reading.keys]
            if not known or not reading.narrow or any(len(reading.keys[key]) != 1 for key in known):
                continue
            conditions = [
                subject.words.same(
                    compose("CAST({e} AS {kind})", e=Sql(reading.keys[key][0]), kind=Sql(_type(shape, key))),
                    compose("{key}", key=wanted[key]),
                )
                for key in known
            ]
            inside = compose(
                "(SELECT * FROM {t} WHERE EXISTS (SELECT 1 FROM {touched} AS _sqlflow_key({wanted}) WHERE {same}))",
                t=reading.table, touched=_TOUCHED, wanted=list(wanted.values()), same=joined(" AND ", conditions),
            )  # fmt: skip
            yield Edit(reading.start, reading.end, inside if reading.aliased else f"{inside} AS {quoted(reading.name)}")

    return Authors(_edited(shape.body, edits()))


# ---------------------------------------------------------------------- what the table gains and loses


def _netted(subject: Subject, shape: Shape) -> Step:
    schema = subject.model.schema
    if shape.grouping is None:
        weighted = compose("SELECT {cs}, {w} FROM {parts}", cs=subject.columns, w=WEIGHT, parts=_PARTS)
        return net(subject.words, _NET, schema, weighted, subject.model.kept)
    after, before = (_projected(subject, shape.grouping, rows) for rows in (_AFTER, _BEFORE))
    weighted = compose(
        "SELECT *, 1 AS {w} FROM ({after}) AS _a UNION ALL SELECT *, -1 AS {w} FROM ({before}) AS _b",
        w=WEIGHT, after=after, before=before,
    )  # fmt: skip
    return net(subject.words, _NET, schema, weighted, subject.model.kept)


def _projected(subject: Subject, grouping: Grouping, rows: Part) -> Sql:
    """The rows of the result that these counters stand for."""
    items = [
        compose("CAST({item} AS {kind}) AS {c}", item=Sql(item), kind=Sql(column.type), c=Ident(column.name))
        for item, column in zip(grouping.items, subject.model.schema, strict=True)
    ]
    having = Sql("") if grouping.having is None else compose("WHERE {h}", h=Sql(grouping.having))
    return compose("SELECT {items} FROM {rows} {having}", items=items, rows=rows, having=having)


def _doomed(subject: Subject) -> list[Step]:
    """The rows of the table that go: of equal ones, as many as are to go."""
    return [
        write(
            make_temporary(
                _LOST, "SELECT {cs}, -{w} AS {w}, row_number() OVER () AS _sqlflow_n "
                "FROM {net} WHERE {w} < 0",
                cs=subject.columns, w=WEIGHT, net=_NET,
            )
        ),
        write(
            make_temporary(
                _DOOMED, "SELECT r FROM (SELECT {id} AS r, _l.{w} AS n, "
                "row_number() OVER (PARTITION BY _l._sqlflow_n) AS k FROM {t} AS _b JOIN {lost} AS _l ON {same}) AS _d "
                "WHERE k <= n",
                id=_row_id(subject), w=WEIGHT, t=subject.table, lost=_LOST,
                same=same_row(subject.words, Sql("_b"), Sql("_l"), subject.model.kept),
            )
        ),
    ]  # fmt: skip


def _sound(shape: Shape) -> Step:
    """Take back the choice if the table or its counters are not what was believed."""
    wrong = compose(
        "(SELECT count(*) FROM {doomed}) <> (SELECT coalesce(sum({w}), 0) FROM {lost})",
        doomed=_DOOMED,
        w=WEIGHT,
        lost=_LOST,
    )
    if shape.grouping is not None:
        wrong = compose(
            "({wrong}) OR EXISTS (SELECT 1 FROM {after} WHERE {rows} < 0)",
            wrong=wrong, after=_AFTER, rows=Ident(shape.grouping.rows),
        )  # fmt: skip
    return write(
        compose("UPDATE {choice} SET way = 'full', unsound = TRUE WHERE {wrong}", choice=_CHOICE, wrong=wrong),
        only_if=_not_full(),
    )


def _counted(subject: Subject, shape: Shape) -> list[Step]:
    """Bring the counters up to date."""
    grouping = shape.grouping
    if grouping is None:
        return []
    counters = counters_of(subject.table)
    same = same_key(subject.words, Sql("_c"), Sql("_b"), grouping.keys)
    return [
        write(
            compose(
                "DELETE FROM {counters} AS _c USING {before} AS _b WHERE {same}",
                counters=counters, before=_BEFORE, same=same,
            )
        ),
        write(
            compose(
                "INSERT INTO {counters} SELECT {cs} FROM {after}",
                counters=counters, cs=_body_columns(shape), after=_AFTER,
            )
        ),
    ]  # fmt: skip


def _measure(subject: Subject) -> tuple[Step, ...]:
    facts = compose(
        "SELECT way, added, removed, (SELECT count(*) FROM {t}) FROM {choice}", t=subject.table, choice=_CHOICE
    )
    changed = compose("SELECT EXISTS (SELECT 1 FROM {net})", net=_NET)
    return (
        Step(StepKind.MEASURE, facts, facts=(Fact.STRATEGY, Fact.ADDED_ROWS, Fact.REMOVED_ROWS, Fact.ROWS)),
        Step(StepKind.MEASURE, changed, only_if=_not_full(), facts=(Fact.CHANGED,)),
    )


def _told() -> Step:
    return Step(
        StepKind.NOTICE,
        compose("SELECT 1 FROM {choice} WHERE unsound", choice=_CHOICE),
        message="the table was changed outside SQLFlow since the last build, so it was rebuilt",
    )
