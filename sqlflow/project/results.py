"""The SELECT lists that make the columns of a query's result, told from its tokens.

These are the outermost list, the lists of all branches of a UNION, and, through `SELECT * FROM final`, the list of the
CTE or subquery that it passes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum, auto

from msgspec import Struct
from msgspec.structs import replace
from sqlglot import TokenType

from sqlflow.project.calls import is_distinct_from
from sqlflow.project.tokens import CLOSING, OPENING, Lexed, is_word


class Item(Struct, frozen=True):
    """The tokens `[first, stop)` of an item of a SELECT list. `following`: where the next item begins, if there is one."""

    first: int
    stop: int
    following: int | None = None


class Nameless(Enum):
    """Why nothing can be said of a column by its name."""

    EXPRESSION = auto()  # `a + 1`
    STAR = auto()  # `*`, of columns that are not known here
    SPREAD = auto()  # `*`, of the columns that follow it
    POSITION = auto()  # of a branch of a UNION, behind a `*`


class Column(Struct, frozen=True):
    """A column of the result, and what makes it: an item in each branch of a UNION."""

    name: str | Nameless
    items: tuple[Item, ...]


def result_columns(lexed: Lexed, last: int, dialect: str) -> tuple[Column, ...]:
    """The columns of the query of the tokens `[0, last)`, as far as they can be told."""
    return tuple(_Finder(lexed, dialect).query(0, last, None, 0))


def output_name(lexed: Lexed, first: int, last: int) -> str | None:
    """The name of the column that an item of a SELECT list makes, when it says one."""
    tokens = lexed.tokens
    length = last - first
    end = last - 1
    if length > 2 and is_word(lexed, first) and tokens[first + 1].token_type is TokenType.COLON:
        return tokens[first].text
    if length == 1:
        is_name = is_word(lexed, end) and lexed.source(end).lower() not in _NO_ALIASES
        is_name = is_name and end not in lexed.parameter_tokens(end, last)
        return _name(lexed, end) if is_name else None
    if length < 1:
        return None
    before = tokens[end - 1].token_type
    if before is TokenType.ALIAS:
        return _name(lexed, end)
    if before is TokenType.DOT:
        dotted = all(tokens[i].token_type is TokenType.DOT for i in range(first + 1, last, 2))
        return _name(lexed, end) if dotted and is_word(lexed, end) else None
    if not is_word(lexed, end) or lexed.source(end).lower() in _NO_ALIASES:
        return None
    if before not in _BEFORE_ALIAS or lexed.source(end - 1).lower() == "zone":
        return None
    if length > 2 and tokens[end - 2].token_type is TokenType.INTERVAL:
        return None
    return _name(lexed, end)


def closing(lexed: Lexed, index: int, last: int) -> int:
    """The token that closes the bracket at `index`; `last` where none does."""
    depth = 0
    for place in range(index, last):
        kind = lexed.tokens[place].token_type
        depth += (kind in OPENING) - (kind in CLOSING)
        if depth == 0:
            return place
    return last


QUERY_WORDS = frozenset({TokenType.SELECT, TokenType.WITH, TokenType.FROM, TokenType.VALUES})

_LIST_ENDS = frozenset(
    {
        TokenType.FROM,
        TokenType.WHERE,
        TokenType.GROUP_BY,
        TokenType.HAVING,
        TokenType.QUALIFY,
        TokenType.WINDOW,
        TokenType.ORDER_BY,
        TokenType.LIMIT,
        TokenType.OFFSET,
        TokenType.UNION,
        TokenType.EXCEPT,
        TokenType.INTERSECT,
        TokenType.USING,
        TokenType.FETCH,
        TokenType.INTO,
        TokenType.TABLE_SAMPLE,
    }
)
_SET_OPERATORS = frozenset({TokenType.UNION, TokenType.EXCEPT, TokenType.INTERSECT})
_BEHIND_SET_OPERATOR = QUERY_WORDS | {TokenType.L_PAREN, TokenType.ALL, TokenType.DISTINCT, TokenType.TABLE}
_NO_ALIASES = frozenset(["end", "null", "true", "false", "asc", "desc", "zone", "precision"])
_BEFORE_ALIAS = frozenset(
    {
        TokenType.VAR,
        TokenType.IDENTIFIER,
        TokenType.R_PAREN,
        TokenType.R_BRACKET,
        TokenType.R_BRACE,
        TokenType.NUMBER,
        TokenType.STRING,
        TokenType.END,
    }
)
_STAR_OPTIONS = frozenset(["exclude", "except", "replace", "rename"])
_DEEPEST = 60
_MOST_COLUMNS = 10_000
_UNKNOWN = Column(Nameless.STAR, ())


class _Cte(Struct, frozen=True):
    """A name that a WITH gives to a query. `outer`: the names known where it is given."""

    name: str
    columns: Sequence[Column]
    outer: _Cte | None


class _Star(Struct, frozen=True):
    """`qualifier.* EXCLUDE (...) RENAME (...)`, names folded."""

    qualifier: str | None
    excluded: frozenset[str]
    renamed: Mapping[str, str]


class _Finder(Struct, frozen=True):
    lexed: Lexed
    dialect: str

    def query(self, first: int, last: int, known: _Cte | None, depth: int) -> Sequence[Column]:
        """The columns of a query; `known`: the CTEs around it. `depth`: how many queries it stands in."""
        if depth > _DEEPEST:
            return [_UNKNOWN]
        first, known = self._ctes(first, last, known, depth)
        columns: Sequence[Column] | None = None
        for begin, stop, by_name in self._branches(first, last):
            branch = self._branch(begin, stop, known, depth)
            if columns is None:
                columns = branch
            elif by_name:
                columns = self._joined_by_name(columns, branch)
            else:
                columns = _joined(columns, branch)
        return columns if columns is not None and len(columns) <= _MOST_COLUMNS else [_UNKNOWN]

    def _kind(self, index: int, last: int) -> TokenType | None:
        return self.lexed.tokens[index].token_type if index < last else None

    def _word(self, index: int, last: int) -> str:
        return self.lexed.source(index).lower() if index < last else ""

    def _folded(self, index: int) -> str:
        """A name as the engine compares it."""
        name = _name(self.lexed, index)
        exact = self.dialect == "postgres" and self.lexed.text[self.lexed.tokens[index].start] == '"'
        return name if exact else name.lower()

    def _ctes(self, first: int, last: int, known: _Cte | None, depth: int) -> tuple[int, _Cte | None]:
        """Where the main query begins, and the names that it knows."""
        index = first
        if self._kind(index, last) is not TokenType.WITH:
            return index, known
        index += 1
        if self._word(index, last) == "recursive":
            index += 1
        while index < last:
            name = self._folded(index)
            columns: tuple[str, ...] = ()
            if self._kind(index + 1, last) is TokenType.L_PAREN:
                end = closing(self.lexed, index + 1, last)
                columns = tuple(_name(self.lexed, place) for place in range(index + 2, end, 2))
                index = end
            while index < last and self._kind(index, last) is not TokenType.ALIAS:
                index += 1
            while index < last and self._kind(index, last) is not TokenType.L_PAREN:
                index += 1
            end = closing(self.lexed, index, last)
            known = _Cte(name, _renamed(self.query(index + 1, end, known, depth + 1), columns), known)
            index = end + 1
            if self._kind(index, last) is not TokenType.COMMA:
                return index, known
            index += 1
        return last, known

    def _branches(self, first: int, last: int) -> Iterator[tuple[int, int, bool]]:
        """The parts between UNION, EXCEPT and INTERSECT, and whether each is put to those before it by name."""
        depth, begin, by_name = 0, first, False
        index = first
        while index < last:
            kind = self.lexed.tokens[index].token_type
            depth += (kind in OPENING) - (kind in CLOSING)
            if depth == 0 and kind in _SET_OPERATORS and index > begin:
                following = index + 1
                while self._word(following, last) in ("all", "distinct"):
                    following += 1
                named = self._word(following, last) == "by" and self._word(following + 1, last) == "name"
                following += 2 if named else 0
                behind_star = self.lexed.tokens[index - 1].token_type is TokenType.STAR
                if self._kind(following, last) in _BEHIND_SET_OPERATOR and not behind_star:
                    yield begin, index, by_name
                    begin, by_name = following, named
                    index = following
                    continue
            index += 1
        yield begin, last, by_name

    def _branch(self, first: int, last: int, known: _Cte | None, depth: int) -> Sequence[Column]:
        if self._kind(first, last) is TokenType.L_PAREN:
            return self.query(first + 1, closing(self.lexed, first, last), known, depth + 1)
        if self._kind(first, last) is TokenType.WITH:
            return self.query(first, last, known, depth + 1)
        select = self._select(first, last)
        if select is None:
            relation = None
            if self._kind(first, last) is TokenType.FROM:
                relation = self._relation(first + 1, last, known, depth)
            return relation.columns if relation is not None else [_UNKNOWN]
        begin = self._list_begins(select, last)
        items, end = self._items(begin, last)
        source = first + 1 if self._kind(first, last) is TokenType.FROM else end + 1
        stop = select if source <= select else last
        named = source <= select or self._kind(end, last) is TokenType.FROM
        stars = {item: star for item in items if (star := self._star(item)) is not None}
        relation = self._relation(source, stop, known, depth) if stars and named else None
        columns: list[Column] = []
        for item in items:
            star = stars.get(item)
            if star is not None and relation is not None and star.qualifier in (None, relation.name):
                chosen = (self._chosen(column, star) for column in relation.columns)
                columns += [Column(Nameless.SPREAD, (item,)), *(column for column in chosen if column is not None)]
            elif star is not None or self._stands_for_several(item):
                columns.append(Column(Nameless.STAR, (item,)))
            else:
                name = output_name(self.lexed, item.first, item.stop)
                columns.append(Column(name or Nameless.EXPRESSION, (item,)))
        return columns

    def _select(self, first: int, last: int) -> int | None:
        depth = 0
        for index in range(first, last):
            kind = self.lexed.tokens[index].token_type
            depth += (kind in OPENING) - (kind in CLOSING)
            if depth == 0 and kind is TokenType.SELECT:
                return index
        return None

    def _list_begins(self, select: int, last: int) -> int:
        index = select + 1
        if self._kind(index, last) is TokenType.ALL:
            index += 1
        if self._kind(index, last) is TokenType.DISTINCT:
            index += 1
            if self._kind(index, last) is TokenType.ON:
                index = closing(self.lexed, index + 1, last) + 1
        return index

    def _items(self, begin: int, last: int) -> tuple[list[Item], int]:
        """The items of a list, and the token behind it."""
        tokens = self.lexed.tokens
        ranges: list[tuple[int, int]] = []
        depth = 0
        index = begin
        for index in range(begin, last):
            kind = tokens[index].token_type
            if kind in OPENING:
                depth += 1
            elif kind in CLOSING:
                depth -= 1
                if depth < 0:
                    break
            elif depth == 0 and kind is TokenType.COMMA:
                ranges.append((begin, index))
                begin = index + 1
            elif depth == 0 and kind in _LIST_ENDS and self._ends_list(index, begin):
                break
        else:
            index = last
        ranges.append((begin, index))
        ranges = [(first, stop) for first, stop in ranges if first < stop]
        begins: list[int | None] = [*(first for first, _ in ranges[1:]), None]
        return [Item(*pair, following) for pair, following in zip(ranges, begins, strict=True)], index

    def _ends_list(self, index: int, begin: int) -> bool:
        if index == begin:
            return True
        before = self.lexed.tokens[index - 1].token_type
        if before in (TokenType.DOT, TokenType.ALIAS) or is_distinct_from(self.lexed, index):
            return False
        return not (before is TokenType.STAR and self.lexed.tokens[index].token_type is TokenType.EXCEPT)

    def _star(self, item: Item) -> _Star | None:
        """What `*`, `t.*` or `* EXCLUDE (...)` says; None for any other item, and for a star that is not only a choice."""
        index, qualifier = item.first, None
        if item.stop - index > 2 and self._kind(index + 1, item.stop) is TokenType.DOT:
            qualifier = self._folded(index)
            index += 2
        if self._kind(index, item.stop) is not TokenType.STAR:
            return None
        index += 1
        excluded: set[str] = set()
        renamed: dict[str, str] = {}
        while index < item.stop:
            word = self._word(index, item.stop)
            if word not in _STAR_OPTIONS:
                return None
            index += 1
            end = index + 1
            if self._kind(index, item.stop) is TokenType.L_PAREN:
                index, end = index + 1, closing(self.lexed, index, item.stop)
            if word in ("exclude", "except"):
                excluded |= {_name(self.lexed, p).lower() for p in range(index, end) if is_word(self.lexed, p)}
            elif word == "rename":
                for place in range(index, end):
                    if self._kind(place, end) is TokenType.ALIAS and place + 1 < end:
                        renamed[_name(self.lexed, place - 1).lower()] = _name(self.lexed, place + 1)
            bracket = end < item.stop and self.lexed.tokens[end].token_type is TokenType.R_PAREN
            index = end + bracket
        return _Star(qualifier, frozenset(excluded), renamed)

    def _stands_for_several(self, item: Item) -> bool:
        """Whether an item makes more columns than one, or none: `* LIKE 'x%'`, `COLUMNS(...)`."""
        tokens = self.lexed.tokens[item.first : item.stop]
        kinds = [token.token_type for token in tokens]
        if kinds[0] is TokenType.STAR or (len(kinds) > 2 and kinds[1:3] == [TokenType.DOT, TokenType.STAR]):
            return True
        return any(token.text.lower() in ("columns", "unnest") for token in tokens if token.text) and (
            output_name(self.lexed, item.first, item.stop) is None
        )

    def _relation(self, first: int, last: int, known: _Cte | None, depth: int) -> _Cte | None:
        """The one CTE or subquery in a FROM clause, under the name it has there; None for anything else."""
        last = self._clause_end(first, last)
        name = ""
        columns: Sequence[Column]
        if self._kind(first, last) is TokenType.L_PAREN:
            index = closing(self.lexed, first, last)
            if self._kind(first + 1, index) not in QUERY_WORDS | {TokenType.L_PAREN}:
                return None
            columns = self.query(first + 1, index, known, depth + 1)
        elif first < last and is_word(self.lexed, first) and self._kind(first + 1, last) is not TokenType.DOT:
            name, index = self._folded(first), first
            cte = known
            while cte is not None and cte.name != name:
                cte = cte.outer
            if cte is None:
                return None
            columns = cte.columns
        else:
            return None
        index += 1
        if self._kind(index, last) is TokenType.ALIAS:
            index += 1
        if index < last and is_word(self.lexed, index):
            name = self._folded(index)
            index += 1
            if self._kind(index, last) is TokenType.L_PAREN:
                end = closing(self.lexed, index, last)
                columns = _renamed(columns, [_name(self.lexed, place) for place in range(index + 1, end, 2)])
                index = end + 1
        return _Cte(name, columns, None) if index >= last else None

    def _clause_end(self, first: int, last: int) -> int:
        """Where a FROM clause ends."""
        depth = 0
        for index in range(first, last):
            kind = self.lexed.tokens[index].token_type
            depth += (kind in OPENING) - (kind in CLOSING)
            if depth < 0 or (depth == 0 and index > first and kind in _LIST_ENDS):
                return index
        return last

    def _chosen(self, column: Column, star: _Star) -> Column | None:
        if isinstance(column.name, Nameless):
            return column
        if column.name.lower() in star.excluded:
            return None
        return replace(column, name=star.renamed.get(column.name.lower(), column.name))

    def _joined_by_name(self, one: Sequence[Column], other: Sequence[Column]) -> list[Column]:
        """The columns of `UNION BY NAME`."""
        found = list(one)
        places = {c.name.lower(): i for i, c in enumerate(found) if isinstance(c.name, str)}
        for column in other:
            place = places.get(column.name.lower()) if isinstance(column.name, str) else None
            if place is None:
                found.append(column)
            else:
                found[place] = replace(found[place], items=found[place].items + column.items)
        return found


def _joined(one: Sequence[Column], other: Sequence[Column]) -> list[Column]:
    """The columns of a UNION: what is in the same place makes the same column."""
    found = list(one)
    places = _places(one)
    found += [Column(Nameless.SPREAD, c.items) for c in other if c.name in (Nameless.STAR, Nameless.SPREAD)]
    for position, place in enumerate(_places(other)):
        column = other[place]
        if position < len(places):
            before = found[places[position]]
            found[places[position]] = replace(before, items=tuple(dict.fromkeys(before.items + column.items)))
        else:
            found.append(Column(Nameless.POSITION, column.items))
    known = len(_places(other))
    lost = [c for c in other if c.name not in (Nameless.STAR, Nameless.SPREAD)][known:]
    return [*found, *(Column(Nameless.POSITION, column.items) for column in lost)]


def _renamed(columns: Sequence[Column], names: Sequence[str]) -> Sequence[Column]:
    """Columns under the names that a list behind an alias gives them."""
    found = list(columns)
    for place, name in zip(_places(columns), names, strict=False):
        found[place] = replace(found[place], name=name)
    return found


def _places(columns: Sequence[Column]) -> list[int]:
    """Where the columns stand of which the position is known: all before the first unknown `*`."""
    found: list[int] = []
    for place, column in enumerate(columns):
        if column.name in (Nameless.STAR, Nameless.POSITION):
            break
        if column.name is not Nameless.SPREAD:
            found.append(place)
    return found


def _name(lexed: Lexed, index: int) -> str:
    token = lexed.tokens[index]
    quoted = token.token_type in (TokenType.IDENTIFIER, TokenType.STRING)
    return token.text if quoted else lexed.source(index)
