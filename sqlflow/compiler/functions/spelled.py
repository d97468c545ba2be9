"""Functions by the words of a text: as the author wrote them, and of a text that cannot be read as a tree."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from msgspec.structs import replace

from sqlflow.compiler.functions.known import functions_of, moving
from sqlflow.core.clock import Moving, Nature
from sqlflow.core.intervals import Grain

# Names that sqlglot's classes do not tell apart.
_SAME: Mapping[str, tuple[str, ...]] = {
    "current_timestamp": ("now", "get_current_timestamp", "transaction_timestamp"),
    "current_date": ("today",),
    "current_time": ("get_current_time",),
    "localtimestamp": ("current_localtimestamp",),
    "localtime": ("current_localtime",),
    "uuid": ("gen_random_uuid",),
    "gen_random_uuid": ("uuid",),
}


def as_written(item: Moving, words: Collection[str]) -> Moving:
    """With the name that the text has. `words`: those of the text."""
    if item.word in words or item.nature is Nature.UNKNOWN:
        return item
    found = [word for word in _SAME.get(item.word, ()) if word in words]
    return replace(item, word=found[0]) if len(found) == 1 else item


def named_in(words: Iterator[tuple[str, bool]], dialect: str) -> tuple[Moving, ...]:
    """What a text that cannot be read as a tree may have: of each word, whether a bracket follows."""
    functions = functions_of(dialect)
    found: set[Moving] = set()
    for word, called in words:
        if word in ("pg_catalog", "information_schema"):
            found.add(Moving(word, Nature.OUTSIDE))
        elif called and word == "age":
            found.add(Moving("age", Nature.CLOCK, Grain.DAY))
        elif called or word in functions.bare:
            item = moving(word, dialect)
            if item is not None and item.nature is not Nature.UNKNOWN:
                found.add(item)
    return tuple(sorted(found))
