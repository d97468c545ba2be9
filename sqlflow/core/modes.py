"""What a mode is, said once. Whoever wants to know what a table promises asks `Promise`, and not which mode it is."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from sqlflow.core.records import Relation


class Mode(StrEnum):
    """A promise about a table; see docs/modes.md."""

    AUTO = "auto"
    VIEW = "view"
    INLINE = "inline"
    REPLACE = "replace"
    APPEND = "append"
    MERGE = "merge"
    INCREMENTAL = "incremental"
    SNAPSHOT = "snapshot"
    TEST = "test"  # a query in tests/: nobody writes it


class Strategy(StrEnum):
    """How a change of the data is applied; see docs/modes.md. All strategies of a mode keep the same promise."""

    AUTO = "auto"
    APPEND = "append"
    MERGE = "merge"
    CDC = "cdc"
    SWAP = "swap"
    PARTITION = "partition"
    DELTA = "delta"
    FULL = "full"


class Promise(Struct, frozen=True):
    """What a mode promises, and what it takes to keep that."""

    relation: Relation  # what stands in the database under the model's name
    inlined: bool = False  # its query is put into those that read it
    tests: bool = False  # a query in tests/: each row that it gives is a failure
    keyed: bool = False  # it sees to one row for each value of `@key` itself, and remembers what was deleted
    timed: bool = False  # each row belongs to an interval of `@time`, and intervals are replaced
    keeps: bool = False  # rows stay that the query does not give any more, so a rebuild may lose them
    history: bool = False  # it has a row for each version of a key, with columns of its own, and is never made again
    follows: bool = False  # it may be brought up to date by the rows that changed in what it reads
    needs: tuple[str, ...] = ()  # the directives without which it cannot be
    strategies: tuple[Strategy, ...] = ()  # the first is the default

    @property
    def stands(self) -> bool:
        """Whether a table or view of the model stands in the database."""
        return self.relation is not Relation.NOTHING

    @property
    def is_table(self) -> bool:
        return self.relation is Relation.TABLE

    @property
    def is_view(self) -> bool:
        return self.relation is Relation.VIEW

    @property
    def looked_through(self) -> bool:
        """Whether its readers really read what it reads."""
        return self.is_view or self.inlined

    @property
    def whole(self) -> bool:
        """Whether it is a table that has what its query gives now, and there is no telling which part of it is which."""
        return self.is_table and not self.keeps and not self.timed


PROMISES: Mapping[str, Promise] = {
    Mode.AUTO: Promise(
        Relation.TABLE,
        follows=True,
        strategies=(Strategy.AUTO, Strategy.DELTA, Strategy.FULL),
    ),
    Mode.VIEW: Promise(Relation.VIEW),
    Mode.INLINE: Promise(Relation.NOTHING, inlined=True),
    Mode.REPLACE: Promise(Relation.TABLE, strategies=(Strategy.AUTO, Strategy.FULL)),
    Mode.APPEND: Promise(
        Relation.TABLE,
        keeps=True,
        needs=("cursor",),
        strategies=(Strategy.AUTO, Strategy.APPEND),
    ),
    Mode.MERGE: Promise(
        Relation.TABLE,
        keyed=True,
        keeps=True,
        needs=("key",),
        strategies=(Strategy.AUTO, Strategy.MERGE, Strategy.CDC, Strategy.SWAP),
    ),
    Mode.INCREMENTAL: Promise(
        Relation.TABLE,
        timed=True,
        follows=True,
        needs=("time",),
        strategies=(Strategy.AUTO, Strategy.PARTITION, Strategy.DELTA, Strategy.FULL),
    ),
    Mode.SNAPSHOT: Promise(
        Relation.TABLE,
        keyed=True,
        keeps=True,
        history=True,
        needs=("key",),
        strategies=(Strategy.AUTO,),
    ),
    Mode.TEST: Promise(Relation.NOTHING, tests=True),
}


_NO_PROMISE = Promise(Relation.NOTHING)


def promised(word: str) -> Promise:
    """The promise of a table by the mode that its record tells of; none, for what is not made by a model."""
    return PROMISES.get(word, _NO_PROMISE)
