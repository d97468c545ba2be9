"""Which comments belong to an item of a SELECT list.

Behind it or above its last line, on a line of its expression, or on lines of their own directly above it. Where the comma
stands makes no difference. What could belong to either of two items belongs to neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct
from sqlglot import TokenType

from sqlflow.project.comments import Comment
from sqlflow.project.marks import WORD
from sqlflow.project.results import QUERY_WORDS, Item, closing
from sqlflow.project.tokens import CLOSING, OPENING, Lexed

Gaps = Mapping[int, Sequence[Comment]]


class Placed(Struct, frozen=True):
    """The comments of an item, in groups of what is read as one text.

    `between`: on lines of their own between the lines of an expression, and not in brackets. `inside`: all others in it.
    """

    behind: tuple[tuple[Comment, ...], ...]
    above: tuple[Comment, ...]
    between: tuple[tuple[Comment, ...], ...]
    inside: tuple[tuple[Comment, ...], ...]


def placed(lexed: Lexed, item: Item, gaps: Gaps) -> Placed:
    """The comments of an item. `gaps`: those of the whole text, by the token behind them."""
    tokens = lexed.tokens
    before = item.first - 1
    if tokens[before].token_type is TokenType.COMMA:
        _, above = _shared(lexed, before - 1, before, item.first, gaps)
    else:
        above = _above_first(lexed, item.first, gaps)
    comma = item.stop if item.stop < len(tokens) and tokens[item.stop].token_type is TokenType.COMMA else None
    behind, _ = _shared(lexed, item.stop - 1, comma, item.following, gaps)
    moved = _above_last_line(lexed, item, gaps)
    between: list[tuple[Comment, ...]] = []
    inside: list[tuple[Comment, ...]] = []
    for gap in _inside(lexed, item):
        group = tuple(comment for comment in gaps.get(gap, ()) if comment not in moved)
        if group:
            own_line = "\n" in lexed.text[tokens[gap - 1].end + 1 : group[0].start]
            (between if own_line and not _is_deep(lexed, item.first, gap) else inside).append(group)
    return Placed((moved, *behind) if moved else behind, above, tuple(between), tuple(inside))


def _is_deep(lexed: Lexed, first: int, gap: int) -> bool:
    """Whether a gap stands in brackets or between CASE and END."""
    kinds = [token.token_type for token in lexed.tokens[first:gap]]
    deeper = sum(kind in OPENING or kind is TokenType.CASE for kind in kinds)
    return deeper > sum(kind in CLOSING or kind is TokenType.END for kind in kinds)


def _above_last_line(lexed: Lexed, item: Item, gaps: Gaps) -> tuple[Comment, ...]:
    """The comments on lines of their own above the last line of an item: sqlfluff puts long ones there."""
    tokens = lexed.tokens
    line = lexed.text.rfind("\n", 0, tokens[item.stop - 1].start) + 1
    gap = next(index for index in range(item.first, item.stop) if tokens[index].start >= line)
    comments = gaps.get(gap, ())
    if gap == item.first or not comments:
        return ()
    end = tokens[gap - 1].end + 1
    own = [comment for comment in comments if _breaks(lexed, end, comment.start, comments)]
    return _adjacent(lexed, own, None, tokens[gap].start, comments)


def _inside(lexed: Lexed, item: Item) -> list[int]:
    """The gaps between the tokens of an item, but for those in a query of its own."""
    found: list[int] = []
    index = item.first + 1
    while index < item.stop:
        found.append(index)
        opened = lexed.tokens[index - 1].token_type in OPENING
        if opened and lexed.tokens[index].token_type in QUERY_WORDS:
            found.pop()
            index = closing(lexed, index - 1, item.stop)
        index += 1
    return found


def _above_first(lexed: Lexed, first: int, gaps: Gaps) -> tuple[Comment, ...]:
    """The comments above the first item: not those behind SELECT on its line."""
    comments = gaps.get(first, ())
    left, right = lexed.tokens[first - 1].end + 1, lexed.tokens[first].start
    found = [
        comment
        for comment in comments
        if _breaks(lexed, left, comment.start, comments) or not _breaks(lexed, comment.end, right, comments)
    ]
    return _adjacent(lexed, found, None, right, comments)


def _shared(
    lexed: Lexed, left: int, comma: int | None, right: int | None, gaps: Gaps
) -> tuple[tuple[tuple[Comment, ...], ...], tuple[Comment, ...]]:
    """The comments between two items: those behind the left one, and those above the right one.

    `left`: the last token of an item. `right`: the first token of the next one.
    """
    tokens = lexed.tokens
    comments = [*gaps.get(left + 1, ()), *(gaps.get(comma + 1, ()) if comma is not None else ())]
    if not comments:
        return (), ()
    end = tokens[left].end + 1
    comma_start, comma_end = (tokens[comma].start, tokens[comma].end + 1) if comma is not None else (-1, -1)
    right_start = tokens[right].start if right is not None else -1

    def breaks(start: int, stop: int) -> int:
        return _breaks(lexed, start, stop, comments)

    behind: list[Comment] = []
    above: list[Comment] = []
    for comment in comments:
        after_comma = comma is not None and comment.start > comma_start
        touches = right is not None and not breaks(comment.end, right_start)
        if not breaks(end, comment.start):
            behind += [] if after_comma and touches else [comment]
        elif after_comma and not breaks(comma_end, comment.start):
            above += [comment] if touches else []
            behind += [comment] if right is None else []
        elif right is None:
            continue
        elif after_comma or not breaks(comma_end, right_start):
            above.append(comment)
        else:
            behind.append(comment)
    anchor = comma_start if comma is not None and above and above[-1].start < comma_start else right_start
    continued = _continued(lexed, behind, above, anchor)
    above = above[len(continued) :]
    groups: list[tuple[Comment, ...]] = [(comment,) for comment in behind]
    if continued and not any(WORD.search(lexed.text, comment.begin, comment.stop) for comment in continued):
        groups[-1] = (behind[-1], *continued)
    return tuple(groups), _adjacent(lexed, above, comma_start, right_start, comments)


def _continued(lexed: Lexed, behind: Sequence[Comment], above: Sequence[Comment], anchor: int) -> Sequence[Comment]:
    """The comments on lines of their own that go on with the one behind an item: they begin exactly below it.

    A check in one of them is neither item's: a formatter would put it above the next column.
    """
    if not behind or not above or not behind[-1].is_line:
        return ()
    column = _column(lexed, behind[-1].start)
    if column == _column(lexed, anchor):
        return ()
    count = 0
    previous = behind[-1]
    for comment in above:
        if _column(lexed, comment.start) != column or lexed.text.count("\n", previous.end, comment.start) != 1:
            break
        previous = comment
        count += 1
    return above[:count]


def _adjacent(
    lexed: Lexed, comments: Sequence[Comment], comma: int | None, right: int, others: Sequence[Comment]
) -> tuple[Comment, ...]:
    """The last of these comments, up to an empty line."""
    found: list[Comment] = []
    anchor = right
    for comment in reversed(comments):
        if comma is not None and comment.end <= comma:
            anchor = min(anchor, comma)
        if _breaks(lexed, comment.end, anchor, others) > 1:
            break
        found.insert(0, comment)
        anchor = comment.start
    return tuple(found)


def _breaks(lexed: Lexed, start: int, end: int, comments: Sequence[Comment]) -> int:
    """How many lines end between two places, those within comments not counted."""
    within = sum(
        lexed.text.count("\n", comment.start, comment.end)
        for comment in comments
        if start <= comment.start and comment.end <= end
    )
    return lexed.text.count("\n", start, end) - within


def _column(lexed: Lexed, place: int) -> int:
    return place - lexed.text.rfind("\n", 0, place)
