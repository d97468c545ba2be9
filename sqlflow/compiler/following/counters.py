"""A grouped query as counters that are added to and taken from, and expressions over them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from msgspec import Struct
from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import TokenType

from sqlflow.compiler.following.aggregates import KINDS, Average, OtherAggregate, made_of, why_no_average
from sqlflow.compiler.following.question import Question
from sqlflow.compiler.following.refused import Refused, refusal_at
from sqlflow.compiler.relations import expressions_of, same_text
from sqlflow.compiler.scopes import Alias, Direct, Expression, Feature, Reference, Relation, Select
from sqlflow.core.engine import BindError
from sqlflow.core.following import Counter, Grouping, Refusal
from sqlflow.core.schema import Schema
from sqlflow.core.sql import Sql, quoted
from sqlflow.core.syntax import parse_tree, place_of
from sqlflow.core.wording import OtherAggregates


class Counted(Struct, frozen=True):
    """A grouped query as counters: `body` computes them. `needed_by`: the aggregate that each counter of a sum is for."""

    body: str
    grouping: Grouping
    needed_by: Mapping[str, exp.Expr]


def counted(question: Question, query: Relation, *, rewritable: bool) -> Counted | Refusal | None:
    """The query that computes the counters of a grouped query, if its groups can be kept as such."""
    if not isinstance(query, Select) or not isinstance(query.node, exp.Select) or query.outputs is None:
        return None
    aggregates = query.group is not None or any(
        output.expression.features & Feature.AGGREGATE for output in query.outputs
    )
    if not aggregates and not query.distinct:
        return None
    try:
        if not rewritable:
            raise Refused("query", "SQLFlow's own parser would change its expressions when it writes them again")
        return _counted(question, query)
    except Refused as refused:
        return refused.refusal


def _counted(question: Question, query: Select) -> Counted:
    traits = question.binder.traits
    groups = Groups(question.text.text, query, question.dialect)
    found = groups.found()
    if not groups.averages and not (traits.loose_decimals and groups.summed):
        return found
    # What is added up must be known: a decimal that is no number stays in a sum for ever.
    items = ", ".join(f"{sql} AS _s{number}" for number, sql in enumerate(groups.summed))
    kinds = question.binder.bind(groups.over(items))
    if isinstance(kinds, BindError):
        raise Refused("SUM", f"the engine does not say what is added up: {kinds.message}")
    types = {sql: column.type for sql, column in zip(groups.summed, kinds, strict=True)}
    if traits.loose_decimals and "DECIMAL" in types.values():
        raise Refused("SUM", "a sum of DECIMAL without a scale may have another one, so it cannot be kept")
    decimals = [sql for sql, kind in types.items() if kind.startswith("DECIMAL(") and traits.loose_decimals]
    divided = {}
    for average in groups.averages:
        total, count = Sql(average.total), Sql(average.count)
        value = traits.wording.average(total, count, types[average.inner], groups.company(average))
        if value is None:
            raise Refused("AVG", why_no_average(types[average.inner]), *place_of(average.node))
        divided[average.total, average.count] = value
    return Groups(question.text.text, query, question.dialect, frozenset(decimals), divided).found()


def not_exact(schema: Schema, counted: Counted) -> Refusal | None:
    """Sums of floating point numbers depend on the order of addition, so they cannot be kept."""
    for counter in counted.grouping.counters:
        column = schema.find(counter.name)
        if counter.kind == "sum" and column is not None and not column.parsed.is_exact_number:
            node = counted.needed_by.get(counter.name)
            word = KINDS.get(type(node), "sum").upper() if node is not None else "SUM"
            return refusal_at(
                node, word, f"a sum of {column.type} depends on the order of the rows, so it cannot be kept"
            )
    return None


class Groups:
    """A grouped SELECT as a query of counters and expressions over them."""

    def __init__(
        self,
        text: str,
        select: Select,
        dialect: str,
        decimals: frozenset[str] = frozenset(),
        divided: Mapping[tuple[str, str], Sql] | None = None,
    ) -> None:
        """`decimals`: arguments of sums that may be NaN. `divided`: by the counters of its sum and count, an average; without
        them what is found is only good for asking `averages` and `company`."""
        self.text = text
        self.select = select
        self.dialect = dialect
        self.decimals = decimals
        self.divided = divided or {}
        self.summed: dict[str, None] = {}  # the arguments of sums
        self.counters: list[Counter] = []
        self.columns: dict[str, str] = {}  # SQL of an aggregate -> the name of its counter
        self.keys: dict[str, str] = {}  # canonical text of a key -> its name in the counters
        self.averages: list[Average] = []
        self.nodes: dict[str, exp.Expr] = {}
        self.asked: list[OtherAggregate] = []

    def found(self) -> Counted:
        select = self.select
        self._refuse()
        assert select.outputs is not None
        head, tail = _cuts(self.text, self.dialect)
        keys = [output.expression for output in select.outputs] if select.distinct else list(select.group or ())
        texts: list[str] = []
        for key in keys:
            if key.moving and not key.references and not key.nested and select.node.args["group"].args.get("all"):
                continue  # the same in all rows, and named by nobody
            canon = same_text(key)
            if canon is None:
                raise Refused("GROUP BY", "a key is not a plain expression of columns", *place_of(key.node))
            if canon not in self.keys:
                name = f"_k{len(self.keys)}"
                self.keys[canon] = name
                texts.append(f"{self._sql(key)} AS {name}")
        if keys and not texts:
            raise Refused("GROUP BY", "it groups by nothing but when its rows are written")
        rows = self._counter("count", "count(*)")
        items = [self._item(output.expression) for output in select.outputs]
        visible: dict[str, str] = {}
        for output in select.outputs:
            canon = same_text(output.expression)
            if canon in self.keys and output.name is not None:
                visible.setdefault(self.keys[canon], output.name)
        having = self._item(select.having) if select.having is not None else None
        texts += [f"{sql} AS {name}" for sql, name in self.columns.items()]
        group = "\nGROUP BY " + ", ".join(str(i + 1) for i in range(len(self.keys))) if self.keys else ""
        body = f"{self.text[: head[0]]}SELECT {', '.join(texts)}\n{self.text[head[1] : tail]}{group}"
        grouping = Grouping(tuple(self.keys.values()), rows, tuple(self.counters), tuple(items), having, visible)
        return Counted(body, grouping, self.nodes)

    def over(self, items: str) -> str:
        """A query of these items over what is grouped."""
        head, tail = _cuts(self.text, self.dialect)
        return f"{self.text[: head[0]]}SELECT {items}\n{self.text[head[1] : tail]}"

    def _refuse(self) -> None:
        select = self.select
        if select.grouping_sets:
            raise Refused("GROUPING SETS", "a row adds to several groups", *place_of(select.node.args["group"]))
        if select.distinct_on or (select.distinct and (select.group is not None or select.having is not None)):
            raise Refused("DISTINCT", "the rows of groups are compared with each other")
        if select.qualify is not None:
            raise Refused("QUALIFY", "it looks at other groups", *place_of(select.qualify.node))
        for expression in expressions_of(select):
            if expression.features & Feature.WINDOW:
                raise Refused("window function", "it looks at other groups", *place_of(expression.node))
        for output in select.outputs or ():
            if output.expression.features & Feature.UNNEST:
                raise Refused("UNNEST", "it makes several rows of a group", *place_of(output.expression.node))
        for clause in (select.where, *(join.on for join in select.joins)):
            if clause is not None and any(isinstance(r, Alias) for r in clause.bindings.values()):
                raise Refused("alias", "WHERE uses a name of the SELECT list", *place_of(clause.node))

    def _counter(self, kind: str, sql: str) -> str:
        name = self.columns.get(sql)
        if name is None:
            name = f"_c{len(self.columns)}"
            self.columns[sql] = name
            self.counters.append(Counter(name, kind))
        return name

    def _item(self, expression: Expression) -> str:
        """An expression of a group as SQL over the counters."""
        if expression.nested:
            raise Refused("subquery", "a group is compared with another query", *place_of(expression.node))
        if expression.node is None:
            canon = same_text(expression)
            if canon is None or canon not in self.keys:
                raise Refused("*", "it is not a key of the group")
            return self.keys[canon]
        return self._walk(expression.node, expression, 0).sql(self.dialect)

    def _walk(self, node: exp.Expr, within: Expression, depth: int) -> exp.Expr:
        piece = Expression(node, (), within.bindings, {}, Feature.NONE)
        canon = same_text(piece)
        if canon is not None and canon in self.keys:
            return exp.column(self.keys[canon])
        bound = within.bindings.get(id(node))
        if isinstance(bound, Alias) and depth < 16:
            inner = bound.output.expression
            if inner.node is None:
                return exp.column(self._item(inner))
            return exp.Paren(this=self._walk(inner.node, inner, depth + 1))
        if isinstance(node, exp.Filter):
            return self._aggregate(node.this, within, self._sql_of(node.expression.this, within))
        if isinstance(node, exp.AggFunc) or (
            isinstance(node, exp.Anonymous) and str(node.this).lower() in ("countif", "count_star")
        ):
            return self._aggregate(node, within, None)
        if bound is not None or isinstance(node, (exp.Column, exp.Query, exp.Window)):
            raise Refused("column", "it is not a key of the group", *place_of(node))
        copy = node.copy()
        old_children, new_children = list(node.iter_expressions()), list(copy.iter_expressions())
        for old, new in zip(old_children, new_children, strict=True):
            made = self._walk(old, within, depth)
            if made is not new:
                new.replace(made)
        return copy

    def _aggregate(self, node: exp.Expr, within: Expression, condition: str | None) -> exp.Expr:
        """The value of an aggregate, as an expression over counters."""
        suffix = "" if condition is None else f" FILTER (WHERE {condition})"
        argument = node.this if isinstance(node.this, exp.Expr) else None
        plain = argument is not None and not isinstance(argument, (exp.Distinct, exp.Order, exp.Star))
        extra = [v for k, v in node.args.items() if k not in ("this", "big_int") and v not in (None, [], False)]
        if isinstance(node, exp.Count) and not extra and (argument is None or isinstance(argument, exp.Star)):
            self._ask("count", None, within, condition)
            return exp.column(self._counter("count", f"count(*){suffix}"))
        name = KINDS.get(type(node))
        if name is None or not plain or extra or argument is None:
            word = str(node.meta.get("name") or node.key).upper()
            if isinstance(argument, exp.Distinct):
                word = f"{word}(DISTINCT ...)"
            raise Refused(word, "this aggregate cannot be kept as a counter", *place_of(node))
        inner = self._sql_of(argument, within)
        if name in ("count", "sum"):
            self._ask(name, argument, within, condition)
        if name == "count":
            return exp.column(self._counter("count", f"count({inner}){suffix}"))
        if name in ("sum", "avg"):
            self.summed[inner] = None
            loose = inner in self.decimals
            added = f"nullif({inner}, 'NaN')" if loose else inner
            total = exp.column(self._counter("sum", f"sum({added}){suffix}"))
            self.nodes.setdefault(total.name, node)
            count = exp.column(self._counter("count", f"count({inner}){suffix}"))
            value: exp.Expr = total
            if name == "avg":
                canon, columns = made_of(argument, within)
                found = Average(inner, total.name, count.name, canon, columns, condition is not None, node)
                self.averages.append(found)
                value = exp.Var(this=str(self.divided.get((total.name, count.name), Sql("NULL"))))
            ifs = [exp.If(this=exp.GT(this=count, expression=exp.Literal.number(0)), true=value)]
            if loose:
                no_numbers = f"{inner} = 'NaN'" if condition is None else f"({inner} = 'NaN') AND ({condition})"
                nothing = exp.column(self._counter("count", f"count(*) FILTER (WHERE {no_numbers})"))
                no_number = exp.cast(exp.Literal.string("NaN"), "DECIMAL", dialect=self.dialect)
                ifs.insert(0, exp.If(this=exp.GT(this=nothing, expression=exp.Literal.number(0)), true=no_number))
            return exp.Paren(this=exp.Case(ifs=ifs))
        return exp.column(self._counter(name, f"{name}({inner}){suffix}"))

    def _ask(self, kind: str, argument: exp.Expr | None, within: Expression, condition: str | None) -> None:
        if condition is None:
            canon, columns = made_of(argument, within) if argument is not None else ("", frozenset())
            self.asked.append(OtherAggregate(kind, canon, columns))

    def company(self, average: Average) -> OtherAggregates:
        """What the engine computes beside an average."""
        if average.filtered or not self.keys:
            return OtherAggregates(grouped=bool(self.keys), filtered=average.filtered)
        same = {asked.kind for asked in self.asked if asked.canon is not None and asked.canon == average.canon}
        # An argument of the same columns may become the same when the engine simplifies it.
        others = {
            asked.kind for asked in self.asked if asked.canon != average.canon and asked.columns == average.columns
        }
        ordered = any(expression.features & Feature.AGGREGATE for expression in self.select.order)
        if average.canon is None or ordered or (others and "sum" not in same):
            return OtherAggregates(certain=False)
        return OtherAggregates(
            summed="sum" in same,
            counted="count" in same,
            others_counted=any(asked.kind == "count" for asked in self.asked)
            or any(asked.canon == other.canon for asked in self.asked for other in self.averages)
            or any(other.canon != average.canon and not other.filtered for other in self.averages),
        )

    def _sql(self, expression: Expression) -> str:
        if expression.node is None:
            return self._named(expression.references[0], "*", None)
        return self._sql_of(expression.node, expression)

    def _named(self, reference: Reference | None, word: str, node: exp.Expr | None) -> str:
        """A column that the author did not write by its name."""
        if isinstance(reference, Direct) and reference.source.columns is not None:
            column = reference.source.columns[reference.index]
            if column is not None:
                return f"{quoted(reference.source.name)}.{quoted(column)}"
        raise Refused(word, "a column that it stands for cannot be named", *place_of(node))

    def _sql_of(self, node: exp.Expr, within: Expression, depth: int = 0) -> str:
        """An expression over the tables that are read, with aliases of the SELECT list put in."""
        for inner in node.walk():
            if isinstance(inner, exp.Query) or id(inner) in within.nested:
                raise Refused("subquery", "it is inside an aggregate or a key", *place_of(node))

        def put(old: exp.Expr) -> exp.Expr | None:
            bound = within.bindings.get(id(old))
            if isinstance(old, exp.Columns):
                # It means another column in each output that it is written out to.
                return exp.maybe_parse(self._named(bound, "COLUMNS", old), dialect=self.dialect)
            if isinstance(old, exp.Star) and not isinstance(old.parent, exp.Count):
                raise Refused("*", "it stands for several columns", *place_of(old.parent))
            if isinstance(bound, Alias):
                if depth > 16 or bound.output.expression.features & (Feature.AGGREGATE | Feature.WINDOW):
                    raise Refused("alias", "an alias of an aggregate is used in another", *place_of(old))
                inner = bound.output.expression
                sql = self._sql(inner) if inner.node is None else self._sql_of(inner.node, inner, depth + 1)
                parsed = parse_tree(f"SELECT ({sql})", self.dialect)
                assert isinstance(parsed, exp.Select)
                found: exp.Expr = parsed.expressions[0]
                return found
            return None

        root = put(node)
        if root is not None:
            return root.sql(self.dialect)
        copy = node.copy()
        for old, new in list(zip(node.walk(), copy.walk(), strict=True)):
            made = put(old) if old is not node else None
            if made is not None:
                new.replace(made)
        return copy.sql(self.dialect)


@lru_cache(maxsize=4)
def _cuts(text: str, dialect: str) -> tuple[tuple[int, int], int]:
    """Where the SELECT list of the outermost query stands (from SELECT to FROM), and where WHERE ends."""
    try:
        tokens = Dialect.get_or_raise(dialect).tokenize(text)
    except SqlglotError:
        raise Refused("query", "its text cannot be cut") from None
    depth = 0
    select = origin = end = None
    for index, token in enumerate(tokens):
        kind = token.token_type
        if kind in (TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE):
            depth += 1
        elif kind in (TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE):
            depth -= 1
        if depth:
            continue
        if kind is TokenType.SELECT and select is None:
            select = token.start
        elif kind is TokenType.FROM and origin is None:
            if index and tokens[index - 1].token_type is TokenType.DISTINCT:
                continue  # IS DISTINCT FROM
            if select is None:
                raise Refused("FROM", "a query that begins with FROM is not cut", token.start, token.end + 1)
            origin = token.start
        elif origin is not None and kind in _TAIL and end is None:
            end = token.start
    if select is None or origin is None:
        raise Refused("SELECT", "it reads no table")
    return (select, origin), len(text) if end is None else end


_TAIL = frozenset(
    {
        TokenType.GROUP_BY, TokenType.HAVING, TokenType.QUALIFY, TokenType.WINDOW, TokenType.ORDER_BY,
        TokenType.LIMIT, TokenType.OFFSET, TokenType.SEMICOLON,
    }
)  # fmt: skip
