"""Records of tables, as they are kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from sqlflow.core.codec import decode, encode
from sqlflow.core.names import TableName
from sqlflow.core.records import Fingerprint, Relation, TableKind, TableRecord
from sqlflow.core.schema import Schema
from sqlflow.core.ways import Method

RECORD = TableRecord(
    TableName("marts", "sales"),
    TableKind.MODEL,
    Relation.TABLE,
    Fingerprint("q"),
    Schema(()),
    1,
    "run",
    datetime(2024, 1, 1, tzinfo=UTC),
    costs={Method.FULL: 2.5, Method.DELTA: 0.1},
    followed={Method.DELTA: 12},
    paces={Method.MERGE: 1.25},
)


def test_what_methods_took_is_kept_by_their_words() -> None:
    text = encode(RECORD)
    kept = json.loads(text)
    assert (kept["costs"], kept["followed"], kept["paces"]) == (
        {"full": 2.5, "delta": 0.1},
        {"delta": 12},
        {"merge": 1.25},
    )
    assert decode(text, TableRecord) == RECORD


def test_words_of_another_version_tell_nothing() -> None:
    older = {**json.loads(encode(RECORD)), "costs": {"full": 2.5, "delta_rows": 7, "by_magic": 3}}
    read = decode(json.dumps(older), TableRecord)
    assert read.costs[Method.FULL] == 2.5
    assert set(read.costs) == {Method.FULL, Method.NONE}
