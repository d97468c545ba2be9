"""What a task can do to a table, and what is measured while it does it: the words that are kept in records."""

from __future__ import annotations

from enum import StrEnum


class Method(StrEnum):
    """How a table was written. What authors may ask for is a `Strategy`; this is what was done."""

    NONE = ""  # nothing was written, or it is no matter how: views, inputs, checks
    AUTO = "auto"  # one of several, which is chosen while it runs
    FULL = "full"  # made from scratch
    BATCHES = "batches"  # made from scratch, batch by batch
    PARTITION = "partition"  # intervals of its time replaced
    APPEND = "append"  # rows added
    MERGE = "merge"  # keys deleted and added again
    CHANGES = "changes"  # only rows that differ
    CDC = "cdc"  # events of keys applied
    SWAP = "swap"  # written anew beside, and put in its place
    DELTA = "delta"  # the changed rows of its inputs multiplied out
    KEYS = "keys"  # the keys of the changed rows computed again
    UNCHANGED = "unchanged inputs"  # left, because what it reads was written again and is what it was

    @classmethod
    def _missing_(cls, value: object) -> Method:
        """A word of another version tells nothing here."""
        return cls.NONE


class Fact(StrEnum):
    """What a step of a task measures. Some of it goes into the record of the table, the rest is kept with the run."""

    WATERMARK = "watermark"
    SEEN_ROWS = "seen_rows"
    SEEN_DIGEST = "seen_digest"
    ROWS = "rows"
    STRATEGY = "strategy"
    DISTRUSTED = "distrusted"

    CHANGED = "changed"
    CHECKED_ROWS = "checked_rows"
    ADDED_ROWS = "added_rows"
    REMOVED_ROWS = "removed_rows"
    ADDED = "added"
    ADDED_LATE = "added_late"
    ROWS_READ = "rows_read"
    UNCHANGED = "unchanged"
    REPLACED = "replaced"
    APPLY_SECONDS = "apply_seconds"
    APPLY_CPU_SECONDS = "apply_cpu_seconds"

    KEYS = "keys"
    DELETIONS = "deletions"
    TABLE_ROWS = "table_rows"
    OWN_INDEXES = "own_indexes"
    MATCHED = "matched"
    NEW_KEYS = "new_keys"
    SAMPLED = "sampled"
    SAMPLED_UNCHANGED = "sampled_unchanged"
    APPEND_SECONDS = "append_seconds"
    MERGE_SECONDS = "merge_seconds"
    CHANGES_SECONDS = "changes_seconds"
    CDC_SECONDS = "cdc_seconds"
    SWAP_SECONDS = "swap_seconds"
    PRICE_SECONDS = "price_seconds"

    @property
    def is_of_record(self) -> bool:
        """Whether it is a field of the table's record, and not kept among its facts."""
        return self in _OF_RECORD


_OF_RECORD = frozenset({Fact.WATERMARK, Fact.SEEN_ROWS, Fact.SEEN_DIGEST, Fact.ROWS, Fact.STRATEGY, Fact.DISTRUSTED})
