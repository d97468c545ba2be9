"""Random queries: every construct of the tiers, over relations whose columns are known.

A query is text and the columns that it gives. It is deterministic as a bag of rows: orders are total, and nothing looks at
the clock. What is only nearly so, sums of doubles, is marked `exact=False`; such columns are handed on, never compared.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Col:
    """A column. `kind`: int, dec, dbl, str, bool, date, ts, list. `wide`: so large that arithmetic could overflow."""

    name: str
    kind: str
    exact: bool = True
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Rel:
    """Something that can stand after FROM."""

    sql: str
    cols: tuple[Col, ...]


@dataclass(frozen=True, slots=True)
class Query:
    sql: str
    cols: tuple[Col, ...]


@dataclass(frozen=True, slots=True)
class From:
    """A FROM clause, and the columns in reach: each as (text, column)."""

    sql: str
    scope: tuple[tuple[str, Col], ...]
    aliases: tuple[str, ...]


COMPARABLE = ("int", "dec", "dbl", "str", "bool", "date", "ts")


class Unfit(Exception):
    """The relations at hand do not allow what was tried; another try will."""


@dataclass(slots=True)
class Maker:
    rng: random.Random
    most_joins: int = 3
    odd: float = 0.08  # how often constructs are used that no incremental method has
    favoured: frozenset[str] = frozenset()  # forms that are taken twice as often, and self-joins
    counter: int = 0
    depth: int = 0
    forms: dict[str, int] = field(default_factory=dict)

    # ------------------------------------------------------------------ small choices

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def fresh(self, prefix: str) -> str:
        self.counter += 1
        return f"{prefix}{self.counter}"

    def pick(self, scope: Sequence[tuple[str, Col]], *kinds: str, wide: bool = True) -> str:
        found = [text for text, col in scope if col.exact and col.kind in kinds and (wide or not col.wide)]
        if not found:
            raise Unfit
        return self.rng.choice(found)

    def literal(self, kind: str) -> str:
        match kind:
            case "int":
                return str(self.rng.choice([0, 1, 2, 3]))
            case "dec":
                return self.rng.choice(["0.00", "1.50", "0.01"])
            case "dbl":
                return self.rng.choice(["0.25", "CAST('NaN' AS DOUBLE)", "CAST(0 AS DOUBLE)"])
            case "str":
                return self.rng.choice(["'a'", "'A'", "''", "'b'"])
            case "bool":
                return self.rng.choice(["true", "false"])
            case "date":
                return f"DATE '2024-01-0{self.rng.randint(1, 4)}'"
            case _:
                return f"TIMESTAMP '2024-01-0{self.rng.randint(1, 4)} 00:00:00'"

    # ------------------------------------------------------------------ expressions

    def number(self, scope: Sequence[tuple[str, Col]]) -> tuple[str, str]:
        """An expression of integers or decimals: text and kind."""
        kind = "dec" if self.chance(0.3) and any(c.kind == "dec" and c.exact for _, c in scope) else "int"
        if kind == "dec":
            text = self.pick(scope, "dec")
            return (text if self.chance(0.7) else f"round({text}, 1)"), "dec"
        text = self.pick(scope, "int", wide=False)
        shapes: list[Callable[[], str]] = [
            lambda: text,
            lambda: f"{text} + 1",
            lambda: f"{text} * 2",
            lambda: f"coalesce({text}, 0)",
            lambda: f"CASE WHEN {self.predicate(scope)} THEN {text} ELSE 0 END",
            lambda: f"{text} - {self.pick(scope, 'int', wide=False)}",
            lambda: f"{text} % 2",
            lambda: f"nullif({text}, 1)",
            lambda: f"abs({text})",
        ]
        return self.rng.choice(shapes)(), "int"

    def expression(self, scope: Sequence[tuple[str, Col]]) -> tuple[str, Col]:
        """Any deterministic scalar expression."""
        roll = self.rng.random()
        if roll < 0.4:
            text, kind = self.number(scope)
            return text, Col("", kind, wide=kind == "dec")
        if roll < 0.55:
            g = self.pick(scope, "str")
            shape = self.rng.choice(
                ["upper({0})", "coalesce({0}, '?')", "{0} || '!'", "length({0})", "substr({0}, 1, 1)", "lower({0})"]
            )
            return shape.format(g), Col("", "int" if shape.startswith("length") else "str")
        if roll < 0.7:
            return self.predicate(scope), Col("", "bool")
        if roll < 0.8:
            return f"CAST({self.pick(scope, 'int', wide=False)} AS VARCHAR)", Col("", "str")
        if roll < 0.9:
            day = self.pick(scope, "date", "ts")
            return f"date_trunc('{self.rng.choice(['day', 'month'])}', {day})", Col("", "ts")
        a = self.pick(scope, "int", wide=False)
        return f"greatest({a}, {self.literal('int')})", Col("", "int")

    def predicate(self, scope: Sequence[tuple[str, Col]], depth: int = 0) -> str:
        roll = self.rng.random()
        if depth < 2 and roll < 0.15:
            word = self.rng.choice(["AND", "OR"])
            return f"({self.predicate(scope, depth + 1)} {word} {self.predicate(scope, depth + 1)})"
        if roll < 0.2:
            return f"NOT ({self.predicate(scope, depth + 1)})" if depth < 2 else "true"
        usable = [(text, col) for text, col in scope if col.exact and col.kind in COMPARABLE]
        if not usable:
            raise Unfit
        text, col = self.rng.choice(usable)
        if col.kind == "bool" and self.chance(0.5):
            return text
        shape = self.rng.choice(
            ["=", "<>", "<", ">=", "null", "notnull", "distinct", "in", "between", "column", "coalesce"]
        )
        match shape:
            case "null":
                return f"{text} IS NULL"
            case "notnull":
                return f"{text} IS NOT NULL"
            case "distinct":
                return f"{text} IS DISTINCT FROM {self.literal(col.kind)}"
            case "in":
                return f"{text} IN ({self.literal(col.kind)}, {self.literal(col.kind)})"
            case "between":
                return f"{text} BETWEEN {self.literal(col.kind)} AND {self.literal(col.kind)}"
            case "column":
                other = self.pick(scope, col.kind)
                return f"{text} {self.rng.choice(['=', '<=', '<>', 'IS NOT DISTINCT FROM'])} {other}"
            case "coalesce":
                return f"coalesce({text} {self.rng.choice(['=', '<'])} {self.literal(col.kind)}, {self.rng.choice(['true', 'false'])})"
            case _:
                return f"{text} {shape} {self.literal(col.kind)}"

    def aggregate(self, scope: Sequence[tuple[str, Col]]) -> tuple[str, Col]:
        """An aggregate of any tier."""
        roll = self.rng.random()
        text, col = (
            self._additive(scope) if roll < 0.6 else self._monotone(scope) if roll < 0.8 else self._holistic(scope)
        )
        if self.chance(0.15) and text.endswith(")") and "/" not in text and "+" not in text:
            text = f"{text} FILTER (WHERE {self.predicate(scope)})"
        return text, col

    def _additive(self, scope: Sequence[tuple[str, Col]]) -> tuple[str, Col]:
        usable = [text for text, c in scope if c.kind != "list"]
        shape = self.rng.choice(
            ["rows", "rows", "count", "sum", "sum", "sumv", "avg", "ratio", "plus", "sumdec", "prod"]
        )
        match shape:
            case "rows":
                return self.rng.choice(["count(*)", "count()", "COUNT(*)", "sum(1)", "count(1)"]), Col("", "int")
            case "count":
                return f"count({self.rng.choice(usable)})", Col("", "int")
            case "sum":
                text, kind = self.number(scope)
                return f"sum({text})", Col("", kind, wide=True)
            case "sumv":
                return f"sum({self.pick(scope, 'int')})", Col("", "int", wide=True)
            case "sumdec":
                return f"sum({self.pick(scope, 'dec')})", Col("", "dec", wide=True)
            case "avg":
                text, _ = self.number(scope)
                return f"avg({text})", Col("", "dbl")
            case "ratio":
                text, _ = self.number(scope)
                return f"sum({text}) / nullif(count(*), 0)", Col("", "dbl", exact=False)
            case "prod":
                a, b = self.pick(scope, "int", wide=False), self.pick(scope, "int", wide=False)
                return f"sum({a} * {b})", Col("", "int", wide=True)
            case _:
                text, kind = self.number(scope)
                return f"coalesce(sum({text}), 0) + count(*)", Col("", kind, wide=True)

    def _monotone(self, scope: Sequence[tuple[str, Col]]) -> tuple[str, Col]:
        if self.chance(0.25):
            return f"{self.rng.choice(['bool_and', 'bool_or'])}({self.predicate(scope)})", Col("", "bool")
        kind = self.rng.choice(COMPARABLE)
        texts = [(text, col) for text, col in scope if col.kind == kind and col.exact]
        if not texts:
            raise Unfit
        text, col = self.rng.choice(texts)
        return f"{self.rng.choice(['min', 'max'])}({text})", Col("", col.kind, wide=col.wide)

    def _holistic(self, scope: Sequence[tuple[str, Col]]) -> tuple[str, Col]:
        shape = self.rng.choice(
            ["distinct", "distinct", "median", "dsum", "davg", "sumdistinct", "agg", "stddev", "list"]
        )
        match shape:
            case "distinct":
                return f"count(DISTINCT {self.pick(scope, *COMPARABLE)})", Col("", "int")
            case "median":
                return f"median({self.pick(scope, 'int', wide=False)})", Col("", "dbl")
            case "dsum":
                return f"sum({self.pick(scope, 'dbl')})", Col("", "dbl", exact=False)
            case "davg":
                return f"avg({self.pick(scope, 'dbl')})", Col("", "dbl", exact=False)
            case "sumdistinct":
                return f"sum(DISTINCT {self.pick(scope, 'int', wide=False)})", Col("", "int", wide=True)
            case "agg":
                g = self.pick(scope, "str")
                return f"string_agg({g}, ',' ORDER BY {g})", Col("", "str")
            case "list":
                k = self.pick(scope, "int")
                return f"list({k} ORDER BY {k} NULLS FIRST)", Col("", "list", exact=False)
            case _:
                return f"stddev_pop({self.pick(scope, 'int', wide=False)})", Col("", "dbl", exact=False)

    # ------------------------------------------------------------------ FROM

    def source(self, rels: Sequence[Rel]) -> Rel:
        """A relation: a table, or a subquery in its place."""
        rel = self.rng.choice(rels)
        if self.depth < 2 and self.chance(0.04 + self.odd):
            inner = self.nested(rels)
            return Rel(f"({inner.sql})", inner.cols)
        if self.chance(0.04):
            names = ", ".join(c.name for c in rel.cols)
            return Rel(
                f"(SELECT {names} FROM {rel.sql} WHERE {self.predicate([(c.name, c) for c in rel.cols])})", rel.cols
            )
        return rel

    def nested(self, rels: Sequence[Rel]) -> Query:
        self.depth += 1
        try:
            return self.query(rels)
        finally:
            self.depth -= 1

    def single(self, rels: Sequence[Rel]) -> From:
        rel = self.source(rels)
        alias = self.fresh("t")
        style = self.rng.choice([" AS ", " "])
        return From(f"{rel.sql}{style}{alias}", tuple((f"{alias}.{c.name}", c) for c in rel.cols), (alias,))

    def joined(self, rels: Sequence[Rel], outer: bool) -> From:
        """Two to four inputs."""
        first = self.source(rels)
        alias = self.fresh("t")
        sql = f"{first.sql} AS {alias}"
        scope = [(f"{alias}.{c.name}", c) for c in first.cols]
        aliases = [alias]
        count = self.rng.choice([1, 1, 1, 2, 2, 3][: 2 * self.most_joins])
        for number in range(count):
            other = first if number == 0 and self.chance(0.4 if self.favoured else 0.25) else self.source(rels)
            alias = self.fresh("t")
            new = [(f"{alias}.{c.name}", c) for c in other.cols]
            if outer and (number == 0 or self.chance(0.4)):
                word = self.rng.choice(
                    ["LEFT JOIN", "LEFT JOIN", "LEFT OUTER JOIN", "RIGHT JOIN", "FULL JOIN", "FULL OUTER JOIN"]
                )
            else:
                word = self.rng.choice(["JOIN", "JOIN", "INNER JOIN", "CROSS JOIN" if count == 1 else "JOIN"])
            if word == "CROSS JOIN":
                sql += f" {self.rng.choice(['CROSS JOIN', ','])} {other.sql} AS {alias}"
            else:
                sql += f" {word} {other.sql} AS {alias} ON {self.on(scope, new, word, count)}"
            scope += new
            aliases.append(alias)
        return From(sql, tuple(scope), tuple(aliases))

    def on(self, left: Sequence[tuple[str, Col]], right: Sequence[tuple[str, Col]], word: str, count: int) -> str:
        pairs = [
            (a, b)
            for a, x in left
            for b, y in right
            if x.exact and y.exact and x.kind == y.kind and x.kind in ("int", "str", "date", "dec", "ts")
        ]
        natural = [(a, b) for a, b in pairs if a.partition(".")[2] == b.partition(".")[2]]
        if not pairs:
            raise Unfit
        a, b = self.rng.choice(natural if natural and self.chance(0.7) else pairs)
        if count == 1 and word in ("JOIN", "INNER JOIN") and self.chance(0.15):
            return f"{a} {self.rng.choice(['<', '<=', '<>'])} {b}"
        text = f"{a} {'IS NOT DISTINCT FROM' if self.chance(0.12) else '='} {b}"
        if self.chance(0.2):
            text += f" AND {self.predicate(right if self.chance(0.5) else [*left, *right])}"
        return text

    # ------------------------------------------------------------------ WHERE

    def where(self, scope: Sequence[tuple[str, Col]], rels: Sequence[Rel], semi: bool = False) -> str:
        parts = []
        if self.chance(0.45):
            parts.append(self.predicate(scope))
        if semi or self.chance(0.02 + 0.75 * self.odd):
            parts.append(self.membership(scope, rels))
        return f" WHERE {' AND '.join(parts)}" if parts else ""

    def membership(self, scope: Sequence[tuple[str, Col]], rels: Sequence[Rel]) -> str:
        rel = self.rng.choice(rels)
        alias = self.fresh("s")
        inner = [(f"{alias}.{c.name}", c) for c in rel.cols]
        pairs = [
            (a, b)
            for a, x in scope
            for b, y in inner
            if x.exact and y.exact and x.kind == y.kind in ("int", "str", "date")
        ]
        if not pairs:
            raise Unfit
        a, b = self.rng.choice(pairs)
        also = f" AND {self.predicate(inner)}" if self.chance(0.4) else ""
        shape = self.rng.choice(["in", "exists", "notexists", "odd" if self.chance(4 * self.odd) else "in"])
        match shape:
            case "in":
                return f"{a} IN (SELECT {b} FROM {rel.sql} AS {alias} WHERE true{also})"
            case "exists":
                return f"EXISTS (SELECT 1 FROM {rel.sql} AS {alias} WHERE {b} = {a}{also})"
            case "notexists":
                return f"NOT EXISTS (SELECT 1 FROM {rel.sql} AS {alias} WHERE {b} = {a}{also})"
            case _:
                return self.rng.choice(
                    [
                        f"{a} NOT IN (SELECT {b} FROM {rel.sql} AS {alias} WHERE {b} IS NOT NULL{also})",
                        f"{a} NOT IN (SELECT {b} FROM {rel.sql} AS {alias})",
                        f"(SELECT count(*) FROM {rel.sql} AS {alias} WHERE {b} = {a}) > 1",
                        f"{a} >= (SELECT min({b}) FROM {rel.sql} AS {alias})",
                        f"{a} = ANY (SELECT {b} FROM {rel.sql} AS {alias})",
                    ]
                )

    # ------------------------------------------------------------------ whole queries

    def query(self, rels: Sequence[Rel]) -> Query:
        """A query of any form, perhaps with CTEs."""
        with_ctes = self.depth == 0 and self.chance(0.3)
        if not with_ctes:
            return self.body(rels)
        ctes: list[str] = []
        local: list[Rel] = []
        for _ in range(self.rng.choice([1, 1, 2, 3])):
            inner = self.nested([*rels, *local, *local])
            short = self.rng.choice(rels).sql.rpartition(".")[2].strip('"')
            name = (
                short
                if self.chance(0.1) and short.isidentifier() and not any(r.sql == short for r in local)
                else self.fresh("w")
            )
            kind = self.rng.choice(["", "", "", "MATERIALIZED ", "NOT MATERIALIZED "])
            ctes.append(f"{name} AS {kind}({inner.sql})")
            local.append(Rel(name, inner.cols))
        main = self.body([*local, *local, *local, *rels])
        return Query(f"WITH {', '.join(ctes)} {main.sql}", main.cols)

    def body(self, rels: Sequence[Rel]) -> Query:
        forms: list[tuple[float, str, Callable[[Sequence[Rel]], Query]]] = [
            (3, "linear", self.linear),
            (2, "join", self.join),
            (4, "grouped", self.grouped),
            (3, "grouped_join", self.grouped_join),
            (1.2, "total", self.total),
            (2, "outer", self.outer),
            (1.2, "grouped_outer", self.grouped_outer),
            (1.6, "semi", self.semi),
            (1.6, "union_all", self.union_all),
            (0.8, "union", self.union),
            (1, "distinct", self.distinct),
            (1.6, "window", self.window),
            (1.2, "qualify", self.qualify),
            (1, "star", self.star),
            (self.odd * 12, "odd", self.odd_form),
        ]
        for _ in range(30):
            weights = [weight * (2 if name in self.favoured else 1) for weight, name, _ in forms]
            _, name, make = self.rng.choices(forms, weights=weights)[0]
            try:
                made = make(rels)
            except Unfit:
                continue
            self.forms[name] = self.forms.get(name, 0) + 1
            return made
        raise Unfit

    def items(self, scope: Sequence[tuple[str, Col]], most: int = 4) -> tuple[list[str], list[Col]]:
        """Plain columns, mostly under their own names, and expressions."""
        texts: list[str] = []
        cols: list[Col] = []
        for text, col in self.rng.sample(list(scope), min(len(scope), self.rng.randint(1, most))):
            own = text.partition(".")[2] or text
            name = own if own not in {c.name for c in cols} and self.chance(0.85) else self.fresh("c")
            texts.append(text if name == own and self.chance(0.7) else f"{text} AS {name}")
            cols.append(replace(col, name=name))
        for _ in range(self.rng.choice([0, 0, 1, 2])):
            try:
                text, col = self.expression(scope)
            except Unfit:
                continue
            name = self.fresh("e")
            texts.append(f"{text} AS {name}")
            cols.append(replace(col, name=name))
        return texts, cols

    def linear(self, rels: Sequence[Rel]) -> Query:
        place = self.single(rels)
        texts, cols = self.items(place.scope, 5)
        where = self.where(place.scope, rels)
        if self.chance(0.06):
            return Query(f"FROM {place.sql} SELECT {', '.join(texts)}{where}", tuple(cols))
        return Query(f"SELECT {', '.join(texts)} FROM {place.sql}{where}", tuple(cols))

    def join(self, rels: Sequence[Rel]) -> Query:
        return self._select(self.joined(rels, outer=False), rels)

    def outer(self, rels: Sequence[Rel]) -> Query:
        return self._select(self.joined(rels, outer=True), rels)

    def semi(self, rels: Sequence[Rel]) -> Query:
        if self.chance(0.25):
            left, right = self.rng.choice(rels), self.rng.choice(rels)
            a, b = self.fresh("t"), self.fresh("t")
            scope = [(f"{a}.{c.name}", c) for c in left.cols]
            on = self.on(scope, [(f"{b}.{c.name}", c) for c in right.cols], "SEMI", 2)
            texts, cols = self.items(scope)
            word = self.rng.choice(["SEMI", "ANTI"])
            return Query(
                f"SELECT {', '.join(texts)} FROM {left.sql} AS {a} {word} JOIN {right.sql} AS {b} ON {on}", tuple(cols)
            )
        place = self.single(rels)
        if self.chance(0.3):
            return self._group(place, rels, semi=True)
        return self._select(place, rels, semi=True)

    def _select(self, place: From, rels: Sequence[Rel], semi: bool = False) -> Query:
        texts, cols = self.items(place.scope, 5)
        return Query(f"SELECT {', '.join(texts)} FROM {place.sql}{self.where(place.scope, rels, semi)}", tuple(cols))

    def grouped(self, rels: Sequence[Rel]) -> Query:
        return self._group(self.single(rels), rels)

    def grouped_join(self, rels: Sequence[Rel]) -> Query:
        return self._group(self.joined(rels, outer=False), rels)

    def grouped_outer(self, rels: Sequence[Rel]) -> Query:
        return self._group(self.joined(rels, outer=True), rels)

    def _group(self, place: From, rels: Sequence[Rel], semi: bool = False) -> Query:
        scope = place.scope
        keys: list[tuple[str, Col]] = []
        usable = [(text, col) for text, col in scope if col.exact and col.kind in COMPARABLE]
        if not usable:
            raise Unfit
        for text, col in self.rng.sample(usable, min(len(usable), self.rng.choice([1, 1, 1, 2, 2, 3]))):
            keys.append((text, col))
        if self.chance(0.25):
            keys.append(self.expression(scope))
        texts: list[str] = []
        cols: list[Col] = []
        names: list[str] = []
        for text, col in keys:
            own = text.rpartition(".")[2] if text.count(".") == 1 and text.replace(".", "").isidentifier() else ""
            name = own if own and own not in names and self.chance(0.8) else self.fresh("g")
            names.append(name)
            texts.append(text if name == own else f"{text} AS {name}")
            cols.append(replace(col, name=name))
        aggregates = [self.aggregate(scope) for _ in range(self.rng.choice([1, 1, 2, 2, 3, 4]))]
        agg_names = [self.fresh("n") for _ in aggregates]
        style = self.rng.choice(["all", "ordinal", "text", "text", "alias", "hidden"])
        if style == "hidden" and len(keys) < 2:
            style = "text"
        hidden = self.rng.randrange(len(keys)) if style == "hidden" else -1
        kept = [n for n in range(len(keys)) if n != hidden]
        items = [(texts[n], cols[n]) for n in kept]
        items += [
            (f"{text} AS {name}", replace(col, name=name))
            for (text, col), name in zip(aggregates, agg_names, strict=True)
        ]
        if style != "ordinal" and self.chance(0.3):
            self.rng.shuffle(items)
        match style:
            case "all":
                by = "ALL"
            case "ordinal":
                by = ", ".join(str(n + 1) for n in kept)
            case "alias":
                by = ", ".join(
                    name if name not in {c.name for _, c in scope} else text
                    for name, (text, _) in zip(names, keys, strict=True)
                )
            case _:
                by = ", ".join(text for text, _ in keys)
        sql = f"SELECT {', '.join(text for text, _ in items)} FROM {place.sql}{self.where(scope, rels, semi)} GROUP BY {by}"
        if self.chance(0.25):
            sql += f" HAVING {self.having(scope)}"
        return Query(sql, tuple(col for _, col in items))

    def having(self, scope: Sequence[tuple[str, Col]]) -> str:
        text, _ = self.number(scope)
        shape = self.rng.choice(
            [
                "count(*) {0} {1}",
                "sum({2}) {0} {1}",
                "sum({2}) IS NOT NULL",
                "count(DISTINCT {2}) > 1",
                "min({2}) < {1}",
            ]
        )
        return shape.format(self.rng.choice([">", "<=", "<>"]), self.literal("int"), text)

    def total(self, rels: Sequence[Rel]) -> Query:
        """An aggregate without GROUP BY: always one row, but for HAVING."""
        place = self.single(rels) if self.chance(0.6) else self.joined(rels, outer=self.chance(0.3))
        found = [self.aggregate(place.scope) for _ in range(self.rng.choice([1, 2, 3]))]
        names = [self.fresh("n") for _ in found]
        sql = f"SELECT {', '.join(f'{text} AS {name}' for (text, _), name in zip(found, names, strict=True))} FROM {place.sql}"
        sql += self.where(place.scope, rels)
        if self.chance(0.15):
            sql += f" HAVING {self.having(place.scope)}"
        return Query(sql, tuple(replace(col, name=name) for (_, col), name in zip(found, names, strict=True)))

    def distinct(self, rels: Sequence[Rel]) -> Query:
        place = self.single(rels) if self.chance(0.6) else self.joined(rels, outer=self.chance(0.3))
        scope = [(text, col) for text, col in place.scope if col.exact]
        texts, cols = self.items(scope, 3)
        return Query(f"SELECT DISTINCT {', '.join(texts)} FROM {place.sql}{self.where(scope, rels)}", tuple(cols))

    def _branches(self, rels: Sequence[Rel], count: int) -> tuple[list[str], tuple[Col, ...]]:
        first = self.rng.choice(rels)
        kinds = [c for c in first.cols if c.exact and c.kind in COMPARABLE]
        if not kinds:
            raise Unfit
        shape = self.rng.sample(kinds, min(len(kinds), self.rng.choice([1, 2, 3])))
        branches = []
        for number in range(count):
            rel = first if number == 0 or self.chance(0.3) else self.rng.choice(rels)
            scope = [(c.name, c) for c in rel.cols]
            texts = []
            for column in shape:
                same = column.name if any(c.name == column.name and c.kind == column.kind for c in rel.cols) else ""
                text = same if same and self.chance(0.8) else self.pick(scope, column.kind)
                if self.chance(0.1):
                    text = self.literal(column.kind)
                texts.append(f"{text} AS {column.name}" if number == 0 or text != column.name else text)
            by = f" GROUP BY {', '.join(str(n + 1) for n in range(len(shape)))}" if self.chance(0.15) else ""
            branches.append(f"SELECT {', '.join(texts)} FROM {rel.sql}{self.where(scope, rels)}{by}")
        if self.chance(0.15):
            branches.append(branches[0])
        return branches, tuple(shape)

    def union_all(self, rels: Sequence[Rel]) -> Query:
        branches, cols = self._branches(rels, self.rng.choice([2, 2, 3]))
        return Query(" UNION ALL ".join(branches), tuple(replace(c, wide=True) for c in cols))

    def union(self, rels: Sequence[Rel]) -> Query:
        branches, cols = self._branches(rels, self.rng.choice([2, 2, 3]))
        sql = branches[0]
        for branch in branches[1:]:
            sql += f" {self.rng.choice(['UNION', 'UNION', 'UNION ALL'])} {branch}"
        return Query(sql, tuple(replace(c, wide=True) for c in cols))

    def window(self, rels: Sequence[Rel]) -> Query:
        rel = self.source(rels)
        alias = self.fresh("t")
        scope = [(f"{alias}.{c.name}", c) for c in rel.cols if c.exact and c.kind in COMPARABLE]
        if not scope:
            raise Unfit
        texts, cols = self.items(scope, 4)
        for _ in range(self.rng.choice([1, 1, 2])):
            text, col = self.windowed(scope)
            name = self.fresh("r")
            texts.append(f"{text} AS {name}")
            cols.append(replace(col, name=name))
        return Query(f"SELECT {', '.join(texts)} FROM {rel.sql} AS {alias}{self.where(scope, rels)}", tuple(cols))

    def windowed(self, scope: Sequence[tuple[str, Col]]) -> tuple[str, Col]:
        part = "" if self.chance(self.odd) else f"PARTITION BY {self.pick(scope, *COMPARABLE)} "
        if part and self.chance(0.2):
            part = f"{part.strip()}, {self.expression(scope)[0]} "
        everything = ", ".join(f"{text}{self.rng.choice(['', '', ' DESC', ' NULLS FIRST'])}" for text, _ in scope)
        k = self.pick(scope, "int", wide=False)
        column = self.rng.choice(scope)[0]
        shapes = [
            (f"row_number() OVER ({part}ORDER BY {everything})", Col("", "int")),
            (f"rank() OVER ({part}ORDER BY {column})", Col("", "int")),
            (f"dense_rank() OVER ({part}ORDER BY {column} DESC)", Col("", "int")),
            (f"sum({k}) OVER ({part.strip()})", Col("", "int", wide=True)),
            (f"count(*) OVER ({part.strip()})", Col("", "int")),
            (f"max({k}) OVER ({part.strip()})", Col("", "int")),
            (f"lag({k}) OVER ({part}ORDER BY {everything})", Col("", "int")),
            (f"sum({k}) OVER ({part}ORDER BY {everything} ROWS UNBOUNDED PRECEDING)", Col("", "int", wide=True)),
            (
                f"sum({k}) OVER ({part}ORDER BY {k} RANGE BETWEEN 1 PRECEDING AND CURRENT ROW)",
                Col("", "int", wide=True),
            ),
            (f"first_value({k}) OVER ({part}ORDER BY {everything})", Col("", "int")),
        ]
        return self.rng.choice(shapes)

    def qualify(self, rels: Sequence[Rel]) -> Query:
        rel = self.source(rels)
        alias = self.fresh("t")
        scope = [(f"{alias}.{c.name}", c) for c in rel.cols if c.exact and c.kind in COMPARABLE]
        if not scope:
            raise Unfit
        texts, cols = self.items(scope, 5)
        where = self.where(scope, rels)
        if self.chance(0.75):
            part = "" if self.chance(self.odd) else f"PARTITION BY {self.pick(scope, *COMPARABLE)} "
            everything = ", ".join(text for text, _ in scope)
            test = f"row_number() OVER ({part}ORDER BY {everything}) {self.rng.choice(['= 1', '<= 2', '= 2', '> 1'])}"
        else:
            text, _ = self.windowed(scope)
            test = f"{text} > 1"
        return Query(f"SELECT {', '.join(texts)} FROM {rel.sql} AS {alias}{where} QUALIFY {test}", tuple(cols))

    def star(self, rels: Sequence[Rel]) -> Query:
        rel = self.rng.choice(rels)
        scope = [(c.name, c) for c in rel.cols]
        where = self.where(scope, rels)
        shape = self.rng.choice(["star", "star", "from", "alias", "exclude", "replace", "plus", "distinct"])
        match shape:
            case "star":
                return Query(f"SELECT * FROM {rel.sql}{where}", rel.cols)
            case "from":
                return Query(f"FROM {rel.sql}{where}", rel.cols)
            case "alias":
                return Query(f"SELECT q.* FROM {rel.sql} AS q", rel.cols)
            case "exclude" if len(rel.cols) > 1:
                gone = self.rng.choice(rel.cols)
                return Query(
                    f"SELECT * EXCLUDE ({gone.name}) FROM {rel.sql}{where}", tuple(c for c in rel.cols if c != gone)
                )
            case "replace" if any(c.name == "k" and not c.wide for c in rel.cols):
                return Query(f"SELECT * REPLACE (k + 1 AS k) FROM {rel.sql}{where}", rel.cols)
            case "plus":
                text, col = self.expression(scope)
                name = self.fresh("e")
                return Query(f"SELECT *, {text} AS {name} FROM {rel.sql}{where}", (*rel.cols, replace(col, name=name)))
            case "distinct" if all(c.exact for c in rel.cols):
                return Query(f"SELECT DISTINCT * FROM {rel.sql}{where}", rel.cols)
            case _:
                return Query(f"SELECT * FROM {rel.sql}{where}", rel.cols)

    def odd_form(self, rels: Sequence[Rel]) -> Query:
        """What is refused: it must be rebuilt, and be right."""
        rel = self.rng.choice(rels)
        scope = [(c.name, c) for c in rel.cols if c.exact and c.kind in COMPARABLE]
        if not scope:
            raise Unfit
        columns = ", ".join(text for text, _ in scope)
        cols = tuple(c for _, c in scope)
        other = self.rng.choice(rels)
        first = self.rng.choice(scope)
        match self.rng.choice(
            ["limit", "except", "intersect", "rollup", "unnest", "correlated", "recursive", "lateral", "values"]
        ):
            case "limit":
                return Query(f"SELECT {columns} FROM {rel.sql} ORDER BY ALL LIMIT {self.rng.randint(1, 4)}", cols)
            case "except":
                branches, found = self._branches(rels, 2)
                return Query(
                    f"({branches[0]}) EXCEPT{self.rng.choice([' ALL', ''])} ({branches[1]})",
                    tuple(replace(c, wide=True) for c in found),
                )
            case "intersect":
                branches, found = self._branches(rels, 2)
                return Query(
                    f"({branches[0]}) INTERSECT{self.rng.choice([' ALL', ''])} ({branches[1]})",
                    tuple(replace(c, wide=True) for c in found),
                )
            case "rollup":
                shape = self.rng.choice(["ROLLUP ({0})", "CUBE ({0})", "GROUPING SETS (({0}), ())"]).format(first[0])
                return Query(
                    f"SELECT {first[0]}, count(*) AS n0 FROM {rel.sql} GROUP BY {shape}", (first[1], Col("n0", "int"))
                )
            case "unnest":
                return Query(f"SELECT {first[0]}, unnest([1, 2]) AS u FROM {rel.sql}", (first[1], Col("u", "int")))
            case "correlated":
                key = self.pick([(f"o.{c.name}", c) for c in other.cols], "int")
                mine = self.pick(scope, "int")
                return Query(
                    f"SELECT q.{mine}, (SELECT count(*) FROM {other.sql} AS o WHERE {key} = q.{mine}) AS n0 FROM {rel.sql} AS q",
                    (next(c for text, c in scope if text == mine), Col("n0", "int")),
                )
            case "recursive":
                k = self.pick(scope, "int", wide=False)
                return Query(
                    f"WITH RECURSIVE rec AS (SELECT DISTINCT {k} AS n FROM {rel.sql} WHERE {k} BETWEEN 0 AND 2 UNION SELECT n + 1 FROM rec WHERE n < 4) SELECT n FROM rec",
                    (Col("n", "int"),),
                )
            case "lateral":
                k = self.pick(scope, "int", wide=False)
                return Query(
                    f"SELECT q.{k}, l.e FROM {rel.sql} AS q, LATERAL (SELECT q.{k} + 1 AS e) AS l",
                    (next(c for text, c in scope if text == k), Col("e", "int")),
                )
            case _:
                k = self.pick(scope, "int")
                return Query(
                    f"SELECT q.{k}, y.name FROM {rel.sql} AS q JOIN (VALUES (0, 'no'), (1, 'one')) AS y (n, name) ON y.n = q.{k}",
                    (next(c for text, c in scope if text == k), Col("name", "str")),
                )
